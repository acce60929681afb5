//! The duties of process 1, done by a real one: each test starts this test program again as number 1 of a process
//! namespace of its own, where it plays one of the roles below.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use dagsync::agent::pid1::{self, Children};
use dagsync::agent::signals::{self, SignalEvent};
use rustix::process::{Signal, getpid, kill_process};

/// What a role says at its end.
const PLAYED: &str = "the role was played to its end";

/// Plays a role, if this is process 1: `cargo test -- --ignored` finds the roles too.
fn play(role: impl FnOnce(Children)) {
    if getpid().is_init() {
        role(Children::new());
        println!("{PLAYED}");
    }
}

/// Runs a role as process 1 and fails with what it said if it failed. Not being able to is a failure too: a test that
/// skips itself shows nothing.
fn as_pid1(role: &str) {
    let namespaces: [&[&str]; 2] = [&["--mount-proc"], &["--user", "--map-root-user", "--mount-proc"]];
    let unshare = |how: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child"]).args(how).stdin(Stdio::null());
        command
    };
    let works = |how: &&[&str]| unshare(how).arg("true").output().is_ok_and(|output| output.status.success());
    let how = namespaces.iter().copied().find(works).unwrap_or_else(|| {
        panic!("`unshare` cannot make a process namespace here: run as root, or allow user namespaces")
    });
    let own = std::env::current_exe().unwrap();
    let arguments = ["--ignored", "--exact", role, "--nocapture", "--test-threads=1"];
    let output: Output = unshare(how).arg(own).args(arguments).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains(PLAYED), "{}\n{said}", output.status);
}

#[test]
fn orphans_are_reaped_beside_a_child_that_nobody_waited_for_yet() {
    as_pid1("role_reaps_orphans");
}

#[test]
fn the_exit_status_of_our_own_children_is_never_taken() {
    as_pid1("role_keeps_statuses");
}

#[test]
fn termination_reaches_children_orphans_and_their_orphans() {
    as_pid1("role_passes_signals_on");
}

#[test]
fn signals_become_events() {
    as_pid1("role_listens");
}

/// Numbers and states of the children of process 1.
fn children_of_1() -> Vec<(u32, char)> {
    let mut all = Vec::new();
    for task in fs::read_dir("/proc/1/task").unwrap().flatten() {
        let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for pid in list.split_ascii_whitespace() {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('?');
            all.push((pid.parse().unwrap(), state));
        }
    }
    all
}

#[track_caller]
fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "not in time: {what}; children: {:?}",
            children_of_1()
        );
        thread::park_timeout(Duration::from_millis(5));
    }
}

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null());
    command
}

#[test]
#[ignore = "a role: run as process 1 by the tests above"]
fn role_reaps_orphans() {
    play(|children| {
        let reaper = pid1::spawn(&children).unwrap();
        assert!(reaper.is_some());

        // Nobody of ours waits for anything.
        assert!(children.spawn(&mut sh("sleep 0.1 & sleep 0.2 & exit 0")).unwrap().wait().unwrap().success());
        eventually("no children are left", || children_of_1().is_empty());
        // Nor for one of another process group.
        let mut other = sh("setsid --fork true; exit 0");
        assert!(children.spawn(&mut other).unwrap().wait().unwrap().success());
        eventually("no children of another group are left", || children_of_1().is_empty());

        // A child of ours ended and was not waited for: it stays, the orphans around it go.
        let mut unwaited = children.spawn(&mut sh("exit 42")).unwrap();
        eventually("it ended", || children_of_1().contains(&(unwaited.id(), 'Z')));
        for _ in 0..20 {
            assert!(children.spawn(&mut sh("sleep 0.05 & exit 0")).unwrap().wait().unwrap().success());
        }
        eventually("only it is left", || children_of_1() == [(unwaited.id(), 'Z')]);
        assert_eq!(unwaited.wait().unwrap().code(), Some(42));

        // One that its owner gave up is an orphan like others.
        drop(children.spawn(&mut sh("exit 0")).unwrap());
        eventually("no children are left", || children_of_1().is_empty());
        drop(reaper);
    });
}

