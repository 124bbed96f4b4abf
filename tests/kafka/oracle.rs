//! What must have come out, worked out without worker, store or Kafka: each partition's input is read back from the
//! log and folded in process. And whether group, commit records, changelogs and stores agree with it.
//!
//! Anomalies have the names that Jepsen gives them. They name topics, offsets and ids, never what a record says.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tollgate::codec::ask::MalformedAsk;
use tollgate::codec::charge::Charged;
use tollgate::codec::frame::{Framing, Writers};
use tollgate::codec::schema::RecordSchema;
use tollgate::codec::state::WriteFormat;
use tollgate::codec::{charge, event, ids, partitioner, records, reference, schema, state};
use tollgate::config::Config;
use tollgate::domain::effect::What;
use tollgate::domain::message::NOTED;
use tollgate::domain::reference::Reference;
use tollgate::domain::time::Timestamp;
use tollgate::engine::ledger::Posting;
use tollgate::engine::publish::{self, Place, Problem, Publisher, Record};
use tollgate::engine::{self, Advanced, Engine, Output, Prepared, Setup};
use tollgate::registry::{self, Registry, SchemaId};
use tollgate::store::keys::{self, Changelog};
use tollgate::store::{Memory, Rocks, Store};
use tollgate::stream::Topic;
use tollgate::worker::position::Position;
use tollgate::worker::{Framers, SWEPT};
use tollgate::zones::Zones;

use crate::cluster::{ByPartition, Deployment, Plan};
use crate::reading::{Isolation, Positions, Read, scan};

/// What a reader of outputs may see.
const OUTPUTS: [Topic; 7] = [
    Topic::Charges,
    Topic::Verdicts,
    Topic::Billing,
    Topic::Windows,
    Topic::WindowState,
    Topic::Outcomes,
    Topic::DeadLetters,
];

/// How many anomalies are told; of the others only how many there are.
const TOLD: usize = 12;

/// How large the position row is before the position.
const META: usize = 25;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Anomaly {
    /// Something that follows from the input is not there.
    LostWrite,
    /// Something is there more often than it follows from the input.
    Duplicate,
    /// Something is there that follows from nothing that was committed.
    AbortedRead,
    /// Of what one transaction holds a part is there, and another part is not.
    TornTransaction,
    /// Something follows from a state that is not that of what was read before.
    StaleState,
}

/// Everything that went wrong.
#[derive(Debug, Default)]
pub struct Findings {
    found: BTreeMap<Anomaly, (u64, Vec<String>)>,
}

impl Findings {
    fn add(&mut self, anomaly: Anomaly, what: impl FnOnce() -> String) {
        let (count, told) = self.found.entry(anomaly).or_default();
        *count += 1;
        if told.len() < TOLD {
            told.push(what());
        }
    }

