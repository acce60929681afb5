//! What a DAG file says, as facts, and what is wrong with it.

mod call;
pub mod cron;
mod data;
mod draft;
mod eval;
pub mod facts;
mod graph;
mod imports;
mod modules;
mod place;
mod reader;
mod rules;
mod symbols;
mod tables;
pub mod tree;
mod value;
mod wire;

pub use data::data_syntax;
pub use facts::Facts;
pub use place::Place;
pub use rules::{Role, issues};
