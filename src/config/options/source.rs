//! The rows that describe a source: what, when, and how it is published.

use std::time::Duration;

use super::{Opt, Status};
use crate::config::value::Kind;

const TEN_MILLIS: Kind = Kind::Duration { min: Duration::from_millis(10) };
const ANY_DURATION: Kind = Kind::Duration { min: Duration::ZERO };

pub(super) static WHAT: &[Opt] = &[
    Opt::source("repo", Kind::Opaque, "The git repository to sync (required)")
        .vars(&["GITSYNC_REPO", "GIT_SYNC_REPO"])
        .identity()
        .doc("`https://…`, `http://…`, `file:///…` or a path. A user name and password in the URL are used to log in and \
              never shown. `ssh://` and `user@host:path` are not supported yet."),
    Opt::source("ref", Kind::Text, "The branch, tag, full ref name or full hash to sync")
        .vars(&["GITSYNC_REF"])
        .default("HEAD")
        .identity()
        .doc("Also `semver:^1.4` (the newest tag that satisfies the requirement, with a prefix as in \
              `semver:airflow-v:>=2`) and `tag:release-*` (the newest tag that matches)."),
    Opt::source("ref-file", Kind::Path, "Read the ref from the first line of this file")
        .vars(&["DAGSYNC_REF_FILE"])
        .identity()
        .doc("Read before every pass and watched, so that a mounted ConfigMap promotes a revision without a restart. \
              Wins over every other way to name the ref."),
    Opt::source("ref-precedence", Kind::Choice(&["ref", "branch"]), "Who wins when both a ref and a branch are given")
        .vars(&["DAGSYNC_REF_PRECEDENCE"])
        .default("ref")
        .doc("The official Airflow chart always sets both. git-sync lets the branch win, so that a pinned ref silently \
              runs the branch; `branch` gets that back. Either choice, said explicitly, silences the warning."),
    Opt::source("name", Kind::Text, "The source's name in logs and metrics")
        .vars(&["DAGSYNC_NAME"])
        .default("last path component of link")
        .identity()
        .doc("Letters, digits, `.`, `_` and `-`; unique in the process."),
    Opt::source("depth", Kind::Int { min: 0 }, "Commits of history to fetch; 0 = all")
        .vars(&["GITSYNC_DEPTH", "GIT_SYNC_DEPTH"])
        .default("1")
        .doc("A first start with the gate, or with a check command, fetches 32 at least: it looks for what others serve."),
    Opt::source("filter", Kind::Text, "Partial clone filter").vars(&["GITSYNC_FILTER"]).status(Status::NotYet),
    Opt::source("submodules", Kind::Choice(&["recursive", "shallow", "off"]), "Which submodules to sync")
        .vars(&["GITSYNC_SUBMODULES", "GIT_SYNC_SUBMODULES"])
        .default("recursive")
        .doc("Submodules are not fetched yet: unless this is `off`, a revision that has some is refused with a clear \
              error rather than published without them."),
    Opt::source("sparse-checkout-file", Kind::Path, "A file in git's sparse-checkout format")
        .vars(&["GITSYNC_SPARSE_CHECKOUT_FILE", "GIT_SYNC_SPARSE_CHECKOUT_FILE"])
        .status(Status::NotYet),
];

pub(super) static WHEN: &[Opt] = &[
    Opt::source("period", TEN_MILLIS, "Pause between passes").vars(&["GITSYNC_PERIOD", "GIT_SYNC_PERIOD"]).default("10s"),
    Opt::source("init-period", TEN_MILLIS, "Pause between passes until the first success")
        .vars(&["GITSYNC_INIT_PERIOD"])
        .default("= period"),
    Opt::source("sync-timeout", TEN_MILLIS, "Time allowed for one whole pass")
        .vars(&["GITSYNC_SYNC_TIMEOUT", "GIT_SYNC_SYNC_TIMEOUT"])
        .default("120s"),
    Opt::source("max-failures", Kind::Int { min: i64::MIN }, "Consecutive failures tolerated before exit 1")
        .vars(&["GITSYNC_MAX_FAILURES", "GIT_SYNC_MAX_FAILURES"])
        .default("0")
        .doc("Negative = for ever. The default is 0 as in git-sync, but for ever for a source whose `repo` is in a \
              config file: one source that fails must not end the others."),
    Opt::source("init-max-failures", Kind::Int { min: i64::MIN }, "The same, until the first success")
        .vars(&["GITSYNC_INIT_MAX_FAILURES"])
        .default("= max-failures"),
];