    fn unless(&mut self, holds: bool, anomaly: Anomaly, what: impl FnOnce() -> String) {
        if !holds {
            self.add(anomaly, what);
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (anomaly, (count, told)) in &self.found {
            writeln!(f, "{anomaly:?}: {count}")?;
            for what in told {
                writeln!(f, "  {what}")?;
            }
        }
        Ok(())
    }
}

/// What was compared.
#[derive(Debug, Default)]
pub struct Figures {
    /// Records of the inputs.
    pub records: u64,
    /// Records of the outputs that readers of committed records see.
    pub outputs: u64,
    /// Records of the outputs besides those, which only readers of all records see.
    pub aborted: u64,
    /// Transactions by their commit records, one for every partition it touched.
    pub commits: u64,
    /// Commit records between two deadlines that one record's arrival has passed.
    pub between_deadlines: u64,
    /// Asks of several inputs that came too late for a verdict, because their topic was passed over.
    pub late_asks: u64,
    /// Rows of the changelogs.
    pub rows: u64,
    /// Rows of stores that were compared.
    pub stored: u64,
}

/// An output that must be there.
struct Expected {
    topic: Topic,
    partition: u32,
    /// The output's own id; nothing where it has none.
    id: Option<[u8; 16]>,
    /// The record of the input that it follows from, by partition and offset.
    from: (u32, i64),
    /// How often it is still to be found.
    left: i64,
    /// Whether a reader of all records has seen it.
    seen: bool,
}

/// The outputs that must be there, by all that a reader gets of them.
type Outputs = HashMap<[u8; 16], Expected>;

fn name_of(topic: Topic, partition: u32, key: Option<&[u8]>, value: Option<&[u8]>) -> [u8; 16] {
    let place = OUTPUTS.iter().position(|known| *known == topic).expect("an output");
    let there = [u8::from(key.is_some()), u8::from(value.is_some()), u8::try_from(place).expect("few topics")];
    ids::hash(&[&there, &partition.to_be_bytes(), key.unwrap_or_default(), value.unwrap_or_default()])
}

/// The charges of a partition.
fn charges(deployment: &Deployment, partition: u32) -> Vec<Vec<u8>> {
    let mut charges = Vec::new();
    let topic = deployment.topic(Topic::Charges);
    scan(deployment.bootstrap(), &topic, partition..=partition, Isolation::Committed, |read| {
        charges.push(read.value.unwrap_or_default().to_vec());
    });
    charges
}

/// Compares everything that a deployment has left behind. Its processes have ended in order.
///
/// # Panics
/// With all anomalies.
pub fn check(deployment: &Deployment) -> Figures {
    let mut findings = Findings::default();
    let mut figures = Figures::default();
    let mut oracle = Oracle::of(deployment);
    let mut expected = Outputs::new();
    let positions = Positions::of(deployment.bootstrap(), deployment.plan.name);
    let inputs: Vec<Topic> = (0..deployment.plan.inputs).map(Topic::Input).collect();
    let groups: Vec<_> = inputs.iter().map(|topic| committed(&positions, deployment, *topic)).collect();
    let noted = inputs.iter().copied().chain([Topic::Charges]).map(|topic| {
        let notes = positions.notes(&deployment.topic(topic), deployment.plan.partitions);
        (topic, notes.expect("what is noted beside the group's positions"))
    });
    let notes: Vec<_> = noted.collect();
    let mut asks: BTreeMap<(String, String), i64> = BTreeMap::new();
    for partition in 0..deployment.plan.partitions {
        let changelog = Changelogs::read(deployment, partition, &mut findings);
        let mut records: Vec<Input> = inputs.iter().map(|topic| Input::read(deployment, *topic, partition)).collect();
        for input in &records {
            oracle.learn_schemas(input);
        }
        if let Some(last) = changelog.last().filter(|_| deployment.plan.by_log) {
            for (input, range) in records.iter_mut().zip(&last.inputs) {
                oracle.leave_heartbeats(input, range.next.offset());
            }
        }
        let ends: Vec<i64> = records.iter().map(Input::end).collect();
        figures.records += records.iter().map(|input| input.heads.len() as u64).sum::<u64>();
        figures.commits += changelog.commits.len() as u64;
        figures.between_deadlines += changelog.commits.iter().filter(|commit| commit.cursor.is_some()).count() as u64;
        figures.rows += (changelog.contacts.len() + changelog.messages.len()) as u64;
        changelog.check(partition, &ends, &mut findings);
        let last: Vec<i64> = changelog.last().map_or_else(Vec::new, next_offsets);
        let group: Vec<i64> = groups.iter().filter_map(|group| *group.get(&partition)?).collect();
        findings.unless(last == group, Anomaly::TornTransaction, || {
            format!("partition {partition}: the last commit record ends at {last:?}, and the group stands at {group:?}")
        });
        for (topic, notes) in &notes {
            let note = changelog.last().map_or_else(String::new, |last| format!("transaction {}", last.sequence));
            findings.unless(notes.get(&partition) == Some(&note), Anomaly::TornTransaction, || {
                format!("{topic:?}, partition {partition}: {:?} is noted, and not `{note}`", notes.get(&partition))
            });
        }
        if let [input] = &records[..] {
            let charges = charges(deployment, partition);
            oracle.fold(partition, (input, &charges), &changelog, &mut expected, &mut findings);
        } else {
            for input in &records {
                oracle.add_asks(input, &mut asks);
            }
        }
        check_stores(deployment, partition, &changelog, &mut figures, &mut findings);
    }
    check_charges_position(&positions, deployment, &mut findings);
    if inputs.len() == 1 {
        let reader = Ids::new(oracle.registered.as_ref());
        compare(deployment, &reader, &mut expected, &mut figures, &mut findings);
    } else {
        oracle.check_without_order(deployment, asks, &mut figures, &mut findings);
    }
    assert!(findings.found.is_empty(), "anomalies after {figures:?}:\n{findings}");
    figures
}

fn committed(positions: &Positions, deployment: &Deployment, topic: Topic) -> BTreeMap<u32, Option<i64>> {
    let found = positions.committed(&deployment.topic(topic), deployment.plan.partitions);
    found.expect("the group's positions")
}

fn next_offsets(position: &Position) -> Vec<i64> {
    position.inputs.iter().map(|range| range.next.offset()).collect()
}

/// The group stands behind the last charge that can be seen, and not behind the end.
fn check_charges_position(positions: &Positions, deployment: &Deployment, findings: &mut Findings) {
    let mut last = ByPartition::new();
    let all = 0..deployment.plan.partitions;
    scan(deployment.bootstrap(), &deployment.topic(Topic::Charges), all, Isolation::Committed, |read| {
        last.insert(read.partition, read.offset);
    });
    for (partition, stands) in committed(positions, deployment, Topic::Charges) {
        let behind = last.get(&partition).map_or(0, |offset| offset + 1);
        // It is committed with whatever the partition's other stage does, charges or not.
        findings.unless(stands.unwrap_or(0) == behind, Anomaly::TornTransaction, || {
            format!(
                "charges, partition {partition}: the group stands at {stands:?}, and the last charge before {behind:?}"
            )
        });
    }
}

/// Where a key or a value lies among the bytes of a partition.
type Part = Option<Range<usize>>;

/// A record of the input.
#[derive(Clone, Copy)]
struct Given<'r> {
    offset: i64,
    appended_at: i64,
    key: Option<&'r [u8]>,
    value: Option<&'r [u8]>,
}

/// A partition of an input, as it was read.
struct Input {
    heads: Vec<(i64, i64, Part, Part)>,
    bytes: Vec<u8>,
}

impl Input {
    fn read(deployment: &Deployment, topic: Topic, partition: u32) -> Self {
        let mut input = Self { heads: Vec::new(), bytes: Vec::new() };
        scan(deployment.bootstrap(), &deployment.topic(topic), [partition], Isolation::Committed, |read| {
            let mut keep = |part: &[u8]| {
                let start = input.bytes.len();
                input.bytes.extend_from_slice(part);
                start..input.bytes.len()
            };
            let (key, value) = (read.key.map(&mut keep), read.value.map(&mut keep));
            input.heads.push((read.offset, read.appended_at, key, value));
        });
        input
    }

    fn record(&self, index: usize) -> Option<Given<'_>> {
        let (offset, appended_at, key, value) = self.heads.get(index)?;
        let part = |range: &Part| range.clone().and_then(|range| self.bytes.get(range));
        Some(Given { offset: *offset, appended_at: *appended_at, key: part(key), value: part(value) })
    }

    /// The position behind the last record. The partition's end may be behind that: heartbeats come in transactions, and
    /// a marker follows.
    fn end(&self) -> i64 {
        self.heads.last().map_or(0, |(offset, ..)| offset + 1)
    }
}

/// Rows by their keys.
type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// The changelogs of a partition.
struct Changelogs {
    commits: Vec<Position>,
    /// The sequence numbers of the messages changelog.
    messages_commits: Vec<u64>,
    meta: Option<Vec<u8>>,
    contacts: Rows,
    messages: Rows,
}