#[test]
#[ignore = "a role: run as process 1 by the tests above"]
fn role_keeps_statuses() {
    play(|children| {
        let _reaper = pid1::spawn(&children).unwrap().unwrap();
        thread::scope(|scope| {
            for worker in 0..4 {
                let children = &children;
                scope.spawn(move || {
                    for round in 0..50 {
                        let code = (worker * 50 + round) % 256;
                        // Orphans that end at the same moment, to keep the reaper busy.
                        let script = format!("true & true & exit {code}");
                        let mut child = children.spawn(&mut sh(&script)).unwrap();
                        if round % 3 == 0 {
                            // It has ended before its owner waits: the reaper must leave it alone.
                            eventually("it ended", || children_of_1().contains(&(child.id(), 'Z')));
                        }
                        assert_eq!(child.wait().unwrap().code(), Some(code));
                        assert!(children.spawn(&mut Command::new("/nonexistent")).is_err());
                    }
                });
            }
        });
        eventually("no children are left", || children_of_1().is_empty());
    });
}

#[test]
#[ignore = "a role: run as process 1 by the tests above"]
fn role_passes_signals_on() {
    play(|children| {
        let reaper = pid1::spawn(&children).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // Says when it is there and when it was told, and ends only then.
        let waits = |name: &str, first: &str| {
            let file = at(name).display().to_string();
            format!(
                "trap 'echo > {file}.told; exit 0' TERM; {first} echo > {file}.there; while :; do sleep 0.05; done"
            )
        };
        let inner = waits("grandchild", "");
        let outer = waits("orphan", &format!("({inner}) &"));
        let group = waits("group", "");
        fs::write(at("outer.sh"), outer).unwrap();
        fs::write(at("group.sh"), group).unwrap();
        let launch = format!(
            "sh {} & setsid sh -c 'sh {} & wait' & exit 0",
            at("outer.sh").display(),
            at("group.sh").display()
        );
        assert!(children.spawn(&mut sh(&launch)).unwrap().wait().unwrap().success());
        let mut own = children.spawn(&mut sh(&waits("own", ""))).unwrap();
        let exists = |end: &str| {
            ["orphan", "grandchild", "group", "own"]
                .iter()
                .all(|name| Path::new(&at(&format!("{name}.{end}"))).exists())
        };
        eventually("all are there", || exists("there"));

        kill_process(getpid(), Signal::TERM).unwrap();
        eventually("all were told", || exists("told"));
        assert_eq!(own.wait().unwrap().code(), Some(0));
        drop(own);
        eventually("no children are left", || children_of_1().is_empty());
        drop(reaper);
    });
}

#[test]
#[ignore = "a role: run as process 1 by the tests above"]
fn role_listens() {
    play(|_| {
        let (sender, events) = mpsc::channel();
        let listener =
            signals::listen(Some(Signal::HUP.as_raw()), move |event| sender.send(event).unwrap()).unwrap();
        let expect = |signal: Signal, event: SignalEvent| {
            kill_process(getpid(), signal).unwrap();
            assert_eq!(events.recv_timeout(Duration::from_secs(20)), Ok(event));
        };
        let (term, int) = (Signal::TERM.as_raw(), Signal::INT.as_raw());
        expect(Signal::HUP, SignalEvent::Sync);
        expect(Signal::TERM, SignalEvent::Terminate { signal: term });
        expect(Signal::HUP, SignalEvent::Sync);
        expect(Signal::INT, SignalEvent::TerminateNow { signal: int });
        expect(Signal::TERM, SignalEvent::TerminateNow { signal: term });

        let status = fs::read_to_string("/proc/self/status").unwrap();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
        let bit = 1 << (Signal::PIPE.as_raw() - 1);
        assert_ne!(u64::from_str_radix(ignored, 16).unwrap() & bit, 0, "SIGPIPE is ignored");

        drop(listener);
        assert!(events.recv().is_err(), "the listener's thread is gone");
    });
}
