//! The running agent.

pub mod files;
pub mod pid1;
pub mod schedule;
pub mod signals;
pub mod status;
