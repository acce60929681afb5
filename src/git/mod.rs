//! Everything that knows git.

pub mod url;
