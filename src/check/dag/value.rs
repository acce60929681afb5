//! What a name stands for while a file is read, without running it.

use std::cell::Cell;
use std::rc::Rc;

use super::super::python::ast::StmtFunctionDef;
use super::facts::{Argument, Id, Known};
use super::place::Place;
use super::symbols;

/// What is known of a value.
#[derive(Clone, PartialEq)]
pub(super) enum Value<'a> {
    Unknown,
    /// The name has no value, or it is one of Python's own.
    Unbound,
    Text(Rc<str>),
    Number(i64),
    Bool(bool),
    None,
    List(Rc<Items<'a>>),
    Dict(Rc<Table<'a>>),
    /// Something imported, by its dotted name.
    Symbol(Rc<str>),
    /// What a function like `now` gives.
    Moving(Rc<str>),
    Dag(usize),
    Task(usize),
    Group(usize),
    Function(Rc<Function<'a>>),
    /// `Operator.partial(…)`.
    Partial(Rc<Partial>),
}

/// What of several values is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    List,
    Tuple,
    /// Its items have no order.
    Set,
}

/// A list, a tuple or a set. Every name and every other container that has it has the same one.
pub(super) struct Items<'a> {
    pub(super) shape: Shape,
    /// It may have changed since it was made, and everything in it.
    spoilt: Cell<bool>,
    items: Vec<Value<'a>>,
}

impl PartialEq for Items<'_> {
    fn eq(&self, other: &Self) -> bool {
        // Two lists that look alike are two: one may change without the other.
        std::ptr::eq(self, other)
            || (self.shape == Shape::Tuple && other.shape == Shape::Tuple && self.items == other.items)
    }
}

/// A dict with texts as keys, shared as a list is.
pub(super) struct Table<'a> {
    spoilt: Cell<bool>,
    items: Vec<(Rc<str>, Place, Value<'a>)>,
}

impl PartialEq for Table<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

/// A function of the file.
#[derive(Clone)]
pub(super) struct Function<'a> {
    pub(super) def: &'a StmtFunctionDef,
    pub(super) kind: Kind,
    /// The scope in which it is defined: its index and its number.
    pub(super) home: (usize, usize),
}

impl PartialEq for Function<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.def, other.def) && self.kind == other.kind
    }
}

/// What a function's decorator makes of it.
#[derive(Clone, PartialEq)]
pub(super) enum Kind {
    Plain,
    Dag(Rc<Decoration>),
    Task(Rc<Decoration>),
    Group(Rc<Decoration>),
}

/// What is said in a decorator.
#[derive(Clone, PartialEq)]
pub(super) struct Decoration {
    pub(super) symbol: Rc<str>,
    /// The id that is given, if one is.
    pub(super) id: Option<Id>,
    pub(super) arguments: Vec<Argument>,
    pub(super) open: bool,
    /// `prefix_group_id=False`; `None` if that is not known.
    pub(super) prefix: Option<bool>,
}

/// An operator that waits for what it is mapped over.
#[derive(Clone, PartialEq)]
pub(super) struct Partial {
    pub(super) class: Rc<str>,
    pub(super) label: Id,
    pub(super) place: Place,
    pub(super) arguments: Vec<Argument>,
    pub(super) sure: bool,
    pub(super) dag: Option<usize>,
    pub(super) group: Option<usize>,
}

/// More text, or more items in all, are a bomb (`x = x + x`), or at least nothing that says anything.
const LARGEST: usize = 2_000;

