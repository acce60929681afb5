//! What an agent publishes that begins with nothing, by the binary: what those serve that were there before.

mod gated;
mod support;
mod synced;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use gated::{broken, dag, holds, once, world};
use rustix::process::Signal;
use support::GitServer;
use support::agent::{Finished, Launch};
use support::observe::{address, metrics, ready, sample, wait_for_passes};
use support::wait::{PATIENCE, wait_until};
use synced::{Synced, succeeds};

/// What an agent without a past publishes of the upstream as it is now.
fn fresh(world: &Synced) -> Option<String> {
    let root = world.path("fresh");
    let _ = fs::remove_dir_all(&root);
    let finished = world.launch().set("root", &root).args(["--one-time", "--check=gate"]).run(synced::RUN);
    assert!(root.exists(), "{}", finished.stderr);
    support::agent::published(&root, "repo")
}

#[test]
fn a_fresh_pod_serves_what_the_others_serve() {
    let world = world();
    let good = world.repo.head();
    for round in 0..3 {
        world.repo.commit(&[("one.py", &format!("{}# {round}\n", broken("one")))]);
        holds(&world, &[]);
        assert_eq!(fresh(&world).as_deref(), Some(good.as_str()));
    }
    // Nobody else's work waits for the one who broke something.
    world.repo.commit(&[("three.py", &dag("three"))]);
    holds(&world, &[]);
    assert_eq!(fresh(&world).as_deref(), Some(good.as_str()));
    let mended = world.repo.commit(&[("one.py", &dag("one"))]);
    once(&world, &[]);
    world.shows(&mended);
    assert_eq!(fresh(&world).as_deref(), Some(mended.as_str()));
}

#[test]
fn a_repository_that_was_never_clean_is_published_all_the_same_but_never_what_stops_airflow() {
    let world = Synced::empty();
    let first = world.repo.commit(&[("one.py", &broken("one"))]);
    assert_eq!(fresh(&world).as_deref(), Some(first.as_str()));
    once(&world, &[]);
    let more = world.repo.commit(&[("two.py", &dag("two"))]);
    once(&world, &[]);
    world.shows(&more);
    assert_eq!(fresh(&world).as_deref(), Some(more.as_str()));
    world.repo.commit(&[("two.py", &broken("two"))]);
    holds(&world, &[]);
    assert_eq!(fresh(&world).as_deref(), Some(more.as_str()));
    // And where there never was anything else: nothing.
    let fatal = Synced::empty();
    fatal.repo.write(".airflowignore", b"\xff\n");
    fatal.repo.commit(&[("one.py", &dag("one"))]);
    let finished = fatal.launch().args(["--one-time", "--check=gate"]).run(synced::RUN);
    assert!(finished.stderr.contains("ignore-encoding"), "{}", finished.stderr);
    assert_eq!(fatal.published(), None);
    assert_eq!(finished.status.code(), Some(1), "what somebody waits for is not there");
}

#[test]
fn a_fresh_pod_fetches_what_it_plays_back_at_once_and_only_what_it_needs() {
    let world = world();
    let server = GitServer::plain(world.dir.path());
    let fetches = |args: &[&str]| {
        let root = world.path("fresh");
        let _ = fs::remove_dir_all(&root);
        server.forget_requests();
        let launch = world.launch_from(server.url("upstream/.git")).set("root", &root).args(["--one-time"]);
        succeeds(&launch.args(args));
        let requests = server.requests();
        let posts = requests.iter().filter(|request| request.method == "POST");
        (posts.count(), support::agent::published(&root, "repo"))
    };
    let (plain, _) = fetches(&[]);
    for (files, shown) in [(dag("one"), true), (broken("one"), false)] {
        let before = world.published();
        let head = world.repo.commit(&[("one.py", &format!("{files}# again\n"))]);
        let (posts, published) = fetches(&["--check=gate"]);
        assert_eq!(published, if shown { Some(head) } else { before });
        assert_eq!(posts, plain, "one fetch, whether something is held back or not");
        once(&world, &[]);
    }
}

