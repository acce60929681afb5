//! What can be asked from outside: probes, metrics and the status document.
//!
//! Owns the listener, the connections and their bounds, and the routes. Must never wait for a pass: it reads a
//! [`View`], whose answers are a few loads, so that a probe is answered while a fetch runs. Must never make up a text of what
//! it was asked: what a probe says is fixed, and the status document has the lines of the log. Built and served by `agent`.

mod routes;
mod server;

use crate::metrics::Metrics;

pub use server::{Limits, Server};

/// What the routes know of the agent. Every method is called on the server's thread and returns at once.
pub trait View: Send + Sync + 'static {
    /// Whether readers have what they came for. A latch: once ready, always ready.
    fn readiness(&self) -> Readiness;

    /// Whether the process should go on. A remote that is down is no reason to restart, so this is constant.
    fn live(&self) -> bool {
        true
    }

    /// The metrics, unless they were switched off.
    fn metrics(&self) -> Option<Metrics>;

    /// What is live and why, as JSON.
    fn status(&self) -> Vec<u8>;
}

/// The answer of the readiness probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Every source has published once.
    Ready,
    /// Not yet, and why: fixed words, so that nothing secret can be in them.
    Waiting(&'static str),
}
