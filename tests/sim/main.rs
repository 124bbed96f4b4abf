//! A simulation of Apache Kafka behind [`tollgate::stream::Log`], in which a seed decides everything that can
//! go wrong, and checks of what must hold all the same.
//!
//! - [`world`] plays events in order of time, and gives processes their turns; [`faults`] are what may go wrong.
//! - [`broker`] is the cluster: partitions, transactions of the old protocol, the group.
//! - [`log`] and [`library`] are the client: what librdkafka does, on the process's thread and behind its back.
//! - [`disk`] is a store that crashes.
//! - [`working`] is the worker itself, and what must hold of it.
//! - [`copier`] is a small worker, and its mistakes; [`check`] reads what is left; [`model`] tests the cluster itself.
//!
//! `SIM_SEEDS=100000 cargo test --test sim` plays more seeds; `SIM_SEED=7` plays one, and tells its story.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]
#![allow(missing_docs, reason = "nobody reads the documentation of a test crate")]

mod broker;
mod check;
mod copier;
mod disk;
mod faults;
#[path = "../ledgers/mod.rs"]
mod ledgers;
mod library;
mod log;
mod model;
mod random;
mod time;
mod working;
mod world;

use std::sync::Arc;
use std::time::Duration;

use check::Anomaly;
use copier::{COPIES, Mistake};
use faults::{Fault, Faults, Hits, Step};
use random::{Random, mix};
use time::SECOND;
use tollgate::stream::{Log, Partition, Records, Slot, Topic};
use world::{Ended, Feed, Outcome, Program, Setup, Timing};

/// What a seed makes of a run: how many take part, what they read, what goes wrong.
fn setup(seed: u64) -> Setup {
    let mut random = Random::new(mix(seed));
    let inputs = random.between(1, 3) as u8;
    let partitions = random.between(1, 5) as u32;
    let records = random.between(100, 400);
    let span = random.between(2, 12) * SECOND;
    let mut feeds: Vec<Feed> = Vec::new();
    for number in 0..records {
        let topic = Topic::Input(random.below(u64::from(inputs)) as u8);
        let slot = Slot { topic, partition: Partition(random.below(u64::from(partitions)) as u32) };
        // Records come in bursts, and one by one.
        let at = match feeds.last() {
            Some(last) if random.happens(5_000) => last.at,
            _ => number * span / records + random.below(SECOND / 100),
        };
        feeds.push(Feed { at, slot, pair: (None, Some(format!("{number}").into_bytes())) });
    }
    feeds.sort_by_key(|feed| feed.at);
    Setup {
        workers: random.between(1, 4) as usize,
        inputs,
        partitions,
        read: (0..inputs).map(Topic::Input).collect(),
        feeds,
        // The copier has nothing to build a store anew from.
        faults: Faults { disk_damaged: 0, disk_full: 0, ..Faults::draw(&mut random) },
        calm_from: span + random.between(2, 10) * SECOND,
        timing: Timing::default(),
    }
}

fn copying(mistake: Mistake) -> Arc<Program> {
    Arc::new(move |machine| copier::run(machine, mistake))
}

/// Whatever is wrong with a run of the copier.
fn judge(outcome: &Outcome) -> Result<(), String> {
    if let Some(failure) = &outcome.failure {
        return Err(failure.clone());
    }
    let broker = &outcome.broker;
    let said = |anomaly: Anomaly| format!("{anomaly:?}");
    check::logs(broker).map_err(said)?;
    check::copies(broker, COPIES, copier::row).map_err(said)?;
    check::positions(broker).map_err(said)?;
    for ((machine, partition), disk) in &outcome.disks {
        for slot in broker.read_slots().filter(|slot| slot.partition == *partition) {
            let committed = broker.group.committed(slot).unwrap_or(0).to_be_bytes();
            if disk.rows().get(&copier::row(slot.topic)).is_some_and(|row| row[..] > committed[..]) {
                return Err(format!("the disk of machine {machine} is ahead of {slot:?}"));
            }
        }
    }
    Ok(())
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("a number"))
}

/// What many runs have met.
struct Met {
    runs: u64,
    hits: Hits,
}

/// Plays a program with many seeds, or with the one that was asked for and tells what happens. Fails at the
/// first run that `judge` does not like.
fn play(
    usually: u64,
    program: &Arc<Program>,
    setup: fn(u64) -> Setup,
    judge: fn(&Outcome) -> Result<(), String>,
) -> Met {
    let (seeds, told) = match number("SIM_SEED") {
        Some(seed) => (seed..seed + 1, true),
        None => (0..number("SIM_SEEDS").unwrap_or(usually), false),
    };
    let mut met = Met { runs: 0, hits: Hits::default() };
    let mut lasted = 0;
    for seed in seeds {
        let outcome = world::run(seed, setup(seed), told, program);
        let verdict = judge(&outcome);
        assert!(verdict.is_ok(), "{verdict:?}\nSIM_SEED={seed} plays this run again and tells what happens");
        met.runs += 1;
        met.hits.add(&outcome.hits);
        lasted += outcome.lasted;
    }
    println!("{} runs, {} simulated minutes\n{}", met.runs, lasted / (60 * SECOND), met.hits);
    met
}

