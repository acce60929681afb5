//! A remote that speaks git's smart protocol over HTTP: one session kept from pass to pass.
//!
//! Protocol 2: one handshake, then a poll is one request on the same connection. Protocol 0 and 1: the handshake is
//! the list of refs, so every poll makes one.

use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use gix::ObjectId;
use gix::bstr::BString;
use gix::error::ErrorExt as _;
use gix::hash::Kind;
use gix::progress::Discard;
use gix_protocol::fetch::negotiate::{Action, Round, one_round};
use gix_protocol::fetch::{Arguments, Negotiate, Response, Shallow, Tags};
use gix_protocol::handshake::Ref;
use gix_protocol::{Handshake, LsRefsCommand};
use gix_transport::client::Capabilities;
use gix_transport::client::blocking_io::http::Transport;
use gix_transport::{Protocol, Service};
use url::Url;

use super::HttpConfig;
use super::auth::Login;
use super::body::said;
use super::cause::{innermost, of_the_disk};
use super::client::USER_AGENT;
use super::error::Error;
use super::heard::Heard;
use super::http::{Http, shown};
use super::pack::{self, MOST_OBJECTS, receive};
use super::remote::{Fetched, RemoteRef, RemoteRefs};
use super::store::Store;
use crate::deadline::Deadline;
use crate::disk::{self, Point};

/// A list of refs is held in memory. This is more than a million of them.
const MAX_LIST_BYTES: u64 = 128 << 20;

/// Objects that a pack may have in any case. They take a few MiB of memory.
const SLACK_OBJECTS: u64 = 100_000;

pub(super) struct Smart {
    url: Url,
    http: Http,
    protocol: Protocol,
    session: Option<Session>,
    /// Entries of a tree, at most, if that is known.
    entries: Option<u64>,
}

struct Session {
    transport: Transport<Http>,
    handshake: Handshake,
    /// Whether it comes from an earlier pass, so that its end may be the server's doing and worth one more try.
    kept: bool,
}

impl Smart {
    pub(super) fn new(url: &Url, config: &HttpConfig) -> Result<Self, Error> {
        let protocol = match config.protocol_version {
            Some(0) => Protocol::V0,
            Some(1) => Protocol::V1,
            _ => Protocol::V2,
        };
        Ok(Smart { url: url.clone(), http: Http::new(url, config)?, protocol, session: None, entries: None })
    }

    pub(super) fn expect_entries(&mut self, entries: u64) {
        self.entries = Some(entries);
    }

    pub(super) fn arm(&mut self, deadline: &Rc<Deadline>, login: Option<&Login>) {
        self.http.arm(deadline, login);
        if let Some(session) = &mut self.session {
            session.kept = true;
        }
    }

    fn shown(&self) -> String {
        shown(&self.url)
    }

    /// The refs that start with one of `prefixes`; all of them without any.
    pub(super) fn list(&mut self, prefixes: &[BString]) -> Result<RemoteRefs, Error> {
        let kept = self.session.as_ref().is_some_and(|session| session.kept);
        match self.try_list(prefixes) {
            // A kept session can end for reasons that are over by now: a restarted server, another one behind the same
            // name. A fresh one tells.
            Err(Error::Broken { .. } | Error::NotGit { .. } | Error::Status { status: 400..=499, .. })
                if kept =>
            {
                self.try_list(prefixes)
            }
            other => other,
        }
    }

