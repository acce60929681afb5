//! What is wrong inside of a zip of DAG files.
//!
//! Airflow lists a zip's members and imports those at its top: `importlib`, with the zip in front of `sys.path`. So a member is
//! read by `zipimport`, which takes what it finds first: a package or a compiled file of the same name, before that the modules
//! that Python has built in. What may be one of these is not judged here.
//!
//! A zip is whatever somebody made it. What cannot be read, or would take too much, is a warning and never a stall: Airflow may
//! read it, or show an import error.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{Cursor, Read as _};

use gix::bstr::ByteSlice as _;
use zip::ZipArchive;

use super::{Code, Issue, Target, dag, discover, python};

/// So many members are listed. More are no folder of DAGs, and each costs memory before it can be looked at.
const MEMBERS: usize = 10_000;
/// What a member may inflate to: as large as a file that is checked.
const MEMBER: u64 = 10 << 20;
/// What all that are looked at may inflate to. Members may share their bytes, so the size of the zip bounds nothing.
const INFLATED: u64 = 32 << 20;
/// A larger zip is not read: all of it would be held.
const LARGEST: u64 = 16 << 20;
/// So many issues of a zip are told.
const TOLD: usize = 100;
/// What begins each entry of the list of members.
const ENTRY: &[u8] = b"PK\x01\x02";
/// So many characters of a member's name are told.
const NAME: usize = 120;

/// What is said of a zip of so many bytes if that is too much to be read.
pub fn too_large(bytes: u64) -> Option<Issue> {
    (bytes > LARGEST).then(|| unread(format!("more than {} MiB", LARGEST >> 20)))
}

/// What is wrong in a zip, for this target. Issues are about the zip as a whole; their messages begin with the member's name and
/// line.
pub fn look(bytes: &[u8], target: &Target) -> Vec<Issue> {
    // Before anything is made of them. No two entries share a mark, so there are no more entries than marks.
    if bytes.find_iter(ENTRY).nth(MEMBERS).is_some() {
        return vec![unread(format!("more than {MEMBERS} members"))];
    }
    let mut archive = match ZipArchive::new(Cursor::new(bytes)) {
        Ok(archive) => archive,
        Err(error) => return vec![unread(error)],
    };
    let mut issues = Vec::new();
    let mut left = INFLATED;
    for (at, name) in loaded(&archive) {
        if issues.len() >= TOLD {
            break;
        }
        match read(&mut archive, at, &mut left) {
            Ok(source) if discover::may_have_dags(&source, target) => {
                let (found, _) = python::compile(&source, target.python, |_, _| ());
                issues.extend(found.into_iter().map(|issue| of_member(&name, issue)));
            }
            Ok(_) => {}
            Err(_) if left == 0 => {
                let bound = format!("more than {} MiB of Python: from `{}` on", INFLATED >> 20, shown(&name));
                issues.push(unread(bound));
                break;
            }
            Err(reason) => issues.push(of_member(&name, unread(reason))),
        }
    }
    issues.truncate(TOLD);
    issues
}

/// The members that Airflow imports by their names, in the order of the zip, each once: of two with one name the last is meant.
fn loaded(archive: &ZipArchive<Cursor<&[u8]>>) -> Vec<(usize, String)> {
    // Readers agree on names that are written as they are meant; of other encodings each has its own opinion.
    let name = |at| {
        let entry = archive.by_index_data(at).ok()?;
        let name = entry.name().ok()?;
        (name.as_bytes() == entry.name_raw()).then(|| name.into_owned())
    };
    let names: Vec<(usize, String)> = (0..archive.len()).filter_map(|at| Some((at, name(at)?))).collect();
    let all: HashSet<&str> = names.iter().map(|(_, name)| name.as_str()).collect();
    // A dot in the stem asks for a module of a package, a slash is a folder, a NUL ends the name for one reader and not for another.
    let is_loaded = |name: &str| {
        let stem =
            name.strip_suffix(".py").filter(|stem| !stem.is_empty() && !stem.contains(['.', '/', '\0']));
        stem.is_some_and(|stem| {
            let first = ["/__init__.pyc", "/__init__.py", ".pyc"];
            !first.iter().any(|ending| all.contains(&*format!("{stem}{ending}"))) && !dag::is_stdlib(stem)
        })
    };
    names.iter().filter(|(_, name)| is_loaded(name)).cloned().collect()
}

/// A member's bytes. `left` is what may still be inflated of the zip.
fn read(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    at: usize,
    left: &mut u64,
) -> Result<Vec<u8>, Cow<'static, str>> {
    let member = archive.by_index(at).map_err(|error| Cow::from(error.to_string()))?;
    let most = MEMBER.min(*left);
    // What its header says of its size is not to be believed.
    let mut source = Vec::new();
    let read = member.take(most + 1).read_to_end(&mut source);
    *left = left.saturating_sub(source.len() as u64);
    read.map_err(|error| Cow::from(error.to_string()))?;
    if source.len() as u64 > most { Err("it is too large".into()) } else { Ok(source) }
}

