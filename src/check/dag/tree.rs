//! What is wrong between the files of a revision.
//!
//! Modules have their names from the DAGs folder, findings their paths from the top of the revision.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use gix::bstr::{BStr, BString, ByteSlice as _};

use super::super::paths::gone;
use super::super::snapshot::{Kind, Unreadable};
use super::super::target::Target;
use super::super::{Code, Finding, Issue, Severity, Snapshot};
use super::facts::{Bound, Guard};
use super::modules::{Modules, Several, absolute, is_installed};
use super::packed::{Between, Named};
use super::place::Place;
use super::tables;

pub use super::modules::is_module;

/// A Python file of a revision.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// Where it is, below the top of the revision.
    pub path: &'a BStr,
    /// The same below the DAGs folder, if it is in there.
    pub below: Option<&'a BStr>,
    /// What it says.
    pub facts: Between<'a>,
    /// Whether Airflow loads it as a DAG file.
    pub loaded: bool,
}

/// Two files that define one DAG. Airflow shows no error: the second silently takes the first one's place. A file that may end
/// on purpose is nobody's second: it may be what chooses between the two.
pub fn duplicate_dag_ids(files: &[File<'_>]) -> Vec<Finding> {
    let mut all: Vec<(&str, &BStr, Place)> = Vec::new();
    for file in files.iter().filter(|file| file.loaded && !file.facts.may_end()) {
        let dags = file.facts.dags().filter(|dag| dag.sure && dag.bound >= Bound::Global);
        all.extend(dags.filter_map(|dag| Some((dag.id?, file.path, dag.place))));
    }
    all.sort();
    all.dedup_by_key(|(id, path, _)| (*id, *path));
    let mut found = Vec::new();
    for places in all.chunk_by(|one, other| one.0 == other.0).filter(|places| places.len() > 1) {
        for (at, (id, path, place)) in places.iter().enumerate() {
            let (_, other, line) = &places[if at == 0 { 1 } else { 0 }];
            let message = format!("the DAG `{id}` is also in `{other}`, line {}", line.line);
            let issue = Issue::at(place.line, place.column, Code::DuplicateDagId, message);
            found.push(Finding::new(*path, issue.hint("give each DAG an id of its own")));
        }
    }
    found.sort();
    found
}

/// The files that are loaded whenever the DAG files are: these, and what they import from the repository, as far as that is sure.
///
/// Where any file changes `sys.path`, a name is followed only if one place of the revision has it. Any file, as nobody knows what
/// was loaded before: Airflow loads each DAG file in a process of its own, its command line and people's tests all in one.
///
/// # Errors
/// When nobody waits for the answer any more; so of all that look at files here.
pub fn reached<'a>(files: &[File<'a>], snapshot: &dyn Snapshot) -> Result<BTreeSet<&'a BStr>, Unreadable> {
    reached_of(files, &Modules::of_snapshot(snapshot)?, snapshot)
}

fn reached_of<'a>(
    files: &[File<'a>],
    modules: &Modules<'_>,
    snapshot: &dyn Snapshot,
) -> Result<BTreeSet<&'a BStr>, Unreadable> {
    let inside = files.iter().filter_map(|file| Some((file.below?, *file)));
    let by_path: HashMap<&BStr, File<'a>> = inside.collect();
    let mut open: VecDeque<File<'a>> = files.iter().filter(|file| file.loaded).copied().collect();
    let mut found: BTreeSet<&BStr> = open.iter().map(|file| file.path).collect();
    let moved = files.iter().any(|file| file.facts.moves_path());
    let several = if moved { Some(Several::of(snapshot)?) } else { None };
    while let Some(file) = open.pop_front() {
        for import in file.facts.imports().filter(|import| import.guard == Guard::None) {
            snapshot.stopped()?;
            let named = import.named;
            if named.level == 0 && several.as_ref().is_some_and(|several| several.has(&named.module)) {
                continue;
            }
            imported(&file, named, modules, |path| {
                if let Some(next) = by_path.get(path).filter(|next| found.insert(next.path)) {
                    open.push_back(*next);
                }
            });
        }
    }
    Ok(found)
}

/// Shows the files that an import of a file may load, below the DAGs folder: the module, and the packages that it is in.
fn imported<'m>(file: &File<'_>, import: &Named, modules: &Modules<'m>, mut show: impl FnMut(&'m BStr)) {
    let Some(mut module) = absolute(import, file.below) else { return };
    if is_installed(&module) || (file.loaded && import.level > 0) {
        return;
    }
    if let Some(name) = &import.name {
        module.push('.');
        module.push_str(name);
    }
    // A name may have more parts than any folder is deep: what is in no folder is not looked for.
    let ends = module.match_indices('.').map(|(at, _)| &module[..at]).chain([&*module]);
    for name in ends {
        if let Some(path) = modules.file(name) {
            show(path);
        }
        if !modules.has_folder(name) {
            break;
        }
    }
}

