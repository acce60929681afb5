//! Discovery against the answers of real Airflows, and against what must hold in any tree.

mod forest;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use dagsync::check::discover::{Memory, discover, discover_with};
use dagsync::check::snapshot::{Entry, InMemory, Kind};
use dagsync::check::target::{Airflow, IgnoreSyntax, Python};
use dagsync::check::{Code, Snapshot, Target, Unreadable};
use forest::Tree;
use proptest::prelude::*;
use serde::Deserialize;

const DAG: &str = "from airflow import DAG";
/// What Airflow takes for a DAG file whatever its name is.
const ZIP: &str = "PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const VERSIONS: &[&str] = &["2.7.0", "2.11", "3.0", "3.1.0", "3.1.1", "3.1.5", "3.1.6", "3.1", "3.2", "3.3"];

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    id: String,
    syntax: String,
    ignore_files: BTreeMap<String, String>,
    path: String,
    by_version: BTreeMap<String, serde_json::Value>,
}

fn target(version: &str, ignore: IgnoreSyntax) -> Target {
    let airflow: Airflow = version.parse().unwrap();
    Target { ignore, safe_mode: false, ..Target::of(airflow, Python { minor: 11 }) }
}

fn check(text: &str, least: usize) {
    let vectors: Vectors = serde_json::from_str(text).unwrap();
    let (mut count, mut wrong) = (0, Vec::new());
    for vector in &vectors.vectors {
        let files = vector.ignore_files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        let snapshot = InMemory::new(
            files.chain([(vector.path.as_str(), ZIP)]).map(|(path, text)| (path, Kind::File, text)),
        );
        let syntax = if vector.syntax == "glob" { IgnoreSyntax::Glob } else { IgnoreSyntax::Regexp };
        for (version, expected) in &vector.by_version {
            let found = discover(&snapshot, &target(version, syntax)).unwrap();
            let answer = match (found.findings.is_empty(), found.files.is_empty()) {
                (false, _) => "error".into(),
                (true, ignored) => serde_json::Value::Bool(ignored),
            };
            count += 1;
            if answer != *expected {
                wrong.push(format!("{} in {version}: {answer}, Airflow says {expected}", vector.id));
            }
        }
    }
    assert!(count >= least, "only {count} answers");
    assert!(wrong.is_empty(), "{} of {count} differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_vector_of_every_airflow_is_answered_alike() {
    check(include_str!("data/airflowignore.json"), 177 * 7);
    check(include_str!("data/airflowignore-found.json"), 8);
}

/// A snapshot with ids, that counts what is read.
struct Counting {
    inner: InMemory,
    reads: AtomicUsize,
}

impl Snapshot for Counting {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn entry(&self, at: usize) -> Entry<'_> {
        let mut id = [0; 20];
        id[..8].copy_from_slice(&(at as u64).to_be_bytes());
        Entry { content: Some(id), ..self.inner.entry(at) }
    }

    fn read(&self, at: usize) -> Result<Vec<u8>, Unreadable> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.read(at)
    }
}

#[test]
fn of_ten_thousand_files_only_the_ignore_files_are_read_again_and_that_quickly() {
    let mut files: Vec<(String, Kind, String)> = Vec::new();
    for folder in 0..500 {
        for file in 0..20 {
            files.push((
                format!("team{:02}/dags{folder:03}/dag_{file}.py", folder % 25),
                Kind::File,
                DAG.into(),
            ));
        }
        if folder % 10 == 0 {
            let text = "*.txt\ntest_*\n__pycache__/\n/build/\n**/skip/*.py\n";
            files.push((
                format!("team{:02}/dags{folder:03}/.airflowignore", folder % 25),
                Kind::File,
                text.into(),
            ));
        }
    }
    let snapshot = Counting { inner: InMemory::new(files), reads: AtomicUsize::new(0) };
    let target = Target::default();
    let mut memory = Memory::default();
    let first = discover_with(&snapshot, &target, &mut memory).unwrap();
    assert_eq!(first.files.len(), 10_000);
    snapshot.reads.store(0, Ordering::Relaxed);
    let began = Instant::now();
    let second = discover_with(&snapshot, &target, &mut memory).unwrap();
    let took = began.elapsed();
    assert_eq!(first, second);
    assert_eq!(snapshot.reads.load(Ordering::Relaxed), 50);
    println!("10,000 files in {took:?}");
    // A build without optimization, on a machine that does other things: the promise of 20 ms is of a release build.
    assert!(took.as_millis() < 2000, "{took:?}");
}

