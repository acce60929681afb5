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
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::locks::Locks;
use super::pid1::Children;
use super::source::{self, Parts};
use super::status::{Board, Window};
use super::watch::{Wake, Watch};
use super::worker::{Event, MakeParts, Shared, Trigger, Worker};
use crate::check::Checker;
use crate::config::{AuthConfig, Config, RefChoice, RepoUrl, SourceConfig};
use crate::deadline::Stop;
use crate::metrics::Metrics;
use crate::publish::Layout;
use crate::{hooks, http};

/// How long what runs may take to end after `SIGTERM`. What is left then is abandoned: a crash at any point is safe.
const DRAIN: Duration = Duration::from_secs(4);
/// How long the configuration file must be quiet: an editor that writes it in two steps must not have half of it read.
const SETTLE: Duration = Duration::from_millis(200);
/// How often what cannot be seen to come (a folder that is made later) is looked for.
const RENEW: Duration = Duration::from_secs(60);
/// The owner's name in the watch for the configuration file; no source is called that.
const CONFIG_FILE: &str = "(configuration)";

/// Bound, nothing running.
pub struct App {
    config: Config,
    metrics: Metrics,
    server: Option<(http::Server, SocketAddr)>,
    runtime: tokio::runtime::Runtime,
    messages: Sender<Message>,
    inbox: Receiver<Message>,
    parts: MakeParts,
    children: Children,
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
    /// A file that a source depends on changed.
    FileChanged {
        /// The source's name.
        source: String,
    },
}

impl App {
    /// Binds. An error is about the address.
    pub fn build(config: Config) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let server = match config.process.http_bind {
            // git-sync binds nothing in one-time mode; an init container would fight with the sidecar for the port.
            Some(address) if !config.process.one_time => {
                let _inside = runtime.enter();
                let server = http::Server::bind(address)
                    .map_err(|err| io::Error::new(err.kind(), format!("{address}: {err}")))?;
                let bound = server.local_addr()?;
                Some((server, bound))
            }
            _ => None,
        };
        let (messages, inbox) = channel();
        let parts: MakeParts = Arc::new(|config| Parts {
            gate: Box::new(Checker::new(config.check.clone())),
            announcer: Box::new(hooks::Nobody),
        });
        let children = Children::new();
        Ok(App { config, metrics: Metrics::new(), server, runtime, messages, inbox, parts, children })
    }

    /// The same with another gate and other listeners; made for each source, and again when its pass panicked.
    pub fn with_parts(self, parts: MakeParts) -> App {
        App { parts, ..self }
    }

    /// Where to send messages: for signal handlers and the like. What is sent before [`App::spawn`] is heard after it.
    pub fn sender(&self) -> Sender<Message> {
        self.messages.clone()
    }

    /// The child processes that it will wait for: whoever reaps orphans leaves them alone.
    pub fn children(&self) -> &Children {
        &self.children
    }

    /// Where probes and metrics are served.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(|(_, address)| *address)
    }

    /// Starts everything.
    pub fn spawn(self) -> io::Result<Running> {
        let App { config, metrics, server, runtime, messages, inbox, parts, children } = self;
        let board = Board::default();
        let events = messages.clone();
        let shared = Shared {
            board: board.clone(),
            locks: Locks::default(),
            runtime: runtime.handle().clone(),
            // Nobody listens any more when the process is on its way out.
            events: Arc::new(move |event| drop(events.send(Message::Worker(event)))),
            parts,
            children,
            one_time: config.process.one_time,
            on_locked: config.process.on_locked,
        };
        let window = Window::new(board, config.process.http_metrics.then(|| metrics.clone()));
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
        let mut running = Running {
            config,
            shared,
            metrics,
            workers: HashMap::new(),
            watch: watch.ok(),
            messages,
            inbox,
            failed: false,
            reload_at: None,
        };
        if let (Some(watch), Some(path)) = (&mut running.watch, &running.config.process.config_file) {
            let messages = running.messages.clone();
            watch.file(CONFIG_FILE, path, Arc::new(move || drop(messages.send(Message::ConfigChanged))));
        }
        for source in running.config.sources.clone() {
            running.start(source, Vec::new())?;
        }
        Ok(running)
    }
}

/// Threads run.
pub struct Running {
    pub(super) config: Config,
    pub(super) shared: Shared,
    pub(super) metrics: Metrics,
    pub(super) workers: HashMap<String, WorkerHandle>,
    pub(super) watch: Option<Watch>,
    messages: Sender<Message>,
    inbox: Receiver<Message>,
    /// A source gave up; in one-time mode the others still have their pass.
    failed: bool,
    /// When the configuration file will have been quiet for long enough.
    reload_at: Option<Instant>,
}

