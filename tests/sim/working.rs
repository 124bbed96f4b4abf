//! The worker itself in the simulation: what it reads in a run, how it is set, and how it is run.

mod hits;
mod planted;
mod proof;
mod traffic;

use std::sync::Arc;
use std::time::Duration;

use tollgate::codec::frame::Framing;
use tollgate::store;
use tollgate::stream::{Log, Partition, Topic};
use tollgate::worker::headers::Headers;
use tollgate::worker::{Arrival, Checkpoint, Closing, Disk, Framers, Latest, Schemas, Shared, Worker};

use crate::disk::{Disks, SimDisk};
use crate::faults::{Faults, Hits};
use crate::log::SimLog;
use crate::random::{Random, mix};
use crate::time::SECOND;
use crate::world::{self, Ended, Machine, Outcome, Program, Setup, Timing};
use hits::Table;
use planted::Plant;
use proof::Anomaly;
use traffic::{Ground, Traffic};

/// What a schema registry knows nothing of.
const UNKNOWN_SCHEMA: u32 = 77;

impl Disk for Disks {
    type Store = SimDisk;

    fn open(&mut self, partition: Partition) -> Result<SimDisk, store::Error> {
        Self::open(self, partition)
    }

    fn discard(&mut self, partition: Partition) -> Result<(), store::Error> {
        Self::discard(self, partition)
    }
}

/// A run of the worker: the world it lives in, and how it is set.
struct Case {
    world: Setup,
    shared: Arc<Shared>,
    latest: Latest,
}

/// What a seed makes of a run.
fn case(seed: u64, ground: &Ground) -> Case {
    let mut random = Random::new(mix(seed) ^ 0x3017);
    let partitions = random.between(1, 4) as u32;
    let arrival = if random.happens(4_000) { Arrival::Log } else { Arrival::Field };
    let span = random.between(3, 10) * SECOND;
    let Traffic { feeds, reference } = traffic::make(&mut random, ground, partitions, span, arrival);
    let inputs = feeds.iter().map(|feed| feed.slot.topic).max().map_or(1, |topic| match topic {
        Topic::Input(last) => last + 1,
        _ => 1,
    });
    let shared = Shared {
        setup: Arc::clone(random.pick(&ground.setups)),
        name: "simulated".to_owned(),
        enforced: true,
        framers: Framers::new(|topic| match topic {
            // As text, so that a field may be left out of account.
            Topic::DeadLetters => Framing::Json,
            _ if seed % 2 == 1 => Framing::Json,
            _ => Framing::SingleObject,
        })
        .expect("our schemas are schemas"),
        inputs: (0..inputs).map(|index| format!("input-{index}")).collect(),
        charges: "charges".to_owned(),
        partitions,
        arrival,
        keep_payload: random.happens(5_000),
        headers: Headers::Off,
        heartbeats: true,
        closing: Closing {
            age: Duration::from_millis(random.between(20, 400)),
            records: random.between(3, 60) as usize,
            bytes: random.between(500, 30_000) as usize,
        },
        checkpoint: Checkpoint {
            bytes: *random.pick(&[1, 4_000, 1 << 20]),
            age: Duration::from_millis(*random.pick(&[50, 400, 3_000])),
        },
        // A store is built anew once it is half as old.
        tombstones_kept: if random.happens(2_000) { Duration::from_secs(16) } else { Duration::from_hours(24) },
        patience: Duration::from_secs(30),
    };
    let latest = Latest::default();
    latest.set(reference);
    let mut read: Vec<Topic> = (0..inputs).map(Topic::Input).collect();
    read.push(Topic::Charges);
    let world = Setup {
        workers: random.between(1, 4) as usize,
        inputs,
        partitions,
        read,
        feeds,
        faults: Faults::draw(&mut random),
        calm_from: span + random.between(2, 6) * SECOND,
        timing: Timing::default(),
    };
    Case { world, shared: Arc::new(shared), latest }
}

/// A registry that cannot be asked at first, and then does not know the schema.
fn schemas() -> Schemas {
    let mut asked = 0_u32;
    Box::new(move |_| {
        asked += 1;
        if asked % 3 == 1 { Err("the registry is down".to_owned()) } else { Ok(None) }
    })
}

