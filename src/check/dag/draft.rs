//! DAGs, tasks and dependencies while a file is read.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::facts::{Argument, Bound, Dag, Edge, Group, Id, Known, Task};
use super::place::Place;
use super::value::Value;

/// More dependencies than this are not followed.
const EDGES: usize = 50_000;

/// Beyond so many looks at tasks and dependencies the ends of groups are not known.
const LOOKS: usize = 2_000_000;

/// So many bytes of values, ids and arguments are held of a file: a megabyte of Python can make thousands of them out of one long
/// text. Beyond that nothing is known.
const ROOM: usize = 16 << 20;

/// A task that may not have a DAG yet.
pub(super) struct TaskDraft {
    pub(super) dag: Option<usize>,
    pub(super) group: Option<usize>,
    pub(super) task: Task,
}

/// A group of tasks.
pub(super) struct GroupDraft {
    pub(super) dag: Option<usize>,
    pub(super) parent: Option<usize>,
    /// Whether it puts its id before those of its children; `None` if that is not known.
    pub(super) prefix: Option<bool>,
    pub(super) group: Group,
}

/// All that was made so far.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) dags: Vec<Dag>,
    pub(super) tasks: Vec<TaskDraft>,
    pub(super) groups: Vec<GroupDraft>,
    edges: Vec<(usize, usize, Place, bool)>,
    /// For each DAG how many tasks and groups it has.
    counts: Vec<usize>,
    /// The ids that are used in a DAG, with it.
    used: HashSet<(usize, String)>,
    /// The highest number at the end of the ids of a name, `name__3`.
    highest: HashMap<(usize, String), u32>,
    /// The DAGs that have been a module's global.
    kept: Vec<usize>,
    /// The DAGs that somebody may have changed.
    handed: HashSet<usize>,
    /// The DAGs of which somebody may have taken dependencies away.
    rewired: HashSet<usize>,
    /// There may be tasks that are not known in all DAGs before this one.
    blurred: usize,
    /// How many tasks and edges were looked at to find the ends of groups.
    looked: usize,
    /// Bytes, of [`ROOM`].
    held: usize,
}

impl Draft {
    /// Whether there is room for so many more bytes, which are held then.
    pub(super) fn hold(&mut self, bytes: usize) -> bool {
        self.held = self.held.saturating_add(bytes);
        self.held <= ROOM
    }

    /// Whether there was no room for something: from there on nothing is sure.
    pub(super) fn is_full(&self) -> bool {
        self.held > ROOM
    }

    pub(super) fn dag(&mut self, mut dag: Dag) -> usize {
        if !self.hold(size_of::<Dag>() + length(&dag.id) + weight(&dag.arguments)) {
            (dag.id, dag.sure, dag.open, dag.opaque) = (Id::Dynamic, false, true, true);
            empty(&mut dag.arguments);
        }
        self.dags.push(dag);
        self.counts.push(0);
        self.dags.len() - 1
    }

    /// A DAG's `with` block begins, which registers it unless it is told not to.
    pub(super) fn enter(&mut self, dag: usize, sure: bool) {
        let dag = &mut self.dags[dag];
        let named = dag.arguments.iter().find(|argument| argument.name.as_deref() == Some("auto_register"));
        dag.bound =
            dag.bound.max(if sure && named.is_none() && !dag.open { Bound::With } else { Bound::Perhaps });
    }

    /// Something keeps all DAGs of a value.
    pub(super) fn keep(&mut self, value: &Value<'_>, bound: Bound) {
        // Airflow looks at the module's names, not into what they hold; a list may be read by something else.
        if let (Value::Dag(dag), Bound::Global) = (value, bound) {
            self.dags[*dag].bound = self.dags[*dag].bound.max(Bound::Global);
            self.kept.push(*dag);
            return;
        }
        value.each(&mut |value| {
            if let Value::Dag(dag) = value {
                self.dags[*dag].bound = self.dags[*dag].bound.max(Bound::Perhaps);
            }
        });
    }

