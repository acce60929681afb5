//! A commit that changes one file of many, as the agent checks it.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use dagsync::agent::Candidate;
use dagsync::check::{Checker, Files, Published, Revision, Settings};
use dagsync::git::worktree::WorkTree;
use dagsync::tree::{self, Limits, Policy};
use serde_json::{Value, json};

use crate::cost::cpu_of;
use crate::dags::{self, Length};
use crate::series::Series;
use crate::support::Repo;

/// The times of one commit, on the clock.
#[derive(Default)]
struct Times {
    /// Of the look at the tree, which a pass does with or without a check, and faster: it knows the tree before.
    walk: Duration,
    /// Of the list of files that the check wants.
    candidate: Duration,
    check: Duration,
    /// Processor time of the last two. The kernel counts it in ticks: only a mean says something.
    cpu: Duration,
}

/// Commits and checks, again and again; what came out, as JSON. The bar is for the list and the check together.
pub fn measure(repo: &Repo, files: usize, rounds: usize, bar: Option<f64>) -> Value {
    let mut checker = Checker::new(Settings::default());
    let mut before = repo.head();
    let cold = check(repo, &mut checker, &before, None);
    let mut warm = Vec::new();
    for round in 1..=rounds {
        let number = round * 37 % files;
        repo.write(&dags::path_of(number), dags::file(number, Length::Typical, round));
        let commit = repo.commit_all("a change");
        warm.push(check(repo, &mut checker, &commit, Some(&before)));
        before = commit;
    }
    let name = format!("one of {files} files changed, in process");
    println!("\n{name}: min, median");
    println!("  {:<26} {:>6.1} ms", "the first check", cold.check.as_secs_f64() * 1e3);
    let parts = [
        ("its list of files", Series::millis(warm.iter().map(|times| times.candidate)), None),
        ("the check itself", Series::millis(warm.iter().map(|times| times.check)), None),
        ("both", Series::millis(warm.iter().map(|times| times.candidate + times.check)), bar),
        ("(a walk of the whole tree)", Series::millis(warm.iter().map(|times| times.walk)), None),
    ];
    let mut json = json!({ "name": name, "the first check": cold.check.as_secs_f64() * 1e3 });
    for (part, series, bar) in parts {
        let verdict = crate::held(series.min(), bar);
        println!("  {part:<26} {:>6.1} {:>8.1} ms{verdict}", series.min(), series.median());
        json[part] = series.json();
    }
    let cpu = warm.iter().map(|times| times.cpu).sum::<Duration>().as_secs_f64() * 1e3 / rounds as f64;
    println!("  {:<26} {cpu:>6.1} ms", "both, processor time, mean");
    json["both, processor time, mean"] = cpu.into();
    json
}

fn check(repo: &Repo, checker: &mut Checker, commit: &str, before: Option<&str>) -> Times {
    let work_tree = WorkTree::around(repo.work()).expect("a work tree");
    let (_, root) = work_tree.revision(commit).expect("the commit");
    let objects = work_tree.objects().expect("its objects");
    let never = AtomicBool::new(false);
    let mut times = Times::default();

    let start = Instant::now();
    let listing = tree::walk(&objects, &root, &Limits::default(), &Policy::ANYTHING, &never).expect("a tree");
    times.walk = start.elapsed();

    let cpu = cpu_of(std::process::id());
    let start = Instant::now();
    let candidate = Candidate::new(&listing, "dags".into(), &objects, None, &never);
    times.candidate = start.elapsed();

    let unasked: &Files<'_> = &|_| panic!("the checker knows what it has checked last");
    let published = before.map(|commit| Published { commit, files: unasked });
    let revision = Revision { commit, message: "a change".into(), files: &candidate };
    let start = Instant::now();
    let report = checker.check(revision, published);
    times.check = start.elapsed();
    times.cpu = cpu_of(std::process::id()).saturating_sub(cpu);
    let report = report.expect("every object is there");
    assert!(report.findings.is_empty(), "{:?}", report.findings.first());
    times
}
