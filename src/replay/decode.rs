//! Records to what the engine folds, in order of arrival.
//!
//! A record is one of our events or the body of a webhook; which, its fields tell. Files are merged by the
//! instant a record arrived: `received_at` where it says, else the greatest `occurred_at` its file has had.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::inputs::{Flaw, Input, Place, RawRecord};
use super::position::InputPosition;
use crate::codec::ask::MalformedAsk;
use crate::codec::ids::DeploymentKey;
use crate::codec::reference::Learned;
use crate::codec::webhook::{self, Part};
use crate::codec::{avro, event, frame, records};
use crate::domain::time::Timestamp;
use crate::engine::Prepared;
use crate::engine::publish::Problem;

/// How many records travel between threads at once.
const BATCH: usize = 512;

/// One record, decoded.
#[derive(Debug)]
pub struct Unit {
    /// Which file it comes from, by the order on the command line; or which topic.
    pub file: usize,
    /// Its line, its number in a container, or its offset.
    pub number: u64,
    /// The place behind it.
    pub place: Place,
    /// The greatest time its file has had.
    pub high: Option<Timestamp>,
    /// When it arrived.
    pub arrived_at: Timestamp,
    /// What it holds, in order.
    pub items: Vec<Item>,
    /// Where in its batch its bytes are as they came, for a dead letter, where they are kept.
    kept: Option<Range<usize>>,
    /// How many bytes it has.
    pub size: u64,
}

/// Records on their way to the fold. A batch goes back to where it came from, so that its room is used again
/// and the thread that has allocated its records is the one to free them.
#[derive(Debug, Default)]
pub struct Batch {
    /// The records, in order.
    pub units: Vec<Unit>,
    bytes: Vec<u8>,
}

impl Batch {
    /// The bytes of a record as they came, where they are kept.
    #[must_use]
    pub fn bytes(&self, unit: &Unit) -> Option<&[u8]> {
        unit.kept.clone().and_then(|range| self.bytes.get(range))
    }

    /// Forgets all records, and keeps their room.
    pub fn clear(&mut self) {
        self.units.clear();
        self.bytes.clear();
    }
}

impl Unit {
    /// A record that is not of a file: where it comes from is all there is to know of its place.
    #[must_use]
    pub const fn of_log(source: usize, number: u64, arrived_at: Timestamp, items: Vec<Item>, size: u64) -> Self {
        let place = Place { bytes: 0, records: 0, lines: 0 };
        Self { file: source, number, place, high: None, arrived_at, items, kept: None, size }
    }
}

/// Records, decoded and in order of arrival, wherever they come from.
pub trait Units {
    /// Fills a batch with the next records. It stays empty at the end.
    ///
    /// # Errors
    /// If what they come from cannot be read on.
    fn next(&mut self, batch: &mut Batch) -> Result<(), Unreadable>;
}

