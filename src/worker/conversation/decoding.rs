//! Records of the inputs are decoded, with whatever schema they were written.

use std::sync::Arc;

use super::super::{Disk, Worker, fold_failed, guarded};
use crate::codec::ask::MalformedAsk;
use crate::codec::frame::{self, Writers};
use crate::codec::ids::DeploymentKey;
use crate::codec::partitioner::Partitioner;
use crate::codec::{event, records};
use crate::domain::time::Timestamp;
use crate::engine::Prepared;
use crate::engine::publish::Problem;
use crate::stream::{Head, Log, Records};

/// What a record of an input is.
pub enum Decoded {
    /// An event, and when it arrived by its own word.
    Event(Box<Prepared>, Option<Timestamp>),
    /// Nothing but a sign that time has passed.
    Heartbeat(Option<Timestamp>),
    /// Something that cannot be folded, and whether it is an ask that deserves an answer all the same.
    Letter(Problem, Option<MalformedAsk>),
    /// It names a schema that is not known here.
    Schema(u32),
}

/// What is wrong with a record that is in another partition than its number's.
pub fn wrong_partition(partitioner: Partitioner) -> Problem {
    let detail = format!(
        "its number belongs to another partition; set {}, or `kafka.partitioner` to what it does, and write the number \
         as the record's key",
        partitioner.advice()
    );
    Problem { code: "wrong_partition", detail, part: None }
}

/// Decodes a record. What panics is a dead letter at once: nothing has changed yet.
pub fn decode(value: Option<&[u8]>, writers: &Writers, key: &DeploymentKey) -> Decoded {
    decoded_by(|| understand(value, writers, key))
}

fn decoded_by(understand: impl FnOnce() -> Decoded) -> Decoded {
    guarded(understand).unwrap_or_else(|| {
        let detail = "decoding it failed; this is a fault of Tollgate: report it with this record".to_owned();
        Decoded::Letter(fold_failed(detail, None), None)
    })
}

fn understand(value: Option<&[u8]>, writers: &Writers, key: &DeploymentKey) -> Decoded {
    let letter = |code, detail: String| Problem { code, detail, part: None };
    let record = match writers.read::<records::Event<'_>>(value.unwrap_or_default()) {
        Ok(record) => record,
        Err(frame::Error::UnknownId(id)) => return Decoded::Schema(id),
        Err(error) => {
            let ask = value.and_then(MalformedAsk::of_json);
            return Decoded::Letter(letter(error.code(), error.to_string()), ask);
        }
    };
    match event::parse(&record, key) {
        Ok(arrived) => match arrived.event {
            Some(event) => Decoded::Event(Box::new(Prepared::new(event, key)), arrived.received_at),
            None => Decoded::Heartbeat(arrived.received_at.or(Some(arrived.occurred_at))),
        },
        Err(invalid) => Decoded::Letter(letter(invalid.code(), invalid.to_string()), MalformedAsk::of_record(&record)),
    }
}

/// A schema that cannot be had yet, and why.
pub(super) struct Missing {
    pub schema: u32,
    pub why: String,
}

impl<L: Log, D: Disk> Worker<L, D> {
    /// Decodes a record; asks for its schema if it is not known yet.
    pub(super) fn decode(&mut self, head: &Head, records: &Records) -> Result<Decoded, Missing> {
        let shared = Arc::clone(&self.shared);
        if let Some(problem) = self.is_poison(head) {
            return Ok(Decoded::Letter(problem, None));
        }
        let value = records.value(head);
        let decoded = match decode(value, &self.writers, &shared.setup.key) {
            Decoded::Schema(id) => {
                let unknown = frame::Error::UnknownId(id);
                let problem = Problem { code: unknown.code(), detail: unknown.to_string(), part: None };
                match (self.schemas)(id).map_err(|why| Missing { schema: id, why })? {
                    Some(text) if self.writers.add_registered(id, &text).is_ok() => {
                        match decode(value, &self.writers, &shared.setup.key) {
                            Decoded::Schema(_) => Decoded::Letter(problem, None),
                            decoded => decoded,
                        }
                    }
                    _ => Decoded::Letter(problem, None),
                }
            }
            decoded => decoded,
        };
        Ok(match decoded {
            Decoded::Event(prepared, _) if self.is_misplaced(head, &prepared) => {
                Decoded::Letter(wrong_partition(shared.partitioner), None)
            }
            decoded => decoded,
        })
    }

    fn is_misplaced(&self, head: &Head, prepared: &Prepared) -> bool {
        let number = prepared.event.number.as_str();
        self.shared.partitioner.partition(number.as_bytes(), self.shared.partitions) != head.slot.partition.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_whose_decoding_panics_is_a_dead_letter() {
        let Decoded::Letter(problem, None) = decoded_by(|| panic!("a fault of ours")) else {
            panic!("it is told");
        };
        assert_eq!(problem.code, "fold_failed");
    }
}
