//! A remote, whatever its transport: list its refs, fetch exact objects.

use std::num::NonZeroU32;
use std::rc::Rc;

use gix::ObjectId;
use gix::bstr::BString;
use gix::hash::Kind;

use super::HttpConfig;
use super::auth::Login;
use super::error::Error;
use super::known::Known;
use super::local::Local;
use super::smart::Smart;
use super::store::Store;
use super::url::RepoUrl;
use crate::deadline::Deadline;
use crate::secret::Hidden;

/// A ref of a remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteRef {
    /// The full name, or `HEAD`. Valid as git has it.
    pub name: BString,
    /// What it leads to when tags are followed; `None` for a branch that is not born yet.
    pub id: Option<ObjectId>,
    /// The annotated tag itself.
    pub tag: Option<ObjectId>,
    /// For a symbolic ref: the branch.
    pub target: Option<BString>,
}

impl RemoteRef {
    /// `None` for names that are no valid refs, or that nobody asked for.
    pub(super) fn accept(self, prefixes: &[BString]) -> Option<Self> {
        let valid = |name: &BString| name == "HEAD" || gix::validate::reference::name(name.as_ref()).is_ok();
        let asked = prefixes.is_empty() || prefixes.iter().any(|prefix| self.name.starts_with(prefix));
        (asked && valid(&self.name) && self.target.as_ref().is_none_or(valid)).then_some(self)
    }
}

/// What a remote lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteRefs {
    /// The refs, in the server's order.
    pub refs: Vec<RemoteRef>,
    /// The kind of object id it uses.
    pub hash: Kind,
}

/// What a fetch brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fetched {
    /// Bytes received, decoded.
    pub bytes: u64,
    /// Objects in the pack.
    pub objects: u64,
    /// What each of them is.
    pub known: Known,
}

/// A remote of a source, kept from pass to pass. Lives in the worker's thread.
pub struct Remote {
    shown: String,
    kind: Transport,
    deadline: Option<Rc<Deadline>>,
    login: Option<Login>,
    hidden: Hidden,
}

enum Transport {
    Smart(Box<Smart>),
    Local(Local),
}

impl Remote {
    /// Builds it; connects to nothing.
    pub fn new(repo: &RepoUrl, http: &HttpConfig) -> Result<Self, Error> {
        let (shown, kind) = match repo {
            RepoUrl::Http(url) => {
                (super::http::shown(url), Transport::Smart(Box::new(Smart::new(url, http)?)))
            }
            RepoUrl::Local(path) => (path.display().to_string(), Transport::Local(Local::new(path))),
        };
        Ok(Remote { shown, kind, deadline: None, login: None, hidden: Hidden::default() })
    }

    /// Its name for people: no userinfo, no query.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Trees of so many entries are wanted of it: what it sends for a bounded history is bounded by that.
    pub fn expect_entries(&mut self, entries: u64) {
        if let Transport::Smart(smart) = &mut self.kind {
            smart.expect_entries(entries);
        }
    }

    /// What no error repeats of the server's words, besides the login of the pass.
    pub fn hide(&mut self, hidden: &Hidden) {
        self.hidden = hidden.clone();
    }

    /// Before every pass: until when, and as whom.
    pub fn arm(&mut self, deadline: &Rc<Deadline>, login: Option<&Login>) {
        self.deadline = Some(deadline.clone());
        self.login = login.cloned();
        if let Transport::Smart(smart) = &mut self.kind {
            smart.arm(deadline, login);
        }
    }

    /// The refs that start with one of `prefixes`; all of them without any.
    pub fn list(&mut self, prefixes: &[BString]) -> Result<RemoteRefs, Error> {
        self.check("listing refs of")?;
        let listed = match &mut self.kind {
            Transport::Smart(smart) => smart.list(prefixes),
            Transport::Local(local) => local.list(prefixes),
        };
        listed.map_err(|err| self.without_secrets(err))
    }

    /// Brings `wants` with `depth` commits of history each (`None` = all) into the store, which has all of `haves`.
    /// Either everything arrives or nothing changes but leftovers that the next start removes.
    pub fn fetch(
        &mut self,
        store: &Store,
        wants: &[ObjectId],
        haves: &[ObjectId],
        depth: Option<NonZeroU32>,
    ) -> Result<Fetched, Error> {
        self.check("fetching from")?;
        let deadline = self.deadline.clone().expect("armed before every pass");
        let fetched = match &mut self.kind {
            Transport::Smart(smart) => smart.fetch(store, wants, haves, depth, deadline.interrupt()),
            Transport::Local(local) => local.fetch(store, wants, depth, deadline.interrupt()),
        };
        match fetched {
            // Code that only looks at the flag says "interrupted"; the deadline knows why.
            Err(err) if !matches!(err, Error::Expired { .. }) => {
                Err(self.check("fetching from").err().unwrap_or_else(|| self.without_secrets(err)))
            }
            other => other,
        }
    }

    /// Brings tags or commits alone, as far as the remote can leave out what they lead to: enough to read their dates.
    pub fn fetch_heads(&mut self, store: &Store, wants: &[ObjectId]) -> Result<(), Error> {
        self.check("fetching from")?;
        let deadline = self.deadline.clone().expect("armed before every pass");
        let fetched = match &mut self.kind {
            Transport::Smart(smart) => smart.fetch_heads(store, wants, deadline.interrupt()),
            Transport::Local(local) => local.fetch(store, wants, NonZeroU32::new(1), deadline.interrupt()),
        };
        fetched
            .map(|_| ())
            .map_err(|err| self.check("fetching from").err().unwrap_or_else(|| self.without_secrets(err)))
    }

    /// A server may repeat what it was told, and whoever logs the error tells everybody.
    fn without_secrets(&self, err: Error) -> Error {
        let mut hidden = self.hidden.clone();
        if let Some(login) = &self.login {
            hidden.add_login(&login.username, &login.password);
        }
        err.hide(&hidden)
    }

    fn check(&self, doing: &'static str) -> Result<(), Error> {
        let deadline = self.deadline.as_ref().expect("armed before every pass");
        deadline.check().map_err(|expired| Error::Expired { remote: self.shown.clone(), doing, expired })
    }
}
