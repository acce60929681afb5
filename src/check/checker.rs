//! The check itself: what is in a revision, file by file and between files, and what follows.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use gix::bstr::{BStr, BString, ByteSlice as _};

use super::age::{self, Age};
use super::contents::{Contents, How, Read};
use super::dag::tree::{self, File};
use super::difference::{self, Outline};
use super::discover::{self, Discovery};
use super::looked::Looked;
use super::report::Report;
use super::snapshot::{Content, Unreadable};
use super::verdict::{self, Baseline, Known, Verdict};
use super::{Finding, Gate, Published, Revision, Settings, Severity, Snapshot, doubt};

/// What is known of the revision that another one takes the place of.
#[derive(Debug, Clone)]
enum Before {
    /// There is none: nobody reads anything yet.
    Nothing,
    /// There is one, and nothing of it can be read any more.
    Unknown,
    Known(Arc<Looked>),
}

impl Before {
    fn known(&self) -> Option<&Looked> {
        match self {
            Before::Known(looked) => Some(looked),
            Before::Nothing | Before::Unknown => None,
        }
    }
}

/// Checks revisions for one target.
#[derive(Debug)]
pub struct Checker {
    settings: Settings,
    /// What passed last, which is what is published, as far as we know; or what was published when something did not pass.
    passed: Option<(String, Arc<Looked>)>,
    contents: Contents,
    memory: discover::Memory,
}

impl Checker {
    /// One that knows nothing yet.
    pub fn new(settings: Settings) -> Checker {
        let (contents, memory) = (Contents::default(), discover::Memory::default());
        Checker { settings, passed: None, contents, memory }
    }

    /// Looks at all of a revision. `before` is what it takes the place of.
    ///
    /// # Errors
    /// When something of it cannot be read.
    pub fn look(&mut self, snapshot: &dyn Snapshot, before: Option<&Looked>) -> Result<Looked, Unreadable> {
        let target = self.settings.target;
        let Opened { files, read, discovery, is_loaded, other } = self.open(snapshot)?;
        let is_sure = surely_loaded(&is_loaded, other.as_ref());
        let modules = modules(snapshot, &self.contents, &files, &read, &is_sure);
        let mut findings = doubt::of_walk(&discovery, other.as_ref(), self.settings.assumed, snapshot);
        for ((at, _), read) in files.iter().zip(&read) {
            findings.extend(read.findings(snapshot.entry(*at).path, is_loaded[*at]));
        }
        findings.extend(tree::duplicate_dag_ids(&modules));
        findings.extend(tree::shadowed_modules(&modules, snapshot, &target)?);
        findings.extend(tree::case_clashes(snapshot)?);
        if let Some(before) = before {
            findings.extend(tree::missing_modules(&modules, snapshot, before.modules())?);
            let read = |path: &BStr| -> Result<Option<(BString, Vec<u8>)>, Unreadable> {
                let path = snapshot.whole(path);
                let Some(at) = snapshot.find(path.as_bstr()) else { return Ok(None) };
                Ok(Some((path, snapshot.read(at)?)))
            };
            let are = discovery.files.iter().map(|file| file.path(snapshot));
            findings.extend(tree::skipped(before.loaded(), are, &target, read)?);
        }
        let found = weighed(findings, snapshot, &modules, &is_sure)?;
        let idle = files.iter().zip(&read).filter(|(_, read)| read.has_no_dag()).map(|((at, _), _)| *at);
        Ok(Looked::of(snapshot, &discovery, &idle.collect(), found))
    }

