//! dagsync keeps a directory of Airflow DAGs equal to a ref of a git repository.
//!
//! The rooms of the house, and which may call which, are in `docs/architecture.md`: arrows point downward only, nothing
//! below knows what is above it. A newcomer reads `agent::pass` first: it is the ordered list of what happens.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod agent;
pub mod check;
pub mod cli;
pub mod config;
pub mod deadline;
pub mod disk;
pub mod error;
pub mod git;
pub mod hooks;
pub mod http;
pub mod log;
pub mod metrics;
pub mod path;
pub mod publish;
pub mod secret;
pub mod tree;
pub mod umask;
