//! The walk over statements: what CPython's symbol table and compiler refuse in a tree that its grammar lets through.

use std::collections::HashSet;

use ruff_python_ast::{self as ast, Expr, PythonVersion, Stmt};
use ruff_text_size::TextRange;

use super::future::Future;
use super::levels::Levels;
use super::scope::{self, Kind, Scopes};
use super::{KEPT, Words};

/// So many names are compared with each other: less work than to sum them up, and hardly any function or call has more.
pub(super) const FEW: usize = 16;

/// A block that CPython counts, and unwinds on `break`, `continue` and `return`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    Loop,
    GroupHandler,
    Other,
}

/// One pass over a tree.
pub(super) struct Walk<'a> {
    pub(super) minor: u8,
    pub(super) source: &'a str,
    pub(super) scopes: Scopes<'a>,
    pub(super) found: Vec<(TextRange, String)>,
    /// Of the current function, class body or module.
    pub(super) blocks: Vec<Block>,
    pub(super) future: Future,
    /// False in annotations that CPython looks at but does not compile.
    pub(super) compiled: bool,
    pub(super) levels: Levels,
    /// It was told that the tree is too deep.
    pub(super) too_deep: bool,
}

/// All that is wrong in a tree without syntax errors.
pub(super) fn check(
    tree: &ast::ModModule,
    source: &str,
    minor: u8,
    words: Words,
) -> Vec<(TextRange, String)> {
    let mut walk = Walk {
        minor,
        source,
        scopes: Scopes::new(words.declares, words.extends, minor),
        found: Vec::new(),
        blocks: Vec::new(),
        future: Future::of(&tree.body, minor),
        compiled: true,
        levels: Levels::default(),
        too_deep: false,
    };
    walk.body(&tree.body);
    let unbound = walk.scopes.unbound();
    walk.found.extend(unbound);
    walk.found
}

impl<'a> Walk<'a> {
    pub(super) fn wrong(&mut self, range: TextRange, message: impl Into<String>) {
        // One in every line of a large file would take more than its tree.
        if self.found.len() < KEPT {
            self.found.push((range, message.into()));
        }
    }

    pub(super) fn noted(&mut self, range: TextRange, result: Result<(), String>) {
        if let Err(message) = result {
            self.wrong(range, message);
        }
    }

    pub(super) fn version(&self) -> PythonVersion {
        PythonVersion { major: 3, minor: self.minor }
    }

    pub(super) fn body(&mut self, body: &'a [Stmt]) {
        for statement in body {
            self.statement(statement);
        }
    }

    /// A body in a block that counts.
    fn block(&mut self, blocks: &[Block], range: TextRange, body: &'a [Stmt]) {
        self.enter(blocks, range);
        self.body(body);
        self.blocks.truncate(self.blocks.len() - blocks.len());
    }

    fn enter(&mut self, blocks: &[Block], range: TextRange) {
        // CPython's CO_MAXBLOCKS.
        let most = if self.minor >= 13 { 21 } else { 20 };
        if self.blocks.len() <= most && self.blocks.len() + blocks.len() > most {
            self.wrong(range, "too many statically nested blocks");
        }
        self.blocks.extend_from_slice(blocks);
    }

    /// The body of a function or class, which counts its blocks anew.
    fn unit(&mut self, body: &'a [Stmt]) {
        let outer = std::mem::take(&mut self.blocks);
        self.body(body);
        self.blocks = outer;
    }

    /// A name is bound: by an assignment, an import, a definition…
    pub(super) fn bind(&mut self, name: &'a ast::Identifier) {
        self.bind_name(name.as_str(), name.range);
    }

    pub(super) fn bind_name(&mut self, name: &'a str, range: TextRange) {
        self.debug(name, range);
        let noted = self.scopes.note(name, scope::BOUND);
        self.noted(range, noted);
    }

    pub(super) fn debug(&mut self, name: &str, range: TextRange) {
        if name == "__debug__" {
            self.wrong(range, "cannot assign to __debug__");
        }
    }

