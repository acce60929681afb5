//! The thread of one source: waits for a trigger or the time, runs a pass, tells the board.
//!
//! It is the only owner of its source. Everything that can wake it only sends a [`Trigger`]; many triggers during a pass make
//! one more pass.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::failure::Failure;
use super::locks::Locks;
use super::pass::{self, Outcome};
use super::pid1::Children;
use super::schedule::{self, Next, Pace, Past};
use super::source::{self, Parts, Source};
use super::status::Board;
use crate::config::{OnLocked, SourceConfig};
use crate::deadline::{Deadline, Stop};
use crate::error::Remedy;
use crate::metrics::{SourceMetrics, Stage};
use crate::publish::{self, Layout};
use crate::tree::manifest;

/// How often a standby looks whether the owner of its root is gone.
const STANDBY_PERIOD: Duration = Duration::from_secs(1);

/// The shortest pause after a failure, when a file that changed asks for a pass.
const AFTER_FAILURE: Duration = Duration::from_millis(500);

/// What wakes a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// `sync-on-signal`.
    Signal,
    /// A file that matters changed: a local upstream's refs, the password file, the ref file.
    FileChanged,
    /// Look whether to stop.
    Stop,
}

/// What a worker reports to the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A source's first success in one-time mode.
    Done {
        /// The source's name.
        source: String,
    },
    /// Too many failures, or a root that somebody else owns and `--on-locked=fail`.
    GaveUp {
        /// The source's name.
        source: String,
    },
}

/// What all workers share.
#[derive(Clone)]
pub struct Shared {
    /// Where the status goes.
    pub board: Board,
    /// Roots owned by this process.
    pub locks: Locks,
    /// The runtime that watches deadlines.
    pub runtime: Handle,
    /// Where events go.
    pub events: Arc<dyn Fn(Event) + Send + Sync>,
    /// The gate and the listeners of each source.
    pub parts: MakeParts,
    /// Every child process that somebody waits for.
    pub children: Children,
    /// One pass of every source, then done.
    pub one_time: bool,
    /// When another agent owns a root.
    pub on_locked: OnLocked,
}

/// Makes what a source needs from outside; again when its pass panicked.
pub type MakeParts = Arc<dyn Fn(&SourceConfig) -> Parts + Send + Sync>;

/// A source's worker. [`Worker::run`] is the body of its thread.
pub struct Worker {
    pub(super) config: SourceConfig,
    pub(super) layout: Layout,
    pub(super) shared: Shared,
    stop: Stop,
    triggers: Receiver<Trigger>,
    pub(super) metrics: SourceMetrics,
    pub(super) source: Option<Source>,
    pub(super) past: Past,
    pub(super) failing: Option<String>,
}

impl Worker {
    /// Nothing runs yet, nothing on disk changes.
    pub fn new(
        config: SourceConfig,
        shared_root: bool,
        shared: Shared,
        stop: Stop,
        triggers: Receiver<Trigger>,
        metrics: SourceMetrics,
    ) -> Self {
        Worker {
            layout: source::layout_of(&config, shared_root),
            metrics,
            config,
            shared,
            stop,
            triggers,
            source: None,
            past: Past::default(),
            failing: None,
        }
    }

    /// Passes until told to stop, or until there is nothing more to do.
    pub fn run(mut self) {
        let name = self.config.name.clone();
        let _span = tracing::info_span!("source", source = name).entered();
        self.metrics.ref_conflict(self.config.ref_conflict);
        // A predecessor may have taken its time to end.
        while !self.stop.is_requested() {
            let started = Instant::now();
            let deadline =
                Rc::new(Deadline::start(self.config.sync_timeout, &self.stop, &self.shared.runtime));
            let result = self.pass(&deadline);
            drop(deadline);
            if self.stop.is_requested() {
                return;
            }
            let failure = match result {
                Ok(None) => {
                    // Standby: no pass of ours.
                    if !self.wait(STANDBY_PERIOD) {
                        return;
                    }
                    continue;
                }
                Ok(Some(outcome)) => {
                    self.went_well(&outcome, started.elapsed());
                    None
                }
                Err(failure) => {
                    self.went_wrong(&failure, started.elapsed());
                    Some(failure.remedy)
                }
            };
            self.past = self.past.after(failure);
            if self.shared.one_time && failure.is_none() {
                // With the first revision held back, what an init container waits for is not there.
                let there = self.source.as_ref().is_some_and(|source| source.live().is_some());
                self.tell(if there { Event::Done { source: name } } else { Event::GaveUp { source: name } });
                return;
            }
            match schedule::next(&self.pace(), self.past, failure, fastrand::f64()) {
                Next::Wait(pause) => {
                    if !self.wait(pause) {
                        return;
                    }
                }
                Next::GiveUp => {
                    tracing::error!(failures = self.past.failures, "too many failures in a row, giving up");
                    self.tell(Event::GaveUp { source: name });
                    return;
                }
            }
        }
    }

