//! A tree of files, folders and links: the walk ends, lists no path twice, and its findings are about what is there.

#![no_main]

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use dagsync::check::Target;
use dagsync::check::discover::discover;
use dagsync::check::snapshot::{InMemory, Kind, Snapshot};
use dagsync::check::target::{Airflow, IgnoreSyntax, Python};
use libfuzzer_sys::fuzz_target;

const NAMES: [&[u8]; 12] = [
    b"a",
    b"b",
    b"c",
    b"d.py",
    b"e.py",
    b".airflowignore",
    b"z.zip",
    b".git",
    b"\xff.py",
    b"l",
    b"m",
    b"..py",
];
const CONTENTS: [&[u8]; 6] = [
    b"from airflow import DAG",
    b"a\n!b\nd.py\n",
    b"",
    b"\xff",
    b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    b"[\n",
];
const VERSIONS: [&str; 4] = ["2.7.0", "2.11", "3.1.0", "3.3"];

#[derive(Debug, Arbitrary)]
struct World {
    entries: Vec<Thing>,
    /// Where the DAGs are, in what follows from these names.
    folder: Vec<u8>,
    version: u8,
    glob: bool,
    safe_mode: bool,
}

#[derive(Debug, Arbitrary)]
struct Thing {
    path: Vec<u8>,
    what: What,
}

#[derive(Debug, Arbitrary)]
enum What {
    File(u8),
    Submodule,
    Link(Vec<Step>),
}

#[derive(Debug, Arbitrary)]
enum Step {
    Up,
    Here,
    Nothing,
    Down(u8),
}

fn name(of: u8) -> &'static [u8] {
    NAMES[usize::from(of) % NAMES.len()]
}

fn step(step: &Step) -> &'static [u8] {
    match step {
        Step::Up => b"..",
        Step::Here => b".",
        Step::Nothing => b"",
        Step::Down(of) => name(*of),
    }
}

fn below(path: &[u8], other: &[u8]) -> bool {
    path.strip_prefix(other).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
}

fuzz_target!(|world: World| {
    let mut files: Vec<(Vec<u8>, Kind, Vec<u8>)> = Vec::new();
    for thing in world.entries.iter().take(200) {
        let names: Vec<_> = thing.path.iter().take(8).map(|of| name(*of)).collect();
        let path = names.join(&b'/');
        // No tree of git's has an entry below one that is no folder.
        if path.is_empty() || files.iter().any(|(other, ..)| below(&path, other) || below(other, &path)) {
            continue;
        }
        let (kind, bytes) = match &thing.what {
            What::File(of) => (Kind::File, CONTENTS[usize::from(*of) % CONTENTS.len()].to_vec()),
            What::Submodule => (Kind::Submodule, Vec::new()),
            What::Link(steps) => (Kind::Link, steps.iter().map(step).collect::<Vec<_>>().join(&b'/')),
        };
        files.push((path, kind, bytes));
    }
    let folder: Vec<_> = world.folder.iter().take(2).map(|of| name(*of)).collect();
    let folder = folder.join(&b'/');
    let snapshot = InMemory::new(files).with_folder(&folder);
    let target = Target {
        ignore: if world.glob { IgnoreSyntax::Glob } else { IgnoreSyntax::Regexp },
        safe_mode: world.safe_mode,
        ..Target::of(version(world.version), Python::DEFAULT)
    };
    let found = discover(&snapshot, &target).expect("memory can be read");
    let paths: BTreeSet<_> = found.files.iter().map(|file| file.path(&snapshot)).collect();
    assert_eq!(paths.len(), found.files.len(), "a path is listed twice");
    for file in &found.files {
        assert_eq!(snapshot.entry(file.entry()).kind, Kind::File);
        let path = snapshot.whole(file.path(&snapshot));
        assert!(exists(&snapshot, &path), "{path} is nowhere");
    }
    for finding in &found.findings {
        assert!(exists(&snapshot, &finding.path), "{finding:?}");
    }
});

fn version(of: u8) -> Airflow {
    VERSIONS[usize::from(of) % VERSIONS.len()].parse().expect("a version that we know")
}

/// Whether something is at a path, links followed by text only: of `a/..` here nothing is left but where `a` was.
fn exists(snapshot: &InMemory, path: &[u8]) -> bool {
    let mut real: Vec<Vec<u8>> = Vec::new();
    let mut ahead: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect();
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        match part.as_slice() {
            b"" | b"." => continue,
            b".." => {
                if real.pop().is_none() {
                    return false;
                }
                continue;
            }
            _ => real.push(part),
        }
        let here = real.join(&b'/');
        let entry = (0..snapshot.len()).find(|at| below(snapshot.entry(*at).path, &here));
        let entry = entry.map(|at| (at, snapshot.entry(at)));
        let Some((at, entry)) = entry else { return false };
        if entry.path == here && entry.kind == Kind::Link {
            links += 1;
            // The path of a walk may be through as many as the kernel follows; the last part may be a link to nothing.
            if links > 40 || ahead.is_empty() {
                return true;
            }
            let text = snapshot.read(at).expect("it is in memory");
            real.pop();
            ahead.extend(text.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
        }
    }
    true
}
