//! Signals as typed events, from a thread of their own.
//!
//! `SIGPIPE` needs nothing: Rust ignores it before `main`, and gives children the default back.

use std::io;
use std::thread::{self, JoinHandle};

use signal_hook::consts::{FORBIDDEN, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalEvent {
    /// The first `SIGTERM` or `SIGINT`: finish or abandon what runs, cleanly.
    Terminate {
        /// Which of them.
        signal: i32,
    },
    /// Another one: whoever sends it does not want to wait.
    TerminateNow {
        /// Which of them.
        signal: i32,
    },
    /// `sync-on-signal`: every source looks at its remote now.
    Sync,
}

/// Listens until dropped. The signals stay caught after that, and do nothing.
#[derive(Debug)]
pub struct Listener {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// Sends an event for each signal from here on; `sync` is the number of `sync-on-signal`. Many signals at once may
/// come as one event, as signals do. `send` should only put the event into a channel.
pub fn listen(sync: Option<i32>, mut send: impl FnMut(SignalEvent) + Send + 'static) -> io::Result<Listener> {
    if let Some(signal) = sync {
        // signal-hook panics on the ones that cannot be caught.
        if FORBIDDEN.contains(&signal) || [SIGTERM, SIGINT].contains(&signal) || !(1..=64).contains(&signal) {
            let text = format!("signal {signal} cannot be used for sync-on-signal");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
    }
    let mut signals = Signals::new([SIGTERM, SIGINT].into_iter().chain(sync))?;
    let handle = signals.handle();
    let thread = thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut asked = false;
        for signal in signals.forever() {
            send(match signal {
                SIGTERM | SIGINT if std::mem::replace(&mut asked, true) => {
                    SignalEvent::TerminateNow { signal }
                }
                SIGTERM | SIGINT => SignalEvent::Terminate { signal },
                _ => SignalEvent::Sync,
            });
        }
    })?;
    Ok(Listener { handle, thread: Some(thread) })
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // A `send` that panicked was reported by the panic hook.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Real signals belong to the whole process: `tests/pid1.rs` sends them to one of its own.

    #[test]
    fn signals_that_cannot_be_caught_are_refused_and_do_not_panic() {
        for signal in [9, 19, 11, 4, 8, SIGTERM, SIGINT, 0, -1, 65, 1_000_000] {
            assert_eq!(
                listen(Some(signal), drop).unwrap_err().kind(),
                io::ErrorKind::InvalidInput,
                "{signal}"
            );
        }
    }
}
