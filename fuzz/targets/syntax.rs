//! Bytes as a Python file: whatever they are, there is an answer, and its places are in the file.

#![no_main]

use dagsync::check::dag::{self, Facts, Packed, Role};
use dagsync::check::python;
use dagsync::check::target::{Airflow, Python};
use dagsync::check::{Issue, Target};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Of the releases between, each has its turn.
    let turn = u8::try_from(bytes.len() % 6).unwrap_or_default() + Python::OLDEST.minor + 1;
    for minor in [Python::OLDEST.minor, turn, Python::NEWEST.minor] {
        let python = Python { minor };
        let (issues, facts) = python::compile(bytes, python, Facts::of);
        inside(bytes, &issues);
        let Some(facts) = facts else { continue };
        for airflow in [Airflow::OLDEST, Airflow::new(2, 11), Airflow::NEWEST] {
            for role in [Role::DagFile, Role::Module] {
                inside(bytes, &dag::issues(&facts, &Target::of(airflow, python), role));
            }
        }
        let mut packed = Packed::default();
        let at = packed.put(&facts);
        assert!(packed.get(at).dags().map(|dag| dag.id).eq(facts.dags.iter().map(|dag| dag.id.known())));
        assert_eq!(packed.get(at).imports().len(), facts.imports.len());
    }
});

/// Every issue is on a line that is there, or right behind its end.
fn inside(bytes: &[u8], issues: &[Issue]) {
    // What is in another encoding has other columns.
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.lines().take(2).any(|line| line.contains("coding")) || text.starts_with('\r') {
        return;
    }
    let text = text.replace("\r\n", "\n");
    let lines: Vec<&str> = text.split(['\n', '\r']).collect();
    for issue in issues {
        assert!(!issue.message.is_empty() && !issue.message.contains('\n'), "{issue:?}");
        let (line, column) = (issue.line as usize, issue.column as usize);
        if line == 0 {
            assert_eq!(column, 0, "{issue:?}");
            continue;
        }
        let width = lines.get(line - 1).map(|line| line.chars().count());
        // A line may end in two characters.
        assert!(
            width.is_some_and(|width| column <= width + 2),
            "{issue:?} of {} lines, {width:?} wide",
            lines.len()
        );
    }
}
