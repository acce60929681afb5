//! The rows about logging in, connecting, and telling others.

use std::time::Duration;

use super::{Opt, Places, Status};
use crate::config::value::Kind;

const ANY_DURATION: Kind = Kind::Duration { min: Duration::ZERO };
const SSH: Status = Status::Refines("an ssh repository");
const EXECHOOK: Status = Status::Refines("exechook-command");
const PRE_PUBLISH: Status = Status::Refines("pre-publish-exechook-command");
const WEBHOOK: Status = Status::Refines("webhook-url");

pub(super) static AUTH: &[Opt] = &[
    Opt::source("username", Kind::Text, "The user name to log in with")
        .vars(&["GITSYNC_USERNAME", "GIT_SYNC_USERNAME"])
        .identity()
        .doc("Needs `password-file` or the variable `GITSYNC_PASSWORD`."),
    Opt::source("password-file", Kind::Path, "A file that holds the password")
        .vars(&["GITSYNC_PASSWORD_FILE", "GIT_SYNC_PASSWORD_FILE"])
        .identity()
        .doc("Read again before every pass, so that a rotated secret needs no restart."),
    Opt::source("password", Kind::Secret, "The password; better said in the variable")
        .vars(&["GITSYNC_PASSWORD", "GIT_SYNC_PASSWORD"])
        .identity()
        .places(Places::NotFile)
        .doc("As a flag it is deprecated, because every process of the machine can read it there. Never in the file."),
    Opt::source("credential", Kind::Opaque, "JSON of one or more credentials")
        .vars(&["GITSYNC_CREDENTIAL"])
        .identity()
        .repeatable(None)
        .places(Places::NotFile)
        .status(Status::NotYet),
    Opt::source("askpass-url", Kind::Opaque, "A URL to ask for user name and password")
        .vars(&["GITSYNC_ASKPASS_URL", "GIT_SYNC_ASKPASS_URL", "GIT_ASKPASS_URL"])
        .identity()
        .status(Status::NotYet),
    Opt::source("cookie-file", Kind::Bool, "Use the cookies in /etc/git-secret/cookie_file")
        .vars(&["GITSYNC_COOKIE_FILE", "GIT_SYNC_COOKIE_FILE", "GIT_COOKIE_FILE"])
        .default("false")
        .identity()
        .status(Status::NotYet),
    Opt::source("github-base-url", Kind::Opaque, "The GitHub API for app tokens")
        .vars(&["GITSYNC_GITHUB_BASE_URL"])
        .default("https://api.github.com/")
        .identity()
        .status(Status::Refines("github-app-private-key-file")),
    Opt::source("github-app-private-key-file", Kind::Path, "The private key of a GitHub App")
        .vars(&["GITSYNC_GITHUB_APP_PRIVATE_KEY_FILE"])
        .identity()
        .status(Status::NotYet),
    Opt::source("github-app-private-key", Kind::Secret, "The private key of a GitHub App, itself")
        .vars(&["GITSYNC_GITHUB_APP_PRIVATE_KEY"])
        .identity()
        .places(Places::Variable)
        .status(Status::NotYet),
    Opt::source("github-app-client-id", Kind::Text, "The client id of a GitHub App")
        .vars(&["GITSYNC_GITHUB_APP_CLIENT_ID"])
        .identity()
        .status(Status::NotYet),
    Opt::source("github-app-application-id", Kind::Int { min: 0 }, "The application id of a GitHub App")
        .vars(&["GITSYNC_GITHUB_APP_APPLICATION_ID"])
        .default("0")
        .identity()
        .status(Status::NotYet),
    Opt::source("github-app-installation-id", Kind::Int { min: 0 }, "The installation id of a GitHub App")
        .vars(&["GITSYNC_GITHUB_APP_INSTALLATION_ID"])
        .default("0")
        .identity()
        .status(Status::NotYet),
    Opt::source("ssh-key-file", Kind::Path, "The key for an ssh repository")
        .vars(&["GITSYNC_SSH_KEY_FILE", "GIT_SYNC_SSH_KEY_FILE", "GIT_SSH_KEY_FILE"])
        .default("/etc/git-secret/ssh")
        .repeatable(Some(':'))
        .identity()
        .status(SSH),
    Opt::source("ssh-known-hosts", Kind::Bool, "Check the host key of an ssh repository")
        .vars(&["GITSYNC_SSH_KNOWN_HOSTS", "GIT_SYNC_KNOWN_HOSTS", "GIT_KNOWN_HOSTS"])
        .default("true")
        .status(SSH),
    Opt::source("ssh-known-hosts-file", Kind::Path, "The known host keys for an ssh repository")
        .vars(&["GITSYNC_SSH_KNOWN_HOSTS_FILE", "GIT_SYNC_SSH_KNOWN_HOSTS_FILE", "GIT_SSH_KNOWN_HOSTS_FILE"])
        .default("/etc/git-secret/known_hosts")
        .status(SSH),
];

