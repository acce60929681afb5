//! The test world: real repositories, a real web server, a hostile one, and the agent as a program.
//!
//! Nothing here knows the library: a test that uses it sees dagsync as a git host and an operator see it. It waits for
//! conditions with a deadline and never sleeps and hopes; every port, folder and process is its own, so that all tests
//! may run at once; everything it started is gone when the test ends, also when the test is killed.
//!
//! - [`repo`], [`objects`]: repositories made by the git program, invalid and huge ones included.
//! - [`http`]: nginx, fcgiwrap and `git http-backend`, in every flavour that hosts come in; [`tls`] is their papers.
//! - [`hostile`]: a server that misbehaves by script; [`answer`] and [`pack`] are what it says.
//! - [`proxy`]: a tunnelling proxy that takes notes.
//! - [`agent`]: runs the `dagsync` binary and looks at it from outside.
//! - [`observe`]: its log, its probes and its metrics, as an operator sees them.
//! - [`canary`]: proves that a secret has leaked nowhere.
//! - [`client`]: other clients than ours, to compare with.
//! - [`process`], [`wait`]: children that cannot be orphaned, and waiting.
//! - [`memory`]: what a part of a test takes of it.
//! - [`airflow`]: the real one.
//!
//! `tests/world.rs` and `tests/world_hostile.rs` prove all of it with the git program and curl as the clients, so that a failure elsewhere is ours.

// Each integration test compiles this module for itself and uses a part of it only.
#![allow(dead_code, unused_imports)]

pub mod agent;
pub mod airflow;
pub mod answer;
pub mod canary;
pub mod client;
pub mod hostile;
pub mod http;
pub mod memory;
pub mod objects;
pub mod observe;
pub mod pack;
pub mod process;
pub mod proxy;
pub mod repo;
pub mod tls;
pub mod wait;

pub use agent::Agent;
pub use answer::Answer;
pub use hostile::Hostile;
pub use http::GitServer;
pub use objects::Entry;
pub use process::python;
pub use repo::Repo;
pub use wait::{free_port, wait_until};

use tempfile::TempDir;

/// A folder of one test, removed when it is dropped. Readable by other uids, as served repositories must be.
pub fn temp() -> TempDir {
    tempfile::Builder::new().prefix("dagsync-test-").tempdir().expect("a temporary folder")
}
