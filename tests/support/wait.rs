//! Waiting for things to become true, and ports that nobody else will take.

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for something that should take milliseconds. Generous: machines that build are slow, and only
/// a failing test ever waits this long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `cond` holds, asking every few milliseconds.
///
/// # Panics
/// When it does not within `deadline`; `what` says what was awaited.
#[track_caller]
pub fn wait_until(deadline: Duration, what: &str, cond: impl FnMut() -> bool) {
    assert!(holds_within(deadline, cond), "waited {deadline:?} in vain for: {what}");
}

/// Whether `cond` comes to hold within `deadline`.
#[expect(clippy::disallowed_methods, reason = "the one place that waits: between two looks at a condition")]
pub fn holds_within(deadline: Duration, mut cond: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + deadline;
    loop {
        if cond() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(Duration::from_millis(4));
    }
}

/// A TCP port on loopback that nothing listens on.
///
/// From below the ephemeral range, so that no client's outgoing connection takes it between here and its use; at random,
/// so that test programs running side by side do not meet; never the same one twice in a program.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    for _ in 0..1000 {
        let port = fastrand::u16(12_000..32_000);
        let mut given = GIVEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && given.get_or_insert_default().insert(port) {
            return port;
        }
    }
    panic!("no free port on 127.0.0.1 between 12000 and 32000");
}
