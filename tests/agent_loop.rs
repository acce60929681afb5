//! The loop: when passes come, what ends them, what ends the agent, and the files that tell of it.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use support::agent::Launch;
use support::observe::{address, log_lines, pauses, said, sidecar, upstream, wait_for_passes};
use support::wait::PATIENCE;
use support::{Answer, Hostile, Repo};

const LONG: Duration = Duration::from_secs(30);

fn failures(stderr: &str) -> usize {
    log_lines(stderr).iter().filter(|line| line["stage"] == "resolve").count()
}

#[test]
fn passes_come_a_period_apart_with_some_jitter() {
    let (_folder, repo, root) = upstream();
    let agent = sidecar(repo.git_dir(), &root).args(["--period=100ms", "-v", "1"]).start();
    agent.wait_until("ten idle passes", || said(&agent, "nothing new").len() >= 10);
    let pauses = pauses(&said(&agent, "nothing new"));
    assert!(pauses.iter().all(|pause| *pause >= Duration::from_millis(100)), "{pauses:?}");
    // Passes of equal work a period apart would all be alike.
    assert!(pauses.iter().min() < pauses.iter().max(), "{pauses:?}");
}

#[test]
fn until_the_first_success_the_pace_and_the_budget_of_init_count() {
    let (folder, _, root) = upstream();
    let later = folder.path().join("later.git");
    let init = [
        "--period=1h",
        "--init-period=50ms",
        "--init-max-failures=-1",
        "--max-failures=0",
        "--sync-on-signal=HUP",
    ];
    let mut agent = sidecar(&later, &root).args(init).start();
    agent.wait_for_text("\"failures\":2", LONG);
    let repo = Repo::bare(&later);
    let head = repo.commit(&[("a", "1\n")]);
    agent.wait_published(&root, "current", &head);
    // Then it is the hour's turn, which only a signal cuts short; and no failure is tolerated any more.
    fs::rename(&later, folder.path().join("gone.git")).unwrap();
    agent.signal(Signal::HUP);
    assert_eq!(agent.wait_exit(LONG).and_then(|status| status.code()), Some(1), "{}", agent.stderr());
}

#[test]
fn no_failure_is_tolerated_unless_asked_for() {
    let (folder, _, root) = upstream();
    let done = sidecar(folder.path().join("missing"), &root).args(["--period=20ms"]).run(LONG);
    assert_eq!(done.status.code(), Some(1), "{}", done.stderr);
    assert_eq!(failures(&done.stderr), 1, "{}", done.stderr);
}

#[test]
fn a_budget_of_n_tolerates_n_failures_in_a_row() {
    let (folder, _, root) = upstream();
    let args = ["--period=20ms", "--max-failures=3", "-v", "1"];
    let done = sidecar(folder.path().join("missing"), &root).args(args).run(LONG);
    assert_eq!(done.status.code(), Some(1), "{}", done.stderr);
    assert_eq!(failures(&done.stderr), 4, "{}", done.stderr);
}

#[test]
fn a_negative_budget_goes_on_for_ever_and_says_the_same_thing_less_and_less() {
    let hostile = Hostile::new(|_| Answer::status(503));
    let (_folder, _, root) = upstream();
    let agent = sidecar(hostile.url(), &root).args(["--period=10ms", "--max-failures=-1"]).start();
    hostile.wait_for_requests(6);
    agent.wait_for_text("\"failures\":4", LONG);
    let shown: Vec<u64> =
        log_lines(&agent.stderr()).iter().filter_map(|line| line["failures"].as_u64()).collect();
    assert!(shown.iter().all(|failures| failures.is_power_of_two()), "{shown:?}");
}

#[test]
fn failures_are_asked_about_less_and_less_often() {
    let (folder, _, root) = upstream();
    let args = ["--period=40ms", "--max-failures=-1", "-v", "1"];
    let agent = sidecar(folder.path().join("missing"), &root).args(args).start();
    agent.wait_for_text("\"failures\":6", LONG);
    let lines: Vec<_> =
        log_lines(&agent.stderr()).into_iter().filter(|line| line["stage"] == "resolve").collect();
    let pauses = pauses(&lines);
    // 40, 80, 160, 320, 640 ms at least; a busy machine makes them longer, never shorter.
    for (pause, least) in pauses.iter().zip([40, 80, 160, 320, 640]) {
        assert!(*pause >= Duration::from_millis(least), "{pauses:?}");
    }
}

#[test]
fn a_server_that_stalls_ends_with_the_time_of_the_pass_wherever_it_stalls() {
    let (_folder, repo, root) = upstream();
    for stall in ["advertisement", "fetch", "pack"] {
        let hostile = Hostile::over(&repo, move |asked, honest| match stall {
            "advertisement" if asked.is_advertisement() => Answer::silence(),
            "fetch" if asked.is_fetch() => Answer::silence(),
            "pack" if asked.is_fetch() => honest.stall_after(60),
            _ => honest,
        });
        let start = Instant::now();
        let done = sidecar(hostile.url(), &root).args(["--sync-timeout=700ms"]).run(LONG);
        let took = start.elapsed();
        assert_eq!(done.status.code(), Some(1), "{stall}: {}", done.stderr);
        assert!(done.stderr.contains("700ms"), "{stall}: {}", done.stderr);
        assert!((Duration::from_millis(700)..Duration::from_secs(10)).contains(&took), "{stall}: {took:?}");
        assert!(!root.join("current").exists(), "{stall}");
    }
}