pub(super) static PUBLISH: &[Opt] = &[
    Opt::source("root", Kind::Path, "The folder to work in (required)")
        .vars(&["GITSYNC_ROOT", "GIT_SYNC_ROOT"])
        .identity()
        .doc("Made when it does not exist. Relative paths start at the working directory."),
    Opt::source("link", Kind::Path, "The symlink that readers use, absolute or relative to root")
        .vars(&["GITSYNC_LINK", "GIT_SYNC_LINK"])
        .default("last path component of repo")
        .identity()
        .doc("As in git-sync the default is taken literally: `…/dags.git` is published as `dags.git`."),
    Opt::source("stale-worktree-timeout", ANY_DURATION, "How long a replaced tree stays readable")
        .vars(&["GITSYNC_STALE_WORKTREE_TIMEOUT"])
        .doc("Set (also to 0): git-sync's meaning for readers; the youngest tree past its time stays on disk, out of their \
              sight, until the next build turns it into the next tree. Not set: the replaced tree stays readable until \
              then, which lets long tasks keep their files. Size the volume for that one whole tree more; when it is full, \
              that tree goes."),
    Opt::source("keep", Kind::Int { min: 0 }, "Replaced trees to keep, whatever their age")
        .vars(&["DAGSYNC_KEEP"])
        .default("0"),
    Opt::source("mtime", Kind::Choice(&["preserve", "now"]), "Times of the files of a new tree")
        .vars(&["DAGSYNC_MTIME"])
        .default("preserve")
        .doc("`preserve`: a file that the commit does not change keeps its time, so that Airflow parses again what changed \
              and nothing else. `now`: every file and folder gets the time of the build, and all is parsed again."),
    Opt::source("durable", Kind::Choice(&["auto", "on", "off"]), "Whether a tree is flushed to disk before it is published")
        .vars(&["DAGSYNC_DURABLE"])
        .default("auto")
        .doc("`on`: after a power cut the link leads to a whole tree. `off`: as git-sync, what is not on disk yet is lost. \
              `auto` is `off` where the root is in memory (tmpfs, ramfs) and `on` elsewhere."),
    Opt::source("verify-period", ANY_DURATION, "How often a part of the published tree is compared with its commit; 0 = never")
        .vars(&["DAGSYNC_VERIFY_PERIOD"])
        .default("10m")
        .doc("Each time at most a sixth of the files, 64 MiB or a quarter of a second, in turn. A tree that was changed or damaged is \
              built again beside itself and swapped in."),
    Opt::source("touch-file", Kind::Path, "Touched when a pass published; relative to root")
        .vars(&["GITSYNC_TOUCH_FILE", "GIT_SYNC_TOUCH_FILE"])
        .identity(),
    Opt::source("error-file", Kind::Path, "JSON of the current error, gone when healthy; relative to root")
        .vars(&["GITSYNC_ERROR_FILE", "GIT_SYNC_ERROR_FILE"])
        .identity(),
    Opt::source("group-write", Kind::Bool, "Make everything on disk writable by the group")
        .vars(&["GITSYNC_GROUP_WRITE", "GIT_SYNC_GROUP_WRITE"])
        .default("false"),
    Opt::source("symlinks", Kind::Choice(&["inside", "any"]), "Where symlinks of a tree may point")
        .vars(&["DAGSYNC_SYMLINKS"])
        .default("inside")
        .doc("`inside` refuses a revision with a symlink that leaves its tree; `any` is git's own behaviour."),
    Opt::source("airflowignore-guard", Kind::Bool, "Keep a .airflowignore in root that hides our own folders")
        .vars(&["DAGSYNC_AIRFLOWIGNORE_GUARD"])
        .default("true")
        .doc("Otherwise Airflow stops with \"Detected recursive loop\" when its dags folder is the root itself."),
    Opt::source("max-entries", Kind::Int { min: 1 }, "Largest number of files in a tree")
        .vars(&["DAGSYNC_MAX_ENTRIES"])
        .default("500000"),
    Opt::source("max-tree-bytes", Kind::Size, "Largest sum of the files of a tree")
        .vars(&["DAGSYNC_MAX_TREE_BYTES"])
        .default("64GiB"),
    Opt::source("max-blob-bytes", Kind::Size, "Largest single file").vars(&["DAGSYNC_MAX_BLOB_BYTES"]).default("4GiB"),
    Opt::source("max-tree-depth", Kind::Int { min: 1 }, "Deepest nesting of folders")
        .vars(&["DAGSYNC_MAX_TREE_DEPTH"])
        .default("128"),
];
