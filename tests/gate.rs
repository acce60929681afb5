//! What is published of a stream of good and bad commits, by the binary.

mod gated;
mod support;
mod synced;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use gated::{broken, dag, holds, once, world};
use rustix::process::Signal;
use support::agent::Agent;
use support::observe::{address, metrics, ready, sample, wait_for_passes};
use support::wait::{PATIENCE, wait_until};
use synced::Synced;

#[test]
fn a_new_error_is_held_back_and_its_mending_is_published() {
    let world = world();
    world.repo.commit(&[("one.py", &broken("one"))]);
    let said = holds(&world, &[]);
    assert!(said.contains("one.py:3") && said.contains("python-syntax"), "{said}");
    let mended = world.repo.commit(&[("one.py", &dag("one"))]);
    once(&world, &[]);
    world.shows(&mended);
}

#[test]
fn an_error_that_readers_have_already_holds_nothing_back() {
    let world = world();
    let bad = world.repo.commit(&[("one.py", &broken("one"))]);
    once(&world, &["--check=report"]);
    world.shows(&bad);
    let more = world.repo.commit(&[("two.py", &dag("zwei"))]);
    once(&world, &[]);
    world.shows(&more);
    world.repo.commit(&[("two.py", &broken("zwei"))]);
    holds(&world, &[]);
}

#[test]
fn what_readers_have_is_known_from_the_tree_when_its_objects_are_gone() {
    let world = world();
    let bad = world.repo.commit(&[("one.py", &broken("one")), ("sub/three.py", &dag("three"))]);
    once(&world, &["--check=report"]);
    world.shows(&bad);
    // Fetched again, the history begins at the new commit.
    let packs = world.root.join(".git/objects/pack");
    fs::remove_dir_all(&packs).unwrap();
    let more = world.repo.commit(&[("two.py", &dag("zwei"))]);
    once(&world, &[]);
    world.shows(&more);
    fs::remove_dir_all(&packs).unwrap();
    world.repo.commit(&[("two.py", &broken("zwei"))]);
    holds(&world, &[]);
}

#[test]
fn a_link_out_of_the_folder_that_leads_back_is_never_published() {
    let world = Synced::empty();
    let good = world.repo.commit(&[("dags/one.py", &dag("one")), ("lib/two.py", &dag("two"))]);
    once(&world, &["--check-folder=dags"]);
    world.shows(&good);
    world.repo.symlink("dags/lib", "../lib");
    world.repo.symlink("lib/again", ".");
    world.repo.commit_all("A loop");
    assert!(holds(&world, &["--check-folder=dags", "--check=report"]).contains("lib/again: "));
}

#[test]
fn what_nobody_said_about_the_airflow_holds_nothing_back_that_works() {
    let world = Synced::empty();
    let dag = |id: &str, import: &str| format!("{import}\n{}", dag(id).replace("airflow.sdk", "airflow"));
    let old = "from airflow.operators.bash_operator import BashOperator";
    let first = world.repo.commit(&[
        ("dags/one.py", &dag("one", old)),
        ("dags/.airflowignore", "old/.*\n"),
        ("common/util.py", "x = 'airflow dag'\n"),
    ]);
    // Linked from the folder that Airflow reads: a walk from the top comes to it twice.
    world.repo.symlink("dags/common", "../common");
    let second = world.repo.commit_all("Link");
    assert_ne!(first, second);
    once(&world, &[]);
    world.shows(&second);
    let newer = "try:\n    pass\nexcept ValueError, TypeError:\n    pass\n";
    let more = world.repo.commit(&[
        ("dags/two.py", &dag("two", "from airflow.operators.dummy_operator import DummyOperator")),
        ("dags/three.py", &dag("three", newer)),
        ("dags/old/four.py", "from airflow import DAG\nx = = 1\n"),
    ]);
    once(&world, &[]);
    world.shows(&more);
    // Whoever says it means it.
    world.repo.commit(&[("dags/five.py", &dag("five", "from airflow.hooks.http_hook import HttpHook"))]);
    holds(&world, &["--check-airflow=3.3", "--check-folder=dags"]);
    world.repo.commit(&[("dags/five.py", &dag("five", newer))]);
    holds(&world, &["--check-python=3.13", "--check-folder=dags"]);
    world.repo.commit(&[("dags/five.py", "from airflow import DAG\nx = = 1\n")]);
    holds(&world, &[]);
}

#[test]
fn what_airflow_does_not_load_holds_nothing_back() {
    let world = world();
    let fixture = world.repo.commit(&[("tests/broken.py", "def f(:\n")]);
    once(&world, &[]);
    world.shows(&fixture);
}

