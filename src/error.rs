//! What an error tells the schedule: what to do next.
//!
//! Every room has its own `thiserror` enum with the paths attached; what they share is the answer to "and now?", given
//! once, here, and read in one place (`agent::schedule`).

use std::time::Duration;

/// What a failed pass asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Will pass by itself: the network, a busy server, a full disk. Back off with jitter; `after` is the server's own
    /// wish (`Retry-After`), if it had one.
    Retry {
        /// The shortest wait the server asked for.
        after: Option<Duration>,
    },
    /// Somebody has to act: bad credentials, an unknown ref, a directory in the link's place. Tried again, slowly.
    Human,
    /// The agent is being stopped; not a failure of the source at all.
    Stopped,
}

/// An error of a stage, as the pass sees it.
pub trait Advice: std::error::Error {
    /// What to do next.
    fn remedy(&self) -> Remedy;
    /// One line on what a human can do, if there is something. Shown as `hint: …` after the message.
    fn hint(&self) -> Option<String> {
        None
    }
}
