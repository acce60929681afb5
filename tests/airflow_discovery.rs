//! A real Airflow finds the files that discovery finds, in thousands of nasty trees, and raises where discovery says so.
//!
//! `tests/run` installs the Airflow and names it in `DAGSYNC_TEST_AIRFLOW`. Without that variable this test says that it has
//! proven nothing. A tree that fails is made again by its seed.

mod forest;
mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use dagsync::check::discover::discover;
use dagsync::check::snapshot::InMemory;
use dagsync::check::target::{Airflow, IgnoreSyntax, Python};
use dagsync::check::{Severity, Target};
use forest::Tree;
use serde::Deserialize;
use serde_json::json;
use support::airflow;
use support::temp;

const TREES: u64 = 600;

/// What Airflow says of a tree.
#[derive(Debug, Deserialize)]
struct Answer {
    files: Option<Vec<String>>,
    raised: Option<String>,
}

/// One Python that answers for many trees.
struct Oracle {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Oracle {
    fn start(programs: &Path, home: &Path) -> Oracle {
        let mut child = airflow::script(programs, home, "discovery.py")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (requests, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Oracle { child, requests, answers: BufReader::new(answers) }
    }

    fn ask(&mut self, folder: &Path, target: &Target) -> Answer {
        let syntax = if target.ignore == IgnoreSyntax::Glob { "glob" } else { "regexp" };
        let request = json!({ "folder": folder, "syntax": syntax, "safe_mode": target.safe_mode });
        writeln!(self.requests, "{request}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn version(programs: &Path) -> Target {
        let output = Command::new(programs.join("python"))
            .args(["-c", "import sys, importlib.metadata as m; print(m.version('apache-airflow-core'), sys.version_info[1])"])
            .env_clear()
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (airflow, minor) = text.trim().split_once(' ').unwrap();
        Target::of(airflow.parse::<Airflow>().unwrap(), Python { minor: minor.parse().unwrap() })
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `None` if the two say the same.
fn difference(oracle: &mut Oracle, tree: &mut Tree, target: &Target, folder: &Path) -> Option<String> {
    tree.write(folder);
    let answer = oracle.ask(folder, target);
    let snapshot = InMemory::new(tree.entries());
    let found = discover(&snapshot, target).unwrap();
    let fatal: Vec<_> = found.findings.iter().filter(|finding| finding.severity == Severity::Fatal).collect();
    let files: Vec<String> = found.files.iter().map(|file| file.path(&snapshot).to_string()).collect();
    let same = match (&answer.raised, &answer.files) {
        (Some(_), _) => !fatal.is_empty(),
        (None, Some(theirs)) => fatal.is_empty() && *theirs == files,
        (None, None) => false,
    };
    (!same).then(|| format!("{tree}\nAirflow: {answer:?}\nwe: {files:?} {fatal:?}"))
}

#[test]
fn airflow_finds_the_files_that_we_find_and_raises_where_we_say_so() {
    let Some(programs) = airflow::programs() else { return };
    let world = temp();
    let mut oracle = Oracle::start(&programs, world.path());
    let first = fastrand::u64(..u64::MAX / 2);
    println!("seeds from {first}");
    let mut target = Oracle::version(&programs);
    let (mut raised, mut wrong) = (0, Vec::new());
    for seed in first..first + TREES {
        target.ignore = if seed.is_multiple_of(2) { IgnoreSyntax::Glob } else { IgnoreSyntax::Regexp };
        target.safe_mode = seed.is_multiple_of(3);
        let mut tree = Tree::grown(seed, target.ignore);
        let folder = world.path().join(format!("tree-{seed}"));
        if let Some(difference) = difference(&mut oracle, &mut tree, &target, &folder) {
            wrong.push(format!("seed {seed}, {target:?}\n{difference}"));
        }
        raised +=
            usize::from(!discover(&InMemory::new(tree.entries()), &target).unwrap().findings.is_empty());
        fs::remove_dir_all(&folder).unwrap();
    }
    println!("{TREES} trees, {raised} of them with something that stops Airflow");
    assert!(raised > 0 && raised < TREES as usize, "the trees are not nasty enough, or too nasty: {raised}");
    assert!(
        wrong.is_empty(),
        "{} of {TREES} differ\n{}",
        wrong.len(),
        wrong[..wrong.len().min(8)].join("\n\n")
    );
}
