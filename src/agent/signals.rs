//! Signals as typed events, from a thread of their own.
//!
//! `SIGPIPE` needs nothing: Rust ignores it before `main`, and gives children the default back.

use std::fs;
use std::io;
use std::thread::{self, JoinHandle};

use signal_hook::consts::{FORBIDDEN, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalEvent {
    /// The first signal that asks for an end: finish or abandon what runs, cleanly.
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
pub fn listen(sync: Option<i32>, send: impl FnMut(SignalEvent) + Send + 'static) -> io::Result<Listener> {
    if let Some(signal) = sync {
        // signal-hook panics on the ones that cannot be caught.
        if FORBIDDEN.contains(&signal) || [SIGTERM, SIGINT].contains(&signal) || !(1..=64).contains(&signal) {
            let text = format!("signal {signal} cannot be used for sync-on-signal");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
    }
    listen_for(&[SIGTERM, SIGINT], sync, send)
}

/// The same for a command that somebody watches: a terminal that is closed, or Ctrl-\, ends it too, unless whoever started it has
/// said otherwise, as `nohup` does.
pub fn listen_at_a_terminal(send: impl FnMut(SignalEvent) + Send + 'static) -> io::Result<Listener> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ends: Vec<i32> =
        [SIGHUP, SIGQUIT].into_iter().filter(|signal| !is_ignored(&status, *signal)).collect();
    listen_for(&[&[SIGTERM, SIGINT], &ends[..]].concat(), None, send)
}

/// Whether a process ignores a signal, by its page in `/proc`: to catch it then would undo that.
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

fn listen_for(
    ends: &[i32],
    sync: Option<i32>,
    mut send: impl FnMut(SignalEvent) + Send + 'static,
) -> io::Result<Listener> {
    let ends = ends.to_vec();
    let mut signals = Signals::new(ends.iter().copied().chain(sync))?;
    let handle = signals.handle();
    let thread = thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut asked = false;
        for signal in signals.forever() {
            send(match signal {
                signal if !ends.contains(&signal) => SignalEvent::Sync,
                // A terminal that is closed sends it twice, once by the kernel and once by the shell: nobody is in a hurry.
                SIGHUP => SignalEvent::Terminate { signal: SIGHUP },
                signal if std::mem::replace(&mut asked, true) => SignalEvent::TerminateNow { signal },
                signal => SignalEvent::Terminate { signal },
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
    fn what_is_ignored_is_read_from_the_mask() {
        let status = "SigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\n";
        assert!(is_ignored(status, SIGHUP) && !is_ignored(status, SIGQUIT) && is_ignored(status, 13));
        assert!(!is_ignored("", SIGHUP));
    }

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
