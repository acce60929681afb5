//! A disk that is full, gone, or read-only for a while: readers keep what they have, people are told what to do, and the same
//! process goes on by itself when the disk is well.

#![cfg(debug_assertions)]

mod crash;
mod support;
mod synced;

use std::collections::BTreeMap;

use crash::broken::{Fault, Lasts, Shim};
use crash::scenarios::{ALL, named};
use crash::{World, side_by_side};
use rustix::io::Errno;
use support::observe::{address, wait_for_sample};
use support::wait::PATIENCE;
use synced::Synced;

/// So many faults share an upstream.
const FAULTS_A_WORLD: usize = 8;

/// From each n-th call of these kinds on, all of them fail for a while; every `step`-th n is tried.
fn sweep(scenarios: &[&str], calls: &str, errno: Errno, step: usize) {
    sweep_with(scenarios, &Fault { calls, errno, lasts: Lasts::Awhile }, step);
}

/// Each n-th call of these kinds fails, and no other.
fn sweep_once(scenarios: &[&str], calls: &str, errno: Errno, step: usize) {
    sweep_with(scenarios, &Fault { calls, errno, lasts: Lasts::Once }, step);
}

fn sweep_with(scenarios: &[&str], fault: &Fault<'_>, step: usize) {
    let folder = support::temp();
    let shim = Shim::build(folder.path());
    let mut jobs = Vec::new();
    for name in scenarios {
        let world = World::new(named(name));
        let undisturbed = world.undisturbed().unwrap();
        let all: Vec<usize> = (1..=shim.count(&world, fault.calls)).step_by(step).collect();
        jobs.extend(all.chunks(FAULTS_A_WORLD).map(|some| (*name, undisturbed.clone(), some.to_vec())));
    }
    let outcomes = side_by_side(&jobs, |(name, undisturbed, some)| {
        let world = World::new(named(name));
        some.iter().map(|nth| shim.survives(&world, fault, *nth, undisturbed)).collect::<Vec<_>>()
    })
    .concat();
    let (tried, struck) = (outcomes.len(), outcomes.iter().filter(|outcome| **outcome == Ok(true)).count());
    let failures: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    println!("{struck} of {tried} faults");
    assert!(failures.is_empty(), "{} of {tried}:\n{}", failures.len(), failures.join("\n"));
    // Threads share the work anew each time: of the last calls some may not come.
    assert!(struck * 10 >= tried * 9, "only {struck} of {tried} faults came to pass");
}

const CHANGE: &str = "a change by way of a spare";
const ALONE: &str = "a change without a spare";
const OTHER: &str = "a spare of other settings";
const DAMAGED: &str = "a published tree that is damaged";
const HTTP: &str = "the first sync over HTTP for a group, shallow";
const SHORT: &str = "the first sync over HTTP, all of a short history";

#[test]
fn enospc_at_every_write() {
    sweep(&[CHANGE, HTTP], ",create,write,", Errno::NOSPC, 1);
}

#[test]
fn eio_on_rename() {
    sweep(&[CHANGE, HTTP], ",rename,", Errno::IO, 1);
}

#[test]
fn erofs() {
    sweep(&[CHANGE], ",create,write,chmod,rename,remove,", Errno::ROFS, 2);
}

#[test]
fn estale() {
    sweep(&[CHANGE], ",open,create,write,rename,remove,sync,", Errno::STALE, 5);
}

#[test]
fn emfile_at_every_open() {
    sweep(&[CHANGE], ",open,create,", Errno::MFILE, 3);
}

#[test]
fn one_write_without_room_costs_one_pass() {
    sweep_once(&[CHANGE, HTTP], ",create,write,rename,", Errno::NOSPC, 1);
}

#[test]
fn one_call_that_the_disk_fails_costs_one_pass() {
    sweep_once(&[CHANGE, HTTP, SHORT], "*", Errno::IO, 1);
    sweep_once(&[ALONE, OTHER], "*", Errno::IO, 7);
    sweep_once(&[DAMAGED], ",open,create,remove,", Errno::IO, 2);
}