    /// Reads a revision's files, and finds those that Airflow loads.
    fn open(&mut self, snapshot: &dyn Snapshot) -> Result<Opened, Unreadable> {
        let target = self.settings.target;
        let inside = snapshot.inside();
        let to_read = |at: usize| Some((at, How::of(snapshot.entry(at))?));
        let mut files: Vec<(usize, How)> = inside.clone().filter_map(to_read).collect();
        let mut read = self.contents.read(snapshot, &files, &self.settings, &mut self.memory)?;
        let discovery = discover::discover_with(snapshot, &target, &mut self.memory)?;
        // A link may lead out of the folder, and what is a zip only discovery knows.
        let more = discovery.files.iter().map(|file| (file.entry(), file.is_zip()));
        let more: BTreeSet<(usize, bool)> =
            more.filter(|(at, is_zip)| *is_zip || !inside.contains(at)).collect();
        let more = more.into_iter();
        let more = more.filter_map(|(at, is_zip)| if is_zip { Some((at, How::Zip)) } else { to_read(at) });
        let more: Vec<(usize, How)> = more.collect();
        read.extend(self.contents.read(snapshot, &more, &self.settings, &mut self.memory)?);
        files.extend(more);
        let mut is_loaded = vec![false; snapshot.len()];
        discovery.files.iter().for_each(|file| is_loaded[file.entry()] = true);
        let other = match self.settings.assumed.ignore && doubt::has_ignore_file(snapshot) {
            true => Some(discover::discover_with(snapshot, &target.with_other_ignore(), &mut self.memory)?),
            false => None,
        };
        Ok(Opened { files, read, discovery, is_loaded, other })
    }

    /// The DAGs of a revision, for comparing it with another one.
    ///
    /// # Errors
    /// When something of it cannot be read.
    pub fn outline(&mut self, snapshot: &dyn Snapshot) -> Result<Outline, Unreadable> {
        let opened = self.open(snapshot)?;
        let mut outline = self.dags_of(&opened, snapshot)?;
        let Opened { files, read, is_loaded, .. } = &opened;
        let modules = modules(snapshot, &self.contents, files, read, is_loaded);
        for (at, _) in files.iter().filter(|(_, how)| *how == How::Python) {
            outline.add_module(snapshot.entry(*at).path, content_of(snapshot, *at)?);
        }
        outline.imports = tree::imports(&modules, snapshot)?;
        Ok(outline)
    }

    /// Its first half: the files that Airflow loads, and their DAGs.
    fn dags_of(&self, opened: &Opened, snapshot: &dyn Snapshot) -> Result<Outline, Unreadable> {
        let read = opened.files.iter().zip(&opened.read).filter(|((_, how), _)| *how == How::Python);
        let read: HashMap<usize, &Read> = read.map(|((at, _), read)| (*at, read)).collect();
        let mut outline = Outline::default();
        for file in &opened.discovery.files {
            let at = file.entry();
            let read = read.get(&at).filter(|read| !read.is_broken());
            let facts = read.map(|read| self.contents.facts(read));
            let is_idle = read.is_some_and(|read| read.has_no_dag());
            let path = snapshot.whole(file.path(snapshot));
            outline.add_dag_file(path, content_of(snapshot, at)?, facts, is_idle);
        }
        Ok(outline)
    }

    /// What is known of what is published.
    fn before(&mut self, published: Option<Published<'_>>) -> Before {
        let Some(published) = published else { return Before::Nothing };
        if let Some((commit, looked)) = &self.passed
            && commit == published.commit
        {
            return Before::Known(looked.clone());
        }
        let mut before = Before::Unknown;
        (published.files)(&mut |snapshot| match self.look(snapshot, None) {
            Ok(looked) => {
                before = Before::Known(Arc::new(looked));
                true
            }
            Err(_) => false,
        });
        before
    }

    /// The whole check: what is found, and the verdict against what is published.
    ///
    /// # Errors
    /// When something of the revision cannot be read, which says nothing of it.
    pub fn check(
        &mut self,
        revision: Revision<'_>,
        published: Option<Published<'_>>,
    ) -> Result<Report, Unreadable> {
        let before = self.before(published);
        let looked = Arc::new(self.look(revision.files, before.known())?);
        let verdict = self.verdict(&revision, published, &before, &looked)?;
        let ages = before.known().map(|before| self.ages(before, &looked));
        self.contents.renew();
        self.memory.tidy();
        self.passed = match (&verdict, before) {
            (Verdict::Pass, _) => Some((revision.commit.to_owned(), looked.clone())),
            (Verdict::Reject { .. }, Before::Known(before)) => {
                published.map(|it| (it.commit.to_owned(), before))
            }
            (Verdict::Reject { .. }, _) => None,
        };
        Ok(Report {
            target: self.settings.target,
            files: looked.files,
            dag_files: looked.dag_files,
            findings: looked.found.iter().map(|(finding, _)| finding.clone()).collect(),
            ages,
            verdict,
        })
    }

