//! A state to ask: that of a former replay, events folded on top of it, or both, be they in files or elsewhere. What is
//! folded stays in memory or in a directory of its own; the state on disk is left as it is.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::decode::{self, Merge, Start};
pub use super::decode::{Batch, Item, Unit, Units, Unreadable};
use super::position::{InputPosition, Position};
use super::{Failure, Options, Prepared, failed, unreadable};
use crate::config::{Config, Mistake};
use crate::domain::billing::Charge;
use crate::domain::effect::What;
use crate::domain::reference::Reference;
use crate::domain::time::Timestamp;
use crate::engine::ledger::{Booked, Posted};
use crate::engine::publish::{Problem, Publisher};
use crate::engine::{Advanced, Engine, Output, Prepared as Event, Rejected};
#[cfg(feature = "rocksdb")]
use crate::store::Pending;
use crate::store::{self, Store};
use crate::zones::Zones;

/// The rows of a state that is asked.
pub type Rows = Box<dyn Store>;

/// A directory that goes with the rows in it.
#[cfg(feature = "rocksdb")]
type Guard = Option<tempfile::TempDir>;
#[cfg(not(feature = "rocksdb"))]
type Guard = ();

/// How many outputs of deadlines are handed out at once.
const ROOM: usize = 4096;

/// Where an event was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file, or the topic and its partition.
    pub file: Arc<str>,
    /// Its line, its number in a container, or its offset.
    pub record: u64,
    /// When it arrived.
    pub arrived_at: Timestamp,
}

/// Somebody who watches events being folded.
pub trait Watch {
    /// Deadlines have passed, and this follows.
    fn passed(&mut self, _outputs: &[Output]) {}

    /// An event is about to be folded.
    ///
    /// # Errors
    /// If the engine's rows cannot be read.
    fn before(&mut self, _engine: &Engine<Rows>, _event: &Event) -> Result<(), store::Error> {
        Ok(())
    }

    /// An event has been folded, or was refused, and this follows.
    ///
    /// # Errors
    /// If the engine's rows cannot be read.
    fn after(
        &mut self,
        _engine: &Engine<Rows>,
        _event: &Event,
        _origin: &Origin,
        _folded: Result<(), Rejected>,
        _outputs: &[Output],
    ) -> Result<(), store::Error> {
        Ok(())
    }

    /// A line of the ledger was booked.
    fn booked(&mut self, _charge: &Charge, _booked: &Booked) {}

    /// The ledger has this to tell of its own accord.
    fn posted(&mut self, _posted: &[Posted]) {}

    /// A record, or a part of one, was no event.
    fn letter(&mut self, _origin: &Origin, _problem: &Problem) {}
}

impl Watch for () {}

/// A state, and events that are yet to be folded on top of it.
pub struct Refold {
    engine: Engine<Rows>,
    publisher: Rc<Publisher>,
    units: Box<dyn Units>,
    paths: Vec<Arc<str>>,
    records: u64,
    /// Dropped after the rows in it are closed.
    _directory: Guard,
}

impl Refold {
    /// Opens the state of `options`, if it names one, and its files.
    ///
    /// # Errors
    /// What was given and cannot be used, together.
    pub fn open(config: Config, options: &Options, prepared: Prepared, zones: Zones) -> Result<Self, Failure> {
        let (rows, directory) = rows(options, config.setup.memory)?;
        let setup = Arc::new(config.setup);
        let (engine, former) = Engine::open(Arc::clone(&setup), zones, Arc::new(prepared.reference), rows)
            .map_err(|error| failed("--state", &error))?;
        let former = match former {
            Some(bytes) => Some(Position::read(&bytes).ok_or_else(|| failed("--state", &"its position is damaged"))?),
            None => None,
        };
        let mut mistakes = Vec::new();
        let mut records = 0;
        if let Some(former) = &former {
            records = former.inputs.iter().map(|input| input.place.records).sum();
            if !former.is_of(&config.fingerprint) {
                let problem = "settings or rate cards are not those the state was made with; give the former ones";
                mistakes.push(Mistake::new("--state", problem));
            }
            for identity in &prepared.identities {
                if former
                    .inputs
                    .iter()
                    .any(|input| input.identity.size == identity.size && input.identity.digest == identity.digest)
                {
                    mistakes.push(Mistake::new(&identity.path, "the state has folded it already; leave it out"));
                }
            }
        } else if options.state.is_some() {
            mistakes
                .push(Mistake::new("--state", "there is no state of a replay; `tollgate replay --state` makes one"));
        }
        if !mistakes.is_empty() {
            return Err(Failure::Mistakes(mistakes));
        }
        let inputs: Vec<InputPosition> = prepared.identities.into_iter().map(InputPosition::start).collect();
        let settings = decode::Settings { key: setup.key.clone(), webhook: config.webhook, keep_bytes: false };
        let starts = inputs.iter().map(Start::of).collect();
        let merge = Merge::open(starts, settings, &Arc::new(AtomicU64::new(0))).map_err(|files| {
            Failure::Mistakes(files.iter().map(|file| unreadable(&file.path, &file.error)).collect())
        })?;
        Ok(Self {
            engine,
            publisher: Rc::new(Publisher::new(setup, Zones::new(), config.name, config.enforced)),
            units: Box::new(merge),
            paths: inputs.iter().map(|input| Arc::from(input.identity.path.as_str())).collect(),
            records,
            _directory: directory,
        })
    }

