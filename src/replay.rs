//! `tollgate replay`: the same folds as everywhere, on files, with nothing else around.
//!
//! Three threads in a row: one reads, decodes and merges the files by arrival; this one folds; one makes
//! records and writes them. A commit waits for the outputs to be on disk and then writes state, output
//! lengths and input places in one batch, so a run that is killed anywhere goes on as if it had not been.

mod decode;
pub mod inputs;
mod outputs;
mod position;
pub mod refold;
mod summary;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread;

use tracing::{debug, info, trace, warn};

use crate::codec::{ids, records, reference};
use crate::config::{Config, Mistake};
use crate::domain::event::Happening;
use crate::domain::reference::Reference;
use crate::domain::time::Timestamp;
use crate::engine::publish::{Problem, Publisher};
use crate::engine::{Advanced, Engine};
use crate::store::{self, Store};
use crate::zones::Zones;
use decode::{Batch, Item, Merge, Start, Unit, Units, Unreadable};
use inputs::{Files, Identity, RawRecord, Supply};
pub use outputs::Format;
use outputs::Outputs;
use position::{OutputPosition, Position};
use summary::Counts;
pub(crate) use summary::table;
pub use summary::{BillRow, Summary, VerdictRow};
use writer::{Letter, Told, Writer};

/// How many batches may wait between two threads: enough that the others go on while one commits.
const WAITING: usize = 16;

/// How many outputs of deadlines are gathered before they are handed to the thread that writes.
const ROOM: usize = 4096;

/// How many records are folded between two commits, where there is a state to commit and nothing else is asked.
pub const COMMIT_EVERY: u64 = 200_000;

/// What to replay, and where to.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The files; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// The directory for outputs; without one only the summary is made.
    pub out: Option<PathBuf>,
    /// How outputs are written.
    pub format: Format,
    /// Files with records of `wa.accounts`.
    pub accounts: Vec<PathBuf>,
    /// Files with records of `wa.templates`.
    pub templates: Vec<PathBuf>,
    /// The directory of a state to go on from, and to leave behind.
    pub state: Option<PathBuf>,
    /// Stop after so many records, with everything committed.
    pub stop_after: Option<u64>,
    /// How many records are folded between two commits of the state.
    pub commit_every: u64,
    /// Whether to show a progress bar.
    pub progress: bool,
}

/// Why a replay did not come to its end.
#[derive(Debug)]
pub enum Failure {
    /// Something was given that cannot be used; nothing was done.
    Mistakes(Vec<Mistake>),
    /// Something failed on the way; with a state the run can be gone on with.
    Failed(Mistake),
}

impl From<Mistake> for Failure {
    fn from(mistake: Mistake) -> Self {
        Self::Failed(mistake)
    }
}

/// Everything given, looked at before anything is done.
pub struct Prepared {
    /// What is known of accounts and templates.
    pub reference: Reference,
    identities: Vec<Identity>,
    digests: Vec<String>,
}