    fn verdict(
        &mut self,
        revision: &Revision<'_>,
        published: Option<Published<'_>>,
        before: &Before,
        now: &Looked,
    ) -> Result<Verdict, Unreadable> {
        let baseline = || match before {
            Before::Nothing => Some(Baseline::default()),
            // Whatever is wrong may have been so for years: only what would stop Airflow is sure to be worse.
            Before::Unknown => None,
            // So may what is wrong in folders that nobody has looked into so far.
            Before::Known(looked) if looked.is_partial && !now.is_partial => None,
            Before::Known(looked) if self.settings.assumed.airflow => {
                Some(Baseline::of_assumed(&looked.found))
            }
            Before::Known(looked) => Some(Baseline::of(&looked.found)),
        };
        match (verdict::judge(self.settings.policy, &now.found, baseline), before.known()) {
            // What was not looked for is not gone.
            (Verdict::Pass, Some(before)) if !now.is_partial => self.guard(revision, published, before, now),
            (verdict, _) => Ok(verdict),
        }
    }

    fn ages(&self, before: &Looked, now: &Looked) -> Vec<Age> {
        age::ages(&now.found, &before.found, self.settings.assumed.airflow)
    }

    /// A branch that lost its files by mistake looks like one that has less DAGs.
    fn guard(
        &mut self,
        revision: &Revision<'_>,
        published: Option<Published<'_>>,
        before: &Looked,
        now: &Looked,
    ) -> Result<Verdict, Unreadable> {
        let folder = self.settings.folder.clone();
        let (most, missing) = (self.settings.max_removed, now.is_missing.then_some(folder.as_bstr()));
        let judge = |gone| verdict::shrink(before.dag_files, gone, missing, most, revision.message);
        // By paths alone, which nearly always is enough.
        let verdict = judge(before.gone_at_most(now));
        if verdict == Verdict::Pass {
            return Ok(verdict);
        }
        // Renamed is not removed.
        let opened = self.open(revision.files)?;
        let is = self.dags_of(&opened, revision.files)?;
        let mut was = None;
        let mut look = |snapshot: &dyn Snapshot| {
            let opened = self.open(snapshot);
            was = opened.and_then(|opened| self.dags_of(&opened, snapshot)).ok();
            was.is_some()
        };
        if let Some(published) = published {
            (published.files)(&mut look);
        }
        Ok(match was {
            Some(was) => judge(is.gone_since(&was)),
            // Without the bytes of what was there, one that comes is taken for one that goes.
            None => judge(before.dag_files.saturating_sub(now.dag_files)),
        })
    }
}

/// A revision, read.
struct Opened {
    files: Vec<(usize, How)>,
    read: Vec<Read>,
    discovery: Discovery,
    /// Which of all entries Airflow loads.
    is_loaded: Vec<bool>,
    /// With ignore files read in the other way, if nobody said how they are.
    other: Option<Discovery>,
}

/// What identifies the bytes of an entry, for comparing it with one that may have to be read.
fn content_of(snapshot: &dyn Snapshot, at: usize) -> Result<Content, Unreadable> {
    let entry = snapshot.entry(at);
    match entry.content {
        Some(content) => Ok(content),
        None => difference::content_of(&snapshot.read(at)?),
    }
}

/// The Python of a revision, as other files see it. What does not compile says nothing, but others may import it.
fn modules<'a>(
    snapshot: &'a dyn Snapshot,
    contents: &'a Contents,
    files: &[(usize, How)],
    read: &[Read],
    is_loaded: &[bool],
) -> Vec<File<'a>> {
    let python = files.iter().zip(read).filter(|((_, how), _)| *how == How::Python);
    python
        .map(|((at, _), read)| {
            let path = snapshot.entry(*at).path;
            let (facts, loaded) = (contents.facts(read), is_loaded[*at]);
            File { path, below: snapshot.below(path), facts, loaded }
        })
        .collect()
}

/// What Airflow loads however its ignore files are read.
fn surely_loaded(is_loaded: &[bool], other: Option<&Discovery>) -> Vec<bool> {
    let Some(other) = other else { return is_loaded.to_vec() };
    let mut sure = vec![false; is_loaded.len()];
    other.files.iter().map(|file| file.entry()).for_each(|at| sure[at] = is_loaded[at]);
    sure
}