#[test]
fn what_a_dag_file_imports_has_to_compile_too() {
    let world = world();
    let importing = format!("from common import x\n{}", dag("one"));
    let good =
        world.repo.commit(&[("common/x.py", "x = 1\n"), ("common/y.py", "y = 1\n"), ("one.py", &importing)]);
    once(&world, &[]);
    world.shows(&good);
    world.repo.commit(&[("common/x.py", "x = = 1\n")]);
    assert!(holds(&world, &[]).contains("common/x.py:1"));
    // And it has to be there.
    world.repo.remove("common/x.py");
    world.repo.commit(&[("other.py", "")]);
    assert!(holds(&world, &[]).contains("local-module"));
}

#[test]
fn nothing_is_looked_at_when_the_check_is_off() {
    let world = world();
    let bad = world.repo.commit(&[("one.py", &broken("one"))]);
    once(&world, &["--check=off"]);
    world.shows(&bad);
}

#[test]
fn a_held_revision_is_looked_at_again_when_what_it_is_checked_for_changes() {
    let world = world();
    let matching = "from airflow.sdk import DAG\n\nmatch 1:\n    case 1:\n        DAG('one')\n";
    let head = world.repo.commit(&[("one.py", matching)]);
    holds(&world, &["--check-python=3.9"]);
    assert!(holds(&world, &["--check-python=3.9"]).contains("3.10"));
    once(&world, &["--check-python=3.10"]);
    world.shows(&head);
}

#[test]
fn losing_most_dags_has_to_be_meant() {
    let world = world();
    world.repo.remove("one.py");
    world.repo.remove("two.py");
    world.repo.commit(&[("readme", "nothing here")]);
    assert!(holds(&world, &[]).contains("2 of 2 DAG files"));
    world.repo.write("readme", b"less");
    let meant = world.repo.commit_all("Retire them\n\ndagsync-allow: shrink");
    once(&world, &[]);
    world.shows(&meant);
}

#[test]
fn only_the_folder_that_airflow_reads_is_checked() {
    let world = Synced::empty();
    world.repo.commit(&[("dags/one.py", &dag("one")), ("lib/two.py", &dag("two"))]);
    once(&world, &["--check-folder=dags"]);
    let elsewhere = world.repo.commit(&[("lib/two.py", &broken("two"))]);
    once(&world, &["--check-folder=./dags/"]);
    world.shows(&elsewhere);
    world.repo.commit(&[("dags/one.py", &broken("one"))]);
    holds(&world, &["--check-folder=dags"]);
}

