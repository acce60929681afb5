//! Dependencies between tasks: `>>`, `chain` and what else sets them.

use super::place::Place;
use super::reader::Reader;
use super::symbols::Wiring;
use super::value::Value;

impl<'a> Reader<'a> {
    /// All of one side come before all of the other.
    pub(super) fn wire(&mut self, before: &Value<'a>, after: &Value<'a>, place: Place) {
        let (from, to) = (self.side(before, true), self.side(after, false));
        if !self.draft.has_room(from.len().saturating_mul(to.len())) {
            self.draft_loose(before);
            return self.draft_loose(after);
        }
        for from in &from {
            for to in &to {
                let sure = self.sure();
                self.draft.edge(*from, *to, place, sure);
            }
        }
        if from.is_empty() || to.is_empty() {
            self.draft_loose(before);
            self.draft_loose(after);
        }
    }

    /// The tasks of one side, as far as they are known.
    fn side(&mut self, value: &Value<'a>, before: bool) -> Vec<usize> {
        match value {
            Value::Task(task) => vec![*task],
            Value::List(_) => {
                let Some(items) = value.sequence().map(<[_]>::to_vec) else {
                    self.draft_loose(value);
                    return Vec::new();
                };
                items.iter().flat_map(|item| self.side(item, before)).collect()
            }
            Value::Group(group) => self.draft.ends(*group, before).unwrap_or_else(|| {
                self.draft_loose(value);
                Vec::new()
            }),
            _ => Vec::new(),
        }
    }

    /// A function of Airflow that sets dependencies between its arguments.
    pub(super) fn wired(&mut self, wiring: Wiring, arguments: &[Value<'a>], place: Place) {
        match wiring {
            Wiring::Cross => {
                if let [from, to] = arguments {
                    self.wire(from, to, place);
                }
            }
            Wiring::Linear => {
                for pair in arguments.windows(2) {
                    self.wire(&pair[0], &pair[1], place);
                }
            }
            Wiring::Chain => {
                for pair in arguments.windows(2) {
                    match (pair[0].sequence(), pair[1].sequence()) {
                        (Some(from), Some(to)) => {
                            for (from, to) in from.iter().zip(to) {
                                self.wire(from, to, place);
                            }
                        }
                        _ => self.wire(&pair[0], &pair[1], place),
                    }
                }
            }
        }
        // What is not known in between leaves the chain open.
        if arguments.contains(&Value::Unknown) {
            arguments.iter().for_each(|argument| self.draft_loose(argument));
        }
    }
}
