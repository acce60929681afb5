//! The HTTP client as the settings want it. Connects to nothing.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::cause::innermost;
use super::error::Error;
use crate::git::HttpConfig;

/// git gives up on a connection attempt much later; a sidecar that waits two minutes for a black hole misses four polls.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Hosts treat clients that do not say `git/` as browsers.
pub(super) const USER_AGENT: &str = concat!("git/dagsync-", env!("CARGO_PKG_VERSION"));

/// The client; reads the CA file.
pub(super) fn build(config: &HttpConfig) -> Result<reqwest::Client, Error> {
    // Another part of the process may have been first; any provider it chose is ring, the only one compiled in.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(600))
        .pool_max_idle_per_host(1)
        .tcp_nodelay(true)
        .user_agent(config.user_agent.as_deref().unwrap_or(USER_AGENT));
    if let Some(path) = &config.ssl_ca_info {
        builder = builder.tls_certs_only(read_certificates(path)?);
    }
    if !config.ssl_verify {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    if config.http1_only == Some(true) {
        builder = builder.http1_only();
    }
    if let Some(proxy) = &config.proxy {
        // The error of the parser prints its input, which may carry a password.
        let bad = |_| Error::Client { what: "proxy".into(), reason: "not a URL of a proxy".into() };
        let proxy = reqwest::Proxy::all(proxy.expose()).map_err(bad)?;
        let except = config.no_proxy.as_deref().and_then(reqwest::NoProxy::from_string);
        builder = builder.proxy(proxy.no_proxy(except));
    }
    builder
        .build()
        .map_err(|err| Error::Client { what: "HTTP client".into(), reason: innermost(&err.without_url()) })
}

/// `http.extraHeader`.
pub(super) fn extra_headers(config: &HttpConfig) -> Result<HeaderMap, Error> {
    let mut extra_headers = HeaderMap::new();
    for (name, value) in &config.extra_headers {
        let bad = |reason: &str| Error::Client { what: "http.extraHeader".into(), reason: reason.into() };
        let name: HeaderName = name.parse().map_err(|_| bad("not a header name"))?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| bad("not a header value"))?;
        value.set_sensitive(true);
        extra_headers.append(name, value);
    }
    Ok(extra_headers)
}

fn read_certificates(path: &std::path::Path) -> Result<Vec<reqwest::Certificate>, Error> {
    let bad = |reason: String| Error::Client { what: format!("http.sslCAInfo `{}`", path.display()), reason };
    let pem = std::fs::read(path).map_err(|err| bad(err.to_string()))?;
    let certificates =
        reqwest::Certificate::from_pem_bundle(&pem).map_err(|_| bad("not a PEM bundle".into()))?;
    if certificates.is_empty() {
        return Err(bad("no certificate in it".into()));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_proxy_is_reported_without_its_text() {
        let config =
            HttpConfig { proxy: Some("http://u:CANARY@[bad".to_owned().into()), ..Default::default() };
        let err = build(&config).err().unwrap();
        assert!(!err.to_string().contains("CANARY") && err.to_string().contains("proxy"), "{err}");
    }

    #[test]
    fn a_ca_file_without_certificates_is_an_error_with_its_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let config = HttpConfig { ssl_ca_info: Some(file.path().to_owned()), ..Default::default() };
        let err = build(&config).err().unwrap().to_string();
        assert!(err.contains("http.sslCAInfo") && err.contains("no certificate"), "{err}");
    }
}
