//! Reads a file as Python would run it: statements that are run perhaps, again, or in part.

use super::super::python::Ranged;
use super::super::python::ast::{self, Expr, Stmt};
use super::names::Changes;
use super::reader::{Context, Flow, Reader};
use super::value::Value;

impl<'a> Reader<'a> {
    /// Reads something that may not be run.
    pub(super) fn perhaps<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        self.unsure += 1;
        let result = read(self);
        self.unsure -= 1;
        result
    }

    /// An expression that may not be run: names that it gives a value have it perhaps.
    pub(super) fn maybe(&mut self, expression: &'a Expr) -> Value<'a> {
        let mark = self.names.begin();
        let value = self.perhaps(|reader| reader.eval(expression));
        let changes = self.names.end(mark);
        self.names.join(vec![changes], true);
        value
    }

    /// A block that may not be run: what it changes, unless it never comes to its end.
    pub(super) fn aside(&mut self, body: &'a [Stmt]) -> (Option<Changes<'a>>, Flow) {
        let mark = self.names.begin();
        let flow = self.perhaps(|reader| reader.block(body));
        let changes = self.names.end(mark);
        ((flow != Flow::Left).then_some(changes), flow)
    }

    pub(super) fn branch(&mut self, branch: &'a ast::StmtIf) -> Flow {
        let test = self.eval(&branch.test);
        // What no load of the file runs is not read.
        let never = is_typing(&test) || self.is_main(&branch.test);
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
                self.maybe(test);
            } else {
                otherwise = true;
            }
            let (changes, flow) = self.aside(&clause.body);
            branches.extend(changes);
            flows.push(flow);
        }
        self.names.join(branches, !otherwise);
        // A `raise` in a branch fails the file: what follows matters only if it was not taken. A `return` does not.
        let leaves = |body: &[Stmt]| may_return(body);
        let any = leaves(&branch.body) || branch.elif_else_clauses.iter().any(|clause| leaves(&clause.body));
        if otherwise && !never && flows.iter().all(|flow| *flow == Flow::Left) {
            return Flow::Left;
        }
        if any { Flow::Perhaps } else { Flow::On }
    }

    /// `__name__ == "__main__"`: Airflow loads files under names of its own.
    fn is_main(&self, test: &Expr) -> bool {
        let Expr::Compare(compare) = test else { return false };
        let name = matches!(&*compare.left, Expr::Name(name) if name.id.as_str() == "__name__");
        let main =
            matches!(&*compare.comparators, [Expr::StringLiteral(text)] if text.value.to_str() == "__main__");
        let equal = matches!(&*compare.ops, [ast::CmpOp::Eq]);
        name && main && equal && self.names.get("__name__") == Value::Unbound
    }

    pub(super) fn cases(&mut self, choice: &'a ast::StmtMatch) -> Flow {
        let subject = self.eval(&choice.subject);
        self.draft_loose(&subject);
        let mut branches = Vec::new();
        let mut flow = Flow::On;
        for case in &choice.cases {
            self.captured(&case.pattern);
            if let Some(guard) = &case.guard {
                self.maybe(guard);
            }
            let (changes, ended) = self.aside(&case.body);
            branches.extend(changes);
            flow = if ended == Flow::On { flow } else { Flow::Perhaps };
        }
        self.names.join(branches, true);
        flow
    }

    pub(super) fn repeat(&mut self, target: Option<&'a Expr>, body: &'a [Stmt], orelse: &'a [Stmt]) -> Flow {
        let mark = self.names.begin_stretch();
        self.perhaps(|reader| {
            if let Some(target) = target {
                reader.bind(target, Value::Unknown);
            }
            reader.block(body);
        });
        // A name that a round changes has a value of some round.
        let (_, mut any) = self.names.end_stretch(mark);
        for (_, _, value) in &mut any {
            if !matches!(value, Value::Symbol(_) | Value::Function(_)) {
                value.spoil();
                *value = Value::Unknown;
            }
        }
        self.names.join(vec![any], true);
        let (changes, _) = self.aside(orelse);
        self.names.join(changes.into_iter().collect(), true);
        if may_return(body) || may_return(orelse) { Flow::Perhaps } else { Flow::On }
    }

    /// `while True` is left by `break` only, or by what leaves more than it.
    pub(super) fn endless(&mut self, each: &'a ast::StmtWhile) -> Flow {
        self.maybe(&each.test);
        let flow = self.repeat(None, &each.body, &each.orelse);
        let endless = match &*each.test {
            Expr::BooleanLiteral(test) => test.value,
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => true,
            _ => false,
        };
        if endless { Flow::Perhaps } else { flow }
    }

    pub(super) fn attempt(&mut self, attempt: &'a ast::StmtTry) -> Flow {
        // `return`, `break` and `continue` in `finally` swallow what was raised.
        let swallows = may_return(&attempt.finalbody);
        let mut flow = Flow::On;
        if attempt.handlers.is_empty() && !swallows {
            flow = self.block(&attempt.body);
            if flow == Flow::On {
                flow = self.block(&attempt.orelse);
            }
        } else {
            let mut branches = Vec::new();
            let mark = self.names.begin_stretch();
            let all = u32::from(attempt.handlers.iter().any(catches_all));
            let tried = self.perhaps(|reader| {
                reader.caught += all;
                let flow = reader.block(&attempt.body);
                reader.caught -= all;
                if flow == Flow::On { reader.block(&attempt.orelse) } else { flow }
            });
            let (changes, any) = self.names.end_stretch(mark);
            for handler in &attempt.handlers {
                // It begins after any part of what was tried.
                let mark = self.names.begin();
                self.names.join(vec![any.clone()], true);
                let ended = self.perhaps(|reader| reader.handler(handler));
                let changes = self.names.end(mark);
                branches.extend((ended != Flow::Left).then_some(changes));
            }
            if swallows {
                branches.push(any);
            }
            if tried != Flow::Left {
                branches.push(changes);
            }
            self.names.join(branches, swallows);
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

    fn handler(&mut self, handler: &'a ast::ExceptHandler) -> Flow {
        let ast::ExceptHandler::ExceptHandler(handler) = handler;
        if let Some(kind) = &handler.type_ {
            self.eval(kind);
        }
        if let Some(name) = &handler.name {
            self.names.set(name.as_str(), Value::Unknown);
        }
        // What is raised here was raised before: without the `try` the file would end as well.
        self.caught += 1;
        let flow = self.block(&handler.body);
        self.caught -= 1;
        if let Some(name) = &handler.name {
            self.names.set(name.as_str(), Value::Unknown);
        }
        flow
    }

    pub(super) fn with(&mut self, with: &'a ast::StmtWith) -> Flow {
        let (depth, before) = (self.contexts.len(), self.unsure);
        // Whoever may swallow what is raised below.
        let mut stretch = None;
        for item in &with.items {
            let value = self.eval(&item.context_expr);
            let context = self.contexts.last().copied();
            match value {
                Value::Dag(dag) => {
                    // A group stays the current one, though its DAG is not.
                    self.unsure += u32::from(context.is_some_and(|context| context.group.is_some()));
                    let sure = self.sure();
                    self.draft.enter(dag, sure);
                    self.contexts.push(Context { dag: Some(dag), group: None });
                }
                Value::Group(group) => {
                    let dag = self.draft.groups[group].dag;
                    // A task takes its group from the context, and its DAG too: not one from the other.
                    let other = context.and_then(|context| context.dag) != dag;
                    self.unsure += u32::from(other);
                    self.contexts.push(Context { dag, group: Some(group) });
                }
                _ => {
                    self.draft_loose(&value);
                    self.unsure += 1;
                    stretch = stretch.or_else(|| Some(self.names.begin_stretch()));
                }
            }
            if let Some(target) = &item.optional_vars {
                let bound =
                    if matches!(value, Value::Dag(_) | Value::Group(_)) { value } else { Value::Unknown };
                self.bind(target, bound);
            }
        }
        let flow = self.block(&with.body);
        self.contexts.truncate(depth);
        self.unsure = before;
        let Some(mark) = stretch else { return flow };
        let (changes, any) = self.names.end_stretch(mark);
        let whole = (flow != Flow::Left).then_some(changes);
        self.names.join(whole.into_iter().chain([any]).collect(), true);
        match flow {
            Flow::On if may_return(&with.body) => Flow::Perhaps,
            Flow::Left => Flow::Perhaps,
            other => other,
        }
    }

    /// Something beside the ordinary order of things: what it may change.
    pub(super) fn beside(&mut self, node: &impl Ranged) {
        let change = self.scan.at(node);
        self.lose(change);
    }
}

fn is_typing(test: &Value<'_>) -> bool {
    matches!(test, Value::Symbol(symbol) if matches!(&**symbol, "typing.TYPE_CHECKING" | "typing_extensions.TYPE_CHECKING"))
}

/// Whether a handler takes whatever a file raises on purpose.
fn catches_all(handler: &ast::ExceptHandler) -> bool {
    let ast::ExceptHandler::ExceptHandler(handler) = handler;
    match handler.type_.as_deref() {
        None => true,
        Some(Expr::Name(name)) => matches!(name.id.as_str(), "Exception" | "BaseException"),
        Some(_) => false,
    }
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
