//! The fold: the records of a partition through an engine in memory, as the commit records say that they were read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tollgate::codec::ask::MalformedAsk;
use tollgate::codec::charge::Charged;
use tollgate::codec::frame::{Framing, Writers};
use tollgate::codec::schema::RecordSchema;
use tollgate::codec::state::WriteFormat;
use tollgate::codec::{charge, event, ids, partitioner, records, reference, schema};
use tollgate::config::Config;
use tollgate::domain::reference::Reference;
use tollgate::domain::time::{Millis, Timestamp};
use tollgate::engine::ledger::{Posted, PostedDiscount, Posting, Used};
use tollgate::engine::publish::{self, Place, Problem, Publisher, Record, used_key};
use tollgate::engine::{Advanced, Engine, Output, Prepared, Setup};
use tollgate::registry::{self, Registry, SchemaId};
use tollgate::store::keys::{self, Changelog};
use tollgate::store::{Memory, Store};
use tollgate::stream::Topic;
use tollgate::worker::Framers;
use tollgate::worker::position::Position;
use tollgate::zones::Zones;

use super::changelog::{Changelogs, Rows};
use super::input::{Given, Input};
use super::outputs::{Expected, From, Ids, Outputs, name_of};
use super::stores::compare_rows;
use super::{Anomaly, Figures, Findings, META, OUTPUTS};
use crate::cluster::{Deployment, Plan};
use crate::ledgers::{Audit, Told, Usage, time_of};
use crate::reading::{Isolation, scan};

/// How often `tollgate run` tells what is used.
const USAGE_EVERY: Millis = Millis::minutes(1);

/// Everything the fold needs.
pub struct Oracle {
    setup: Arc<Setup>,
    /// The same for processes that write rows of the first format.
    first: Arc<Setup>,
    config: Shared,
    framers: Framers,
    publisher: Publisher,
    writers: Writers,
    references: Vec<Arc<Reference>>,
    registered: Option<Registered>,
    /// Reads outputs.
    pub reader: Ids,
}

/// A deployment's registry, and the ids that it gave the schemas of outputs.
pub struct Registered {
    registry: Registry,
    pub ids: BTreeMap<Topic, u32>,
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
    audit: Audit<'o>,
}

