//! What a server says beside a pack, before it gives up: "aborting due to possible repository corruption on the remote
//! side". Without it all that is left to say is that the pack is damaged.

use std::sync::{Arc, Mutex, PoisonError};

use gix::progress::{Count, Id, MessageLevel, NestedProgress, Progress, Step, StepShared, UNKNOWN, Unit};

/// A progress that only listens for the last error.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Option<String>>>);

impl Heard {
    /// The server's last words.
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Count for Heard {
    fn set(&self, _step: Step) {}

    fn step(&self) -> Step {
        0
    }

    fn inc_by(&self, _step: Step) {}

    fn counter(&self) -> StepShared {
        StepShared::default()
    }
}

impl Progress for Heard {
    fn init(&mut self, _max: Option<Step>, _unit: Option<Unit>) {}

    fn set_name(&mut self, _name: String) {}

    fn name(&self) -> Option<String> {
        None
    }

    fn id(&self) -> Id {
        UNKNOWN
    }

    fn message(&self, level: MessageLevel, message: String) {
        if matches!(level, MessageLevel::Failure) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(super::body::said(message.as_bytes()));
        }
    }
}

impl NestedProgress for Heard {
    type SubProgress = Self;

    fn add_child(&mut self, _name: impl Into<String>) -> Self {
        self.clone()
    }

    fn add_child_with_id(&mut self, _name: impl Into<String>, _id: Id) -> Self {
        self.clone()
    }
}
