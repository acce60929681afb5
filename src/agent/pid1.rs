//! The duties of process 1: in a container the agent often is `init`.
//!
//! Process 1 becomes the parent of every orphan, so somebody must wait for those, and the kernel kills everything in
//! the container at once when process 1 goes, so somebody must warn them.
//!
//! Waiting for *any* child would take the exit status away from whoever waits for a child of our own, so those are
//! known by number, in [`Children`]. Why this has no race:
//!
//! - A child is started and its number written down under one lock, which the reaper holds while it reaps: it never sees
//!   a child of ours that is not written down, not even one whose program could not be started.
//! - A number is struck off after its owner waited, or gave up: what the reaper takes has no owner any more.
//! - A number stands for one process until that is waited for, and orphans are waited for by the reaper alone: between
//!   reading `/proc` and waiting for the number, it cannot become another process.
//!
//! The other way, a small parent process that only reaps, costs every container a second process for the same result.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::ops::{Deref, DerefMut};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, wait, waitpid};
use signal_hook::SigId;
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::low_level::{pipe, unregister};

/// An orphan is looked for so often when no signal came: one that a dropped [`OwnChild`] left behind sends none.
const FALLBACK: Duration = Duration::from_secs(5);

/// The children that somebody of ours waits for. Cheap to clone; all clones are one.
///
/// **Every** child process must be started through it: one that is not may lose its exit status to the reaper.
#[derive(Debug, Clone, Default)]
pub struct Children {
    pids: Arc<Mutex<BTreeSet<i32>>>,
}

impl Children {
    /// None yet.
    pub fn new() -> Children {
        Children::default()
    }

    /// Starts a child that the caller waits for.
    pub fn spawn(&self, command: &mut Command) -> io::Result<OwnChild> {
        let mut pids = self.lock();
        let child = command.spawn()?;
        let pid = child.id() as i32;
        pids.insert(pid);
        Ok(OwnChild { child, entry: Entry { pid, children: self.clone() } })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A child that is waited for by its owner. Dropped before that, it is left to the reaper, if this is process 1.
#[derive(Debug)]
pub struct OwnChild {
    child: Child,
    entry: Entry,
}

impl OwnChild {
    /// As [`Child::wait_with_output`].
    pub fn wait_with_output(self) -> io::Result<Output> {
        let OwnChild { child, entry } = self;
        let output = child.wait_with_output();
        drop(entry);
        output
    }
}

impl Deref for OwnChild {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.child
    }
}

impl DerefMut for OwnChild {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.child
    }
}

/// A number in [`Children`], struck off when dropped.
#[derive(Debug)]
struct Entry {
    pid: i32,
    children: Children,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.children.lock().remove(&self.pid);
    }
}

/// The thread that does the duties, until dropped.
#[derive(Debug)]
pub struct Reaper {
    stop: Arc<AtomicBool>,
    wake: UnixStream,
    handlers: Vec<SigId>,
    thread: Option<JoinHandle<()>>,
}