/// What an agent tells of a revision that it holds back.
fn told(agent: &Agent, error_file: &Path, commit: &str) {
    let address = address(agent);
    let rejected = || sample(address, r#"dagsync_revisions_rejected_total{reason="error",source="repo"}"#);
    wait_until(PATIENCE, "the rejection", || rejected() == Some(1.0));
    let passes = || sample(address, r#"dagsync_passes_total{result="noop",source="repo"}"#).unwrap_or(0.0);
    let before = passes();
    wait_until(PATIENCE, "more passes", || passes() > before + 2.0);
    assert_eq!(rejected(), Some(1.0), "counted once");
    assert_eq!(sample(address, r#"dagsync_consecutive_failures{source="repo"}"#), Some(0.0));
    assert_eq!(ready(address), 200);
    let page = metrics(address);
    assert!(
        page.contains(r#"dagsync_findings{code="python-syntax",severity="error",source="repo"} 1"#),
        "{page}"
    );
    assert!(page.contains(&format!("dagsync_remote_info{{commit=\"{commit}\"")), "{page}");
    let text = fs::read_to_string(error_file).expect("an error file");
    assert!(text.contains(commit) && text.contains("one.py:3"), "{text}");
}

#[test]
fn a_held_revision_is_told_counted_once_and_no_failure() {
    let world = world();
    let good = world.repo.head();
    let error_file = world.path("error.json");
    let args = ["--check=gate", "--http-bind=127.0.0.1:0", "--max-failures=0"];
    let agent = world.launch().args(args).set("error-file", &error_file).start();
    agent.wait_published(&world.root, "repo", &good);
    let bad = world.repo.commit(&[("one.py", &broken("one"))]);
    told(&agent, &error_file, &bad);
    world.shows(&good);
    // A tree that somebody damaged meanwhile is built again from what is published, not from what is held.
    fs::remove_dir_all(world.root.join(".worktrees").join(&good)).expect("it is there");
    wait_until(PATIENCE, "the repair", || world.link().join("one.py").exists());
    world.shows(&good);
    let mended = world.repo.commit(&[("one.py", &dag("one"))]);
    agent.wait_published(&world.root, "repo", &mended);
    wait_until(PATIENCE, "the error file to go", || !error_file.exists());
}

#[test]
fn what_is_published_is_told_after_a_restart_whatever_its_first_answer_is() {
    let world = world();
    let good = world.repo.head();
    let args = ["--check=gate", "--http-bind=127.0.0.1:0", "--max-failures=-1", "--init-max-failures=-1"];
    let told = |agent: &Agent, result: &str| {
        let at = address(agent);
        wait_for_passes(at, "repo", result, 1);
        let page = metrics(at);
        assert!(page.contains(&format!("dagsync_published_info{{commit=\"{good}\"")), "{page}");
        assert_eq!(sample(at, "dagsync_files{source=\"repo\"}"), Some(2.0), "{page}");
    };
    world.repo.commit(&[("one.py", &broken("one"))]);
    told(&world.launch().args(args).start(), "rejected");
    told(&world.launch_from(world.path("nowhere")).args(args).start(), "error");
}

#[test]
fn findings_are_those_of_what_is_held_back_and_then_those_of_what_is_published() {
    let world = world();
    let error_file = world.path("error.json");
    let args = ["--check=gate", "--http-bind=127.0.0.1:0", "--max-failures=0"];
    let agent = world.launch().args(args).set("error-file", &error_file).start();
    // Something of its own to tell, which nobody minds.
    let good = world.repo.commit(&[("none.py", "from airflow.sdk import DAG\n")]);
    agent.wait_published(&world.root, "repo", &good);
    let at = address(&agent);
    let count = |code: &str, severity: &str| {
        sample(at, &format!(r#"dagsync_findings{{code="{code}",severity="{severity}",source="repo"}}"#))
    };
    let shown = || (count("no-dag", "warning"), count("python-syntax", "error"));
    wait_until(PATIENCE, "the warning", || shown() == (Some(1.0), None));
    let bad = world.repo.commit(&[("one.py", &broken("one")), ("none.py", "x = 1\n")]);
    for _ in 0..2 {
        wait_until(PATIENCE, "the rejection", || shown().1 == Some(1.0) && error_file.exists());
        world.repo.reset(&good);
        wait_until(PATIENCE, "the error file to go", || !error_file.exists());
        assert_eq!(shown(), (Some(1.0), None));
        // The answer is remembered, and what was found with it.
        world.repo.reset(&bad);
    }
}

#[test]
fn a_store_that_is_gone_is_told_as_that_and_not_as_a_tree_that_is_gone() {
    let world = world();
    let good = world.repo.head();
    let agent = world.launch().args(["--max-failures=-1"]).start();
    agent.wait_for_text("already published", PATIENCE);
    // At once: a running agent writes into what is being removed.
    let gone = |folder: &Path| fs::rename(folder, world.path("gone")).expect("it is there");
    gone(&world.root.join(".git"));
    agent.wait_for_text("is built again", PATIENCE);
    let said = agent.stderr();
    assert!(said.contains("is there, but the object store `"), "{said}");
    agent.wait_for_text("\"msg\":\"published\"", PATIENCE);
    fs::remove_dir_all(world.path("gone")).expect("it is there");
    gone(&world.link().canonicalize().expect("a tree"));
    agent.wait_for_text(&format!("{good}` is gone: what is published"), PATIENCE);
}

#[test]
fn a_tree_is_kept_whole_while_the_tip_is_held_although_our_memory_was_lost() {
    let world = world();
    let good = world.repo.head();
    fs::remove_file(world.root.join(".dagsync/state.json")).expect("it is there");
    world.repo.commit(&[("one.py", &broken("one"))]);
    let agent = world.launch().args(["--check=gate", "--verify-period=20ms", "--max-failures=-1"]).start();
    agent.wait_for_text("held back", PATIENCE);
    fs::write(world.link().join("two.py"), "tampered\n").expect("it is there");
    let whole = || fs::read_to_string(world.link().join("two.py")).is_ok_and(|text| text == dag("two"));
    agent.wait_until("the repair", whole);
    world.shows(&good);
}

#[test]
fn a_branch_that_goes_to_and_fro_between_what_is_held_back_is_looked_at_once_each() {
    let world = world();
    let good = world.repo.head();
    let error_file = world.path("error.json");
    let args = ["--check=gate", "--http-bind=127.0.0.1:0", "--max-failures=0"];
    let agent = world.launch().args(args).set("error-file", &error_file).start();
    let at = address(&agent);
    let told = |commit: &str| {
        let says = || fs::read_to_string(&error_file).is_ok_and(|text| text.contains(commit));
        wait_until(PATIENCE, "the error file", says);
    };
    let one = world.repo.commit(&[("one.py", &broken("one"))]);
    told(&one);
    let two = world.repo.amend(&[("one.py", &dag("one")), ("two.py", &broken("two"))]);
    told(&two);
    for commit in [&one, &two, &one] {
        world.repo.reset(commit);
        told(commit);
    }
    let counted = |agent: SocketAddr| {
        sample(agent, r#"dagsync_revisions_rejected_total{reason="error",source="repo"}"#)
    };
    assert_eq!(counted(at), Some(2.0));
    // What was found is told of each of them as well.
    let page = metrics(at);
    assert!(page.contains(r#"dagsync_findings{code="python-syntax""#), "{page}");
    // Also by the next process, and until something else is published.
    drop(agent);
    world.repo.reset(&two);
    let agent = world.launch().args(args).set("error-file", &error_file).start();
    agent.wait_for_text("still held back", PATIENCE);
    assert_eq!(counted(address(&agent)), None);
    world.shows(&good);
    world.repo.reset(&good);
    let more = world.repo.commit(&[("three.py", &dag("three"))]);
    agent.wait_published(&world.root, "repo", &more);
    world.repo.reset(&one);
    wait_until(PATIENCE, "another look", || counted(address(&agent)) == Some(1.0));
}

#[test]
fn the_error_file_says_why_a_revision_is_held_back_now() {
    let world = world();
    world.repo.remove("one.py");
    let less = world.repo.commit(&[("readme", "less")]);
    let error_file = world.path("error.json");
    let args = |limit: &str| {
        [format!("--max-removed-dags={limit}"), format!("--error-file={}", error_file.display())]
    };
    for limit in ["10", "20"] {
        let args = args(limit);
        holds(&world, &args.each_ref().map(String::as_str));
        let text = fs::read_to_string(&error_file).expect("an error file");
        assert!(text.contains(&less) && text.contains(&format!("more than {limit} %")), "{text}");
    }
    // Written once as long as it is true.
    let written = fs::metadata(&error_file).and_then(|meta| meta.modified()).expect("it is there");
    holds(&world, &args("20").each_ref().map(String::as_str));
    assert_eq!(fs::metadata(&error_file).and_then(|meta| meta.modified()).expect("it is there"), written);
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let world = Synced::empty();
    world.repo.commit(&[("dags/one.py", &dag("one"))]);
    let said = once(&world, &["--check-folder=dag"]).stderr;
    assert!(said.contains("no folder `dag`"), "{said}");
    once(&world, &["--check-folder=dags"]);
    world.repo.remove("dags");
    world.repo.commit(&[("flows/one.py", &dag("one"))]);
    let said = holds(&world, &["--check-folder=dags"]);
    assert!(said.contains("there is no folder `dags`") && said.contains("1 of 1 DAG files"), "{said}");
}

#[test]
fn a_revision_that_is_made_to_take_the_time_of_the_check_ends_with_that_of_the_pass() {
    let world = world();
    let before = world.seen();
    for at in 0..3_000 {
        world.repo.write(&format!("{}{at:04}.py", "a".repeat(190)), "");
    }
    let stars: String = (0..3_000).map(|at| format!("{}b{at}\n", "a*".repeat(30))).collect();
    world.repo.commit(&[(".airflowignore", &stars)]);
    let started = Instant::now();
    let said = world.fails(&["--check=gate", "--sync-timeout=2s"]);
    assert!(said.contains("timed out after 2s"), "{said}");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert_eq!(world.seen(), before, "what is published stays");
    // Nor does it have to be waited for.
    let agent = world.launch().args(["--check=gate", "--verbose=2"]).start();
    // Nothing else that is left to do takes a second.
    agent.wait_until("the check to be at work", || worked(agent.pid()) > 100);
    agent.signal(Signal::TERM);
    let asked = Instant::now();
    agent.finish(PATIENCE);
    assert_eq!(world.seen(), before, "what is published stays");
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
}

/// Hundredths of a second that a process has worked.
fn worked(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let numbers = stat.rsplit_once(')').unwrap().1;
    numbers.split_whitespace().nth(11).unwrap().parse().unwrap()
}