#[test]
fn one_call_without_rights_costs_one_pass() {
    sweep_once(&[CHANGE, HTTP, SHORT], ",open,create,chmod,rename,remove,", Errno::ACCESS, 1);
}

#[test]
fn one_call_of_any_other_trouble_costs_one_pass() {
    for errno in [Errno::STALE, Errno::ROFS, Errno::DQUOT, Errno::MFILE] {
        sweep_once(&[CHANGE], "*", errno, 5);
    }
}

#[test]
fn a_change_that_fails_for_a_while_is_made_up_for() {
    const ERRNOS: &[&str] = &["ENOSPC", "EIO", "EROFS", "ESTALE", "EACCES", "EDQUOT"];
    let scenarios: Vec<_> = ALL.iter().filter(|scenario| scenario.fault.is_empty()).collect();
    let looked = side_by_side(&scenarios, |scenario| {
        let world = World::new(scenario);
        (scenario.name, (world.points(), world.undisturbed().unwrap()))
    });
    let looked: BTreeMap<_, _> = looked.into_iter().collect();
    let mut known = std::collections::BTreeSet::new();
    let mut jobs = Vec::new();
    for scenario in scenarios {
        let (points, undisturbed) = &looked[scenario.name];
        let new: Vec<String> =
            points.keys().filter(|point| known.insert((*point).clone())).cloned().collect();
        let errnos = ERRNOS.iter().cycle().skip(known.len());
        let faults: Vec<_> = new.into_iter().zip(errnos.copied()).collect();
        jobs.extend(faults.chunks(FAULTS_A_WORLD).map(|some| (scenario, undisturbed.clone(), some.to_vec())));
    }
    let failures: Vec<String> = side_by_side(&jobs, |(scenario, undisturbed, some)| {
        let world = World::new(scenario);
        // A file server may also have made the change that it says has failed.
        let tried = some.iter().flat_map(|(point, errno)| {
            ["before", "after"].map(|when| world.survives_failing(point, when, errno, undisturbed))
        });
        tried.filter_map(Result::err).collect::<Vec<_>>()
    })
    .concat();
    println!("{} points", known.len());
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), known.len(), failures.join("\n"));
}

#[test]
fn a_tree_that_will_not_go_is_counted_and_tried_again() {
    for points in
        [&["retire.tree.rename", "retire.tree.remove"][..], &["retire.tree.remove", "retire.stray.remove"]]
    {
        let synced = Synced::new();
        let first = synced.repo.head();
        let during = synced.path("during");
        std::fs::write(&during, "").unwrap();
        // It cannot be kept for the next build either.
        let faults: Vec<String> = ["retire.tree.park"]
            .iter()
            .chain(points)
            .map(|point| format!("error:EBUSY:{point}:1:until-file:{}", during.display()))
            .collect();
        let agent = synced
            .launch()
            .args(["--stale-worktree-timeout=0s", "--http-bind=127.0.0.1:0"])
            .env(crash::VARIABLE, faults.join(";"))
            .start();
        agent.wait_published(&synced.root, "repo", &first);
        let next = synced.repo.commit(&[("a.py", "print(2)\n")]);
        agent.wait_published(&synced.root, "repo", &next);
        // Again and again, not only when it was replaced.
        let at = address(&agent);
        wait_for_sample(at, r#"dagsync_removal_failures_total{source="repo"}"#, 3.0);
        agent.wait_for_text("cannot remove `", PATIENCE);
        std::fs::remove_file(&during).unwrap();
        agent.wait_until("the tree to be gone", || synced.names(".worktrees") == [next.as_str()]);
        agent.wait_until("its metadata to be gone", || synced.names(".git/worktrees").len() == 1);
        assert!(!agent.stderr().contains(r#""level":"error""#), "{}", agent.stderr());
    }
}
