//! `docs/architecture.md` is true: its rooms exist, their arrows point downward, and each invariant has its tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(top().join("docs/architecture.md")).expect("docs/architecture.md")
}

/// The Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}

/// The rows of the table under this header: their cells.
fn table(page: &str, header: &str) -> Vec<Vec<String>> {
    let rows =
        page.lines().skip_while(|line| *line != header).skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The rooms, top to bottom.
fn rooms() -> Vec<String> {
    table(&page(), "| room | what it owns |").into_iter().map(|mut row| row.remove(0)).collect()
}

/// The room of a file below `src`, and `None` for those above the house.
fn room_of(file: &Path) -> Option<String> {
    let below = file.strip_prefix(top().join("src")).expect("a file of src");
    let first = below.components().next()?.as_os_str().to_str()?.trim_end_matches(".rs");
    (!matches!(first, "main" | "lib")).then(|| first.to_owned())
}

/// Every path that begins at the root of the crate, as far as its second name: `git::url`. Comments do not count.
fn references(text: &str) -> BTreeSet<String> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect();
    let name =
        |text: &str| -> String { text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    let path = |text: &str| {
        let room = name(text);
        match text[room.len()..].strip_prefix("::").map(name) {
            Some(second) if !second.is_empty() => format!("{room}::{second}"),
            _ => room,
        }
    };
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => drop(found.insert(path(rest))),
            Some(group) => {
                let mut depth = 0;
                let mut start = 0;
                for (at, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth > 0 => depth -= 1,
                        ',' | '}' if depth == 0 => {
                            found.insert(path(group[start..at].trim()));
                            start = at + 1;
                            if c == '}' {
                                break;
                            }
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    // A comma behind the last name of a group.
    found.remove("");
    found
}

#[test]
fn references_are_found_in_every_form() {
    let text = "use crate::{check, git::url::RepoUrl, http};\n// crate::agent\nuse crate::tree::manifest;\nf(crate::log::escape(x))\nuse crate::{\n    publish::{a, b},\n    secret,\n};";
    let found: Vec<_> = references(text).into_iter().collect();
    assert_eq!(
        found,
        ["check", "git::url", "http", "log::escape", "publish", "secret", "tree::manifest"]
            .map(str::to_owned)
    );
}

#[test]
fn every_room_has_a_row_and_every_row_a_room() {
    let src = top().join("src");
    let real: BTreeSet<String> = sources(&src).iter().filter_map(|file| room_of(file)).collect();
    assert_eq!(rooms().into_iter().collect::<BTreeSet<_>>(), real);
}

#[test]
fn arrows_point_downward_only() {
    let rooms = rooms();
    assert!(!rooms.is_empty(), "the table of docs/architecture.md is not found");
    let height = |room: &str| rooms.iter().position(|name| name == room);
    let mut wrong = Vec::new();
    for file in sources(&top().join("src")) {
        let Some(from) = room_of(&file) else { continue };
        for reference in references(&fs::read_to_string(&file).expect("a source file")) {
            let to = reference.split("::").next().unwrap_or_default();
            let (Some(above), Some(below)) = (height(&from), height(to)) else { continue };
            if below < above {
                wrong.push(format!("{}: {from} uses {reference}, which is above it", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The names in backquotes behind the dash of each line that begins with `mark`.
fn proofs(page: &str, mark: &str) -> Vec<(String, Vec<String>)> {
    page.lines()
        .filter_map(|line| line.strip_prefix(mark))
        .map(|line| {
            let (claim, proof) = line.rsplit_once(" — ").unwrap_or((line, ""));
            let names = proof.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            (claim.trim().to_owned(), names)
        })
        .collect()
}

#[test]
fn every_invariant_names_tests_that_exist() {
    let mut tests = BTreeSet::new();
    for file in [sources(&top().join("src")), sources(&top().join("tests"))].concat() {
        let text = fs::read_to_string(&file).expect("a source file");
        // Also inside of `proptest!`, and behind `#[should_panic]` or `#[expect(…)]`.
        for part in text.split("#[test]").skip(1) {
            if let Some((_, rest)) = part.split_once("fn ") {
                tests.insert(
                    rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>(),
                );
            }
        }
    }
    let page = page();
    let invariants = proofs(&page, "**Invariant:**");
    assert!(invariants.len() >= 10, "the invariants of docs/architecture.md are not found");
    for (claim, names) in invariants {
        assert!(!names.is_empty(), "no test is named for: {claim}");
        for name in names {
            assert!(tests.contains(&name), "the test `{name}` does not exist; it should prove: {claim}");
        }
    }
    for (claim, names) in proofs(&page, "**Unproven:**") {
        for name in names {
            assert!(!tests.contains(&name), "`{name}` exists now: make this an **Invariant:** line: {claim}");
        }
    }
}
