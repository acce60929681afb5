//! What the configuration says about a remote, in the words of this room.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;

/// How to log in. Asked before every pass, by `git::auth`. `Debug` hides the user name too: some write a token there.
#[derive(Clone, PartialEq, Eq)]
pub enum AuthConfig {
    /// Nothing is sent.
    None,
    /// A user name and a password known at start (URL userinfo, or `username` + `GITSYNC_PASSWORD`).
    Fixed {
        /// The user name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// The password is read from the file before every pass.
    PasswordFile {
        /// The user name.
        username: String,
        /// The file; trailing line breaks are cut.
        file: PathBuf,
    },
}

impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthConfig::None => f.write_str("None"),
            AuthConfig::Fixed { .. } => f.write_str("Fixed(***)"),
            AuthConfig::PasswordFile { file, .. } => f.debug_tuple("PasswordFile").field(file).finish(),
        }
    }
}

/// HTTP settings of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpConfig {
    /// `http.sslVerify`.
    pub ssl_verify: bool,
    /// `http.sslCAInfo`: only these roots are trusted.
    pub ssl_ca_info: Option<PathBuf>,
    /// `http.proxy`, or the first proxy variable that applies; a URL that may carry credentials, hence a secret.
    pub proxy: Option<Secret>,
    /// `NO_PROXY`.
    pub no_proxy: Option<String>,
    /// `http.extraHeader`, in order. Values are secrets: they often carry a token.
    pub extra_headers: Vec<(String, Secret)>,
    /// `http.userAgent`.
    pub user_agent: Option<String>,
    /// `http.lowSpeedLimit` (bytes per second) and `http.lowSpeedTime`: slower than that for so long is an error.
    pub low_speed: Option<(u64, Duration)>,
    /// `http.version`: `Some(true)` = HTTP/1.1 only, `None` = negotiated.
    pub http1_only: Option<bool>,
    /// `http.followRedirects`: git's default `initial` follows them on the first request.
    pub follow_redirects: bool,
    /// Whether `protocol.version` asked for the old protocol (0 or 1); `None` = 2.
    pub protocol_version: Option<u8>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        HttpConfig {
            ssl_verify: true,
            ssl_ca_info: None,
            proxy: None,
            no_proxy: None,
            extra_headers: Vec::new(),
            user_agent: None,
            low_speed: None,
            http1_only: None,
            follow_redirects: true,
            protocol_version: None,
        }
    }
}
