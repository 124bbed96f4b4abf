//! Campaign questions of one partition. They are read beside the events and change no state, so their position stands in
//! no commit record: it is the group's alone, and moves in the transaction that holds the answer.
//!
//! A question is answered only while the partition's live input is at its end: an answer to thousands of recipients takes
//! as long as thousands of asks, which must not wait for it. One that comes while there is more to fold is left in the
//! log, and read again when there is nothing more.

use std::sync::Arc;

use super::{Disk, Trouble, Worker, after, guarded, headers, unwritable};
use crate::codec::forecast::{Malformed, parse};
use crate::codec::{frame, records};
use crate::domain::forecast::Question;
use crate::engine::publish::Problem;
use crate::engine::publish::forecast::{Asked, Parts};
use crate::stream::{Committed, Failure, Head, Log, NextOffset, Partition, Records, Slot, Topic};

/// The questions of one partition.
#[derive(Default)]
pub struct Questions {
    /// Where they are, once the group has told.
    place: Option<Place>,
    /// Whether they are being read.
    reads: bool,
}

/// Where the questions of a partition are.
#[derive(Clone, Copy)]
struct Place {
    /// The group's position; nothing where none was ever committed.
    committed: Option<Committed>,
    /// Where the present transaction began.
    from: NextOffset,
    /// The next offset to read.
    read: NextOffset,
}

impl Questions {
    /// What was answered is committed.
    pub const fn committed(&mut self, committed: Committed) {
        if self.place.is_some() {
            self.place = Some(Place { committed: Some(committed), from: committed.next, read: committed.next });
        }
    }

    /// Answers again from what is committed.
    pub const fn rewind(&mut self) {
        self.reads = false;
        if let Some(place) = &mut self.place {
            place.read = place.from;
        }
    }

    /// Nobody reads them any more: whatever is read is told to the log anew.
    pub const fn forget_reading(&mut self) {
        self.reads = false;
    }

    /// Asks the group again where they are.
    pub const fn forget(&mut self) {
        (self.place, self.reads) = (None, false);
    }
}

/// What a record of questions is.
enum Decoded {
    Question(Box<Question>),
    /// Something that cannot be answered, and whether somebody waits for an answer all the same.
    Letter(Problem, Option<Malformed>),
    /// Its schema cannot be had now.
    Waits,
}

impl<L: Log, D: Disk> Worker<L, D> {
    /// Takes in questions that came together, once what came of the inputs with them is folded.
    pub(super) fn answer_questions(&mut self, records: &Records) -> Result<(), Trouble> {
        if self.shared.forecasts.is_none() {
            return Ok(());
        }
        for head in records.heads().iter().filter(|head| head.slot.topic == Topic::Forecasts) {
            let Some(task) = self.questions.get(&head.slot.partition).filter(|task| task.reads) else {
                continue;
            };
            // What was on its way before the position was set anew.
            if task.place.is_none_or(|place| head.offset < place.read.offset()) {
                continue;
            }
            if !self.is_at_end(head.slot.partition)? || !self.answer(head, records)? {
                self.leave(head.slot)?;
                continue;
            }
            self.close_if_full()?;
        }
        Ok(())
    }

    /// Reads the questions of partitions of which nothing more is to be folded.
    pub(super) fn read_questions(&mut self) -> Result<(), Trouble> {
        if self.shared.forecasts.is_none() || self.stale {
            return Ok(());
        }
        let idle = |task: &Questions| !task.reads;
        let partitions: Vec<Partition> =
            self.questions.iter().filter(|(_, task)| idle(task)).map(|(partition, _)| *partition).collect();
        for partition in partitions {
            let slot = Slot { topic: Topic::Forecasts, partition };
            if !self.is_at_end(partition)? {
                continue;
            }
            let Some(place) = self.place_of_questions(slot)? else {
                continue;
            };
            match self.log.resume(&[(slot, place.read)]) {
                Ok(()) => {}
                Err(Failure::Busy(_)) => return Ok(()),
                Err(failure) => return Err(failure.into()),
            }
            if let Some(task) = self.questions.get_mut(&partition) {
                task.reads = true;
            }
        }
        Ok(())
    }

    /// Where the questions of a partition are. The group is asked once, and where it knows nothing they begin with the
    /// first that the log holds.
    fn place_of_questions(&mut self, slot: Slot) -> Result<Option<Place>, Trouble> {
        if let Some(place) = self.questions.get(&slot.partition).and_then(|task| task.place) {
            return Ok(Some(place));
        }
        let found = self.ask_committed(&[slot]).and_then(|found| match found.first().copied().flatten() {
            Some(committed) => Ok((Some(committed), committed.next)),
            None => self.log.start(slot).map(|start| (None, start)),
        });
        let (committed, read) = match found {
            Ok(found) => found,
            Err(Failure::Busy(_)) => return Ok(None),
            Err(failure) => return Err(failure.into()),
        };
        let place = Place { committed, from: read, read };
        if let Some(task) = self.questions.get_mut(&slot.partition) {
            task.place = Some(place);
        }
        Ok(Some(place))
    }

