//! How many files a real Airflow parses again after a commit, by its own database.
//!
//! `tests/run` installs the Airflow and names it in `DAGSYNC_TEST_AIRFLOW`. Without that variable this test says that it has
//! proven nothing.

mod support;
mod synced;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use dagsync::config::options;
use serde::Deserialize;
use support::airflow;
use support::process::Daemon;
use support::wait::holds_within;
use synced::{Synced, ok};

const FILES: usize = 300;
/// A whole parse of all files, a fork each, on a machine that builds.
const PATIENCE: Duration = Duration::from_secs(90);

/// A dag-processor with a database of its own, over one folder of DAGs.
struct Airflow {
    log: PathBuf,
    database: Child,
    answers: BufReader<ChildStdout>,
    _processor: Daemon,
}

/// What its database says.
#[derive(Debug, Default, Deserialize)]
struct Times {
    parsed: BTreeMap<String, Option<String>>,
    refreshed: Option<String>,
}

impl Airflow {
    fn start(programs: &Path, home: &Path, dags: &Path) -> Airflow {
        fs::create_dir_all(home).unwrap();
        let database = home.join("airflow.db");
        let command = |program: &str| {
            let mut command = Command::new(program);
            command
                .env_clear()
                .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
                .env("HOME", home)
                .env("LC_ALL", "C.UTF-8")
                .env("AIRFLOW_HOME", home)
                .env("AIRFLOW__CORE__DAGS_FOLDER", dags)
                .env("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
                .env("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", format!("sqlite:///{}", database.display()))
                // So long that nothing but a mtime makes it parse a file again.
                .env("AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL", "100000")
                .env("AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL", "1")
                .env("AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL", "1")
                .env("AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES", "2");
            command
        };
        ok(command(programs.join("airflow").to_str().unwrap()).args(["db", "migrate"]));
        let log = home.join("dag-processor.log");
        let mut processor = command("/bin/sh");
        processor.args(["-c", "exec airflow dag-processor >\"$0\" 2>&1"]).arg(&log);
        let processor = Daemon::start(&processor);
        let mut times = command(programs.join("python").to_str().unwrap());
        times.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/airflow/times.py")).arg(&database);
        let mut child = times.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Airflow { log, database: child, answers, _processor: processor }
    }

    fn times(&mut self) -> Times {
        self.database.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    #[track_caller]
    fn wait_until(&mut self, what: &str, mut cond: impl FnMut(&Times) -> bool) -> Times {
        let mut last = Times::default();
        let held = holds_within(PATIENCE, || {
            last = self.times();
            cond(&last)
        });
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        assert!(held, "waited in vain for: {what}\n{log}");
        last
    }

    /// Waits until it has looked through the folder so many times more, whatever it parsed meanwhile.
    #[track_caller]
    fn rounds(&mut self, count: usize) -> Times {
        let mut seen = BTreeSet::new();
        self.wait_until("Airflow to look for files", |times| {
            seen.extend(times.refreshed.clone());
            seen.len() > count
        })
    }

    /// Waits until nothing is parsed any more; what was parsed when.
    #[track_caller]
    fn rests(&mut self) -> Times {
        let mut before = self.rounds(2);
        loop {
            let after = self.rounds(4);
            if after.parsed == before.parsed {
                return after;
            }
            before = after;
        }
    }
}

impl Drop for Airflow {
    fn drop(&mut self) {
        let _ = self.database.kill();
        let _ = self.database.wait();
    }
}

/// The files that were parsed since.
fn parsed_again<'a>(before: &Times, after: &'a Times) -> Vec<&'a str> {
    let newer = |(file, at): &(&String, &Option<String>)| before.parsed.get(*file) != Some(at);
    after.parsed.iter().filter(newer).map(|(file, _)| file.as_str()).collect()
}

fn dag(number: usize, round: usize) -> (String, String) {
    let text = format!(
        "from airflow.sdk import DAG\n\nwith DAG(dag_id=\"dag_{number:03}\", schedule=None, tags=[\"round {round}\"]):\n    \
         pass\n"
    );
    (format!("team{:02}/dag_{number:03}.py", number / 20), text)
}

#[test]
fn airflow_parses_the_changed_file_again_and_no_other() {
    let Some(programs) = airflow::programs() else { return };
    let began = Instant::now();
    let world = Synced::empty();
    let commit = |number: usize, round: usize| {
        let (path, text) = dag(number, round);
        world.repo.commit(&[(&path, &text)])
    };
    for (path, text) in (0..FILES).map(|number| dag(number, 0)) {
        world.repo.write(&path, text);
    }
    let first = world.repo.commit_all("all");
    let agent = world.launch().args(["--max-failures=-1"]).start();
    agent.wait_published(&world.root, "repo", &first);
    let mut airflow = Airflow::start(&programs, &world.path("airflow"), &world.link());
    airflow.wait_until("all files to be parsed", |times| times.parsed.len() == FILES);
    let mut before = airflow.rests();
    let started = began.elapsed();

    // A change, a second one (now from a spare), and back to the beginning: what is old must look new.
    let changed = |number: usize| dag(number, 0).0;
    for (what, go, expected) in [
        ("the first change", 1, vec![changed(123)]),
        ("the second change", 2, vec![changed(7)]),
        ("a rollback", 0, vec![changed(7), changed(123)]),
    ] {
        let target = match go {
            1 => commit(123, 1),
            2 => commit(7, 2),
            _ => world.repo.reset(&first),
        };
        agent.wait_published(&world.root, "repo", &target);
        airflow.wait_until("the changed file to be parsed", |times| !parsed_again(&before, times).is_empty());
        let after = airflow.rests();
        println!("{what}: {} of {FILES} files parsed again", parsed_again(&before, &after).len());
        assert_eq!(parsed_again(&before, &after), expected, "{what}");
        before = after;
    }

    // The opposite: a tree in which every file is new, as any fresh checkout is.
    drop(agent);
    let touched = Instant::now();
    let is_option = options::all().any(|option| option.name == "mtime");
    if is_option {
        let agent = world.launch().args(["--max-failures=-1", "--mtime=now"]).start();
        agent.wait_published(&world.root, "repo", &commit(123, 3));
    } else {
        let now = SystemTime::now();
        for path in synced::files(&world.link()).keys().filter(|path| path.ends_with(".py")) {
            File::options().write(true).open(world.link().join(path)).unwrap().set_modified(now).unwrap();
        }
    }
    let all = |times: &Times| parsed_again(&before, times).len() == FILES;
    airflow.wait_until("all files to be parsed again", all);
    let took = touched.elapsed();
    let after = airflow.rests();
    let (count, how) =
        (parsed_again(&before, &after).len(), if is_option { "by the option" } else { "touched" });
    println!("all times new, {how}: {count} of {FILES} files parsed again, in {took:?}");
    println!("Airflow was ready after {started:?}, all took {:?}", began.elapsed());
}