impl Changelogs {
    fn read(deployment: &Deployment, partition: u32, findings: &mut Findings) -> Self {
        let mut all = Self {
            commits: Vec::new(),
            messages_commits: Vec::new(),
            meta: None,
            contacts: Rows::new(),
            messages: Rows::new(),
        };
        for topic in [Topic::Contacts, Topic::Messages] {
            scan(deployment.bootstrap(), &deployment.topic(topic), [partition], Isolation::Committed, |read| {
                all.take(topic, read, findings);
            });
        }
        all
    }

    fn take(&mut self, topic: Topic, read: Read<'_>, findings: &mut Findings) {
        let key = read.key.unwrap_or_default();
        if key == keys::meta() {
            let row = read.value.unwrap_or_default();
            match engine::position_of(row).and_then(|bytes| Position::read(&bytes)) {
                Ok(position) if topic == Topic::Messages => self.messages_commits.push(position.sequence),
                Ok(position) => {
                    self.commits.push(position);
                    self.meta = Some(row.to_vec());
                }
                Err(error) => findings.add(Anomaly::TornTransaction, || {
                    format!(
                        "{topic:?}, partition {}, offset {}: no commit record: {error}",
                        read.partition, read.offset
                    )
                }),
            }
            return;
        }
        let rows = if topic == Topic::Contacts { &mut self.contacts } else { &mut self.messages };
        match read.value {
            Some(value) => rows.insert(key.to_vec(), value.to_vec()),
            None => rows.remove(key),
        };
    }

    fn last(&self) -> Option<&Position> {
        self.commits.last()
    }

    /// Commit records follow each other without a gap, in both changelogs, and tile the inputs.
    fn check(&self, partition: u32, ends: &[i64], findings: &mut Findings) {
        let torn = Anomaly::TornTransaction;
        let (mut stands, mut priced) = (vec![0; ends.len()], Some(0));
        for (expected, commit) in (1..).zip(&self.commits) {
            findings.unless(commit.sequence == expected, torn, || {
                format!("partition {partition}: commit record {} where {expected} follows", commit.sequence)
            });
            let from: Vec<i64> = commit.inputs.iter().map(|range| range.from.offset()).collect();
            findings.unless(from == stands, torn, || {
                format!("partition {partition}, transaction {expected}: it read from {from:?}, and {stands:?} was next")
            });
            stands = next_offsets(commit);
            // Only the newer format tells of the charges.
            if let (Some(range), Some(priced)) = (commit.charges, priced) {
                findings.unless(range.from.offset() == priced, torn, || {
                    format!(
                        "partition {partition}, transaction {expected}: it priced charges from {}, and {priced} was next",
                        range.from.offset()
                    )
                });
            }
            priced = commit.charges.map(|range| range.next.offset());
        }
        findings.unless(stands == ends, Anomaly::LostWrite, || {
            format!("partition {partition}: transactions have read up to {stands:?}, and the inputs end at {ends:?}")
        });
        let sequences: Vec<u64> = self.commits.iter().map(|commit| commit.sequence).collect();
        findings.unless(sequences == self.messages_commits, torn, || {
            format!(
                "partition {partition}: {} ends of transactions in the contacts changelog and {} in that of messages",
                sequences.len(),
                self.messages_commits.len()
            )
        });
    }
}

/// What is not forgotten yet.
fn is_kept(key: &[u8], row: &[u8], now: Option<Timestamp>) -> bool {
    keys::changelog(key) != Changelog::Messages || state::kept_until(row).is_none_or(|until| Some(until) > now)
}

/// The partition time of a position row.
fn time_of(row: &[u8]) -> Option<Timestamp> {
    Timestamp::from_millis(i64::from_be_bytes(*row.get(1..9)?.first_chunk()?))
}

/// Whether two rows say the same of a number, be it in two formats: a row that was not changed stays as it was written.
/// What the first format has no room for is compared where both are of the second.
fn is_same_number(key: &[u8], row: &[u8], other: &[u8]) -> bool {
    let is_first = |row: &[u8]| row.first() == Some(&1);
    let format = if is_first(row) || is_first(other) { WriteFormat::First } else { WriteFormat::Second };
    let again = |row: &[u8]| {
        let (index, number) = state::read_number(row).expect("a row of a number");
        let mut again = Vec::new();
        state::write_number(index, &number, format, &mut again);
        again
    };
    key.first() == Some(&keys::NUMBER) && again(row) == again(other)
}

/// Compares rows, but for those that are forgotten by age: those go whenever it suits.
fn compare_rows(
    place: &str,
    (expected, found): (&Rows, &Rows),
    now: Option<Timestamp>,
    findings: &mut Findings,
) -> u64 {
    let kind = |key: &[u8]| key.first().map_or('?', |kind| char::from(*kind));
    let mut compared = 0;
    for (key, row) in expected.iter().filter(|(key, row)| is_kept(key, row, now)) {
        compared += 1;
        match found.get(key) {
            Some(other) if other == row || is_same_number(key, row, other) => {}
            Some(_) => findings.add(Anomaly::StaleState, || format!("{place}: a row of kind `{}` differs", kind(key))),
            None => findings.add(Anomaly::LostWrite, || format!("{place}: a row of kind `{}` is missing", kind(key))),
        }
    }
    for (key, _) in found.iter().filter(|(key, row)| is_kept(key, row, now) && !expected.contains_key(*key)) {
        findings.add(Anomaly::AbortedRead, || format!("{place}: a row of kind `{}` is there of nothing", kind(key)));
    }
    compared
}

