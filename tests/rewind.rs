//! Branches that move backward, by the binary.

mod gated;
mod support;
mod synced;

use gated::{dag, holds, once, world};
use support::{GitServer, Repo};
use synced::{Synced, succeeds};

#[test]
fn a_branch_that_moves_backward_is_blocked_warned_of_or_followed() {
    for depth in ["--depth=0", "--depth=1"] {
        let world = world();
        let first = world.repo.head();
        world.repo.commit(&[("three.py", &dag("three"))]);
        once(&world, &[depth]);
        world.repo.reset(&first);
        let said = holds(&world, &[depth, "--on-rewind=block"]);
        assert!(said.contains("moved backward"), "{said}");
        let warned = once(&world, &[depth]);
        assert!(warned.stderr.contains("moved backward"), "{}", warned.stderr);
        world.shows(&first);
    }
}

#[test]
fn going_back_by_another_ref_is_meant() {
    let world = world();
    let first = world.repo.head();
    world.repo.tag("v1");
    world.repo.commit(&[("three.py", &dag("three"))]);
    once(&world, &["--on-rewind=block"]);
    let said = once(&world, &["--on-rewind=block", "--ref=v1"]);
    assert!(!said.stderr.contains("backward"), "{}", said.stderr);
    world.shows(&first);
}

/// A root that shows the first commit, with little history, and is then shown the last of four that came in one push. Returns them.
fn pushed_at_once(world: &Synced, from: &str, args: &[&str]) -> Vec<String> {
    let run = || succeeds(&world.launch_from(from).args(["--one-time", "--check=gate"]).args(args));
    run();
    let commits = (0..4).map(|at| world.repo.commit(&[(&format!("new{at}.py"), &dag(&format!("new{at}")))]));
    let commits = commits.collect();
    run();
    world.shows(&world.repo.head());
    commits
}

#[test]
fn a_rewind_to_a_commit_that_was_never_published_is_blocked_with_little_history_too() {
    for is_remote in [true, false] {
        let world = world();
        let server = GitServer::plain(world.dir.path());
        let from =
            if is_remote { server.url("upstream/.git") } else { world.repo.work().display().to_string() };
        let args = ["--depth=1", "--on-rewind=block"];
        let commits = pushed_at_once(&world, &from, &args);
        world.repo.reset(&commits[1]);
        server.forget_requests();
        let posts = || server.requests().iter().filter(|request| request.method == "POST").count();
        let run = |args: &[&str]| {
            let launch = world.launch_from(&from).args(["--one-time", "--check=gate"]).args(args);
            succeeds(&launch).stderr
        };
        let said = run(&args);
        assert!(said.contains("held back: `refs/heads/main` moved backward"), "{said}");
        world.shows(&commits[3]);
        // It is remembered: nothing is asked for again.
        let asked = posts();
        run(&args);
        let again = posts() - asked;
        assert!(again <= 1, "{again} requests for what is known");
        // Whoever builds upon it is let through.
        world.repo.reset(&commits[3]);
        for at in 0..3 {
            world.repo.commit(&[("more.py", &format!("{}# {at}\n", dag("more")))]);
        }
        run(&args);
        world.shows(&world.repo.head());
        // And whoever begins anew at an older one.
        world.repo.reset(&commits[0]);
        world.repo.commit(&[("other.py", &dag("other"))]);
        let said = run(&[&args[..], &["--max-removed-dags=100"]].concat());
        assert_eq!(world.published(), Some(world.repo.head()), "{said}");
    }
}

#[test]
fn only_block_asks_for_more_history() {
    let world = world();
    let server = GitServer::plain(world.dir.path());
    let from = server.url("upstream/.git");
    let commits = pushed_at_once(&world, &from, &["--depth=1"]);
    world.repo.reset(&commits[1]);
    server.forget_requests();
    let launch = world.launch_from(&from).args(["--one-time", "--check=gate", "--depth=1"]);
    let said = succeeds(&launch).stderr;
    assert!(!said.contains("backward"), "{said}");
    world.shows(&commits[1]);
    let posts = |server: &GitServer| server.requests().iter().filter(|it| it.method == "POST").count();
    assert_eq!(posts(&server), 2, "the refs and the commit");
}

#[test]
fn a_commit_that_the_server_has_given_up_stops_nobody() {
    let world = world();
    let bare = Repo::bare(world.path("bare.git"));
    let push = || {
        let refspec = "+HEAD:refs/heads/main";
        world.repo.git(&["push", "-q", bare.git_dir().to_str().unwrap(), refspec]);
    };
    bare.config("receive.denyNonFastForwards", "false");
    let server = GitServer::plain(world.dir.path());
    let from = server.url("bare.git");
    let run = |on_rewind: &str| {
        let launch = world.launch_from(&from).args(["--one-time", "--check=gate", "--depth=1"]);
        succeeds(&launch.set("on-rewind", on_rewind)).stderr
    };
    push();
    run("warn");
    world.repo.commit(&[("three.py", &dag("three"))]);
    world.repo.commit(&[("three.py", &dag("drei"))]);
    push();
    run("warn");
    let before = world.repo.head();
    world.shows(&before);
    world.repo.reset("HEAD~2");
    world.repo.commit(&[("four.py", &dag("four"))]);
    let head = world.repo.commit(&[("four.py", &dag("vier"))]);
    push();
    bare.git(&["reflog", "expire", "--expire=now", "--all"]);
    bare.git(&["gc", "-q", "--prune=now"]);
    assert!(!bare.try_git(&["cat-file", "-e", &before]).status.success());
    let said = run("block");
    assert!(said.contains("nobody can tell any more"), "{said}");
    world.shows(&head);
}