/// What a root that was there and one that begins now say of a tip that neither can write.
#[track_caller]
fn both_fail(world: &Synced, args: &[&str], good: &str, says: &str) {
    let run = |root: &str| -> (Finished, Option<String>, String) {
        let error_file = world.path("error.json");
        let _ = fs::remove_file(&error_file);
        let root = world.path(root);
        let launch = world.launch().set("root", &root).set("error-file", &error_file);
        let finished = launch.args(["--one-time", "--check=gate"]).args(args).run(synced::RUN);
        let told = fs::read_to_string(&error_file).expect("an error file");
        let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
        (finished, support::agent::published(&root, "repo"), told["Err"].as_str().unwrap().to_owned())
    };
    let _ = fs::remove_dir_all(world.path("fresh"));
    for root in ["root", "fresh", "fresh"] {
        let (finished, published, told) = run(root);
        assert_eq!(published.as_deref(), Some(good), "{root}: {}", finished.stderr);
        assert_eq!(finished.status.code(), Some(1), "{root}: {}", finished.stderr);
        assert!(told.contains(says), "{root}: {told}");
        assert!(finished.stderr.contains(says), "{root}: {}", finished.stderr);
    }
}

#[test]
fn a_tip_that_cannot_be_written_is_told_and_what_the_others_serve_is_served() {
    type Spoil = fn(&Synced);
    let kinds: [(&str, Spoil); 4] = [
        ("`out`", |world| {
            world.repo.symlink("out", "../../etc/passwd");
        }),
        ("submodule at `sub`", |world| {
            let entry = format!("160000,{},sub", "1".repeat(40));
            world.repo.git(&["update-index", "--add", "--cacheinfo", &entry]);
            fs::create_dir(world.repo.work().join("sub")).unwrap();
        }),
        ("a control character", |world| {
            world.repo.write("a\nb", "");
        }),
        ("more than 8 files", |world| {
            (0..9).for_each(|at| {
                world.repo.write(&format!("{at}"), "");
            })
        }),
    ];
    for (says, spoil) in kinds {
        let world = world();
        let good = world.repo.head();
        spoil(&world);
        world.repo.commit_all("Spoil it");
        both_fail(&world, &["--max-entries=8"], &good, says);
        // A tree that is gone is built again all the same.
        fs::remove_dir_all(world.link().canonicalize().expect("a tree")).expect("it is there");
        both_fail(&world, &["--max-entries=8"], &good, says);
        world.shows(&good);
        // Broken and unfit: neither is where anybody stands.
        world.repo.commit(&[("one.py", &broken("one"))]);
        both_fail(&world, &["--max-entries=8"], &good, says);
    }
}

#[test]
fn a_pod_that_begins_below_a_tip_that_cannot_be_written_is_ready_and_goes_on_with_its_mending() {
    let world = Synced::empty();
    let good = world.repo.commit(&[("one.py", &dag("one"))]);
    world.repo.symlink("out", "../../etc/passwd");
    world.repo.commit_all("Spoil it");
    let args = ["--check=gate", "--http-bind=127.0.0.1:0", "--max-failures=-1"];
    let agent = world.launch().args(args).start();
    agent.wait_published(&world.root, "repo", &good);
    let at = address(&agent);
    wait_until(PATIENCE, "readiness", || ready(at) == 200);
    let page = metrics(at);
    assert!(page.contains(&format!("dagsync_published_info{{commit=\"{good}\"")), "{page}");
    assert!(agent.stderr().contains("an older commit is published instead"), "{}", agent.stderr());
    world.repo.remove("out");
    let mended = world.repo.commit(&[("two.py", &dag("two"))]);
    agent.wait_published(&world.root, "repo", &mended);
    // With nothing before it there is nothing to serve.
    let none = Synced::empty();
    none.repo.symlink("out", "../../etc/passwd");
    none.repo.commit(&[("one.py", &dag("one"))]);
    assert!(none.fails(&["--check=gate"]).contains("`out`"));
    assert_eq!(none.published(), None);
}