/// The stores of a partition: the one that was written last agrees with the changelogs, and none is ahead of them.
fn check_stores(
    deployment: &Deployment,
    partition: u32,
    changelog: &Changelogs,
    figures: &mut Figures,
    findings: &mut Findings,
) {
    let (Some(last), Some(meta)) = (changelog.last(), &changelog.meta) else {
        return;
    };
    let mut up_to_date = 0;
    for state in deployment.states() {
        let directory = state.join(format!("partition-{partition}"));
        if !directory.exists() {
            continue;
        }
        let place = format!("the store {}", directory.display());
        let store = Rocks::open(&directory, 16 << 20).expect("a store that nobody uses");
        let mut rows: Rows = store.scan(&[], &[], usize::MAX).expect("a store that can be read").into_iter().collect();
        let Some(row) = rows.remove(keys::meta()) else {
            continue;
        };
        let position = engine::position_of(&row).and_then(|bytes| Position::read(&bytes)).expect("a position");
        findings.unless(position.sequence <= last.sequence, Anomaly::AbortedRead, || {
            format!("{place}: transaction {}, and {} is the last that was committed", position.sequence, last.sequence)
        });
        // That of a process that lost the partition is read on from when it gets it back.
        if position.sequence != last.sequence {
            continue;
        }
        up_to_date += 1;
        let same = (&position.inputs, position.charges) == (&last.inputs, last.charges);
        findings.unless(row[..META] == meta[..META] && same, Anomaly::StaleState, || {
            format!("{place}: its position row is not the last commit record's")
        });
        let is_derived = |key: &[u8]| matches!(key[0], keys::TIMER | keys::SENT);
        let derived: BTreeSet<Vec<u8>> = rows.keys().filter(|key| is_derived(key)).cloned().collect();
        rows.retain(|key, _| !is_derived(key));
        let mut expected = changelog.contacts.clone();
        expected.extend(changelog.messages.clone());
        // When a message went to its contact is forgotten once nothing can come so late.
        let forgotten = time_of(meta).map_or(i64::MIN, |now| (now - NOTED).millis());
        for (key, row) in &expected {
            let mut follows = engine::derived_from(key, row).expect("a row of the changelog");
            findings.unless(
                follows
                    .all(|key| keys::sent_when(&key).is_some_and(|at| at <= forgotten) || derived.contains(&key[..])),
                Anomaly::LostWrite,
                || format!("{place}: what follows from a row is missing"),
            );
        }
        figures.stored += compare_rows(&place, (&expected, &rows), time_of(meta), findings);
    }
    findings.unless(up_to_date > 0, Anomaly::LostWrite, || {
        format!("partition {partition}: no store has the last transaction, {}", last.sequence)
    });
}

/// Everything the fold needs.
struct Oracle {
    setup: Arc<Setup>,
    config: Shared,
    framers: Framers,
    publisher: Publisher,
    writers: Writers,
    references: Vec<Arc<Reference>>,
    registered: Option<Registered>,
}

/// A deployment's registry, and the ids that it gave the schemas of outputs.
struct Registered {
    registry: Registry,
    ids: BTreeMap<Topic, u32>,
}

impl Registered {
    fn of(deployment: &Deployment) -> Option<Self> {
        let urls = [deployment.plan.registry.clone()?];
        let registry = Registry::new(&urls, None, Duration::from_secs(5)).expect("the address of a registry");
        let id = |(topic, schema): (Topic, RecordSchema)| {
            let found = registry.look_up(&registry::subject(&deployment.topic(topic)), schema.text);
            (topic, found.expect("the processes have registered the schemas of outputs").0)
        };
        let ids = Ids::SCHEMAS.into_iter().map(id).collect();
        Some(Self { registry, ids })
    }
}

/// The id of the schema that a record names, if it names one.
fn id_of(value: &[u8]) -> Option<u32> {
    let [0, id @ ..] = value.first_chunk::<5>()? else { return None };
    Some(u32::from_be_bytes(*id))
}

/// What is left of the configuration without what the fold needs.
struct Shared {
    partitions: u32,
    input: String,
    keep_payload: bool,
    by_log: bool,
}

/// One partition that is being folded.
struct Fold<'o> {
    oracle: &'o Oracle,
    partition: u32,
    engine: Engine<Memory>,
    outputs: Vec<Output>,
    expected: &'o mut Outputs,
}

impl Oracle {
    fn of(deployment: &Deployment) -> Self {
        let Config { name, enforced, mut setup, stream, keep_payload, .. } = deployment.config();
        setup.memory = 1 << 30;
        let setup = Arc::new(setup);
        let Plan { partitions, by_log, .. } = deployment.plan;
        let registered = Registered::of(deployment);
        let framing = |topic| match &registered {
            _ if deployment.plan.json => Framing::Json,
            None => Framing::SingleObject,
            // What is not among the outputs, a heartbeat, is never written here.
            Some(registered) => registered.ids.get(&topic).map_or(Framing::SingleObject, |id| Framing::Registry(*id)),
        };
        Self {
            publisher: Publisher::new(Arc::clone(&setup), Zones::new(), name, enforced),
            setup,
            config: Shared { partitions, input: stream.inputs[0].clone(), keep_payload, by_log },
            framers: Framers::new(framing).expect("schemas of ours"),
            writers: Writers::of(schema::EVENT).expect("a schema of ours"),
            references: references(deployment, registered.as_ref()),
            registered,
        }
    }

    /// Leaves out heartbeats at the end that are behind where the last process stands: it wrote them, and ended.
    fn leave_heartbeats(&self, input: &mut Input, stands: i64) {
        while let Some(record) = input.heads.len().checked_sub(1).and_then(|last| input.record(last))
            && record.offset >= stands
            && matches!(self.decode(record.value), Decoded::Heartbeat(_))
        {
            input.heads.pop();
        }
    }

    /// Learns the schemas that records of an input name by their ids.
    fn learn_schemas(&mut self, input: &Input) {
        let Some(registered) = &self.registered else { return };
        let values = (0..input.heads.len()).filter_map(|index| input.record(index)?.value);
        let ids: BTreeSet<u32> = values.filter_map(id_of).collect();
        for id in ids {
            let text = registered.registry.schema(SchemaId(id)).expect("the registry knows what its clients name");
            self.writers.add_registered(id, &text).expect("a schema");
        }
    }

