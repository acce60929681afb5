//! The check itself: what is in a revision, file by file and between files, and what follows.
//!
//! What a file's content alone decides is remembered by its content, so that the next revision costs what it changes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gix::bstr::{BStr, BString, ByteSlice as _};

use super::dag::tree::{self, File};
use super::dag::{self, Facts, Role};
use super::discover::{self, Discovery};
use super::report::Report;
use super::snapshot::{Content, Entry, Kind};
use super::verdict::{self, Baseline, Known, Verdict};
use super::{Code, Finding, Gate, Issue, Published, Revision, Settings, Severity, Snapshot, Target, python};

/// What the content of a file decides.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Read {
    /// What is wrong with it wherever it is.
    issues: Vec<Issue>,
    /// What is wrong with it, besides, as a DAG file.
    as_dag_file: Vec<Issue>,
    /// And as a module.
    as_module: Vec<Issue>,
    /// Of a Python file that can be parsed, as far as other files matter to it.
    facts: Option<Facts>,
}

impl Read {
    fn of(entry: &Entry, bytes: &[u8], target: &Target) -> Read {
        if !is_python(entry) {
            let name = entry.path.rsplit_str("/").next().unwrap_or_default();
            return Read::only(dag::data_syntax(name, bytes).into_iter().collect());
        }
        let (issues, facts) = python::compile(bytes, target.python, Facts::of);
        // Of a file that does not compile, what it says is not sure.
        let broken = issues.iter().any(|issue| issue.code.severity() > Severity::Warning);
        let Some(facts) = facts.filter(|_| !broken) else { return Read::only(issues) };
        let roles = [Role::DagFile, Role::Module].map(|role| dag::issues(&facts, target, role));
        let [as_dag_file, as_module] = roles;
        Read { issues, as_dag_file, as_module, facts: Some(facts.between_files()) }
    }

    fn only(issues: Vec<Issue>) -> Read {
        Read { issues, as_dag_file: Vec::new(), as_module: Vec::new(), facts: None }
    }
}

fn is_python(entry: &Entry) -> bool {
    entry.path.ends_with(b".py")
}

/// Whether its content is looked at: Python, and what lies beside it as settings.
fn is_read(entry: &Entry) -> bool {
    let is = |ending: &str| entry.path.ends_with(ending.as_bytes());
    entry.kind == Kind::File && [".py", ".yaml", ".yml", ".json"].into_iter().any(is)
}

/// What was found in a revision, before anybody decides about it.
#[derive(Debug, Clone, Default)]
pub struct Looked {
    /// How much is there.
    files: usize,
    /// The Python of it.
    modules: Vec<Entry>,
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
    /// With the number of the check that used it last. A name's ending says how a content is read.
    known: HashMap<(Content, bool), (u64, Arc<Read>)>,
    contents: discover::Memory,
    checks: u64,
}

impl Checker {
    /// One that knows nothing yet.
    pub fn new(settings: Settings) -> Checker {
        Checker {
            settings,
            passed: None,
            known: HashMap::new(),
            contents: discover::Memory::default(),
            checks: 0,
        }
    }

