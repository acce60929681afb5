//! The process: built, running, drained.
//!
//! [`App::build`] binds the listener, so that everything that configuration can get wrong is known before anything runs;
//! [`App::spawn`] starts the threads; a [`Running`] takes what comes (signals, the configuration file, workers that end) until it is
//! time to drain.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::source::Parts;
use super::status::{Board, Window};
use super::watch::{Wake, Watch};
use super::worker::{Event, Locks, Shared, Trigger, Worker};
use crate::config::{AuthConfig, Config, RefChoice, RepoUrl, SourceConfig};
use crate::deadline::Stop;
use crate::metrics::Metrics;
use crate::{check, hooks, http};

/// How long what runs may take to end after `SIGTERM`. What is left then is abandoned: a crash at any point is safe.
const DRAIN: Duration = Duration::from_secs(4);
/// The owner's name in the watch for the configuration file; no source is called that.
const CONFIG_FILE: &str = "(configuration)";

/// Bound, nothing running.
pub struct App {
    config: Config,
    metrics: Metrics,
    server: Option<(http::Server, SocketAddr)>,
    runtime: tokio::runtime::Runtime,
}

/// Why the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Somebody asked, or one-time mode is through.
    Fine,
    /// A source gave up.
    Failed,
}

/// What the process hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// From a worker.
    Worker(Event),
    /// `sync-on-signal`.
    Sync,
    /// Finish or abandon what runs, cleanly.
    Terminate,
    /// The configuration file changed.
    ConfigChanged,
}

impl App {
    /// Binds. An error is about the address.
    pub fn build(config: Config) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let server = match config.process.http_bind {
            // git-sync binds nothing in one-time mode; an init container would fight with the sidecar for the port.
            Some(address) if !config.process.one_time => {
                let _inside = runtime.enter();
                let server = http::Server::bind(address)?;
                let bound = server.local_addr()?;
                Some((server, bound))
            }
            _ => None,
        };
        Ok(App { config, metrics: Metrics::new(), server, runtime })
    }

    /// Where probes and metrics are served.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(|(_, address)| *address)
    }

    /// Starts everything.
    pub fn spawn(self) -> io::Result<Running> {
        let App { config, metrics, server, runtime } = self;
        let board = Board::default();
        let (messages, inbox) = channel();
        let events = messages.clone();
        let shared = Shared {
            board: board.clone(),
            locks: Locks::default(),
            runtime: runtime.handle().clone(),
            // Nobody listens any more when the process is on its way out.
            events: Arc::new(move |event| drop(events.send(Message::Worker(event)))),
            one_time: config.process.one_time,
            on_locked: config.process.on_locked,
        };
        let window = Window { board, metrics: config.process.http_metrics.then(|| metrics.clone()) };
        std::thread::Builder::new().name("service".into()).spawn(move || {
            runtime.block_on(async move {
                // Probes are answered while the rest is drained, so this ends with the process alone.
                match server {
                    Some((server, _)) => server.serve(Arc::new(window), std::future::pending()).await,
                    None => std::future::pending().await,
                }
            })
        })?;
        let watch = Watch::new();
        if let Err(err) = &watch {
            tracing::warn!("files cannot be watched, periods have to do: {err}");
        }
        let mut running =
            Running { config, shared, metrics, workers: HashMap::new(), watch: watch.ok(), messages, inbox };
        if let (Some(watch), Some(path)) = (&mut running.watch, &running.config.process.config_file) {
            let messages = running.messages.clone();
            watch.file(CONFIG_FILE, path, Arc::new(move || drop(messages.send(Message::ConfigChanged))));
        }
        for source in running.config.sources.clone() {
            running.start(source)?;
        }
        Ok(running)
    }
}

/// Threads run.
pub struct Running {
    config: Config,
    shared: Shared,
    metrics: Metrics,
    workers: HashMap<String, WorkerHandle>,
    watch: Option<Watch>,
    messages: Sender<Message>,
    inbox: Receiver<Message>,
}

struct WorkerHandle {
    triggers: Sender<Trigger>,
    stop: Stop,
    thread: JoinHandle<()>,
}

impl Running {
    /// Where to send messages: for signal handlers and the like.
    pub fn sender(&self) -> Sender<Message> {
        self.messages.clone()
    }

    /// What is live.
    pub fn board(&self) -> Board {
        self.shared.board.clone()
    }

    /// Handles messages until the process should end. `reload` reads the configuration again, or says in one text what is
    /// wrong with it.
    pub fn wait(&mut self, mut reload: impl FnMut() -> Result<Config, String>) -> End {
        loop {
            let message = self.inbox.recv().expect("we hold a sender ourselves");
            match message {
                Message::Terminate => {
                    tracing::info!("asked to stop");
                    return End::Fine;
                }
                Message::Worker(Event::GaveUp { .. }) => return End::Failed,
                Message::Worker(Event::Done { source }) => {
                    self.workers.remove(&source);
                    if self.workers.is_empty() {
                        return End::Fine;
                    }
                }
                Message::Sync => {
                    for worker in self.workers.values() {
                        // One that has ended needs no waking.
                        let _ = worker.triggers.send(Trigger::Signal);
                    }
                }
                Message::ConfigChanged => self.reload(reload()),
            }
        }
    }

