//! Whether we and CPython agree on what compiles.
//!
//! The vectors hold the answers of CPython 3.8 to 3.13. The other tests ask the Pythons of this machine: Debian's, and every
//! `python3.x` on `PATH` that runs.

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use dagsync::check::python::{compile, with_room};
use dagsync::check::target::Python;
use dagsync::check::{Code, Severity};
use serde::Deserialize;
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
const KNOWN: &[(&str, u8, &str)] = &[
    ("hand-compr-0337", 8, "a lambda as the condition of a comprehension: the grammar of 3.8 only"),
    ("hand-deep-1142", 8, "the parser stack of 3.8 ends at about 95 brackets"),
];

#[test]
fn the_vectors_of_cpython_are_answered_as_cpython_did() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for vectors in [include_str!("data/python_syntax.jsonl"), include_str!("data/python_found.jsonl")] {
        for line in vectors.lines() {
            let vector: Json = serde_json::from_str(line).unwrap();
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
    }
    assert!(count > 6000, "{count}");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// A Python that says whether it compiles what it is given.
struct Oracle {
    child: Child,
    answers: BufReader<ChildStdout>,
    hello: Hello,
}

#[derive(Debug, Deserialize)]
struct Hello {
    minor: u8,
    stdlib: PathBuf,
}

impl Oracle {
    fn start(program: &Path) -> Option<Oracle> {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8").arg("-X").arg("utf8");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/oracle.py"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        let mut answers = BufReader::new(child.stdout.take()?);
        let mut line = String::new();
        answers.read_line(&mut line).ok()?;
        let hello = serde_json::from_str(&line);
        let Ok(hello) = hello else {
            let _ = child.wait();
            return None;
        };
        Some(Oracle { child, answers, hello })
    }

    /// One of each version.
    fn all() -> Vec<Oracle> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let named = (8..=13)
            .flat_map(|minor| folders.iter().map(move |folder| folder.join(format!("python3.{minor}"))));
        let mut all: Vec<Oracle> = Vec::new();
        for program in
            std::iter::once(PathBuf::from("/usr/bin/python3")).chain(named).filter(|path| path.is_file())
        {
            if let Some(oracle) = Oracle::start(&program)
                && all.iter().all(|other| other.hello.minor != oracle.hello.minor)
                && (8..=15).contains(&oracle.hello.minor)
            {
                all.push(oracle);
            }
        }
        assert!(!all.is_empty(), "the tests need a `python3`");
        all
    }

    fn refusal(&mut self, source: &[u8]) -> Option<String> {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{}", source.len()).and_then(|()| stdin.write_all(source)).unwrap();
        stdin.flush().unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.answers.read_to_string(&mut String::new());
        let _ = self.child.wait();
    }
}

fn python_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut entries: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.is_symlink() {
            python_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "py") {
            files.push(path);
        }
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

const WORDS: &[&str] = &[
    "def",
    "class",
    "if",
    "else",
    "elif",
    "for",
    "in",
    "while",
    "try",
    "except",
    "finally",
    "with",
    "as",
    "lambda",
    "return",
    "yield",
    "await",
    "async",
    "global",
    "nonlocal",
    "import",
    "from",
    "not",
    "and",
    "or",
    "is",
    "None",
    "True",
    "__debug__",
    "x",
    "break",
    "continue",
    "pass",
    "del",
    "raise",
    "assert",
    "match",
    "case",
    "type",
    "_",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    ";",
    ".",
    "=",
    "==",
    ":=",
    "->",
    "+",
    "-",
    "*",
    "**",
    "/",
    "//",
    "@",
    "|",
    "~",
    "<",
    "!=",
    "...",
    "+=",
    "!",
    "\\",
    "#",
    "'",
    "\"",
    "\"\"\"",
    "f\"",
    "rb'",
    "\n",
    "(yield)",
    "(await x)",
    "(x:=1)",
    "*x",
    "**x",
    "[x for x in y]",
    "(x async for x in y)",
    "f\"{x!r:{y}}\"",
    "return x",
    "nonlocal x",
    "global x",
    "x: int = 1",
    "except* E:",
    "import *",
    "from __future__ import annotations",
    "[i:=0 for i in y]",
    "0777",
    "1__0",
    "0x",
    "1e",
    "1if",
    "'\\x1'",
    "\u{c}",
    "é",
    "€",
    "$",
    "?",
    "<>",
    "print x",
    "case _:",
    "type X = int",
    "[T]",
    "*a, *b = c",
    "a.b: int",
    "(a): int",
    "'\\N{x}'",
];

/// Cuts a source into tokens, roughly, and breaks it a little.
fn mutated(source: &str, tokens: &regex::Regex, random: &mut fastrand::Rng) -> String {
    let mut parts: Vec<String> = tokens.find_iter(source).map(|token| token.as_str().to_owned()).collect();
    for _ in 0..random.usize(1..4) {
        if parts.len() < 4 {
            break;
        }
        let (at, other) = (random.usize(..parts.len()), random.usize(..parts.len()));
        let word = WORDS[random.usize(..WORDS.len())];
        let newline =
            (0..parts.len()).cycle().skip(at).take(parts.len()).find(|at| parts[*at].starts_with('\n'));
        match (random.u8(..8), newline) {
            (0, _) => drop(parts.remove(at)),
            (1, _) => parts.insert(at, parts[at].clone()),
            (2, _) => parts.swap(at, other),
            (3, _) => parts.insert(at, format!(" {word} ")),
            (4, _) => parts[at] = word.to_owned(),
            (5, Some(at)) => parts[at] = format!("\n{}", [" ", "\t", "    ", "        "][random.usize(..4)]),
            (6, Some(at)) => parts[at] = [" ", "; ", "", "\n"][random.usize(..4)].to_owned(),
            _ => parts[at] = parts[other].clone(),
        }
    }
    parts.concat()
}

/// What no vector can list: the same source, answered differently by the old grammar of a version.
fn explained(source: &str, minor: u8) -> bool {
    // Before 3.10 a line that begins with a backslash keeps the indentation of the line before.
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
        ("try: pass\nexcept A, B: pass\n", 14),
        ("t'{x}'\n", 14),
        ("lazy import a\n", 15),
    ] {
        assert_eq!(hint(source, since), None, "{source}");
        let said = hint(source, since - 1).unwrap_or_default();
        assert!(said.contains(&format!("Python 3.{since}")), "{source}: {said}");
    }
}