    /// Looks at all of a revision. `before` is what it takes the place of.
    pub fn look(&mut self, snapshot: &dyn Snapshot, before: Option<&Looked>) -> Looked {
        let target = self.settings.target;
        let discovery = discover::discover_with(snapshot, &target, &mut self.contents);
        let entries = snapshot.entries();
        let loaded: HashSet<&BStr> =
            discovery.files.iter().map(|file| entries[file.entry].path.as_bstr()).collect();
        let looked_at: Vec<&Entry> = entries.iter().filter(|entry| is_read(entry)).collect();
        let read = self.read(snapshot, &looked_at);
        // What does not compile says nothing, but others may import it.
        let nothing = Facts::default();
        let files: Vec<File<'_>> = looked_at
            .iter()
            .zip(&read)
            .filter(|(entry, _)| is_python(entry))
            .map(|(entry, read)| {
                let path = entry.path.as_bstr();
                let facts = read.facts.as_ref().unwrap_or(&nothing);
                File { path, facts, loaded: loaded.contains(path) }
            })
            .collect();
        let mut findings = discovery.findings.clone();
        for (entry, read) in looked_at.iter().zip(&read) {
            let more =
                if loaded.contains(entry.path.as_bstr()) { &read.as_dag_file } else { &read.as_module };
            let issues = read.issues.iter().chain(more);
            findings.extend(issues.map(|issue| Finding::new(entry.path.clone(), issue.clone())));
        }
        findings.extend(tree::duplicate_dag_ids(&files));
        findings.extend(tree::shadowed_modules(&files, entries, &target));
        findings.extend(tree::case_clashes(entries));
        let modules: Vec<Entry> = entries.iter().filter(|entry| is_python(entry)).cloned().collect();
        if let Some(before) = before {
            findings.extend(tree::missing_modules(&files, entries, &before.modules));
            let read = |path: &BStr| snapshot.read(snapshot.find(path)?).ok();
            let were: BTreeSet<&BStr> = before.discovery.files.iter().map(|it| it.path.as_bstr()).collect();
            let are: BTreeSet<&BStr> = discovery.files.iter().map(|it| it.path.as_bstr()).collect();
            findings.extend(tree::skipped(&were, &are, &target, read));
        }
        for (path, reason) in &discovery.unread {
            findings.push(Finding::new(
                path.clone(),
                Issue::of_file(Code::LargeFile, format!("it is not checked: {reason}")),
            ));
        }

        // What Airflow does not load, nor import, breaks nothing.
        let elsewhere = |finding: &Finding| {
            finding.severity == Severity::Error && !loaded.contains(finding.path.as_bstr())
        };
        let reached = match findings.iter().any(elsewhere) {
            true => tree::reached(&files, entries),
            false => BTreeSet::new(),
        };
        let mut found: Vec<Known> = findings
            .into_iter()
            .map(|finding| {
                let content = snapshot.find(finding.path.as_bstr()).and_then(|entry| entry.content);
                let harmless = elsewhere(&finding) && !reached.contains(finding.path.as_bstr());
                (if harmless { finding.elsewhere() } else { finding }, content)
            })
            .collect();
        found.sort();
        found.dedup();
        Looked { files: entries.len(), modules, discovery, found }
    }

    /// What is known of these files, or learnt now, on as many threads as there are.
    fn read(&mut self, snapshot: &dyn Snapshot, files: &[&Entry]) -> Vec<Arc<Read>> {
        let key = |entry: &Entry| Some((entry.content?, is_python(entry)));
        let known = |entry: &Entry| Some(self.known.get(&key(entry)?)?.1.clone());
        let mut all: Vec<Option<Arc<Read>>> = files.iter().map(|entry| known(entry)).collect();
        let open: Vec<usize> = (0..files.len()).filter(|at| all[*at].is_none()).collect();
        let next = AtomicUsize::new(0);
        let learnt = Mutex::new(Vec::with_capacity(open.len()));
        let target = self.settings.target;
        let learn = || {
            while let Some(at) = open.get(next.fetch_add(1, Ordering::Relaxed)) {
                let read = match snapshot.read(files[*at]) {
                    Ok(bytes) => Read::of(files[*at], &bytes, &target),
                    Err(reason) => {
                        let issue = Issue::of_file(Code::LargeFile, format!("it is not checked: {reason}"));
                        Read::only(vec![issue])
                    }
                };
                learnt.lock().unwrap_or_else(PoisonError::into_inner).push((*at, Arc::new(read)));
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
        for (at, read) in learnt.into_inner().unwrap_or_else(PoisonError::into_inner) {
            all[at] = Some(read);
        }
        for (entry, read) in files.iter().zip(all.iter().flatten()) {
            if let Some(key) = key(entry) {
                self.known.insert(key, (self.checks, read.clone()));
            }
        }
        all.into_iter().flatten().collect()
    }

    /// What is known of what is published: nothing if that cannot be had.
    fn before(&mut self, published: Published<'_>) -> Option<Arc<Looked>> {
        if let Some((commit, looked)) = &self.passed
            && commit == published.commit
        {
            return Some(looked.clone());
        }
        let mut looked = None;
        (published.files)(&mut |snapshot| looked = Some(Arc::new(self.look(snapshot, None))));
        looked
    }

    /// The whole check: what is found, and the verdict against what is published.
    pub fn check(&mut self, revision: Revision<'_>, published: Option<Published<'_>>) -> Report {
        self.checks += 1;
        let before = published.and_then(|published| self.before(published));
        let looked = Arc::new(self.look(revision.files, before.as_deref()));
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
