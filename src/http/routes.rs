//! Request in, response out: no connections here, no waiting.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};

use super::{Readiness, View};
use crate::metrics::Format;

const TEXT: &str = "text/plain; charset=utf-8";

/// Answers one request. `/` is git-sync's probe: 503 until ready.
pub(super) fn respond(
    view: &dyn View,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Response<Full<Bytes>> {
    let route: fn(&dyn View, &HeaderMap) -> Response<Full<Bytes>> = match path {
        "/" | "/readyz" => ready,
        "/livez" | "/healthz" => live,
        "/metrics" => metrics,
        "/status" => status,
        _ => return text(StatusCode::NOT_FOUND, "not found"),
    };
    if method != Method::GET && method != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    // The connection leaves the body of an answer to HEAD away, and keeps its length.
    route(view, headers)
}

/// For a route that panicked.
pub(super) fn internal_error() -> Response<Full<Bytes>> {
    text(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
}

fn ready(view: &dyn View, _: &HeaderMap) -> Response<Full<Bytes>> {
    match view.readiness() {
        Readiness::Ready => text(StatusCode::OK, "ready"),
        Readiness::Waiting(reason) => text(StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}

fn live(view: &dyn View, _: &HeaderMap) -> Response<Full<Bytes>> {
    if view.live() { text(StatusCode::OK, "live") } else { text(StatusCode::SERVICE_UNAVAILABLE, "not live") }
}

fn metrics(view: &dyn View, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let Some(metrics) = view.metrics() else {
        return text(StatusCode::NOT_FOUND, "metrics are switched off");
    };
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (content_type, page) = metrics.render(negotiate(accept));
    let mut response = answer(StatusCode::OK, content_type, page);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

fn status(view: &dyn View, _: &HeaderMap) -> Response<Full<Bytes>> {
    answer(StatusCode::OK, "application/json", view.status())
}

/// OpenMetrics for those who name it and do not like text better, text for everybody else: an `Accept` that fits
/// neither is answered too, a page in the wrong format is more use than an error.
fn negotiate<'a>(accept: impl Iterator<Item = &'a str>) -> Format {
    let (mut open, mut plain, mut any) = (None::<f32>, None::<f32>, None::<f32>);
    for range in accept.flat_map(|header| header.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut quality, mut version) = (1.0, None);
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                // Nonsense is as good as "never".
                "q" => quality = value.parse().ok().filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0),
                "version" => version = Some(value.to_owned()),
                _ => {}
            }
        }
        let slot = match (media.as_str(), version.as_deref()) {
            ("application/openmetrics-text", None | Some("1.0.0")) => &mut open,
            ("text/plain", None | Some("0.0.4")) => &mut plain,
            ("text/*" | "*/*", _) => &mut any,
            _ => continue,
        };
        *slot = Some(slot.unwrap_or(0.0).max(quality));
    }
    match open {
        Some(q) if q > 0.0 && q >= plain.or(any).unwrap_or(0.0) => Format::OpenMetrics,
        _ => Format::Text,
    }
}

/// A line of text, as `curl` shows it best.
fn text(status: StatusCode, line: &'static str) -> Response<Full<Bytes>> {
    answer(status, TEXT, format!("{line}\n").into_bytes())
}

fn answer(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let fixed: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    struct Fixed(Readiness, bool, Option<Metrics>);

    impl View for Fixed {
        fn readiness(&self) -> Readiness {
            self.0
        }
        fn live(&self) -> bool {
            self.1
        }
        fn metrics(&self) -> Option<Metrics> {
            self.2.clone()
        }
        fn status(&self) -> Vec<u8> {
            b"{}".to_vec()
        }
    }

    fn code(view: &Fixed, method: Method, path: &str) -> u16 {
        respond(view, &method, path, &HeaderMap::new()).status().as_u16()
    }

    #[test]
    fn readiness_is_503_until_it_is_200() {
        let waiting = Fixed(Readiness::Waiting("no sync yet"), true, None);
        let ready = Fixed(Readiness::Ready, true, None);
        for path in ["/", "/readyz"] {
            assert_eq!(code(&waiting, Method::GET, path), 503);
            assert_eq!(code(&ready, Method::GET, path), 200);
        }
        for path in ["/livez", "/healthz"] {
            assert_eq!(code(&waiting, Method::GET, path), 200, "liveness does not depend on the remote");
        }
        assert_eq!(code(&Fixed(Readiness::Ready, false, None), Method::GET, "/livez"), 503);
    }

    #[test]
    fn only_known_paths_and_reading_methods() {
        let view = Fixed(Readiness::Ready, true, Some(Metrics::new()));
        for path in ["//", "/ready", "/metrics/", "/debug/pprof", "*", "", "/../etc/passwd", "/\u{1b}[2J"] {
            assert_eq!(code(&view, Method::GET, path), 404, "{path}");
        }
        assert_eq!(code(&view, Method::HEAD, "/"), 200);
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE] {
            let response = respond(&view, &method, "/metrics", &HeaderMap::new());
            assert_eq!(response.status(), 405);
            assert_eq!(response.headers()[header::ALLOW], "GET, HEAD");
        }
        assert_eq!(code(&Fixed(Readiness::Ready, true, None), Method::GET, "/metrics"), 404);
    }

    #[test]
    fn the_format_is_negotiated() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                          application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,\
                          text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (accept, format) in [
            (prometheus, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8", Format::OpenMetrics),
            ("application/openmetrics-text, text/plain", Format::OpenMetrics),
            ("text/plain, application/openmetrics-text;q=0.9", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            ("application/openmetrics-text;q=nonsense", Format::Text),
            ("application/openmetrics-text;q=NaN", Format::Text),
            ("application/openmetrics-text;version=2.0.0", Format::Text),
            ("application/openmetrics-text;version=0.0.1", Format::Text),
            ("application/openmetrics-text;q=0.2, */*;q=0.8", Format::Text),
            ("*/*", Format::Text),
            ("application/json", Format::Text),
            (";;;=,,,;q", Format::Text),
            ("", Format::Text),
        ] {
            assert_eq!(negotiate([accept].into_iter()), format, "{accept}");
        }
        assert_eq!(
            negotiate(["text/plain;q=0.5", "application/openmetrics-text"].into_iter()),
            Format::OpenMetrics
        );
        assert_eq!(negotiate(std::iter::empty()), Format::Text);
    }
}
