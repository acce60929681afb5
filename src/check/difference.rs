//! Which DAGs two revisions differ in, in Airflow's terms: by id, and by the file that has them. Pure.
//!
//! An id that only Airflow knows cannot be compared: such DAGs are told by their file. A file whose ids cannot be told, as it does not
//! compile or makes them in a loop, is taken to have what it had before.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use gix::bstr::{BStr, BString, ByteSlice as _};

use super::dag::Between;
use super::dag::facts::Bound;
use super::snapshot::{Content, Unreadable};

/// So many modules are named as the reason why a DAG is another one.
const REASONS: usize = 3;

/// The DAGs of a revision. All paths are below its top.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    files: BTreeMap<BString, File>,
    modules: BTreeMap<BString, Content>,
    /// Which file imports which.
    pub(super) imports: Vec<(BString, BString)>,
}

/// A file that Airflow loads.
#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    content: Content,
    ids: BTreeSet<String>,
    /// It may have DAGs whose ids are not known.
    is_open: bool,
    /// There surely is no DAG in it.
    is_idle: bool,
}

/// What happened to a DAG.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It is new.
    Added,
    /// Its file is another one, or something that its file imports.
    Changed,
    /// It is in another file now.
    Moved,
    /// It has another id in its file: to Airflow a new DAG, without the history of the old one.
    Renamed,
    /// It is gone.
    Removed,
}

impl Kind {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Kind; 5] = [Kind::Added, Kind::Changed, Kind::Moved, Kind::Renamed, Kind::Removed];

    /// As reports spell it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Added => "added",
            Kind::Changed => "changed",
            Kind::Moved => "moved",
            Kind::Renamed => "renamed",
            Kind::Removed => "removed",
        }
    }
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub kind: Kind,
    /// The DAG; `None` stands for all of its file that only Airflow knows.
    pub id: Option<String>,
    /// The file that has it, or had it if it is gone.
    pub path: BString,
    /// The id that it had before, if that was another one.
    pub from_id: Option<String>,
    /// The file that it was in before, if that was another one.
    pub from_path: Option<BString>,
    /// Whether the file's content is another one.
    pub is_edited: bool,
    /// Modules that its file imports, at whatever distance, and that are others now. Not all of many.
    pub imports: Vec<BString>,
}

/// What identifies bytes: the id that git gives to such a blob.
///
/// # Errors
/// When they are made to collide with others.
pub fn content_of(bytes: &[u8]) -> Result<Content, Unreadable> {
    let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, gix::objs::Kind::Blob, bytes);
    let id = id.map_err(|err| Unreadable(err.to_string()))?;
    let mut content = Content::default();
    content.copy_from_slice(id.as_bytes());
    Ok(content)
}

impl Outline {
    /// A file that Airflow loads, and what it says; `None` if that cannot be told. `is_idle` if there surely is no DAG in it.
    pub(super) fn add_dag_file(
        &mut self,
        path: BString,
        content: Content,
        facts: Option<Between<'_>>,
        is_idle: bool,
    ) {
        let dags = || facts.into_iter().flat_map(Between::dags).filter(|dag| dag.bound != Bound::Never);
        let ids = dags().filter_map(|dag| dag.id).map(str::to_owned).collect();
        let is_open = facts.is_none_or(Between::more_dags) || dags().any(|dag| dag.id.is_none());
        self.files.insert(path, File { content, ids, is_open, is_idle });
    }

    /// A Python file, whether Airflow loads it or not.
    pub(super) fn add_module(&mut self, path: &BStr, content: Content) {
        self.modules.insert(path.to_owned(), content);
    }

    /// How many files Airflow loads.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// How many DAGs have ids that are known.
    pub fn dags(&self) -> usize {
        self.files.values().map(|file| file.ids.len()).sum()
    }

    /// What differs from what was before, ordered by file and id.
    pub fn since(&self, before: &Outline) -> Vec<Change> {
        let mut found =
            Comparison { before, now: self, moved: moved(before, self), reasons: self.reasons(before) }.run();
        found.sort_by(|one, other| (&one.path, &one.id, one.kind).cmp(&(&other.path, &other.id, other.kind)));
        found
    }