fn unread(reason: impl std::fmt::Display) -> Issue {
    Issue::of_file(Code::Archive, format!("it is not checked: {reason}"))
}

/// At its zip, which has no lines.
fn of_member(name: &str, issue: Issue) -> Issue {
    let name = shown(name);
    let place = if issue.line == 0 { name } else { format!("{name}:{}", issue.line) };
    Issue { line: 0, column: 0, message: format!("{place}: {}", issue.message), ..issue }
}

/// A name on one line, and not all of a long one.
fn shown(name: &str) -> String {
    let mut shown = String::new();
    for c in name.chars().take(NAME) {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::*;
    use crate::check::Severity;

    const BROKEN: &str = "from airflow import DAG\nDAG('a')\nx = = 1\n";

    fn zipped(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
        let mut out = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(method);
        for (name, bytes) in members {
            out.start_file(*name, options).unwrap();
            out.write_all(bytes).unwrap();
        }
        out.finish().unwrap().into_inner()
    }

    fn found(bytes: &[u8]) -> Vec<(Severity, String)> {
        let issues = look(bytes, &Target::default());
        assert!(issues.iter().all(|issue| (issue.line, issue.column) == (0, 0)), "{issues:?}");
        issues.into_iter().map(|issue| (issue.code.severity(), issue.message)).collect()
    }

    /// What is found in a zip with one member: a warning whose message has these words.
    fn warns(bytes: &[u8], words: &str) {
        match &*found(bytes) {
            [(Severity::Warning, message)] if message.contains(words) => {}
            other => panic!("{words}: {other:?}"),
        }
    }

    #[test]
    fn an_error_in_a_member_is_told_with_its_name_and_line() {
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let bytes = zipped(&[("good.py", b"import airflow, dag"), ("a.py", BROKEN.as_bytes())], method);
            let [(Severity::Error, message)] = &*found(&bytes) else { panic!("{:?}", found(&bytes)) };
            assert!(message.starts_with("a.py:3: "), "{message}");
        }
    }

    #[test]
    fn what_airflow_does_not_import_by_its_name_is_not_judged() {
        let broken = BROKEN.as_bytes();
        for members in [
            &[("below/a.py", broken)][..],
            &[("a.txt", broken), ("b.pyc", broken), ("C.PY", broken), (".py", broken)],
            &[("a.py", b"x = = 1\n")],
            &[("a.py", broken), ("a/__init__.py", b"")],
            &[("a.py", broken), ("a.pyc", b"")],
            &[("a.b.py", broken), ("time.py", broken)],
            &[],
        ] {
            assert_eq!(found(&zipped(members, CompressionMethod::Stored)), [], "{members:?}");
        }
        let everything = Target { safe_mode: false, ..Target::default() };
        let bytes = zipped(&[("a.py", b"x = = 1\n")], CompressionMethod::Stored);
        assert_eq!(look(&bytes, &everything).len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_a_warning() {
        let whole = zipped(&[("a.py", BROKEN.as_bytes())], CompressionMethod::Stored);
        let entry = whole.find(ENTRY).unwrap();
        let changed = |at: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[at] ^= byte;
            bytes
        };
        warns(&changed(whole.find("DAG").unwrap(), 1), "a.py: it is not checked: ");
        warns(&changed(entry + 8, 1), "assword");
        warns(&changed(entry + 10, 93), "a.py: it is not checked: ");
        warns(&changed(entry, 1), "it is not checked: ");
        warns(&whole[1..whole.len() - 1], "it is not checked: ");
        warns(b"PK", "it is not checked: ");
    }

    #[test]
    fn no_zip_takes_more_memory_or_time_than_a_folder_of_its_bounds() {
        let zeros = vec![b'#'; usize::try_from(MEMBER).unwrap() + 1];
        warns(
            &zipped(&[("bomb.py", &zeros)], CompressionMethod::Deflated),
            "bomb.py: it is not checked: it is too large",
        );
        let most = &zeros[..zeros.len() - 1];
        let names: Vec<String> = (0..6).map(|number| format!("m{number}.py")).collect();
        let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), most)).collect();
        let issues = found(&zipped(&members, CompressionMethod::Deflated));
        let [(Severity::Warning, message)] = &*issues else { panic!("{issues:?}") };
        assert!(message.ends_with("more than 32 MiB of Python: from `m3.py` on"), "{message}");
        warns(&ENTRY.repeat(MEMBERS + 1), "more than 10000 members");
    }

    #[test]
    fn a_name_is_told_on_one_line_and_in_bounds() {
        let name = format!("a\n{}.py", "b".repeat(1000));
        let bytes = zipped(&[(&name, BROKEN.as_bytes())], CompressionMethod::Stored);
        let [(Severity::Error, message)] = &*found(&bytes) else { panic!("{:?}", found(&bytes)) };
        assert!(message.starts_with("a\\nbb") && message.len() < 300 && !message.contains('\n'), "{message}");
    }
}
