//! Whether we and CPython agree on what compiles.
//!
//! The vectors hold the answers of CPython 3.8 to 3.13. The other tests ask the Pythons of this machine: Debian's, and every
//! `python3.x` on `PATH` that runs.

mod python;
mod support;

use std::fs;
use std::path::PathBuf;

use dagsync::check::python::{compile, with_room};
use dagsync::check::target::Python;
use dagsync::check::{Code, Severity};
use python::mutation::mutated;
use python::{Oracle, python_files};
use serde_json::Value as Json;
use support::process::unproven;

/// What is wrong with a source, in one line, or nothing.
fn refusal(source: &[u8], minor: u8) -> Option<String> {
    let compiled = || compile(source, Python { minor }, |_, _| ());
    let (issues, looked) = compiled();
    // With room on the stack the order of questions is another one.
    assert_eq!(with_room(compiled), (issues.clone(), looked), "{:.200}", source.escape_ascii());
    let error = issues.into_iter().find(|issue| issue.code.severity() >= Severity::Error)?;
    Some(format!("{}:{}: {}", error.line, error.column, error.message))
}

/// Vectors that we answer differently, and why.
const KNOWN: &[(&str, u8, &str)] =
    &[("hand-deep-1142", 8, "the parser stack of 3.8 ends at about 95 brackets")];

fn vectors() -> impl Iterator<Item = Json> {
    let all = [include_str!("data/python_syntax.jsonl"), include_str!("data/python_found.jsonl")];
    all.into_iter().flat_map(str::lines).map(|line| serde_json::from_str(line).unwrap())
}

#[test]
fn the_vectors_of_cpython_are_answered_as_cpython_did() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for vector in vectors() {
        let (id, source) = (vector["id"].as_str().unwrap(), vector["source"].as_str().unwrap());
        for minor in 8..=13 {
            let Some(theirs) = vector[format!("py3{minor}")].as_str() else { continue };
            count += 1;
            let ours = refusal(source.as_bytes(), minor);
            let known = KNOWN.iter().any(|(known, of, _)| (*known, *of) == (id, minor));
            if (theirs == "ok") != ours.is_none() && !known {
                wrong.push(format!("{id} on 3.{minor}: {theirs} and {ours:?}: {source:.200?}"));
            }
        }
    }
    assert!(count > 12_000, "{count}");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// A release may differ from the one that was asked then.
#[test]
fn what_the_vectors_say_the_installed_pythons_say_too() {
    for mut oracle in Oracle::all() {
        let minor = oracle.hello.minor;
        let (mut wrong, mut count) = (Vec::new(), 0);
        for vector in vectors() {
            let Some(recorded) = vector[format!("py3{minor}")].as_str() else { continue };
            let source = vector["source"].as_str().unwrap();
            // The deepest take CPython seconds.
            if source.len() > 800 {
                continue;
            }
            let theirs = oracle.refusal(source.as_bytes());
            count += 1;
            if (recorded == "ok") != theirs.is_none() {
                wrong.push(format!("{}: {recorded} and {theirs:?}: {source:.200?}", vector["id"]));
            }
        }
        println!("3.{minor}: {count} vectors, {} differently", wrong.len());
        assert!(wrong.is_empty(), "3.{minor}:\n{}", wrong.join("\n"));
    }
}

/// Where both disagree, in files.
fn disagreements(oracle: &mut Oracle, files: &[PathBuf]) -> Vec<String> {
    let minor = oracle.hello.minor;
    let mut wrong = Vec::new();
    for path in files {
        let Ok(source) = fs::read(path) else { continue };
        let (theirs, ours) = (oracle.refusal(&source), refusal(&source, minor));
        if theirs.is_some() != ours.is_some() {
            wrong.push(format!("{} on 3.{minor}: {theirs:?} and {ours:?}", path.display()));
        }
    }
    wrong
}

