//! Our HTTP under gix's smart transport: one connection pool a source, hard deadlines, credentials for one origin.
//!
//! gix's own backends bound a read, not a conversation (a server that sends a byte a second holds them for ever), list
//! their own redirect rules, and refuse some settings. This is an implementation of its `Http` trait on the async client, driven
//! by a runtime of the worker's own thread: nothing runs between two passes, and an idle poll costs one request.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use gix::error::ErrorExt as _;
use gix_transport::client::blocking_io::http::{self, GetResponse, PostBodyDataKind, PostResponse};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use url::{Origin, Url};

use super::auth::Login;
use super::body::{Body, Exchange, Head};
use super::cause::{find, innermost};
use super::client::{self, CONNECT_TIMEOUT};
use super::error::Error;
use crate::deadline::{Deadline, Expired};
use crate::git::HttpConfig;

/// As git's default for `http.followRedirects=initial`, bounded.
const MAX_REDIRECTS: usize = 5;
/// A server that asks for more is asked again after this long.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// A pool of connections to one remote. Clones share it.
#[derive(Clone)]
pub(super) struct Http(Rc<Shared>);

pub(super) struct Shared {
    pub(super) runtime: tokio::runtime::Runtime,
    client: RefCell<reqwest::Client>,
    config: HttpConfig,
    /// A certificate was refused: the CA file is read again, it may have been renewed.
    distrusts: Cell<bool>,
    configured: Url,
    origin: Origin,
    extra_headers: HeaderMap,
    follow_redirects: bool,
    pub(super) low_speed: Option<(u64, Duration)>,
    authorization: RefCell<Option<HeaderValue>>,
    deadline: RefCell<Option<Rc<Deadline>>>,
    failure: RefCell<Option<Error>>,
    base: RefCell<Option<String>>,
    pub(super) received: Cell<u64>,
    /// How many bytes may still come; what is over that is not for us to keep in memory.
    pub(super) room: Cell<u64>,
}

impl Http {
    /// Builds the client; reads the CA file. Connects to nothing.
    pub(super) fn new(url: &Url, config: &HttpConfig) -> Result<Self, Error> {
        let client = client::build(config)?;
        let extra_headers = client::extra_headers(config)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|err| Error::Client { what: "runtime".into(), reason: err.to_string() })?;
        Ok(Http(Rc::new(Shared {
            runtime,
            client: RefCell::new(client),
            config: config.clone(),
            distrusts: Cell::new(false),
            origin: url.origin(),
            configured: url.clone(),
            extra_headers,
            follow_redirects: config.follow_redirects,
            low_speed: config.low_speed,
            authorization: RefCell::new(None),
            deadline: RefCell::new(None),
            failure: RefCell::new(None),
            base: RefCell::new(None),
            received: Cell::new(0),
            room: Cell::new(0),
        })))
    }

    /// Before every pass: until when, and as whom.
    pub(super) fn arm(&self, deadline: &Rc<Deadline>, login: Option<&Login>) {
        use base64::Engine as _;
        *self.0.deadline.borrow_mut() = Some(deadline.clone());
        *self.0.failure.borrow_mut() = None;
        if self.0.distrusts.take()
            && let Ok(client) = client::build(&self.0.config)
        {
            *self.0.client.borrow_mut() = client;
        }
        *self.0.authorization.borrow_mut() = login.map(|login| {
            let pair = format!("{}:{}", login.username, login.password.expose());
            let mut value = HeaderValue::from_str(&format!(
                "Basic {}",
                base64::engine::general_purpose::STANDARD.encode(pair)
            ))
            .expect("base64 is a header value");
            value.set_sensitive(true);
            value
        });
    }

    /// What went wrong, in our words, after gix reported an error. gix wraps it in layers of its own.
    pub(super) fn take_failure(&self) -> Option<Error> {
        self.0.failure.borrow_mut().take()
    }

    /// Decoded bytes received since the start.
    pub(super) fn received(&self) -> u64 {
        self.0.received.get()
    }

    /// How much the next answers may bring.
    pub(super) fn expect_at_most(&self, bytes: u64) {
        self.0.room.set(bytes);
    }

    /// Forgets where a redirect led, so that the next handshake starts at the configured URL.
    pub(super) fn forget_redirect(&self) {
        *self.0.base.borrow_mut() = None;
    }
}

impl Shared {
    /// The remote as it may be shown: no userinfo, no query.
    pub(super) fn shown(&self) -> String {
        shown(&self.configured)
    }