impl Options {
    /// Looks at all files before anything is done with them.
    ///
    /// # Errors
    /// All that cannot be used, together.
    pub fn prepare(&self, zones: &Zones) -> Result<Prepared, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let (mut identities, mut digests) = (Vec::new(), Vec::new());
        for path in &self.files {
            match Identity::of(path) {
                Ok(identity) => identities.push(identity),
                Err(error) => mistakes.push(unreadable(path, &error)),
            }
        }
        if self.state.is_some() && self.files.iter().any(|path| path == Path::new("-")) {
            mistakes.push(Mistake::new("-", "standard input cannot be read twice; with --state give files"));
        }
        if self.state.is_some() && !cfg!(feature = "rocksdb") {
            mistakes
                .push(Mistake::new("--state", "this build keeps state in memory; build it with the feature `rocksdb`"));
        }
        digests.extend(self.accounts.iter().chain(&self.templates).filter_map(|path| digest(path)));
        let (mut accounts, mut templates) = (Files(self.accounts.clone()), Files(self.templates.clone()));
        let reference = learn(&mut accounts, &mut templates, zones, &mut mistakes);
        if mistakes.is_empty() { Ok(Prepared { reference, identities, digests }) } else { Err(mistakes) }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Mistake {
    Mistake::new(path.display().to_string(), format!("it cannot be read: {error}"))
}

fn digest(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    Some(ids::hex(ids::hash(&[&bytes])).as_str().to_owned())
}

/// Learns what is known of accounts and templates.
pub fn learn(
    accounts: &mut dyn Supply,
    templates: &mut dyn Supply,
    zones: &Zones,
    mistakes: &mut Vec<Mistake>,
) -> Reference {
    let told = |wrong: Vec<reference::Mistake>| wrong.into_iter().map(|reference::Mistake(problem)| problem).collect();
    let mut known = Reference::default();
    accounts.each(mistakes, &mut |record| {
        let account: records::Account<'_> = decode_reference(record).map_err(told)?;
        reference::learn_account(&mut known, &account, &|name| zones.find(name)).map_err(told)
    });
    templates.each(mistakes, &mut |record| {
        let template: records::TemplateHistory<'_> = decode_reference(record).map_err(told)?;
        reference::learn_template(&mut known, &template).map_err(told)
    });
    known
}

fn decode_reference<'b, T: serde::Deserialize<'b>>(record: &RawRecord<'b>) -> Result<T, Vec<reference::Mistake>> {
    record.read().map_err(|problem| vec![reference::Mistake(problem)])
}

/// Replays files.
///
/// # Errors
/// What was given and cannot be used, or what failed on the way.
pub fn run(config: Config, options: &Options, prepared: Prepared, zones: Zones) -> Result<Summary, Failure> {
    match &options.state {
        #[cfg(feature = "rocksdb")]
        Some(directory) => {
            let rows = std::fs::create_dir_all(directory)
                .map_err(|error| Failure::Mistakes(vec![unreadable(directory, &error)]))
                .and_then(|()| open_rocks(&directory.join("rows"), config.setup.memory))?;
            Run::start(config, options, prepared, zones, rows)?.drive()
        }
        // Without a state to keep, rows that do not fit in memory wait in a directory of their own.
        #[cfg(feature = "rocksdb")]
        None => {
            let directory = tempfile::tempdir().map_err(|error| failed("a temporary directory", &error))?;
            let rows = open_rocks(directory.path(), config.setup.memory)?;
            Run::start(config, options, prepared, zones, rows)?.drive()
        }
        #[cfg(not(feature = "rocksdb"))]
        _ => Run::start(config, options, prepared, zones, crate::store::Memory::default())?.drive(),
    }
}

#[cfg(feature = "rocksdb")]
fn open_rocks(directory: &Path, memory: usize) -> Result<crate::store::Rocks, Failure> {
    // Rows decoded in memory take most of it; what RocksDB keeps at hand is a fourth on top.
    crate::store::Rocks::open(directory, memory / 4).map_err(|error| failed(&directory.display().to_string(), &error))
}

fn failed(place: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::Failed(Mistake::new(place, error.to_string()))
}

/// A replay under way: the thread that folds.
struct Run<'o, S> {
    options: &'o Options,
    engine: Engine<S>,
    position: Position,
    /// Where in the position each file that is being read stands.
    inputs: Vec<usize>,
    paths: Vec<Arc<str>>,
    batches: Batches,
    writer: Writer,
    told: Told,
    records: u64,
    since_commit: u64,
    bar: Bar,
}

impl<'o, S: Store> Run<'o, S> {
    fn start(
        config: Config,
        options: &'o Options,
        prepared: Prepared,
        zones: Zones,
        store: S,
    ) -> Result<Self, Failure> {
        let Prepared { reference, identities, digests } = prepared;
        let fingerprint = format!("{} {digests:?}", config.fingerprint);
        let setup = Arc::new(config.setup);
        let (engine, former) = Engine::open(Arc::clone(&setup), zones, Arc::new(reference), store)
            .map_err(|error| failed("--state", &error))?;
        let former =
            former.map(|bytes| Position::read(&bytes).ok_or_else(|| failed("--state", &"its position is damaged")));
        let out = options.out.as_deref().map(|directory| directory.display().to_string());
        let mut position = former.transpose()?.unwrap_or_else(|| Position {
            fingerprint: fingerprint.clone(),
            outputs: out.as_ref().map(|directory| OutputPosition::start(directory, options.format)),
            ..Position::default()
        });
        let outputs = out.as_deref().map(|directory| (directory, options.format));
        position.resume(identities, &fingerprint, outputs).map_err(Failure::Mistakes)?;
        let resumed = position.outputs.as_ref().and_then(|outputs| outputs.lengths);
        let outputs =
            options.out.as_deref().map(|directory| Outputs::open(directory, options.format, resumed.as_ref()));
        let outputs = outputs.transpose().map_err(|error| failed(&error.path.display().to_string(), &error.error))?;
        let inputs: Vec<usize> = (0..position.inputs.len()).filter(|index| !position.inputs[*index].finished).collect();
        let reading = inputs.iter().map(|index| &position.inputs[*index]);
        let starts: Vec<Start> = reading.clone().map(Start::of).collect();
        let paths = reading.clone().map(|input| Arc::from(input.identity.path.as_str())).collect();
        let total = reading.map(|input| input.identity.size).sum();
        let settings =
            decode::Settings { key: setup.key.clone(), webhook: config.webhook, keep_bytes: config.keep_payload };
        let (batches, read) = start_reading(starts, settings)?;
        info!(files = inputs.len(), bytes = total, resumed = resumed.is_some(), "replay starts");
        let publisher = Publisher::new(setup, Zones::new(), config.name, config.enforced);
        let counts = Counts::resume(position.summary.clone());
        Ok(Self {
            options,
            engine,
            position,
            inputs,
            paths,
            batches,
            writer: Writer::start(publisher, outputs, counts),
            told: Told::default(),
            records: 0,
            since_commit: 0,
            bar: Bar::new(options.progress, total, read),
        })
    }

