//! Reads a file as Python would run it: what gives a name its value.

use std::rc::Rc;

use super::super::python::ast::{self, Expr};
use super::facts::Bound;
use super::reader::Reader;
use super::value::{Function, Value};

impl<'a> Reader<'a> {
    pub(super) fn import(&mut self, import: &'a ast::StmtImport) {
        for alias in &import.names {
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
                // Any name may be another one from here on.
                self.lost = true;
                self.more_dags = true;
                continue;
            }
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
        let kind = self.decorated(def);
        let value = match kind {
            Some(kind) => Value::Function(Rc::new(Function { def, kind, home: self.names.here() })),
            None => {
                // `@asset` makes a DAG, and who knows who else.
                self.more_dags |= self.names.in_module();
                Value::Unknown
            }
        };
        self.names.set(def.name.as_str(), value);
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
                if self.names.in_module() {
                    self.draft.keep(&value, Bound::Global);
                }
                self.names.set(name.id.as_str(), value);
            }
            Expr::Tuple(ast::ExprTuple { elts, .. }) | Expr::List(ast::ExprList { elts, .. }) => {
                let values = match value {
                    Value::List(values) if values.len() == elts.len() => Some(values),
                    other => {
                        self.draft.keep(&other, Bound::Perhaps);
                        None
                    }
                };
                for (at, target) in elts.iter().enumerate() {
                    let value = values.as_ref().map_or(Value::Unknown, |values| values[at].clone());
                    self.bind(target, value);
                }
            }
            Expr::Starred(starred) => self.bind(&starred.value, Value::Unknown),
            Expr::Attribute(_) | Expr::Subscript(_) => {
                // `globals()[name] = dag`, and whoever else may keep it.
                self.draft.keep(&value, Bound::Perhaps);
                if let Expr::Attribute(_) = target {
                    self.eval(target);
                }
                if let Expr::Subscript(subscript) = target {
                    self.eval(&subscript.value);
                    self.eval(&subscript.slice);
                    if is_globals(&subscript.value) {
                        self.more_dags = true;
                    }
                    if let Expr::Name(name) = &*subscript.value
                        && matches!(self.names.get(name.id.as_str()), Value::List(_) | Value::Dict(_))
                    {
                        self.names.set(name.id.as_str(), Value::Unknown);
                    }
                }
            }
            _ => {}
        }
    }
}

fn is_globals(value: &Expr) -> bool {
    let Expr::Call(call) = value else { return false };
    matches!(&*call.func, Expr::Name(name) if matches!(name.id.as_str(), "globals" | "vars" | "locals"))
}