    /// What was known of accounts and templates when this was the latest fact.
    fn reference(&self, watermark: Option<Timestamp>) -> Arc<Reference> {
        let found = self.references.iter().rfind(|reference| reference.watermark() == watermark);
        Arc::clone(found.expect("a watermark of the reference topics"))
    }

    /// Folds a partition as its commit records say that it was read.
    fn fold(
        &self,
        partition: u32,
        (input, charges): (&Input, &[Vec<u8>]),
        changelog: &Changelogs,
        expected: &mut Outputs,
        findings: &mut Findings,
    ) {
        let known = self.reference(changelog.last().and_then(|commit| commit.watermark));
        let (engine, _) =
            Engine::open(Arc::clone(&self.setup), Zones::new(), known, Memory::default()).expect("memory");
        let mut fold = Fold { oracle: self, partition, engine, outputs: Vec::new(), expected };
        let mut next = 0;
        for commit in &changelog.commits {
            fold.engine.refer_to(self.reference(commit.watermark));
            let end = commit.inputs.first().map_or(0, |range| range.next.offset());
            while let Some(record) = input.record(next).filter(|record| record.offset < end) {
                fold.record(record);
                next += 1;
            }
            if let (Some((due, contact)), Some(record)) = (commit.cursor, input.record(next)) {
                fold.advance(record, |engine| engine.due().is_some_and(|first| first < (due, contact)));
            }
            fold.commit();
        }
        let records = changelog.last().map_or(0, |commit| commit.records);
        findings.unless(records == next as u64, Anomaly::LostWrite, || {
            format!("partition {partition}: the commit records count {records} records, and they were {next}")
        });
        let reader = Ids::new(self.registered.as_ref());
        for charge in charges {
            Self::book(&mut fold.engine, &reader, charge);
        }
        fold.commit();
        let meta = fold.engine.position_row(&[]);
        let store = fold.engine.into_store();
        let rows = store.scan(&[], &[], usize::MAX).expect("memory");
        let of = |changelog: Changelog| -> Rows {
            rows.iter().filter(|(key, _)| keys::changelog(key) == changelog && *key != keys::meta()).cloned().collect()
        };
        let found = changelog.meta.as_deref().map_or(&[][..], |row| &row[..META]);
        findings.unless(found.is_empty() || found == meta, Anomaly::StaleState, || {
            format!("partition {partition}: the last commit record's state is not that of the fold")
        });
        for (kind, found) in [(Changelog::Contacts, &changelog.contacts), (Changelog::Messages, &changelog.messages)] {
            let place = format!("the changelog {kind:?}, partition {partition}");
            compare_rows(&place, (&of(kind), found), time_of(&meta), findings);
        }
    }

    /// Books a charge, in the order of the log: what it costs is compared by itself.
    fn book(engine: &mut Engine<Memory>, reader: &Ids, charge: &[u8]) {
        let Charged { line, person, entry } = charge::read(charge, &reader.billing).expect("a charge of ours");
        let (number, account, scope) = charge::whose(&entry).expect("ids of ours");
        let posting = Posting {
            scope: &scope,
            account: account.as_ref(),
            number: &number,
            line: &line,
            reverses: entry.reverses.is_some(),
            person,
        };
        engine.book(posting).expect("memory");
    }

    /// Counts the asks of an input.
    fn add_asks(&self, input: &Input, asks: &mut BTreeMap<(String, String), i64>) {
        for index in 0..input.heads.len() {
            let value = input.record(index).and_then(|record| record.value).unwrap_or_default();
            asks.extend(self.ask(value).map(|ask| (ask, 1)));
        }
    }

    /// The number and the id of an ask, if a record is one.
    fn ask(&self, value: &[u8]) -> Option<(String, String)> {
        let record = self.writers.read::<records::Event<'_>>(value).ok()?;
        let ask = record.send_requested.as_ref()?;
        Some((record.phone_number_id.as_str().to_owned(), ask.request_id.as_str().to_owned()))
    }

