//! The running agent: the process ([`app`]), a thread a source ([`worker`]), and what one pass does ([`pass`]).
//!
//! Timers, signals and watched files only send typed triggers; one worker owns each source and handles them one by one.
//! Decisions about time are pure ([`schedule`]). Everyone else reads the [`status`] board.

mod apart;
pub mod app;
mod care;
mod child;
mod failure;
mod fetch;
mod files;
mod folder;
mod found;
mod gate;
pub mod limits;
mod list;
mod locks;
mod meant;
mod own_check;
pub mod pass;
pub mod pid1;
mod reload;
mod replay;
mod resolve;
mod retire;
mod revision;
pub mod schedule;
pub mod signals;
mod source;
pub mod status;
mod told;
mod watch;
mod worker;

pub use crate::git::diff::Changes;
pub use apart::{Apart, Commit, Lend, Next, Upcoming};
pub use app::{App, End, Message, Running, layouts};
pub use failure::Failure;
pub use folder::Folder;
pub use revision::{Candidate, show};
pub use source::Parts;
pub use worker::MakeParts;
