//! The configuration as the rest of the house sees it: checked, with defaults filled in.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

pub use crate::git::url::RepoUrl;
use crate::secret::Secret;

/// Everything that was said, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What belongs to the process, not to a source.
    pub process: ProcessConfig,
    /// At least one; names and (root, link) pairs are unique.
    pub sources: Vec<SourceConfig>,
    /// One line each, for the log at start: unknown variables, moot settings, deprecated names.
    pub warnings: Vec<String>,
}

/// Settings of the process.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessConfig {
    /// Where probes and metrics are served. Ignored in one-time mode, as git-sync does.
    pub http_bind: Option<SocketAddr>,
    /// Whether `/metrics` is served there.
    pub http_metrics: bool,
    /// How log lines look.
    pub log_format: LogFormat,
    /// 0 to 9 as git-sync has it: 0 = info, 1–4 = debug, 5 and more = trace.
    pub verbose: u8,
    /// One pass of every source, then exit.
    pub one_time: bool,
    /// Wakes every source at once, as a signal number.
    pub sync_on_signal: Option<i32>,
    /// What to do when another agent owns a root.
    pub on_locked: OnLocked,
    /// The file it came from, watched for changes.
    pub config_file: Option<PathBuf>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; colour on a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// What to do when another agent owns a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLocked {
    /// Stand by: serve probes from what is published and take over when the owner goes.
    Wait,
    /// Exit with an error.
    Fail,
}

/// Settings of one source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceConfig {
    /// Unique in the process; a label of metrics and logs. `[A-Za-z0-9._-]+`.
    pub name: String,
    /// The remote, as it may be shown, and its credentials apart from it.
    pub repo: RepoUrl,
    /// Which ref.
    pub reference: RefChoice,
    /// Absolute, lexically normal, not necessarily existing.
    pub root: PathBuf,
    /// The stable path readers use: absolute, lexically normal.
    pub link: PathBuf,
    /// Commits of history; `None` = all.
    pub depth: Option<NonZeroU32>,
    /// Pause between passes.
    pub period: Duration,
    /// The same, until the first success.
    pub init_period: Duration,
    /// Bound on a whole pass.
    pub sync_timeout: Duration,
    /// Consecutive failures tolerated; `None` = for ever.
    pub max_failures: Option<u32>,
    /// The same, until the first success.
    pub init_max_failures: Option<u32>,
    /// How long a replaced tree stays readable; `None` = until the next build needs it.
    pub stale_worktree_timeout: Option<Duration>,
    /// Replaced trees kept beside the published one, whatever their age.
    pub keep: usize,
    /// Touched when a pass published. Absolute.
    pub touch_file: Option<PathBuf>,
    /// JSON of the current error. Absolute.
    pub error_file: Option<PathBuf>,
    /// Files and folders are writable by the group.
    pub group_write: bool,
    /// Whether `<root>/.airflowignore` is written.
    pub airflowignore_guard: bool,
    /// Submodules are not fetched yet: a revision that has some is refused unless this is `Off`.
    pub submodules: Submodules,
    /// How to log in.
    pub auth: AuthConfig,
    /// What `--git-config` and the proxy variables mean for HTTP.
    pub http: HttpConfig,
    /// Whether the object store is tidied.
    pub gc: bool,
    /// `core.autocrlf`, `core.eol` and their like, for what is written to disk.
    pub checkout: CheckoutConfig,
    /// Bounds on a tree, checked while it is walked, before anything is written.
    pub limits: Limits,
    /// Where symlinks of a tree may point.
    pub symlinks: Symlinks,
    /// Which of ref and branch won, when both were given and differ (compat: apache/airflow#42918).
    pub ref_conflict: bool,
}

/// Where the name of the ref comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefChoice {
    /// From an option.
    Fixed(String),
    /// From the first line of a file, read before every pass and watched.
    File(PathBuf),
}

impl RefChoice {
    /// What was asked for, for people and for comparing: the ref, or the file it comes from.
    pub fn shown(&self) -> String {
        match self {
            RefChoice::Fixed(name) => name.clone(),
            RefChoice::File(path) => format!("file {}", path.display()),
        }
    }
}

/// What to do about submodules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submodules {
    /// All of them, as git-sync's default.
    Recursive,
    /// Those of the top level.
    Shallow,
    /// None: their directories stay empty, as in a plain clone.
    Off,
}

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

/// What changes the bytes between the object store and the disk, apart from `.gitattributes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckoutConfig {
    /// `core.autocrlf`.
    pub autocrlf: AutoCrlf,
    /// `core.eol=crlf`.
    pub eol_crlf: bool,
}

/// `core.autocrlf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AutoCrlf {
    /// `false`.
    #[default]
    False,
    /// `true`.
    True,
    /// `input`.
    Input,
}

/// Where symlinks of a tree may point, resolved physically, link by link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Symlinks {
    /// Only inside the tree: a committed link to `/etc` refuses the revision (CVE-2022-24904 and its kin).
    #[default]
    Inside,
    /// Anywhere, as git's own checkout has it.
    Any,
}

/// Bounds on a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files and links.
    pub entries: u64,
    /// Sum of the blobs, in bytes.
    pub bytes: u64,
    /// One blob, in bytes.
    pub blob_bytes: u64,
    /// Nested folders.
    pub depth: u32,
}

impl Default for Limits {
    /// Generous, yet small enough that a tree of that many entries is listed within 64 MiB.
    fn default() -> Self {
        Limits { entries: 500_000, bytes: 64 << 30, blob_bytes: 4 << 30, depth: 128 }
    }
}