    /// What holds in whatever order the inputs were merged: one verdict for each ask, one line of the ledger for
    /// each charge, and no id twice.
    fn check_without_order(
        &self,
        deployment: &Deployment,
        mut asks: BTreeMap<(String, String), i64>,
        figures: &mut Figures,
        findings: &mut Findings,
    ) {
        let all = || 0..deployment.plan.partitions;
        let (bootstrap, reader) = (deployment.bootstrap(), Ids::new(self.registered.as_ref()));
        scan(bootstrap, &deployment.topic(Topic::Verdicts), all(), Isolation::Committed, |read| {
            let verdict = reader.verdicts.read::<records::Verdict<'_>>(read.value.unwrap_or_default());
            let verdict = verdict.expect("a verdict of ours");
            let ask = (verdict.phone_number_id.as_str().to_owned(), verdict.request_id.as_str().to_owned());
            *asks.entry(ask).or_default() -= 1;
        });
        // A topic that stays behind is passed over, and what it brings may then be too late. Such an ask is in a letter.
        scan(bootstrap, &deployment.topic(Topic::DeadLetters), all(), Isolation::Committed, |read| {
            let letter = reader.letters.read::<records::DeadLetter<'_>>(read.value.unwrap_or_default());
            let letter = letter.expect("a dead letter of ours");
            if let (Some(ask), "too_late") =
                (letter.payload.as_ref().and_then(|kept| self.ask(&kept.0)), letter.error.as_str())
                && let Some(left) = asks.get_mut(&ask).filter(|left| **left > 0)
            {
                *left -= 1;
                figures.late_asks += 1;
            }
        });
        for left in asks.values() {
            findings.unless(*left <= 0, Anomaly::LostWrite, || "an ask has no verdict".to_owned());
            findings.unless(*left >= 0, Anomaly::Duplicate, || "an ask has more than one verdict".to_owned());
        }
        let mut lines: HashMap<[u8; 16], i64> = HashMap::new();
        let mut bytes = Vec::new();
        scan(bootstrap, &deployment.topic(Topic::Charges), all(), Isolation::Committed, |read| {
            let value = read.value.unwrap_or_default();
            let Charged { line, mut entry, .. } = charge::read(value, &reader.billing).expect("a charge of ours");
            let booked = self.publisher.at_list(&line, entry.reverses.is_some());
            publish::add_price(&mut entry, &line, &booked);
            bytes.clear();
            self.framers.billing.write(&entry, &mut bytes).expect("a line can be written");
            let number = entry.phone_number_id.as_ref().map_or("", |number| number.as_str());
            let partition = partitioner::partition(number.as_bytes(), self.config.partitions);
            let name = name_of(Topic::Billing, partition, Some(number.as_bytes()), Some(&bytes));
            *lines.entry(name).or_default() += 1;
        });
        scan(bootstrap, &deployment.topic(Topic::Billing), all(), Isolation::Committed, |read| {
            let left = lines.entry(name_of(Topic::Billing, read.partition, read.key, read.value)).or_default();
            *left -= 1;
            findings.unless(*left >= 0, Anomaly::Duplicate, || {
                format!("billing, partition {}, offset {}: a line of no charge", read.partition, read.offset)
            });
        });
        findings.unless(lines.values().all(|left| *left <= 0), Anomaly::LostWrite, || {
            "a charge has no line of the ledger".to_owned()
        });
        for topic in OUTPUTS {
            let name = deployment.topic(topic);
            let mut seen: HashMap<[u8; 16], bool> = HashMap::new();
            scan(bootstrap, &name, all(), Isolation::Committed, |read| {
                figures.outputs += 1;
                let known = reader.id(topic, &read).is_some_and(|id| seen.insert(id, true).is_some());
                findings.unless(!known, Anomaly::Duplicate, || {
                    format!("`{name}`, partition {}, offset {}: its id was there", read.partition, read.offset)
                });
            });
        }
    }
}

impl Fold<'_> {
    /// When a record arrived.
    fn arrival(&self, record: Given<'_>, said: Option<Timestamp>) -> Timestamp {
        let known = self.engine.partition_time();
        let at = if self.oracle.config.by_log { Timestamp::from_millis(record.appended_at) } else { said };
        at.or(known).max(known).unwrap_or(Timestamp::EARLIEST)
    }

    fn commit(&mut self) {
        self.engine.commit(&[]).expect("memory");
    }

    /// Moves time to a record's arrival for as long as `wanted` says.
    fn advance(&mut self, record: Given<'_>, wanted: impl Fn(&Engine<Memory>) -> bool) {
        let offset = record.offset;
        let said = match self.oracle.decode(record.value) {
            Decoded::Event(_, said) | Decoded::Heartbeat(said) => said,
            Decoded::Letter(..) => None,
        };
        let arrived_at = self.arrival(record, said);
        // Time has moved before the first deadline is looked at.
        while self.engine.partition_time() < Some(arrived_at) || wanted(&self.engine) {
            let advanced = self.engine.advance(arrived_at, 0, &mut self.outputs).expect("memory");
            self.publish(offset);
            match advanced {
                Advanced::Done => return,
                Advanced::CommitFirst => self.commit(),
                Advanced::TakeOutputs => {}
            }
        }
    }

    fn record(&mut self, record: Given<'_>) {
        self.advance(record, |_| true);
        let Given { offset, key, value, .. } = record;
        match self.oracle.decode(value) {
            Decoded::Heartbeat(_) => {}
            Decoded::Event(prepared, said) => {
                let number = prepared.event.number.as_str().to_owned();
                let arrived_at = self.arrival(record, said);
                let belongs = partitioner::partition(number.as_bytes(), self.oracle.config.partitions);
                assert_eq!(belongs, self.partition, "the loader puts every number where it belongs");
                let folded = self.engine.fold(&prepared, arrived_at, &mut self.outputs).expect("memory");
                if let Err(rejected) = folded {
                    self.letter(offset, (key, value), &Problem::from(rejected), arrived_at);
                }
                self.publish(offset);
            }
            Decoded::Letter(problem, ask) => {
                let arrived_at = self.arrival(record, None);
                self.letter(offset, (key, value), &problem, arrived_at);
                if let Some(ask) = ask {
                    self.malformed(offset, &ask, arrived_at);
                }
            }
        }
    }

    fn letter(&mut self, offset: i64, (key, value): (Option<&[u8]>, Option<&[u8]>), problem: &Problem, at: Timestamp) {
        let oracle = self.oracle;
        let partition = i32::try_from(self.partition).expect("few partitions");
        let place = Place { topic: &oracle.config.input, partition, offset, key };
        let payload = value.filter(|_| oracle.config.keep_payload);
        let size = value.map_or(0, <[u8]>::len) as u64;
        let letter = oracle.publisher.dead_letter(place, problem, payload, size, at.millis());
        let mut bytes = Vec::new();
        oracle.framers.dead_letter.write(&letter, &mut bytes).expect("a letter can be written");
        let id = ids::from_hex(letter.envelope.id.as_str());
        self.expect(Topic::DeadLetters, self.partition, id, offset, (key, Some(&bytes)));
    }

    fn malformed(&mut self, offset: i64, ask: &MalformedAsk, at: Timestamp) {
        let oracle = self.oracle;
        let asked_at = ask.at.unwrap_or(at).millis();
        let verdict = oracle.publisher.malformed(&ask.number, &ask.request, asked_at);
        let mut bytes = Vec::new();
        oracle.framers.verdict.write(&verdict, &mut bytes).expect("a verdict can be written");
        let id = ids::from_hex(verdict.envelope.id.as_str());
        self.expect(Topic::Verdicts, self.partition, id, offset, (Some(ask.number.as_bytes()), Some(&bytes)));
    }

    /// What the effects become: of a charge both the charge itself and its line of the ledger.
    fn publish(&mut self, offset: i64) {
        let oracle = self.oracle;
        let (framers, publisher) = (&oracle.framers, &oracle.publisher);
        let written = "a record can be written";
        let mut bytes = Vec::new();
        for output in std::mem::take(&mut self.outputs) {
            bytes.clear();
            let number = output.number.as_str().as_bytes();
            let record = publisher.record(&output, None);
            let (topic, partition, id) = match &record {
                Record::Verdict(record) => {
                    framers.verdict.write(record, &mut bytes).expect(written);
                    (Topic::Verdicts, self.partition, Some(&record.envelope))
                }
                Record::Window(record) => {
                    framers.window.write(record, &mut bytes).expect(written);
                    (Topic::Windows, self.partition, Some(&record.envelope))
                }
                Record::Outcome(record) => {
                    framers.outcome.write(record, &mut bytes).expect(written);
                    (Topic::Outcomes, self.partition, Some(&record.envelope))
                }
                Record::State(row) => {
                    if let Some(value) = &row.value {
                        framers.state.write(value, &mut bytes).expect(written);
                    }
                    let value = row.value.is_some().then_some(bytes.as_slice());
                    let key = row.key.as_str().as_bytes();
                    self.expect(Topic::WindowState, self.partition, None, offset, (Some(key), value));
                    continue;
                }
                Record::Charge(charged, entry) => {
                    let owner = entry.portfolio_id.as_ref().or(entry.account_id.as_ref());
                    let owner = owner.or(entry.phone_number_id.as_ref()).map_or("", |owner| owner.as_str());
                    let place = partitioner::partition(owner.as_bytes(), oracle.config.partitions);
                    charge::write(&charged.line, charged.person, entry, &framers.charge, &mut bytes).expect(written);
                    let id = ids::from_hex(entry.envelope.id.as_str());
                    self.expect(Topic::Charges, place, id, offset, (Some(owner.as_bytes()), Some(&bytes)));
                    let What::Charge(charge) = &output.effect.what else { panic!("a charge is a charge") };
                    let booked = publisher.at_list(&charge.line, charge.reverses.is_some());
                    let Record::Billing(entry) = publisher.record(&output, Some(&booked)) else {
                        panic!("a charge with its price is a line")
                    };
                    bytes.clear();
                    framers.billing.write(&entry, &mut bytes).expect(written);
                    let place = partitioner::partition(number, oracle.config.partitions);
                    self.expect(Topic::Billing, place, id, offset, (Some(number), Some(&bytes)));
                    continue;
                }
                Record::Billing(_) | Record::DeadLetter(_) | Record::Usage(_) => panic!("effects are none of these"),
            };
            let id = id.and_then(|envelope| ids::from_hex(envelope.id.as_str()));
            self.expect(topic, partition, id, offset, (Some(number), Some(&bytes)));
        }
    }

    fn expect(
        &mut self,
        topic: Topic,
        partition: u32,
        id: Option<[u8; 16]>,
        offset: i64,
        (key, value): (Option<&[u8]>, Option<&[u8]>),
    ) {
        let from = (self.partition, offset);
        let expected = Expected { topic, partition, id, from, left: 0, seen: false };
        self.expected.entry(name_of(topic, partition, key, value)).or_insert(expected).left += 1;
    }
}

