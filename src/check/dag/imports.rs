//! The imports of a file, with what stands around them.

use super::super::python::ast::{self, Expr, Stmt};
use super::facts::{Guard, Import};
use super::place::Lines;

/// Every import of a file.
pub(super) fn imports(body: &[Stmt], lines: &Lines<'_>) -> Vec<Import> {
    let mut reader = Reader { lines, found: Vec::new() };
    reader.block(body, Guard::None);
    reader.found
}

struct Reader<'a> {
    lines: &'a Lines<'a>,
    found: Vec<Import>,
}

impl Reader<'_> {
    fn block(&mut self, body: &[Stmt], guard: Guard) {
        // What may raise or exit before does not matter: then the file fails all the same.
        for statement in body {
            self.statement(statement, guard);
        }
    }

    fn statement(&mut self, statement: &Stmt, guard: Guard) {
        // Once caught, or below a condition, it stays that way; a function says the most.
        let below = |more: Guard| if guard == Guard::None { more } else { guard };
        match statement {
            Stmt::Import(import) => {
                for alias in &import.names {
                    self.push(alias, 0, alias.name.as_str(), None, guard);
                }
            }
            Stmt::ImportFrom(import) => {
                let module = import.module.as_ref().map_or("", |module| module.as_str());
                for alias in &import.names {
                    self.push(alias, import.level, module, Some(alias.name.to_string()), guard);
                }
            }
            Stmt::FunctionDef(function) => self.block(&function.body, Guard::Function),
            Stmt::ClassDef(class) => self.block(&class.body, guard),
            Stmt::If(branch) => {
                self.block(&branch.body, below(condition(&branch.test)));
                for clause in &branch.elif_else_clauses {
                    self.block(&clause.body, below(Guard::Condition));
                }
            }
            Stmt::For(each) => {
                self.block(&each.body, below(Guard::Condition));
                self.block(&each.orelse, below(Guard::Condition));
            }
            Stmt::While(each) => {
                self.block(&each.body, below(Guard::Condition));
                self.block(&each.orelse, below(Guard::Condition));
            }
            Stmt::Match(choice) => {
                for case in &choice.cases {
                    self.block(&case.body, below(Guard::Condition));
                }
            }
            // `with suppress(ImportError)`, and whatever else a manager may swallow.
            Stmt::With(with) => self.block(&with.body, below(Guard::Caught)),
            Stmt::Try(attempt) => {
                let inside = if attempt.handlers.is_empty() { guard } else { below(Guard::Caught) };
                self.block(&attempt.body, inside);
                for ast::ExceptHandler::ExceptHandler(handler) in &attempt.handlers {
                    self.block(&handler.body, below(Guard::Caught));
                }
                self.block(&attempt.orelse, below(Guard::Condition));
                self.block(&attempt.finalbody, guard);
            }
            _ => {}
        }
    }

    fn push(&mut self, alias: &ast::Alias, level: u32, module: &str, name: Option<String>, guard: Guard) {
        let place = self.lines.place(alias);
        self.found.push(Import { place, level, module: module.to_owned(), name, guard });
    }
}

fn condition(test: &Expr) -> Guard {
    let typing = match test {
        Expr::Name(name) => name.id.as_str() == "TYPE_CHECKING",
        Expr::Attribute(attribute) => attribute.attr.as_str() == "TYPE_CHECKING",
        _ => false,
    };
    if typing { Guard::Typing } else { Guard::Condition }
}
