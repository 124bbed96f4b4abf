//! The plain fold: the records of each partition through an engine in memory, as the commit records say that they were read.

use std::collections::BTreeMap;
use std::sync::Arc;

use tollgate::codec::ask::MalformedAsk;
use tollgate::codec::charge::Charged;
use tollgate::codec::frame::Writers;
use tollgate::codec::records::{BillingEntry, Event, WindowStateRow};
use tollgate::codec::{charge, event, partitioner, schema};
use tollgate::domain::time::Timestamp;
use tollgate::engine::ledger::{Posted, PostedDiscount, Posting, Used};
use tollgate::engine::publish::{self, Publisher, used_key};
use tollgate::engine::{Advanced, Engine, Output, Prepared};
use tollgate::store::{Memory, Store};
use tollgate::stream::{Partition, Slot, Topic};
use tollgate::worker::{Arrival, Shared};
use tollgate::zones::Zones;

use super::super::traffic::Known;
use super::{Anomaly, Letter, Rows, Stream, commits, owner};
use crate::broker::Broker;
use crate::broker::partition::{Pair, Record};
use crate::ledgers::{Audit, Told, Usage};

/// What the records of the log say must be published and remembered.
#[derive(Default)]
pub struct Expected {
    pub published: BTreeMap<Stream, Vec<Pair>>,
    pub letters: Vec<Letter>,
    pub rows: BTreeMap<Partition, Rows>,
}

/// What ledgers have told, as it lies in the log.
pub fn told(broker: &Broker) -> Vec<Told> {
    let mut all = Vec::new();
    for (slot, log) in broker.logs().filter(|(slot, _)| slot.topic == Topic::Usage) {
        for (record, (key, value)) in log.visible() {
            let key = String::from_utf8_lossy(key.as_deref().unwrap_or_default()).into_owned();
            // What a sweep writes tells nothing; whether that was committed is seen to by itself.
            let Some(value) = value.clone() else { continue };
            all.push(Told { partition: slot.partition.0, offset: record.offset, key, value });
        }
    }
    all
}

