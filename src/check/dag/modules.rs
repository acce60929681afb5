//! Which modules of the repository a Python finds below the DAGs folder.
//!
//! Airflow appends the folder to `sys.path`: whatever is installed comes first, and a folder without `__init__.py` is a package too.

use std::collections::{BTreeSet, HashMap, HashSet};

use gix::bstr::{BStr, ByteSlice as _};

use super::super::Snapshot;
use super::super::snapshot::{Kind, Unreadable};
use super::packed::Named;
use super::tables;

/// The modules below a DAGs folder.
pub(super) struct Modules<'a> {
    /// Files by their dotted names; of a package its `__init__.py`.
    files: HashMap<String, &'a BStr>,
    /// Folders with something importable in them, `__init__.py` or not.
    folders: BTreeSet<String>,
    /// The last parts of the names of all files, wherever they are.
    tails: BTreeSet<String>,
    /// Links, by their dotted names: what is behind them is not known.
    links: BTreeSet<String>,
}

/// Names that several places of a revision have for a module or a package of theirs, inside of the DAGs folder or not.
///
/// Which of them an import finds is for `sys.path` to say: once a file changes that, nobody knows.
pub(super) struct Several<'a>(HashSet<&'a [u8]>);

impl<'a> Several<'a> {
    /// Of a whole revision. Links and submodules count by their names: what is in them is not known.
    pub(super) fn of(snapshot: &'a dyn Snapshot) -> Result<Several<'a>, Unreadable> {
        let mut first: HashMap<&[u8], &[u8]> = HashMap::new();
        let mut several = HashSet::new();
        for entry in (0..snapshot.len()).map(|at| snapshot.entry(at)) {
            snapshot.stopped()?;
            if entry.kind == Kind::File && !is_module(entry.path) {
                continue;
            }
            let path: &'a [u8] = entry.path;
            let folders = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
            let mut start = 0;
            for end in folders.chain([path.len()]) {
                let whole = &path[start..end];
                // A module and a package of one folder are one place: the package comes first.
                let name =
                    if end < path.len() { whole } else { whole.split_str(".").next().unwrap_or(whole) };
                let place = &path[..start + name.len()];
                start = end + 1;
                if name != b"__init__" && *first.entry(name).or_insert(place) != place {
                    several.insert(name);
                }
            }
        }
        Ok(Several(several))
    }

    /// Whether the first part of a dotted module is one of them.
    pub(super) fn has(&self, module: &str) -> bool {
        self.0.contains(module.split('.').next().unwrap_or(module).as_bytes())
    }
}

/// Whether something of this name may be a module.
pub fn is_module(path: &BStr) -> bool {
    [&b".py"[..], b"so", b".pyc"].into_iter().any(|ending| path.ends_with(ending))
}

impl<'a> Modules<'a> {
    /// Of a whole revision.
    pub(super) fn of_snapshot(snapshot: &'a dyn Snapshot) -> Result<Modules<'a>, Unreadable> {
        let inside = snapshot.inside();
        let entries = inside.clone().map(|at| snapshot.entry(at));
        let entries = entries.filter_map(|entry| Some((snapshot.below(entry.path)?, entry.kind)));
        let importable = entries.clone().filter(|(_, kind)| *kind != Kind::Submodule);
        let mut modules = Modules::of(importable.map(|(path, _)| path), || snapshot.stopped())?;
        let links = entries.filter(|(_, kind)| *kind == Kind::Link);
        modules.links = links.filter_map(|(path, _)| Some(path.to_str().ok()?.replace('/', "."))).collect();
        // A module that moves out of the folder may be on the path all the same: plugins, a folder of its own.
        for path in (0..inside.start).chain(inside.end..snapshot.len()).map(|at| snapshot.entry(at).path) {
            let name = path.rsplit_str("/").next().unwrap_or_default();
            let name = if is_module(path) { name.split_str(".").next() } else { None };
            let package = path.rsplit_str("/").nth(1).filter(|_| is_module(path));
            let names = [name, package].into_iter().flatten().filter_map(|name| name.to_str().ok());
            modules.tails.extend(names.map(str::to_owned));
        }
        Ok(modules)
    }

    /// Of paths below the folder.
    pub(super) fn of(
        paths: impl Iterator<Item = &'a BStr>,
        stopped: impl Fn() -> Result<(), Unreadable>,
    ) -> Result<Modules<'a>, Unreadable> {
        let mut modules = Modules {
            files: HashMap::new(),
            folders: BTreeSet::new(),
            tails: BTreeSet::new(),
            links: BTreeSet::new(),
        };
        for path in paths {
            stopped()?;
            let Some(text) = path.to_str().ok() else { continue };
            let (folder, file) = text.rsplit_once('/').unwrap_or(("", text));
            let Some((stem, ending)) = file.split_once('.') else { continue };
            // Compiled ones are modules too; of them only the name is known.
            if !(ending == "py" || ending.ends_with("so") || ending == "pyc") {
                continue;
            }
            let package = folder.replace('/', ".");
            let dotted = match (stem, package.is_empty()) {
                ("__init__", true) => continue,
                ("__init__", false) => package.clone(),
                (stem, true) => stem.to_owned(),
                (stem, false) => format!("{package}.{stem}"),
            };
            modules.tails.insert(super::value::last(&dotted).to_owned());
            // A package comes before a module of its name.
            if stem == "__init__" || !modules.files.contains_key(&dotted) {
                modules.files.insert(dotted, path);
            }
            let mut at = package.as_str();
            while !at.is_empty() && modules.folders.insert(at.to_owned()) {
                at = at.rsplit_once('.').map_or("", |(parent, _)| parent);
            }
        }
        Ok(modules)
    }