    /// Leaves the questions of a partition for later.
    fn leave(&mut self, slot: Slot) -> Result<(), Trouble> {
        if let Some(task) = self.questions.get_mut(&slot.partition) {
            task.reads = false;
        }
        Ok(self.log.pause(&[slot])?)
    }

    /// Answers a question. Tells whether it could: its schema may not be there yet.
    fn answer(&mut self, head: &Head, records: &Records) -> Result<bool, Trouble> {
        let decoded = match self.is_poison(head) {
            Some(problem) => Decoded::Letter(problem, None),
            None => self.understand_question(head, records),
        };
        let partition = head.slot.partition;
        let stands = self.conversations.get(&partition).and_then(|task| task.place(0));
        let folded = stands.map(|(_, next)| next.offset());
        if matches!(decoded, Decoded::Waits) {
            return Ok(false);
        }
        self.touch(partition)?;
        self.observer.read(head.slot.topic);
        let answered = guarded(|| match decoded {
            Decoded::Question(question) => self.publish_forecast(partition, &question, folded),
            Decoded::Letter(problem, malformed) => {
                self.publish_letter(head, records, &problem, head.appended_at)?;
                malformed.map_or(Ok(()), |malformed| self.publish_malformed(head, &malformed, folded))
            }
            Decoded::Waits => Ok(()),
        });
        answered.unwrap_or_else(|| Err(self.failed(head)))?;
        let place = self.questions.get_mut(&partition).and_then(|task| task.place.as_mut());
        if let Some(place) = place {
            place.read = after(head);
            let committed = place.committed;
            self.has_read(head.slot, committed, after(head));
        }
        Ok(true)
    }

    fn understand_question(&mut self, head: &Head, records: &Records) -> Decoded {
        let value = records.value(head).unwrap_or_default();
        let letter = |code, detail| Problem { code, detail, part: None };
        if let Err(frame::Error::UnknownId(id)) = self.question_writers.read::<records::ForecastRequested<'_>>(value) {
            match (self.schemas)(id) {
                // One that is none leaves the record what it is: of an unknown schema.
                Ok(Some(text)) => drop(self.question_writers.add_registered(id, &text)),
                Ok(None) => {}
                Err(why) => {
                    tracing::warn!(
                        partition = head.slot.partition.0,
                        schema = id,
                        why,
                        "a question waits for a schema"
                    );
                    return Decoded::Waits;
                }
            }
        }
        match self.question_writers.read::<records::ForecastRequested<'_>>(value) {
            Ok(record) => match parse(&record) {
                Ok(question) if self.is_here(head, &question) => Decoded::Question(Box::new(question)),
                Ok(_) => {
                    let detail = format!(
                        "its number belongs to another partition; set {}, or `kafka.partitioner` to what it does, and \
                         write the number as the record's key",
                        self.shared.partitioner.advice()
                    );
                    Decoded::Letter(letter("wrong_partition", detail), Malformed::of_record(&record))
                }
                Err(mistakes) => {
                    Decoded::Letter(letter("invalid_field", mistakes.to_string()), Malformed::of_record(&record))
                }
            },
            Err(error) => Decoded::Letter(letter(error.code(), error.to_string()), Malformed::of_json(value)),
        }
    }

    fn is_here(&self, head: &Head, question: &Question) -> bool {
        let number = question.number.as_str().as_bytes();
        self.shared.partitioner.partition(number, self.shared.partitions) == head.slot.partition.0
    }

    /// Publishes the answer, in as many parts as it needs.
    fn publish_forecast(
        &mut self,
        partition: Partition,
        question: &Question,
        folded: Option<i64>,
    ) -> Result<(), Trouble> {
        let mut parts = Parts::new(question.candidates.len(), question.per_recipient);
        let Some(standing) = self.forecast(partition, question, &mut parts)? else {
            return Ok(());
        };
        let asked = Asked {
            number: question.number.as_str(),
            request: question.request.as_str(),
            at: question.asked_at.millis(),
            folded,
        };
        let shared = Arc::clone(&self.shared);
        let mut written = Vec::new();
        for record in self.publisher.forecast(asked, standing, &parts) {
            let mut bytes = Vec::new();
            shared.framers.forecast_answer.write(&record, &mut bytes).map_err(unwritable)?;
            written.push((bytes, headers::of(&record.envelope, shared.headers)));
        }
        let slot = Slot { topic: Topic::ForecastAnswers, partition };
        for (bytes, headers) in written {
            self.produce_with(slot, Some(asked.number.as_bytes()), Some(&bytes), &headers)?;
        }
        Ok(())
    }

    fn publish_malformed(&mut self, head: &Head, question: &Malformed, folded: Option<i64>) -> Result<(), Trouble> {
        let Malformed { number, request, at, recipients } = question;
        let asked = Asked { number, request, at: at.unwrap_or(head.appended_at), folded };
        let shared = Arc::clone(&self.shared);
        let record = self.publisher.malformed_forecast(asked, *recipients);
        let mut bytes = Vec::new();
        shared.framers.forecast_answer.write(&record, &mut bytes).map_err(unwritable)?;
        let headers = headers::of(&record.envelope, shared.headers);
        let slot = Slot { topic: Topic::ForecastAnswers, partition: head.slot.partition };
        self.produce_with(slot, Some(number.as_bytes()), Some(&bytes), &headers)
    }
}
