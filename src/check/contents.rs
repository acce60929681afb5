//! What the content of a file decides, remembered for as long as revisions have that content, so that a revision costs what it
//! changes.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gix::bstr::BStr;

use super::dag::packed::{At, Between, Packed};
use super::dag::{self, Facts, Role};
use super::discover::{Look, Memory};
use super::snapshot::{Content, Entry, Kind, Unreadable};
use super::target::Python;
use super::{Code, Finding, Issue, Settings, Severity, Snapshot, archive, python};

/// What the content of a file decides: what others have to know of it, and what is wrong with it, which nearly always is nothing.
#[derive(Debug, Clone)]
pub(super) struct Read {
    facts: At,
    issues: Option<Arc<Issues>>,
}

/// What is wrong with a file.
#[derive(Debug, Default)]
struct Issues {
    /// Wherever it is.
    anywhere: Vec<Issue>,
    /// That hangs on a Python that was assumed.
    is_doubtful: bool,
    /// Besides, as a DAG file.
    as_dag_file: Vec<Issue>,
    /// And as a module.
    as_module: Vec<Issue>,
}

impl Read {
    /// Whether it does not compile, so that nothing is known of what it says.
    pub(super) fn is_broken(&self) -> bool {
        let issues = self.issues.iter().filter(|issues| !issues.is_doubtful);
        let mut anywhere = issues.flat_map(|issues| &issues.anywhere);
        anywhere.any(|issue| issue.code.severity() > Severity::Warning)
    }

    /// Whether there surely is no DAG in it, nor in anything that it imports.
    pub(super) fn has_no_dag(&self) -> bool {
        let mut issues = self.issues.iter().flat_map(|issues| &issues.as_dag_file);
        issues.any(|issue| issue.code == Code::NoDag)
    }

    /// What is wrong with it at this path, as a DAG file or as a module.
    pub(super) fn findings(&self, path: &BStr, is_loaded: bool) -> impl Iterator<Item = Finding> {
        self.issues.iter().flat_map(move |issues| {
            let more = if is_loaded { &issues.as_dag_file } else { &issues.as_module };
            let finding = move |issue: &Issue| Finding::new(path, issue.clone());
            let anywhere = issues.anywhere.iter().map(move |issue| match issues.is_doubtful {
                true => finding(issue).elsewhere(),
                false => finding(issue),
            });
            anywhere.chain(more.iter().map(finding))
        })
    }
}

/// How a content is read: by the ending of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum How {
    Python,
    Yaml,
    Json,
    /// A zip of DAG files, which only discovery knows.
    Zip,
}

impl How {
    /// By a name's ending; `None` if nothing is to be found in it.
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

    /// In bytes. What is larger is not held; of Python and of zips that is an issue, which needs no more than the size.
    fn most(self) -> u64 {
        match self {
            How::Python | How::Zip => u64::MAX,
            How::Yaml | How::Json => dag::LARGEST_DATA as u64,
        }
    }
}

/// What was just read, before it is put where what is remembered is.
struct Learnt {
    issues: Issues,
    facts: Option<Facts>,
    /// What discovery asks.
    look: Option<Look>,
}

impl Learnt {
    fn of(how: How, bytes: &[u8], settings: &Settings) -> Learnt {
        let look = Some(Look::at(bytes));
        let data = |name: &[u8]| Learnt::only(dag::data_syntax(name, bytes).into_iter().collect());
        let learnt = match how {
            How::Python => Learnt::of_python(bytes, settings),
            How::Yaml => data(b".yaml"),
            How::Json => data(b".json"),
            How::Zip => Learnt::only(archive::look(bytes, &settings.target)),
        };
        Learnt { look, ..learnt }
    }

    fn of_python(bytes: &[u8], settings: &Settings) -> Learnt {
        let target = &settings.target;
        // Of a file that does not compile, what it says is not sure.
        let is_broken =
            |issues: &[Issue]| issues.iter().any(|issue| issue.code.severity() > Severity::Warning);
        let (mut anywhere, mut facts) = python::compile(bytes, target.python, Facts::of);
        let mut is_doubtful = false;
        if settings.assumed.python && is_broken(&anywhere) {
            // Theirs may be a newer one.
            let (newest, sure) = python::compile(bytes, Python::NEWEST, Facts::of);
            is_doubtful = !is_broken(&newest);
            if is_doubtful {
                facts = sure;
                let hint = "`check-python` says which Python reads the file";
                anywhere = anywhere.into_iter().map(|issue| issue.hint(hint)).collect();
            }
        }
        let Some(facts) = facts.filter(|_| is_doubtful || !is_broken(&anywhere)) else {
            return Learnt::only(anywhere);
        };
        let [as_dag_file, as_module] =
            [Role::DagFile, Role::Module].map(|role| dag::issues(&facts, target, role));
        let issues = Issues { anywhere, is_doubtful, as_dag_file, as_module };
        Learnt { issues, facts: Some(facts), look: None }
    }

