//! Reads a file as Python would run it, without running it: statements.
//!
//! One pass in the order of execution. What is below a condition, in a loop, or in a `try` is read too, but nothing of it is
//! *sure*; a function is read where it is called. Where a value cannot be told it is unknown, and nothing is concluded from it.

use std::collections::HashSet;

use super::super::python::ast::{self, Expr, Stmt};
use super::draft::Draft;
use super::facts::{Bound, Call};
use super::place::Lines;
use super::value::{Changes, Kind, Names, Value};

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
const STEPS: u32 = 20_000;

pub(super) struct Reader<'a> {
    pub(super) lines: &'a Lines<'a>,
    pub(super) names: Names<'a>,
    pub(super) draft: Draft,
    pub(super) contexts: Vec<Context>,
    /// How many conditions we are below.
    pub(super) unsure: u32,
    /// Something may have changed any name: nothing is sure any more.
    pub(super) lost: bool,
    pub(super) calls: Vec<Call>,
    pub(super) more_dags: bool,
    pub(super) moves_path: bool,
    /// The functions that are being read.
    pub(super) active: Vec<*const ast::StmtFunctionDef>,
    pub(super) called: HashSet<*const ast::StmtFunctionDef>,
    steps: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lines: &'a Lines<'a>) -> Reader<'a> {
        Reader {
            lines,
            names: Names::new(),
            draft: Draft::default(),
            contexts: Vec::new(),
            unsure: 0,
            lost: false,
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
        self.draft.settle(self.names.of_module());
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
                let (before, slow, more) = (self.draft.dags.len(), self.calls.len(), self.more_dags);
                self.invoke(&function, None);
                self.calls.truncate(slow);
                self.more_dags = more;
                self.draft.dags[before..].iter_mut().for_each(|dag| dag.bound = Bound::Never);
            }
        }
        self.unsure -= 1;
    }

    pub(super) fn sure(&self) -> bool {
        self.unsure == 0 && !self.lost
    }

    /// Reads something that may not be run.
    pub(super) fn perhaps<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        self.unsure += 1;
        let result = read(self);
        self.unsure -= 1;
        result
    }

    pub(super) fn block(&mut self, body: &'a [Stmt]) -> Flow {
        let before = self.unsure;
        let mut flow = Flow::On;
        for statement in body {
            self.steps += 1;
            if self.steps > STEPS {
                self.more_dags = true;
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
                        Value::text(&format!("{old}{more}"))
                    }
                    _ => Value::Unknown,
                };
                self.bind(&assign.target, value);
            }
            Stmt::Import(import) => self.import(import),
            Stmt::ImportFrom(import) => self.import_from(import),
            Stmt::FunctionDef(def) => self.define(def),
            Stmt::ClassDef(class) => self.names.set(class.name.as_str(), Value::Unknown),
            Stmt::Return(statement) => {
                let value = statement.value.as_ref().map_or(Value::None, |value| self.eval(value));
                let scope = self.names.scope();
                scope.returned = Some(match scope.returned.take() {
                    None => value,
                    Some(other) => other.or(value),
                });
                return Flow::Left;
            }
            Stmt::Raise(_) | Stmt::Break(_) | Stmt::Continue(_) => return Flow::Left,
            Stmt::Delete(delete) => {
                for target in &delete.targets {
                    self.bind(target, Value::Unknown);
                }
            }
            Stmt::Global(global) => {
                let names = global.names.iter().map(|name| name.as_str());
                self.names.scope().globals.extend(names);
            }
            Stmt::Nonlocal(_) => self.lost = true,
            Stmt::With(with) => return self.with(with),
            Stmt::If(branch) => return self.branch(branch),
            Stmt::For(each) => {
                let items = self.eval(&each.iter);
                self.draft_loose(&items);
                return self.repeat(Some(&each.target), &each.body, &each.orelse);
            }
            Stmt::While(each) => {
                self.eval(&each.test);
                return self.repeat(None, &each.body, &each.orelse);
            }
            Stmt::Try(attempt) => return self.attempt(attempt),
            Stmt::Match(choice) => {
                self.eval(&choice.subject);
                let mut branches = Vec::new();
                let mut flow = Flow::On;
                for case in &choice.cases {
                    self.captured(&case.pattern);
                    let (changes, ended) = self.aside(&case.body);
                    branches.extend(changes);
                    flow = if ended == Flow::On { flow } else { Flow::Perhaps };
                }
                self.names.join(&branches, true);
                return flow;
            }
            Stmt::Assert(assert) => {
                self.eval(&assert.test);
            }
            _ => {}
        }
        Flow::On
    }

    /// A block that may not be run: what it changes, unless it never comes to its end.
    fn aside(&mut self, body: &'a [Stmt]) -> (Option<Changes<'a>>, Flow) {
        let mark = self.names.begin();
        let flow = self.perhaps(|reader| reader.block(body));
        let changes = self.names.end(mark);
        ((flow != Flow::Left).then_some(changes), flow)
    }

    fn branch(&mut self, branch: &'a ast::StmtIf) -> Flow {
        self.eval(&branch.test);
        // What no load of the file runs is not read.
        let never = is_typing(&branch.test) || is_main(&branch.test);
        if never
            && let [clause] = branch.elif_else_clauses.as_slice()
            && clause.test.is_none()
        {
            return self.block(&clause.body);
        }
        let mut branches = Vec::new();
        let mut flows = Vec::new();
        if !never {
            let (changes, flow) = self.aside(&branch.body);
            branches.extend(changes);
            flows.push(flow);
        }
        let mut otherwise = false;
        for clause in &branch.elif_else_clauses {
            if let Some(test) = &clause.test {
                self.perhaps(|reader| reader.eval(test));
            } else {
                otherwise = true;
            }
            let (changes, flow) = self.aside(&clause.body);
            branches.extend(changes);
            flows.push(flow);
        }
        self.names.join(&branches, !otherwise);
        // A `raise` in a branch fails the file: what follows matters only if it was not taken. A `return` does not.
        let leaves = |body: &[Stmt]| may_return(body);
        let any = leaves(&branch.body) || branch.elif_else_clauses.iter().any(|clause| leaves(&clause.body));
        if otherwise && !never && flows.iter().all(|flow| *flow == Flow::Left) {
            return Flow::Left;
        }
        if any { Flow::Perhaps } else { Flow::On }
    }

    fn repeat(&mut self, target: Option<&'a Expr>, body: &'a [Stmt], orelse: &'a [Stmt]) -> Flow {
        let mark = self.names.begin();
        self.perhaps(|reader| {
            if let Some(target) = target {
                reader.bind(target, Value::Unknown);
            }
            reader.block(body);
        });
        let mut changes = self.names.end(mark);
        // A name that a round changes has a value of some round.
        for (_, _, value) in &mut changes {
            if !matches!(value, Value::Symbol(_) | Value::Function(_)) {
                *value = Value::Unknown;
            }
        }
        self.names.join(&[changes], true);
        let (changes, _) = self.aside(orelse);
        self.names.join(&changes.into_iter().collect::<Vec<_>>(), true);
        if may_return(body) || may_return(orelse) { Flow::Perhaps } else { Flow::On }
    }

    fn attempt(&mut self, attempt: &'a ast::StmtTry) -> Flow {
        let mut flow = Flow::On;
        if attempt.handlers.is_empty() {
            flow = self.block(&attempt.body);
            if flow == Flow::On {
                flow = self.block(&attempt.orelse);
            }
        } else {
            let mut branches = Vec::new();
            let mark = self.names.begin();
            let tried = self.perhaps(|reader| {
                let flow = reader.block(&attempt.body);
                if flow == Flow::On { reader.block(&attempt.orelse) } else { flow }
            });
            let changes = self.names.end(mark);
            if tried != Flow::Left {
                branches.push(changes);
            }
            for ast::ExceptHandler::ExceptHandler(handler) in &attempt.handlers {
                let (changes, _) = self.aside(&handler.body);
                branches.extend(changes);
            }
            self.names.join(&branches, false);
            for ast::ExceptHandler::ExceptHandler(handler) in &attempt.handlers {
                if let Some(name) = &handler.name {
                    self.names.set(name.as_str(), Value::Unknown);
                }
            }
            let handled = |handler: &ast::ExceptHandler| {
                let ast::ExceptHandler::ExceptHandler(handler) = handler;
                may_return(&handler.body)
            };
            if may_return(&attempt.body)
                || may_return(&attempt.orelse)
                || attempt.handlers.iter().any(handled)
            {
                flow = Flow::Perhaps;
            }
        }
        match self.block(&attempt.finalbody) {
            Flow::On => flow,
            other => other,
        }
    }

    fn with(&mut self, with: &'a ast::StmtWith) -> Flow {
        let (depth, before) = (self.contexts.len(), self.unsure);
        for item in &with.items {
            let value = self.eval(&item.context_expr);
            match value {
                Value::Dag(dag) => {
                    self.draft.enter(dag);
                    self.contexts.push(Context { dag: Some(dag), group: None });
                }
                Value::Group(group) => {
                    let dag = self.draft.groups[group].dag;
                    self.contexts.push(Context { dag, group: Some(group) });
                }
                // It may swallow what is raised below.
                _ => self.unsure += 1,
            }
            if let Some(target) = &item.optional_vars {
                let bound =
                    if matches!(value, Value::Dag(_) | Value::Group(_)) { value } else { Value::Unknown };
                self.bind(target, bound);
            }
        }
        let flow = self.block(&with.body);
        self.contexts.truncate(depth);
        let swallowed = self.unsure > before;
        self.unsure = before;
        if swallowed && flow == Flow::Left { Flow::Perhaps } else { flow }
    }
}

