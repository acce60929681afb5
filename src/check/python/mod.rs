//! Whether Python can compile a file, and its syntax tree.
//!
//! The only module that knows the parser: its crates have no stable interface and are pinned to an exact version.

use super::Issue;
use super::target::Python;

pub use ruff_python_ast as ast;

/// Compiles, as far as CPython does without running anything, and hands the tree to `look`, on a stack that is large enough for it.
/// Without a tree (a file that cannot be decoded, or nested too deeply) `look` is not called.
pub fn compile<R>(
    _source: &[u8],
    _python: Python,
    _look: impl FnOnce(&ast::ModModule, &str) -> R,
) -> (Vec<Issue>, Option<R>) {
    (Vec::new(), None)
}