pub(super) static CONNECT: &[Opt] = &[
    Opt::source("git-config", Kind::Opaque, "Git settings, as key:value,key:value")
        .vars(&["GITSYNC_GIT_CONFIG", "GIT_SYNC_GIT_CONFIG"])
        .doc("Keys and values may be quoted with `\"`; `\\n`, `\\t`, `\\\"`, `\\,` and `\\\\` are escapes. These act: \
              `http.sslCAInfo`, `http.sslVerify`, `http.proxy`, `http.extraHeader`, `http.userAgent`, \
              `http.lowSpeedLimit`, `http.lowSpeedTime`, `http.version`, `http.followRedirects` (also for one URL: \
              `\"http.https://host/.proxy\":…`), `protocol.version`, `protocol.allow`, `core.autocrlf`, `core.eol`. \
              Settings that mean nothing without a git program are accepted; the rest is warned about."),
    Opt::source("git-config-add", Kind::Opaque, "One more git setting, as key:value")
        .repeatable(None)
        .doc("Commas in the value need no escape."),
    Opt::source("git-gc", Kind::Choice(&["auto", "always", "aggressive", "off"]), "Whether the object store is tidied")
        .vars(&["GITSYNC_GIT_GC", "GIT_SYNC_GIT_GC"])
        .default("always")
        .doc("Only `off` changes anything: the object store is never tidied then."),
    Opt::process("git", Kind::Text, "Accepted for git-sync's sake")
        .vars(&["GITSYNC_GIT", "GIT_SYNC_GIT"])
        .default("git")
        .places(Places::NotFile)
        .status(Status::Warns("there is no git program in dagsync")),
];

pub(super) static HOOKS: &[Opt] = &[
    Opt::source("exechook-command", Kind::Text, "A command to run after a pass published")
        .vars(&["GITSYNC_EXECHOOK_COMMAND", "GIT_SYNC_EXECHOOK_COMMAND"])
        .status(Status::NotYet),
    Opt::source("exechook-timeout", ANY_DURATION, "Time allowed for the command")
        .vars(&["GITSYNC_EXECHOOK_TIMEOUT", "GIT_SYNC_EXECHOOK_TIMEOUT"])
        .default("30s")
        .status(EXECHOOK),
    Opt::source("exechook-backoff", ANY_DURATION, "Pause before it is tried again")
        .vars(&["GITSYNC_EXECHOOK_BACKOFF", "GIT_SYNC_EXECHOOK_BACKOFF"])
        .default("3s")
        .status(EXECHOOK),
    Opt::source("pre-publish-exechook-command", Kind::Text, "A command to run before a pass publishes")
        .vars(&["GITSYNC_PRE_PUBLISH_EXECHOOK_COMMAND"])
        .status(Status::NotYet),
    Opt::source("pre-publish-exechook-timeout", ANY_DURATION, "Time allowed for the command")
        .vars(&["GITSYNC_PRE_PUBLISH_EXECHOOK_TIMEOUT"])
        .default("30s")
        .status(PRE_PUBLISH),
    Opt::source("pre-publish-exechook-backoff", ANY_DURATION, "Pause before it is tried again")
        .vars(&["GITSYNC_PRE_PUBLISH_EXECHOOK_BACKOFF"])
        .default("3s")
        .status(PRE_PUBLISH),
    Opt::source("webhook-url", Kind::Opaque, "A URL to call after a pass published")
        .vars(&["GITSYNC_WEBHOOK_URL", "GIT_SYNC_WEBHOOK_URL"])
        .status(Status::NotYet),
    Opt::source("webhook-method", Kind::Text, "The HTTP method to call it with")
        .vars(&["GITSYNC_WEBHOOK_METHOD", "GIT_SYNC_WEBHOOK_METHOD"])
        .default("POST")
        .status(WEBHOOK),
    Opt::source(
        "webhook-success-status",
        Kind::Int { min: -1 },
        "The status that means success; 0 or -1 = any",
    )
    .vars(&["GITSYNC_WEBHOOK_SUCCESS_STATUS", "GIT_SYNC_WEBHOOK_SUCCESS_STATUS"])
    .default("200")
    .status(WEBHOOK),
    Opt::source("webhook-timeout", ANY_DURATION, "Time allowed for the call")
        .vars(&["GITSYNC_WEBHOOK_TIMEOUT", "GIT_SYNC_WEBHOOK_TIMEOUT"])
        .default("1s")
        .status(WEBHOOK),
    Opt::source("webhook-backoff", ANY_DURATION, "Pause before it is tried again")
        .vars(&["GITSYNC_WEBHOOK_BACKOFF", "GIT_SYNC_WEBHOOK_BACKOFF"])
        .default("3s")
        .status(WEBHOOK),
];