/// Which file imports which of the repository, whenever that is: both below the top.
///
/// # Errors
/// As of [`reached`].
pub fn imports(files: &[File<'_>], snapshot: &dyn Snapshot) -> Result<Vec<(BString, BString)>, Unreadable> {
    let modules = Modules::of_snapshot(snapshot)?;
    let mut found = Vec::new();
    for file in files {
        let mut paths = BTreeSet::new();
        for import in file.facts.imports().filter(|import| import.guard != Guard::Typing) {
            snapshot.stopped()?;
            imported(file, import.named, &modules, |path| {
                paths.insert(path);
            });
        }
        found.extend(paths.into_iter().map(|path| (file.path.to_owned(), snapshot.whole(path))));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Imports of modules that the published revision has and this one has not. `published` are its modules, below the DAGs folder.
///
/// Said only where it is sure: the file is loaded, nothing catches the failure, nothing changes `sys.path`, and no file of the
/// module's name is anywhere else in the revision. Of a package that goes as a whole it is not: it may be installed from now on.
///
/// # Errors
/// As of [`reached`].
pub fn missing_modules<'p>(
    files: &[File<'_>],
    snapshot: &dyn Snapshot,
    published: impl Iterator<Item = &'p BStr> + Clone,
) -> Result<Vec<Finding>, Unreadable> {
    let now = snapshot.inside().filter_map(|at| snapshot.below(snapshot.entry(at).path));
    let is_less = gone(published.clone(), now).next().is_some();
    if !is_less || files.iter().any(|file| file.facts.moves_path()) {
        return Ok(Vec::new());
    }
    let after = Modules::of_snapshot(snapshot)?;
    let before = Modules::of(published, || snapshot.stopped())?;
    let reached = reached_of(files, &after, snapshot)?;
    let mut found = Vec::new();
    for file in files.iter().filter(|file| reached.contains(file.path)) {
        let mut told = BTreeSet::new();
        for import in file.facts.imports().filter(|import| import.guard == Guard::None) {
            snapshot.stopped()?;
            // Of a DAG file that is an error of its own.
            if file.loaded && import.named.level > 0 {
                continue;
            }
            let Some(module) = missing(import.named, file.below, &before, &after) else { continue };
            if told.insert((import.place.line, module.clone())) {
                let top = module.split('.').next().unwrap_or_default();
                let is_whole = before.has_folder(top) && !after.has(top);
                let message = format!("`{module}` is imported, and this revision removes it");
                let Place { line, column } = import.place;
                let issue = Issue::at(line, column, Code::LocalModule, message);
                let finding = Finding::new(file.path, issue);
                let severity = if is_whole { Severity::Warning } else { finding.severity };
                found.push(Finding { severity, ..finding });
            }
        }
    }
    Ok(found)
}

fn missing(import: &Named, path: Option<&BStr>, before: &Modules<'_>, after: &Modules<'_>) -> Option<String> {
    let module = absolute(import, path)?;
    if module.is_empty() || is_installed(&module) {
        return None;
    }
    let gone = |name: &str| {
        before.file(name).is_some()
            && !(after.has(name) || after.has_elsewhere(name) || after.is_behind_a_link(name))
    };
    if gone(&module) {
        return Some(module);
    }
    // A folder without `__init__.py` has no names but its modules.
    let name = import.name.as_deref().filter(|name| *name != "*")?;
    let below = format!("{module}.{name}");
    let bare = before.file(&module).is_none() && after.file(&module).is_none();
    (bare && gone(&below)).then_some(below)
}

/// Modules of the repository that imports do not find, as something installed has their name.
///
/// # Errors
/// As of [`reached`].
pub fn shadowed_modules(
    files: &[File<'_>],
    snapshot: &dyn Snapshot,
    target: &Target,
) -> Result<Vec<Finding>, Unreadable> {
    let installed =
        |top: &str| tables::is_stdlib_of(top, target.python) || tables::is_installed_with_airflow(top);
    // Nearly always there is none: then no module is given a name.
    let mut last = &b""[..];
    let any = importable(snapshot).any(|path| {
        let top = path.split(|byte| matches!(byte, b'/' | b'.')).next().unwrap_or_default();
        let new = std::mem::replace(&mut last, top) != top;
        new && std::str::from_utf8(top).is_ok_and(installed)
    });
    if !any {
        return Ok(Vec::new());
    }
    let modules = Modules::of(importable(snapshot), || snapshot.stopped())?;
    let shadowed: BTreeSet<&str> = modules.tops().into_iter().filter(|top| installed(top)).collect();
    let mut found = Vec::new();
    for file in files.iter().filter(|_| !shadowed.is_empty()) {
        let mut told = BTreeSet::new();
        for import in file.facts.imports().filter(|import| import.named.level == 0) {
            snapshot.stopped()?;
            let named = import.named;
            let top = named.module.split('.').next().unwrap_or_default();
            if !shadowed.contains(top) {
                continue;
            }
            let below = named.name.as_ref().map(|name| format!("{}.{name}", named.module));
            // Whoever imports the installed one and means it gets what they want.
            let meant = [Some(named.module.clone()), below]
                .into_iter()
                .flatten()
                .find_map(|name| modules.file(&name));
            let Some(meant) = meant.filter(|meant| Some(*meant) != file.below) else { continue };
            if told.insert(top) {
                let message =
                    format!("`{top}` is the installed module, not `{meant}`: the DAGs folder comes last");
                let issue = Issue::at(import.place.line, import.place.column, Code::ShadowedModule, message);
                found.push(Finding::new(file.path, issue.hint("give the repository's module another name")));
            }
        }
    }
    Ok(found)
}

/// Names in one folder that differ in case only: on some file systems, and in some object stores, they are one.
///
/// # Errors
/// As of [`reached`].
pub fn case_clashes(snapshot: &dyn Snapshot) -> Result<Vec<Finding>, Unreadable> {
    // Of two that differ in case one at least has another form in lower case: folders without such a name are left alone.
    let mut suspected: HashSet<&[u8]> = HashSet::new();
    let paths = || snapshot.inside().map(|at| snapshot.entry(at).path.as_bytes());
    for path in paths() {
        if path.iter().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
            let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1);
            let mut start = 0;
            for end in ends.chain([path.len() + 1]) {
                let name = &path[start..end - 1];
                if name.iter().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
                    suspected.insert(&path[..start]);
                }
                start = end;
            }
        }
    }
    if suspected.is_empty() {
        return Ok(Vec::new());
    }
    let mut seen: HashMap<(BString, String), BString> = HashMap::new();
    let mut found = Vec::new();
    let mut told = BTreeSet::new();
    for path in paths() {
        snapshot.stopped()?;
        let mut start = 0;
        for end in
            path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).chain([path.len()])
        {
            let (folder, name) = (&path[..start], &path[start..end]);
            start = end + 1;
            if !suspected.contains(folder) {
                continue;
            }
            let lower = name.to_str_lossy().to_lowercase();
            let first = seen.entry((folder.into(), lower)).or_insert_with(|| name.into());
            if first.as_slice() != name && told.insert(path[..end].to_vec()) {
                let message = format!("`{}` and `{first}` differ in case only", name.as_bstr());
                found.push(Finding::new(&path[..end], Issue::of_file(Code::CaseClash, message)));
            }
        }
    }
    Ok(found)
}

