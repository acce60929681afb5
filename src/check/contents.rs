//! What the content of a file decides, remembered for as long as revisions have that content, so that a revision costs what it
//! changes.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gix::bstr::ByteSlice as _;

use super::dag::between::{Between, Words};
use super::dag::{self, Facts, Role};
use super::discover::{Look, Memory};
use super::snapshot::{Content, Entry, Kind, Unreadable};
use super::{Issue, Severity, Snapshot, Target, python};

/// What the content of a file decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// What is wrong with it wherever it is.
    pub(super) issues: Box<[Issue]>,
    /// What is wrong with it, besides, as a DAG file.
    pub(super) as_dag_file: Box<[Issue]>,
    /// And as a module.
    pub(super) as_module: Box<[Issue]>,
    /// Of a Python file that can be parsed, as far as other files matter to it.
    pub(super) facts: Option<Between>,
}

/// How a content is read: by the ending of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum How {
    Python,
    Yaml,
    Json,
}

impl How {
    /// `None` if nothing is to be found in it.
    pub(super) fn of(entry: Entry<'_>) -> Option<How> {
        let is = |ending: &str| entry.path.ends_with(ending.as_bytes());
        let how = match () {
            () if is(".py") => How::Python,
            () if is(".yaml") || is(".yml") => How::Yaml,
            () if is(".json") => How::Json,
            () => return None,
        };
        (entry.kind == Kind::File && entry.size <= how.most()).then_some(how)
    }

    /// In bytes. What is larger is not held; of Python that is an error, which needs no more than the size.
    fn most(self) -> u64 {
        match self {
            How::Python => u64::MAX,
            How::Yaml | How::Json => dag::LARGEST_DATA as u64,
        }
    }
}

impl Read {
    fn of(how: How, bytes: &[u8], target: &Target) -> Read {
        match how {
            How::Python => Read::of_python(bytes, target),
            How::Yaml => Read::only(dag::data_syntax(b".yaml", bytes).into_iter().collect()),
            How::Json => Read::only(dag::data_syntax(b".json", bytes).into_iter().collect()),
        }
    }

    fn of_python(bytes: &[u8], target: &Target) -> Read {
        let (issues, facts) = python::compile(bytes, target.python, Facts::of);
        // Of a file that does not compile, what it says is not sure.
        let broken = issues.iter().any(|issue| issue.code.severity() > Severity::Warning);
        let Some(facts) = facts.filter(|_| !broken) else { return Read::only(issues) };
        let roles = [Role::DagFile, Role::Module].map(|role| dag::issues(&facts, target, role).into());
        let [as_dag_file, as_module] = roles;
        Read { issues: issues.into(), as_dag_file, as_module, facts: Some(Between::of(&facts)) }
    }

    fn only(issues: Vec<Issue>) -> Read {
        Read { issues: issues.into(), ..Read::default() }
    }
}

/// One file, just read.
struct Learnt {
    /// Its place among those that were asked for.
    at: usize,
    read: Read,
    look: Option<Look>,
}

/// What is known of contents. A name's ending says how a content is read.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// With the number of the check that used it last.
    known: HashMap<(Content, How), (Arc<Read>, u32)>,
    words: Words,
    /// What most files without Python are.
    nothing: Arc<Read>,
    checks: u32,
}

impl Contents {
    /// A new check begins.
    pub(super) fn begin(&mut self) {
        self.checks = self.checks.wrapping_add(1);
    }

    /// And ends. What neither this one nor the one before asked for will hardly come back.
    pub(super) fn end(&mut self) {
        let now = self.checks;
        self.known.retain(|_, (_, used)| now.wrapping_sub(*used) <= 1);
        self.words.tidy();
    }

    /// What is known of these files, or learnt now, on as many threads as there are. What discovery asks of them goes to `memory`.
    pub(super) fn read(
        &mut self,
        snapshot: &dyn Snapshot,
        files: &[(usize, How)],
        target: &Target,
        memory: &mut Memory,
    ) -> Result<Vec<Arc<Read>>, Unreadable> {
        let now = self.checks;
        let mut known = |(at, how): (usize, How)| {
            let (read, used) = self.known.get_mut(&(snapshot.entry(at).content?, how))?;
            *used = now;
            Some(read.clone())
        };
        let mut all: Vec<Option<Arc<Read>>> = files.iter().map(|file| known(*file)).collect();
        let open: Vec<usize> = (0..files.len()).filter(|at| all[*at].is_none()).collect();
        for Learnt { at, mut read, look } in learn(snapshot, files, &open, target)? {
            let (entry, how) = (snapshot.entry(files[at].0), files[at].1);
            if let Some(look) = look {
                memory.learn(files[at].0, entry.content, look);
            }
            if let Some(facts) = &mut read.facts {
                self.words.share(facts);
            }
            let read = if read == *self.nothing { self.nothing.clone() } else { Arc::new(read) };
            if let Some(content) = entry.content {
                self.known.insert((content, how), (read.clone(), now));
            }
            all[at] = Some(read);
        }
        Ok(all.into_iter().flatten().collect())
    }
}

fn learn(
    snapshot: &dyn Snapshot,
    files: &[(usize, How)],
    open: &[usize],
    target: &Target,
) -> Result<Vec<Learnt>, Unreadable> {
    let next = AtomicUsize::new(0);
    let learnt = Mutex::new(Ok(Vec::with_capacity(open.len())));
    let work = || {
        while let Some(at) = open.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
            let one = learn_one(snapshot, files[at], target);
            let mut learnt = learnt.lock().unwrap_or_else(PoisonError::into_inner);
            match (one, &mut *learnt) {
                (Ok((read, look)), Ok(all)) => all.push(Learnt { at, read, look }),
                (Err(failed), Ok(_)) => *learnt = Err(failed),
                (_, Err(_)) => {}
            }
            if learnt.is_err() {
                break;
            }
        }
    };
    // A thread is not worth a few files.
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    std::thread::scope(|scope| {
        for _ in 1..cores.min(open.len() / 32) {
            scope.spawn(work);
        }
        work();
    });
    learnt.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn learn_one(
    snapshot: &dyn Snapshot,
    (at, how): (usize, How),
    target: &Target,
) -> Result<(Read, Option<Look>), Unreadable> {
    let too_large = || python::too_large(snapshot.entry(at).size).filter(|_| how == How::Python);
    if let Some(issue) = too_large() {
        return Ok((Read::only(vec![issue]), None));
    }
    let bytes = snapshot.read(at)?;
    Ok((Read::of(how, bytes.as_bytes(), target), Some(Look::at(&bytes))))
}