    /// Folds everything, or as much as was asked for, and commits it.
    fn drive(mut self) -> Result<Summary, Failure> {
        let mut finished = true;
        'files: loop {
            let batch = self.batches.full.recv();
            let batch = batch.map_err(|_| failed("the files", &"the reading thread has stopped before their end"))?;
            let batch = batch.map_err(|error| failed(&error.path.display().to_string(), &error.error))?;
            if batch.units.is_empty() {
                break;
            }
            for unit in &batch.units {
                self.fold(unit, batch.bytes(unit))?;
                if self.options.stop_after.is_some_and(|limit| self.records >= limit) {
                    finished = false;
                    break 'files;
                }
                if self.options.state.is_some() && self.since_commit >= self.options.commit_every {
                    self.commit()?;
                }
            }
            // A reader that has come to the end of its files takes no more.
            let _ = self.batches.spent.send(batch);
            self.hand_over()?;
            self.bar.show(self.records);
        }
        if finished {
            for index in &self.inputs {
                self.position.inputs[*index].finished = true;
            }
            // Where nothing was left to read, the run that read it has done this.
            if !self.inputs.is_empty() {
                self.engine.close_ledger().map_err(|error| failed("the state", &error))?;
                self.take_posted();
            }
        }
        if self.options.state.is_some() {
            self.commit()?;
        } else {
            self.sync()?;
        }
        self.bar.finish();
        info!(records = self.records, finished, "replay ends");
        Ok(self.position.summary)
    }

    /// Folds one record: first the deadlines its arrival has passed, then what it holds.
    fn fold(&mut self, unit: &Unit, bytes: Option<&[u8]>) -> Result<(), Failure> {
        let Unit { file, number, place, high, arrived_at, ref items, size, .. } = *unit;
        let store_failed = |error| failed("the state", &error);
        loop {
            match self.engine.advance(arrived_at, ROOM, &mut self.told.outputs).map_err(store_failed)? {
                Advanced::Done => break,
                Advanced::CommitFirst => self.commit()?,
                Advanced::TakeOutputs => self.hand_over()?,
            }
        }
        self.take_posted();
        for item in items {
            let booked = self.told.outputs.len();
            let (problem, ask) = match item {
                Item::Event(prepared) => {
                    trace!(file, record = number, id = ids::hex(prepared.event.id.0).as_str(), "event");
                    if let Happening::Unknown(name) = &prepared.event.happening {
                        self.told.unknown.push(name.clone());
                    }
                    self.told.events += 1;
                    match self.engine.fold(prepared, arrived_at, &mut self.told.outputs).map_err(store_failed)? {
                        Ok(()) => {
                            self.book(booked).map_err(store_failed)?;
                            continue;
                        }
                        Err(rejected) => (Problem::from(rejected), None),
                    }
                }
                Item::Fact(fact) => {
                    self.told.facts += 1;
                    match self.engine.learn_fact(fact) {
                        Ok(()) => continue,
                        Err(mistakes) => (Problem::of_fact(&mistakes), None),
                    }
                }
                Item::Letter(problem, ask) => (problem.clone(), ask.clone()),
            };
            // What was said stays out of the log: the code and the place are enough to find it.
            warn!(file = &*self.paths[file], record = number, code = problem.code, "dead letter");
            let letter = Letter {
                path: Arc::clone(&self.paths[file]),
                number,
                problem,
                bytes: bytes.map(<[u8]>::to_vec),
                size,
                arrived_at,
                ask,
            };
            self.told.letters.push((self.told.outputs.len(), letter));
        }
        self.told.records += 1;
        let input = &mut self.position.inputs[self.inputs[file]];
        input.place = place;
        input.high = high.map(Timestamp::millis);
        self.records += 1;
        self.since_commit += 1;
        if self.options.state.is_none() && self.engine.wants_commit() {
            self.commit()?;
        }
        Ok(())
    }

    /// Books the lines among the outputs from a place on.
    fn book(&mut self, from: usize) -> Result<(), store::Error> {
        for output in &self.told.outputs[from..] {
            self.told.booked.extend(self.engine.book_output(output)?);
        }
        // Before the next commit, by which it would be told.
        if self.engine.has_posted() {
            self.take_posted();
        }
        Ok(())
    }

    /// Takes over what the ledger has to tell.
    fn take_posted(&mut self) {
        let before = self.told.outputs.len();
        self.told.posted.extend(self.engine.take_posted().into_iter().map(|posted| (before, posted)));
    }

    fn hand_over(&mut self) -> Result<(), Mistake> {
        let empty = self.writer.spent();
        self.writer.write(std::mem::replace(&mut self.told, empty))
    }

    /// Makes everything so far durable. Outputs first, then state and position in one batch: a crash in
    /// between leaves outputs longer than the position says, and the next run cuts them. Without a state to go
    /// on from there is nothing to make durable, and rows only make room in memory.
    fn commit(&mut self) -> Result<(), Failure> {
        debug!(records = self.records, since_last = self.since_commit, "commit");
        self.since_commit = 0;
        let position = if self.options.state.is_some() {
            self.sync()?;
            self.position.write()
        } else {
            Vec::new()
        };
        self.engine.commit(&position).map_err(|error| failed("the state", &error))
    }

    /// Waits until all outputs so far are written, and takes down how long they are and what was counted.
    fn sync(&mut self) -> Result<(), Failure> {
        self.hand_over()?;
        let synced = self.writer.sync(self.options.state.is_some())?;
        self.position.summary = synced.summary;
        if let Some(outputs) = &mut self.position.outputs {
            outputs.lengths = synced.lengths;
        }
        Ok(())
    }
}

