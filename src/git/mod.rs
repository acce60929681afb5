//! Remotes and objects: which commit a ref is, and its objects in our store.
//!
//! Owns everything that speaks git's protocol or reads and writes `.git`. Built on gix's low level: gix's clone, fetch
//! and checkout conveniences list all refs, prune nothing and bound nothing (docs/architecture.md). Knows nothing of trees on
//! disk, links or schedules. Runs no program.

mod aside;
pub mod auth;
mod bases;
mod body;
pub(crate) mod cause;
mod client;
pub mod diff;
mod error;
mod heard;
mod history;
mod http;
pub mod known;
mod local;
pub mod order;
pub mod pack;
pub mod refs;
mod remote;
mod settings;
mod smart;
pub mod store;
pub mod url;
pub mod worktree;

pub use error::Error;
pub use remote::{Fetched, Remote, RemoteRef};
pub use settings::{AuthConfig, HttpConfig};
pub use store::Store;