fn is_typing(test: &Expr) -> bool {
    match test {
        Expr::Name(name) => name.id.as_str() == "TYPE_CHECKING",
        Expr::Attribute(attribute) => attribute.attr.as_str() == "TYPE_CHECKING",
        _ => false,
    }
}

/// `__name__ == "__main__"`: Airflow loads files under names of its own.
fn is_main(test: &Expr) -> bool {
    let Expr::Compare(compare) = test else { return false };
    let name = matches!(&*compare.left, Expr::Name(name) if name.id.as_str() == "__name__");
    let main =
        matches!(&*compare.comparators, [Expr::StringLiteral(text)] if text.value.to_str() == "__main__");
    name && main && matches!(&*compare.ops, [ast::CmpOp::Eq])
}

/// Whether a block may be left by `return`, `break` or `continue`, so that what follows it is not run although nothing failed.
fn may_return(body: &[Stmt]) -> bool {
    fn leaves(statement: &Stmt, in_loop: bool) -> bool {
        let any = |body: &[Stmt], in_loop: bool| body.iter().any(|statement| leaves(statement, in_loop));
        match statement {
            Stmt::Return(_) => true,
            Stmt::Break(_) | Stmt::Continue(_) => !in_loop,
            Stmt::If(branch) => {
                any(&branch.body, in_loop)
                    || branch.elif_else_clauses.iter().any(|clause| any(&clause.body, in_loop))
            }
            Stmt::For(each) => any(&each.body, true) || any(&each.orelse, in_loop),
            Stmt::While(each) => any(&each.body, true) || any(&each.orelse, in_loop),
            Stmt::With(with) => any(&with.body, in_loop),
            Stmt::Match(choice) => choice.cases.iter().any(|case| any(&case.body, in_loop)),
            Stmt::Try(attempt) => {
                let handled = |handler: &ast::ExceptHandler| {
                    let ast::ExceptHandler::ExceptHandler(handler) = handler;
                    any(&handler.body, in_loop)
                };
                any(&attempt.body, in_loop)
                    || attempt.handlers.iter().any(handled)
                    || any(&attempt.orelse, in_loop)
                    || any(&attempt.finalbody, in_loop)
            }
            _ => false,
        }
    }
    body.iter().any(|statement| leaves(statement, false))
}
