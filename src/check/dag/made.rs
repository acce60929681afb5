//! Reads a file as Python would run it: DAGs, tasks and groups that a call makes.

use std::rc::Rc;

use super::call::Given;
use super::facts::{Bound, Dag, Group, Id, Task};
use super::place::Place;
use super::reader::Reader;
use super::value::{Partial, Value};

impl<'a> Reader<'a> {
    pub(super) fn make_dag(&mut self, given: &Given<'a>, place: Place) -> Value<'a> {
        let id = given.either("dag_id", 0).map_or(Id::Dynamic, Value::id);
        let dag = Dag {
            id,
            place,
            sure: self.sure(),
            decorated: false,
            bound: Bound::Never,
            arguments: given.arguments(),
            open: given.open,
            tasks: Vec::new(),
            groups: Vec::new(),
            edges: Vec::new(),
            opaque: false,
        };
        Value::Dag(self.draft.dag(dag))
    }

    /// The DAG and the group that something belongs to, and whether that is sure.
    fn home(&mut self, given: &Given<'a>, group_name: &str) -> (Option<usize>, Option<usize>, bool) {
        let context = self.contexts.last();
        // Defaults may say what the task belongs to.
        let defaults = match given.get("default_args") {
            None | Some(Value::None) => true,
            Some(value) => value.table().is_some_and(|table| {
                table
                    .iter()
                    .all(|(name, ..)| !matches!(&**name, "dag" | "task_group" | "task_id" | "group_id"))
            }),
        };
        let mut sure = !given.open && defaults;
        let mut dag = context.and_then(|context| context.dag);
        let mut group = context.and_then(|context| context.group);
        match given.get("dag") {
            Some(Value::Dag(other)) => {
                if dag != Some(*other) {
                    // The current group is that of the context, whatever DAG it is of.
                    sure &= group.is_none();
                    group = None;
                }
                dag = Some(*other);
            }
            None | Some(Value::None) => {}
            Some(_) => (dag, group, sure) = (None, None, false),
        }
        match given.get(group_name) {
            Some(Value::Group(other)) => {
                group = Some(*other);
                dag = dag.or(self.draft.groups[*other].dag);
            }
            None => {}
            Some(_) => sure = false,
        }
        if !sure {
            // It may be in any of them.
            self.draft.blur_all();
        }
        (dag, group, sure)
    }

    pub(super) fn make_task(
        &mut self,
        class: &str,
        given: &Given<'a>,
        place: Place,
        ours: bool,
    ) -> Value<'a> {
        let (dag, group, sure) = self.home(given, "task_group");
        let label = given.get("task_id").map_or(Id::Dynamic, Value::id);
        let task = Task {
            id: Id::Dynamic,
            label,
            place,
            class: class.to_owned(),
            decorated: false,
            sure: sure && ours && self.sure(),
            order: 0,
            arguments: given.arguments(),
        };
        if !ours {
            given.values().for_each(Value::spoil);
            self.unfollowed();
        }
        let task = self.draft.task(dag, group, task);
        // What another task gives is waited for, if it is in a field that is a template: which, the class knows.
        let mut first = Vec::new();
        given.values().for_each(|value| value.each(&mut |value| first.extend(task_of(value))));
        for other in first {
            self.draft.edge(other, task, place, false);
        }
        Value::Task(task)
    }

    pub(super) fn partial(&mut self, class: &str, given: &Given<'a>, place: Place) -> Value<'a> {
        let (dag, group, sure) = self.home(given, "task_group");
        let label = given.get("task_id").map_or(Id::Dynamic, Value::id);
        let arguments = given.arguments();
        let sure = sure && self.sure();
        Value::Partial(Rc::new(Partial { class: class.into(), label, place, arguments, sure, dag, group }))
    }

    pub(super) fn make_group(&mut self, given: &Given<'a>, place: Place) -> Value<'a> {
        let (dag, parent, sure) = self.home(given, "parent_group");
        let prefix = match given.either("prefix_group_id", usize::MAX) {
            None if !given.open && given.positional.len() <= 1 => Some(true),
            Some(Value::Bool(value)) => Some(*value),
            _ => None,
        };
        let group = Group {
            id: Id::Dynamic,
            label: given.either("group_id", 0).map_or(Id::Dynamic, Value::id),
            place,
            renamed: given.get("add_suffix_on_collision").is_some(),
            sure: sure && self.sure(),
            order: 0,
        };
        Value::Group(self.draft.group(dag, parent, prefix, group))
    }
}

pub(super) fn task_of(value: &Value<'_>) -> Option<usize> {
    match value {
        Value::Task(task) => Some(*task),
        _ => None,
    }
}
