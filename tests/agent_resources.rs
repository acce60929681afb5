//! What the agent takes, and what it does with little: descriptors, memory, processor time, a clock that jumps.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::observe::{address, ready, sample, sidecar, wait_for_passes};
use support::process::program;
use support::{Agent, GitServer, Repo, temp};
use tempfile::TempDir;

fn upstream() -> (TempDir, Repo, PathBuf) {
    let folder = temp();
    let repo = Repo::bare(folder.path().join("srv/up.git"));
    repo.commit(&[("dags/a.py", "a = 1\n")]);
    let root = folder.path().join("root");
    (folder, repo, root)
}

/// Advisories §2, 28.
#[test]
fn fd_limit_64() {
    let (folder, repo, root) = upstream();
    for number in 0..2000 {
        repo.write(&format!("dags/d{}/f{number}.py", number % 50), format!("n = {number}\n"));
    }
    let head = repo.commit_all("many files");
    let server = GitServer::plain(folder.path().join("srv"));
    let inner = sidecar(server.url("up.git"), &root).args(["--period=50ms"]).command();
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
        .arg(inner.get_program())
        .args(inner.get_args());
    command.env_clear();
    let agent = Agent::spawn(command);
    let at = address(&agent);
    agent.wait_published(&root, "current", &head);
    // Clients that hold connections take descriptors too; passes go on.
    let idle: Vec<_> = (0..80).map(|_| std::net::TcpStream::connect(at)).collect();
    let next = repo.commit(&[("dags/a.py", "a = 2\n")]);
    agent.wait_published(&root, "current", &next);
    drop(idle);
    agent.wait_until("readiness", || {
        support::agent::http_get(at, "/", &[]).is_ok_and(|reply| reply.status == 200)
    });
    let open = descriptors(at);
    assert!(open < 40.0, "{open}");
}

/// How many are open, as the agent itself sees it: nobody else of its uid may look.
fn descriptors(at: std::net::SocketAddr) -> f64 {
    sample(at, "process_open_fds").expect("a number")
}

/// A line of `/proc/<pid>/status`, in KiB.
fn memory(agent: &Agent, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a line");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn memory_and_descriptors_stay_flat_over_hundreds_of_passes() {
    let (folder, repo, root) = upstream();
    let server = GitServer::plain(folder.path().join("srv"));
    let agent = sidecar(server.url("up.git"), &root).args(["--period=10ms"]).start();
    let at = address(&agent);
    let publish = |from: usize| {
        for number in from..from + 5 {
            let head = repo.commit(&[("dags/a.py", &format!("a = {number}\n"))]);
            agent.wait_published(&root, "current", &head);
        }
    };
    publish(0);
    wait_for_passes(at, "current", "noop", 50);
    let (before, open) = (memory(&agent, "VmRSS"), descriptors(at));
    publish(10);
    wait_for_passes(at, "current", "noop", 250);
    let (after, open_after) = (memory(&agent, "VmRSS"), descriptors(at));
    // A leak of one answer of the server (some KiB) per pass would be more than this.
    assert!(after < before + 4096, "{before} KiB, then {after} KiB");
    assert!(open_after <= open + 4.0, "{open} descriptors, then {open_after}");
}

/// Clock ticks of a process so far, in hundredths of a second.
fn processor_time(agent: &Agent) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", agent.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_hundred_idle_passes_cost_next_to_nothing() {
    let (_folder, repo, root) = upstream();
    let agent = sidecar(repo.git_dir(), &root).args(["--period=10ms"]).start();
    let at = address(&agent);
    wait_for_passes(at, "current", "noop", 5);
    let passes = || sample(at, r#"dagsync_passes_total{result="noop",source="current"}"#).unwrap();
    let (ticks, done) = (processor_time(&agent), passes());
    wait_for_passes(at, "current", "noop", done as u32 + 100);
    let per_pass = 10.0 * (processor_time(&agent) - ticks) as f64 / (passes() - done);
    // Milliseconds, of a build without optimisation, our asking for metrics all the while included.
    assert!(per_pass < 20.0, "{per_pass} ms");
}

/// Makes the wall clock jump for whoever it is loaded into, by files that exist.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, now);
    if (id == CLOCK_REALTIME) {
        if (access(getenv("JUMP_BACK"), F_OK) == 0) now->tv_sec -= 10L * 365 * 86400;
        if (access(getenv("JUMP_AHEAD"), F_OK) == 0) now->tv_sec += 10L * 365 * 86400;
    }
    return result;
}
"#;

fn shim(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("shim.c"), folder.join("shim.so"));
    fs::write(&source, SHIM).unwrap();
    let built = Command::new(program("cc"))
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl")
        .output();
    let built = built.expect("a C compiler");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    library
}

/// Advisories §2, 8.
#[test]
fn clock_jumps_do_not_stop_polling() {
    let (folder, repo, root) = upstream();
    let server = GitServer::plain(folder.path().join("srv"));
    let (back, ahead) = (folder.path().join("back"), folder.path().join("ahead"));
    let launch = sidecar(server.url("up.git"), &root).args(["--period=50ms", "--stale-worktree-timeout=1h"]);
    let agent = launch
        .env("LD_PRELOAD", shim(folder.path()))
        .env("JUMP_BACK", &back)
        .env("JUMP_AHEAD", &ahead)
        .start();
    let at = address(&agent);
    wait_for_passes(at, "current", "noop", 1);
    let last = || sample(at, r#"dagsync_last_attempt_timestamp_seconds{source="current"}"#).unwrap();
    let count = || sample(at, r#"dagsync_passes_total{result="noop",source="current"}"#).unwrap() as u32;
    let now = last();
    let years = 5.0 * 365.0 * 86400.0;
    for (number, (file, jumped)) in
        [(&back, now - years), (&ahead, now + years), (&back, now - years)].into_iter().enumerate()
    {
        fs::write(file, "").unwrap();
        agent.wait_until("the clock to jump", || {
            (last() < now - years) == (jumped < now) && (last() > now + years) == (jumped > now)
        });
        let so_far = count();
        wait_for_passes(at, "current", "noop", so_far + 3);
        let head = repo.commit(&[("dags/a.py", &format!("a = {number}\n"))]);
        agent.wait_published(&root, "current", &head);
        fs::remove_file(file).unwrap();
    }
    assert_eq!(ready(at), 200);
    assert!(!agent.stderr().contains("\"level\":\"error\""), "{}", agent.stderr());
}
