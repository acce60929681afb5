//! The engine in a test's hand: a remote with its store, as the worker drives them; and the binary with the settings
//! that all its tests share.

#![allow(dead_code)]

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;

use dagsync::config::HttpConfig;
use dagsync::deadline::{Deadline, Stop};
use dagsync::git::auth::Login;
use dagsync::git::{Error, Fetched, Remote, RemoteRef, Store, url};
use dagsync::secret::Secret;
use gix::ObjectId;
use tempfile::TempDir;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::support::agent::{Finished, Launch, published};
use crate::support::repo::{git, text_of};
use crate::support::wait::PATIENCE;
use crate::support::{Agent, Repo, temp};

const LONG: Duration = Duration::from_secs(600);

/// A remote and a store of its own.
pub struct Engine {
    pub remote: Remote,
    pub store: Store,
    pub timeout: Duration,
    pub login: Option<Login>,
    pub stop: Stop,
    folder: TempDir,
    clock: Clock,
}

impl Engine {
    /// An engine for a URL, with its userinfo as the login.
    pub fn of(url: &str) -> Engine {
        Engine::with(url, HttpConfig::default())
    }

    /// The same with settings.
    pub fn with(url: &str, config: HttpConfig) -> Engine {
        Engine::try_with(url, config).expect("an engine")
    }

    /// The same, where a setting may be wrong.
    pub fn try_with(url: &str, config: HttpConfig) -> Result<Engine, Error> {
        let parsed = url::parse(url, Path::new("/")).expect("a URL");
        let login = parsed
            .login
            .map(|login| Login { username: login.username.expose().to_owned(), password: login.password });
        let folder = temp();
        Ok(Engine {
            remote: Remote::new(&parsed.repo, &config)?,
            store: Store::open(&folder.path().join(".git"), false)?,
            timeout: PATIENCE,
            login,
            stop: Stop::new(),
            folder,
            clock: Clock::start(),
        })
    }

    /// Trusts this authority alone.
    pub fn trusting(url: &str, ca: &Path) -> Engine {
        Engine::with(url, HttpConfig { ssl_ca_info: Some(ca.to_owned()), ..HttpConfig::default() })
    }

    /// For a repository on this machine, and for tests that do not end it: a pass may take as long as a slow machine needs.
    pub fn local(repo: &Repo) -> Engine {
        let engine = Engine::of(repo.work().to_str().expect("a path of a test"));
        Engine { timeout: LONG, ..engine }
    }

    /// Begins a pass.
    pub fn arm(&mut self) -> Rc<Deadline> {
        let deadline = Rc::new(Deadline::start(self.timeout, &self.stop, &self.clock.handle));
        self.remote.arm(&deadline, self.login.as_ref());
        deadline
    }

    /// What a poll does: the refs with these prefixes.
    pub fn list(&mut self, prefixes: &[&str]) -> Result<Vec<RemoteRef>, Error> {
        self.arm();
        let prefixes: Vec<_> = prefixes.iter().map(|prefix| (*prefix).into()).collect();
        self.remote.list(&prefixes).map(|listed| listed.refs)
    }

    /// The commit of `main`, looked up in a pass of its own.
    pub fn poll(&mut self) -> Result<String, Error> {
        let refs = self.list(&["refs/heads/main"])?;
        Ok(refs.first().and_then(|main| main.id).map(|id| id.to_string()).unwrap_or_default())
    }

    /// Fetches one object with `depth` commits of history (0 = all), within the pass that is on.
    pub fn fetch(&mut self, id: &str, haves: &[&str], depth: u32) -> Result<Fetched, Error> {
        let haves: Vec<_> = haves.iter().map(|have| object(have)).collect();
        self.remote.fetch(&self.store, &[object(id)], &haves, NonZeroU32::new(depth))
    }

    /// A fetch in a pass of its own, of something that no list named.
    pub fn fetch_unlisted(&mut self, id: &str) -> Result<Fetched, Error> {
        self.arm();
        self.fetch(id, &[], 1)
    }