impl Expected {
    /// Folds a partition with what was known in each of its transactions, as their commit records say.
    pub fn fold(
        &mut self,
        broker: &Broker,
        partition: Partition,
        shared: &Arc<Shared>,
        (known, usage): (&Known, &mut Usage),
    ) -> Result<(), Anomaly> {
        let (Some(name), slot) = (shared.inputs.first(), Slot { topic: Topic::Input(0), partition }) else {
            return Ok(());
        };
        let setup = Arc::clone(&shared.setup);
        let publisher = Publisher::new(Arc::clone(&setup), Zones::new(), shared.name.clone(), shared.enforced);
        let opened = Engine::open(setup, Zones::new(), Arc::default(), Memory::default());
        let (engine, _) = opened.expect("memory can be read");
        let writers = |schema| Writers::of(schema).expect("a schema");
        let usage_writers = writers(schema::USAGE);
        let told: Vec<Told> = usage.all().filter(|told| place(told.owner(), shared) == partition).cloned().collect();
        let commits = commits(broker, Topic::Contacts, partition);
        // Commit records of the older format do not tell when charges were booked.
        let in_order = commits.iter().all(|(_, commit)| commit.charges.is_some());
        let audit = Audit::new(told.iter().filter(|_| in_order), &usage_writers, shared.usage_every);
        let (charge_writers, writers) = (writers(schema::BILLING_ENTRY), writers(schema::EVENT));
        let mut fold =
            Fold { expected: self, engine, publisher, writers, charge_writers, name, partition, shared, audit };
        let mut records = broker.log(slot).visible().peekable();
        let mut charges = broker.log(Slot { topic: Topic::Charges, partition }).visible().peekable();
        let mut read = BTreeMap::new();
        for (time, commit) in commits {
            let Some(reference) = known.at(commit.watermark) else {
                return Err(Anomaly::TornTransaction(format!("{partition:?}: nobody knew {:?}", commit.watermark)));
            };
            fold.engine.refer_to(Arc::clone(reference));
            read.extend(commit.usage.iter().copied());
            fold.engine.use_usage(usage.at(&read));
            let end = commit.inputs.first().map_or(0, |range| range.next.offset());
            let priced = commit.charges.map_or(0, |range| range.next.offset());
            for turn in &commit.turns {
                for (record, (_, value)) in (0..turn.records).map_while(|_| records.next_if(|(at, _)| at.offset < end))
                {
                    fold.record(record, value.as_deref().unwrap_or_default());
                }
                let booked = (0..turn.charges).map_while(|_| charges.next_if(|(at, _)| at.offset < priced));
                booked.into_iter().try_for_each(|(_, (_, value))| fold.book(value.as_deref().unwrap_or_default()))?;
            }
            let left = records.peek().is_some_and(|(record, _)| record.offset < end)
                || charges.peek().is_some_and(|(charge, _)| charge.offset < priced);
            if in_order && left {
                let why = format!("{partition:?}: transaction {} has read more than it tells of", commit.sequence);
                return Err(Anomaly::TornTransaction(why));
            }
            while let Some((record, (_, value))) = records.next_if(|(record, _)| record.offset < end) {
                fold.record(record, value.as_deref().unwrap_or_default());
            }
            // It ended between the deadlines that the next record's arrival has passed, or behind the last of them.
            if let Some(time) = time.filter(|time| fold.engine.partition_time() < Some(*time)) {
                let is_fired = |due| commit.cursor.is_none_or(|cursor| due < cursor);
                fold.advance(time, |engine| engine.due().is_some_and(is_fired));
            }
            fold.engine.commit(b"").expect("memory");
        }
        // Nobody has committed these; what follows from them is missing.
        for (record, (_, value)) in records {
            fold.record(record, value.as_deref().unwrap_or_default());
        }
        for (_, (_, value)) in charges {
            fold.book(value.as_deref().unwrap_or_default())?;
        }
        fold.engine.commit(b"").expect("memory");
        let Fold { expected, mut engine, audit, .. } = fold;
        let rows = engine.store().scan(&[], &[], usize::MAX).expect("memory").into_iter().collect();
        expected.rows.insert(partition, rows);
        if in_order {
            let (_, wrong) = audit.end(&mut engine, &usage_writers);
            wrong.into_iter().next().map_or(Ok(()), |why| Err(Anomaly::StaleState(why)))?;
        }
        Ok(())
    }

    /// What was charged must be billed at list, in whatever order its events were folded.
    pub fn price_at_list(
        &mut self,
        broker: &Broker,
        partition: Partition,
        publisher: &Publisher,
        shared: &Shared,
    ) -> Result<(), Anomaly> {
        let writers = Writers::of(schema::BILLING_ENTRY).expect("a schema");
        for (_, (_, value)) in broker.log(Slot { topic: Topic::Charges, partition }).visible() {
            let value = value.as_deref().unwrap_or_default();
            let Charged { line, mut entry, .. } = read_charge(value, &writers, partition)?;
            let booked = publisher.at_list(&line, entry.reverses.is_some());
            publish::add_price(&mut entry, &line, &booked);
            self.bill(&entry, partition, shared);
        }
        Ok(())
    }

    fn bill(&mut self, entry: &BillingEntry<'_>, partition: Partition, shared: &Shared) {
        let mut bytes = Vec::new();
        shared.framers.billing.write(entry, &mut bytes).expect("a line");
        let number = entry.phone_number_id.as_ref().map_or("", |number| number.as_str());
        let to = Slot { topic: Topic::Billing, partition: place(number, shared) };
        let pair = (Some(number.as_bytes().to_vec()), Some(bytes));
        self.published.entry((to, partition)).or_default().push(pair);
    }
}

fn read_charge<'v>(value: &'v [u8], writers: &Writers, partition: Partition) -> Result<Charged<'v>, Anomaly> {
    charge::read(value, writers)
        .map_err(|_| Anomaly::AbortedRead(format!("charges of {partition:?}: what is no charge was committed")))
}

