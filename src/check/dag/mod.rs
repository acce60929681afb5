//! What a DAG file says, as facts, and what is wrong with it.
//!
//! [`Facts::of`] reads a syntax tree in the order in which Python would run it, without running it; it knows neither path nor
//! target, so facts are kept by the file's content. [`issues`] judges the facts of one file for a target, [`tree`] those of all
//! files together. An error must be sure: whatever hangs on a condition, a loop or a value that cannot be told is none.

mod bind;
mod call;
pub mod cron;
mod cron_fields;
mod data;
mod draft;
mod eval;
pub mod facts;
mod flow;
mod graph;
mod imports;
mod invoke;
mod made;
mod modules;
mod names;
pub mod packed;
mod place;
mod reader;
mod rules;
mod scan;
mod symbols;
mod tables;
pub mod tree;
mod value;
mod wire;

pub use data::{LARGEST_DATA, data_syntax};
pub use facts::Facts;
pub use packed::{Between, Packed};
pub use place::Place;
pub use rules::{Role, issues};
pub(super) use tables::is_stdlib;