    pub(super) fn fail(&self, error: Error) -> io::Error {
        let text = error.to_string();
        self.failure.borrow_mut().get_or_insert(error);
        io::Error::other(text)
    }

    pub(super) fn expired(&self, doing: &'static str, expired: Expired) -> io::Error {
        self.fail(Error::Expired { remote: self.shown(), doing, expired })
    }

    pub(super) fn too_slow(&self, doing: &'static str) -> io::Error {
        let (limit, time) = self.low_speed.unwrap_or_default();
        let time = humantime::format_duration(time);
        let reason = format!("slower than {limit} bytes per second for {time}");
        self.fail(Error::Broken { remote: self.shown(), doing, reason })
    }

    pub(super) fn deadline(&self) -> Rc<Deadline> {
        self.deadline.borrow().clone().expect("armed before every pass")
    }

    /// Sends, and waits for the head of the answer. One more try when a kept connection turned out to be closed: all
    /// our requests only read.
    pub(super) fn send(
        &self,
        url: &Url,
        headers: &HeaderMap,
        body: Option<&[u8]>,
    ) -> io::Result<reqwest::Response> {
        let deadline = self.deadline();
        let own_origin = url.origin() == self.origin;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut request = match body {
                None => self.client.borrow().get(url.clone()),
                Some(body) => self.client.borrow().post(url.clone()).body(body.to_vec()),
            };
            request = request.headers(headers.clone());
            if own_origin {
                request = request.headers(self.extra_headers.clone());
                // `http.extraHeader: Authorization: …` is somebody's explicit choice and stays alone.
                if let Some(value) = &*self.authorization.borrow()
                    && !self.extra_headers.contains_key(AUTHORIZATION)
                {
                    request = request.header(AUTHORIZATION, value.clone());
                }
            }
            let sent = self.runtime.block_on(deadline.bound(async {
                match self.low_speed {
                    None => Ok(request.send().await),
                    // curl counts the wait for the head as a transfer of nothing.
                    Some((_, time)) => tokio::time::timeout(time, request.send()).await,
                }
            }));
            let sent = match sent {
                Err(expired) => return Err(self.expired("waiting for", expired)),
                Ok(Err(_)) => return Err(self.too_slow("waiting for an answer")),
                Ok(Ok(sent)) => sent,
            };
            match sent {
                Ok(response) => return Ok(response),
                Err(err) if tries == 1 && !err.is_connect() && !err.is_timeout() && !err.is_builder() => {}
                Err(err) => return Err(self.fail(self.classify(err))),
            }
        }
    }

    /// Anything but a success becomes an error.
    pub(super) fn accept(&self, response: reqwest::Response) -> io::Result<reqwest::Response> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let remote = self.shown();
        let target = response.url().origin();
        Err(self.fail(match status.as_u16() {
            status @ (401 | 403) if target != self.origin => {
                Error::Elsewhere { remote, target: target.ascii_serialization(), status }
            }
            status @ (401 | 403) => {
                let sent =
                    self.authorization.borrow().is_some() || self.extra_headers.contains_key(AUTHORIZATION);
                Error::Unauthorized { remote, status, sent }
            }
            status => Error::Status { remote, status, retry_after: retry_after(response.headers()) },
        }))
    }

    fn classify(&self, err: reqwest::Error) -> Error {
        let err = err.without_url();
        let remote = self.shown();
        if let Some(tls) = find::<rustls::Error>(&err) {
            self.distrusts.set(true);
            return Error::Tls { remote, reason: tls.to_string() };
        }
        let reason = if err.is_timeout() {
            format!("no connection within {}", humantime::format_duration(CONNECT_TIMEOUT))
        } else {
            innermost(&err)
        };
        if err.is_connect() || err.is_timeout() {
            Error::Unreachable { remote, reason }
        } else {
            Error::Broken { remote, doing: "waiting for an answer", reason }
        }
    }

    /// Where the redirect leads, if it is one that git would follow with `http.followRedirects=initial`.
    fn redirect(&self, from: &Url, response: &reqwest::Response) -> io::Result<Option<Url>> {
        if !response.status().is_redirection() {
            return Ok(None);
        }
        let Some(location) = response.headers().get(LOCATION).and_then(|l| l.to_str().ok()) else {
            return Ok(None);
        };
        let remote = self.shown();
        let refuse = |target: String, reason| Err(self.fail(Error::Redirect { remote, target, reason }));
        let Ok(target) = from.join(location) else {
            return refuse("an invalid URL".into(), "it is not a URL");
        };
        let name = shown(&target);
        if !self.follow_redirects {
            return refuse(name, "redirects are not followed (`http.followRedirects`)");
        }
        match (from.scheme(), target.scheme()) {
            ("http" | "https", "https") | ("http", "http") => Ok(Some(target)),
            ("https", "http") => refuse(name, "it would leave TLS"),
            _ => refuse(name, "it is neither http nor https"),
        }
    }
}

