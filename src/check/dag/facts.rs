//! What a Python file says that has to do with DAGs: plain data, without the file's path and without the target.
//!
//! Facts of two files with the same bytes are equal, so they can be kept by the blob's content.

use super::super::python::ast::ModModule;
use super::imports;
use super::place::{Lines, Place};
use super::reader::Reader;

/// An id, or any text that a file may compute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Id {
    /// Written down, or put together from what is written down.
    Known(String),
    /// Not to be told without running the file.
    Dynamic,
}

impl Id {
    /// The text, if it is known.
    pub fn known(&self) -> Option<&str> {
        match self {
            Id::Known(text) => Some(text),
            Id::Dynamic => None,
        }
    }
}

/// A value of an argument, as far as it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// A text.
    Text(String),
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A list, tuple or set.
    List(Vec<Known>),
    /// The values of a dict that has only texts as keys, with their places.
    Dict(Vec<(String, Place, Known)>),
    /// What such a function gives: another value at each call.
    Moving(String),
    /// Anything else.
    Other,
}

/// An argument of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// `None` if it is given by its position.
    pub name: Option<String>,
    /// Where it is.
    pub place: Place,
    /// What is given.
    pub value: Known,
}

/// Where a DAG is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// Nowhere: Airflow does not find it.
    Never,
    /// Handed to something that may keep it.
    Perhaps,
    /// In a name of the module.
    Global,
    /// By its `with` block, or by calling what `@dag` made.
    With,
}

/// A DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dag {
    /// Its id.
    pub id: Id,
    /// Where it is made.
    pub place: Place,
    /// Whether it is surely made whenever the file is loaded, and once.
    pub sure: bool,
    /// By the decorator `@dag`.
    pub decorated: bool,
    /// Where it is kept.
    pub bound: Bound,
    /// What is said of it, but its id if that has a place of its own.
    pub arguments: Vec<Argument>,
    /// Whether there may be more arguments (`**more`).
    pub open: bool,
    /// Its tasks, in the order in which they are made.
    pub tasks: Vec<Task>,
    /// Its groups of tasks.
    pub groups: Vec<Group>,
    /// Which task comes before which, as indices of its tasks.
    pub edges: Vec<Edge>,
    /// Whether there may be tasks or edges that are not known.
    pub opaque: bool,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// With the groups that it is in.
    pub id: Id,
    /// The last part of it, as it is written.
    pub label: Id,
    /// Where it is made.
    pub place: Place,
    /// The dotted name of the operator's class, or of the decorator.
    pub class: String,
    /// By a decorator: Airflow makes such an id unique by itself.
    pub decorated: bool,
    /// Whether it is surely made, once, in this DAG.
    pub sure: bool,
    /// How many tasks and groups of the DAG were made before.
    pub order: usize,
    /// What is given to an operator.
    pub arguments: Vec<Argument>,
}

/// A group of tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// With the groups that it is in.
    pub id: Id,
    /// The last part of it, as it is written.
    pub label: Id,
    /// Where it is made.
    pub place: Place,
    /// Airflow makes its id unique by itself.
    pub renamed: bool,
    /// Whether it is surely made, once, in this DAG.
    pub sure: bool,
    /// How many tasks and groups of the DAG were made before.
    pub order: usize,
}

/// A dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The task that comes first.
    pub from: usize,
    /// The task that waits for it.
    pub to: usize,
    /// Where it is said.
    pub place: Place,
    /// Whether it surely is.
    pub sure: bool,
}

/// Why an import may not matter although it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Guard {
    /// Nothing: it runs whenever the file is loaded, and its failure is the file's.
    None,
    /// In a `try` that catches what it may raise, or in what runs only after such a failure.
    Caught,
    /// Below `if TYPE_CHECKING`.
    Typing,
    /// Below another condition, or in a loop.
    Condition,
    /// In a function.
    Function,
}

/// An import: one name of one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Where.
    pub place: Place,
    /// The dots before the module's name.
    pub level: u32,
    /// The module, without dots before it; empty in `from . import name`.
    pub module: String,
    /// What is taken out of it: `None` for `import module`, `*` for everything.
    pub name: Option<String>,
    /// Why its failure may not matter.
    pub guard: Guard,
}

/// A call while the file is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The dotted name of what is called.
    pub name: String,
    /// Where.
    pub place: Place,
}

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The DAGs, in the order in which they are made.
    pub dags: Vec<Dag>,
    /// What is imported, in the file's order.
    pub imports: Vec<Import>,
    /// Slow or remote calls while the file is loaded.
    pub calls: Vec<Call>,
    /// Whether there may be DAGs that are not in [`Facts::dags`].
    pub more_dags: bool,
    /// Whether a `raise` or `assert` may end the file on purpose: then it has no DAG at all.
    pub may_end: bool,
    /// Whether the file changes where modules are looked for.
    pub moves_path: bool,
}

impl Facts {
    /// Reads a file's tree. `source` is the text that it was parsed from.
    pub fn of(module: &ModModule, source: &str) -> Facts {
        let lines = Lines::of(source);
        let mut reader = Reader::new(&lines, &module.body);
        reader.module(&module.body);
        let mut imports = imports::imports(&module.body, &lines);
        let Reader { draft, mut calls, more_dags, may_end, moves_path, scan, .. } = reader;
        if scan.modules {
            // A file that makes modules by itself may find any of them.
            imports.iter_mut().for_each(|import| import.guard = import.guard.max(Guard::Condition));
        }
        calls.sort_by_key(|call| call.place);
        calls.dedup();
        Facts { dags: draft.finish(), imports, calls, more_dags, may_end, moves_path }
    }
}
