//! Airflow's walk: `os.walk` with links followed, ignore files on the way down, and the places where it raises.
//!
//! Airflow stops at the first of them. We go on where that makes sense, so that one report names them all: past a bad line with the
//! other lines of its file, past a second path to a folder without entering it, and past an ignore file that cannot be decoded
//! without its folder.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use gix::bstr::{BStr, BString, ByteSlice as _};

use super::bounds::{self, Bounds};
use super::content::Memory;
use super::folders::{Child, FolderId, Folders, Target as Leads};
use super::ignore::{self, Answer, Rule, Syntax, TooMuch};
use super::{Through, short};
use crate::check::snapshot::Unreadable;
use crate::check::{Code, Finding, Issue, Snapshot, Target};

/// The name of an ignore file.
const IGNORE_FILE: &str = ".airflowignore";

/// What a walk comes by.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Files that are not ignored: the path of the walk if it is not that of the entry, and the index of the entry with the bytes.
    pub files: Vec<(Through, u32)>,
    pub findings: Vec<Finding>,
    /// For each link that leads to a folder a second time: which folders these are.
    pub loops: Vec<(BString, BString)>,
    /// There is no DAGs folder.
    pub is_missing: bool,
    /// Some folders were not looked into.
    pub is_partial: bool,
}

/// Walks a snapshot as a target does.
pub(super) fn walk(
    snapshot: &dyn Snapshot,
    target: &Target,
    memory: &mut Memory,
) -> Result<Found, Unreadable> {
    walk_within(snapshot, target, memory, Bounds::of(snapshot))
}

fn walk_within(
    snapshot: &dyn Snapshot,
    target: &Target,
    memory: &mut Memory,
    bounds: Bounds<'_>,
) -> Result<Found, Unreadable> {
    let folders = Folders::of(snapshot);
    let Some((top, links)) = folders.dags() else {
        folders.into_result()?;
        return Ok(Found { is_missing: true, ..Found::default() });
    };
    let mut walker = Walker {
        snapshot,
        target,
        syntax: Syntax::of(target),
        folders: &folders,
        top,
        memory,
        bounds,
        seen: HashMap::new(),
        told: HashSet::new(),
        found: Found::default(),
    };
    // Our own stack: folders of a hostile tree are deeper than a thread's.
    let mut ahead = vec![Visit {
        folder: top,
        path: BString::default(),
        links,
        via: None,
        rules: Arc::default(),
        from: None,
    }];
    while let Some(visit) = ahead.pop() {
        walker.visit(&visit, &mut ahead)?;
    }
    let found = walker.found;
    folders.into_result()?;
    Ok(found)
}

/// A folder to look into.
struct Visit {
    folder: FolderId,
    /// How the walk came there.
    path: BString,
    /// How many links it followed.
    links: u32,
    /// The last of them.
    via: Option<usize>,
    rules: Arc<Vec<Rule>>,
    /// The entry of the file with the last of them.
    from: Option<usize>,
}

struct Walker<'a> {
    snapshot: &'a dyn Snapshot,
    target: &'a Target,
    syntax: Syntax,
    folders: &'a Folders<'a>,
    /// The DAGs folder.
    top: FolderId,
    memory: &'a mut Memory,
    bounds: Bounds<'a>,
    /// By which path each folder was listed first, and by which link. The top is not in it until a link leads back there: that is
    /// how Airflow has it, and why it walks such a tree twice before it raises.
    seen: HashMap<FolderId, (BString, Option<usize>)>,
    /// Paths of findings about a second path: one for each link is enough.
    told: HashSet<BString>,
    found: Found,
}