fn fatal(files: &[(&str, Kind, &[u8])], version: &str) -> Vec<(String, u32, Code)> {
    let snapshot = InMemory::new(files.iter().map(|(path, kind, bytes)| (*path, *kind, bytes.to_vec())));
    let mut target = target(version, IgnoreSyntax::of(version.parse().unwrap()));
    target.safe_mode = true;
    let findings = discover(&snapshot, &target).unwrap().findings;
    for finding in &findings {
        assert!(finding.issue.hint.is_some() && finding.issue.message.contains("Airflow"), "{finding:?}");
    }
    findings
        .into_iter()
        .map(|finding| (finding.path.to_string(), finding.issue.line, finding.issue.code))
        .collect()
}

#[test]
fn a_bad_ignore_file_is_told_with_its_line_unless_its_folder_is_ignored() {
    let dag = ("d.py", Kind::File, DAG.as_bytes());
    let bad = |text: &'static [u8]| ("sub/.airflowignore", Kind::File, text);
    let expected = |line, code| vec![("sub/.airflowignore".to_owned(), line, code)];
    assert_eq!(fatal(&[dag, bad(b"a\n!\nb")], "3.3"), expected(2, Code::IgnorePattern));
    assert_eq!(fatal(&[dag, bad(b"a\r\n\r\na\\#b")], "3.3"), expected(3, Code::IgnorePattern));
    assert_eq!(fatal(&[dag, bad(b"ok\nno\xff")], "3.3"), expected(2, Code::IgnoreEncoding));
    assert_eq!(fatal(&[dag, bad(b"no\xff")], "2.7"), expected(1, Code::IgnoreEncoding));
    assert_eq!(fatal(&[dag, bad(b"!\na\\")], "2.7"), []);
    let ignored = (".airflowignore", Kind::File, &b"sub"[..]);
    assert_eq!(fatal(&[dag, bad(b"!\n\xff"), ignored], "3.3"), []);
}

#[test]
fn two_paths_to_one_folder_are_told_at_the_link_with_both_paths() {
    let dag = |path| (path, Kind::File, DAG.as_bytes());
    let link = |path, to: &'static str| (path, Kind::Link, to.as_bytes());
    for version in VERSIONS {
        let told = |path: &str| vec![(path.to_owned(), 0, Code::PathLoop)];
        assert_eq!(fatal(&[dag("b/d.py"), link("a", "b")], version), told("a"));
        assert_eq!(fatal(&[dag("b/d.py"), link("c", "b")], version), told("c"));
        assert_eq!(fatal(&[dag("a/d.py"), link("a/up", "..")], version), told("a/up"));
        assert_eq!(fatal(&[dag("a/d.py"), link("a/self", ".")], version), told("a/self"));
        assert_eq!(
            fatal(&[link("x", "x"), link("out", "../b"), link("out2", "../b"), dag("b/d.py")], version),
            []
        );
        let ignored = (".airflowignore", Kind::File, &b"^c$\n"[..]);
        if version.starts_with('2') {
            assert_eq!(fatal(&[dag("b/d.py"), link("c", "b"), ignored], version), []);
        }
    }
    let snapshot = InMemory::new([("b/d.py", Kind::File, DAG), ("c", Kind::Link, "b")]);
    let message = discover(&snapshot, &Target::default()).unwrap().findings.remove(0).issue.message;
    assert!(message.contains("`b`") && message.contains("`c`"), "{message}");
}

