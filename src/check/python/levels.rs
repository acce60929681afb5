//! How deep CPython goes over a tree, and where it gives up.
//!
//! [`depth`](super::depth) has one bound for all versions, before parsing: it protects us. This one is a version's own, and is
//! counted on the tree, whichever way that came about.

use ruff_python_ast::{self as ast, Expr, Operator};
use ruff_text_size::{Ranged, TextRange};

use super::walk::Walk;

/// What is above a node. Both are lower bounds: a file is refused only if CPython cannot but refuse it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Levels {
    /// Statements and expressions that the symbol table has entered.
    visited: usize,
    /// Rules that the parser has entered for prefixes, powers, lambdas, `if … else` and `elif`, the only ones without brackets.
    parsed: usize,
}

/// The most levels of a version, for the symbol table and for the parser.
///
/// The symbol table goes as deep as three times Python's recursion limit before 3.12 (measured: 2,997), and to 10,000 from 3.12.3
/// on (9,997 in 3.13). Only 3.12.0 to 3.12.2 stop at 3,000 (2,996); a target does not say which patch it is, so theirs is not
/// used. The parser's stack of 6,000 entries has room for 5,969 of our levels, that of 3.8 for 1,679. 3.14 asks the stack itself.
fn bounds(minor: u8) -> (usize, usize) {
    match minor {
        ..=8 => (3000, 1700),
        9..=11 => (3000, 6000),
        12..=13 => (10_000, 6000),
        _ => (usize::MAX, usize::MAX),
    }
}

/// What CPython before 3.10 may have made one constant of before it counted.
fn folds(expression: &Expr) -> bool {
    matches!(
        expression,
        Expr::BinOp(_)
            | Expr::UnaryOp(_)
            | Expr::Compare(_)
            | Expr::Subscript(_)
            | Expr::Slice(_)
            | Expr::Tuple(_)
            | Expr::List(_)
            | Expr::Set(_)
    ) || expression.is_literal_expr()
}

impl Walk<'_> {
    /// Goes down to an expression; what is returned is to be put back behind it.
    pub(super) fn descend(&mut self, expression: &Expr) -> Levels {
        let around = self.levels;
        let parsed = match expression {
            Expr::UnaryOp(_) | Expr::If(_) => 1,
            Expr::Lambda(_) | Expr::BinOp(ast::ExprBinOp { op: Operator::Pow, .. }) => 2,
            _ => 0,
        };
        self.levels.parsed += parsed;
        // 3.8 has no expression for `a:b`.
        self.levels.visited += usize::from(!expression.is_slice_expr());
        self.bounded(expression.range(), self.minor < 10 && folds(expression));
        around
    }

    /// Goes down to a statement.
    pub(super) fn descend_to_statement(&mut self) -> Levels {
        let around = self.levels;
        self.levels.visited += 1;
        around
    }

    /// `elif` is an `if` in the `else` of the one before; the parser of 3.8 had a loop for it.
    pub(super) fn descend_to_elif(&mut self, range: TextRange) {
        self.levels.visited += 1;
        self.levels.parsed += usize::from(self.minor > 8);
        self.bounded(range, false);
    }

    fn bounded(&mut self, range: TextRange, folds: bool) {
        let (visits, rules) = bounds(self.minor);
        if !self.too_deep && (self.levels.visited > visits && !folds || self.levels.parsed > rules) {
            self.too_deep = true;
            self.wrong(range, super::depth::TOO_DEEP);
        }
    }
}