#[test]
fn of_the_standard_library_no_file_is_refused_that_its_python_compiles() {
    for mut oracle in Oracle::all() {
        let mut files = Vec::new();
        python_files(&oracle.hello.stdlib.clone(), &mut files);
        assert!(files.len() > 150, "{:?}", oracle.hello);
        // Of an installation with all of its tests and packages some are enough.
        fastrand::shuffle(&mut files);
        files.truncate(300);
        let wrong = disagreements(&mut oracle, &files);
        println!("3.{}: {} files", oracle.hello.minor, files.len());
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn of_airflow_and_what_it_needs_no_file_is_refused() {
    let Some(programs) = std::env::var_os("DAGSYNC_TEST_AIRFLOW").map(PathBuf::from) else {
        return unproven("DAGSYNC_TEST_AIRFLOW names no folder with the programs of an Airflow");
    };
    let mut oracle = Oracle::start(&programs.join("python")).expect("a Python beside Airflow");
    let mut files = Vec::new();
    python_files(&programs.join("../lib"), &mut files);
    assert!(files.len() > 1000, "{}", files.len());
    let wrong = disagreements(&mut oracle, &files);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What no vector can list: the same source, answered differently by the old grammar of a version.
fn explained(source: &str, minor: u8) -> bool {
    // A line that begins with a backslash is indented otherwise before 3.10. The vectors have what we know of it; not in them are
    // lines with nothing else in 3.8, and those without room for the indentation of the line before in 3.9.
    let continued = source.lines().any(|line| line.trim_start().starts_with('\\'));
    minor < 10 && continued
}

#[test]
fn of_broken_files_those_are_refused_that_cpython_refuses() {
    let seed = std::env::var("DAGSYNC_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    println!("DAGSYNC_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let tokens = regex::Regex::new(
        r#"[A-Za-z_]\w*|\d[\w.]*|"""|\.\.\.|\*\*|:=|->|[-+*/%@&|^<>=!]=|\n[ \t]*|[ \t]+|[^\w\s]|\w"#,
    )
    .unwrap();
    let vectors: Vec<Json> = include_str!("data/python_syntax.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let vectors: Vec<&str> = vectors
        .iter()
        .filter_map(|vector| vector["source"].as_str())
        .filter(|source| source.len() < 2000)
        .collect();
    for mut oracle in Oracle::all() {
        let minor = oracle.hello.minor;
        let mut files = Vec::new();
        python_files(&oracle.hello.stdlib.clone(), &mut files);
        let (mut wrong, mut refused) = (Vec::new(), 0);
        for round in 0..2000 {
            let text;
            let base = if round % 2 == 0 {
                vectors[random.usize(..vectors.len())]
            } else {
                text = fs::read_to_string(&files[random.usize(..files.len())]).unwrap_or_default();
                let from =
                    text.match_indices("\ndef ").map(|(at, _)| at + 1).nth(random.usize(..4)).unwrap_or(0);
                let end =
                    text[from..].match_indices('\n').nth(40).map_or(text.len(), |(at, _)| from + at + 1);
                &text[from..end]
            };
            let source = mutated(base, &tokens, &mut random);
            let (theirs, ours) = (oracle.refusal(source.as_bytes()), refusal(source.as_bytes(), minor));
            refused += usize::from(theirs.is_some());
            if theirs.is_some() != ours.is_some() && !explained(&source, minor) {
                wrong.push(format!("3.{minor}: {theirs:?} and {ours:?}: {source:?}"));
            }
        }
        println!("3.{minor}: 2000 files, {refused} refused, {} differently", wrong.len());
        assert!((200..1990).contains(&refused), "{refused}");
        // Of 3.8 and its other parser we know less.
        assert!(wrong.is_empty() || (minor == 8 && wrong.len() < 20), "{}", wrong.join("\n"));
    }
}

#[test]
fn an_issue_is_at_its_line_and_column_in_characters() {
    let issue = |source: &str| {
        let (issues, _) = compile(source.as_bytes(), Python::DEFAULT, |_, _| ());
        let issue = &issues[0];
        (issue.line, issue.column, issue.code, issue.message.clone())
    };
    assert_eq!(issue("é = 'ä' = 1 2\n"), (1, 5, Code::PythonSyntax, "cannot assign to `'ä'`".into()));
    assert_eq!(
        issue("def f():\r\n\treturn\r\nreturn\r\n"),
        (3, 1, Code::PythonSyntax, "'return' outside function".into())
    );
    assert_eq!(issue("<<<<<<< HEAD\nx = 1\n").2, Code::ConflictMarker);
    let (issues, looked) = compile(b"x = 1 # caf\xe9\n", Python::DEFAULT, |tree, _| tree.body.len());
    assert_eq!((issues[0].code, issues[0].column, looked), (Code::PythonCommentEncoding, 12, Some(1)));
    let (issues, looked) = compile(b"x = 'caf\xe9'\n", Python::DEFAULT, |tree, _| tree.body.len());
    assert_eq!((issues[0].code, issues[0].line, looked), (Code::PythonEncoding, 1, None));
}

#[test]
fn a_name_that_comes_twice_is_told_among_few_and_among_many() {
    for count in [2, 16, 17, 60] {
        let names: Vec<String> = (0..count).map(|at| format!("name_{at}")).collect();
        for (before, after) in [("def f(", "): pass\n"), ("f(", "=1)\n")] {
            let between = if after.starts_with('=') { "=1, " } else { ", " };
            let text = |names: &[String]| [before, &names.join(between), after].concat();
            assert_eq!(refusal(text(&names).as_bytes(), 12), None, "{before} {count}");
            for twice in 0..count - 1 {
                let mut names = names.clone();
                names[count - 1] = names[twice].clone();
                let refused = refusal(text(&names).as_bytes(), 12).expect("a refusal");
                assert!(refused.contains(&format!("name_{twice}")), "{refused}");
            }
        }
    }
}

#[test]
fn what_a_version_lacks_says_which_one_has_it() {
    let hint = |source: &str, minor| {
        let (issues, looked) = compile(source.as_bytes(), Python { minor }, |_, _| ());
        assert!(looked.is_some(), "{source}");
        issues.into_iter().next().map(|issue| issue.hint.unwrap_or_default())
    };
    for (source, since) in [
        ("match x:\n    case 1: pass\n", 10),
        ("match (x):\n    case 1: pass\n", 10),
        ("try: pass\nexcept* E: pass\n", 11),
        ("def f[T](): pass\n", 12),
        ("type A = int\n", 12),
        ("f'{x['y']}'\n", 12),
        ("def f[T = int](): pass\n", 13),
        ("class A[*T = *x]: pass\n", 13),
        ("type A[**P = x] = int\n", 13),
        ("try: pass\nexcept A, B: pass\n", 14),
        ("t'{x}'\n", 14),
        ("lazy import a\n", 15),
    ] {
        assert_eq!(hint(source, since), None, "{source}");
        let said = hint(source, since - 1).unwrap_or_default();
        assert!(said.contains(&format!("Python 3.{since}")), "{source}: {said}");
    }
}