#[test]
fn every_record_is_copied_exactly_once_whatever_goes_wrong() {
    const RUNS: u64 = 2_000;
    let met = play(RUNS, &copying(Mistake::None), setup, |outcome| {
        judge(outcome)?;
        match outcome.hits.of(Fault::LateEnd) {
            0 => Ok(()),
            _ => Err("a request of a tainted producer met its next transaction".to_owned()),
        }
    });
    if met.runs >= RUNS {
        met.hits.demand(1, &[Fault::CrashBefore, Fault::CrashAfter, Fault::Stopped], &Step::CALLS);
        met.hits.demand(1, &[Fault::CrashDuring], &Step::WAITING);
        met.hits.demand(1, &[Fault::Delayed, Fault::RequestLost, Fault::ResponseLost], &Step::ASKING);
        met.hits.demand(10, &Fault::OF_THE_WORLD, &[Step::World]);
    }
}

#[test]
fn a_seed_decides_everything() {
    let program = copying(Mistake::None);
    for seed in 0..20 {
        let first = world::run(seed, setup(seed), false, &program);
        let second = world::run(seed, setup(seed), false, &program);
        assert_eq!((first.hash, first.hits), (second.hash, second.hits), "seed {seed}");
    }
}

#[test]
fn nothing_goes_wrong_in_a_quiet_world() {
    for seed in 0..20 {
        let setup = Setup { faults: Faults::NONE, ..setup(seed) };
        let outcome = world::run(seed, setup, false, &copying(Mistake::None));
        assert_eq!(judge(&outcome), Ok(()), "seed {seed}");
        assert_eq!(outcome.hits.of(Fault::Late) + outcome.hits.of(Fault::TransactionTimeout), 0);
    }
}

/// KAFKA-17754: an `EndTxn` that was answered late is sent again, and the first one ends the next transaction.
/// Recycling the producer is what keeps that from happening, so without it the simulation must show it.
#[test]
fn an_end_that_comes_late_tears_the_next_transaction_of_a_producer_that_is_not_recycled() {
    let program = copying(Mistake::IgnoresTaint);
    let (mut late, mut lost, mut twice, mut other) = (0, 0, 0, 0);
    for seed in 0..1_500 {
        let outcome = world::run(seed, setup(seed), false, &program);
        if outcome.hits.of(Fault::LateEnd) == 0 {
            continue;
        }
        late += 1;
        match check::copies(&outcome.broker, COPIES, copier::row) {
            Ok(()) => {}
            Err(Anomaly::LostWrite { .. }) => lost += 1,
            Err(Anomaly::Duplicate { .. }) => twice += 1,
            Err(_) => other += 1,
        }
    }
    println!("late ends in {late} runs: lost writes in {lost}, duplicates in {twice}, other anomalies in {other}");
    assert!(late > 0 && lost + twice > 0, "the anomaly was not met");
}

#[test]
fn every_mistake_is_found() {
    let mut missed = Vec::new();
    for mistake in Mistake::ALL {
        let program = copying(mistake);
        let found = (0..3_000).find_map(|seed| {
            let outcome = world::run(seed, setup(seed), false, &program);
            judge(&outcome).err().map(|why| (seed, why, outcome.hits.of(Fault::LateEnd)))
        });
        match found {
            Some((seed, why, late)) => println!("{mistake:?}: seed {seed}, late ends {late}: {why}"),
            None => missed.push(mistake),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn a_run_fails_when_a_process_spins_or_gives_up_or_does_nothing() {
    let failure = |program: Arc<Program>| {
        let setup = Setup { faults: Faults::NONE, ..setup(0) };
        world::run(0, setup, false, &program).failure.unwrap_or_default()
    };
    let spins = failure(Arc::new(|mut machine| {
        loop {
            let _ = machine.log.unassign();
        }
    }));
    assert!(spins.contains("spins: Unassign"), "{spins}");
    let gives_up = failure(Arc::new(|_| Ended::Halted("no".to_owned())));
    assert!(gives_up.ends_with("halted: no"), "{gives_up}");
    let does_nothing = failure(Arc::new(|mut machine| {
        loop {
            let _ = machine.log.poll(Duration::from_secs(1), &mut Records::default());
        }
    }));
    assert!(does_nothing.contains("still there is work to do"), "{does_nothing}");
}