/// The plain fold of one partition.
struct Fold<'a> {
    expected: &'a mut Expected,
    engine: Engine<Memory>,
    publisher: Publisher,
    writers: Writers,
    charge_writers: Writers,
    /// The name of the input.
    name: &'a str,
    partition: Partition,
    shared: &'a Arc<Shared>,
    audit: Audit<'a>,
}

impl Fold<'_> {
    fn read(&self, value: &[u8]) -> Read {
        read(value, &self.writers, self.partition, self.shared)
    }

    fn arrival(&self, record: &Record, read: &Read) -> Timestamp {
        let known = self.engine.partition_time();
        let said = match self.shared.arrival {
            Arrival::Log => Timestamp::from_millis(record.appended_at),
            Arrival::Field => read.said,
        };
        said.or(known).max(known).unwrap_or(Timestamp::EARLIEST)
    }

    /// Moves time to an arrival, and fires the deadlines it has passed for as long as `wanted` says.
    fn advance(&mut self, arrived_at: Timestamp, wanted: impl Fn(&Engine<Memory>) -> bool) {
        let mut outputs = Vec::new();
        while self.engine.partition_time() < Some(arrived_at) || wanted(&self.engine) {
            self.audit.before(&mut self.engine, arrived_at);
            let advanced = self.engine.advance(arrived_at, 0, &mut outputs).expect("memory");
            self.publish(outputs.drain(..));
            self.publish_posted(arrived_at);
            match advanced {
                Advanced::Done => return,
                Advanced::CommitFirst => self.engine.commit(b"").expect("memory"),
                Advanced::TakeOutputs => {}
            }
        }
    }

    fn record(&mut self, record: &Record, value: &[u8]) {
        let read = self.read(value);
        let arrived_at = self.arrival(record, &read);
        self.advance(arrived_at, |_| true);
        let (name, number, offset) = (self.name.to_owned(), i64::from(self.partition.0), record.offset);
        let letter = |code: &str| (name.clone(), number, offset, code.to_owned());
        let mut outputs = Vec::new();
        if let Some(prepared) = read.event
            && let Err(rejected) = self.engine.fold(&prepared, arrived_at, &mut outputs).expect("memory")
        {
            self.expected.letters.push(letter(rejected.code()));
        }
        self.expected.letters.extend(read.mistake.map(letter));
        self.publish(outputs.into_iter());
        if let Some(ask) = read.ask {
            let asked_at = ask.at.unwrap_or(arrived_at).millis();
            let mut bytes = Vec::new();
            let verdict = self.publisher.malformed(&ask.number, &ask.request, asked_at);
            self.shared.framers.verdict.write(&verdict, &mut bytes).expect("a verdict");
            let to = Slot { topic: Topic::Verdicts, partition: self.partition };
            let pair = (Some(ask.number.clone().into_bytes()), Some(bytes));
            self.expected.published.entry((to, self.partition)).or_default().push(pair);
        }
    }

    /// Books a charge as it lies in the log: whether that is right is seen to by itself.
    fn book(&mut self, value: &[u8]) -> Result<(), Anomaly> {
        let Charged { line, person, mut entry } = read_charge(value, &self.charge_writers, self.partition)?;
        let (number, account, scope) = charge::whose(&entry).expect("ids of ours");
        let (account, number, reverses) = (account.as_ref(), &number, entry.reverses.is_some());
        let posting = Posting { scope: &scope, account, number, line: &line, reverses, person };
        let booked = self.engine.book(posting).expect("memory");
        if let Some(now) = self.engine.partition_time() {
            self.audit.booked(used_key(&scope), now);
            // There was something to take notice of.
            if self.engine.has_posted() {
                self.publish_posted(now);
            }
        }
        publish::add_price(&mut entry, &line, &booked);
        self.expected.bill(&entry, self.partition, self.shared);
        Ok(())
    }

    /// What the ledger tells of its own accord.
    fn publish_posted(&mut self, now: Timestamp) {
        for posted in self.engine.take_posted() {
            match posted {
                Posted::Discount(posted) => self.publish_discount(&posted),
                Posted::Used(used) => self.audit.says(*used),
            }
        }
        let (publisher, framer) = (&self.publisher, &self.shared.framers.usage);
        self.audit.after(now, self.engine.reference(), |used: &Used| {
            let mut bytes = Vec::new();
            framer.write(&publisher.used(used), &mut bytes).expect("a row");
            bytes
        });
    }

    fn publish_discount(&mut self, posted: &PostedDiscount) {
        let mut bytes = Vec::new();
        self.shared.framers.billing.write(&self.publisher.discount(posted), &mut bytes).expect("a line");
        let owner = posted.discount.counter.scope.id();
        let to = Slot { topic: Topic::Billing, partition: place(owner, self.shared) };
        let pair = (Some(owner.as_bytes().to_vec()), Some(bytes));
        self.expected.published.entry((to, self.partition)).or_default().push(pair);
    }

    fn publish(&mut self, outputs: impl Iterator<Item = Output>) {
        for output in outputs {
            let (to, pair) = published(&output, &self.publisher, self.partition, self.shared);
            self.expected.published.entry((to, self.partition)).or_default().push(pair);
        }
    }
}

