//! The check itself: what is in a revision, file by file, and what follows.
//!
//! What a file's content alone decides is remembered by its content, so that the next revision costs what it changes.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gix::bstr::{BString, ByteSlice as _};

use super::discover::{self, Discovery};
use super::report::Report;
use super::snapshot::{Content, Entry, Kind};
use super::verdict::{self, Baseline, Known, Policy};
use super::{Finding, Gate, Issue, Published, Snapshot, Target, python};

/// What the content of a Python file decides.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Module {
    /// What keeps it from being compiled, and what is odd about its text.
    issues: Vec<Issue>,
}

impl Module {
    fn of(source: &[u8], target: &Target) -> Module {
        let (issues, _) = python::compile(source, target.python, |_, _| ());
        Module { issues }
    }
}

/// What was found in a revision, before anybody decides about it.
#[derive(Debug, Clone, Default)]
pub struct Looked {
    /// Files and links that are there.
    pub files: usize,
    /// What Airflow loads.
    pub discovery: Discovery,
    /// All findings, ordered by path and place.
    pub found: Vec<Known>,
}

/// Checks revisions for one target.
#[derive(Debug)]
pub struct Checker {
    target: Target,
    policy: Policy,
    /// With the number of the check that used it last.
    known: HashMap<Content, (u64, Arc<Module>)>,
    checks: u64,
}

impl Checker {
    /// One that knows nothing yet.
    pub fn new(target: Target, policy: Policy) -> Checker {
        Checker { target, policy, known: HashMap::new(), checks: 0 }
    }

    /// Looks at all of a revision.
    pub fn look(&mut self, snapshot: &dyn Snapshot) -> Looked {
        let discovery = discover::discover(snapshot, &self.target);
        let entries = snapshot.entries();
        let python: Vec<&Entry> =
            entries.iter().filter(|it| it.kind == Kind::File && it.path.ends_with(b".py")).collect();
        let modules = self.modules(snapshot, &python);
        let loaded: std::collections::HashSet<&BString> =
            discovery.files.iter().map(|file| &entries[file.entry].path).collect();
        let mut found: Vec<Known> = Vec::new();
        for (entry, module) in python.iter().zip(&modules) {
            for issue in &module.issues {
                let finding = Finding::new(entry.path.clone(), issue.clone());
                let finding = if loaded.contains(&entry.path) { finding } else { finding.elsewhere() };
                found.push((finding, entry.content));
            }
        }
        found.extend(discovery.findings.iter().map(|finding| {
            let content = snapshot.find(finding.path.as_bstr()).and_then(|entry| entry.content);
            (finding.clone(), content)
        }));
        found.sort();
        found.dedup();
        Looked { files: entries.len(), discovery, found }
    }

    /// What is known of these files, or learnt now, on as many threads as there are.
    fn modules(&mut self, snapshot: &dyn Snapshot, files: &[&Entry]) -> Vec<Arc<Module>> {
        let known = |entry: &Entry| Some(self.known.get(&entry.content?)?.1.clone());
        let mut modules: Vec<Option<Arc<Module>>> = files.iter().map(|entry| known(entry)).collect();
        let open: Vec<usize> = (0..files.len()).filter(|at| modules[*at].is_none()).collect();
        let next = AtomicUsize::new(0);
        let learnt = Mutex::new(Vec::with_capacity(open.len()));
        let target = self.target;
        let learn = || {
            while let Some(at) = open.get(next.fetch_add(1, Ordering::Relaxed)) {
                let module = match snapshot.read(files[*at]) {
                    Ok(bytes) => Module::of(&bytes, &target),
                    Err(reason) => Module {
                        issues: vec![Issue::of_file(
                            super::Code::LargeFile,
                            format!("it is not checked: {reason}"),
                        )],
                    },
                };
                learnt.lock().unwrap_or_else(PoisonError::into_inner).push((*at, Arc::new(module)));
            }
        };
        // A thread is not worth a few files.
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        std::thread::scope(|scope| {
            for _ in 1..cores.min(open.len() / 32) {
                scope.spawn(learn);
            }
            learn();
        });
        for (at, module) in learnt.into_inner().unwrap_or_else(PoisonError::into_inner) {
            modules[at] = Some(module);
        }
        for (entry, module) in files.iter().zip(modules.iter().flatten()) {
            if let Some(content) = entry.content {
                self.known.insert(content, (self.checks, module.clone()));
            }
        }
        modules.into_iter().flatten().collect()
    }

    /// The whole check: what is found, and the verdict against what is published.
    pub fn check(&mut self, revision: &dyn Snapshot, published: &Published<'_>) -> Report {
        self.checks += 1;
        let looked = self.look(revision);
        let verdict = verdict::judge(self.policy, &looked.found, || {
            let mut baseline = Baseline::default();
            published(&mut |snapshot| baseline = Baseline::of(self.look(snapshot).found));
            baseline
        });
        // What neither this revision nor the one before it has will hardly come back.
        let checks = self.checks;
        self.known.retain(|_, (used, _)| *used + 1 >= checks);
        Report {
            target: self.target,
            files: looked.files,
            dag_files: looked.discovery.files.len(),
            findings: looked.found.into_iter().map(|(finding, _)| finding).collect(),
            verdict,
        }
    }
}

impl Gate for Checker {
    fn judge(&mut self, revision: &dyn Snapshot, published: &Published<'_>) -> Report {
        self.check(revision, published)
    }
}
