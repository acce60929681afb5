//! Where things are on disk, whose they are, and the swap that readers see.
//!
//! Owns the names below a root, the lock that makes us its only writer, the link, and which replaced trees stay. Must never
//! remove a valid published tree before its successor is in place, nor write inside one. Knows no git beyond commit ids.

mod error;
pub mod guard;
pub mod layout;
pub mod link;
pub mod lock;
pub mod retain;
pub mod state;

pub use error::Error;
pub use layout::{AtLink, Layout};
pub use lock::RootLock;
