//! A repository of DAGs, and a root that the gate stands before.

// Each integration test uses a part of it only.
#![allow(dead_code)]

use crate::support::agent::Finished;
use crate::synced::Synced;

/// A DAG file that Airflow would load.
pub fn dag(id: &str) -> String {
    format!("from airflow.sdk import DAG\n\nwith DAG({id:?}):\n    pass\n")
}

/// One that it could not.
pub fn broken(id: &str) -> String {
    format!("from airflow.sdk import DAG\n\nwith DAG({id:?})\n    pass\n")
}

/// A root with one good DAG published.
pub fn world() -> Synced {
    let world = Synced::empty();
    world.repo.commit(&[("one.py", &dag("one")), ("two.py", &dag("two"))]);
    once(&world, &[]);
    world.shows(&world.repo.head());
    world
}

/// One pass with the gate, which has to succeed; `args` may say otherwise.
#[track_caller]
pub fn once(world: &Synced, args: &[&str]) -> Finished {
    world.once(&[&["--check=gate"], args].concat())
}

/// One pass that holds the head back; what it said.
#[track_caller]
pub fn holds(world: &Synced, args: &[&str]) -> String {
    let before = world.seen();
    let finished = once(world, args);
    assert_eq!(world.seen(), before, "what is published stays");
    assert!(finished.stderr.contains("held back: "), "{}", finished.stderr);
    finished.stderr
}
