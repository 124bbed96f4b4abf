//! Whoever is erased is in no output that is written later, and once they are compacted in no changelog, in no file of theirs
//! and in no store; nor does anything that comes late, or a state that is built anew, bring them back.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use tollgate::codec::ids::{self, DeploymentKey};
use tollgate::codec::partitioner;
use tollgate::codec::records::{Event, Verdict};
use tollgate::codec::state::{self, AliasRow};
use tollgate::domain::id::NumberId;
use tollgate::domain::identity::Rank;
use tollgate::store::{Rocks, Store, keys};
use tollgate::stream::Topic;
use tollgate::worker::SWEPT;

use crate::broker::Broker;
use crate::cluster::{ByPartition, Deployment, Plan, Process, data, now};
use crate::erased::{
    self, Forms, accepted, accepted_for_group, asked, erased, freeform, in_files, inbound, marketing, names, share,
    status, stop,
};
use crate::produce::{Loader, messages};
use crate::reading::{Isolation, Positions, scan, scan_from};
use crate::topics::change;

/// How long a step may take.
const LIMIT: Duration = Duration::from_mins(3);

const NOON: i64 = 1_791_200_000_000;
const HOUR: i64 = 60 * 60 * 1_000;
const DAY: i64 = 24 * HOUR;

/// What the state is made of.
const CHANGELOGS: [Topic; 2] = [Topic::Contacts, Topic::Messages];

/// As soon as something is written over it may go, and so may what says that something was deleted.
const COMPACTED_AT_ONCE: &str = "min.compaction.lag.ms=0,max.compaction.lag.ms=500,segment.ms=500,\
    min.cleanable.dirty.ratio=0.0001,delete.retention.ms=0,file.delete.delay.ms=1";

/// As our changelogs are.
const COMPACTED_IN_TIME: &str = "min.compaction.lag.ms=3600000,max.compaction.lag.ms=604800000,delete.retention.ms=86400000,\
    segment.ms=604800000,min.cleanable.dirty.ratio=0.5";

/// A deployment in which somebody is erased.
struct Erasure {
    broker: Broker,
    deployment: Deployment,
    loader: Loader,
    process: Option<Process>,
    forms: Forms,
    /// How many others have written.
    others: u64,
}

impl Erasure {
    fn start() -> Self {
        let broker = Broker::start_with(&["broker.session.timeout.ms=60000", "log.cleaner.backoff.ms=200"]);
        let deployment = "identity = \"clear\"\n";
        let plan = Plan { name: "erased", partitions: 2, json: true, deployment, ..Plan::default() };
        let deployment = Deployment::create(&broker, plan);
        let (loader, process) = (Loader::of(&deployment), Some(deployment.start("a")));
        Self { broker, deployment, loader, process, forms: Forms::new(), others: 0 }
    }