    /// A poll, and a shallow fetch of what it found.
    pub fn pull(&mut self) -> Result<String, Error> {
        let tip = self.poll()?;
        self.fetch(&tip, &[], 1)?;
        Ok(tip)
    }

    /// The store's git folder.
    pub fn git_dir(&self) -> PathBuf {
        self.store.dir().to_owned()
    }

    /// Git's own view of the store.
    pub fn git(&self, args: &[&str]) -> String {
        let mut command = git();
        command.arg("--git-dir").arg(self.store.dir()).args(args);
        text_of(&format!("git {args:?}"), command.output().expect("git runs"))
    }

    /// Closes the store and opens it again, as a restart does.
    pub fn reopen_store(&mut self) {
        self.store = Store::open(&self.folder.path().join(".git"), false).expect("a store");
    }
}

/// An object's id.
pub fn object(hex: &str) -> ObjectId {
    ObjectId::from_hex(hex.as_bytes()).expect("an object id")
}

/// A user and a password.
pub fn login(username: &str, password: &str) -> Option<Login> {
    Some(Login { username: username.into(), password: Secret::new(password) })
}

/// The error of something that must fail.
#[track_caller]
pub fn failure<T: std::fmt::Debug>(result: Result<T, Error>) -> Error {
    result.expect_err("a failure")
}

/// A runtime that somebody drives, for deadlines.
struct Clock {
    handle: Handle,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    fn start() -> Clock {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || _ = runtime.block_on(ended));
        Clock { handle, end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.end.take();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A root for the binary, with everything that may hold a secret inside it.
pub struct Site {
    folder: TempDir,
}

impl Site {
    pub fn new() -> Site {
        Site { folder: temp() }
    }

    /// `--root`.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Besides the root: for password files and the like.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// The published tree.
    pub fn link(&self) -> PathBuf {
        self.root().join("live")
    }

    /// The published commit.
    pub fn published(&self) -> Option<String> {
        published(&self.root(), "live")
    }

    /// A run that polls twenty times a second and never gives up.
    pub fn agent(&self, repo: &str) -> Launch {
        Launch::new(["--period=50ms", "--max-failures=-1", "--sync-timeout=20s", "--link=live"])
            .set("repo", repo)
            .set("root", self.root())
            .set("error-file", "error.json")
    }

    /// One pass.
    #[track_caller]
    pub fn once(&self, repo: &str, more: &[&str]) -> Finished {
        Launch::new(["--one-time", "--max-failures=0", "--link=live"])
            .set("repo", repo)
            .set("root", self.root())
            .args(more)
            .run(PATIENCE)
    }

    /// One pass that publishes `commit`.
    #[track_caller]
    pub fn publishes(&self, repo: &str, more: &[&str], commit: &str) {
        let run = self.once(repo, more);
        assert!(run.status.success(), "{}", run.stderr);
        assert_eq!(self.published().as_deref(), Some(commit), "{}", run.stderr);
    }

    /// The same, once a running agent has ended.
    #[track_caller]
    pub fn publishes_after(&self, agent: Agent, repo: &str, more: &[&str], commit: &str) {
        drop(agent);
        self.publishes(repo, more, commit);
    }

    /// One pass that fails and says all of `reasons`.
    #[track_caller]
    pub fn fails(&self, repo: &str, more: &[&str], reasons: &[&str]) -> String {
        let before = self.published();
        let run = self.once(repo, more);
        assert_eq!(run.status.code(), Some(1), "{}", run.stderr);
        for reason in reasons {
            assert!(run.stderr.contains(reason), "did not say `{reason}`:\n{}", run.stderr);
        }
        assert_eq!(self.published(), before, "what is published stays");
        run.stderr
    }

    /// Git in the published tree.
    #[track_caller]
    pub fn git(&self, args: &[&str]) -> String {
        let output = git().arg("-C").arg(self.link()).args(args).output().expect("git runs");
        text_of(&format!("git {args:?}"), output)
    }

    /// Starts an agent and waits for its first publication.
    #[track_caller]
    pub fn serving(&self, launch: &Launch, commit: &str) -> Agent {
        let agent = launch.start();
        agent.wait_published(&self.root(), "live", commit);
        agent
    }
}