    /// How many files of `before` are gone with their DAGs, or have lost them all. One is only renamed if its content is at a new path, if
    /// a DAG of it still is anywhere, or if a new file has its name and perhaps a DAG. Where ids are not known, in what goes or in what
    /// comes, any new file may have the same DAGs. Each new file stands for one.
    pub(super) fn gone_since(&self, before: &Outline) -> usize {
        let moved = moved(before, self);
        let stayed: HashSet<&BStr> = moved.values().copied().collect();
        let ids: HashSet<&str> = self.files.values().flat_map(|file| &file.ids).map(String::as_str).collect();
        let mut new: HashMap<&BStr, Vec<&File>> = HashMap::new();
        for (path, file) in &self.files {
            let is_free = !before.files.contains_key(path) && !moved.contains_key(&BStr::new(path));
            if is_free && !file.is_idle {
                new.entry(name(path)).or_default().push(file);
            }
        }
        let mut is_gone = |(path, was): &(&BString, &File)| match self.files.get(*path) {
            Some(is) => is.is_idle && !was.is_idle,
            None if stayed.contains(&BStr::new(path)) => false,
            None => new.get_mut(name(path)).and_then(Vec::pop).is_none(),
        };
        let lost = before.files.iter().filter(|(_, was)| !was.ids.iter().any(|id| ids.contains(id.as_str())));
        let gone: Vec<(&BString, &File)> = lost.filter(|file| is_gone(file)).collect();
        let (open, known): (Vec<&File>, Vec<&File>) = new.values().flatten().partition(|file| file.is_open);
        let is_renamed = |(path, was): &&(&BString, &File)| was.is_open && !self.files.contains_key(*path);
        let renamed = gone.iter().filter(is_renamed).count().min(known.len());
        (gone.len() - renamed).saturating_sub(open.len())
    }

    /// For each file the modules that it imports, at whatever distance, and that `before` had not as they are.
    fn reasons(&self, before: &Outline) -> HashMap<&BStr, Vec<&BStr>> {
        let mut importers: HashMap<&BStr, Vec<&BStr>> = HashMap::new();
        for (from, to) in &self.imports {
            importers.entry(to.as_ref()).or_default().push(from.as_ref());
        }
        let changed =
            self.modules.iter().filter(|(path, content)| before.modules.get(*path) != Some(content));
        let mut open: VecDeque<(&BStr, &BStr)> =
            changed.map(|(path, _)| (path.as_ref(), path.as_ref())).collect();
        let mut reasons: HashMap<&BStr, Vec<&BStr>> = HashMap::new();
        while let Some((at, reason)) = open.pop_front() {
            for importer in importers.get(at).into_iter().flatten().copied() {
                let known = reasons.entry(importer).or_default();
                if importer != reason && known.len() < REASONS && !known.contains(&reason) {
                    known.push(reason);
                    open.push_back((importer, reason));
                }
            }
        }
        reasons
    }
}

/// Files of the same content under another path: where each was before. One that was there twice moved once.
fn moved<'a>(before: &'a Outline, now: &'a Outline) -> BTreeMap<&'a BStr, &'a BStr> {
    let mut gone: HashMap<Content, Vec<&BStr>> = HashMap::new();
    for (path, file) in before.files.iter().rev().filter(|(path, _)| !now.files.contains_key(*path)) {
        gone.entry(file.content).or_default().push(path.as_ref());
    }
    let new = now.files.iter().filter(|(path, _)| !before.files.contains_key(*path));
    new.filter_map(|(path, file)| Some((path.as_ref(), gone.get_mut(&file.content)?.pop()?))).collect()
}

struct Comparison<'a> {
    before: &'a Outline,
    now: &'a Outline,
    moved: BTreeMap<&'a BStr, &'a BStr>,
    reasons: HashMap<&'a BStr, Vec<&'a BStr>>,
}

impl<'a> Comparison<'a> {
    fn run(self) -> Vec<Change> {
        let (old, new) = (places(self.before), places(self.now));
        let ids: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
        let mut found = Vec::new();
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for id in ids {
            let none = BTreeSet::new();
            let (was, is) = (old.get(id).unwrap_or(&none), new.get(id).unwrap_or(&none));
            for path in was.intersection(is) {
                found.extend(self.change(Some(id), path, path));
            }
            let (mut gone, mut come): (Vec<&BStr>, Vec<&BStr>) =
                (was.difference(is).copied().collect(), is.difference(was).copied().collect());
            while !gone.is_empty() && !come.is_empty() {
                let path = come.remove(0);
                let at = gone.iter().position(|from| Some(from) == self.moved.get(path)).unwrap_or(0);
                found.extend(self.change(Some(id), path, gone.remove(at)));
            }
            added.extend(come.into_iter().map(|path| (path, id)));
            removed.extend(gone.into_iter().map(|path| (path, id)));
        }
        self.one_sided(added, removed, &mut found);
        self.without_ids(&mut found);
        found
    }

