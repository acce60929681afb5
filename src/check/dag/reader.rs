//! Reads a file as Python would run it, without running it: statements.
//!
//! One pass in the order of execution. What is below a condition, in a loop, or in a `try` is read too, but nothing of it is
//! *sure*; a function is read where it is called. Where a value cannot be told it is unknown, and nothing is concluded from it.

use std::collections::HashSet;
use std::rc::Rc;

use super::super::python::ast::{self, Stmt};
use super::draft::Draft;
use super::facts::{Bound, Call};
use super::names::Names;
use super::place::Lines;
use super::scan::{Change, Scan};
use super::value::{Kind, Value};

/// How a block ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    On,
    /// It may have been left on the way.
    Perhaps,
    Left,
}

/// What a task or DAG that is made now belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    pub(super) dag: Option<usize>,
    pub(super) group: Option<usize>,
}

/// More statements than this are a generator's work; what follows is not read.
const STEPS: u32 = 50_000;

pub(super) struct Reader<'a> {
    pub(super) lines: &'a Lines<'a>,
    pub(super) names: Names<'a>,
    pub(super) draft: Draft,
    pub(super) contexts: Vec<Context>,
    /// How many conditions we are below.
    pub(super) unsure: u32,
    pub(super) scan: Rc<Scan<'a>>,
    /// Something may have changed any name: nothing is sure any more.
    pub(super) lost: bool,
    /// Something may have changed any DAG, made before or after it.
    pub(super) tampered: bool,
    /// A `raise` or `assert` may end the file, for a reason that its author has.
    pub(super) may_end: bool,
    /// How many `try` we are in that catch whatever is raised, or handle what was.
    pub(super) caught: u32,
    /// Somebody who is not followed may call functions of the file.
    pub(super) leaked: bool,
    pub(super) calls: Vec<Call>,
    pub(super) more_dags: bool,
    pub(super) moves_path: bool,
    /// The functions that are being read.
    pub(super) active: Vec<*const ast::StmtFunctionDef>,
    pub(super) called: HashSet<*const ast::StmtFunctionDef>,
    steps: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lines: &'a Lines<'a>, body: &'a [Stmt]) -> Reader<'a> {
        let scan = Rc::new(Scan::of(body));
        Reader {
            lines,
            names: Names::new(Rc::clone(&scan)),
            scan,
            draft: Draft::default(),
            contexts: Vec::new(),
            unsure: 0,
            lost: false,
            tampered: false,
            may_end: false,
            caught: 0,
            leaked: false,
            calls: Vec::new(),
            more_dags: false,
            moves_path: false,
            active: Vec::new(),
            called: HashSet::new(),
            steps: 0,
        }
    }

    /// The whole file.
    pub(super) fn module(&mut self, body: &'a [Stmt]) {
        self.block(body);
        self.draft.settle(self.names.of_module(), self.lost, self.tampered);
        let bounds: Vec<Bound> = self.draft.dags.iter().map(|dag| dag.bound).collect();
        // Functions that nothing calls: what they would make is worth knowing, and is made by nobody.
        self.unsure += 1;
        for statement in body {
            if let Stmt::FunctionDef(def) = statement {
                if self.called.contains(&std::ptr::from_ref(def)) {
                    continue;
                }
                let Value::Function(function) = self.names.get(def.name.as_str()) else { continue };
                if !std::ptr::eq(function.def, def) || matches!(function.kind, Kind::Task(_) | Kind::Group(_))
                {
                    continue;
                }
                let (before, slow) = (self.draft.dags.len(), self.calls.len());
                let (more, may_end) = (self.more_dags, self.may_end);
                self.invoke(&function, None);
                self.calls.truncate(slow);
                (self.more_dags, self.may_end) = (more, may_end);
                self.draft.dags[before..].iter_mut().for_each(|dag| dag.bound = Bound::Never);
                for (dag, bound) in self.draft.dags.iter_mut().zip(&bounds) {
                    dag.bound = *bound;
                }
            }
        }
        self.unsure -= 1;
    }

    pub(super) fn sure(&self) -> bool {
        self.unsure == 0 && !self.lost
    }

    /// From here on nothing is sure: something may have changed any name, or even any DAG.
    pub(super) fn lose(&mut self, change: Change) {
        self.lost |= change >= Change::Names;
        self.more_dags |= change >= Change::Names;
        self.tampered |= change == Change::Objects;
    }

    /// A value that was made: one that may take more than its text does in the file. Without room it is not known.
    pub(super) fn made(&mut self, value: Value<'a>) -> Value<'a> {
        if self.draft.hold(value.size()) {
            return value;
        }
        self.draft_loose(&value);
        Value::Unknown
    }

    pub(super) fn block(&mut self, body: &'a [Stmt]) -> Flow {
        let before = self.unsure;
        let mut flow = Flow::On;
        for statement in body {
            self.steps += 1;
            if self.steps > STEPS || self.draft.is_full() {
                self.lose(Change::Objects);
                flow = Flow::Perhaps;
                break;
            }
            match self.statement(statement) {
                Flow::On => {}
                Flow::Perhaps => {
                    flow = Flow::Perhaps;
                    self.unsure += 1;
                }
                Flow::Left => {
                    let certain = self.unsure == before;
                    self.unsure = before;
                    return if certain { Flow::Left } else { Flow::Perhaps };
                }
            }
        }
        self.unsure = before;
        flow
    }

    fn statement(&mut self, statement: &'a Stmt) -> Flow {
        match statement {
            Stmt::Expr(statement) => {
                let value = self.eval(&statement.value);
                drop(value);
            }
            Stmt::Assign(assign) => {
                let value = self.eval(&assign.value);
                for target in &assign.targets {
                    self.bind(target, value.clone());
                }
            }
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    let value = self.eval(value);
                    self.bind(&assign.target, value);
                }
            }
            Stmt::AugAssign(assign) => {
                let (old, more) = (self.eval(&assign.target), self.eval(&assign.value));
                let value = match (old, more, assign.op) {
                    (Value::Text(old), Value::Text(more), ast::Operator::Add) => {
                        self.made(Value::text(&format!("{old}{more}")))
                    }
                    (old, more, _) => {
                        // A list is changed in its place, under all of its names.
                        self.draft_loose(&old);
                        self.draft_loose(&more);
                        Value::Unknown
                    }
                };
                self.bind(&assign.target, value);
            }
            Stmt::Import(import) => self.import(import),
            Stmt::ImportFrom(import) => self.import_from(import),
            Stmt::FunctionDef(def) => self.define(def),
            Stmt::ClassDef(class) => self.class(class),
            Stmt::TypeAlias(alias) => self.bind(&alias.name, Value::Unknown),
            Stmt::Return(statement) => {
                let value = statement.value.as_ref().map_or(Value::None, |value| self.eval(value));
                self.returns(value);
                return Flow::Left;
            }
            Stmt::Raise(raise) => {
                for value in [&raise.exc, &raise.cause].into_iter().flatten() {
                    self.eval(value);
                }
                self.ends();
                return Flow::Left;
            }
            Stmt::Break(_) | Stmt::Continue(_) => return Flow::Left,
            Stmt::Delete(delete) => {
                for target in &delete.targets {
                    self.bind(target, Value::Unknown);
                }
            }
            Stmt::Global(global) => {
                let names = global.names.iter().map(|name| name.as_str());
                self.names.scope().globals.extend(names);
            }
            Stmt::With(with) => return self.with(with),
            Stmt::If(branch) => return self.branch(branch),
            Stmt::For(each) => {
                let items = self.eval(&each.iter);
                self.draft_items(&items);
                return self.repeat(Some(&each.target), &each.body, &each.orelse);
            }
            Stmt::While(each) => return self.endless(each),
            Stmt::Try(attempt) => return self.attempt(attempt),
            Stmt::Match(choice) => return self.cases(choice),
            Stmt::Assert(assert) => {
                self.eval(&assert.test);
                if let Some(message) = &assert.msg {
                    self.maybe(message);
                }
                self.ends();
            }
            _ => {}
        }
        Flow::On
    }

    /// Here the file may end, unless somebody catches that.
    fn ends(&mut self) {
        self.may_end |= self.caught == 0;
    }

    /// What a function gives, on one of its ways.
    pub(super) fn returns(&mut self, value: Value<'a>) {
        match self.names.scope().returned.take() {
            None => self.names.scope().returned = Some(value),
            Some(other) => {
                let either = other.clone().or(value.clone());
                if either == Value::Unknown {
                    self.draft_loose(&other);
                    self.draft_loose(&value);
                }
                self.names.scope().returned = Some(either);
            }
        }
    }
}