    pub(super) fn file(&self, dotted: &str) -> Option<&'a BStr> {
        self.files.get(dotted).copied()
    }

    /// Whether it can be imported.
    pub(super) fn has(&self, dotted: &str) -> bool {
        self.files.contains_key(dotted) || self.folders.contains(dotted)
    }

    /// Whether there is a file of a module's last name, at any place: another folder may be on `sys.path`.
    pub(super) fn has_elsewhere(&self, dotted: &str) -> bool {
        self.tails.contains(super::value::last(dotted))
    }

    /// Whether a link stands where the module or a package of it would be.
    pub(super) fn is_behind_a_link(&self, dotted: &str) -> bool {
        let ends = dotted.match_indices('.').map(|(at, _)| &dotted[..at]);
        ends.chain([dotted]).any(|name| self.links.contains(name))
    }

    /// Whether something importable is below a folder of this name.
    pub(super) fn has_folder(&self, dotted: &str) -> bool {
        self.folders.contains(dotted)
    }

    /// The names at the top.
    pub(super) fn tops(&self) -> BTreeSet<&str> {
        let names = self.files.keys().chain(&self.folders);
        names.map(|name| name.split('.').next().unwrap_or(name)).collect()
    }
}

/// The module that an import names, absolutely, as seen from a file below the folder; `None` if it leads out of there.
pub(super) fn absolute(import: &Named, path: Option<&BStr>) -> Option<String> {
    if import.level == 0 {
        return Some(import.module.clone());
    }
    let text = path?.to_str().ok()?;
    let mut parts: Vec<&str> = text.split('/').collect();
    for _ in 0..import.level {
        parts.pop()?;
    }
    if parts.is_empty() {
        return None;
    }
    parts.extend(import.module.split('.').filter(|part| !part.is_empty()));
    Some(parts.join("."))
}

/// Whether an import is surely not of what the repository has: Python's own, or Airflow.
pub(super) fn is_installed(module: &str) -> bool {
    let top = module.split('.').next().unwrap_or(module);
    tables::is_stdlib(top) || tables::is_installed_with_airflow(top)
}