impl Oracle {
    pub fn of(deployment: &Deployment) -> Self {
        let Config { name, enforced, mut setup, stream, keep_payload, .. } = deployment.config();
        setup.memory = 1 << 30;
        setup.write_format = WriteFormat::Second;
        let setup = Arc::new(setup);
        let first = Setup { write_format: WriteFormat::First, memory: setup.memory, ..deployment.config().setup };
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
            first: Arc::new(first),
            config: Shared { partitions, input: stream.inputs[0].clone(), keep_payload, by_log },
            framers: Framers::new(framing).expect("schemas of ours"),
            writers: Writers::of(schema::EVENT).expect("a schema of ours"),
            references: references(deployment, registered.as_ref()),
            reader: Ids::new(registered.as_ref()),
            registered,
        }
    }

    /// Leaves out heartbeats at the end that are behind where the last process stands: it wrote them, and ended.
    pub fn leave_heartbeats(&self, input: &mut Input, stands: i64) {
        while let Some(record) = input.heads.len().checked_sub(1).and_then(|last| input.record(last))
            && record.offset >= stands
            && matches!(self.decode(record.value), Decoded::Heartbeat(_))
        {
            input.heads.pop();
        }
    }

    /// Learns the schemas that records of an input name by their ids.
    pub fn learn_schemas(&mut self, input: &Input) {
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

    /// The engine of a process that writes rows of the second format, or of the first.
    fn open(&self, is_first: bool, store: Memory) -> Engine<Memory> {
        let setup = if is_first { &self.first } else { &self.setup };
        let (engine, _) =
            Engine::open(Arc::clone(setup), Zones::new(), Arc::default(), store).expect("memory, and rows of ours");
        engine
    }

    /// Folds a partition as its commit records say that it was read, with what was known in each transaction.
    pub fn fold(
        &self,
        partition: u32,
        (input, charges): (&Input, &[(i64, Vec<u8>)]),
        (changelog, usage): (&Changelogs, &mut Usage),
        expected: &mut Outputs,
        (figures, findings): (&mut Figures, &mut Findings),
    ) {
        let of_first = |commit: &Position| commit.charges.is_none();
        let mut is_first = changelog.commits.first().is_some_and(of_first);
        let engine = self.open(is_first, Memory::default());
        let place = |told: &Told| partitioner::partition(told.owner().as_bytes(), self.config.partitions);
        let told: Vec<Told> = usage.all().filter(|told| place(told) == partition).cloned().collect();
        // Commit records of the older format do not tell when charges were booked.
        let in_order = changelog.commits.iter().all(|commit| commit.charges.is_some());
        let usage_reader = self.reader.writers(Topic::Usage);
        let audit = Audit::new(told.iter().filter(|_| in_order), &usage_reader, USAGE_EVERY);
        let mut fold = Fold { oracle: self, partition, engine, outputs: Vec::new(), expected, audit };
        let (mut next, mut booked, mut read) = (0, 0, BTreeMap::new());
        for (commit, time) in changelog.commits.iter().zip(&changelog.times) {
            // Another process, which knows what the rows say and nothing else: those of the first format have no room for all.
            if of_first(commit) != is_first {
                is_first = !is_first;
                let store = fold.engine.into_store();
                fold.engine = self.open(is_first, store);
            }
            fold.engine.refer_to(self.reference(commit.watermark));
            read.extend(commit.usage.iter().copied());
            fold.engine.use_usage(usage.at(&read));
            let end = commit.inputs.first().map_or(0, |range| range.next.offset());
            let (from, priced) = commit.charges.map_or((0, 0), |range| (range.from.offset(), range.next.offset()));
            let given = |next: usize| input.record(next).filter(|record| record.offset < end);
            let charge = |booked: usize, end: i64| charges.get(booked).filter(|(offset, _)| *offset < end);
            // What was booked by processes that did not tell when.
            while let Some(charge) = charge(booked, from) {
                fold.book(charge);
                booked += 1;
            }
            for turn in &commit.turns {
                for _ in 0..turn.records {
                    let Some(record) = given(next) else { break };
                    fold.record(record);
                    next += 1;
                }
                for _ in 0..turn.charges {
                    let Some(charge) = charge(booked, priced) else { break };
                    fold.book(charge);
                    booked += 1;
                }
            }
            let is_told = commit.charges.is_none() || (given(next).is_none() && charge(booked, priced).is_none());
            findings.unless(is_told, Anomaly::TornTransaction, || {
                format!("partition {partition}: transaction {} has read more than it tells of", commit.sequence)
            });
            while let Some(record) = given(next) {
                fold.record(record);
                next += 1;
            }
            // It ended between the deadlines that the next record's arrival has passed, or behind the last of them.
            if let (Some(time), Some(record)) = (*time, input.record(next))
                && fold.engine.partition_time() < Some(time)
            {
                let is_fired = |due| commit.cursor.is_none_or(|cursor| due < cursor);
                fold.advance(record.offset, time, |engine| engine.due().is_some_and(is_fired));
            }
            fold.commit();
        }
        let records = changelog.last().map_or(0, |commit| commit.records);
        findings.unless(records == next as u64, Anomaly::LostWrite, || {
            format!("partition {partition}: the commit records count {records} records, and they were {next}")
        });
        charges[booked..].iter().for_each(|charge| fold.book(charge));
        fold.commit();
        let Fold { mut engine, audit, .. } = fold;
        let meta = engine.position_row(&[]);
        let rows = engine.store().scan(&[], &[], usize::MAX).expect("memory");
        if in_order {
            let (compared, wrong) = audit.end(&mut engine, &usage_reader);
            figures.reached.rows(compared);
            for why in wrong {
                findings.add(Anomaly::StaleState, || why);
            }
        }
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

    /// Counts the asks of an input.
    pub fn add_asks(&self, input: &Input, asks: &mut BTreeMap<(String, String), i64>) {
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
    pub fn check_without_order(
        &self,
        deployment: &Deployment,
        mut asks: BTreeMap<(String, String), i64>,
        figures: &mut Figures,
        findings: &mut Findings,
    ) {
        let all = || 0..deployment.plan.partitions;
        let (bootstrap, reader) = (deployment.bootstrap(), &self.reader);
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

    /// A record of the input.
    const fn at(&self, offset: i64) -> From {
        (Topic::Input(0), self.partition, offset)
    }

    fn commit(&mut self) {
        self.engine.commit(&[]).expect("memory");
    }

    /// Moves time to an instant that a record brings, and fires the deadlines it has passed for as long as `wanted` says.
    fn advance(&mut self, offset: i64, arrived_at: Timestamp, wanted: impl Fn(&Engine<Memory>) -> bool) {
        // Time has moved before the first deadline is looked at.
        while self.engine.partition_time() < Some(arrived_at) || wanted(&self.engine) {
            self.audit.before(&mut self.engine, arrived_at);
            let advanced = self.engine.advance(arrived_at, 0, &mut self.outputs).expect("memory");
            self.publish(offset);
            self.publish_posted(offset, arrived_at);
            match advanced {
                Advanced::Done => return,
                Advanced::CommitFirst => self.commit(),
                Advanced::TakeOutputs => {}
            }
        }
    }

    /// Books a charge as it lies in the log: whether it is there rightly is seen to by itself.
    fn book(&mut self, (offset, charge): &(i64, Vec<u8>)) {
        let oracle = self.oracle;
        let Charged { line, person, mut entry } =
            charge::read(charge, &oracle.reader.billing).expect("a charge of ours");
        let (number, account, scope) = charge::whose(&entry).expect("ids of ours");
        let (account, number, reverses) = (account.as_ref(), &number, entry.reverses.is_some());
        let posting = Posting { scope: &scope, account, number, line: &line, reverses, person };
        let booked = self.engine.book(posting).expect("memory");
        if let Some(now) = self.engine.partition_time() {
            self.audit.booked(used_key(&scope), now);
            // There was something to take notice of.
            if self.engine.has_posted() {
                self.publish_posted(*offset, now);
            }
        }
        publish::add_price(&mut entry, &line, &booked);
        self.bill(&entry, number.as_str(), (Topic::Charges, self.partition, *offset));
    }

    fn bill(&mut self, line: &records::BillingEntry<'_>, key: &str, from: From) {
        let mut bytes = Vec::new();
        self.oracle.framers.billing.write(line, &mut bytes).expect("a line can be written");
        let place = partitioner::partition(key.as_bytes(), self.oracle.config.partitions);
        let id = ids::from_hex(line.envelope.id.as_str());
        self.expect(Topic::Billing, place, id, from, (Some(key.as_bytes()), Some(&bytes)));
    }

    /// What the ledger tells of its own accord.
    fn publish_posted(&mut self, offset: i64, now: Timestamp) {
        let oracle = self.oracle;
        for posted in self.engine.take_posted() {
            match posted {
                Posted::Discount(posted) => self.discount(&posted, offset),
                Posted::Used(used) => self.audit.says(*used),
            }
        }
        self.audit.after(now, self.engine.reference(), |used: &Used| {
            let mut bytes = Vec::new();
            oracle.framers.usage.write(&oracle.publisher.used(used), &mut bytes).expect("a row can be written");
            bytes
        });
    }

    fn discount(&mut self, posted: &PostedDiscount, offset: i64) {
        let oracle = self.oracle;
        let owner = posted.discount.counter.scope.id();
        self.bill(&oracle.publisher.discount(posted), owner, self.at(offset));
    }

    fn record(&mut self, record: Given<'_>) {
        let Given { offset, key, value, .. } = record;
        let decoded = self.oracle.decode(value);
        let said = match &decoded {
            Decoded::Event(_, said) | Decoded::Heartbeat(said) => *said,
            Decoded::Letter(..) => None,
        };
        let arrived_at = self.arrival(record, said);
        self.advance(offset, arrived_at, |_| true);
        match decoded {
            Decoded::Heartbeat(_) => {}
            Decoded::Event(prepared, _) => {
                let number = prepared.event.number.as_str().to_owned();
                let belongs = partitioner::partition(number.as_bytes(), self.oracle.config.partitions);
                assert_eq!(belongs, self.partition, "the loader puts every number where it belongs");
                let folded = self.engine.fold(&prepared, arrived_at, &mut self.outputs).expect("memory");
                if let Err(rejected) = folded {
                    self.letter(offset, (key, value), &Problem::from(rejected), arrived_at);
                }
                self.publish(offset);
            }
            Decoded::Letter(problem, ask) => {
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
        self.expect(Topic::DeadLetters, self.partition, id, self.at(offset), (key, Some(&bytes)));
    }

    fn malformed(&mut self, offset: i64, ask: &MalformedAsk, at: Timestamp) {
        let oracle = self.oracle;
        let asked_at = ask.at.unwrap_or(at).millis();
        let verdict = oracle.publisher.malformed(&ask.number, &ask.request, asked_at);
        let mut bytes = Vec::new();
        oracle.framers.verdict.write(&verdict, &mut bytes).expect("a verdict can be written");
        let id = ids::from_hex(verdict.envelope.id.as_str());
        self.expect(Topic::Verdicts, self.partition, id, self.at(offset), (Some(ask.number.as_bytes()), Some(&bytes)));
    }

    /// What the effects become.
    fn publish(&mut self, offset: i64) {
        let oracle = self.oracle;
        let (framers, publisher, from) = (&oracle.framers, &oracle.publisher, self.at(offset));
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
                    self.expect(Topic::WindowState, self.partition, None, from, (Some(key), value));
                    continue;
                }
                Record::Charge(charged, entry) => {
                    let owner = entry.portfolio_id.as_ref().or(entry.account_id.as_ref());
                    let owner = owner.or(entry.phone_number_id.as_ref()).map_or("", |owner| owner.as_str());
                    let place = partitioner::partition(owner.as_bytes(), oracle.config.partitions);
                    charge::write(&charged.line, charged.person, entry, &framers.charge, &mut bytes).expect(written);
                    let id = ids::from_hex(entry.envelope.id.as_str());
                    self.expect(Topic::Charges, place, id, from, (Some(owner.as_bytes()), Some(&bytes)));
                    continue;
                }
                Record::Billing(_) | Record::DeadLetter(_) | Record::Usage(_) => panic!("effects are none of these"),
            };
            let id = id.and_then(|envelope| ids::from_hex(envelope.id.as_str()));
            self.expect(topic, partition, id, from, (Some(number), Some(&bytes)));
        }
    }

    fn expect(
        &mut self,
        topic: Topic,
        partition: u32,
        id: Option<[u8; 16]>,
        from: From,
        (key, value): (Option<&[u8]>, Option<&[u8]>),
    ) {
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
