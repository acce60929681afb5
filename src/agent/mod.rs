//! The running agent.

pub mod pid1;
pub mod signals;
