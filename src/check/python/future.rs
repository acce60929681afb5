//! Imports, and `from __future__ import …`: only at the top, and only what there is.

use ruff_python_ast::{Alias, Expr, Stmt, StmtImportFrom};
use ruff_text_size::{Ranged, TextRange, TextSize};

use super::scope::{self, Kind};
use super::walk::Walk;

const FEATURES: &[&str] = &[
    "nested_scopes",
    "generators",
    "division",
    "absolute_import",
    "with_statement",
    "print_function",
    "unicode_literals",
    "barry_as_FLUFL",
    "generator_stop",
    "annotations",
];

/// What a module's first statements say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Future {
    /// Annotations are kept as text.
    pub(super) annotations: bool,
    /// Where the imports that are early enough end.
    end: TextSize,
    /// Before 3.13, `from .__future__ import …` was taken for it too.
    levels: bool,
}

impl Future {
    pub(super) fn of(body: &[Stmt], minor: u8) -> Future {
        let mut future = Future { levels: minor < 13, ..Future::default() };
        for (at, statement) in body.iter().enumerate() {
            match statement {
                Stmt::ImportFrom(import) if future.is_it(import) => {
                    let says = |name| import.names.iter().any(|alias| alias.name.as_str() == name);
                    future.annotations |= says("annotations");
                    future.end = import.end();
                }
                // The docstring.
                Stmt::Expr(text) if at == 0 && matches!(*text.value, Expr::StringLiteral(_)) => {}
                _ => break,
            }
        }
        future
    }

    /// What is wrong with an import of it.
    pub(super) fn check(self, import: &StmtImportFrom) -> Option<String> {
        if !self.is_it(import) {
            return None;
        }
        if import.start() >= self.end {
            return Some("from __future__ imports must occur at the beginning of the file".to_owned());
        }
        let unknown = import.names.iter().find(|alias| !FEATURES.contains(&alias.name.as_str()))?;
        if unknown.name.as_str() == "braces" {
            return Some("not a chance".to_owned());
        }
        Some(format!("future feature {} is not defined", unknown.name))
    }

    fn is_it(self, import: &StmtImportFrom) -> bool {
        (self.levels || import.level == 0) && import.module.as_deref() == Some("__future__")
    }
}

impl<'a> Walk<'a> {
    pub(super) fn lazy(&mut self, range: TextRange) {
        let within = self.scopes.around().find_map(|scope| match scope.kind {
            Kind::Function { .. } => Some("functions"),
            Kind::Class => Some("classes"),
            _ => None,
        });
        if let Some(within) = within {
            self.wrong(range, format!("lazy import not allowed inside {within}"));
        }
    }

    pub(super) fn imported(&mut self, names: &'a [Alias]) {
        for alias in names {
            let first = alias.name.as_str().split('.').next().unwrap_or_default();
            let (name, range) =
                alias.asname.as_ref().map_or((first, alias.name.range), |name| (name, name.range));
            if name != "*" {
                // 3.8 looks at the name of a package only if it has another one here.
                if self.minor > 8 || alias.asname.is_some() || !alias.name.contains('.') {
                    self.debug(name, range);
                }
                let noted = self.scopes.note(name, scope::IMPORTED);
                self.noted(range, noted);
            }
        }
    }

    pub(super) fn import_from(&mut self, import: &'a StmtImportFrom) {
        if let Some(message) = self.future.check(import) {
            self.wrong(import.range, message);
        }
        let star = import.names.iter().any(|alias| alias.name.as_str() == "*");
        if import.is_lazy {
            self.lazy(import.range);
            if star {
                self.wrong(import.range, "lazy from ... import * is not allowed");
            } else if import.level == 0 && import.module.as_deref() == Some("__future__") {
                self.wrong(import.range, "lazy from __future__ import is not allowed");
            }
        }
        if star && self.scopes.here().kind != Kind::Module {
            self.wrong(import.range, "import * only allowed at module level");
        }
        self.imported(&import.names);
    }
}
