//! An ignore file and paths: `target, text, NUL, path, NUL, path…`. Whatever the patterns are, there is an answer, in time.

#![no_main]

use dagsync::check::Target;
use dagsync::check::discover::discover;
use dagsync::check::snapshot::{InMemory, Kind, Snapshot as _};
use dagsync::check::target::{Airflow, IgnoreSyntax, Python};
use libfuzzer_sys::fuzz_target;

/// Where the rules change.
const VERSIONS: [&str; 8] = ["2.7.0", "2.11", "3.0.0", "3.1.0", "3.1.1", "3.1.6", "3.2", "3.3"];
const FILE: &[u8] = b"from airflow import DAG";

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    let airflow: Airflow = VERSIONS[usize::from(choice % 8)].parse().expect("a version that we know");
    let mut parts = rest.split(|byte| *byte == 0);
    let text = parts.next().unwrap_or_default();
    let mut files = vec![(b".airflowignore".to_vec(), Kind::File, text.to_vec())];
    // A tree holds no path twice, and no file below a file.
    for path in parts.chain([&b"a/b/dag.py"[..], b"x.py"]).take(12) {
        let good = path.split(|byte| *byte == b'/').all(|name| !matches!(name, b"" | b"." | b".."));
        let below = |path: &[u8], other: &[u8]| {
            path.strip_prefix(other).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
        };
        if good
            && path.len() < 1024
            && !files.iter().any(|(other, ..)| below(path, other) || below(other, path))
        {
            files.push((path.to_vec(), Kind::File, FILE.to_vec()));
        }
    }
    // The same rules a folder further down, too.
    if choice & 8 != 0 && !files.iter().any(|(path, ..)| path == b"a") {
        files.push((b"a/.airflowignore".to_vec(), Kind::File, text.to_vec()));
    }
    let snapshot = InMemory::new(files);
    for ignore in [IgnoreSyntax::Glob, IgnoreSyntax::Regexp] {
        let target = Target { ignore, safe_mode: choice & 16 != 0, ..Target::of(airflow, Python::DEFAULT) };
        let found = discover(&snapshot, &target).expect("memory can be read");
        assert!(found.files.len() < snapshot.len());
        for finding in &found.findings {
            assert!(!finding.issue.message.is_empty(), "{finding:?}");
        }
    }
});
