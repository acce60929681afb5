//! What is said of zips is what a real Airflow says of them. Python's own `zipfile` makes them.
//!
//! `tests/run` installs the Airflow and names it in `DAGSYNC_TEST_AIRFLOW`. Without that variable this test says that it has
//! proven nothing.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use dagsync::check::target::{Airflow, Python};
use dagsync::check::{Severity, Target, archive};
use serde::{Deserialize, Serialize};
use support::airflow;
use support::temp;

const GOOD: &str = "from airflow import DAG\ndag = DAG('good')\n";
const BROKEN: &str = "from airflow import DAG\n\nx = = 1\n";

/// A zip to be made.
#[derive(Debug, Clone, Serialize)]
struct Wanted {
    name: String,
    members: Vec<Member>,
    /// In hex, as all bytes here are.
    before: String,
    comment: String,
    /// As into a pipe.
    piped: bool,
    /// In the form for large ones.
    large: bool,
    /// Bytes that become others when it is made.
    changes: Vec<(String, String)>,
    /// The members of which we say that they are wrong; Airflow has to say the same.
    #[serde(skip)]
    wrong: BTreeSet<&'static str>,
    /// Whether we warn that something cannot be checked. Airflow may say what it likes.
    #[serde(skip)]
    unread: bool,
}

#[derive(Debug, Clone, Serialize)]
struct Member {
    name: &'static str,
    bytes: String,
    method: &'static str,
}