impl Walker<'_> {
    fn visit(&mut self, visit: &Visit, ahead: &mut Vec<Visit>) -> Result<(), Unreadable> {
        let (mut rules, mut from) = (Arc::clone(&visit.rules), visit.from);
        let ignore_file = self.folders.named(visit.folder, IGNORE_FILE.into(), visit.links);
        if let Some(Child { target: Leads::File(entry), .. }) = ignore_file {
            match self.rules_of(entry, visit)? {
                Some(own) => (rules, from) = (Arc::new(own), Some(entry)),
                None => return Ok(()),
            }
        }
        let folders = self.folders;
        for child in folders.children(visit.folder, visit.links) {
            self.snapshot.stopped()?;
            let is_folder = matches!(child.target, Leads::Folder(_));
            if !is_folder && child.name == IGNORE_FILE {
                continue;
            }
            let path = join(visit.path.as_ref(), child.name);
            match ignore::ask(&rules, &path, is_folder, self.syntax, &mut self.bounds)? {
                Answer::Ignored => continue,
                Answer::Kept => {}
                Answer::TooMuch => {
                    // Whatever else these rules hold for is not known either: what was found is kept.
                    self.give_up(from.unwrap_or_default(), "so many patterns for so many names");
                    return Ok(());
                }
                Answer::NotUtf8 => {
                    // Once for a folder whose own name it is.
                    let is_of_folder = visit.path.to_str().is_err();
                    let path =
                        self.snapshot.whole(if is_of_folder { visit.path.as_ref() } else { path.as_ref() });
                    self.unmatchable(path.as_ref());
                    continue;
                }
            }
            match child.target {
                Leads::File(entry) => {
                    let below = self.snapshot.below(self.snapshot.entry(entry).path);
                    let through = (below != Some(path.as_ref())).then(|| Box::new(path));
                    self.found.files.push((through, short(entry)));
                }
                Leads::Nothing => {}
                Leads::Folder(folder) => {
                    let via = child.link.or(visit.via);
                    if let Some((first, first_via)) = self.seen.get(&folder) {
                        let finding =
                            self.second_path(folder, first.as_ref(), path.as_ref(), via.or(*first_via));
                        let real = self.folders.path(folder).to_owned();
                        self.found.loops.push((finding.path.clone(), real));
                        if self.told.insert(finding.path.clone()) {
                            self.found.findings.push(finding);
                        }
                        continue;
                    }
                    self.seen.insert(folder, (path.clone(), via));
                    ahead.push(Visit {
                        folder,
                        path,
                        links: child.links,
                        via,
                        rules: Arc::clone(&rules),
                        from,
                    });
                }
            }
        }
        Ok(())
    }

    /// The rules that hold in a folder with an ignore file; `None` if it cannot be walked.
    fn rules_of(&mut self, at: usize, visit: &Visit) -> Result<Option<Vec<Rule>>, Unreadable> {
        let entry = self.snapshot.entry(at);
        if entry.size > bounds::LARGEST {
            self.give_up(at, &format!("{:.1} MiB of patterns", entry.size as f64 / f64::from(1 << 20)));
            return Ok(None);
        }
        if !self.bounds.read(entry.size) {
            self.give_up(at, "the last of too many patterns");
            return Ok(None);
        }
        let bytes = self.snapshot.read(at)?;
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) => {
                let line = bytes[..error.valid_up_to()].lines_with_terminator().count().max(1);
                let byte = bytes[error.valid_up_to()];
                let issue = Issue::at(
                    u32::try_from(line).unwrap_or(u32::MAX),
                    0,
                    Code::IgnoreEncoding,
                    format!(
                        "not UTF-8: byte 0x{byte:02x}; Airflow cannot read it, and stops looking for DAGs"
                    ),
                );
                self.tell(entry.path, issue.hint("save the file as UTF-8"));
                return Ok(None);
            }
        };
        let mut rules = visit.rules.as_ref().clone();
        let added = ignore::add(&mut rules, text, &visit.path, self.target, self.memory, &mut self.bounds)?;
        let bad = match added {
            Ok(bad) => bad,
            Err(TooMuch(what)) => {
                self.give_up(at, &what);
                return Ok(None);
            }
        };
        for bad in bad {
            let message = format!("`{}`: {}; Airflow raises, and stops looking for DAGs", bad.line, bad.why);
            let issue = Issue::at(bad.number, 0, Code::IgnorePattern, message);
            let hint =
                "correct the pattern or remove the line; a `#` always begins a comment and cannot be escaped";
            self.tell(entry.path, issue.hint(hint));
        }
        Ok(Some(rules))
    }

    fn second_path(&self, folder: FolderId, first: &BStr, second: &BStr, via: Option<usize>) -> Finding {
        let real = self.folders.path(folder);
        let real = match real {
            _ if folder == self.top => "the DAGs folder itself".to_owned(),
            real if real.is_empty() => "the top of the repository".to_owned(),
            real => format!("`{real}`"),
        };
        let link =
            via.map_or_else(|| self.snapshot.whole(second), |link| self.snapshot.entry(link).path.to_owned());
        let message = format!(
            "`{first}` and `{second}` are one folder, {real}; Airflow raises when it comes there again, and stops looking for DAGs"
        );
        let hint = "remove the link, or name one of the two paths in an `.airflowignore`";
        Finding::new(link, Issue::of_file(Code::PathLoop, message).hint(hint))
    }

    fn unmatchable(&mut self, path: &BStr) {
        let message = "the name is not UTF-8; Airflow raises when it holds its ignore rules against it, and stops looking for DAGs";
        let issue = Issue::of_file(Code::NameEncoding, message);
        self.tell(path, issue.hint("rename it"));
    }

    /// What an ignore file leaves out of its folder takes too much to be known.
    fn give_up(&mut self, at: usize, what: &str) {
        self.found.is_partial = true;
        let message = format!("{what}: too much to be checked, and so is what is in the folder");
        let issue = Issue::of_file(Code::LargeFile, message);
        self.tell(self.snapshot.entry(at).path, issue.hint("ignore whole folders"));
    }

    fn tell(&mut self, path: &BStr, issue: Issue) {
        self.found.findings.push(Finding::new(path.to_owned(), issue));
    }
}