/// Publishes what is there, then asserts that what `change` makes is held back, and that a pod that begins now serves what was there.
#[track_caller]
fn shrinks(world: &Synced, says: &str, change: impl FnOnce(&Synced)) {
    let before = world.repo.commit_all("All of them");
    once(world, &[]);
    world.shows(&before);
    change(world);
    let head = world.repo.commit_all("Less");
    let said = holds(world, &[]);
    assert!(said.contains(says), "{said}");
    assert_ne!(head, before);
    assert_eq!(fresh(world).as_deref(), Some(before.as_str()), "{says}");
}

/// So many DAG files in a folder.
fn dags(world: &Synced, folder: &str, count: usize) {
    for at in 0..count {
        let id = format!("{}{at}", folder.replace('/', "_"));
        world.repo.write(&format!("{folder}/d{at}.py"), dag(&id));
    }
}

#[test]
fn a_fresh_pod_holds_what_goes_by_a_link_as_the_others_do() {
    let world = Synced::empty();
    dags(&world, "dags", 4);
    dags(&world, "v1", 12);
    world.repo.write("v2/readme", "").write("v1/.airflowignore", "").symlink("dags/team", "../v1");
    world.repo.write(".airflowignore", "v1/\n");
    shrinks(&world, "12 of 16 DAG files", |world| {
        world.repo.symlink("dags/team", "../v2");
    });
}

#[test]
fn a_fresh_pod_holds_what_is_hidden_behind_a_link_as_the_others_do() {
    let world = Synced::empty();
    dags(&world, "dags", 12);
    dags(&world, "others", 4);
    world.repo.write("conf/ign", "old/\n").symlink(".airflowignore", "conf/ign");
    shrinks(&world, "12 of 16 DAG files", |world| {
        world.repo.write("conf/ign", "dags/\n");
    });
}

#[test]
fn a_fresh_pod_holds_what_is_hidden_by_the_first_file_behind_a_link_as_the_others_do() {
    let world = Synced::empty();
    dags(&world, "dags", 12);
    world.repo.symlink("dags/.airflowignore", "../conf/ign");
    shrinks(&world, "12 of 12 DAG files", |world| {
        world.repo.write("conf/ign", "d*\n");
    });
}

#[test]
fn a_fresh_pod_counts_a_file_as_often_as_links_lead_to_it_as_the_others_do() {
    let world = Synced::empty();
    dags(&world, "dags", 4);
    world.repo.write("one.txt", dag("one"));
    (0..12).for_each(|at| {
        world.repo.symlink(&format!("dags/l{at}.py"), "../one.txt");
    });
    shrinks(&world, "12 of 16 DAG files", |world| {
        world.repo.write("one.txt", "nothing\n");
    });
}

#[test]
fn a_fresh_pod_holds_what_is_written_as_something_else_as_the_others_do() {
    let world = Synced::empty();
    dags(&world, "dags", 12);
    dags(&world, "others", 4);
    world.repo.write("dags/.gitattributes", "");
    shrinks(&world, "12 of 16 DAG files", |world| {
        // Git stores what it did.
        for at in 0..12 {
            let text = format!("\u{feff}{}", dag(&format!("dags{at}")));
            let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            world.repo.write(&format!("dags/d{at}.py"), bytes);
        }
        world.repo.write("dags/.gitattributes", "*.py working-tree-encoding=UTF-16\n");
    });
}

