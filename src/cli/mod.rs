//! The subcommands.

pub mod probe;