fn join(folder: &BStr, name: &BStr) -> BString {
    if folder.is_empty() {
        return name.to_owned();
    }
    let mut path = BString::from(Vec::with_capacity(folder.len() + 1 + name.len()));
    path.extend_from_slice(folder);
    path.push(b'/');
    path.extend_from_slice(name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Severity;
    use crate::check::snapshot::InMemory;
    use crate::check::target::{Airflow, IgnoreSyntax, Python};

    #[test]
    fn what_takes_too_many_steps_is_one_warning_and_the_rest_is_walked() {
        let names: Vec<String> = (0..50).map(|at| format!("many/{}{at:02}.py", "a".repeat(50))).collect();
        let stars: String = (0..20).map(|at| format!("{}b{at}\n", "a*".repeat(20))).collect();
        let regexps: String = (0..20).map(|at| format!("(a*)*\\1b{at}\n")).collect();
        for (ignore, text) in [(IgnoreSyntax::Glob, stars), (IgnoreSyntax::Regexp, regexps)] {
            let rest =
                [("many/.airflowignore", text.as_str()), ("one/.airflowignore", "x\n"), ("two/a.py", "")];
            let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).chain(rest).collect();
            let (snapshot, target) =
                (InMemory::files(&files), Target::of(Airflow::new(3, 0), Python::DEFAULT));
            let target = Target { ignore, ..target };
            let within = |work| {
                let bounds = Bounds::with_work(&snapshot, work);
                walk_within(&snapshot, &target, &mut Memory::default(), bounds).unwrap()
            };
            let whole = within(u64::MAX);
            assert_eq!((whole.files.len(), whole.is_partial, whole.findings.len()), (51, false, 0));
            let some = within(2_000_000);
            assert!((1..51).contains(&some.files.len()) && some.is_partial, "{}", some.files.len());
            let told: Vec<_> = some.findings.iter().map(|it| (it.path.to_string(), it.severity)).collect();
            assert_eq!(told, [("many/.airflowignore".to_owned(), Severity::Warning)]);
        }
    }
}