/// What a record holds.
#[derive(Debug)]
pub enum Item {
    /// An event.
    Event(Box<Prepared>),
    /// A fact about an account or a template.
    Fact(Box<Learned<'static>>),
    /// Something that cannot be folded, and whether it is an ask that deserves an answer all the same.
    Letter(Problem, Option<MalformedAsk>),
}

/// What decoding needs to know.
pub struct Settings {
    /// The deployment's key.
    pub key: DeploymentKey,
    /// The webhook reader's settings.
    pub webhook: webhook::Settings,
    /// Whether records are kept for dead letters.
    pub keep_bytes: bool,
}

/// One file, being decoded.
struct Source {
    path: PathBuf,
    input: Input,
    /// Whether its records have been webhook bodies lately.
    webhooks: bool,
    /// The greatest time it has had.
    high: Option<Timestamp>,
    next: Option<Unit>,
    /// The bytes of the next record, where they are kept.
    kept: Vec<u8>,
}

/// Where a file is to be read from.
pub struct Start {
    /// The file.
    pub path: PathBuf,
    /// How far it has been read before.
    pub place: Place,
    /// The greatest time it has had.
    pub high: Option<Timestamp>,
}

impl Start {
    /// Where a former run stopped reading a file.
    #[must_use]
    pub fn of(input: &InputPosition) -> Self {
        Self { path: PathBuf::from(&input.identity.path), place: input.place, high: input.high() }
    }
}

/// Several files, merged by arrival.
pub struct Merge {
    sources: Vec<Source>,
    settings: Settings,
}

/// A file, or what else there is, that cannot be read on.
#[derive(Debug)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

impl Merge {
    /// Opens files at their places.
    ///
    /// # Errors
    /// The files that cannot be opened or read.
    pub fn open(starts: Vec<Start>, settings: Settings, read: &Arc<AtomicU64>) -> Result<Self, Vec<Unreadable>> {
        let (mut sources, mut unreadable) = (Vec::new(), Vec::new());
        for Start { path, place, high } in starts {
            match Input::open(&path, place, read) {
                Ok(input) => sources.push(Source { path, input, webhooks: false, high, next: None, kept: Vec::new() }),
                Err(error) => unreadable.push(Unreadable { path, error }),
            }
        }
        if !unreadable.is_empty() {
            return Err(unreadable);
        }
        let mut merge = Self { sources, settings };
        for file in 0..merge.sources.len() {
            merge.fill(file).map_err(|error| vec![error])?;
        }
        Ok(merge)
    }

    fn fill(&mut self, file: usize) -> Result<(), Unreadable> {
        let source = &mut self.sources[file];
        source.next = source
            .decode_next(file, &self.settings)
            .map_err(|error| Unreadable { path: source.path.clone(), error })?;
        Ok(())
    }
}

impl Units for Merge {
    /// By arrival, and then by the order of the files.
    fn next(&mut self, batch: &mut Batch) -> Result<(), Unreadable> {
        batch.clear();
        while batch.units.len() < BATCH {
            let waiting = self.sources.iter().enumerate();
            let first = waiting.filter_map(|(file, source)| source.next.as_ref().map(|unit| (unit.arrived_at, file)));
            let Some((_, file)) = first.min() else {
                return Ok(());
            };
            let source = &mut self.sources[file];
            if let Some(mut unit) = source.next.take() {
                if unit.kept.is_some() {
                    let start = batch.bytes.len();
                    batch.bytes.extend_from_slice(&source.kept);
                    unit.kept = Some(start..batch.bytes.len());
                }
                batch.units.push(unit);
            }
            self.fill(file)?;
        }
        Ok(())
    }
}

impl Source {
    fn decode_next(&mut self, file: usize, settings: &Settings) -> io::Result<Option<Unit>> {
        let Some(record) = self.input.next()? else {
            return Ok(None);
        };
        let RawRecord { number, bytes, size, flaw, plan, frame } = record;
        let mut decoding = Decoding { settings, high: self.high, received_at: None, items: Vec::new() };
        let keep = settings.keep_bytes && flaw != Some(Flaw::TooLong);
        if keep {
            self.kept.clear();
            self.kept.extend_from_slice(frame);
            self.kept.extend_from_slice(bytes);
        }
        match (flaw, plan) {
            (Some(flaw), _) => decoding.letter(flaw_problem(flaw)),
            (None, Some(plan)) => decoding.avro_event(plan, bytes),
            (None, None) => self.webhooks = decoding.json(bytes, self.webhooks),
        }
        let Decoding { high, received_at, items, .. } = decoding;
        self.high = high;
        let arrived_at = received_at.or(high).unwrap_or(Timestamp::EARLIEST);
        let place = self.input.place();
        Ok(Some(Unit { file, number, place, high, arrived_at, items, kept: keep.then_some(0..0), size }))
    }
}

fn flaw_problem(flaw: Flaw) -> Problem {
    let (code, detail) = match flaw {
        Flaw::NoObject => ("not_json", "it does not begin with `{`: a record is a JSON object"),
        Flaw::Unfinished => ("not_json", "the object is not closed before the next record or the end of the file"),
        Flaw::TooLong => ("too_long", "it is longer than 16 MiB, which no webhook or event is"),
    };
    Problem { code, detail: detail.into(), part: None }
}

/// One record, being decoded.
struct Decoding<'s> {
    settings: &'s Settings,
    high: Option<Timestamp>,
    received_at: Option<Timestamp>,
    items: Vec<Item>,
}

