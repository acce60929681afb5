//! `from __future__ import …`: only at the top, and only what there is.

use ruff_python_ast::{Expr, Stmt, StmtImportFrom};
use ruff_text_size::{Ranged, TextSize};

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