/// What Airflow says of a zip: errors by member; the empty one is the zip itself.
#[derive(Debug, Deserialize)]
struct Loaded {
    dags: Vec<String>,
    errors: BTreeMap<String, String>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Wanted {
    fn of(name: &str, members: &[(&'static str, &[u8])]) -> Wanted {
        let member =
            |(name, bytes): &(&'static str, &[u8])| Member { name, bytes: hex(bytes), method: "deflated" };
        Wanted {
            name: format!("{name}.zip"),
            members: members.iter().map(member).collect(),
            before: String::new(),
            comment: String::new(),
            piped: false,
            large: false,
            changes: Vec::new(),
            wrong: BTreeSet::new(),
            unread: false,
        }
    }

    fn packed(mut self, method: &'static str) -> Wanted {
        self.members.iter_mut().for_each(|member| member.method = method);
        self
    }

    fn wrong(mut self, members: &[&'static str]) -> Wanted {
        self.wrong.extend(members);
        self
    }

    fn unread(mut self) -> Wanted {
        self.unread = true;
        self
    }

    fn changed(mut self, was: &[u8], becomes: &[u8]) -> Wanted {
        self.changes.push((hex(was), hex(becomes)));
        self
    }
}

fn zips() -> Vec<Wanted> {
    let (good, broken) = (GOOD.as_bytes(), BROKEN.as_bytes());
    let one = |name: &str| Wanted::of(name, &[("m.py", broken)]).wrong(&["m.py"]);
    vec![
        Wanted::of("good", &[("m.py", good), ("text.txt", broken)]),
        Wanted::of("empty", &[]),
        one("deflated"),
        one("stored").packed("stored"),
        Wanted { piped: true, ..one("piped") },
        Wanted { large: true, ..one("large") },
        Wanted { before: hex(b"#!/bin/sh\n"), comment: hex(b"a comment"), ..one("wrapped") },
        Wanted::of("all", &[("a.py", broken), ("b.py", good), ("c.py", broken)]).wrong(&["a.py", "c.py"]),
        Wanted::of("nul", &[("m.py", b"from airflow import DAG\nx = '\0'\n")]).wrong(&["m.py"]),
        Wanted::of("undecodable", &[("m.py", b"from airflow import DAG\nx = '\xff'\n")]).wrong(&["m.py"]),
        Wanted::of("latin", &[("m.py", b"# coding: latin-1\nfrom airflow import DAG\nx = '\xff'\n")]),
        Wanted::of("compiler", &[("m.py", b"from airflow import DAG\nreturn\n")]).wrong(&["m.py"]),
        Wanted::of("lines", &[("m.py", b"from airflow import DAG\r\rx = = 1\r")]).wrong(&["m.py"]),
        Wanted::of("safe-mode", &[("m.py", b"x = = 1\n")]),
        Wanted::of("below", &[("folder/m.py", broken)]),
        Wanted::of("case", &[("M.PY", broken)]),
        Wanted::of("init", &[("__init__.py", broken)]).wrong(&["__init__.py"]),
        Wanted::of("names", &[("my-dag.py", broken), ("a b.py", broken), ("\u{fc}.py", broken)]).wrong(&[
            "my-dag.py",
            "a b.py",
            "\u{fc}.py",
        ]),
        Wanted::of("main", &[("__main__.py", broken)]).wrong(&["__main__.py"]),
        Wanted::of("package-first", &[("pack.py", broken), ("pack/__init__.py", good)]),
        // Of two with one name the last is meant.
        Wanted::of("mended", &[("m.py", broken), ("m.py", good)]),
        Wanted::of("worsened", &[("m.py", good), ("m.py", broken)]).wrong(&["m.py"]),
        // Built in, and nobody looks into the zip for it.
        Wanted::of("built-in", &[("time.py", broken)]),
        one("bzip2").packed("bzip2").unread().mended(),
        one("lzma").packed("lzma").unread().mended(),
        one("damaged").packed("stored").changed(b"x = = 1", b"x = = 2").unread().mended(),
        // The mark of a password, where the list of members begins: creator, version, flags.
        one("password")
            .packed("stored")
            .changed(b"PK\x01\x02\x14\x03\x14\0\0\0", b"PK\x01\x02\x14\x03\x14\0\x01\0")
            .unread()
            .mended(),
        one("no-list").changed(b"PK\x01\x02", b"PK\x01\x03").unread().mended(),
    ]
}

impl Wanted {
    /// Nothing sure is said of it.
    fn mended(mut self) -> Wanted {
        self.wrong.clear();
        self
    }
}

/// The line that a message of Python's names.
fn line(message: &str) -> Option<u32> {
    message.rsplit_once("line ")?.1.trim_end_matches(')').parse().ok()
}

fn load(programs: &Path, folder: &Path, zips: &[Wanted]) -> BTreeMap<String, Loaded> {
    let home = temp();
    let mut child = airflow::script(programs, home.path(), "zips.py")
        .arg(folder)
        .env("AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACKS", "False")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut requests = child.stdin.take().unwrap();
    requests.write_all(&serde_json::to_vec(zips).unwrap()).unwrap();
    drop(requests);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let json = text.lines().last().unwrap_or_default();
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn what_is_wrong_in_a_zip_is_what_airflow_says_of_it() {
    let Some(programs) = airflow::programs() else { return };
    let world = temp();
    let zips = zips();
    let loaded = load(&programs, world.path(), &zips);
    let target = Target::of(Airflow::NEWEST, Python { minor: 11 });
    let mut different = Vec::new();
    for wanted in &zips {
        let theirs = &loaded[&wanted.name];
        let ours = archive::look(&fs::read(world.path().join(&wanted.name)).unwrap(), &target);
        let (errors, warnings): (Vec<_>, Vec<_>) =
            ours.iter().partition(|issue| issue.code.severity() == Severity::Error);
        let placed: BTreeMap<&str, Option<u32>> = errors
            .iter()
            .map(|issue| {
                let (member, rest) = issue.message.split_once(".py").unwrap();
                let number = rest.strip_prefix(':').and_then(|rest| rest.split(':').next()?.parse().ok());
                (&issue.message[..member.len() + 3], number)
            })
            .collect();
        let same = placed.keys().copied().collect::<BTreeSet<_>>() == wanted.wrong
            && warnings.is_empty() != wanted.unread
            && (wanted.unread || theirs.errors.keys().map(String::as_str).eq(wanted.wrong.iter().copied()))
            && placed.iter().all(|(member, number)| {
                let theirs = theirs.errors.get(*member).and_then(|error| line(error));
                theirs.is_none() || theirs == *number
            });
        if !same {
            different.push(format!("{}: we say {ours:?}, Airflow {theirs:?}", wanted.name));
        }
        println!("{}: {:?}", wanted.name, theirs);
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert_eq!(loaded["good.zip"].dags, ["good"], "Airflow loads zips at all");
}