impl Decoding<'_> {
    fn letter(&mut self, problem: Problem) {
        self.items.push(Item::Letter(problem, None));
    }

    /// Decodes a JSON record; `webhooks` says what the records of the file have been so far. Returns what
    /// this one was.
    fn json(&mut self, bytes: &[u8], webhooks: bool) -> bool {
        if webhooks {
            match webhook::Parsed::new(bytes) {
                Ok(body) if body.is_webhook() => {
                    self.webhook(&body);
                    return true;
                }
                _ => {}
            }
        }
        match frame::from_json::<records::Event<'_>>(bytes) {
            Ok(record) => {
                self.event(&record);
                false
            }
            Err(error) => {
                if let Ok(body) = webhook::Parsed::new(bytes)
                    && body.is_webhook()
                {
                    self.webhook(&body);
                    return true;
                }
                let problem = Problem { code: error.code(), detail: error.to_string(), part: None };
                self.items.push(Item::Letter(problem, MalformedAsk::of_json(bytes)));
                webhooks
            }
        }
    }

    fn avro_event(&mut self, plan: &avro::Plan, mut bytes: &[u8]) {
        match avro::from_bytes::<records::Event<'_>>(plan, &mut bytes) {
            Ok(record) => self.event(&record),
            Err(error) => self.letter(Problem { code: "not_avro", detail: error.to_string(), part: None }),
        }
    }

    fn event(&mut self, record: &records::Event<'_>) {
        match event::parse(record, &self.settings.key) {
            Ok(arrived) => {
                self.high = self.high.max(Some(arrived.occurred_at));
                if let Some(received_at) = arrived.received_at {
                    self.received_at = self.received_at.max(Some(received_at));
                    self.high = self.high.max(Some(received_at));
                }
                if let Some(event) = arrived.event {
                    self.items.push(Item::Event(Box::new(Prepared::new(event, &self.settings.key))));
                }
            }
            Err(invalid) => {
                let problem = Problem { code: invalid.code(), detail: invalid.to_string(), part: None };
                self.items.push(Item::Letter(problem, MalformedAsk::of_record(record)));
            }
        }
    }

    fn webhook(&mut self, body: &webhook::Parsed<'_>) {
        let received_at = body.received_at();
        let fallback = received_at.or(self.high.map(Timestamp::millis));
        let parts = body.parts(&self.settings.webhook, fallback);
        if let Some(received_at) = received_at.and_then(Timestamp::from_millis) {
            self.received_at = Some(received_at);
            self.high = self.high.max(self.received_at);
        }
        let mut facts = Vec::new();
        for part in parts {
            match part {
                Part::Event(record) => self.event(&record),
                Part::Fact(fact) => {
                    // An announced fact holds from a later day, so only one from the past tells how late it is.
                    if received_at.is_none() && fact.name.as_str() != "category_announced" {
                        self.high = self.high.max(Timestamp::from_millis(fact.from));
                    }
                    facts.push((self.items.len(), fact));
                }
                Part::Refused(refusal) => {
                    let part = (!refusal.part.is_empty()).then_some(refusal.part);
                    self.letter(Problem { code: refusal.code, detail: refusal.detail.into(), part });
                }
            }
        }
        // Facts are effective at the arrival of their body, which is known once all of it is read.
        let learned_at = self.received_at.or(self.high).map_or(0, Timestamp::millis);
        for (place, fact) in facts.into_iter().rev() {
            self.items.insert(place, Item::Fact(Box::new(Learned::new(fact.into_owned(), learned_at))));
        }
    }
}