/// A worker, from outside.
pub(super) struct WorkerHandle {
    triggers: Sender<Trigger>,
    stop: Stop,
    pub(super) thread: JoinHandle<()>,
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
        let mut renew_at = Instant::now() + RENEW;
        loop {
            let next = self.reload_at.map_or(renew_at, |at| at.min(renew_at));
            match self.inbox.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(message) => {
                    if let Some(end) = self.handle(message) {
                        return end;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("we hold a sender ourselves"),
            }
            let now = Instant::now();
            if self.reload_at.is_some_and(|at| at <= now) {
                self.reload_at = None;
                self.reload(reload());
            }
            if renew_at <= now {
                renew_at = now + RENEW;
                if let Some(watch) = &mut self.watch {
                    watch.renew();
                }
            }
        }
    }

    fn handle(&mut self, message: Message) -> Option<End> {
        match message {
            Message::Terminate => {
                tracing::info!("asked to stop");
                return Some(End::Fine);
            }
            Message::Worker(event) => {
                let (Event::GaveUp { source } | Event::Done { source }) = &event;
                self.workers.remove(source);
                self.failed |= matches!(event, Event::GaveUp { .. });
                if self.failed && !self.shared.one_time {
                    return Some(End::Failed);
                }
                if self.workers.is_empty() {
                    return Some(if self.failed { End::Failed } else { End::Fine });
                }
            }
            Message::Sync => self.workers.values().for_each(|worker| worker.wake(Trigger::Signal)),
            Message::FileChanged { source } => {
                // The worker first: it need not wait until links were followed again.
                if let Some(worker) = self.workers.get(&source) {
                    worker.wake(Trigger::FileChanged);
                }
                if let Some(watch) = &mut self.watch {
                    watch.refresh();
                }
            }
            Message::ConfigChanged => self.reload_at = Some(Instant::now() + SETTLE),
        }
        None
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
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!("abandoned a pass that did not end in time")
            }
            _ => tracing::info!("stopped"),
        }
    }

    /// Starts a source's thread; it does nothing before all `predecessors` are requested.
    pub(super) fn start(&mut self, config: SourceConfig, predecessors: Vec<Stop>) -> io::Result<()> {
        let (triggers, inbox) = channel();
        let stop = Stop::new();
        self.watch_for(&config);
        let name = config.name.clone();
        let shared_root = shared_roots(&self.config.sources).contains(&config.root);
        self.shared.board.add(&name);
        let metrics = self.metrics.source(&name);
        let (shared, stops) = (self.shared.clone(), stop.clone());
        let source = name.clone();
        let thread = std::thread::Builder::new().name(format!("source {name}")).spawn(move || {
            let events = shared.events.clone();
            let body = || {
                // Also when asked to stop: who comes after us waits for us alone.
                predecessors.iter().for_each(|ended| shared.runtime.block_on(ended.requested()));
                // Built inside: what a worker owns never leaves its thread.
                Worker::new(config, shared_root, shared, stops, inbox, metrics).run();
            };
            // A pass that panics is the worker's affair. If the worker does, nobody is left to sync: the process ends, and
            // whoever runs it sees that, rather than a source that is silent for ever.
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_err() {
                events(Event::GaveUp { source });
            }
        })?;
        self.workers.insert(name, WorkerHandle { triggers, stop, thread });
        Ok(())
    }

    fn watch_for(&mut self, config: &SourceConfig) {
        let Some(watch) = &mut self.watch else { return };
        let wake = || -> Wake {
            let (messages, source) = (self.messages.clone(), config.name.clone());
            Arc::new(move || drop(messages.send(Message::FileChanged { source: source.clone() })))
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
    pub(super) fn ask_to_stop(&self) {
        self.stop.request();
        self.wake(Trigger::Stop);
    }

    fn wake(&self, trigger: Trigger) {
        // One that has ended needs no waking.
        let _ = self.triggers.send(trigger);
    }
}

/// Roots that more than one source uses.
pub(super) fn shared_roots(sources: &[SourceConfig]) -> HashSet<PathBuf> {
    let mut seen = HashSet::new();
    sources.iter().filter(|source| !seen.insert(&source.root)).map(|source| source.root.clone()).collect()
}

/// Where the things of each source are, as far as they are there already. For those who only look.
pub fn layouts(sources: &[SourceConfig]) -> Vec<Layout> {
    let shared = shared_roots(sources);
    let layout = |config| source::layout_of(config, shared.contains(&config.root)).found();
    sources.iter().map(|config: &SourceConfig| layout(config)).collect()
}