#[test]
fn links_lead_out_of_the_folder_into_the_rest_of_the_revision_and_back() {
    let found = |links: &[(&str, &'static str)], folder: &str| {
        let files =
            [("lib/deep/a.py", DAG), ("lib/.airflowignore", "no.py"), ("lib/no.py", DAG), ("dags/b.py", DAG)];
        let files = files.map(|(path, text)| (path, Kind::File, text));
        let links = links.iter().map(|(path, to)| (*path, Kind::Link, *to));
        let snapshot = InMemory::new(files.into_iter().chain(links)).with_folder(folder);
        let found = discover(&snapshot, &Target::default()).unwrap();
        let files: Vec<String> = found.files.iter().map(|file| file.path(&snapshot).to_string()).collect();
        (files, found.findings.iter().map(|it| it.path.to_string()).collect::<Vec<_>>(), found.is_missing)
    };
    let paths = |paths: &[&str]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
    let none = Vec::new;
    assert_eq!(found(&[], "dags"), (paths(&["b.py"]), none(), false));
    assert_eq!(found(&[("dags/up", "../lib")], "dags"), (paths(&["b.py", "up/deep/a.py"]), none(), false));
    assert_eq!(
        found(&[("dags/one.py", "../lib/no.py")], "dags"),
        (paths(&["b.py", "one.py"]), none(), false)
    );
    // Round in a circle, all of it outside of the folder but the first step.
    let (_, loops, _) = found(&[("dags/up", "../lib"), ("lib/self", ".")], "dags");
    assert_eq!(loops, ["lib/self"]);
    let (_, loops, _) = found(&[("dags/up", "..")], "dags");
    assert_eq!(loops, ["dags/up"]);
    // The folder is a link itself, or it is not there.
    assert_eq!(found(&[("now", "lib/deep")], "now"), (paths(&["a.py"]), none(), false));
    assert_eq!(found(&[("now", "gone")], "now"), (none(), none(), true));
    assert_eq!(found(&[], "nowhere"), (none(), none(), true));
}

#[test]
fn a_name_that_is_not_utf8_matters_for_dags_and_for_re2() {
    let snapshot = |text: &'static str, ignore: &'static str| {
        InMemory::new([(&b"x\xff.py"[..], Kind::File, text), (&b".airflowignore"[..], Kind::File, ignore)])
    };
    let codes = |snapshot: &InMemory, version: &str| -> Vec<Code> {
        let target = Target::of(version.parse().unwrap(), Python::DEFAULT);
        discover(snapshot, &target).unwrap().findings.into_iter().map(|finding| finding.issue.code).collect()
    };
    for version in VERSIONS {
        assert_eq!(codes(&snapshot(DAG, ""), version), [Code::NameEncoding], "{version}");
        assert_eq!(codes(&snapshot("nothing", ""), version), [], "{version}");
    }
    assert_eq!(codes(&snapshot("nothing", "y"), "2.11"), [Code::NameEncoding]);
    assert_eq!(codes(&snapshot("nothing", "y"), "3.3"), []);
    // A folder in which there is nothing to ask about.
    let empty = InMemory::new([(&b"x\xff/.airflowignore"[..], Kind::File, "y")]);
    assert_eq!(codes(&empty, "2.11"), []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_any_tree_what_is_found_is_there_once_in_order_and_the_same_again(
        seed: u64, glob: bool, safe_mode: bool, version in proptest::sample::select(VERSIONS),
    ) {
        let ignore = if glob { IgnoreSyntax::Glob } else { IgnoreSyntax::Regexp };
        let snapshot = InMemory::new(Tree::grown(seed, ignore).entries());
        let target = Target { safe_mode, ..target(version, ignore) };
        let mut memory = Memory::default();
        let found = discover_with(&snapshot, &target, &mut memory).unwrap();
        prop_assert_eq!(&found, &discover_with(&snapshot, &target, &mut memory).unwrap());
        prop_assert!(found.files.windows(2).all(|pair| pair[0].path(&snapshot) < pair[1].path(&snapshot)));
        for file in &found.files {
            let entry = snapshot.entry(file.entry());
            prop_assert_eq!(entry.kind, Kind::File);
            let name = file.path(&snapshot).rsplit(|byte| *byte == b'/').next().unwrap();
            prop_assert!(file.is_zip() || name.ends_with(b".py"));
        }
        // Without ignore files nothing is left out that was found with them, unless the walk ends earlier.
        let open = Tree::grown(seed, ignore).entries().into_iter().filter(|(path, ..)| !path.ends_with(b".airflowignore"));
        let bare = InMemory::new(open);
        let open = discover(&bare, &target).unwrap();
        if found.findings.is_empty() && open.findings.is_empty() {
            let paths: Vec<_> = open.files.iter().map(|file| file.path(&bare)).collect();
            prop_assert!(found.files.iter().all(|file| paths.contains(&file.path(&snapshot))));
        }
        for finding in &found.findings {
            prop_assert!(finding.issue.hint.is_some());
        }
    }
}
