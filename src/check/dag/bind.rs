//! Reads a file as Python would run it: what gives a name its value.

use std::rc::Rc;

use super::super::python::ast::{self, Expr, Stmt};
use super::call::Given;
use super::facts::Bound;
use super::reader::Reader;
use super::scan::Change;
use super::symbols;
use super::value::{Function, Kind, Value};

impl<'a> Reader<'a> {
    pub(super) fn import(&mut self, import: &'a ast::StmtImport) {
        for alias in &import.names {
            self.beside(alias);
            let module = alias.name.as_str();
            let (name, symbol) = match &alias.asname {
                Some(name) => (name.as_str(), module),
                None => {
                    let first = module.split('.').next().unwrap_or(module);
                    (first, first)
                }
            };
            self.names.set(name, Value::Symbol(symbol.into()));
        }
    }

    pub(super) fn import_from(&mut self, import: &'a ast::StmtImportFrom) {
        let module = import.module.as_ref().map_or("", |module| module.as_str());
        for alias in &import.names {
            if alias.name.as_str() == "*" {
                self.lose(Change::Names);
                continue;
            }
            self.beside(alias);
            self.moves_path |= module == "sys" && alias.name.as_str() == "path";
            let name = alias.asname.as_ref().unwrap_or(&alias.name).as_str();
            let value = match import.level {
                0 => Value::Symbol(format!("{module}.{}", alias.name.as_str()).into()),
                _ => Value::Unknown,
            };
            self.names.set(name, value);
        }
    }

    pub(super) fn define(&mut self, def: &'a ast::StmtFunctionDef) {
        for parameter in def.parameters.iter_non_variadic_params() {
            if let Some(default) = &parameter.default
                && !default.is_literal_expr()
            {
                let value = self.eval(default);
                self.draft_loose(&value);
            }
        }
        let kind = self.decorated(def);
        // What a task does is done when it runs. Of any other function somebody may call it as soon as it is there.
        if !matches!(kind, Some(Kind::Task(_))) {
            let change = self.scan.within(def);
            self.lose(change);
        }
        let value = match kind {
            Some(kind) => Value::Function(Rc::new(Function { def, kind, home: self.names.here() })),
            None => {
                // `@asset` makes a DAG, and who knows who else.
                self.more_dags = true;
                self.leaked = true;
                Value::Unknown
            }
        };
        self.names.set(def.name.as_str(), value);
    }

    /// A class of the file: its body is run here, and its methods at any time.
    pub(super) fn class(&mut self, class: &'a ast::StmtClassDef) {
        for decorator in &class.decorator_list {
            let value = self.eval(&decorator.expression);
            self.draft_loose(&value);
        }
        if let Some(arguments) = &class.arguments {
            for value in arguments.args.iter().chain(arguments.keywords.iter().map(|keyword| &keyword.value))
            {
                let value = self.eval(value);
                self.draft_loose(&value);
            }
        }
        let change = self.scan.within(class);
        self.lose(change);
        self.leaked = true;
        for statement in &class.body {
            // Its names hide those around it: what is made here is not sure.
            match statement {
                Stmt::FunctionDef(def) => {
                    let plain = |it: &ast::Decorator| !it.expression.is_call_expr();
                    if !def.decorator_list.iter().all(plain) {
                        self.unfollowed();
                    }
                }
                Stmt::Assign(ast::StmtAssign { value, .. })
                | Stmt::AnnAssign(ast::StmtAnnAssign { value: Some(value), .. })
                | Stmt::Expr(ast::StmtExpr { value, .. }) => {
                    let value = self.maybe(value);
                    self.draft_loose(&value);
                }
                Stmt::Pass(_) | Stmt::AnnAssign(_) => {}
                _ => drop(self.stranger(&Given::default())),
            }
        }
        self.names.set(class.name.as_str(), Value::Unknown);
    }

    /// The names that a pattern may give a value.
    pub(super) fn captured(&mut self, pattern: &'a ast::Pattern) {
        match pattern {
            ast::Pattern::MatchAs(part) => {
                if let Some(inner) = &part.pattern {
                    self.captured(inner);
                }
                self.capture(part.name.as_ref());
            }
            ast::Pattern::MatchStar(part) => self.capture(part.name.as_ref()),
            ast::Pattern::MatchMapping(part) => {
                part.patterns.iter().for_each(|inner| self.captured(inner));
                self.capture(part.rest.as_ref());
            }
            ast::Pattern::MatchSequence(part) => part.patterns.iter().for_each(|inner| self.captured(inner)),
            ast::Pattern::MatchOr(part) => part.patterns.iter().for_each(|inner| self.captured(inner)),
            ast::Pattern::MatchClass(part) => {
                part.arguments.patterns.iter().for_each(|inner| self.captured(inner));
                part.arguments.keywords.iter().for_each(|inner| self.captured(&inner.pattern));
            }
            _ => {}
        }
    }

    fn capture(&mut self, name: Option<&'a ast::Identifier>) {
        if let Some(name) = name {
            self.names.set(name.as_str(), Value::Unknown);
        }
    }

    /// Gives a name, or a tuple of names, a value.
    pub(super) fn bind(&mut self, target: &'a Expr, value: Value<'a>) {
        match target {
            Expr::Name(name) => {
                if self.names.is_of_module(name.id.as_str()) {
                    // What may not be kept is kept perhaps.
                    let bound = if self.sure() { Bound::Global } else { Bound::Perhaps };
                    self.draft.keep(&value, bound);
                }
                self.names.set(name.id.as_str(), value);
            }
            Expr::Tuple(ast::ExprTuple { elts, .. }) | Expr::List(ast::ExprList { elts, .. }) => {
                let values = match value.sequence() {
                    Some(values) if values.len() == elts.len() && !elts.iter().any(Expr::is_starred_expr) => {
                        Some(values.to_vec())
                    }
                    _ => {
                        self.draft_loose(&value);
                        None
                    }
                };
                for (at, target) in elts.iter().enumerate() {
                    let value = values.as_ref().map_or(Value::Unknown, |values| values[at].clone());
                    self.bind(target, value);
                }
            }
            Expr::Starred(starred) => self.bind(&starred.value, Value::Unknown),
            Expr::Attribute(attribute) => {
                // Whoever has the object has the value now.
                self.draft_loose(&value);
                self.beside(attribute);
                match self.eval(&attribute.value) {
                    object @ (Value::Dag(_) | Value::Task(_) | Value::Group(_) | Value::Partial(_))
                        if !symbols::is_cosmetic(attribute.attr.as_str()) =>
                    {
                        self.draft_loose(&object);
                        self.hand_out(&object);
                    }
                    Value::Symbol(symbol) if symbol.split('.').next() == Some("airflow") => {
                        self.lose(Change::Objects);
                    }
                    _ => {}
                }
            }
            Expr::Subscript(subscript) => {
                // `globals()[name] = dag`, and whoever else may keep it.
                self.draft_loose(&value);
                let object = self.eval(&subscript.value);
                self.eval(&subscript.slice);
                self.draft_loose(&object);
            }
            _ => {}
        }
    }
}