    /// Ids that one side has only: renamed in their file, hidden in a file that does not tell, or new and gone.
    fn one_sided(
        &self,
        mut added: Vec<(&'a BStr, &'a str)>,
        mut removed: Vec<(&'a BStr, &'a str)>,
        found: &mut Vec<Change>,
    ) {
        for (path, file) in &self.now.files {
            let path: &BStr = path.as_ref();
            let Some((from, was)) = self.predecessor(path) else { continue };
            let come: Vec<&str> = added.iter().filter(|(at, _)| *at == path).map(|(_, id)| *id).collect();
            let gone: Vec<&str> = removed.iter().filter(|(at, _)| *at == from).map(|(_, id)| *id).collect();
            match (&come[..], &gone[..]) {
                ([id], [from_id]) => {
                    let change = self.changed(Kind::Renamed, Some(id), path, from);
                    found.push(Change { from_id: Some((*from_id).to_owned()), ..change });
                }
                _ if was.is_open || file.is_open => {
                    let come = come.iter().filter(|_| was.is_open);
                    let gone = gone.iter().filter(|_| file.is_open);
                    found.extend(come.chain(gone).filter_map(|id| self.change(Some(id), path, from)));
                    added.retain(|(at, _)| *at != path || !was.is_open);
                    removed.retain(|(at, _)| *at != from || !file.is_open);
                    continue;
                }
                _ => continue,
            }
            added.retain(|(at, _)| *at != path);
            removed.retain(|(at, _)| *at != from);
        }
        for (kind, all) in [(Kind::Added, added), (Kind::Removed, removed)] {
            found.extend(all.into_iter().map(|(path, id)| Change::alone(kind, Some(id), path)));
        }
    }

    /// Files of which no id tells what happened.
    fn without_ids(&self, found: &mut Vec<Change>) {
        let told: BTreeSet<BString> = found
            .iter()
            .flat_map(|change| [Some(&change.path), change.from_path.as_ref()])
            .flatten()
            .cloned()
            .collect();
        for (path, file) in self.now.files.iter().filter(|(path, _)| !told.contains(*path)) {
            match self.predecessor(path.as_ref()) {
                Some((from, was)) if file.is_open || was.is_open => {
                    found.extend(self.change(None, path.as_ref(), from));
                }
                None if file.is_open => found.push(Change::alone(Kind::Added, None, path.as_ref())),
                _ => {}
            }
        }
        let stayed: BTreeSet<&BStr> = self.moved.values().copied().collect();
        for (path, file) in &self.before.files {
            let is_gone = !self.now.files.contains_key(path) && !stayed.contains(&BStr::new(path));
            if is_gone && file.is_open && !told.contains(path) {
                found.push(Change::alone(Kind::Removed, None, path.as_ref()));
            }
        }
    }

    /// The same file before.
    fn predecessor(&self, path: &'a BStr) -> Option<(&'a BStr, &'a File)> {
        let from = if self.before.files.contains_key(path) { path } else { self.moved.get(path)? };
        Some((from, &self.before.files[from]))
    }

    /// What happened to a DAG of `path` that was in `from`; `None` if nothing did.
    fn change(&self, id: Option<&str>, path: &'a BStr, from: &'a BStr) -> Option<Change> {
        let kind = if path == from { Kind::Changed } else { Kind::Moved };
        let change = self.changed(kind, id, path, from);
        (kind == Kind::Moved || change.is_edited || !change.imports.is_empty()).then_some(change)
    }

    fn changed(&self, kind: Kind, id: Option<&str>, path: &'a BStr, from: &'a BStr) -> Change {
        let imports = self.reasons.get(path).into_iter().flatten().map(|path| (*path).to_owned());
        Change {
            from_path: (path != from).then(|| from.to_owned()),
            is_edited: self.now.files[path].content != self.before.files[from].content,
            imports: imports.collect(),
            ..Change::alone(kind, id, path)
        }
    }
}

impl Change {
    fn alone(kind: Kind, id: Option<&str>, path: &BStr) -> Change {
        Change {
            kind,
            id: id.map(str::to_owned),
            path: path.to_owned(),
            from_id: None,
            from_path: None,
            is_edited: false,
            imports: Vec::new(),
        }
    }
}

/// The last part of a path.
fn name(path: &BString) -> &BStr {
    path.rsplit_str("/").next().unwrap_or_default().as_bstr()
}

/// Which files have an id.
fn places(outline: &Outline) -> BTreeMap<&str, BTreeSet<&BStr>> {
    let mut places: BTreeMap<&str, BTreeSet<&BStr>> = BTreeMap::new();
    for (path, file) in &outline.files {
        for id in &file.ids {
            places.entry(id).or_default().insert(path.as_ref());
        }
    }
    places
}

#[cfg(test)]
#[path = "difference_tests.rs"]
mod tests;