impl<'a> Value<'a> {
    pub(super) fn text(text: &str) -> Value<'a> {
        if text.len() > LARGEST { Value::Unknown } else { Value::Text(text.into()) }
    }

    /// A list, tuple or set, unless there is too much in it.
    pub(super) fn items_of(shape: Shape, items: Vec<Value<'a>>) -> Value<'a> {
        Value::List(Rc::new(Items { shape, spoilt: Cell::new(false), items })).bounded()
    }

    /// A dict with texts as keys, unless there is too much in it.
    pub(super) fn dict(items: Vec<(Rc<str>, Place, Value<'a>)>) -> Value<'a> {
        Value::Dict(Rc::new(Table { spoilt: Cell::new(false), items })).bounded()
    }

    fn bounded(self) -> Value<'a> {
        let mut left = LARGEST;
        if self.weighs(&mut left) {
            return self;
        }
        self.spoil();
        Value::Unknown
    }

    /// Whether no more is in it than is left. What is shared counts each time: it is walked each time.
    fn weighs(&self, left: &mut usize) -> bool {
        let Some(less) = left.checked_sub(1) else { return false };
        *left = less;
        match self {
            Value::List(list) => list.items.iter().all(|item| item.weighs(left)),
            Value::Dict(table) => table.items.iter().all(|(_, _, item)| item.weighs(left)),
            _ => true,
        }
    }

    /// Bytes that it takes, without what its items share with others.
    pub(super) fn size(&self) -> usize {
        match self {
            Value::Text(text) | Value::Symbol(text) => text.len(),
            Value::List(list) => size_of_val(list.items.as_slice()),
            Value::Dict(table) => size_of_val(table.items.as_slice()),
            _ => 0,
        }
    }

    pub(super) fn has_items(&self) -> bool {
        matches!(self, Value::List(_) | Value::Dict(_))
    }

    /// Whether it is no more than people write down by hand.
    pub(super) fn is_small(&self) -> bool {
        self.weighs(&mut 100)
    }

    /// What is in a list, tuple or set, if it is surely what was written.
    pub(super) fn items(&self) -> Option<&[Value<'a>]> {
        match self {
            Value::List(list) if !list.spoilt.get() || list.shape == Shape::Tuple => Some(&list.items),
            _ => None,
        }
    }

    /// The same, in its order.
    pub(super) fn sequence(&self) -> Option<&[Value<'a>]> {
        match self {
            Value::List(list) if list.shape != Shape::Set => self.items(),
            _ => None,
        }
    }

    /// What is in a dict, if it is surely what was written.
    pub(super) fn table(&self) -> Option<&[(Rc<str>, Place, Value<'a>)]> {
        match self {
            Value::Dict(table) if !table.spoilt.get() => Some(&table.items),
            _ => None,
        }
    }

    /// Somebody who is not followed has it: from here on it may be another one, and everything in it.
    pub(super) fn spoil(&self) {
        match self {
            Value::List(list) if !list.spoilt.replace(true) => list.items.iter().for_each(Value::spoil),
            Value::Dict(table) if !table.spoilt.replace(true) => {
                table.items.iter().for_each(|(_, _, item)| item.spoil());
            }
            _ => {}
        }
    }

    /// Somebody who is not followed has what is in it, but not itself.
    pub(super) fn spoil_items(&self) {
        match self {
            Value::List(list) => list.items.iter().for_each(Value::spoil),
            Value::Dict(table) => table.items.iter().for_each(|(_, _, item)| item.spoil()),
            _ => {}
        }
    }

    pub(super) fn id(&self) -> Id {
        match self {
            Value::Text(text) => Id::Known(text.to_string()),
            _ => Id::Dynamic,
        }
    }

    pub(super) fn known(&self) -> Known {
        match self {
            Value::Text(text) => Known::Text(text.to_string()),
            Value::None => Known::None,
            Value::Bool(value) => Known::Bool(*value),
            Value::Moving(name) => Known::Moving(name.to_string()),
            Value::List(_) => match self.items() {
                Some(items) => Known::List(items.iter().map(Value::known).collect()),
                None => Known::Other,
            },
            Value::Dict(_) => match self.table() {
                Some(table) => {
                    let item = |(key, place, value): &(Rc<str>, Place, Value<'a>)| {
                        (key.to_string(), *place, value.known())
                    };
                    Known::Dict(table.iter().map(item).collect())
                }
                None => Known::Other,
            },
            _ => Known::Other,
        }
    }

    /// Calls `found` for each value in it, itself included.
    pub(super) fn each(&self, found: &mut impl FnMut(&Value<'a>)) {
        found(self);
        match self {
            Value::List(list) => list.items.iter().for_each(|item| item.each(found)),
            Value::Dict(table) => table.items.iter().for_each(|(_, _, item)| item.each(found)),
            _ => {}
        }
    }

    /// What it is if it is either of two.
    pub(super) fn or(self, other: Value<'a>) -> Value<'a> {
        match (self, other) {
            // Without a value, whoever uses the name fails all the same.
            (value, Value::Unbound) | (Value::Unbound, value) => value,
            (one, other) if one == other => one,
            // One class of Airflow under the names of two releases. A name of somebody else's may be anything.
            (Value::Symbol(one), Value::Symbol(other))
                if last(&one) == last(&other) && symbols::is_known(&one) && symbols::is_known(&other) =>
            {
                Value::Symbol(other)
            }
            (one, other) => {
                // What is changed by this name from here on is one of them.
                one.spoil();
                other.spoil();
                Value::Unknown
            }
        }
    }
}

/// The last part of a dotted name.
pub(super) fn last(symbol: &str) -> &str {
    symbol.rsplit('.').next().unwrap_or(symbol)
}