    fn pace(&self) -> Pace {
        Pace {
            period: self.config.period,
            init_period: self.config.init_period,
            max_failures: self.config.max_failures,
            init_max_failures: self.config.init_max_failures,
        }
    }

    /// Waits for the time or a trigger; `false` when it is time to stop.
    fn wait(&mut self, pause: Duration) -> bool {
        let failed_at = Instant::now();
        let mut until = failed_at + pause;
        loop {
            match self.triggers.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Timeout) => break,
                // Nobody can wake us any more: the process let go of us.
                Err(RecvTimeoutError::Disconnected) => return false,
                Ok(Trigger::Stop) => {
                    if self.stop.is_requested() {
                        return false;
                    }
                }
                Ok(trigger) => {
                    tracing::debug!(?trigger, "woken");
                    if trigger == Trigger::Signal || self.past.failures == 0 {
                        break;
                    }
                    // A file that changes again and again while the source fails (an upstream that is being cloned) must
                    // not use up the failure budget in a moment.
                    until = until.min(failed_at + AFTER_FAILURE);
                }
            }
        }
        // Whatever else came in the meantime is answered by the pass that starts now.
        while self.triggers.try_recv().is_ok() {}
        !self.stop.is_requested()
    }

    /// One pass; `None` while another agent owns the root.
    fn pass(&mut self, deadline: &Rc<Deadline>) -> Result<Option<Outcome>, Failure> {
        // A server, or a file in the root, that makes a parser of ours panic costs a pass, never the agent.
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            if self.source.is_none() && !self.open()? {
                return Ok(None);
            }
            pass::run(self.source.as_mut().expect("opened"), deadline).map(Some)
        }));
        ran.unwrap_or_else(|_| {
            // Whatever state it was in, it is not trusted any more.
            self.source = None;
            Err(Failure::new(
                Stage::Resolve,
                "internal error: the pass panicked",
                Some("this is a defect of dagsync; the line above says where"),
                Remedy::Retry { after: None },
            ))
        })
    }

    /// Takes the root and opens the source; `false` while another agent owns it.
    fn open(&mut self) -> Result<bool, Failure> {
        let on_disk = |err: publish::Error| Failure::of(Stage::Resolve, &err);
        self.layout.create(self.config.group_write).map_err(on_disk)?;
        let lock = match self.shared.locks.acquire(&self.layout) {
            Ok(lock) => lock,
            Err(err @ publish::Error::Locked { .. }) => return self.locked_out(&err),
            Err(err) => return Err(on_disk(err)),
        };
        if !lock.is_exclusive() {
            tracing::warn!(
                "the file system of the root has no locks: make sure that one agent alone writes it"
            );
        }
        self.metrics.standby(false);
        self.shared.board.update(&self.config.name, |status| status.standby = false);
        let opened = Source::open(
            self.config.clone(),
            self.layout.clone(),
            lock,
            (self.shared.parts)(&self.config),
            self.shared.children.clone(),
            self.metrics.clone(),
        )?;
        self.tell_live(&opened);
        self.source = Some(opened);
        Ok(true)
    }

    /// What an earlier process published is served whatever comes of the first pass: a rejection, or no remote.
    fn tell_live(&self, source: &Source) {
        let Some(live) = source.live() else { return };
        let published = source.state.of(&live);
        let reference = published.map_or_else(|| self.config.reference.shown(), |it| it.reference.clone());
        self.metrics.published(&live.to_string(), &reference, source.files_of_live());
        self.shared.board.update(&self.config.name, |status| {
            status.published = Some(live.to_string());
            status.reference = published.map(|published| published.reference.clone());
        });
    }

    fn locked_out(&mut self, err: &publish::Error) -> Result<bool, Failure> {
        if self.shared.on_locked == OnLocked::Fail {
            // Whatever the failure budget is: this is what was asked for.
            tracing::error!("{err}");
            self.tell(Event::GaveUp { source: self.config.name.clone() });
            self.stop.request();
            return Ok(false);
        }
        if !self.shared.board.standby(&self.config.name) {
            tracing::info!("{err}: standing by");
        }
        self.metrics.standby(true);
        let live = source::live(&self.layout);
        if let Some((commit, tree)) = &live {
            let files = manifest::count(tree, &self.layout.store).unwrap_or(0);
            self.metrics.published(&commit.to_string(), &self.config.reference.shown(), files);
        }
        self.shared.board.update(&self.config.name, |status| {
            status.standby = true;
            status.ready |= live.is_some();
            status.published = live.as_ref().map(|(commit, _)| commit.to_string());
        });
        if self.shared.one_time && live.is_some() {
            // An init container beside somebody else's sidecar: what it is to wait for is there.
            tracing::info!("the other agent has published: nothing to do");
            self.tell(Event::Done { source: self.config.name.clone() });
            self.stop.request();
        }
        Ok(false)
    }

    fn tell(&self, event: Event) {
        (self.shared.events)(event);
    }
}
