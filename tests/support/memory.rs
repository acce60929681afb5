//! What a part of a test takes of memory, in a process of its own.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::wait::holds_within;

/// Runs a test of this program again, with a variable that tells it to play its part and then to call [`tell_peak`].
/// The most memory that it had, in KiB.
///
/// # Panics
/// With what it said when it takes longer than `patience`, or fails.
pub fn peak_of(test: &str, (variable, value): (&str, &str), patience: Duration) -> u64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    command.env(variable, value).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().unwrap();
    let ended = holds_within(patience, || child.try_wait().unwrap().is_some());
    if !ended {
        let _ = child.kill();
    }
    let output = child.wait_with_output().unwrap();
    let (said, cried) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(ended, "{value} takes longer than {patience:?}");
    assert!(output.status.success(), "{value}: {said}{cried}");
    let peak = said.lines().find_map(|line| line.strip_prefix("peak ")?.parse::<u64>().ok());
    let peak = peak.unwrap_or_else(|| panic!("{value}: {said}"));
    println!("{value}: {} MiB, {:?}", peak >> 10, started.elapsed());
    peak
}

/// Tells [`peak_of`] what it asks for.
pub fn tell_peak() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("\npeak {}", peak.trim().trim_end_matches(" kB"));
}
