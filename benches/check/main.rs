//! The check against what people run today for the same question: `python -m compileall` and `ruff check --select E9`.
//!
//! Each program looks at the same folder, on one core, by turns; a busy machine makes all of them slow, so that minima and
//! processor time say more than medians. What comes after is in this process: the check of a commit that changes one file of
//! many, over a git store, by a [`dagsync::check::Checker`] that knows the commit before it.
//!
//! ```text
//! cargo bench --profile dist --bench check                1,000 and 10,000 files
//! cargo bench --profile dev --bench check -- --quick      seconds: shows that the bench works, its numbers say nothing
//!     --rounds=N      of each program
//! ```
//!
//! The measured program is the one that cargo has built with the bench, unless `DAGSYNC_BENCH_BINARY` names one. ruff comes from
//! PyPI into a folder below `target/`, once; with `--quick`, or when that fails, it is left out.
//!
//! The result is a table, and one line that begins with `JSON ` for programs. `docs/performance.md` explains the numbers.

mod change;
#[path = "../against_git/cost.rs"]
#[allow(dead_code, reason = "made for the other bench, which needs all of it")]
mod cost;
mod dags;
mod programs;
#[path = "../against_git/series.rs"]
#[allow(dead_code, reason = "made for the other bench, which needs all of it")]
mod series;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::fs;

use dags::Length;
use programs::Programs;
use serde_json::json;
use support::Repo;

/// What was asked for.
struct Options {
    quick: bool,
    rounds: Option<usize>,
}

impl Options {
    fn parse(args: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options { quick: false, rounds: None };
        for arg in args {
            match arg.split_once('=').unwrap_or((&arg, "")) {
                // Cargo's own.
                ("--bench", "") => {}
                ("--quick", "") => options.quick = true,
                ("--rounds", n) => {
                    options.rounds = Some(n.parse().map_err(|_| format!("not a number: `{n}`"))?);
                }
                _ => return Err(format!("unknown: `{arg}`\nhint: see the top of benches/check/main.rs")),
            }
        }
        Ok(options)
    }
}

fn main() {
    let options = Options::parse(std::env::args().skip(1)).unwrap_or_else(|wrong| panic!("{wrong}"));
    let programs = Programs::find(options.quick);
    println!(
        "{programs}\n{} cores, load {}",
        std::thread::available_parallelism().map_or(1, |n| n.get()),
        load()
    );
    let shapes: &[(usize, Length, Option<f64>)] = match options.quick {
        true => &[(100, Length::Typical, None), (20, Length::Long, None)],
        false => &[
            (1_000, Length::Typical, Some(100.0)),
            (1_000, Length::Long, Some(100.0)),
            (10_000, Length::Typical, Some(1_000.0)),
        ],
    };
    let mut rows = Vec::new();
    for (files, length, bar) in shapes {
        let folder = fast_folder();
        let repo = repository(&folder, *files, *length);
        let rounds = options.rounds.unwrap_or(if options.quick { 2 } else { 9 });
        let name = format!("{files} files of {}", length.name());
        rows.push(programs.race(&name, &repo.work().join("dags"), rounds, *bar));
    }
    let (files, rounds) = if options.quick { (100, 3) } else { (10_000, 30) };
    let folder = fast_folder();
    let repo = repository(&folder, files, Length::Typical);
    rows.push(change::measure(&repo, files, rounds, (!options.quick).then_some(20.0)));
    println!("\nJSON {}", json!({ "judged": !options.quick, "load": load(), "rows": rows }));
}

/// In memory where there is some: what is measured is programs, not a disk.
fn fast_folder() -> tempfile::TempDir {
    let mut temp = tempfile::Builder::new();
    temp.prefix("dagsync-bench-");
    temp.tempdir_in("/dev/shm").or_else(|_| temp.tempdir()).expect("a temporary folder")
}

/// Files that git tracks, as a developer or a CI job has them.
fn repository(folder: &tempfile::TempDir, files: usize, length: Length) -> Repo {
    let repo = Repo::new(folder.path());
    dags::write_all(repo.work(), files, length);
    repo.commit_all("all files");
    repo.git(&["repack", "-q", "-a", "-d"]);
    repo
}

/// How a value stands to its bar, for the table.
fn held(value: f64, bar: Option<f64>) -> String {
    bar.map_or_else(String::new, |bar| {
        format!("  ≤ {bar} ms: {}", if value <= bar { "held" } else { "MISSED" })
    })
}

/// How busy the machine is: read it before believing a number.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}