/// An agent that asks this shell script about each tree, which it finds in `$TREE`. What was asked about is in `$NOTES/asked`, a line each.
fn asks(world: &Synced, script: &str) -> Launch {
    let (path, notes) = (world.path("check.sh"), world.path("notes"));
    fs::create_dir_all(&notes).unwrap();
    let head =
        format!("NOTES='{}'\nTREE=\"$1\"\necho \"$DAGSYNC_COMMIT\" >> \"$NOTES/asked\"", notes.display());
    fs::write(&path, format!("#!/bin/sh\n{head}\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let launch = world.launch().env("PATH", "/usr/local/bin:/usr/bin:/bin").set("check-command", path);
    launch.args(["--check=gate", "--max-failures=-1", "--init-period=20ms", "--init-max-failures=-1"])
}

/// The commits that the program was asked about.
fn asked(world: &Synced) -> Vec<String> {
    let text = fs::read_to_string(world.path("notes/asked")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A good commit, and so many on top of it that the operator's own check refuses.
fn refused(world: &Synced, count: usize) -> String {
    let good = world.repo.commit(&[("one.py", &dag("one"))]);
    for at in 0..count {
        world.repo.commit(&[("one.py", &format!("{}# refused {at}\n", dag("one")))]);
    }
    good
}

/// Refuses those, and has no answer each fourth time.
const MOODY: &str = r#"[ $(($(wc -l < "$NOTES/asked") % 4)) != 0 ] || exit 75
    ! grep -q refused "$TREE/one.py""#;

#[test]
fn a_first_start_whose_search_was_interrupted_searches_on() {
    let world = Synced::empty();
    let good = world.repo.commit(&[("one.py", &dag("one"))]);
    world.repo.commit(&[("one.py", &broken("one"))]);
    let launch = asks(&world, r#"[ $(wc -l < "$NOTES/asked") -gt 1 ] || exit 75"#);
    let agent = launch.args(["--http-bind=127.0.0.1:0"]).start();
    agent.wait_published(&world.root, "repo", &good);
    let at = address(&agent);
    wait_until(PATIENCE, "readiness", || ready(at) == 200);
    wait_for_passes(at, "repo", "noop", 2);
    assert_eq!(asked(&world), [&good, &good].map(String::clone));
    let rejected = r#"dagsync_revisions_rejected_total{reason="error",source="repo"}"#;
    assert_eq!(sample(at, rejected), Some(1.0), "{}", agent.stderr());
    for (what, times) in [("(it ended with 75)", 1), ("held back: ", 1), ("an older commit is published", 1)]
    {
        assert_eq!(agent.stderr().matches(what).count(), times, "{what}: {}", agent.stderr());
    }
    world.shows(&good);
}

#[test]
fn a_first_start_that_was_killed_in_its_search_goes_on_with_the_next_start() {
    for is_store_lost in [false, true] {
        let world = Synced::empty();
        let good = world.repo.commit(&[("one.py", &dag("one"))]);
        world.repo.commit(&[("one.py", &broken("one"))]);
        let launch = asks(&world, r#"until [ -e "$NOTES/quick" ]; do sleep 0.02; done"#);
        let mut agent = launch.start();
        agent.wait_until("the search", || asked(&world).len() == 1);
        agent.signal(Signal::KILL);
        assert!(agent.wait_exit(PATIENCE).is_some());
        assert_eq!(world.published(), None);
        if is_store_lost {
            fs::remove_dir_all(world.root.join(".git/objects")).unwrap();
        }
        fs::write(world.path("notes/quick"), "").unwrap();
        let finished = succeeds(&launch.args(["--one-time"]));
        assert!(finished.stderr.contains("an older commit is published instead"), "{}", finished.stderr);
        world.shows(&good);
        world.nothing_is_left_over();
    }
}

#[test]
fn of_more_refusals_than_one_pass_asks_for_each_is_asked_for_once() {
    let world = Synced::empty();
    let good = refused(&world, 13);
    let launch = asks(&world, r#"! grep -q refused "$TREE/one.py""#);
    let once = || launch.clone().args(["--one-time"]).run(synced::RUN);
    let first = once();
    assert_eq!((first.status.code(), asked(&world).len()), (Some(1), 9), "{}", first.stderr);
    assert_eq!(world.published(), None);
    // Another process: what it knows is in the state file.
    let second = once();
    assert_eq!(second.status.code(), Some(0), "{}", second.stderr);
    world.shows(&good);
    let (all, each) = (asked(&world), asked(&world).into_iter().collect::<BTreeSet<_>>());
    assert_eq!((all.len(), each.len()), (14, 14), "{all:?}");
}

#[test]
fn a_search_that_is_interrupted_again_and_again_gets_there() {
    for spoil in [false, true] {
        let world = Synced::empty();
        let good = refused(&world, 11);
        if spoil {
            world.repo.symlink("out", "../../etc/passwd");
            world.repo.commit_all("Spoil it");
        }
        let agent = asks(&world, MOODY).args(["--http-bind=127.0.0.1:0"]).start();
        agent.wait_published(&world.root, "repo", &good);
        let at = address(&agent);
        wait_until(PATIENCE, "readiness", || ready(at) == 200);
        let rejected = r#"dagsync_revisions_rejected_total{reason="command",source="repo"}"#;
        assert_eq!(sample(at, rejected), Some(11.0), "{}", agent.stderr());
        assert_eq!(asked(&world).len(), 15, "eleven, the good one, and three times without an answer");
    }
}

#[test]
fn where_there_is_nothing_to_serve_nobody_asks_or_counts_or_searches_again() {
    for spoil in [false, true] {
        let world = Synced::empty();
        for at in 0..4 {
            world.repo.commit(&[("one.py", &format!("{}# refused {at}\n", dag("one")))]);
        }
        if spoil {
            world.repo.symlink("out", "../../etc/passwd");
            world.repo.commit_all("Spoil it");
        }
        let result = if spoil { "error" } else { "noop" };
        let agent = asks(&world, "exit 1").args(["--http-bind=127.0.0.1:0"]).start();
        let at = address(&agent);
        wait_for_passes(at, "repo", result, 3);
        let told = |what: &str| agent.stderr().matches(what).count();
        let checks = || sample(at, r#"dagsync_stage_duration_seconds_count{source="repo",stage="check"}"#);
        let before = checks();
        wait_for_passes(at, "repo", result, 6);
        let rejected = sample(at, r#"dagsync_revisions_rejected_total{reason="command",source="repo"}"#);
        assert_eq!((rejected, asked(&world).len()), (Some(4.0), 4), "{}", agent.stderr());
        assert_eq!(told("an older commit"), 0, "{}", agent.stderr());
        assert_eq!(told("held back: "), usize::from(!spoil), "{}", agent.stderr());
        if !spoil {
            assert_eq!(checks(), before, "a pass that has nothing to look for is a short one");
        }
        // What is pushed then is published as ever.
        world.repo.remove("out");
        drop(agent);
        let mended = world.repo.commit(&[("one.py", &dag("mended"))]);
        let agent = asks(&world, "exit 0").start();
        agent.wait_published(&world.root, "repo", &mended);
    }
}

/// Spoils an object in the store, without a word to anybody.
fn spoil_object(world: &Synced, id: &str) {
    let packs =
        fs::read_dir(world.root.join(".git/objects/pack")).unwrap().map(|entry| entry.unwrap().path());
    for index in packs.filter(|path| path.extension().is_some_and(|ending| ending == "idx")) {
        let told = support::repo::git().args(["verify-pack", "-v"]).arg(&index).output().unwrap();
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let Some(line) = told.lines().find(|line| line.starts_with(id)) else { continue };
        let numbers: Vec<usize> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [_, packed, offset, ..] = numbers[..] else { panic!("{line}") };
        let pack = index.with_extension("pack");
        let mut bytes = fs::read(&pack).unwrap();
        bytes[offset + packed / 2..offset + packed].fill(0);
        fs::set_permissions(&pack, fs::Permissions::from_mode(0o644)).unwrap();
        return fs::write(&pack, bytes).unwrap();
    }
    panic!("{id} is in no pack");
}

#[test]
fn a_search_in_a_damaged_store_fetches_it_again() {
    let world = Synced::empty();
    let good = world.repo.commit(&[("one.py", &dag("one"))]);
    world.repo.commit(&[("one.py", &broken("one"))]);
    let launch = asks(&world, r#"until [ -e "$NOTES/quick" ]; do sleep 0.02; done"#);
    let mut agent = launch.start();
    agent.wait_until("the search", || asked(&world).len() == 1);
    agent.signal(Signal::KILL);
    assert!(agent.wait_exit(PATIENCE).is_some());
    spoil_object(&world, &world.repo.git(&["rev-parse", &format!("{good}^{{tree}}")]));
    fs::write(world.path("notes/quick"), "").unwrap();
    let finished = succeeds(&launch.args(["--one-time"]));
    assert!(finished.stderr.contains("the object store is damaged"), "{}", finished.stderr);
    world.shows(&good);
}

#[test]
fn a_search_of_many_passes_fetches_once() {
    let world = Synced::empty();
    refused(&world, 20);
    world.repo.write("large.bin", "large".repeat(10_000));
    world.repo.symlink("out", "../../etc/passwd");
    world.repo.commit_all("Spoil it");
    let server = GitServer::plain(world.dir.path());
    let launch = asks(&world, "exit 1").set("repo", server.url("upstream/.git"));
    let agent = launch.args(["--http-bind=127.0.0.1:0"]).start();
    let at = address(&agent);
    let fetched = || sample(at, r#"dagsync_fetched_objects_total{source="repo"}"#);
    wait_for_passes(at, "repo", "error", 1);
    let first = fetched();
    assert!(first > Some(40.0), "{first:?}");
    wait_for_passes(at, "repo", "error", 6);
    assert_eq!((fetched(), asked(&world).len()), (first, 21), "{}", agent.stderr());
}

#[test]
fn a_search_that_goes_on_with_more_history_has_all_of_it() {
    let world = Synced::empty();
    for at in 0..34 {
        world.repo.commit(&[("two.py", &format!("{}# {at}\n", dag("two")))]);
    }
    let good = refused(&world, 9);
    let launch = asks(&world, r#"! grep -q refused "$TREE/one.py""#).args(["--one-time"]);
    let first = launch.clone().args(["--depth=1"]).run(synced::RUN);
    assert_eq!((first.status.code(), world.published()), (Some(1), None), "{}", first.stderr);
    succeeds(&launch.args(["--depth=0"]));
    world.shows(&good);
    let tree = world.root.join("repo");
    let mut count = support::repo::git();
    count.arg("-C").arg(fs::canonicalize(tree).unwrap()).args(["rev-list", "--count", "HEAD"]);
    assert_eq!(support::repo::text_of("rev-list", count.output().unwrap()), "35");
}

#[test]
fn on_a_branch_that_moves_each_commit_is_asked_about_once() {
    let world = Synced::empty();
    let refuse = |at: usize| world.repo.commit(&[("one.py", &format!("{}# refused {at}\n", dag("one")))]);
    (0..40).for_each(|at| _ = refuse(at));
    let agent = asks(&world, "exit 1").args(["--http-bind=127.0.0.1:0"]).start();
    let at = address(&agent);
    agent.wait_until("a whole search", || asked(&world).len() == 32);
    for pushed in 1..=14 {
        refuse(40 + pushed);
        agent.wait_until("the new one", || asked(&world).len() >= 32 + pushed);
        // Whoever asks about another one does it in the passes that follow.
        let noops = || sample(at, r#"dagsync_passes_total{result="noop",source="repo"}"#).unwrap_or_default();
        let before = noops();
        agent.wait_until("two idle passes", || noops() >= before + 2.0);
        assert_eq!(asked(&world).len(), 32 + pushed, "{}", agent.stderr());
    }
}
