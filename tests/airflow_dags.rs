//! What is said of DAG files is what a real Airflow says of them.
//!
//! `tests/run` installs the Airflow and names it in `DAGSYNC_TEST_AIRFLOW`. Without that variable these tests say that they have
//! proven nothing.

mod cases;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use dagsync::check::dag::cron::{Dialect, expression};
use dagsync::check::dag::facts::{Bound, Facts};
use dagsync::check::dag::{self, Role};
use dagsync::check::target::{Airflow, Python};
use dagsync::check::{Severity, Target};
use serde::Deserialize;
use support::airflow;

/// What Airflow says of a file.
#[derive(Debug, Deserialize)]
struct Loaded {
    dags: BTreeMap<String, Vec<String>>,
    edges: BTreeMap<String, Vec<(String, String)>>,
    errors: Vec<String>,
}

/// Loads every file below a folder, each in a bag of its own, in one process.
fn load(programs: &Path, folder: &Path) -> BTreeMap<String, Loaded> {
    let home = tempfile::tempdir().unwrap();
    let output = airflow::script(programs, home.path(), "bag.py").arg(folder).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let json = text.lines().last().unwrap_or_default();
    serde_json::from_str(json).unwrap_or_else(|error| {
        panic!("{error}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    })
}

fn facts(source: &str) -> Facts {
    let parsed = ruff_python_parser::parse_module(source).unwrap_or_else(|error| panic!("{error}\n{source}"));
    Facts::of(parsed.syntax(), source)
}

/// What we call an error in a file, for this Airflow.
fn errors(facts: &Facts) -> Vec<String> {
    let target = Target::of(Airflow::NEWEST, Python { minor: 11 });
    let issues = dag::issues(facts, &target, Role::DagFile);
    let errors = issues.into_iter().filter(|issue| issue.code.severity() == Severity::Error);
    errors
        .map(|issue| format!("{}:{}: {}: {}", issue.line, issue.column, issue.code, issue.message))
        .collect()
}

/// The DAGs that we say Airflow finds; `None` if some of them, or their ids, are not to be told.
fn ids(facts: &Facts) -> Option<BTreeSet<String>> {
    let found: Vec<_> = facts.dags.iter().filter(|dag| dag.bound != Bound::Never).collect();
    let sure = found.iter().all(|dag| dag.sure && dag.bound >= Bound::Global && dag.id.known().is_some());
    let ids = || found.iter().filter_map(|dag| dag.id.known().map(str::to_owned)).collect();
    (sure && !facts.more_dags).then(ids)
}

#[test]
fn files_that_we_call_wrong_are_those_that_airflow_does_not_load() {
    let Some(programs) = airflow::programs() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cases = cases::all();
    for (name, source) in &cases {
        fs::write(folder.path().join(format!("{name}.py")), source).unwrap();
    }
    fs::write(folder.path().join("beside.py"), "VALUE = 1\n").unwrap();
    let loaded = load(&programs, folder.path());
    let mut wrong = Vec::new();
    let (mut good, mut bad, mut same) = (0, 0, 0);
    for (name, source) in &cases {
        let theirs = &loaded[&format!("{name}.py")];
        let facts = facts(source);
        let ours = errors(&facts);
        // The name says what it is: a miss that we know of is no error of ours, but must be one of Airflow's.
        match (name.starts_with("bad_"), name.starts_with("missed_")) {
            (true, _) => bad += 1,
            (_, true) => {}
            _ => good += 1,
        }
        let expected_ours = name.starts_with("bad_");
        let expected_theirs = expected_ours || name.starts_with("missed_");
        if ours.is_empty() == expected_ours || theirs.errors.is_empty() == expected_theirs {
            wrong.push(format!("{name}: ours {ours:?}, theirs {:?}\n{source}", theirs.errors));
        }
        if theirs.errors.is_empty()
            && let Some(ids) = ids(&facts)
        {
            same += 1;
            if ids != theirs.dags.keys().cloned().collect() {
                wrong.push(format!("{name}: our DAGs {ids:?}, theirs {:?}\n{source}", theirs.dags));
            }
            graphs(name, &facts, theirs, &mut wrong);
        }
    }
    println!("{good} good files, {bad} bad ones; the DAGs of {same} compared");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(good >= 300 && bad >= 140, "{good} {bad}");
}

/// Tasks and dependencies of DAGs that hide nothing from us.
fn graphs(name: &str, facts: &Facts, theirs: &Loaded, wrong: &mut Vec<String>) {
    for dag in facts.dags.iter().filter(|dag| dag.sure && !dag.opaque && dag.bound >= Bound::Global) {
        let Some(id) = dag.id.known() else { continue };
        let mut tasks: Vec<String> =
            dag.tasks.iter().map(|task| task.id.known().unwrap_or("?").to_owned()).collect();
        tasks.sort();
        if theirs.dags.get(id) != Some(&tasks) {
            wrong.push(format!("{name}: our tasks of `{id}` {tasks:?}, theirs {:?}", theirs.dags.get(id)));
        }
        let task = |at: usize| dag.tasks[at].id.known().unwrap_or("?").to_owned();
        let edges: BTreeSet<(String, String)> =
            dag.edges.iter().filter(|edge| edge.sure).map(|edge| (task(edge.from), task(edge.to))).collect();
        let theirs: BTreeSet<(String, String)> =
            theirs.edges.get(id).into_iter().flatten().cloned().collect();
        // Those that a template makes we do not call sure.
        if !edges.is_subset(&theirs) {
            wrong.push(format!("{name}: our edges of `{id}` {edges:?}, theirs {theirs:?}"));
        }
    }
}

#[test]
fn random_dags_that_we_call_wrong_are_wrong_and_the_others_are_what_we_read() {
    let Some(programs) = airflow::programs() else { return };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let sources: Vec<String> = (0..600).map(|_| cases::random(&mut random)).collect();
    for (at, source) in sources.iter().enumerate() {
        fs::write(folder.path().join(format!("r{at}.py")), source).unwrap();
    }
    let loaded = load(&programs, folder.path());
    let mut wrong = Vec::new();
    let (mut bad, mut missed) = (0, 0);
    for (at, source) in sources.iter().enumerate() {
        let name = format!("r{at}.py");
        let theirs = &loaded[&name];
        let facts = facts(source);
        let ours = errors(&facts);
        bad += usize::from(!ours.is_empty());
        missed += usize::from(ours.is_empty() && !theirs.errors.is_empty());
        let before = wrong.len();
        if !ours.is_empty() && theirs.errors.is_empty() {
            wrong.push(format!("{name}: ours {ours:?}, none of theirs"));
        }
        if theirs.errors.is_empty() {
            graphs(&name, &facts, theirs, &mut wrong);
        }
        if wrong.len() > before {
            wrong.push(source.clone());
        }
    }
    println!("{bad} of {} wrong by us, {missed} more by Airflow", sources.len());
    assert!(wrong.is_empty(), "seed {seed}: {}", wrong[..wrong.len().min(6)].join("\n"));
    assert!(bad > 60 && bad < 540, "{bad} bad ones: they prove little");
}

/// What we say of a file of DAGs against what Airflow says: our errors are its errors, and the DAGs of which we are sure are there.
fn agrees(name: &str, source: &str, theirs: &Loaded, wrong: &mut Vec<String>) -> bool {
    let facts = facts(source);
    let ours = errors(&facts);
    let before = wrong.len();
    if theirs.errors.is_empty() {
        if !ours.is_empty() {
            wrong.push(format!("{name}: ours {ours:?}, none of theirs"));
        }
        for dag in facts.dags.iter().filter(|dag| dag.sure && dag.bound >= Bound::Global) {
            if let Some(id) = dag.id.known()
                && !theirs.dags.contains_key(id)
            {
                wrong.push(format!("{name}: our DAG `{id}`, theirs {:?}", theirs.dags.keys()));
            }
        }
        graphs(name, &facts, theirs, wrong);
    }
    if wrong.len() > before {
        wrong.push(source.to_owned());
    }
    !ours.is_empty()
}

#[test]
fn no_value_is_held_for_sure_after_a_program_made_another_one_of_it() {
    let Some(programs) = airflow::programs() else { return };
    let seed = std::env::var("DAGSYNC_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let sources: Vec<String> = (0..600).map(|_| cases::programs::program(&mut random)).collect();
    for (at, source) in sources.iter().enumerate() {
        fs::write(folder.path().join(format!("p{at}.py")), source).unwrap();
    }
    let loaded = load(&programs, folder.path());
    let mut wrong = Vec::new();
    let (mut bad, mut good, mut sure) = (0, 0, 0);
    for (at, source) in sources.iter().enumerate() {
        let name = format!("p{at}.py");
        let theirs = &loaded[&name];
        good += usize::from(theirs.errors.is_empty());
        bad += usize::from(agrees(&name, source, theirs, &mut wrong));
        sure += usize::from(facts(source).dags.iter().any(|dag| dag.sure && dag.id.known().is_some()));
    }
    println!("{good} of {} load, {bad} called wrong, {sure} with a DAG that is sure", sources.len());
    assert!(
        wrong.is_empty(),
        "seed {seed}: {} wrong: {}",
        wrong.len(),
        wrong[..wrong.len().min(12)].join("\n")
    );
    assert!(good > 300 && bad > 10 && sure > 100, "{good} {bad} {sure}: they prove little");
}

#[test]
fn the_examples_of_airflow_have_no_error_and_the_ids_that_airflow_finds() {
    let Some(programs) = airflow::programs() else { return };
    let library = programs.parent().unwrap().join("lib/python3.11/site-packages/airflow");
    let folders = [library.join("example_dags"), library.join("providers/standard/example_dags")];
    let mut wrong = Vec::new();
    let (mut files, mut same) = (0, 0);
    let mut sources = Vec::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        for (path, theirs) in load(&programs, folder) {
            let source = fs::read_to_string(folder.join(&path)).unwrap();
            let facts = facts(&source);
            sources.push(source);
            files += 1;
            let ours = errors(&facts);
            if theirs.errors.is_empty() && !ours.is_empty() {
                wrong.push(format!("{path}: {ours:?}"));
            }
            if let (Some(ids), true) = (ids(&facts), theirs.errors.is_empty()) {
                same += 1;
                if ids != theirs.dags.keys().cloned().collect() {
                    wrong.push(format!("{path}: our DAGs {ids:?}, theirs {:?}", theirs.dags.keys()));
                }
                graphs(&path, &facts, &theirs, &mut wrong);
            }
        }
    }
    println!("{files} example files, the DAGs of {same} compared");
    let parsed: Vec<_> =
        sources.iter().map(|source| ruff_python_parser::parse_module(source).unwrap()).collect();
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let began = Instant::now();
        for (parsed, source) in parsed.iter().zip(&sources).cycle().take(1_000) {
            dag::issues(&Facts::of(parsed.syntax(), source), &Target::default(), Role::DagFile);
        }
        best = best.min(began.elapsed());
    }
    println!("1000 of them are read and judged in {best:?} at best, without parsing");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(files >= 50 && same * 3 > files, "{files} files, {same} compared");
}

/// Cron expressions out of pieces that mean something, most of them nearly right.
fn crons(random: &mut fastrand::Rng) -> String {
    const PIECES: &[&str] = &[
        "*",
        "*",
        "*",
        "0",
        "1",
        "5",
        "7",
        "12",
        "23",
        "24",
        "31",
        "32",
        "59",
        "60",
        "1970",
        "2099",
        "2100",
        "?",
        "L",
        "l",
        "W",
        "15W",
        "w1",
        "jan",
        "DEC",
        "mon",
        "SUN",
        "sat",
        "R",
        "H",
        "r",
        "h(1-5)",
        "R(0-10)",
        "R/5",
        "R(2-9)/3",
        "5#2",
        "fri#1",
        "sun-tue#3",
        "1#6",
        "l5",
        "L7",
        "5L",
        "-1",
        "",
        "a",
        "00",
        "007",
        "99999999999999999999",
        "é",
        "１",
        "٣",
        "*/１５",
        "²",
        "fri#２",
        "L５",
        "１W",
        "R(１-２)",
        "\u{212a}",
        "\u{a0}",
        "1\u{2003}2",
        "\u{85}",
    ];
    let piece = |random: &mut fastrand::Rng| PIECES[random.usize(..PIECES.len())].to_owned();
    let number = |random: &mut fastrand::Rng| random.u32(0..35).to_string();
    let field = |random: &mut fastrand::Rng| match random.u32(0..12) {
        0..5 => piece(random),
        5..7 => number(random),
        7 => format!("{}-{}", number(random), number(random)),
        8 => format!("*/{}", number(random)),
        9 => format!("{}-{}/{}", piece(random), piece(random), number(random)),
        10 => format!("{},{}", piece(random), piece(random)),
        _ => format!("{}/{}", piece(random), piece(random)),
    };
    let count = [5, 5, 5, 5, 5, 5, 6, 6, 7, 4, 8][random.usize(..11)];
    // Most fields are plain, so that one field decides.
    let fields: Vec<String> =
        (0..count).map(|_| if random.u32(0..3) == 0 { field(random) } else { "*".into() }).collect();
    let separators = ["\t", "\u{a0}", "\u{1c}", "\u{2028}"];
    let separator = separators.get(random.usize(0..40)).copied().unwrap_or(" ");
    fields.join(separator)
}

#[test]
fn random_cron_expressions_are_taken_as_the_installed_croniter_takes_them() {
    let Some(programs) = airflow::programs() else { return };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let texts: Vec<String> = (0..20_000).map(|_| crons(&mut random)).collect();
    let home = tempfile::tempdir().unwrap();
    let mut child = airflow::script(&programs, home.path(), "cron.py")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines = texts.join("\n") + "\n";
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut answers = text.lines();
    let release = answers.next().unwrap();
    let dialect = Dialect::ALL.into_iter().find(|dialect| dialect.release() == release);
    let Some(dialect) = dialect else { panic!("croniter {release} is none that we know") };
    let mut wrong = Vec::new();
    let mut taken = 0;
    for (text, answer) in texts.iter().zip(answers.by_ref()) {
        let ours = expression(text, dialect);
        taken += usize::from(ours.is_ok());
        // Before 7 what `R` drew could be out of range: then the answer is one of chance.
        let by_chance = dialect < Dialect::Seven && ours.is_ok() && text.contains(['r', 'R']);
        if ours.is_ok() != (answer == "yes") && !by_chance {
            wrong.push(format!("`{text}`: ours {ours:?}, croniter {release} says {answer}"));
        }
    }
    println!("{taken} of {} taken, by croniter {release}", texts.len());
    assert!(wrong.is_empty(), "seed {seed}: {} wrong: {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
    assert!(taken > 2_000 && taken < 18_000, "{taken} taken: the pieces prove little");
}

/// Every file below a folder with one of these endings.
fn files(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, endings, found);
        } else if path.extension().is_some_and(|ending| endings.iter().any(|one| ending == *one)) {
            found.push(path);
        }
    }
}