    fn try_list(&mut self, prefixes: &[BString]) -> Result<RemoteRefs, Error> {
        self.http.expect_at_most(MAX_LIST_BYTES);
        let mut session = self.take_session()?;
        let listed = match session.handshake.refs.take() {
            Some(refs) => Ok(refs),
            None if session.handshake.server_protocol_version == Protocol::V2 => {
                let wanted = (!prefixes.is_empty()).then(|| {
                    let mut wanted = gix_protocol::ls_refs::RefPrefixes::new();
                    wanted.extend(prefixes.iter().cloned());
                    wanted
                });
                let agent = ("agent", Some(USER_AGENT.into()));
                LsRefsCommand::new(wanted, &session.handshake.capabilities, agent).invoke_blocking(
                    &mut session.transport,
                    &mut Discard,
                    false,
                )
            }
            // The refs of the old protocols come with the handshake only.
            None => {
                drop(session);
                session = self.take_session()?;
                Ok(session.handshake.refs.take().unwrap_or_default())
            }
        };
        let hash = hash_kind(&session.handshake.capabilities);
        let refs = listed.map_err(|err| self.fail(&err, "listing refs"))?;
        self.session = Some(session);
        Ok(RemoteRefs { refs: refs.into_iter().filter_map(|r| convert(r, prefixes)).collect(), hash })
    }

    /// Brings `wants` with `depth` commits of history each (`None` = all) into the store, given that it has `haves`.
    pub(super) fn fetch(
        &mut self,
        store: &Store,
        wants: &[ObjectId],
        haves: &[ObjectId],
        depth: Option<NonZeroU32>,
        interrupt: &AtomicBool,
    ) -> Result<Fetched, Error> {
        self.run_fetch(store, Exact { wants, haves, commits_only: false }, depth, interrupt)
    }

    /// Tags and commits without their trees, where the server can filter.
    pub(super) fn fetch_heads(
        &mut self,
        store: &Store,
        wants: &[ObjectId],
        interrupt: &AtomicBool,
    ) -> Result<Fetched, Error> {
        self.run_fetch(store, Exact { wants, haves: &[], commits_only: true }, NonZeroU32::new(1), interrupt)
    }

    fn run_fetch(
        &mut self,
        store: &Store,
        mut wanted: Exact<'_>,
        depth: Option<NonZeroU32>,
        interrupt: &AtomicBool,
    ) -> Result<Fetched, Error> {
        self.http.expect_at_most(MAX_LIST_BYTES);
        let mut session = self.take_session()?;
        // A pack goes to disk, and may be as long as it likes.
        self.http.expect_at_most(u64::MAX);
        let theirs = hash_kind(&session.handshake.capabilities);
        if let Some(want) = wanted.wants.iter().find(|want| want.kind() != theirs) {
            self.session = Some(session);
            return Err(Error::HashKind {
                remote: self.shown(),
                theirs: theirs.to_string(),
                ours: want.kind().to_string(),
            });
        }
        let before = self.http.received();
        without_deepen_relative(&mut session.handshake);
        let objects = store.objects()?;
        let shallow = match depth {
            Some(depth) => Shallow::DepthAtRemote(depth),
            // Only a store that is shallow has something to undo.
            None if store.shallow_file().exists() => Shallow::undo(),
            None => Shallow::NoChange,
        };
        let most = most_objects(self.entries, depth, wanted.wants.len());
        // Only who says what it has is sent deltas of it, by `have` or by a `shallow` line; without either the pack goes to
        // disk as it comes.
        let says_nothing = wanted.haves.is_empty() && !store.shallow_file().exists();
        let bases = (!says_nothing).then_some(objects);
        let mut received = None;
        let mut refused = None;
        let heard = Heard::default();
        store.remove_shallow_lock()?;
        let fetched = disk::around_as(Point::StoreFetchRun, gix::Error::from_error, || {
            gix_protocol::fetch(
                &mut wanted,
                |pack, _progress, interrupt| match receive(store, pack, bases.as_ref(), most, interrupt) {
                    Ok(pack) => {
                        received = Some(pack);
                        Ok(true)
                    }
                    // The cause goes through: `fail` knows what our own layers and the server say.
                    Err(pack::Error::Input(err)) => {
                        refused = Some(pack::Error::Damaged(innermost(&err)));
                        Err(err.raise_erased().into())
                    }
                    Err(err) => {
                        refused = Some(err);
                        Err(gix::error::message("the pack is refused").raise_erased().into())
                    }
                },
                heard.clone(),
                interrupt,
                gix_protocol::fetch::Context {
                    handshake: &mut session.handshake,
                    transport: &mut session.transport,
                    user_agent: ("agent", Some(USER_AGENT.into())),
                    trace_packetlines: false,
                },
                gix_protocol::fetch::Options {
                    shallow_file: store.shallow_file(),
                    shallow: &shallow,
                    tags: Tags::None,
                    reject_shallow_remote: false,
                },
            )
        });
        // What cannot be removed now, the next fetch does.
        let _ = store.remove_shallow_lock();
        match fetched {
            Ok(_) => {
                if session.handshake.server_protocol_version == Protocol::V2 {
                    self.session = Some(session);
                }
                let (objects, known) = received.map(|pack| (pack.objects, pack.known)).unwrap_or_default();
                Ok(Fetched { bytes: self.http.received() - before, objects, known })
            }
            Err(err) => {
                drop(session);
                let error = self.fail(&err, "fetching");
                // Ours, not the server's: the shallow list, or a lock beside it.
                let theirs = !matches!(error, Error::Broken { .. });
                if let Some(err) = of_the_disk(&err).filter(|_| !theirs) {
                    return Err(store.error(&err));
                }
                // The network's own failure (a cut, a time-out) says more than what the receiver makes of it.
                match (heard.take(), refused) {
                    (_, Some(pack::Error::Store(err))) => Err(err),
                    (_, Some(pack::Error::Disk(err))) => Err(store.error(&err)),
                    (Some(message), _) if !matches!(error, Error::Expired { .. }) => {
                        Err(Error::ServerSaid { remote: self.shown(), message })
                    }
                    (_, Some(reason)) if matches!(error, Error::Broken { doing: "fetching", .. }) => {
                        Err(Error::Pack { remote: self.shown(), reason: reason.to_string() })
                    }
                    _ => Err(error),
                }
            }
        }
    }

