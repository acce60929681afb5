//! What a name stands for while a file is read, without running it.

use std::collections::HashMap;
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
    List(Rc<Vec<Value<'a>>>),
    Dict(Rc<Vec<(Rc<str>, Place, Value<'a>)>>),
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

    /// A list, unless there is too much in it.
    pub(super) fn list(items: Vec<Value<'a>>) -> Value<'a> {
        Value::List(Rc::new(items)).bounded()
    }

    /// A dict with texts as keys, unless there is too much in it.
    pub(super) fn dict(items: Vec<(Rc<str>, Place, Value<'a>)>) -> Value<'a> {
        Value::Dict(Rc::new(items)).bounded()
    }

    fn bounded(self) -> Value<'a> {
        let mut left = LARGEST;
        if self.weighs(&mut left) { self } else { Value::Unknown }
    }

    /// Whether no more is in it than is left. What is shared counts each time: it is walked each time.
    fn weighs(&self, left: &mut usize) -> bool {
        let Some(less) = left.checked_sub(1) else { return false };
        *left = less;
        match self {
            Value::List(items) => items.iter().all(|item| item.weighs(left)),
            Value::Dict(items) => items.iter().all(|(_, _, item)| item.weighs(left)),
            _ => true,
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
            Value::List(items) => Known::List(items.iter().map(Value::known).collect()),
            Value::Dict(items) => Known::Dict(
                items.iter().map(|(key, place, value)| (key.to_string(), *place, value.known())).collect(),
            ),
            Value::Moving(name) => Known::Moving(name.to_string()),
            _ => Known::Other,
        }
    }

    /// Calls `found` for each value in it, itself included.
    pub(super) fn each(&self, found: &mut impl FnMut(&Value<'a>)) {
        found(self);
        match self {
            Value::List(items) => items.iter().for_each(|item| item.each(found)),
            Value::Dict(items) => items.iter().for_each(|(_, _, item)| item.each(found)),
            _ => {}
        }
    }

    /// What it is if it is either of two.
    pub(super) fn or(self, other: Value<'a>) -> Value<'a> {
        match (self, other) {
            // Without a value, whoever uses the name fails all the same.
            (value, Value::Unbound) | (Value::Unbound, value) => value,
            (one, other) if one == other => one,
            // One class under the names of two releases.
            (Value::Symbol(one), Value::Symbol(other)) if last(&one) == last(&other) => {
                Value::Symbol(if symbols::is_known(&other) { other } else { one })
            }
            _ => Value::Unknown,
        }
    }
}

/// The last part of a dotted name.
pub(super) fn last(symbol: &str) -> &str {
    symbol.rsplit('.').next().unwrap_or(symbol)
}

/// The names of a function that is being read, or of the module.
pub(super) struct Scope<'a> {
    names: HashMap<&'a str, Value<'a>>,
    /// Where its function was defined.
    parent: usize,
    number: usize,
    pub(super) globals: Vec<&'a str>,
    pub(super) returned: Option<Value<'a>>,
}

/// What was assigned in a branch: the scope's index, the name, its value at the end.
pub(super) type Changes<'a> = Vec<(usize, &'a str, Value<'a>)>;

/// All names.
pub(super) struct Names<'a> {
    scopes: Vec<Scope<'a>>,
    numbered: usize,
    /// What was overwritten since the outermost branch began.
    log: Vec<(usize, &'a str, Value<'a>)>,
    branches: usize,
}

impl<'a> Names<'a> {
    pub(super) fn new() -> Names<'a> {
        let mut names = Names { scopes: Vec::new(), numbered: 0, log: Vec::new(), branches: 0 };
        names.enter(0);
        names
    }

    /// A scope of its own for a function that was defined in `parent`.
    pub(super) fn enter(&mut self, parent: usize) {
        self.numbered += 1;
        self.scopes.push(Scope {
            names: HashMap::new(),
            parent,
            number: self.numbered,
            globals: Vec::new(),
            returned: None,
        });
    }

    pub(super) fn leave(&mut self) -> Option<Value<'a>> {
        self.scopes.pop().and_then(|scope| scope.returned)
    }

    pub(super) fn in_module(&self) -> bool {
        self.scopes.len() == 1
    }

    /// The scope that is being read, for [`Function::home`].
    pub(super) fn here(&self) -> (usize, usize) {
        let at = self.scopes.len() - 1;
        (at, self.scopes[at].number)
    }

    pub(super) fn is_alive(&self, home: (usize, usize)) -> bool {
        self.scopes.get(home.0).is_some_and(|scope| scope.number == home.1)
    }

    pub(super) fn scope(&mut self) -> &mut Scope<'a> {
        let at = self.scopes.len() - 1;
        &mut self.scopes[at]
    }

    pub(super) fn get(&self, name: &str) -> Value<'a> {
        let mut at = self.scopes.len() - 1;
        loop {
            if let Some(value) = self.scopes[at].names.get(name) {
                return value.clone();
            }
            if at == 0 {
                return Value::Unbound;
            }
            at = self.scopes[at].parent;
        }
    }

    pub(super) fn set(&mut self, name: &'a str, value: Value<'a>) {
        let here = self.scopes.len() - 1;
        let at = if self.scopes[here].globals.contains(&name) { 0 } else { here };
        self.put(at, name, value);
    }

    fn put(&mut self, at: usize, name: &'a str, value: Value<'a>) {
        let old = self.scopes[at].names.insert(name, value).unwrap_or(Value::Unbound);
        if self.branches > 0 {
            self.log.push((at, name, old));
        }
    }

    /// The names of the module and what they stand for.
    pub(super) fn of_module(&self) -> impl Iterator<Item = &Value<'a>> {
        self.scopes[0].names.values()
    }

    pub(super) fn begin(&mut self) -> usize {
        self.branches += 1;
        self.log.len()
    }

    /// Ends a branch: its names are as before again, and what it made of them is returned.
    pub(super) fn end(&mut self, mark: usize) -> Changes<'a> {
        self.branches -= 1;
        let mut changes: Changes<'a> = Vec::new();
        for (at, name, old) in self.log.split_off(mark).into_iter().rev() {
            // A scope that has been left.
            if at >= self.scopes.len() {
                continue;
            }
            let now = self.scopes[at].names.insert(name, old).unwrap_or(Value::Unbound);
            if !changes.iter().any(|(other, known, _)| *other == at && *known == name) {
                changes.push((at, name, now));
            }
        }
        changes
    }

    /// After branches of which one was taken, or with `none` perhaps none.
    pub(super) fn join(&mut self, branches: &[Changes<'a>], none: bool) {
        let mut seen: Vec<(usize, &'a str)> = Vec::new();
        for (at, name, _) in branches.iter().flatten() {
            if seen.contains(&(*at, *name)) {
                continue;
            }
            seen.push((*at, *name));
            let old = self.scopes[*at].names.get(name).cloned().unwrap_or(Value::Unbound);
            let value = |changes: &Changes<'a>| {
                let found = changes.iter().find(|(other, known, _)| other == at && known == name);
                found.map_or_else(|| old.clone(), |(_, _, value)| value.clone())
            };
            let joined = branches.iter().map(value).reduce(Value::or).unwrap_or(Value::Unknown);
            let joined = if none { joined.or(old.clone()) } else { joined };
            self.put(*at, name, joined);
        }
    }
}