/// With how bad each finding is here, and the content in which it is. What Airflow does not load, nor import, breaks nothing.
fn weighed(
    findings: Vec<Finding>,
    snapshot: &dyn Snapshot,
    modules: &[File<'_>],
    is_loaded: &[bool],
) -> Result<Vec<Known>, Unreadable> {
    let elsewhere = |finding: &Finding| {
        let at = snapshot.find(finding.path.as_bstr());
        finding.severity == Severity::Error && !at.is_some_and(|at| is_loaded[at])
    };
    let reached = match findings.iter().any(elsewhere) {
        true => tree::reached(modules, snapshot)?,
        false => BTreeSet::new(),
    };
    let weigh = |finding: Finding| {
        let content = snapshot.find(finding.path.as_bstr()).and_then(|at| snapshot.entry(at).content);
        let harmless = elsewhere(&finding) && !reached.contains(finding.path.as_bstr());
        (if harmless { finding.elsewhere() } else { finding }, content)
    };
    let mut found: Vec<Known> = findings.into_iter().map(weigh).collect();
    found.sort();
    found.dedup();
    Ok(found)
}

impl Gate for Checker {
    fn judge(
        &mut self,
        revision: Revision<'_>,
        published: Option<Published<'_>>,
    ) -> Result<Report, Unreadable> {
        self.check(revision, published)
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::{Entry, InMemory, Kind};
    use super::*;

    /// A revision of which one file cannot be read at times.
    struct Torn(InMemory, bool);

    impl Snapshot for Torn {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn entry(&self, at: usize) -> Entry<'_> {
            Entry { content: Some([at as u8; 20]), ..self.0.entry(at) }
        }
        fn read(&self, at: usize) -> Result<Vec<u8>, Unreadable> {
            if self.1 && at == 1 { Err(Unreadable("torn".to_owned())) } else { self.0.read(at) }
        }
    }

    fn check(checker: &mut Checker, files: &dyn Snapshot, over: Option<&dyn Snapshot>) -> Option<Verdict> {
        let revision = Revision { commit: "new", message: BStr::new(""), files };
        let show = |look: &mut super::super::Looking<'_>| {
            if let Some(files) = over {
                look(files);
            }
        };
        let published = over.map(|_| Published { commit: "old", files: &show });
        checker.check(revision, published).ok().map(|report| report.verdict)
    }

    #[test]
    fn what_cannot_be_read_has_no_verdict_and_is_not_remembered_as_good() {
        let broken = InMemory::files(&[
            ("a.py", "from airflow import DAG\n"),
            ("b.py", "import airflow, dag\nx = = 1\n"),
        ]);
        let mut checker = Checker::new(Settings::default());
        for _ in 0..2 {
            assert_eq!(check(&mut checker, &Torn(broken.clone(), true), None), None);
        }
        let verdict = check(&mut checker, &Torn(broken, false), None);
        assert!(matches!(verdict, Some(Verdict::Reject { because: "error", .. })), "{verdict:?}");
    }

    #[test]
    fn what_is_in_a_zip_holds_a_revision_back() {
        // One stored member, `a.py`: DAG, airflow, and a mistake.
        let zip: &[u8] = include_bytes!("../../tests/data/broken-dag.zip");
        let files = InMemory::new([("z.zip", Kind::File, zip)]);
        let mut checker = Checker::new(Settings::default());
        let verdict = check(&mut checker, &files, None);
        let Some(Verdict::Reject { because: "error", reason }) = verdict else { panic!("{verdict:?}") };
        assert!(reason.starts_with("z.zip: a.py:2"), "{reason}");
    }

    #[test]
    fn over_what_nobody_can_read_only_what_is_fatal_holds() {
        let error = InMemory::files(&[("b.py", "import airflow, dag\nx = = 1\n")]);
        let fatal = InMemory::new([("a/b.py", Kind::File, "airflow dag"), ("c", Kind::Link, "a")]);
        let mut checker = Checker::new(Settings::default());
        let unknown: &dyn Snapshot = &Torn(InMemory::files(&[("a.py", ""), ("b.py", "")]), true);
        assert_eq!(check(&mut checker, &error, Some(unknown)), Some(Verdict::Pass));
        let verdict = check(&mut checker, &fatal, Some(unknown));
        assert!(matches!(verdict, Some(Verdict::Reject { because: "fatal", .. })), "{verdict:?}");
    }
}