#[test]
fn nothing_of_the_installed_library_is_called_wrong() {
    let Some(programs) = airflow::programs() else { return };
    let library = programs.parent().unwrap().join("lib/python3.11/site-packages");
    let mut sources = Vec::new();
    for package in ["airflow", "sqlalchemy", "pendulum", "fastapi", "pydantic", "rich", "alembic"] {
        files(&library.join(package), &["py"], &mut sources);
    }
    let mut wrong = Vec::new();
    let mut read = 0;
    let mut took = Duration::ZERO;
    let target = Target::of(Airflow::NEWEST, Python { minor: 11 });
    for path in &sources {
        let source = fs::read_to_string(path).unwrap();
        let Ok(parsed) = ruff_python_parser::parse_module(&source) else { continue };
        let began = Instant::now();
        let facts = Facts::of(parsed.syntax(), &source);
        let issues = dag::issues(&facts, &target, Role::Module);
        took += began.elapsed();
        read += 1;
        assert_eq!(facts, Facts::of(parsed.syntax(), &source), "{}", path.display());
        for issue in issues.iter().filter(|issue| issue.code.severity() == Severity::Error) {
            wrong.push(format!("{}:{}: {}", path.display(), issue.line, issue.message));
        }
    }
    let mut data = Vec::new();
    files(&library, &["yaml", "yml", "json"], &mut data);
    for path in &data {
        let name = path.file_name().unwrap().as_encoded_bytes();
        if let Some(issue) = dag::data_syntax(name, &fs::read(path).unwrap()) {
            wrong.push(format!("{}:{}: {}", path.display(), issue.line, issue.message));
        }
    }
    println!("{read} modules in {took:?}, {} data files", data.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(read > 1_000, "{read} modules");
}
