//! Which modules of the repository a Python finds below the DAGs folder.
//!
//! Airflow appends the folder to `sys.path`: whatever is installed comes first, and a folder without `__init__.py` is a package too.

use std::collections::{BTreeSet, HashMap};

use gix::bstr::{BStr, ByteSlice as _};

use super::facts::Import;
use super::tables;

/// The modules below a DAGs folder.
pub(super) struct Modules<'a> {
    /// Files by their dotted names; of a package its `__init__.py`.
    files: HashMap<String, &'a BStr>,
    /// Folders with something importable in them, `__init__.py` or not.
    folders: BTreeSet<String>,
    /// The last parts of the names of all files, wherever they are.
    tails: BTreeSet<String>,
}

impl<'a> Modules<'a> {
    pub(super) fn of(paths: impl Iterator<Item = &'a BStr>) -> Modules<'a> {
        let mut modules = Modules { files: HashMap::new(), folders: BTreeSet::new(), tails: BTreeSet::new() };
        for path in paths {
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
        modules
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

    /// The names at the top.
    pub(super) fn tops(&self) -> BTreeSet<&str> {
        let names = self.files.keys().chain(&self.folders);
        names.map(|name| name.split('.').next().unwrap_or(name)).collect()
    }
}

/// The module that an import names, absolutely, as seen from a file; `None` if it leads out of the folder.
pub(super) fn absolute(import: &Import, path: &BStr) -> Option<String> {
    if import.level == 0 {
        return Some(import.module.clone());
    }
    let text = path.to_str().ok()?;
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