/// Batches between the thread that reads and the one that folds.
struct Batches {
    full: Receiver<Result<Batch, Unreadable>>,
    spent: Sender<Batch>,
}

/// Starts the thread that reads, decodes and merges. Returns what it sends, and the count of bytes it reads.
fn start_reading(starts: Vec<Start>, settings: decode::Settings) -> Result<(Batches, Arc<AtomicU64>), Failure> {
    let read = Arc::new(AtomicU64::new(0));
    let merge = Merge::open(starts, settings, &read);
    let mut merge = merge.map_err(|unreadable_files| {
        Failure::Mistakes(unreadable_files.iter().map(|file| unreadable(&file.path, &file.error)).collect())
    })?;
    let (sender, full) = sync_channel(WAITING);
    let (spent, returned) = channel::<Batch>();
    thread::spawn(move || {
        loop {
            let mut batch = returned.try_recv().unwrap_or_default();
            let read = merge.next(&mut batch);
            // An empty batch is the end. To say nothing more is not: a thread that fails does that too.
            let at_end = batch.units.is_empty() && read.is_ok();
            // The folding thread may have stopped listening; then there is nothing left to do.
            let listening = sender.send(Ok(batch)).is_ok();
            if let Err(error) = read {
                let _ = sender.send(Err(error));
                return;
            }
            if at_end || !listening {
                return;
            }
        }
    });
    Ok((Batches { full, spent }, read))
}

/// The progress bar, where somebody watches.
struct Bar {
    bar: Option<indicatif::ProgressBar>,
    read: Arc<AtomicU64>,
}

impl Bar {
    fn new(wanted: bool, total: Option<u64>, read: Arc<AtomicU64>) -> Self {
        let bar = wanted.then(|| {
            let template = match total {
                Some(_) => "{bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left, {msg}",
                None => "{spinner} {bytes} {bytes_per_sec}, {msg}",
            };
            let bar = total.map_or_else(indicatif::ProgressBar::new_spinner, indicatif::ProgressBar::new);
            match indicatif::ProgressStyle::with_template(template) {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        Self { bar, read }
    }

    fn show(&self, records: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{records} records"));
            bar.set_position(self.read.load(Ordering::Relaxed));
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