#[test]
fn the_time_of_the_pass_is_not_per_request() {
    let (_folder, repo, root) = upstream();
    // Each byte comes in time for any idle limit; all of them never do.
    let hostile = Hostile::over(&repo, |asked, honest| {
        if asked.is_fetch() { honest.trickle_after(20, Duration::from_millis(100)) } else { honest }
    });
    let start = Instant::now();
    let done = sidecar(hostile.url(), &root).args(["--sync-timeout=800ms"]).run(LONG);
    assert_eq!(done.status.code(), Some(1), "{}", done.stderr);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn the_signal_wakes_at_once() {
    let (_folder, repo, root) = upstream();
    // Over HTTP, so that nothing but the signal can tell of the push.
    let hostile = Hostile::over(&repo, |_, honest| honest);
    for name in ["SIGHUP", "HUP", "1"] {
        let launch = sidecar(hostile.url(), &root).args(["--period=1h"]).set("sync-on-signal", name);
        let agent = launch.start();
        wait_for_passes(address(&agent), "current", if name == "SIGHUP" { "success" } else { "noop" }, 1);
        let head = repo.commit(&[("dags/a.py", name)]);
        let start = Instant::now();
        agent.signal(Signal::HUP);
        agent.wait_published(&root, "current", &head);
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}

#[test]
fn a_signal_during_a_pass_makes_one_more_pass() {
    let (_folder, repo, root) = upstream();
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    // The first listing of refs waits until the test has pushed and signalled, and then tells of what was before.
    let hostile = Hostile::over(&repo, move |asked, honest| {
        if asked.is_ls_refs() {
            // Afterwards nobody holds the other end, and nothing waits.
            let _ = gate.lock().unwrap().recv_timeout(PATIENCE);
        }
        honest
    });
    let agent =
        sidecar(hostile.url(), &root).args(["--period=1h", "--sync-on-signal=HUP", "-v", "1"]).start();
    hostile.wait_for_requests(2);
    let head = repo.commit(&[("dags/a.py", "a = 2\n")]);
    agent.signal(Signal::HUP);
    agent.signal(Signal::HUP);
    drop(open);
    agent.wait_published(&root, "current", &head);
    wait_for_passes(address(&agent), "current", "success", 2);
    assert!(said(&agent, "woken").len() <= 2, "{}", agent.stderr());
}

#[test]
fn the_touch_file_is_touched_exactly_when_a_pass_published() {
    let (folder, repo, root) = upstream();
    let touched = folder.path().join("touched");
    let agent = sidecar(repo.git_dir(), &root).args(["--period=50ms"]).set("touch-file", &touched).start();
    let at = address(&agent);
    wait_for_passes(at, "current", "success", 1);
    let time = || fs::metadata(&touched).unwrap().modified().unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    fs::File::options().write(true).open(&touched).unwrap().set_modified(long_ago).unwrap();
    wait_for_passes(at, "current", "noop", 3);
    assert_eq!(time(), long_ago, "nothing was published");
    let before = SystemTime::now() - Duration::from_secs(1);
    repo.commit(&[("dags/a.py", "a = 2\n")]);
    wait_for_passes(at, "current", "success", 2);
    assert!(time() > before);
}

#[test]
fn the_error_file_comes_with_a_failure_and_goes_with_the_next_success() {
    let (folder, repo, root) = upstream();
    let gone = folder.path().join("gone.git");
    let launch = sidecar(repo.git_dir(), &root).args([
        "--period=30ms",
        "--max-failures=-1",
        "--error-file=error.json",
    ]);
    let agent = launch.start();
    agent.wait_published(&root, "current", &repo.head());
    let file = root.join("error.json");
    assert!(!file.exists());
    fs::rename(repo.git_dir(), &gone).unwrap();
    agent.wait_until("the error file", || file.exists());
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert!(json["Err"].as_str().unwrap().contains("up.git"), "{json}");
    assert_eq!(json["Args"]["source"], "current");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    fs::rename(&gone, repo.git_dir()).unwrap();
    agent.wait_until("the error file to go", || !file.exists());
    agent.wait_for_text("working again", LONG);
}

#[test]
fn a_source_that_one_time_mode_has_to_give_up_does_not_cut_the_others_short() {
    let (folder, repo, root) = upstream();
    let config = folder.path().join("dagsync.toml");
    let (missing, good) = (folder.path().join("missing"), repo.git_dir());
    let source = |name: &str, repo: &std::path::Path| {
        format!(
            "[[source]]\nname = \"{name}\"\nrepo = {repo:?}\nroot = {:?}\nlink = \"x\"\nmax-failures = 0\n",
            root.join(name)
        )
    };
    fs::write(&config, source("bad", &missing) + &source("good", good)).unwrap();
    let done = Launch::new(["--one-time"]).set("config", &config).run(LONG);
    assert_eq!(done.status.code(), Some(1), "{}", done.stderr);
    assert!(root.join("good/x/dags/a.py").is_file(), "{}", done.stderr);
}