    fn take_session(&mut self) -> Result<Session, Error> {
        if let Some(session) = self.session.take() {
            return Ok(session);
        }
        self.http.forget_redirect();
        // gix parses what `url` wrote; both agree on the host, and it is our own client that connects anyway.
        let url = gix::url::parse(self.url.as_str())
            .map_err(|_| Error::NotGit { remote: self.shown(), reason: "the URL cannot be used".into() })?;
        let mut transport = Transport::new_http(self.http.clone(), url, self.protocol, false);
        let no_credentials = |_| Ok(None);
        let handshake = gix_protocol::handshake(
            &mut transport,
            Service::UploadPack,
            no_credentials,
            Vec::new(),
            &mut Discard,
        );
        match handshake {
            Ok(handshake) => Ok(Session { transport, handshake, kept: false }),
            Err(err) => Err(self.fail(&err, "shaking hands")),
        }
    }

    /// Our own words for a failure, from our own layer if it was the cause.
    fn fail(&mut self, err: &gix::Error, doing: &'static str) -> Error {
        let remote = self.shown();
        if let Some(error) = self.http.take_failure() {
            return error;
        }
        if let Some(said_by) = err.downcast_any_ref::<gix::protocol::transport::packetline::read::Error>() {
            return Error::ServerSaid { remote, message: said(&said_by.message) };
        }
        let reason = reason(err);
        if reason.contains("'smart' protocol") {
            return Error::NotGit {
                remote,
                reason: "the answer is not git's (a dumb server, or a web page)".into(),
            };
        }
        // gix prints the line as a list of numbers.
        let reason = match reason.starts_with('[') {
            true => "a line of its answer makes no sense".to_owned(),
            false => reason,
        };
        if doing == "shaking hands" {
            return Error::NotGit { remote, reason };
        }
        Error::Broken { remote, doing, reason }
    }
}

