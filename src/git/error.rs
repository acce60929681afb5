//! What can go wrong between us and a remote, or in the object store, in words for people.
//!
//! No message carries a URL's userinfo or query, a header, or bytes of the server that were not escaped
//! (`log::escape` does that once more at the border). What a server repeats of them goes in [`Error::hide`].

use std::path::PathBuf;
use std::time::Duration;

use crate::deadline::Expired;
use crate::error::{Advice, Cause, Remedy};
use crate::secret::Hidden;

/// An error of the stages resolve and fetch.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection: name resolution, TCP, a proxy.
    #[error("cannot reach {remote}: {reason}")]
    Unreachable {
        /// The remote, safe to show.
        remote: String,
        /// The innermost cause.
        reason: String,
    },
    /// The server's certificate does not convince us.
    #[error("the certificate of {remote} is refused: {reason}")]
    Tls {
        /// The remote, safe to show.
        remote: String,
        /// What rustls says.
        reason: String,
    },
    /// 401 or 403.
    #[error("{remote} refuses the login (HTTP {status})")]
    Unauthorized {
        /// The remote, safe to show.
        remote: String,
        /// 401 or 403.
        status: u16,
        /// Whether we sent credentials.
        sent: bool,
    },
    /// 401 or 403 from where a redirect led: our login is for the configured origin alone.
    #[error("{remote} redirects to {target}, which lets nobody in without a login (HTTP {status})")]
    Elsewhere {
        /// The remote, safe to show.
        remote: String,
        /// Where to: scheme, host and port only.
        target: String,
        /// 401 or 403.
        status: u16,
    },
    /// Any other status that is not a success.
    #[error("{remote} answers HTTP {status}")]
    Status {
        /// The remote, safe to show.
        remote: String,
        /// The status.
        status: u16,
        /// `Retry-After`, bounded.
        retry_after: Option<Duration>,
    },
    /// A redirect that we do not follow.
    #[error("{remote} redirects to {target}: {reason}")]
    Redirect {
        /// The remote, safe to show.
        remote: String,
        /// Where to: scheme, host, port and path only.
        target: String,
        /// Why not.
        reason: &'static str,
    },
    /// Not git's smart protocol.
    #[error("{remote} is not a git repository served over smart HTTP: {reason}")]
    NotGit {
        /// The remote, safe to show.
        remote: String,
        /// What it answered.
        reason: String,
    },
    /// An `ERR` line.
    #[error("{remote} says: {message}")]
    ServerSaid {
        /// The remote, safe to show.
        remote: String,
        /// Its words.
        message: String,
    },
    /// The conversation broke off or made no sense.
    #[error("lost {remote} while {doing}: {reason}")]
    Broken {
        /// The remote, safe to show.
        remote: String,
        /// What we were doing.
        doing: &'static str,
        /// The innermost cause.
        reason: String,
    },
    /// The pack is damaged, or claims sizes we refuse.
    #[error("{remote} sent a damaged pack: {reason}")]
    Pack {
        /// The remote, safe to show.
        remote: String,
        /// What the indexer says.
        reason: String,
    },
    /// The pass ended first.
    #[error("{doing} {remote}: {expired}")]
    Expired {
        /// The remote, safe to show.
        remote: String,
        /// What we were doing.
        doing: &'static str,
        /// Why.
        expired: Expired,
    },
    /// The ref is not there.
    #[error("{remote} has no {wanted}")]
    NoSuchRef {
        /// The remote, safe to show.
        remote: String,
        /// The ref as people say it: "branch or tag `mian`".
        wanted: String,
        /// What looks like it.
        similar: Vec<String>,
    },
    /// The repository has no commit yet, or its HEAD names a branch that is not born.
    #[error("{remote} is empty: {detail}")]
    Empty {
        /// The remote, safe to show.
        remote: String,
        /// What is unborn.
        detail: String,
    },
    /// The id is something else than a commit.
    #[error("`{id}` of {remote} is a {kind}, not a commit")]
    NotACommit {
        /// The remote, safe to show.
        remote: String,
        /// Its id.
        id: String,
        /// What it is.
        kind: String,
    },
    /// The remote's objects have another hash than our store.
    #[error("{remote} uses {theirs} object ids, but the ref is given as {ours}")]
    HashKind {
        /// The remote, safe to show.
        remote: String,
        /// `sha1` or `sha256`.
        theirs: String,
        /// The other one.
        ours: String,
    },
    /// A local repository that cannot be opened or read.
    #[error("cannot read the repository `{}`: {reason}", path.display())]
    Local {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Our object store cannot be read or written.
    #[error("object store `{}`: {reason}", path.display())]
    Store {
        /// Where it is.
        path: PathBuf,
        /// Why.
        reason: String,
        /// What that comes from, if a human can do something about it.
        cause: Option<Cause>,
    },
    /// An object that must be in our store is not, or is damaged: fetch again.
    #[error("object store `{}` lacks or cannot read {id}", path.display())]
    Damaged {
        /// Where the store is.
        path: PathBuf,
        /// The object.
        id: String,
    },
    /// A credential file cannot be read, or holds what cannot be a credential.
    #[error("password file `{}`: {reason}", path.display())]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The HTTP client cannot be built: a CA file, a proxy.
    #[error("{what}: {reason}")]
    Client {
        /// Which setting.
        what: String,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// The same without the secrets that a server's words may have in them.
    pub(super) fn hide(mut self, hidden: &Hidden) -> Error {
        match &mut self {
            Error::ServerSaid { message: words, .. }
            | Error::Elsewhere { target: words, .. }
            | Error::Redirect { target: words, .. }
            | Error::NotGit { reason: words, .. }
            | Error::Broken { reason: words, .. }
            | Error::Pack { reason: words, .. }
            | Error::Unreachable { reason: words, .. }
            | Error::Tls { reason: words, .. } => *words = hidden.hide(words),
            // In our own words, or in those of our disk.
            _ => {}
        }
        self
    }
}

impl Advice for Error {
    fn remedy(&self) -> Remedy {
        match self {
            Error::Expired { expired: Expired::Stopped, .. } => Remedy::Stopped,
            Error::Status { status, retry_after, .. } if *status == 429 || *status >= 500 => {
                Remedy::Retry { after: *retry_after }
            }
            Error::Unreachable { .. }
            | Error::Broken { .. }
            | Error::Pack { .. }
            | Error::Expired { .. }
            | Error::ServerSaid { .. }
            | Error::Damaged { .. }
            | Error::Store { .. } => Remedy::Retry { after: None },
            Error::Tls { .. }
            | Error::Unauthorized { .. }
            | Error::Elsewhere { .. }
            | Error::Status { .. }
            | Error::Redirect { .. }
            | Error::NotGit { .. }
            | Error::NoSuchRef { .. }
            | Error::Empty { .. }
            | Error::NotACommit { .. }
            | Error::HashKind { .. }
            | Error::Local { .. }
            | Error::PasswordFile { .. }
            | Error::Client { .. } => Remedy::Human,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Unauthorized { sent: false, .. } => {
                Some("no credentials are configured: set `--username` and `--password-file`".into())
            }
            Error::Unauthorized { sent: true, .. } => Some(
                "check the user name, and that the token may read this repository and has not expired".into(),
            ),
            Error::Elsewhere { .. } => Some(
                "a login goes to the host in `--repo` only: set `--repo` to the repository's new address"
                    .into(),
            ),
            Error::Tls { .. } => {
                Some("name a private CA with `--git-config=http.sslCAInfo:/path/ca.pem`".into())
            }
            Error::Status { status: 404, .. } => Some(
                "check the URL; many hosts also answer 404 when the login is missing or may not see it"
                    .into(),
            ),
            Error::ServerSaid { message, .. } if message.contains("not our ref") => {
                Some("the host does not have that object, or hands out only what its refs lead to".into())
            }
            Error::NotGit { .. } => Some("check the URL; a proxy or a login page may be answering".into()),
            Error::NoSuchRef { similar, .. } if !similar.is_empty() => Some(format!(
                "it has {}",
                similar.iter().map(|s| format!("`{s}`")).collect::<Vec<_>>().join(", ")
            )),
            Error::Store { cause, .. } => cause.map(|cause| cause.hint().to_owned()),
            Error::Empty { .. } => Some("push a first commit".into()),
            _ => None,
        }
    }

    fn asks_for_room(&self) -> bool {
        matches!(self, Error::Store { cause: Some(cause), .. } if cause.asks_for_room())
    }
}