/// What a record of the input is.
enum Decoded {
    Event(Box<Prepared>, Option<Timestamp>),
    Heartbeat(Option<Timestamp>),
    Letter(Problem, Option<MalformedAsk>),
}

impl Oracle {
    fn decode(&self, value: Option<&[u8]>) -> Decoded {
        let letter = |code, detail: String| Problem { code, detail, part: None };
        let record = match self.writers.read::<records::Event<'_>>(value.unwrap_or_default()) {
            Ok(record) => record,
            Err(error) => {
                let ask = value.and_then(MalformedAsk::of_json);
                return Decoded::Letter(letter(error.code(), error.to_string()), ask);
            }
        };
        match event::parse(&record, &self.setup.key) {
            Ok(arrived) => match arrived.event {
                Some(event) => Decoded::Event(Box::new(Prepared::new(event, &self.setup.key)), arrived.received_at),
                None => Decoded::Heartbeat(arrived.received_at.or(Some(arrived.occurred_at))),
            },
            Err(wrong) => Decoded::Letter(letter(wrong.code(), wrong.to_string()), MalformedAsk::of_record(&record)),
        }
    }
}

/// What was known after each record of the reference topics, from nothing to all.
fn references(deployment: &Deployment, registered: Option<&Registered>) -> Vec<Arc<Reference>> {
    let zones = Zones::new();
    let (accounts, templates) = (Writers::of(schema::ACCOUNT), Writers::of(schema::TEMPLATE_HISTORY));
    let (mut accounts, mut templates) = (accounts.expect("a schema of ours"), templates.expect("a schema of ours"));
    let learn_schema = |writers: &mut Writers, value: &[u8]| {
        if let (Some(registered), Some(id)) = (registered, id_of(value)) {
            let text = registered.registry.schema(SchemaId(id)).expect("the registry knows what its clients name");
            writers.add_registered(id, &text).expect("a schema");
        }
    };
    let mut known = Reference::default();
    let mut all = vec![Arc::new(known.clone())];
    for topic in [Topic::Accounts, Topic::Templates] {
        let name = deployment.topic(topic);
        scan(deployment.bootstrap(), &name, 0..deployment.plan.partitions, Isolation::Committed, |read| {
            let value = read.value.expect("the tests delete no facts");
            let learned = if topic == Topic::Accounts {
                learn_schema(&mut accounts, value);
                let record = accounts.read::<records::Account<'_>>(value).expect("an account");
                reference::learn_account(&mut known, &record, &|name| zones.find(name))
            } else {
                learn_schema(&mut templates, value);
                let record = templates.read::<records::TemplateHistory<'_>>(value).expect("a template");
                reference::learn_template(&mut known, &record)
            };
            learned.expect("facts of the generator's are as they should be");
            all.push(Arc::new(known.clone()));
        });
    }
    all
}