/// Files whose DAGs were loaded from the published revision and that Airflow's safe mode skips in this one. Both are paths of
/// Airflow's walk, in order.
///
/// `read` gives the bytes of such a path of this revision.
///
/// # Errors
/// Those of `read`.
pub fn skipped<'p, E>(
    published: impl Iterator<Item = &'p BStr>,
    loaded: impl Iterator<Item = &'p BStr>,
    target: &Target,
    read: impl Fn(&BStr) -> Result<Option<(BString, Vec<u8>)>, E>,
) -> Result<Vec<Finding>, E> {
    let mut found = Vec::new();
    for path in gone(published, loaded).filter(|_| target.safe_mode) {
        // Gone, or ignored by somebody who means it: nothing to say.
        let Some((path, bytes)) = read(path)? else { continue };
        let bytes = bytes.to_ascii_lowercase();
        let says = |word: &str| bytes.find(word).is_some();
        let passes = says("airflow") && (says("dag") || (target.airflow.major >= 3 && says("asset")));
        if !passes {
            let words = if target.airflow.major >= 3 {
                "`airflow` and `dag` or `asset`"
            } else {
                "`airflow` and `dag`"
            };
            let message = "Airflow no longer reads this file: its safe mode skips it";
            let hint = format!("it looks for the words {words} anywhere in the file");
            found.push(Finding::new(path, Issue::of_file(Code::NoDag, message).hint(hint)));
        }
    }
    Ok(found)
}

fn importable(snapshot: &dyn Snapshot) -> impl Iterator<Item = &BStr> {
    let entries = snapshot.inside().map(|at| snapshot.entry(at));
    entries.filter(|entry| entry.kind != Kind::Submodule).filter_map(|entry| snapshot.below(entry.path))
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
