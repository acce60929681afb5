//! The configuration as the rest of the house sees it: checked, with defaults filled in.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::check;
pub use crate::git::url::RepoUrl;
pub use crate::git::{AuthConfig, HttpConfig};
pub use crate::log::LogFormat;
use crate::secret::Hidden;
pub use crate::tree::{AutoCrlf, CheckoutConfig, Durable, Limits, Symlinks, Times};

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
    /// Which times the files of a new tree get.
    pub mtime: Times,
    /// Whether a tree is on disk before it is published.
    pub durable: Durable,
    /// How often a part of the published tree is compared with its commit; `None` = never.
    pub verify_period: Option<Duration>,
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
    /// What a revision is checked for, and what follows.
    pub check: check::Settings,
    /// Bounds on a tree, checked while it is walked, before anything is written.
    pub limits: Limits,
    /// Where symlinks of a tree may point.
    pub symlinks: Symlinks,
    /// Which of ref and branch won, when both were given and differ (compat: apache/airflow#42918).
    pub ref_conflict: bool,
    /// What is not told of what its server says: its own secrets, and those of the environment. A password file may change, so what is
    /// in it is read when it is needed.
    pub hidden: Hidden,
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
