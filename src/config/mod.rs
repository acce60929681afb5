//! What the user said, and what it means.
//!
//! Owns the one table of options (`options`), its reading from flags, variables and the file (`said`), and its meaning
//! (`resolved`). Reads no clock and no process state: arguments, environment and the file's text are passed in.

pub mod resolved;

pub use resolved::*;