/// The innermost cause; gix's outer layers only name the step.
fn reason(err: &gix::Error) -> String {
    innermost(err.probable_cause())
}

/// "Exactly these": no guessing from refs, one round, haves that we know to be complete.
struct Exact<'a> {
    wants: &'a [ObjectId],
    haves: &'a [ObjectId],
    commits_only: bool,
}

impl Negotiate for Exact<'_> {
    fn mark_complete_and_common_ref(&mut self) -> gix::error::Result<Action> {
        Ok(Action::MustNegotiate { remote_ref_target_known: Vec::new() })
    }

    fn add_wants(&mut self, arguments: &mut Arguments, _known: &[bool]) -> bool {
        for want in self.wants {
            arguments.want(want);
        }
        if self.commits_only && arguments.can_use_filter() {
            arguments.filter("tree:0");
        }
        !self.wants.is_empty()
    }

    fn one_round(
        &mut self,
        _state: &mut one_round::State,
        arguments: &mut Arguments,
        _previous: Option<&Response>,
    ) -> gix::error::Result<(Round, bool)> {
        for have in self.haves {
            arguments.have(have);
        }
        let round = Round {
            haves_sent: self.haves.len(),
            in_vain: 0,
            haves_to_send: 0,
            previous_response_had_at_least_one_in_common: false,
        };
        Ok((round, true))
    }
}

/// How many objects a pack may have that was asked for. Generous: a commit's tree has no more blobs than entries, and no more folders
/// than that, or it is refused; twice as many is nobody's mistake.
fn most_objects(entries: Option<u64>, depth: Option<NonZeroU32>, wants: usize) -> u64 {
    let (Some(entries), Some(depth)) = (entries, depth) else { return MOST_OBJECTS };
    let commits = u64::from(depth.get()).saturating_mul(wants as u64);
    entries.saturating_mul(4).saturating_mul(commits).saturating_add(SLACK_OBJECTS).min(MOST_OBJECTS)
}

/// gix sends every capability of an old server back with the first want, `deepen-relative` too, which turns
/// `deepen 1` into "one more than now": the whole history comes, and no boundary is written.
fn without_deepen_relative(handshake: &mut Handshake) {
    if handshake.server_protocol_version == Protocol::V2 {
        return;
    }
    let mut line = vec![0];
    for capability in handshake.capabilities.iter().filter(|c| c.name() != "deepen-relative") {
        line.extend_from_slice(capability.name());
        if let Some(value) = capability.value() {
            line.push(b'=');
            line.extend_from_slice(value);
        }
        line.push(b' ');
    }
    if let Ok((capabilities, _)) = Capabilities::from_bytes(&line) {
        handshake.capabilities = capabilities;
    }
}

fn hash_kind(capabilities: &Capabilities) -> Kind {
    match capabilities.capability("object-format").and_then(|c| c.value().map(|v| v.to_owned())) {
        Some(format) if format == "sha256" => Kind::Sha256,
        _ => Kind::Sha1,
    }
}

/// Drops what no honest server sends: names that are not valid refs (GHSA-qgq7-7hm3-q39j).
fn convert(found: Ref, prefixes: &[BString]) -> Option<RemoteRef> {
    let found = match found {
        Ref::Direct { full_ref_name, object } => {
            RemoteRef { name: full_ref_name, id: Some(object), tag: None, target: None }
        }
        Ref::Peeled { full_ref_name, tag, object } => {
            RemoteRef { name: full_ref_name, id: Some(object), tag: Some(tag), target: None }
        }
        Ref::Symbolic { full_ref_name, target, tag, object } => {
            RemoteRef { name: full_ref_name, id: Some(object), tag, target: Some(target) }
        }
        Ref::Unborn { full_ref_name, target } => {
            RemoteRef { name: full_ref_name, id: None, tag: None, target: Some(target) }
        }
    };
    found.accept(prefixes)
}
