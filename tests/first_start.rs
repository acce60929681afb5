//! What an agent publishes that begins with nothing, by the binary: what those serve that were there before.

mod gated;
mod support;
mod synced;

use std::fs;

use gated::{broken, dag, holds, once, world};
use support::GitServer;
use support::agent::Finished;
use support::observe::{address, metrics, ready};
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
