//! The agent as process 1 of its container: it ends when asked, and waits for orphans.

mod support;

use std::fs;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use support::observe::sidecar;
use support::process::{as_process_1, program};
use support::wait::{PATIENCE, wait_until};
use support::{Agent, Repo, temp};

/// Children of a process, as this process numbers them.
fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

#[test]
fn process_1_ends_when_asked_and_reaps_what_it_did_not_start() {
    let folder = temp();
    let repo = Repo::bare(folder.path().join("up.git"));
    let head = repo.commit(&[("a", "1\n")]);
    let root = folder.path().join("root");
    let lifeline = folder.path().join("lifeline");
    assert!(Command::new(program("mkfifo")).arg(&lifeline).status().unwrap().success());
    let inner = sidecar(repo.git_dir(), &root).args(["--period=1h"]).command();

    // The shell is process 1 and becomes the agent, which so inherits a child that it never started.
    let mut command = as_process_1();
    command
        .args(["/bin/sh", "-c", "read line < \"$0\" & exec \"$@\""])
        .arg(&lifeline)
        .arg(inner.get_program())
        .args(inner.get_args());
    let mut agent = Agent::spawn(command);
    agent.wait_published(&root, "current", &head);
    let own = *children(agent.pid()).first().expect("process 1");
    assert!(name(own).starts_with("dagsync"), "{}", name(own));
    assert_eq!(children(own).len(), 1, "the child of the shell");
    // It ends, and nobody but process 1 can wait for it.
    fs::write(&lifeline, "end\n").unwrap();
    wait_until(PATIENCE, "the orphan to be reaped", || children(own).is_empty());

    kill_process(Pid::from_raw(own as i32).unwrap(), Signal::TERM).unwrap();
    let status = agent.wait_exit(Duration::from_secs(10)).expect("process 1 ends when asked");
    assert_eq!(status.code(), Some(0), "{}", agent.stderr());
    assert!(agent.stderr().contains("asked to stop"), "{}", agent.stderr());
}