/// Reads the ids of outputs.
struct Ids {
    verdicts: Writers,
    billing: Writers,
    windows: Writers,
    outcomes: Writers,
    letters: Writers,
}

impl Ids {
    /// What is written to outputs.
    const SCHEMAS: [(Topic, RecordSchema); 6] = [
        (Topic::Verdicts, schema::VERDICT),
        (Topic::Billing, schema::BILLING_ENTRY),
        (Topic::Windows, schema::WINDOW_EVENT),
        (Topic::WindowState, schema::WINDOW_STATE),
        (Topic::Outcomes, schema::OUTCOME),
        (Topic::DeadLetters, schema::DEAD_LETTER),
    ];

    fn new(registered: Option<&Registered>) -> Self {
        let of = |topic| {
            let (_, schema) = Self::SCHEMAS.into_iter().find(|(known, _)| *known == topic).expect("an output");
            let mut writers = Writers::of(schema).expect("a schema of ours");
            if let Some(registered) = registered {
                writers.add_registered(registered.ids[&topic], schema.text).expect("a schema of ours");
            }
            writers
        };
        Self {
            verdicts: of(Topic::Verdicts),
            billing: of(Topic::Billing),
            windows: of(Topic::Windows),
            outcomes: of(Topic::Outcomes),
            letters: of(Topic::DeadLetters),
        }
    }

    /// The id of an output; nothing where it has none.
    fn id(&self, topic: Topic, read: &Read<'_>) -> Option<[u8; 16]> {
        let value = read.value?;
        let text = match topic {
            Topic::Verdicts => self.verdicts.read::<records::Verdict<'_>>(value).ok()?.envelope.id,
            Topic::Billing => self.billing.read::<records::BillingEntry<'_>>(value).ok()?.envelope.id,
            Topic::Windows => self.windows.read::<records::WindowEvent<'_>>(value).ok()?.envelope.id,
            Topic::Outcomes => self.outcomes.read::<records::Outcome<'_>>(value).ok()?.envelope.id,
            Topic::DeadLetters => self.letters.read::<records::DeadLetter<'_>>(value).ok()?.envelope.id,
            Topic::Charges => charge::read(value, &self.billing).ok()?.entry.envelope.id,
            _ => return None,
        };
        ids::from_hex(text.as_str())
    }
}

/// Compares outputs with what must be there.
fn compare(
    deployment: &Deployment,
    reader: &Ids,
    expected: &mut Outputs,
    figures: &mut Figures,
    findings: &mut Findings,
) {
    let all = || 0..deployment.plan.partitions;
    let mut strangers = Vec::new();
    for topic in OUTPUTS {
        let name = deployment.topic(topic);
        scan(deployment.bootstrap(), &name, all(), Isolation::Committed, |read| {
            figures.outputs += 1;
            match expected.get_mut(&name_of(topic, read.partition, read.key, read.value)) {
                Some(known) => {
                    known.left -= 1;
                    findings.unless(known.left >= 0, Anomaly::Duplicate, || {
                        let (partition, offset) = known.from;
                        format!(
                            "`{name}`, partition {}, offset {}: it is there already; it follows from partition \
                             {partition}, offset {offset} of the input",
                            read.partition, read.offset
                        )
                    });
                }
                None => strangers.push((topic, read.partition, read.offset, reader.id(topic, &read))),
            }
        });
    }
    if !strangers.is_empty() {
        let ids: BTreeMap<(Topic, [u8; 16]), (u32, i64)> =
            expected.values().filter_map(|known| Some(((known.topic, known.id?), known.from))).collect();
        for (topic, partition, offset, id) in strangers {
            match id.and_then(|id| ids.get(&(topic, id))) {
                Some(from) => findings.add(Anomaly::StaleState, || {
                    format!(
                        "{topic:?}, partition {partition}, offset {offset}: it is not what follows from input {from:?}"
                    )
                }),
                None => findings.add(Anomaly::AbortedRead, || {
                    format!("{topic:?}, partition {partition}, offset {offset}: it follows from nothing in the input")
                }),
            }
        }
    }
    let mut lost: Vec<&Expected> = expected.values().filter(|known| known.left > 0).collect();
    lost.sort_by_key(|known| (known.topic, known.partition, known.from));
    for known in lost {
        findings.add(Anomaly::LostWrite, || {
            let (partition, offset) = known.from;
            format!(
                "{:?}, partition {}: what follows from partition {partition}, offset {offset} of the input is missing \
                 {} times",
                known.topic, known.partition, known.left
            )
        });
    }
    // What was aborted and folded again came out as the same records. A reader of everything that keeps one of each
    // id has exactly what a reader of committed records has.
    for topic in OUTPUTS {
        let name = deployment.topic(topic);
        scan(deployment.bootstrap(), &name, all(), Isolation::Uncommitted, |read| {
            if read.key == Some(SWEPT) && read.value.is_none() {
                return;
            }
            figures.aborted += 1;
            match expected.get_mut(&name_of(topic, read.partition, read.key, read.value)) {
                Some(known) => known.seen = true,
                None => findings.add(Anomaly::StaleState, || {
                    format!(
                        "`{name}`, partition {}, offset {}: whoever reads all records sees what never was committed",
                        read.partition, read.offset
                    )
                }),
            }
        });
    }
    figures.aborted -= figures.outputs;
    findings.unless(expected.values().all(|known| known.seen), Anomaly::LostWrite, || {
        "whoever reads all records does not see all that was committed".to_owned()
    });
}
