//! What is kept of a look at a revision: as little as the next one is compared with.

use std::collections::HashSet;

use gix::bstr::BStr;

use super::Snapshot;
use super::dag::tree;
use super::discover::Discovery;
use super::paths::Paths;
use super::snapshot::{Entry, Kind};
use super::verdict::Known;

/// What was found in a revision, before anybody decides about it.
#[derive(Debug, Clone, Default)]
pub struct Looked {
    /// How much is in the DAGs folder.
    pub(super) files: usize,
    /// Modules and DAG files, with what each of them is.
    paths: Paths,
    uses: Vec<Use>,
    pub(super) dag_files: usize,
    /// There is no DAGs folder.
    pub(super) is_missing: bool,
    /// There may be DAG files in folders that were not looked into.
    pub(super) is_partial: bool,
    /// All findings, ordered by path and place.
    pub found: Vec<Known>,
}

/// What a path below the DAGs folder is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Use {
    /// Something that can be imported.
    is_module: bool,
    /// Something that Airflow loads, as its walk names it.
    is_loaded: bool,
    /// And surely has no DAG.
    is_idle: bool,
}

impl Looked {
    /// Of what is in a snapshot; `idle` are its entries in which there surely is no DAG.
    pub(super) fn of(
        snapshot: &dyn Snapshot,
        discovery: &Discovery,
        idle: &HashSet<usize>,
        found: Vec<Known>,
    ) -> Looked {
        let inside = snapshot.inside();
        let is_module = |entry: &Entry<'_>| entry.kind != Kind::Submodule && tree::is_module(entry.path);
        let modules = inside.clone().map(|at| snapshot.entry(at)).filter(is_module);
        let modules = modules.filter_map(|entry| snapshot.below(entry.path));
        let mut modules = modules.peekable();
        let mut loaded = discovery.files.iter().map(|file| (file.path(snapshot), file.entry())).peekable();
        let (mut paths, mut uses) = (Paths::default(), Vec::new());
        // Two runs in order become one.
        while let Some(path) =
            [modules.peek().copied(), loaded.peek().map(|(path, _)| *path)].into_iter().flatten().min()
        {
            let is_module = modules.next_if_eq(&path).is_some();
            let entry = loaded.next_if(|(at, _)| *at == path).map(|(_, entry)| entry);
            let is_idle = entry.is_some_and(|entry| idle.contains(&entry));
            paths.push(path);
            uses.push(Use { is_module, is_loaded: entry.is_some(), is_idle });
        }
        drop((modules, loaded));
        Looked {
            files: inside.len(),
            paths,
            uses,
            dag_files: discovery.files.len(),
            is_missing: discovery.is_missing,
            is_partial: discovery.is_partial,
            found,
        }
    }

    fn paths(&self, is: impl Fn(&Use) -> bool + Clone) -> impl Iterator<Item = &BStr> + Clone {
        self.paths.iter().zip(&self.uses).filter(move |(_, of)| is(of)).map(|(path, _)| path)
    }

    /// Whether nothing is in the DAGs folder, or nobody has looked.
    pub fn is_empty(&self) -> bool {
        self.files == 0
    }

    /// What can be imported, below the DAGs folder.
    pub(super) fn modules(&self) -> impl Iterator<Item = &BStr> + Clone {
        self.paths(|of| of.is_module)
    }

    /// What Airflow loads, as its walk names it.
    pub fn loaded(&self) -> impl Iterator<Item = &BStr> + Clone {
        self.paths(|of| of.is_loaded)
    }

    /// How many DAG files are not in `now`, or surely have no DAG there any more, as if none had been renamed.
    pub(super) fn gone_at_most(&self, now: &Looked) -> usize {
        let mut others = now.paths.iter().zip(&now.uses).filter(|(_, of)| of.is_loaded).peekable();
        let ours = self.paths.iter().zip(&self.uses).filter(|(_, of)| of.is_loaded);
        let is_gone = |(path, was): &(&BStr, &Use)| {
            while others.next_if(|(other, _)| other < path).is_some() {}
            others.next_if(|(other, _)| other == path).is_none_or(|(_, is)| is.is_idle && !was.is_idle)
        };
        ours.filter(is_gone).count()
    }
}
