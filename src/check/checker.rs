//! The check itself: what is in a revision, file by file, and what follows.
//!
//! What a file's content alone decides is remembered by its content, so that the next revision costs what it changes.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gix::bstr::{BString, ByteSlice as _};

use super::discover::{self, Discovery};
use super::report::Report;
use super::snapshot::{Content, Entry, Kind};
use super::verdict::{self, Baseline, Known, Verdict};
use super::{Finding, Gate, Issue, Published, Revision, Settings, Snapshot, Target, python};

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
    settings: Settings,
    /// What passed last, which is what is published, as far as we know; or what was published when something did not pass.
    passed: Option<(String, Arc<Looked>)>,
    /// With the number of the check that used it last.
    known: HashMap<Content, (u64, Arc<Module>)>,
    checks: u64,
}

impl Checker {
    /// One that knows nothing yet.
    pub fn new(settings: Settings) -> Checker {
        Checker { settings, passed: None, known: HashMap::new(), checks: 0 }
    }

    /// Looks at all of a revision.
    pub fn look(&mut self, snapshot: &dyn Snapshot) -> Looked {
        let discovery = discover::discover(snapshot, &self.settings.target);
        let entries = snapshot.entries();
        let python: Vec<&Entry> =
            entries.iter().filter(|it| it.kind == Kind::File && it.path.ends_with(b".py")).collect();
        let modules = self.modules(snapshot, &python);
        let loaded: HashSet<&BString> =
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
        let target = self.settings.target;
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

    /// What is known of what is published: nothing if that cannot be had.
    fn before(&mut self, published: Published<'_>) -> Arc<Looked> {
        if let Some((commit, looked)) = &self.passed
            && commit == published.commit
        {
            return looked.clone();
        }
        let mut looked = Looked::default();
        (published.files)(&mut |snapshot| looked = self.look(snapshot));
        Arc::new(looked)
    }

    /// The whole check: what is found, and the verdict against what is published.
    pub fn check(&mut self, revision: Revision<'_>, published: Option<Published<'_>>) -> Report {
        self.checks += 1;
        let looked = Arc::new(self.look(revision.files));
        let before = published.map(|published| self.before(published));
        let baseline = || before.as_ref().map_or_else(Baseline::default, |it| Baseline::of(&it.found));
        let verdict = match verdict::judge(self.settings.policy, &looked.found, baseline) {
            Verdict::Pass => {
                before.as_ref().map_or(Verdict::Pass, |before| self.guard(&revision, before, &looked))
            }
            reject => reject,
        };
        // What neither this revision nor the one before it has will hardly come back.
        let checks = self.checks;
        self.known.retain(|_, (used, _)| *used + 1 >= checks);
        self.passed = match verdict {
            Verdict::Pass => Some((revision.commit.to_owned(), looked.clone())),
            Verdict::Reject { .. } => {
                published.zip(before).map(|(it, before)| (it.commit.to_owned(), before))
            }
        };
        Report {
            target: self.settings.target,
            files: looked.files,
            dag_files: looked.discovery.files.len(),
            findings: looked.found.iter().map(|(finding, _)| finding.clone()).collect(),
            verdict,
        }
    }

    /// A branch that lost its files by mistake looks like one that has less DAGs.
    fn guard(&self, revision: &Revision<'_>, before: &Looked, now: &Looked) -> Verdict {
        let had: Vec<&BString> = before.discovery.files.iter().map(|file| &file.path).collect();
        let has: HashSet<&BString> = now.discovery.files.iter().map(|file| &file.path).collect();
        let gone = had.iter().filter(|path| !has.contains(*path)).count();
        // Renamed is not removed.
        let gone = gone.min(had.len().saturating_sub(has.len()));
        verdict::shrink(had.len(), gone, self.settings.max_removed, revision.message)
    }
}

impl Gate for Checker {
    fn judge(&mut self, revision: Revision<'_>, published: Option<Published<'_>>) -> Report {
        self.check(revision, published)
    }
}