/// Takes the duties on if this is process 1, and does nothing otherwise.
///
/// From here on orphans are reaped, and `SIGTERM` and `SIGINT` are passed on to every direct child (to its process
/// group, if it leads one), also to those that become ours because their parent heeded the signal.
pub fn spawn(children: &Children) -> io::Result<Option<Reaper>> {
    if !getpid().is_init() {
        return Ok(None);
    }
    let (wake, woken) = UnixStream::pair()?;
    woken.set_read_timeout(Some(FALLBACK))?;
    // The handler writes a byte without waiting; a full socket already wakes.
    let mut handlers = vec![pipe::register(SIGCHLD, wake.try_clone()?)?];
    let mut flags = Vec::new();
    for (number, signal) in [(SIGTERM, Signal::TERM), (SIGINT, Signal::INT)] {
        let flag = Arc::new(AtomicBool::new(false));
        // In this order: who is woken finds the flag set.
        handlers.push(signal_hook::flag::register(number, flag.clone())?);
        handlers.push(pipe::register(number, wake.try_clone()?)?);
        flags.push((flag, signal));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut duty = Duty { children: children.clone(), flags, passed_on: None };
    let stopped = stop.clone();
    let thread = thread::Builder::new().name("pid1".to_owned()).spawn(move || {
        let mut woken = woken;
        while !stopped.load(Ordering::Acquire) {
            duty.round();
            // Any result is a reason to look: bytes, or the time is up.
            let _ = woken.read(&mut [0; 256]);
        }
    })?;
    Ok(Some(Reaper { stop, wake, handlers, thread: Some(thread) }))
}

impl Drop for Reaper {
    fn drop(&mut self) {
        for id in self.handlers.drain(..) {
            unregister(id);
        }
        self.stop.store(true, Ordering::Release);
        let _ = self.wake.write(&[0]);
        let _ = self.wake.shutdown(Shutdown::Write);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Duty {
    children: Children,
    flags: Vec<(Arc<AtomicBool>, Signal)>,
    /// The signal that ends us, and who got it.
    passed_on: Option<(Signal, BTreeSet<i32>)>,
}

impl Duty {
    fn round(&mut self) {
        let mut asked = None;
        for (flag, signal) in &self.flags {
            if flag.swap(false, Ordering::AcqRel) {
                asked = Some(*signal);
            }
        }
        if let Some(signal) = asked {
            // Whoever ignored the first one is told again.
            self.passed_on = Some((signal, BTreeSet::new()));
        }
        let own = self.children.lock();
        reap(&own);
        if let Some((signal, told)) = &mut self.passed_on {
            let now = direct_children().unwrap_or_default();
            told.retain(|pid| now.iter().any(|child| child.pid == *pid));
            for child in now.iter().filter(|child| !child.zombie) {
                // A child that the agent starts while it ends is its own affair; an orphan has nobody else.
                let tell = asked.is_some() || !own.contains(&child.pid);
                if tell && told.insert(child.pid) {
                    pass_on(child, *signal);
                }
            }
        }
    }
}

/// Waits for every orphan that ended. The caller holds the lock. Without a `/proc` of our own, orphans stay until no child
/// of ours is left.
fn reap(own: &BTreeSet<i32>) {
    if own.is_empty() {
        // Nobody waits for anything: no need to look who it was, nor for a `/proc`.
        // `waitpid` of nobody is about our own process group alone.
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        return;
    }
    for orphan in direct_children().unwrap_or_default() {
        if orphan.zombie
            && !own.contains(&orphan.pid)
            && let Some(pid) = Pid::from_raw(orphan.pid)
        {
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

fn pass_on(child: &Process, signal: Signal) {
    let Some(pid) = Pid::from_raw(child.pid) else { return };
    // It may be gone by now; then that was the aim.
    let _ =
        if child.group == child.pid { kill_process_group(pid, signal) } else { kill_process(pid, signal) };
}

/// A direct child, from its `/proc/<pid>/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    pid: i32,
    zombie: bool,
    parent: i32,
    group: i32,
}

impl Process {
    fn parse(stat: &str) -> Option<Process> {
        let (pid, rest) = stat.split_once(' ')?;
        // The name in parentheses may hold spaces and parentheses.
        let mut fields = rest.rsplit_once(") ")?.1.split(' ');
        let zombie = matches!(fields.next()?, "Z" | "X");
        let mut number = || fields.next()?.parse().ok();
        Some(Process { pid: pid.parse().ok()?, zombie, parent: number()?, group: number()? })
    }
}

/// All direct children, from the list of all processes: `/proc/<pid>/task/<tid>/children` is shorter, but the kernel may
/// leave some out of it while others end, and not every kernel has it. A container has few processes.
///
/// `None` if `/proc` is not there, or belongs to another namespace, whose numbers mean others.
fn direct_children() -> Option<Vec<Process>> {
    let me = getpid().as_raw_nonzero().get();
    let myself = Process::parse(&fs::read_to_string("/proc/self/stat").ok()?)?;
    if myself.pid != me {
        return None;
    }
    let stats = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| {
        let name = entry.file_name();
        let number = name.to_str().filter(|name| name.bytes().all(|b| b.is_ascii_digit()))?;
        // A process that ends in between has no file any more.
        fs::read_to_string(format!("/proc/{number}/stat")).ok()
    });
    Some(stats.filter_map(|stat| Process::parse(&stat)).filter(|process| process.parent == me).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    // The duties themselves are shown by `tests/pid1.rs`, in a process that is number 1.

    #[test]
    fn other_processes_have_no_duties() {
        assert!(spawn(&Children::new()).unwrap().is_none());
    }

    #[test]
    fn a_child_is_known_until_its_owner_is_done() {
        let children = Children::new();
        let mut child = children.spawn(&mut Command::new("true")).unwrap();
        let pid = child.id() as i32;
        assert!(children.lock().contains(&pid));
        assert!(child.wait().unwrap().success());
        assert!(children.lock().contains(&pid), "the owner may still ask for the status");
        drop(child);
        assert!(children.lock().is_empty());

        let output =
            children.spawn(Command::new("echo").arg("x").stdout(std::process::Stdio::piped())).unwrap();
        assert_eq!(output.wait_with_output().unwrap().stdout, b"x\n");
        assert!(children.lock().is_empty());

        let missing = children.spawn(&mut Command::new("/nonexistent/program"));
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(children.lock().is_empty());
    }

    #[test]
    fn direct_children_are_found_with_state_and_group() {
        use std::os::unix::process::CommandExt as _;
        let children = Children::new();
        let mut child = children.spawn(Command::new("sleep").arg("60").process_group(0)).unwrap();
        let pid = child.id() as i32;
        let find = || direct_children().unwrap().into_iter().find(|process| process.pid == pid);
        let alive = find().unwrap();
        assert_eq!((alive.group, alive.zombie), (pid, false));
        child.kill().unwrap();
        while !find().unwrap().zombie {
            thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(find(), None);
    }

    #[test]
    fn stat_of_a_program_with_a_strange_name_is_read() {
        let stat = "12 (a) Z 1 (b) c) S 1 12 12 0 -1 4194304";
        assert_eq!(Process::parse(stat), Some(Process { pid: 12, zombie: false, parent: 1, group: 12 }));
        let stat = "13 (sh) Z 1 5 5 0 -1 4194304";
        assert_eq!(Process::parse(stat), Some(Process { pid: 13, zombie: true, parent: 1, group: 5 }));
        assert_eq!(Process::parse("13 (sh"), None);
    }
}