    /// Stops everything; what has not ended in time is abandoned, which is safe at any point.
    pub fn drain(self) {
        for worker in self.workers.values() {
            worker.ask_to_stop();
        }
        let until = Instant::now() + DRAIN;
        let (done, all_done) = channel::<()>();
        let threads: Vec<_> = self.workers.into_values().map(|worker| worker.thread).collect();
        // `join` has no time limit: a thread of its own waits, and we wait for its channel to close.
        std::thread::spawn(move || {
            threads.into_iter().for_each(|thread| drop(thread.join()));
            drop(done);
        });
        match all_done.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                tracing::warn!("abandoned a pass that did not end in time")
            }
            _ => tracing::info!("stopped"),
        }
    }

    fn reload(&mut self, new: Result<Config, String>) {
        if let Some(watch) = &mut self.watch {
            watch.refresh();
        }
        let new = match new {
            Ok(new) => new,
            Err(text) => {
                self.metrics.config_reload(false);
                tracing::error!("the changed configuration is not used, the old one stays: {text}");
                return;
            }
        };
        self.metrics.config_reload(true);
        if new.process != self.config.process {
            tracing::warn!("settings of the process changed: they take effect with the next start");
        }
        let old: HashMap<String, SourceConfig> =
            self.config.sources.iter().map(|source| (source.name.clone(), source.clone())).collect();
        // Whether a root is shared decides where a source's things are, so it counts as a setting of the source.
        let shared_before = shared_roots(&self.config.sources);
        let shared_now = shared_roots(&new.sources);
        let same = |source: &SourceConfig| {
            old.get(&source.name).is_some_and(|old| old == source)
                && shared_before.contains(&source.root) == shared_now.contains(&source.root)
        };
        let (kept, changed): (Vec<_>, Vec<_>) = new.sources.iter().cloned().partition(same);
        let kept: HashSet<String> = kept.into_iter().map(|source| source.name).collect();
        let gone: Vec<String> = self.workers.keys().filter(|name| !kept.contains(*name)).cloned().collect();
        for name in &gone {
            self.stop(name);
        }
        for name in old.keys().filter(|name| !new.sources.iter().any(|source| source.name == **name)) {
            self.shared.board.remove(name);
            self.metrics.forget(name);
            tracing::info!(source = name, "no longer configured; what it published stays");
        }
        let (restarted, kept) = (changed.len(), kept.len());
        self.config.sources = new.sources;
        for source in changed {
            if let Err(err) = self.start(source) {
                tracing::error!("cannot start a thread: {err}");
            }
        }
        tracing::info!(restarted, kept, "the changed configuration is in use");
    }

    fn start(&mut self, config: SourceConfig) -> io::Result<()> {
        let (triggers, inbox) = channel();
        let stop = Stop::new();
        self.watch_for(&config, &triggers);
        let name = config.name.clone();
        let shared_root = shared_roots(&self.config.sources).contains(&config.root);
        self.shared.board.update(&name, |_| {});
        let metrics = self.metrics.source(&name);
        let parts = Box::new(|| Parts { gate: Box::new(check::Open), announcer: Box::new(hooks::Nobody) });
        let (shared, stops) = (self.shared.clone(), stop.clone());
        // Built inside: what a worker owns never leaves its thread.
        let thread = std::thread::Builder::new().name(format!("source {name}")).spawn(move || {
            Worker::new(config, shared_root, shared, stops, inbox, metrics, parts).run();
        })?;
        self.workers.insert(name, WorkerHandle { triggers, stop, thread });
        Ok(())
    }

    /// Stops one source and waits for it: its successor needs its root.
    fn stop(&mut self, name: &str) {
        if let Some(watch) = &mut self.watch {
            watch.forget(name);
        }
        if let Some(worker) = self.workers.remove(name) {
            worker.ask_to_stop();
            // It ends promptly: every wait of a pass sees the wish to stop.
            drop(worker.thread.join());
        }
    }

    fn watch_for(&mut self, config: &SourceConfig, triggers: &Sender<Trigger>) {
        let Some(watch) = &mut self.watch else { return };
        let wake = || -> Wake {
            let triggers = triggers.clone();
            Arc::new(move || {
                // A worker that has ended needs no waking.
                let _ = triggers.send(Trigger::FileChanged);
            })
        };
        if let RefChoice::File(path) = &config.reference {
            watch.file(&config.name, path, wake());
        }
        if let AuthConfig::PasswordFile { file, .. } = &config.auth {
            watch.file(&config.name, file, wake());
        }
        if let RepoUrl::Local(path) = &config.repo {
            watch.repository(&config.name, path, wake());
        }
    }
}

impl WorkerHandle {
    fn ask_to_stop(&self) {
        self.stop.request();
        let _ = self.triggers.send(Trigger::Stop);
    }
}

/// Roots that more than one source uses.
fn shared_roots(sources: &[SourceConfig]) -> HashSet<PathBuf> {
    let mut seen = HashSet::new();
    sources.iter().filter(|source| !seen.insert(&source.root)).map(|source| source.root.clone()).collect()
}