    /// Sends what happens, and waits until it is folded.
    fn fold(&mut self, events: &[Event<'_>]) {
        for event in events {
            self.loader.event(event);
        }
        self.drain();
    }

    /// Some others write.
    fn others(&mut self, at: i64) {
        let people = self.others..self.others + 20;
        self.others = people.end;
        messages(erased::NUMBER, people, at, |event| self.loader.event(event));
        self.drain();
    }

    fn drain(&mut self) {
        self.loader.finish();
        let process = self.process.as_mut().expect("a process");
        self.deployment.wait_until_drained(std::slice::from_mut(process), LIMIT);
    }

    fn end(&mut self) {
        self.process.take().expect("a process").terminate();
    }

    /// The ends of what is written, but for the state.
    fn ends(&self) -> BTreeMap<Topic, ByPartition> {
        let positions = Positions::of_all_records(self.deployment.bootstrap());
        let written = Topic::WRITTEN.into_iter().filter(|topic| !CHANGELOGS.contains(topic));
        let of_topic = |topic| {
            let name = self.deployment.topic(topic);
            let end = |partition| (partition, positions.end(&name, partition).expect("the broker answers"));
            (topic, (0..self.deployment.plan.partitions).map(end).collect())
        };
        written.map(of_topic).collect()
    }

    /// What was written since, keys before values; without what a process that begins writes first, to end what another
    /// may have left open.
    fn since(&self, ends: &BTreeMap<Topic, ByPartition>) -> Vec<(Topic, Vec<u8>)> {
        let mut found = Vec::new();
        for (topic, from) in ends {
            let name = self.deployment.topic(*topic);
            scan_from(self.deployment.bootstrap(), &name, from, Isolation::Uncommitted, |read| {
                if read.key != Some(SWEPT) {
                    found.push((*topic, [read.key, read.value].into_iter().flatten().collect::<Vec<_>>().concat()));
                }
                ControlFlow::Continue(())
            });
        }
        found
    }

    /// What of the changelogs tells of the person: their records as readers of everything get them, and their files.
    fn in_changelogs(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for topic in CHANGELOGS {
            let (name, partitions) = (self.deployment.topic(topic), self.deployment.plan.partitions);
            scan(self.deployment.bootstrap(), &name, 0..partitions, Isolation::Uncommitted, |read| {
                for part in [read.key, read.value].into_iter().flatten() {
                    if let Some(form) = self.forms.in_bytes(part) {
                        found.insert(format!("records of `{name}`"), form.to_owned());
                    }
                }
            });
            for partition in 0..partitions {
                if let Some(told) = in_files(&data(&self.broker).join(format!("{name}-{partition}")), &self.forms) {
                    found.insert(format!("files of `{name}`"), told);
                }
            }
        }
        found
    }

    /// Where the store of the person's number is.
    fn store(&self) -> PathBuf {
        let home = partitioner::partition(erased::NUMBER.as_bytes(), self.deployment.plan.partitions);
        self.deployment.state("a").join(format!("partition-{home}"))
    }

    /// Compacts the store, and holds that nothing in it tells of the person, and that each of their names is known to be of
    /// somebody who was erased.
    fn assert_store_has_forgotten(&self, what: &str) {
        let store = Rocks::open(&self.store(), 16 << 20).expect("a store that nobody uses");
        store.compact().expect("the disk has room");
        let rows = store.scan(&[], &[], usize::MAX).expect("it can be read");
        assert!(rows.len() > 100, "{what}: {} rows", rows.len());
        for (key, row) in rows {
            let form = self.forms.in_bytes(&[&key[..], &row].concat()).map(str::to_owned);
            assert_eq!(form, None, "{what}: a row of kind {}", char::from(key[0]));
        }
        let names = [(Rank::Phone, erased::PHONE), (Rank::Scoped, erased::SCOPED), (Rank::Parent, erased::PARENT)];
        for (rank, name) in names {
            let row = store.get(&keys::alias(key().alias(&number(), rank, name).hash)).expect("it can be read");
            let row = row.map(|row| state::read_alias(&row).expect("a row of ours"));
            assert!(matches!(row, Some(AliasRow::Suppressed(_))), "{what}: {rank:?}: {row:?}");
        }
        drop(store);
        assert_eq!(in_files(&self.store(), &self.forms), None, "{what}: files of the store");
    }
}

fn key() -> DeploymentKey {
    DeploymentKey::new(b"tests name invented people only").expect("the key of tests")
}

fn number() -> NumberId {
    NumberId::parse(erased::NUMBER).expect("a number")
}

#[test]
fn who_was_erased_is_in_no_changelog_once_it_is_compacted_and_in_no_state_made_of_it() {
    let mut erasure = Erasure::start();
    let mut lived = vec![inbound(NOON, 100), stop(NOON + HOUR)];
    for name in 0..6 {
        let at = NOON + 2 * HOUR;
        lived.extend([asked(at, name, freeform()), accepted(at + 300, name), status(at + 1_000, name, "sent")]);
    }
    lived.extend((0..4).map(|name| status(NOON + 3 * HOUR, name, "delivered")));
    lived.push(accepted_for_group(NOON + 3 * HOUR, 0));
    lived.extend(["sent", "delivered"].map(|what| share(NOON + 3 * HOUR, 0, names(), what)));
    erasure.fold(&lived);
    erasure.others(NOON + 4 * HOUR);
    // Messages that were delivered five weeks before are held whole, and a last one was never heard of.
    erasure.others(NOON + 20 * DAY);
    let erased_at = NOON + 35 * DAY;
    erasure.fold(&[asked(erased_at - DAY, 6, freeform()), accepted(erased_at - DAY, 6)]);
    let told: Vec<String> = erasure.in_changelogs().into_keys().collect();
    assert_eq!(told.len(), 4, "records and files of both tell of them: {told:?}");

    let ends = erasure.ends();
    let late = |at| {
        let reports = |name| ["sent", "delivered", "read", "failed"].map(|what| status(at, name, what));
        let shares = ["delivered", "read"].map(|what| share(at, 0, names(), what));
        (0..8).flat_map(reports).chain(shares).collect::<Vec<_>>()
    };
    erasure.fold(&[erased(names(), erased_at)]);
    erasure.fold(&late(erased_at + HOUR));
    let since = erasure.since(&ends);
    assert!(since.iter().any(|(topic, _)| *topic == Topic::WindowState), "their row is taken from the table");
    for (topic, record) in &since {
        assert_eq!(erasure.forms.in_bytes(record), None, "{topic:?}");
    }

    for topic in CHANGELOGS {
        change(&erasure.broker, &erasure.deployment.topic(topic), COMPACTED_AT_ONCE);
    }
    let (mut at, deadline) = (erased_at + 2 * HOUR, now() + LIMIT);
    loop {
        // The segment that is written to is never compacted, and another begins only where something is written.
        at += 1_000;
        erasure.others(at);
        let told = erasure.in_changelogs();
        if told.is_empty() {
            break;
        }
        assert!(now() < deadline, "what is written over goes: {told:?}");
        thread::sleep(Duration::from_millis(300));
    }
    erasure.end();
    erasure.assert_store_has_forgotten("the store that was there");

    // All that is left are the changelogs.
    std::fs::remove_dir_all(erasure.deployment.state("a")).expect("the state is there to be lost");
    for topic in CHANGELOGS {
        change(&erasure.broker, &erasure.deployment.topic(topic), COMPACTED_IN_TIME);
    }
    erasure.process = Some(erasure.deployment.start("a"));
    let ends = erasure.ends();
    erasure.fold(&late(at + HOUR));
    // What is used of limits and budgets is told anew by whoever takes a partition over, and is about nobody.
    let (usage, others): (Vec<_>, Vec<_>) =
        erasure.since(&ends).into_iter().partition(|(topic, _)| *topic == Topic::Usage);
    assert_eq!(others, [], "reports bring nobody back");
    assert!(usage.iter().all(|(_, record)| erasure.forms.in_bytes(record).is_none()), "no more than numbers");
    erasure.end();
    erasure.assert_store_has_forgotten("the store that was made of the changelogs");

    erasure.process = Some(erasure.deployment.start("a"));
    erasure.fold(&[asked(at + 2 * HOUR, 50, marketing())]);
    let since = erasure.since(&ends);
    let [(_, verdict)] = since.iter().filter(|(topic, _)| *topic == Topic::Verdicts).collect::<Vec<_>>()[..] else {
        panic!("one answer");
    };
    let verdict: Verdict<'_> = serde_json::from_slice(&verdict[erased::NUMBER.len()..]).expect("a verdict");
    assert_eq!(verdict.verdict.as_str(), "blocked");
    assert!(verdict.reasons.iter().any(|reason| reason.code.as_str() == "marketing_opted_out"), "their refusal holds");
    let called = ids::hex(key().contact(&number(), erased::PHONE, 1).0);
    assert_eq!(verdict.contact.expect("a contact").key.as_str(), called.as_str(), "somebody new");
    erasure.end();
}
