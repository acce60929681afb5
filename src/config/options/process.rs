//! The rows that belong to the process, and the deprecated names.

use super::{Opt, Places, Status};
use crate::config::value::Kind;

pub(super) static PROCESS: &[Opt] = &[
    Opt::process("config", Kind::Path, "The config file, a dagsync.toml")
        .vars(&["DAGSYNC_CONFIG"])
        .places(Places::NotFile)
        .doc("Watched: a good new version is taken over, a bad one is reported and the old settings stay."),
    Opt::process("one-time", Kind::Bool, "Exit after one pass of every source")
        .vars(&["GITSYNC_ONE_TIME", "GIT_SYNC_ONE_TIME"])
        .default("false"),
    Opt::process("sync-on-signal", Kind::Signal, "A signal that wakes every source, as SIGHUP, HUP or 1")
        .vars(&["GITSYNC_SYNC_ON_SIGNAL", "GIT_SYNC_SYNC_ON_SIGNAL"]),
    Opt::process("on-locked", Kind::Choice(&["wait", "fail"]), "What to do when another agent owns a root")
        .vars(&["DAGSYNC_ON_LOCKED"])
        .default("wait")
        .doc("`wait`: stand by, serve the probes from what is published, and take over when the owner goes."),
    Opt::process("http-bind", Kind::Bind, "Where to serve probes and metrics, as :1234")
        .vars(&["GITSYNC_HTTP_BIND", "GIT_SYNC_HTTP_BIND"])
        .doc("Nothing is bound in one-time mode."),
    Opt::process("http-metrics", Kind::Bool, "Serve /metrics there")
        .vars(&["GITSYNC_HTTP_METRICS", "GIT_SYNC_HTTP_METRICS"])
        .default("true")
        .doc("git-sync's default is false; here metrics are on whenever `http-bind` is set."),
    Opt::process("http-pprof", Kind::Bool, "Accepted for git-sync's sake")
        .vars(&["GITSYNC_HTTP_PPROF", "GIT_SYNC_HTTP_PPROF"])
        .default("false")
        .places(Places::NotFile)
        .status(Status::Warns("dagsync has no pprof endpoints")),
    Opt::process("log-format", Kind::Choice(&["auto", "human", "json"]), "How log lines look")
        .vars(&["DAGSYNC_LOG_FORMAT"])
        .default("auto")
        .doc("`auto` is `human` on a terminal and `json` elsewhere."),
    Opt::process(
        "verbose",
        Kind::Int { min: i64::MIN },
        "How much to log: 0 = info, 1 to 4 = debug, 5 to 9 = trace",
    )
    .vars(&["GITSYNC_VERBOSE"])
    .default("0")
    .short('v', "v"),
    Opt::process("add-user", Kind::Bool, "Accepted for git-sync's sake")
        .vars(&["GITSYNC_ADD_USER", "GIT_SYNC_ADD_USER"])
        .default("false")
        .places(Places::NotFile)
        .status(Status::Moot("nothing in dagsync looks its user up in `/etc/passwd`")),
];

pub(super) static DEPRECATED: &[Opt] = &[
    Opt::source("branch", Kind::Text, "The branch to sync")
        .vars(&["GIT_SYNC_BRANCH"])
        .identity()
        .deprecated("ref"),
    Opt::source("rev", Kind::Text, "The revision to sync")
        .vars(&["GIT_SYNC_REV"])
        .identity()
        .deprecated("ref")
        .doc("Anything but `HEAD` wins over branch and ref."),
    Opt::source("dest", Kind::Path, "The symlink that readers use")
        .vars(&["GIT_SYNC_DEST"])
        .identity()
        .deprecated("link"),
    Opt::source("wait", Kind::Seconds, "Seconds between passes")
        .vars(&["GIT_SYNC_WAIT"])
        .deprecated("period"),
    Opt::source("timeout", Kind::Int { min: 0 }, "Seconds allowed for one pass")
        .vars(&["GIT_SYNC_TIMEOUT"])
        .deprecated("sync-timeout"),
    Opt::source("max-sync-failures", Kind::Int { min: i64::MIN }, "Consecutive failures tolerated")
        .vars(&["GIT_SYNC_MAX_SYNC_FAILURES"])
        .deprecated("max-failures"),
    Opt::source("sync-hook-command", Kind::Text, "A command to run after a pass published")
        .vars(&["GIT_SYNC_HOOK_COMMAND"])
        .deprecated("exechook-command")
        .status(Status::NotYet),
    Opt::source("change-permissions", Kind::Int { min: 0 }, "File modes; must be 0")
        .vars(&["GIT_SYNC_PERMISSIONS"])
        .default("0")
        .deprecated("group-write"),
    Opt::process("ssh", Kind::Bool, "Read by nothing: the URL says whether it is ssh")
        .vars(&["GITSYNC_SSH", "GIT_SYNC_SSH"])
        .default("false")
        .deprecated("repo")
        .status(Status::Moot("the URL of the repository says whether it is ssh")),
];