impl http::Http for Http {
    type Headers = Head;
    type ResponseBody = Body;
    type PostBody = PostBody;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::error::Result<GetResponse<Head, Body>> {
        let shared = &self.0;
        let tail = &url[base_url.trim_end_matches('/').len()..];
        let headers = header_map(headers);
        let mut at = Url::parse(url).map_err(|err| io::Error::other(err.to_string()).raise())?;
        for _ in 0..=MAX_REDIRECTS {
            let response = shared.send(&at, &headers, None).map_err(|err| err.raise())?;
            if let Some(target) = shared.redirect(&at, &response).map_err(|err| err.raise())? {
                at = target;
                continue;
            }
            let response = shared.accept(response).map_err(|err| err.raise())?;
            if at.as_str() != url {
                // Only a redirect that keeps `/info/refs?service=…` names another base for the requests to come.
                let Some(base) = at.as_str().strip_suffix(tail) else {
                    let error = Error::Redirect {
                        remote: shared.shown(),
                        target: shown(&at),
                        reason: "it does not lead to a git repository",
                    };
                    return Err(shared.fail(error).raise());
                };
                *shared.base.borrow_mut() = Some(base.to_owned());
            }
            let exchange = Exchange::open(shared.clone(), response);
            return Ok(GetResponse { headers: Head::new(exchange.clone()), body: Body::new(exchange) });
        }
        let error = Error::Redirect {
            remote: shared.shown(),
            target: shown(&at),
            reason: "too many redirects in a row",
        };
        Err(shared.fail(error).raise())
    }

    fn post(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _kind: PostBodyDataKind,
    ) -> gix::error::Result<PostResponse<Head, Body, PostBody>> {
        let at = Url::parse(url).map_err(|err| io::Error::other(err.to_string()).raise())?;
        let exchange = Exchange::prepare(self.0.clone(), at, header_map(headers));
        Ok(PostResponse {
            post_body: PostBody(exchange.clone()),
            headers: Head::new(exchange.clone()),
            body: Body::new(exchange),
        })
    }

    fn configure(&mut self, _config: &dyn std::any::Any) -> gix::error::Result<()> {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.0.base.borrow().clone()
    }
}

/// Collects a request. It goes out when somebody reads the answer: ours fit into memory (wants and haves).
pub(super) struct PostBody(Rc<Exchange>);

impl Write for PostBody {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.collect(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn header_map(lines: impl IntoIterator<Item = impl AsRef<str>>) -> HeaderMap {
    lines
        .into_iter()
        .filter_map(|line| {
            let (name, value) = line.as_ref().split_once(':')?;
            let name: HeaderName = name.trim().parse().ok()?;
            // gix announces itself; we are who calls.
            (name != reqwest::header::USER_AGENT).then_some(())?;
            Some((name, HeaderValue::from_str(value.trim()).ok()?))
        })
        .collect()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(std::time::SystemTime::now()).ok()?,
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// Scheme, host, port and path: never userinfo, query or fragment.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for URLs without a host, which carry no userinfo.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_has_no_userinfo_query_or_fragment() {
        let url = Url::parse("https://user:CANARY@h:8443/a/b.git?token=CANARY#CANARY").unwrap();
        assert_eq!(shown(&url), "https://h:8443/a/b.git");
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_date_and_bounded() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
            retry_after(&headers)
        };
        assert_eq!(with("7"), Some(Duration::from_secs(7)));
        assert_eq!(with("99999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(with("soon"), None);
        assert_eq!(with("Wed, 21 Oct 2015 07:28:00 GMT"), None, "in the past");
        let tomorrow = std::time::SystemTime::now() + Duration::from_secs(86_400);
        assert_eq!(with(&httpdate::fmt_http_date(tomorrow)), Some(MAX_RETRY_AFTER));
    }
}