    /// No state, and events from anywhere. `names` are what they come from, as they are told.
    ///
    /// # Errors
    /// If there is no room for rows.
    pub fn of(
        config: Config,
        reference: Reference,
        (names, units): (Vec<Arc<str>>, Box<dyn Units>),
        zones: Zones,
    ) -> Result<Self, Failure> {
        let (rows, directory) = rows(&Options::default(), config.setup.memory)?;
        let setup = Arc::new(config.setup);
        let (engine, _) = Engine::open(Arc::clone(&setup), zones, Arc::new(reference), rows).map_err(rows_failed)?;
        let publisher = Rc::new(Publisher::new(setup, Zones::new(), config.name, config.enforced));
        Ok(Self { engine, publisher, units, paths: names, records: 0, _directory: directory })
    }

    /// What is remembered.
    #[must_use]
    pub const fn engine(&self) -> &Engine<Rows> {
        &self.engine
    }

    /// What makes records of it.
    #[must_use]
    pub const fn publisher(&self) -> &Rc<Publisher> {
        &self.publisher
    }

    /// How many records have been folded, the state's among them.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Folds the events to their end, or what had arrived until an instant, and the deadlines until then.
    ///
    /// # Errors
    /// If they cannot be read on, or the rows cannot be read.
    pub fn fold(&mut self, until: Option<Timestamp>, watch: &mut impl Watch) -> Result<(), Failure> {
        let mut batch = Batch::default();
        'records: loop {
            self.units.next(&mut batch).map_err(|error| failed(&error.path.display().to_string(), &error.error))?;
            if batch.units.is_empty() {
                break;
            }
            for unit in &batch.units {
                if until.is_some_and(|until| unit.arrived_at > until) {
                    break 'records;
                }
                self.fold_record(unit, watch)?;
            }
        }
        let Some(until) = until else {
            self.engine.close_ledger().map_err(rows_failed)?;
            watch.posted(&self.engine.take_posted());
            return Ok(());
        };
        if self.engine.partition_time().is_some_and(|reached| reached < until) {
            self.advance(until, watch)?;
        }
        Ok(())
    }

    fn advance(&mut self, to: Timestamp, watch: &mut impl Watch) -> Result<(), Failure> {
        let mut outputs = Vec::new();
        loop {
            let advanced = self.engine.advance(to, ROOM, &mut outputs).map_err(rows_failed)?;
            if !outputs.is_empty() {
                watch.passed(&outputs);
                outputs.clear();
            }
            watch.posted(&self.engine.take_posted());
            match advanced {
                Advanced::Done => return Ok(()),
                Advanced::CommitFirst => self.engine.commit(&[]).map_err(rows_failed)?,
                Advanced::TakeOutputs => {}
            }
        }
    }

    /// Books the lines among outputs.
    fn book(&mut self, outputs: &[Output], watch: &mut impl Watch) -> Result<(), Failure> {
        for output in outputs {
            let booked = self.engine.book_output(output).map_err(rows_failed)?;
            if let (What::Charge(charge), Some(booked)) = (&output.effect.what, booked) {
                watch.booked(charge, &booked);
            }
        }
        watch.posted(&self.engine.take_posted());
        Ok(())
    }

    fn fold_record(&mut self, unit: &Unit, watch: &mut impl Watch) -> Result<(), Failure> {
        self.advance(unit.arrived_at, watch)?;
        let file = self.paths.get(unit.file).map_or_else(|| Arc::from(""), Arc::clone);
        let origin = Origin { file, record: unit.number, arrived_at: unit.arrived_at };
        let mut outputs = Vec::new();
        for item in &unit.items {
            match item {
                Item::Event(event) => {
                    watch.before(&self.engine, event).map_err(rows_failed)?;
                    let folded = self.engine.fold(event, unit.arrived_at, &mut outputs).map_err(rows_failed)?;
                    self.book(&outputs, watch)?;
                    watch.after(&self.engine, event, &origin, folded, &outputs).map_err(rows_failed)?;
                    outputs.clear();
                }
                Item::Fact(fact) => {
                    if let Err(mistakes) = self.engine.learn_fact(fact) {
                        watch.letter(&origin, &Problem::of_fact(&mistakes));
                    }
                }
                Item::Letter(problem, _) => watch.letter(&origin, problem),
            }
        }
        self.records += 1;
        if self.engine.wants_commit() {
            self.engine.commit(&[]).map_err(rows_failed)?;
        }
        Ok(())
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn rows_failed(error: store::Error) -> Failure {
    failed("the state", &error)
}

/// The rows of a state, with room in front of it for those that are folded on top; or none yet.
#[cfg(feature = "rocksdb")]
fn rows(options: &Options, memory: usize) -> Result<(Rows, Guard), Failure> {
    let Some(directory) = &options.state else {
        let directory = tempfile::tempdir().map_err(|error| failed("a temporary directory", &error))?;
        let rows: Rows = Box::new(super::open_rocks(directory.path(), memory)?);
        return Ok((rows, Some(directory)));
    };
    let place = directory.join("rows");
    if !place.is_dir() {
        let problem = "there is no state of a replay; `tollgate replay --state` makes one";
        return Err(Failure::Mistakes(vec![Mistake::new(directory.display().to_string(), problem)]));
    }
    Ok((Box::new(Pending::new(super::open_rocks(&place, memory)?)), None))
}

#[cfg(not(feature = "rocksdb"))]
#[allow(clippy::unnecessary_wraps, reason = "rows on disk may fail to open")]
fn rows(_: &Options, _: usize) -> Result<(Rows, Guard), Failure> {
    Ok((Box::new(store::Memory::default()), ()))
}