/// Runs a worker until it is asked to stop, or cannot go on.
fn work<L: Log, D: Disk>(
    log: L,
    disk: D,
    (shared, latest): (&Arc<Shared>, &Latest),
    asked_to_stop: &dyn Fn() -> bool,
) -> Ended {
    let worker = Worker::new(log, disk, Arc::clone(shared), latest.clone(), schemas());
    let mut worker = worker.expect("our schemas are schemas");
    while !asked_to_stop() {
        if let Err(halted) = worker.turn() {
            return Ended::Halted(halted.0);
        }
        if let Some(partition) = worker.halted() {
            return Ended::Halted(format!("partition {} halted", partition.0));
        }
    }
    // What could not be committed is folded again by whoever comes next.
    let _ = worker.stop();
    Ended::Stopped
}

/// The program that a process runs: the worker, on a log or a disk that may have a fault of its own.
fn program(case: &Case, plant: Plant) -> Arc<Program> {
    let (shared, latest) = (Arc::clone(&case.shared), case.latest.clone());
    Arc::new(move |machine| {
        let Machine { log, disks, signals } = machine;
        let around = (&shared, &latest);
        let asked_to_stop = || signals.asked_to_stop();
        match plant {
            Plant::Nothing => work::<SimLog, Disks>(log, disks, around, &asked_to_stop),
            plant => {
                let (log, disks) = planted::around(log, disks, plant);
                work(log, disks, around, &asked_to_stop)
            }
        }
    })
}

/// Plays one seed, and reads what is left.
fn play(seed: u64, ground: &Ground, plant: Plant, told: bool) -> (Outcome, Result<(), Anomaly>) {
    let Case { world, shared, latest } = case(seed, ground);
    let case = Case { world, shared, latest };
    let program = program(&case, plant);
    let Case { world, shared, latest } = case;
    let outcome = world::run(seed, world, told, &program);
    let verdict = match &outcome.failure {
        Some(why) => Err(Anomaly::Stuck(why.clone())),
        None => proof::check(&outcome, &shared, &latest.get()),
    };
    (outcome, verdict)
}

/// The seeds to play: those that were asked for, or as many as usual; and whether to tell the story.
fn seeds(usually: u64) -> (std::ops::Range<u64>, bool) {
    match crate::number("SIM_SEED") {
        Some(seed) => (seed..seed + 1, true),
        None => (0..crate::number("SIM_SEEDS").unwrap_or(usually), false),
    }
}

#[test]
fn the_worker_does_everything_exactly_once_whatever_goes_wrong() {
    let ground = Ground::new();
    let (seeds, told) = seeds(2_000);
    let (mut table, mut hits, mut runs, mut lasted) = (Table::default(), Hits::default(), 0, 0);
    for seed in seeds {
        let (outcome, verdict) = play(seed, &ground, Plant::Nothing, told);
        if let Err(anomaly) = &verdict {
            println!("{}", format!("{anomaly:?}").replace("\\n", "\n"));
        }
        assert!(verdict.is_ok(), "SIM_SEED={seed} plays this run again and tells what happens");
        table.add(&outcome.hits);
        hits.add(&outcome.hits);
        (runs, lasted) = (runs + 1, lasted + outcome.lasted);
    }
    println!("{runs} runs, {} simulated minutes\n{hits}\n\n{table}", lasted / (60 * SECOND));
    let least = match runs {
        20_000.. => 100,
        2_000.. => 3,
        _ => return,
    };
    let rare = table.rare(least);
    assert!(rare.is_empty(), "met less than {least} times: {rare:?}");
}

#[test]
fn every_planted_fault_is_found() {
    let ground = Ground::new();
    let mut missed = Vec::new();
    println!("{:<24}{:>6}  what it was found by", "planted", "seed");
    // `SIM_PLANT=12` begins with the one of that place.
    let first = crate::number("SIM_PLANT").unwrap_or(0) as usize;
    for plant in Plant::FOUND.into_iter().skip(first) {
        let found = (0..300).find_map(|seed| play(seed, &ground, plant, false).1.err().map(|anomaly| (seed, anomaly)));
        match found {
            Some((seed, anomaly)) => {
                let mut anomaly = format!("{anomaly:?}");
                anomaly.truncate(90);
                println!("{:<24}{seed:>6}  {anomaly}", format!("{plant:?}"));
            }
            None => missed.push(plant),
        }
    }
    println!("not found by any run so far: {:?}", Plant::NOT_FOUND);
    assert!(missed.is_empty(), "not found: {missed:?}");
}