pub fn place(key: &str, shared: &Shared) -> Partition {
    Partition(partitioner::partition(key.as_bytes(), shared.partitions))
}

/// What a record turns out to be.
#[derive(Default)]
pub struct Read {
    said: Option<Timestamp>,
    event: Option<Prepared>,
    pub mistake: Option<&'static str>,
    pub ask: Option<MalformedAsk>,
}

pub fn read(value: &[u8], writers: &Writers, partition: Partition, shared: &Shared) -> Read {
    let record = match writers.read::<Event<'_>>(value) {
        Ok(record) => record,
        Err(error) => {
            let (mistake, ask) = (Some(error.code()), MalformedAsk::of_json(value));
            return Read { mistake, ask, ..Read::default() };
        }
    };
    match event::parse(&record, &shared.setup.key) {
        Ok(arrived) => match arrived.event {
            Some(event) if place(event.number.as_str(), shared) != partition => {
                Read { mistake: Some("wrong_partition"), ..Read::default() }
            }
            Some(event) => {
                let event = Some(Prepared::new(event, &shared.setup.key));
                Read { said: arrived.received_at, event, ..Read::default() }
            }
            None => Read { said: arrived.received_at.or(Some(arrived.occurred_at)), ..Read::default() },
        },
        Err(invalid) => {
            Read { mistake: Some(invalid.code()), ask: MalformedAsk::of_record(&record), ..Read::default() }
        }
    }
}

/// An effect, as it must lie in the log.
fn published(output: &Output, publisher: &Publisher, partition: Partition, shared: &Shared) -> (Slot, Pair) {
    let framers = &shared.framers;
    let mut key = output.number.as_str().to_owned();
    let mut bytes = Vec::new();
    let mut to = Slot { topic: Topic::Verdicts, partition };
    let written = match publisher.record(output, None) {
        publish::Record::Verdict(verdict) => framers.verdict.write(&verdict, &mut bytes),
        publish::Record::Window(edge) => {
            to.topic = Topic::Windows;
            framers.window.write(&edge, &mut bytes)
        }
        publish::Record::Outcome(outcome) => {
            to.topic = Topic::Outcomes;
            framers.outcome.write(&outcome, &mut bytes)
        }
        publish::Record::State(WindowStateRow { key: row, value }) => {
            to.topic = Topic::WindowState;
            row.as_str().clone_into(&mut key);
            let Some(value) = value else { return (to, (Some(key.into_bytes()), None)) };
            framers.state.write(&value, &mut bytes)
        }
        publish::Record::Charge(charged, entry) => {
            owner(&entry).clone_into(&mut key);
            to = Slot { topic: Topic::Charges, partition: place(&key, shared) };
            charge::write(&charged.line, charged.person, &entry, &framers.charge, &mut bytes)
        }
        publish::Record::Billing(_) | publish::Record::DeadLetter(_) | publish::Record::Usage(_) => {
            unreachable!("the fold neither prices nor gives up")
        }
    };
    written.expect("a record of ours");
    (to, (Some(key.into_bytes()), Some(bytes)))
}
