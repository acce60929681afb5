//! Names and what they stand for, while branches are read of which only one is taken.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::scan::Scan;
use super::value::Value;

/// The names of a function that is being read, or of the module.
pub(super) struct Scope<'a> {
    names: HashMap<&'a str, Value<'a>>,
    /// Where its function was defined.
    parent: usize,
    number: usize,
    pub(super) globals: HashSet<&'a str>,
    pub(super) returned: Option<Value<'a>>,
}

/// What was assigned: the scope's index, the name, its value. Each name once.
pub(super) type Changes<'a> = Vec<(usize, &'a str, Value<'a>)>;

/// Where something began that is to be undone, or to be looked back on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    log: usize,
    passed: usize,
}

/// All names.
pub(super) struct Names<'a> {
    scan: Rc<Scan<'a>>,
    scopes: Vec<Scope<'a>>,
    numbered: usize,
    /// What was overwritten since the outermost branch began.
    log: Changes<'a>,
    branches: usize,
    /// Every value that a name was given since the outermost stretch began that may be left at any moment.
    passed: Changes<'a>,
    stretches: usize,
}

impl<'a> Names<'a> {
    pub(super) fn new(scan: Rc<Scan<'a>>) -> Names<'a> {
        let (log, passed) = (Vec::new(), Vec::new());
        let mut names =
            Names { scan, scopes: Vec::new(), numbered: 0, log, branches: 0, passed, stretches: 0 };
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
            globals: HashSet::new(),
            returned: None,
        });
    }

    pub(super) fn leave(&mut self) -> Option<Value<'a>> {
        self.scopes.pop().and_then(|scope| scope.returned)
    }

    /// Whether a name that is given a value now is one of the module.
    pub(super) fn is_of_module(&self, name: &str) -> bool {
        self.scopes.len() == 1 || self.scopes.last().is_some_and(|scope| scope.globals.contains(name))
    }

    /// The scope that is being read, for [`super::value::Function::home`].
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
        let at = if self.scopes[here].globals.contains(name) { 0 } else { here };
        let value = if self.scan.shared.contains(name) {
            // Whoever declares it elsewhere may have set it by the time that it is read.
            value.spoil();
            Value::Unknown
        } else {
            if value.has_items() && self.scan.captured.contains(name) {
                value.spoil();
            }
            value
        };
        self.put(at, name, value);
    }

    fn put(&mut self, at: usize, name: &'a str, value: Value<'a>) {
        if self.stretches > 0 {
            self.passed.push((at, name, value.clone()));
        }
        let old = self.scopes[at].names.insert(name, value).unwrap_or(Value::Unbound);
        if self.branches > 0 {
            self.log.push((at, name, old));
        }
    }

    /// What the names of the module stand for.
    pub(super) fn of_module(&self) -> impl Iterator<Item = &Value<'a>> {
        self.scopes[0].names.values()
    }

    /// Begins a branch, which may not be taken.
    pub(super) fn begin(&mut self) -> Mark {
        self.branches += 1;
        Mark { log: self.log.len(), passed: self.passed.len() }
    }

    /// Ends a branch: its names are as before again, and what it made of them is returned.
    pub(super) fn end(&mut self, mark: Mark) -> Changes<'a> {
        self.branches -= 1;
        let mut changes: Changes<'a> = Vec::new();
        let mut seen = HashSet::new();
        for (at, name, old) in self.log.drain(mark.log..).rev() {
            // A scope that has been left.
            if at >= self.scopes.len() {
                continue;
            }
            let now = self.scopes[at].names.insert(name, old).unwrap_or(Value::Unbound);
            if seen.insert((at, name)) {
                changes.push((at, name, now));
            }
        }
        changes
    }

    /// Begins a branch that may be left at any moment: by what is raised, by `break`.
    pub(super) fn begin_stretch(&mut self) -> Mark {
        self.stretches += 1;
        self.begin()
    }

    /// Ends such a branch: what it made of names by its end, and what they may be after any part of it.
    pub(super) fn end_stretch(&mut self, mark: Mark) -> (Changes<'a>, Changes<'a>) {
        let changes = self.end(mark);
        self.stretches -= 1;
        let mut any: Changes<'a> = Vec::new();
        let mut places: HashMap<(usize, &'a str), usize> = HashMap::new();
        for (at, name, value) in &self.passed[mark.passed..] {
            if *at >= self.scopes.len() {
                continue;
            }
            match places.get(&(*at, *name)) {
                Some(place) => {
                    let old = std::mem::replace(&mut any[*place].2, Value::Unknown);
                    any[*place].2 = old.or(value.clone());
                }
                None => {
                    places.insert((*at, *name), any.len());
                    any.push((*at, *name, value.clone()));
                }
            }
        }
        // For a stretch around this one that says the same, once a name.
        self.passed.truncate(mark.passed);
        if self.stretches > 0 {
            self.passed.extend(any.iter().cloned());
        }
        (changes, any)
    }

    /// After branches of which one was taken, or with `none` perhaps none.
    pub(super) fn join(&mut self, branches: Vec<Changes<'a>>, none: bool) {
        let count = branches.len();
        let mut joined: Vec<(usize, &'a str, Value<'a>, usize)> = Vec::new();
        let mut places: HashMap<(usize, &'a str), usize> = HashMap::new();
        for (at, name, value) in branches.into_iter().flatten() {
            match places.get(&(at, name)) {
                Some(place) => {
                    let (.., known, seen) = &mut joined[*place];
                    *known = std::mem::replace(known, Value::Unknown).or(value);
                    *seen += 1;
                }
                None => {
                    places.insert((at, name), joined.len());
                    joined.push((at, name, value, 1));
                }
            }
        }
        for (at, name, value, seen) in joined {
            let value = if none || seen < count {
                let old = self.scopes[at].names.get(name).cloned().unwrap_or(Value::Unbound);
                value.or(old)
            } else {
                value
            };
            self.put(at, name, value);
        }
    }
}
