//! How long a pass may take, and the wish to stop.
//!
//! One value answers both, for code that waits (`expired` beside a socket), for code that loops (`check`), and for gix,
//! which looks at an `AtomicBool`. Monotonic time only: a clock that jumps stops nothing.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;

/// A wish to stop, made once, seen by everyone who holds a clone.
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Stop(Arc::new(watch::Sender::new(false)))
    }
}

impl Stop {
    /// Nobody wants to stop yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everyone to stop. Idempotent.
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    /// Whether somebody asked.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves when somebody asked.
    pub async fn requested(&self) {
        let mut seen = self.0.subscribe();
        // An error means that the sender is gone, which cannot be while `self` lives.
        let _ = seen.wait_for(|stop| *stop).await;
    }
}

/// Why a pass must end now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Expired {
    /// The time of the pass is over.
    #[error("timed out after {}", humantime::format_duration(*.0))]
    TimedOut(Duration),
    /// The agent is being stopped.
    #[error("stopped")]
    Stopped,
}

/// The end of a pass. Dropping it ends its watch.
#[derive(Debug)]
pub struct Deadline {
    at: Instant,
    timeout: Duration,
    stop: Stop,
    runtime: Handle,
    interrupt: Arc<AtomicBool>,
    watch: OnceLock<tokio::task::AbortHandle>,
}

impl Deadline {
    /// Starts the clock. `runtime` watches it, so that code which only looks at [`Deadline::interrupt`] ends in time.
    pub fn start(timeout: Duration, stop: &Stop, runtime: &Handle) -> Self {
        let at = Instant::now() + timeout;
        let interrupt = Arc::new(AtomicBool::new(stop.is_requested()));
        Deadline {
            at,
            timeout,
            stop: stop.clone(),
            runtime: runtime.clone(),
            interrupt,
            watch: OnceLock::new(),
        }
    }

    /// The flag for gix, set at the deadline or when the agent stops. It is watched from the first call on: an idle pass
    /// asks for none, and waking another thread twice would be a good part of its cost.
    pub fn interrupt(&self) -> &AtomicBool {
        self.watch.get_or_init(|| {
            let (at, stop, interrupt) = (self.at, self.stop.clone(), self.interrupt.clone());
            let watch = self.runtime.spawn(async move {
                tokio::select! {
                    () = tokio::time::sleep_until(at.into()) => {}
                    () = stop.requested() => {}
                }
                interrupt.store(true, Ordering::Relaxed);
            });
            watch.abort_handle()
        });
        &self.interrupt
    }

    /// The time that is left, or why there is none.
    pub fn remaining(&self) -> Result<Duration, Expired> {
        if self.stop.is_requested() {
            return Err(Expired::Stopped);
        }
        match self.at.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(Expired::TimedOut(self.timeout)),
            left => Ok(left),
        }
    }

    /// For loops: an error as soon as the pass must end.
    pub fn check(&self) -> Result<(), Expired> {
        self.remaining().map(|_| ())
    }

    /// `work`, unless the pass must end first.
    pub async fn bound<T>(&self, work: impl Future<Output = T>) -> Result<T, Expired> {
        self.check()?;
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.stop.requested() => Err(Expired::Stopped),
            () = tokio::time::sleep_until(self.at.into()) => Err(Expired::TimedOut(self.timeout)),
        }
    }

    /// The same, for code that is not async. `work` runs beside the runtime, which wakes it; not from within another one.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, Expired> {
        self.runtime.block_on(self.bound(work))
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.get() {
            watch.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A runtime that somebody else drives, as in the agent.
    fn driven() -> Handle {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let handle = runtime.handle().clone();
        std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        handle
    }

    #[test]
    fn work_that_hangs_ends_at_the_deadline() {
        let rt = driven();
        let deadline = Deadline::start(Duration::from_millis(20), &Stop::new(), &rt);
        let got = rt.block_on(deadline.bound(std::future::pending::<()>()));
        assert_eq!(got, Err(Expired::TimedOut(Duration::from_millis(20))));
        let since = Instant::now();
        while !deadline.interrupt().load(Ordering::Relaxed) {
            assert!(since.elapsed() < Duration::from_secs(5), "the flag for gix must be set too");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_stop_ends_work_at_once_and_wins_over_the_deadline() {
        let rt = driven();
        let stop = Stop::new();
        let deadline = Deadline::start(Duration::from_secs(3600), &stop, &rt);
        assert!(deadline.check().is_ok());
        let asker = stop.clone();
        let thread = std::thread::spawn(move || asker.request());
        assert_eq!(rt.block_on(deadline.bound(std::future::pending::<()>())), Err(Expired::Stopped));
        assert_eq!(deadline.check(), Err(Expired::Stopped));
        thread.join().unwrap();
    }
}
