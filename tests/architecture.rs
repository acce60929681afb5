//! `docs/architecture.md` is true: its rooms exist, their arrows point downward, and each invariant has its tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dagsync::disk::Point;

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

/// What `src` may take from a module `fs`, std's or another: reads, and types. All else changes something.
const READS: &[&str] = &[
    "access",
    "canonicalize",
    "metadata",
    "read",
    "read_dir",
    "statvfs",
    "read_link",
    "read_to_string",
    "symlink_metadata",
    "lstat",
    "fstat",
    "statat",
    "self",
    "Access",
    "Advice",
    "AtFlags",
    "fadvise",
    "fstatfs",
    "statvfs",
    "StatVfs",
    "DirEntry",
    "File",
    "FileType",
    "FileTypeExt as _",
    "Metadata",
    "MetadataExt as _",
    "Permissions",
    "PermissionsExt as _",
    "RawDir",
    "Stat",
    "TryLockError",
];

/// What changes a file, or opens one to write, wherever it comes from. A file that was opened to read cannot be written to, but its
/// times and mode can be changed.
const CHANGES: &[&str] = &[
    "DirBuilder",
    "File::create",
    "File::options",
    "OpenOptions",
    "as fs",
    "fs as ",
    ".set_len(",
    ".set_modified(",
    ".set_permissions(",
    ".set_times(",
    ".sync_all(",
    ".sync_data(",
];

/// Writers of gix: they may do so inside of a crash point only.
const FOREIGN: &[&str] = &[".write(gix::index::", "gix_protocol::fetch(", "write_to_directory("];

/// The rooms that change nothing below a root: their writes go to a terminal or a socket, or to a folder of the demo's own.
const ELSEWHERE: &[&str] = &["cli", "http", "log"];

/// The lines of a source that ship, without comments; tests are last in a file.
fn shipped(text: &str) -> Vec<&str> {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let code: Vec<&str> = lines.collect();
    let tests = code.windows(2).position(|two| two[0] == "#[cfg(test)]" && two[1].starts_with("mod "));
    code[..tests.unwrap_or(code.len())].to_vec()
}

/// The changes of the file system in a source that go past the room `disk`, each with its line.
fn past_disk(text: &str) -> Vec<(usize, String)> {
    let code = shipped(text).join("\n");
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut found: Vec<(usize, String)> = Vec::new();
    for (at, _) in code.match_indices("fs::").filter(|(at, _)| !code[..*at].ends_with(is_name)) {
        let rest = &code[at + "fs::".len()..];
        let names = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default(),
            None => rest.split(|c| !is_name(c)).next().unwrap_or_default(),
        };
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        let read = |name: &&str| READS.contains(name) || READS.contains(&&*format!("{name} as _"));
        found.extend(names.filter(|name| !read(name)).map(|name| (at, format!("fs::{name}"))));
    }
    for change in CHANGES {
        let word = |at: &usize| change.starts_with(is_name) && code[..*at].ends_with(is_name);
        for (at, _) in code.match_indices(change).filter(|(at, _)| !word(at)) {
            // Of a file of ours, the first argument is its point; a terminal is no file.
            let pointed = code[at + change.len()..].trim_start().starts_with("Point::")
                || code[at + change.len()..].trim_start().starts_with("point,");
            let terminal = code[..at].ends_with("stdout()");
            found.extend((!pointed && !terminal).then(|| (at, (*change).to_owned())));
        }
    }
    for writer in FOREIGN {
        for (at, _) in code.match_indices(writer) {
            // rustfmt puts the closure on this line or on one of the two above it.
            let mut lines = code[..at].rsplit('\n');
            let inside = lines.by_ref().take(3).any(|line| line.contains("disk::around"));
            found.extend((!inside).then(|| (at, (*writer).to_owned())));
        }
    }
    found.into_iter().map(|(at, what)| (1 + code[..at].matches('\n').count(), what)).collect()
}

#[test]
fn changes_past_the_room_disk_are_found_in_every_form() {
    let found = |text: &str| -> Vec<String> { past_disk(text).into_iter().map(|(_, what)| what).collect() };
    for (text, what) in [
        ("fs::rename(a, b)", "fs::rename"),
        ("std::os::unix::fs::symlink(a, b)", "fs::symlink"),
        ("use std::fs::{self, hard_link};", "fs::hard_link"),
        ("use std::fs::{\n    self,\n    copy,\n};", "fs::copy"),
        ("rustix::fs::openat(a)", "fs::openat"),
        ("let file = File::create(path)?;", "File::create"),
        ("OpenOptions::new()", "OpenOptions"),
        ("file.set_len(0)", ".set_len("),
        ("file.set_len(\n    0,\n)", ".set_len("),
        ("index.write(gix::index::write::Options::default())", ".write(gix::index::"),
    ] {
        assert_eq!(found(text), [what], "{text}");
    }
    for text in [
        "fs::read_to_string(a) // fs::rename(a, b)",
        "use std::fs::{self, File, Metadata};",
        "use std::os::unix::fs::MetadataExt as _;",
        "file.set_len(Point::RootLockSign, 0)",
        "PackFile::create(store)",
        "disk::around(Point::TreeIndexWrite, || {\n    let written = index.write(gix::index::write::Options::default());",
        "refs::order(a)",
        "#[cfg(test)]\nmod tests {\n    fs::rename(a, b)",
    ] {
        assert_eq!(found(text), [""; 0], "{text}");
    }
    assert_eq!(past_disk("\n\nfs::rename(a, b)")[0].0, 3);
}

#[test]
fn nothing_changes_the_file_system_without_a_crash_point() {
    let mut wrong = Vec::new();
    for file in sources(&top().join("src")) {
        let is_test =
            file.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")));
        let room = room_of(&file);
        let allowed = |room: String| room == "disk" || ELSEWHERE.contains(&&*room);
        if is_test || room.is_some_and(allowed) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a source file");
        wrong.extend(
            past_disk(&text).into_iter().map(|(line, what)| format!("{}:{line}: {what}", file.display())),
        );
    }
    assert!(
        wrong.is_empty(),
        "these have to go through `src/disk`, with a crash point:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_crash_point_is_used() {
    let files =
        sources(&top().join("src")).into_iter().filter(|file| room_of(file).as_deref() != Some("disk"));
    let texts: Vec<String> = files.map(|file| fs::read_to_string(file).expect("a source file")).collect();
    let used: BTreeSet<String> = texts
        .iter()
        .flat_map(|text| shipped(text))
        .flat_map(|line| line.split("Point::").skip(1))
        .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric()).collect())
        .collect();
    let unused: Vec<String> =
        Point::ALL.iter().map(|point| format!("{point:?}")).filter(|name| !used.contains(name)).collect();
    assert!(unused.is_empty(), "no call has these points: {unused:?}");
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