    fn statement(&mut self, statement: &'a Stmt) {
        let around = self.descend_to_statement();
        match statement {
            Stmt::FunctionDef(function) => self.function(function),
            Stmt::ClassDef(class) => self.class(class),
            Stmt::Return(result) => self.returns(result),
            Stmt::Delete(delete) => delete.targets.iter().for_each(|target| self.expression(target)),
            Stmt::TypeAlias(alias) => self.alias(alias),
            Stmt::Assign(assign) => {
                self.expression(&assign.value);
                for target in &assign.targets {
                    self.target(target);
                }
            }
            Stmt::AugAssign(assign) => {
                match &*assign.target {
                    // Since 3.9 CPython does not look at the attribute's name here.
                    Expr::Attribute(attribute) if self.minor >= 9 => self.expression(&attribute.value),
                    target => self.expression(target),
                }
                self.expression(&assign.value);
            }
            Stmt::AnnAssign(assign) => self.annotated(assign),
            Stmt::For(each) => {
                if each.is_async {
                    self.only_async(each.range, "'async for' outside async function");
                }
                self.target(&each.target);
                self.expression(&each.iter);
                self.block(&[Block::Loop], each.range, &each.body);
                self.body(&each.orelse);
            }
            Stmt::While(whilst) => {
                self.expression(&whilst.test);
                self.block(&[Block::Loop], whilst.range, &whilst.body);
                self.body(&whilst.orelse);
            }
            Stmt::If(branch) => {
                self.expression(&branch.test);
                self.body(&branch.body);
                for clause in &branch.elif_else_clauses {
                    if clause.test.is_some() {
                        self.descend_to_elif(clause.range);
                    }
                    clause.test.iter().for_each(|test| self.expression(test));
                    self.body(&clause.body);
                }
            }
            Stmt::With(with) => {
                if with.is_async {
                    self.only_async(with.range, "'async with' outside async function");
                }
                for item in &with.items {
                    self.expression(&item.context_expr);
                    // One block for each: the next item is within it.
                    self.enter(&[Block::Other], item.range);
                    item.optional_vars.iter().for_each(|target| self.target(target));
                }
                self.body(&with.body);
                self.blocks.truncate(self.blocks.len() - with.items.len());
            }
            Stmt::Match(matching) => self.matches(statement, matching),
            Stmt::Raise(raise) => {
                raise.exc.iter().chain(&raise.cause).for_each(|part| self.expression(part));
            }
            Stmt::Try(attempt) => self.attempt(attempt),
            Stmt::Assert(assert) => {
                self.expression(&assert.test);
                assert.msg.iter().for_each(|message| self.expression(message));
            }
            Stmt::Import(import) => {
                if import.is_lazy {
                    self.lazy(import.range);
                }
                self.imported(&import.names);
            }
            Stmt::ImportFrom(import) => self.import_from(import),
            Stmt::Global(declared) => self.declared(&declared.names, true, declared.range),
            Stmt::Nonlocal(declared) => self.declared(&declared.names, false, declared.range),
            Stmt::Expr(expression) => self.expression(&expression.value),
            Stmt::Break(range) => self.jump(range.range, "'break' outside loop"),
            Stmt::Continue(range) => self.jump(range.range, "'continue' not properly in loop"),
            Stmt::Pass(_) | Stmt::IpyEscapeCommand(_) => {}
        }
        self.levels = around;
    }

    fn function(&mut self, function: &'a ast::StmtFunctionDef) {
        function.decorator_list.iter().for_each(|decorator| self.expression(&decorator.expression));
        self.defaults(&function.parameters);
        self.bind(&function.name);
        self.type_parameters(function.type_params.as_deref(), None);
        for parameter in &function.parameters {
            parameter.annotation().into_iter().for_each(|annotation| self.annotation(annotation));
        }
        function.returns.iter().for_each(|annotation| self.annotation(annotation));
        self.scopes.enter(Kind::Function { is_async: function.is_async }, None);
        self.parameters(&function.parameters);
        self.unit(&function.body);
        self.scopes.leave();
        if function.type_params.is_some() {
            self.scopes.leave();
        }
    }

    pub(super) fn defaults(&mut self, parameters: &'a ast::Parameters) {
        let all = parameters.posonlyargs.iter().chain(&parameters.args).chain(&parameters.kwonlyargs);
        all.filter_map(|parameter| parameter.default()).for_each(|default| self.expression(default));
    }

