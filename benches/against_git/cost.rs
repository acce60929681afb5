//! What a program costs: time, processor time with all its children, and memory of its own.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// Between two looks at memory. Shorter peaks may be missed.
const SAMPLE: Duration = Duration::from_millis(3);

/// What one run took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// On the clock.
    pub wall: Duration,
    /// User and system, with all descendants that were waited for.
    pub cpu: Duration,
    /// Anonymous memory of all its processes together, in bytes, at the highest.
    pub anon: u64,
    /// Given to `write` and its kin, in bytes: files, pipes and sockets, of all descendants that were waited for.
    pub written: u64,
    /// Of that, what is to reach a disk: whole pages, none of them in a file system in memory.
    pub to_disk: u64,
}

impl std::ops::Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        Cost {
            wall: self.wall + other.wall,
            cpu: self.cpu + other.cpu,
            anon: self.anon.max(other.anon),
            written: self.written + other.written,
            to_disk: self.to_disk + other.to_disk,
        }
    }
}

/// Runs a program to its end; its cost, and what it said on stderr.
///
/// # Panics
/// When it fails.
#[allow(clippy::zombie_processes, reason = "`wait4` below reaps it, and says what it cost")]
pub fn run(command: &mut Command) -> (Cost, String) {
    let start = Instant::now();
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a program to measure starts");
    let pid = child.id();
    let mut stderr = child.stderr.take().expect("a piped stderr");
    thread::scope(|scope| {
        let said = scope.spawn(move || {
            let mut text = Vec::new();
            stderr.read_to_end(&mut text).map(|_| String::from_utf8_lossy(&text).into_owned())
        });
        let ((wall, (written, to_disk), (status, cpu)), anon) = while_watching(pid, || {
            let child = Pid::from_raw(pid as i32).expect("a process id");
            // Not reaped yet: the kernel still tells what it and its children have written.
            waitid(WaitId::Pid(child), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
                .expect("the child is ours");
            (start.elapsed(), written_by(pid), wait4(pid).expect("the child is ours"))
        });
        let said = said.join().expect("reading does not panic").expect("stderr is read");
        assert!(status.success(), "{command:?}: {status}\n{said}");
        (Cost { wall, cpu, anon, written, to_disk }, said)
    })
}

/// Does something while the anonymous memory of a process and its children is looked at; its peak in bytes.
pub fn while_watching<T>(pid: u32, work: impl FnOnce() -> T) -> (T, u64) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let peak = scope.spawn(|| {
            let mut peak = anon_of_all(pid);
            while !over.load(Ordering::Relaxed) {
                pause(SAMPLE);
                peak = peak.max(anon_of_all(pid));
            }
            peak
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        (done, peak.join().expect("sampling does not panic"))
    })
}

/// What a process and its children that it has waited for have written, in bytes: by all calls (`wchar`), and towards a
/// disk (`write_bytes`).
pub fn written_by(pid: u32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).expect("the kernel counts what processes write");
    let of = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line of /proc/<pid>/io");
        value.trim().parse().expect("a number")
    };
    (of("wchar:"), of("write_bytes:"))
}

/// Processor time of a process that runs, to the nanosecond; of threads that have ended, nothing.
pub fn cpu_of(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    let of_task = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks.flatten().filter_map(of_task).sum())
}

/// Processor time of a process that runs, threads that have ended included, in steps of a clock tick: for sums over many rounds.
pub fn cpu_ever(pid: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let after_name = text.rsplit(')').next().expect("the name is in brackets");
    let field = |at: usize| -> u64 {
        after_name.split_whitespace().nth(at).expect("a field").parse().expect("a number")
    };
    // utime and stime are the fields 14 and 15; state, the first one here, is 3.
    Duration::from_nanos((field(11) + field(12)) * 1_000_000_000 / rustix::param::clock_ticks_per_second())
}

/// Anonymous memory of a process now, in bytes; 0 when it is gone.
pub fn anon_of(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn anon_of_all(pid: u32) -> u64 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let below = children.split_whitespace().filter_map(|pid| pid.parse().ok()).map(anon_of_all);
    anon_of(pid) + below.sum::<u64>()
}

/// Lets time pass between two samples.
#[expect(clippy::disallowed_methods, reason = "between two samples there is nothing to wait for")]
pub fn pause(time: Duration) {
    thread::sleep(time);
}

/// `wait4` is the only call that tells what one child has cost; the standard library and rustix do not have it.
#[expect(unsafe_code, reason = "a system call that fills two values of ours")]
fn wait4(pid: u32) -> io::Result<(ExitStatus, Duration)> {
    let mut status = 0;
    // SAFETY: all zeroes is a valid `rusage`, it is plain numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values that live until the call returns.
    while unsafe { libc::wait4(pid as libc::pid_t, &mut status, 0, &mut usage) } < 0 {
        let err = io::Error::last_os_error();
        if err.kind() != io::ErrorKind::Interrupted {
            return Err(err);
        }
    }
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    Ok((ExitStatus::from_raw(status), time(usage.ru_utime) + time(usage.ru_stime)))
}