    /// At the file's end: a global that is surely another DAG by now has not kept the first one.
    ///
    /// With `lost` names any of them may be another one; `tampered` means that any DAG may be.
    pub(super) fn settle<'v, 'a: 'v>(
        &mut self,
        names: impl Iterator<Item = &'v Value<'a>>,
        lost: bool,
        tampered: bool,
    ) {
        let mut held = HashSet::new();
        let mut unknown = lost;
        for value in names {
            match value {
                Value::Dag(dag) => drop(held.insert(*dag)),
                Value::Unknown => unknown = true,
                _ => {}
            }
        }
        for (at, dag) in self.dags.iter_mut().enumerate() {
            if tampered || self.handed.contains(&at) || (lost && dag.bound == Bound::Global) {
                dag.bound = dag.bound.min(Bound::Perhaps);
            }
        }
        for dag in std::mem::take(&mut self.kept) {
            let lost = !held.contains(&dag) && self.dags[dag].bound == Bound::Global;
            if lost {
                let sure = self.dags[dag].sure && !unknown;
                self.dags[dag].bound = if sure { Bound::Never } else { Bound::Perhaps };
            }
        }
    }

    /// There may be tasks or dependencies in it that are not known.
    pub(super) fn blur(&mut self, dag: Option<usize>) {
        if let Some(dag) = dag {
            self.dags[dag].opaque = true;
        }
    }

    /// The same of every DAG that there is.
    pub(super) fn blur_all(&mut self) {
        self.blurred = self.dags.len();
    }

    fn is_opaque(&self, dag: usize) -> bool {
        dag < self.blurred || self.dags[dag].opaque
    }

    /// Somebody has it who may change its id or its schedule.
    pub(super) fn hand_out(&mut self, dag: usize) {
        self.handed.insert(dag);
        self.dags[dag].bound = self.dags[dag].bound.max(Bound::Perhaps);
    }

    /// Somebody has a task of it who may do anything with what it waits for.
    pub(super) fn rewire(&mut self, dag: usize) {
        self.rewired.insert(dag);
    }

    /// What a group puts before an id.
    fn prefixed(&self, group: Option<usize>, label: &Id) -> Id {
        let Some(group) = group else { return label.clone() };
        let group = &self.groups[group];
        match (group.prefix, &group.group.id, label) {
            (Some(false), ..) => label.clone(),
            (Some(true), Id::Known(group), Id::Known(label)) => Id::Known(format!("{group}.{label}")),
            _ => Id::Dynamic,
        }
    }

    /// The id that Airflow gives when it makes one unique by itself.
    fn unique(&self, dag: usize, id: Id) -> Id {
        let Id::Known(id) = id else { return Id::Dynamic };
        // A task that is not known may have it already: then this one is never the second that is refused.
        if !self.used.contains(&(dag, id.clone())) {
            return Id::Known(id);
        }
        if self.is_opaque(dag) {
            return Id::Dynamic;
        }
        let base = match id.rsplit_once("__") {
            Some((base, digits))
                if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                base
            }
            _ => &id,
        };
        let most = self.highest.get(&(dag, base.to_owned())).copied().unwrap_or(0);
        Id::Known(format!("{base}__{}", most.saturating_add(1)))
    }

    /// A task; its id and order are filled in here.
    pub(super) fn task(&mut self, dag: Option<usize>, group: Option<usize>, mut task: Task) -> usize {
        task.id = self.prefixed(group, &task.label);
        // The id also stands among those that are used.
        let bytes = length(&task.label) + 3 * length(&task.id) + weight(&task.arguments);
        if !self.hold(size_of::<TaskDraft>() + bytes) {
            (task.id, task.label, task.sure) = (Id::Dynamic, Id::Dynamic, false);
            empty(&mut task.arguments);
        }
        if let Some(dag) = dag {
            if task.decorated {
                task.id = self.unique(dag, task.id);
            }
            if task.id == Id::Dynamic || !task.sure {
                self.blur(Some(dag));
            }
            task.order = self.claim(dag, &task.id);
        } else {
            task.sure = false;
        }
        self.tasks.push(TaskDraft { dag, group, task });
        self.tasks.len() - 1
    }

    fn claim(&mut self, dag: usize, id: &Id) -> usize {
        if let Id::Known(id) = id {
            if let Some((base, number)) = numbered(id) {
                let highest = self.highest.entry((dag, base.to_owned())).or_default();
                *highest = number.max(*highest);
            }
            self.used.insert((dag, id.clone()));
        }
        self.counts[dag] += 1;
        self.counts[dag] - 1
    }

    /// A group; its id and order are filled in here.
    pub(super) fn group(
        &mut self,
        dag: Option<usize>,
        parent: Option<usize>,
        prefix: Option<bool>,
        mut group: Group,
    ) -> usize {
        // A group in a group without a prefix has none either.
        group.id = self.prefixed(parent, &group.label);
        if !self.hold(size_of::<GroupDraft>() + length(&group.label) + 3 * length(&group.id)) {
            (group.id, group.label, group.sure) = (Id::Dynamic, Id::Dynamic, false);
        }
        if let Some(dag) = dag {
            if group.renamed {
                group.id = self.unique(dag, group.id);
            }
            if group.id == Id::Dynamic || !group.sure {
                self.blur(Some(dag));
            }
            group.order = self.claim(dag, &group.id);
        } else {
            group.sure = false;
        }
        self.groups.push(GroupDraft { dag, parent, prefix, group });
        self.groups.len() - 1
    }

    /// Whether so many more dependencies are still followed.
    pub(super) fn has_room(&self, more: usize) -> bool {
        self.edges.len().saturating_add(more) <= EDGES
    }

    /// One task waits for another.
    pub(super) fn edge(&mut self, from: usize, to: usize, place: Place, sure: bool) {
        match (self.tasks[from].dag, self.tasks[to].dag) {
            // Airflow gives a task without a DAG that of the other. Its place among the ids is not known then.
            (Some(dag), None) => self.tasks[to].dag = Some(dag),
            (None, Some(dag)) => self.tasks[from].dag = Some(dag),
            _ => {}
        }
        let both = self.tasks[from].task.sure && self.tasks[to].task.sure;
        self.edges.push((from, to, place, sure && both));
    }

    /// The tasks of a group that nothing in it waits for, or that wait for nothing in it; `None` if that is not sure.
    pub(super) fn ends(&mut self, group: usize, last: bool) -> Option<Vec<usize>> {
        let dag = self.groups[group].dag?;
        self.looked += self.tasks.len() + self.edges.len();
        if self.looked > LOOKS || self.is_opaque(dag) || !self.groups[group].group.sure {
            return None;
        }
        let members: BTreeSet<usize> =
            (0..self.tasks.len()).filter(|task| self.is_in(*task, group)).collect();
        if members.is_empty() || members.iter().any(|task| !self.tasks[*task].task.sure) {
            return None;
        }
        let mut ends = members.clone();
        for (from, to, ..) in &self.edges {
            if members.contains(from) && members.contains(to) {
                ends.remove(if last { from } else { to });
            }
        }
        Some(ends.into_iter().collect())
    }

    fn is_in(&self, task: usize, group: usize) -> bool {
        let mut at = self.tasks[task].group;
        while let Some(here) = at {
            if here == group {
                return true;
            }
            at = self.groups[here].parent;
        }
        false
    }

    /// The DAGs as facts.
    pub(super) fn finish(mut self) -> Vec<Dag> {
        let blurred = self.blurred.min(self.dags.len());
        self.dags[..blurred].iter_mut().for_each(|dag| dag.opaque = true);
        let mut indices: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for (at, draft) in self.tasks.into_iter().enumerate() {
            let Some(dag) = draft.dag else { continue };
            indices.insert(at, (dag, self.dags[dag].tasks.len()));
            self.dags[dag].tasks.push(draft.task);
        }
        for draft in self.groups {
            if let Some(dag) = draft.dag {
                self.dags[dag].groups.push(draft.group);
            }
        }
        for (from, to, place, sure) in self.edges {
            let (Some((dag, from)), Some((other, to))) = (indices.get(&from), indices.get(&to)) else {
                continue;
            };
            if dag == other {
                let sure = sure && !self.rewired.contains(dag);
                self.dags[*dag].edges.push(Edge { from: *from, to: *to, place, sure });
            }
        }
        self.dags
    }
}

fn length(id: &Id) -> usize {
    id.known().map_or(0, str::len)
}

/// The bytes of arguments.
fn weight(arguments: &[Argument]) -> usize {
    fn of(value: &Known) -> usize {
        let inside = match value {
            Known::Text(text) | Known::Moving(text) => text.len(),
            Known::List(items) => items.iter().map(of).sum(),
            Known::Dict(items) => {
                items.iter().map(|(key, place, item)| key.len() + size_of_val(place) + of(item)).sum()
            }
            Known::None | Known::Bool(_) | Known::Other => 0,
        };
        size_of::<Known>() + inside
    }
    arguments.iter().map(|argument| size_of::<Argument>() + of(&argument.value)).sum()
}

fn empty(arguments: &mut [Argument]) {
    arguments.iter_mut().for_each(|argument| argument.value = Known::Other);
}

/// `name__3` as the name and the number.
fn numbered(id: &str) -> Option<(&str, u32)> {
    let (base, digits) = id.rsplit_once("__")?;
    let number = digits.bytes().all(|byte| byte.is_ascii_digit());
    if number { Some((base, digits.parse().ok()?)) } else { None }
}