    fn only(anywhere: Vec<Issue>) -> Learnt {
        Learnt { issues: Issues { anywhere, ..Issues::default() }, facts: None, look: None }
    }
}

/// What is known of contents. A name's ending says how a content is read.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// With whether this check or the one before it asked.
    known: HashMap<(Content, How), (Read, Asked)>,
    packed: Packed,
}

/// When somebody asked for a content last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Now,
    Before,
}

/// What comes out of a look at several files, as it is put together.
struct Collected<'a> {
    contents: &'a mut Contents,
    memory: &'a mut Memory,
    all: Vec<Option<Read>>,
    failed: Option<Unreadable>,
}

/// Facts of so many files that are gone, and of as many as there are, may wait until room is made.
const SLACK: usize = 1000;

/// In bytes: a file that is read while no other one like it is.
const LARGE: u64 = 512 << 10;

impl Contents {
    /// What is asked for from now on is for another check. What neither the last one nor the one before it asked for will hardly
    /// come back.
    pub(super) fn renew(&mut self) {
        self.known.retain(|_, (_, asked)| std::mem::replace(asked, Asked::Before) == Asked::Now);
        if self.packed.files() > 2 * self.known.len() + SLACK {
            let old = std::mem::take(&mut self.packed);
            for (read, _) in self.known.values_mut() {
                read.facts = self.packed.copy(old.get(read.facts));
            }
        }
    }

    /// What others have to know of a file that was just read.
    pub(super) fn facts(&self, read: &Read) -> Between<'_> {
        self.packed.get(read.facts)
    }

    /// What is known of these files, or learnt now, on as many threads as there are. What discovery asks of them goes to `memory`.
    pub(super) fn read(
        &mut self,
        snapshot: &dyn Snapshot,
        files: &[(usize, How)],
        settings: &Settings,
        memory: &mut Memory,
    ) -> Result<Vec<Read>, Unreadable> {
        let mut known = |(at, how): (usize, How)| {
            let (read, asked) = self.known.get_mut(&(snapshot.entry(at).content?, how))?;
            *asked = Asked::Now;
            Some(read.clone())
        };
        let all: Vec<Option<Read>> = files.iter().map(|file| known(*file)).collect();
        let open: Vec<usize> = (0..files.len()).filter(|at| all[*at].is_none()).collect();
        // Grown step by step it would leave holes, which malloc keeps.
        self.known.reserve(open.len());
        memory.reserve(open.len());
        let next = AtomicUsize::new(0);
        let large = Mutex::new(());
        let collected = Mutex::new(Collected { contents: self, memory, all, failed: None });
        let work = || {
            while let Some(place) = open.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
                let (at, how) = files[place];
                // The tree of a large file takes many times its room: one at a time is enough.
                let is_large = snapshot.entry(at).size > LARGE;
                let alone = is_large.then(|| large.lock().unwrap_or_else(PoisonError::into_inner));
                let learnt = snapshot.stopped().and_then(|()| learn(snapshot, at, how, settings));
                drop(alone);
                let mut collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
                match learnt {
                    Ok(learnt) => collected.put(snapshot.entry(at), at, how, place, learnt),
                    Err(failed) => collected.failed = Some(failed),
                }
                if collected.failed.is_some() {
                    break;
                }
            }
        };
        // A thread is not worth a few files.
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        std::thread::scope(|scope| {
            for _ in 1..cores.min(open.len() / 32) {
                scope.spawn(|| python::with_room(work));
            }
            if !open.is_empty() {
                python::with_room(work);
            }
        });
        let Collected { all, failed, .. } = collected.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.map_or_else(|| Ok(all.into_iter().flatten().collect()), Err)
    }
}

impl Collected<'_> {
    /// Adds a file. One at a time, so that what many files say is held once from the begin.
    fn put(&mut self, entry: Entry<'_>, at: usize, how: How, place: usize, learnt: Learnt) {
        let Learnt { issues, facts, look } = learnt;
        let contents = &mut *self.contents;
        if let Some(look) = look {
            self.memory.learn(at, entry.content, look);
        }
        let Issues { anywhere, as_dag_file, as_module, .. } = &issues;
        let clean = anywhere.is_empty() && as_dag_file.is_empty() && as_module.is_empty();
        let read = Read {
            facts: facts.map_or(At::NOTHING, |facts| contents.packed.put(&facts)),
            issues: (!clean).then(|| Arc::new(issues)),
        };
        if let Some(content) = entry.content {
            contents.known.insert((content, how), (read.clone(), Asked::Now));
        }
        self.all[place] = Some(read);
    }
}

fn learn(snapshot: &dyn Snapshot, at: usize, how: How, settings: &Settings) -> Result<Learnt, Unreadable> {
    let size = snapshot.entry(at).size;
    let too_large = match how {
        How::Python => python::too_large(size),
        How::Zip => archive::too_large(size),
        How::Yaml | How::Json => None,
    };
    if let Some(issue) = too_large {
        return Ok(Learnt::only(vec![issue]));
    }
    Ok(Learnt::of(how, &snapshot.read(at)?, settings))
}