    pub(super) fn parameters(&mut self, parameters: &'a ast::Parameters) {
        let many = parameters.iter().nth(FEW).is_some();
        let mut seen = HashSet::new();
        for (at, parameter) in parameters.iter().enumerate() {
            let name = parameter.name();
            let twice = match many {
                true => !seen.insert(self.scopes.mangled(name)),
                false => {
                    let mangled = self.scopes.mangled(name);
                    parameters.iter().take(at).any(|earlier| self.scopes.mangled(earlier.name()) == mangled)
                }
            };
            if twice {
                self.wrong(name.range, format!("duplicate argument '{name}' in function definition"));
            }
            self.debug(name, name.range);
            let noted = self.scopes.note(name, scope::PARAMETER | scope::BOUND);
            self.noted(name.range, noted);
        }
    }

    fn class(&mut self, class: &'a ast::StmtClassDef) {
        class.decorator_list.iter().for_each(|decorator| self.expression(&decorator.expression));
        self.bind(&class.name);
        self.type_parameters(class.type_params.as_deref(), Some(class.name.as_str()));
        if let Some(arguments) = &class.arguments {
            self.arguments(arguments);
        }
        self.scopes.enter(Kind::Class, Some(class.name.as_str()));
        self.unit(&class.body);
        self.scopes.leave();
        if class.type_params.is_some() {
            self.scopes.leave();
        }
    }

    fn returns(&mut self, result: &'a ast::StmtReturn) {
        result.value.iter().for_each(|value| self.expression(value));
        let scope = self.scopes.here();
        if !matches!(scope.kind, Kind::Function { .. }) {
            self.wrong(result.range, "'return' outside function");
        } else if self.blocks.contains(&Block::GroupHandler) {
            self.wrong(result.range, "'break', 'continue' and 'return' cannot appear in an except* block");
        }
        if result.value.is_some() {
            self.scopes.here_mut().returns.get_or_insert(result.range);
        }
        self.mixed();
    }

    /// A generator that is asynchronous returns nothing.
    pub(super) fn mixed(&mut self) {
        let scope = self.scopes.here_mut();
        if scope.kind == (Kind::Function { is_async: true })
            && scope.yields
            && let Some(range) = scope.returns.take()
        {
            self.wrong(range, "'return' with value in async generator");
        }
    }

    fn only_async(&mut self, range: TextRange, message: &str) {
        if self.scopes.here().kind != (Kind::Function { is_async: true }) {
            self.wrong(range, message);
        }
    }

    fn jump(&mut self, range: TextRange, outside: &str) {
        match self.blocks.iter().rev().find(|block| **block != Block::Other) {
            Some(Block::Loop) => {}
            Some(_) => {
                self.wrong(range, "'break', 'continue' and 'return' cannot appear in an except* block")
            }
            None => self.wrong(range, outside),
        }
    }

    fn attempt(&mut self, attempt: &'a ast::StmtTry) {
        let cleans = usize::from(!attempt.finalbody.is_empty());
        self.enter(&[Block::Other][..cleans], attempt.range);
        let tries = usize::from(!attempt.handlers.is_empty());
        self.block(&[Block::Other][..tries], attempt.range, &attempt.body);
        let last = attempt.handlers.len().saturating_sub(1);
        for (at, handler) in attempt.handlers.iter().enumerate() {
            let ast::ExceptHandler::ExceptHandler(handler) = handler;
            if handler.type_.is_none() && at != last {
                self.wrong(handler.range, "default 'except:' must be last");
            }
            handler.type_.iter().for_each(|kind| self.expression(kind));
            handler.name.iter().for_each(|name| self.bind(name));
            let group = if attempt.is_star { Block::GroupHandler } else { Block::Other };
            let blocks = [group, Block::Other];
            self.block(&blocks[usize::from(self.minor < 9)..], handler.range, &handler.body);
        }
        self.body(&attempt.orelse);
        self.blocks.truncate(self.blocks.len() - cleans);
        self.block(&[Block::Other][..cleans], attempt.range, &attempt.finalbody);
    }

    fn declared(&mut self, names: &'a [ast::Identifier], global: bool, range: TextRange) {
        for name in names {
            let declared = self.scopes.declare(name, global, range);
            self.noted(range, declared);
        }
    }
}
