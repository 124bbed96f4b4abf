//! How long it takes from the moment at which an event is due to be sent until a reader of `wa.verdicts`, committed records
//! only, has what follows from it.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tollgate::codec::frame::Writers;
use tollgate::codec::{records, schema};
use tollgate::loadgen;

use crate::cluster::{Cluster, Reading, Watch};
use crate::deployment::Deployment;
use crate::events::{self, Sender};
use crate::ladder::{PARTITIONS, broker, drain, now, wait};
use crate::openloop::{self, Ready, Sent};
use crate::passing::Pace;
use crate::process::Running;
use crate::settings::Settings;
use crate::shape::Shape;
use crate::system::{self, Around, System};
use crate::table::{self, Figures, load_average, number};

/// How long nothing may come before the rest counts as missing.
const QUIET: Duration = Duration::from_secs(2);

/// Where an event of a run is: its partition, and its place there.
type Place = (i32, i64);

/// A run's events, and how outputs are told apart.
struct Stream {
    settings: loadgen::Settings,
    partitions: u32,
    /// How many are drained first.
    warm: u64,
    ready: Ready,
    /// The events that are sent at fixed rates, by their places.
    places: HashMap<Place, usize>,
    /// The asks among them, by their requests' ids. Of one that is sent twice the first counts: it is answered once.
    /// So one whose first is drained before is not among them.
    asks: HashMap<String, usize>,
}

impl Stream {
    /// The first `warm` events are loaded when a run begins; the rest are made ready now.
    fn new(settings: loadgen::Settings, partitions: u32, warm: u64) -> Self {
        let (mut ready, mut places, mut asks) = (Ready::default(), HashMap::new(), HashMap::new());
        let (mut ends, mut answered) = (vec![0_i64; partitions as usize], HashSet::new());
        events::make(&settings, partitions, |index, record| {
            let end = &mut ends[record.partition as usize];
            if index >= warm {
                places.insert((record.partition as i32, *end), ready.len());
                if let Some(request) = record.request.filter(|request| !answered.contains(*request)) {
                    asks.entry(request.to_owned()).or_insert(ready.len());
                }
                ready.push(record);
            } else if let Some(request) = record.request {
                answered.insert(request.to_owned());
            }
            *end += 1;
        });
        Self { settings, partitions, warm, ready, places, asks }
    }

    /// Loads what is drained first.
    fn load(&self, cluster: &Cluster, topic: &str) {
        let sender = Sender::in_bulk(cluster);
        let known = events::make(&self.settings, self.partitions, |index, record| {
            if index < self.warm {
                sender.send(topic, record.partition, record.key, record.value);
            }
            if index % 1_000 == 0 {
                sender.serve();
            }
        });
        events::send_references(&sender, &known);
    }
}

/// Which event an output answers.
struct Identify<'s> {
    stream: &'s Stream,
    /// How verdicts are read; nothing where outputs say where they come from.
    verdicts: Option<Writers>,
}

impl<'s> Identify<'s> {
    fn new(stream: &'s Stream, system: System) -> Self {
        let verdicts = (system == System::Engine).then(|| Writers::of(schema::VERDICT).expect("a schema"));
        Self { stream, verdicts }
    }

    fn event(&self, value: &[u8]) -> Option<usize> {
        if let Some(verdicts) = &self.verdicts {
            let verdict = verdicts.read::<records::Verdict<'_>>(value).expect("a verdict");
            return self.stream.asks.get(verdict.request_id.as_str()).copied();
        }
        // Pass-through and peer: behind the framing, partition, topic and ordinal, then the offset.
        let partition = i16::from_be_bytes([value[10], value[11]]);
        let offset = i64::from_be_bytes(value[18..26].try_into().expect("eight bytes"));
        self.stream.places.get(&(i32::from(partition), offset)).copied()
    }
}

/// What came of one rate.
struct Measured {
    rate: u64,
    /// How long each answer took, in microseconds, from the shortest to the longest.
    taken: Vec<u64>,
    /// How late the generator itself was at worst.
    late: Duration,
}

impl Measured {
    /// Within how many milliseconds this share of the answers came. All of them are kept, so this is exact.
    fn within(&self, share: f64) -> f64 {
        let place = (self.taken.len() as f64 * share) as usize;
        let taken = self.taken.get(place.min(self.taken.len().saturating_sub(1)));
        taken.map_or(f64::NAN, |micros| *micros as f64 / 1e3)
    }
}

/// Runs one system: drains what there is, then sends at each rate in turn.
fn measure(around: &Around<'_>, system: System, name: &str, stream: &Stream, settings: &Settings) -> Vec<Measured> {
    let events = format!("{name}.events");
    let cluster = around.cluster;
    let deployment = Deployment::make(around.directory, &cluster.bootstrap, name, &events, stream.partitions);
    stream.load(cluster, &events);
    let began = now();
    let mut running = Running::start(&mut system.command(around, &deployment));
    wait(cluster, system, &deployment, &mut running, stream.warm, began, &mut |_| {});
    let (arrived, stop) = (Mutex::new(Vec::<(Instant, usize)>::new()), AtomicBool::new(false));
    let count = AtomicUsize::new(0);
    let sent = std::thread::scope(|scope| {
        scope.spawn(|| {
            let reading = Reading::from_now(cluster, &format!("{name}.wa.verdicts"));
            let identify = Identify::new(stream, system);
            let take = |_, value: &[u8]| {
                if let Some(event) = identify.event(value) {
                    arrived.lock().expect("no reader panicked").push((now(), event));
                    count.fetch_add(1, Ordering::Relaxed);
                }
            };
            reading.follow(take, || !stop.load(Ordering::Relaxed));
        });
        let sender = Sender::promptly(cluster, &events);
        // Until the reader is there.
        std::thread::sleep(QUIET);
        let mut first = 0;
        let mut sent = Vec::new();
        for rate in &settings.rates {
            let end = first + usize::try_from(rate * settings.seconds).expect("events fit into memory");
            let stretch = openloop::send(&sender, &events, &stream.ready, first..end, *rate, || true);
            first = end;
            sent.push(stretch);
            let mut seen = (count.load(Ordering::Relaxed), now());
            while seen.1.elapsed() < QUIET {
                std::thread::sleep(Duration::from_millis(20));
                running.usage();
                let counted = count.load(Ordering::Relaxed);
                if counted != seen.0 {
                    seen = (counted, now());
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        sent
    });
    running.kill();
    cluster.delete(&deployment.own_topics());
    cluster.delete(&[events]);
    let arrived = arrived.into_inner().expect("no reader panicked");
    sent.iter().map(|sent| measured(sent, &arrived, stream, system, around.shape)).collect()
}

fn measured(sent: &Sent, arrived: &[(Instant, usize)], stream: &Stream, system: System, shape: &Shape) -> Measured {
    let answers = arrived.iter().filter(|(_, event)| sent.events.contains(event));
    let micros = |(at, event): &(Instant, usize)| at.saturating_duration_since(sent.due(*event)).as_micros() as u64;
    let mut taken: Vec<u64> = answers.map(micros).collect();
    taken.sort_unstable();
    // An answer that is missing would make the others look good.
    let expected = if system == System::Engine {
        stream.asks.values().filter(|event| sent.events.contains(*event)).count() as u64
    } else {
        let rate = shape.0.iter().find(|rate| rate.topic == tollgate::stream::Topic::Verdicts).expect("verdicts");
        let within = stream.places.iter().filter(|(_, event)| sent.events.contains(*event));
        within.map(|((_, offset), _)| rate.due(*offset as u64)).sum()
    };
    assert_eq!(taken.len() as u64, expected, "{}: every answer comes, once", system.name());
    Measured { rate: sent.rate, taken, late: sent.late }
}

#[derive(Default)]
struct Row {
    median: Figures,
    high: Figures,
    highest: Figures,
    late: Figures,
    answers: usize,
}

/// Takes turns, and prints a table.
fn compare(title: &str, settings: &Settings, systems: &[System], workload: &loadgen::Settings, partitions: u32) {
    let (_broker, cluster) = broker();
    let directory = tempfile::tempdir().expect("a directory");
    let held: u64 = settings.rates.iter().map(|rate| rate * settings.seconds).sum();
    let workload = loadgen::Settings { events: settings.warm + held, ..workload.clone() };
    let stream = Stream::new(workload, partitions, settings.warm);
    let shape = shape(&cluster, directory.path(), &stream);
    let around = Around {
        cluster: &cluster,
        directory: directory.path(),
        shape: &shape,
        pace: Pace::Promptly,
        peer_commit: settings.peer_commit,
    };
    let mut rows: Vec<Vec<Row>> =
        systems.iter().map(|_| settings.rates.iter().map(|_| Row::default()).collect()).collect();
    let before = load_average();
    for run in 0..settings.runs {
        for (system, rows) in systems.iter().zip(&mut rows) {
            let name = format!("latency-{}-{run}", system.word());
            for (measured, row) in measure(&around, *system, &name, &stream, settings).iter().zip(rows) {
                row.median.add(measured.within(0.5));
                row.high.add(measured.within(0.99));
                row.highest.add(measured.within(0.999));
                row.late.add(measured.late.as_secs_f64() * 1e3);
                row.answers += measured.taken.len();
                eprintln!(
                    "{name}, {}/s: {:.1} ms, p99 {:.1} ms; load {}",
                    measured.rate,
                    measured.within(0.5),
                    measured.within(0.99),
                    load_average()
                );
            }
            let _ = std::fs::remove_dir_all(directory.path().join(format!("{name}-state")));
        }
    }
    let mut cells = Vec::new();
    for (place, rate) in settings.rates.iter().enumerate() {
        for (system, rows) in systems.iter().zip(&rows) {
            let (row, rate) = (&rows[place], number(*rate as f64, 0));
            let name = match system {
                System::Peer => format!("{}, commit {} ms", system.name(), settings.peer_commit),
                _ => system.name().to_owned(),
            };
            cells.push(vec![
                name,
                rate,
                row.median.text(1),
                row.high.text(1),
                row.highest.text(1),
                number(row.answers as f64, 0),
                row.late.text(0),
            ]);
        }
    }
    let title = format!("{title}: median of {} runs, least and most; load average before: {before}", settings.runs);
    let columns = ["", "events/s", "p50, ms", "p99, ms", "p99.9, ms", "answers", "generator late by, ms"];
    table::print(&title, &columns, &cells);
}

/// What the engine writes for the events that are drained first.
fn shape(cluster: &Cluster, directory: &Path, stream: &Stream) -> Shape {
    let nothing = Shape(Vec::new());
    let around = Around { cluster, directory, shape: &nothing, pace: Pace::Promptly, peer_commit: 100 };
    let deployment = Deployment::make(directory, &cluster.bootstrap, "shape", "shape.events", stream.partitions);
    stream.load(cluster, "shape.events");
    let loaded = Watch::new(cluster, "bench-loader", "shape.events").ends().iter().sum::<i64>() as u64;
    drain(&around, System::Engine, &deployment, loaded);
    let shape = Shape::count(cluster, &deployment, loaded);
    cluster.delete(&deployment.own_topics());
    cluster.delete(&["shape.events".to_owned()]);
    shape
}

/// All rates, eight partitions.
pub fn run(settings: &Settings) {
    println!("\n## Latency");
    let mut systems = vec![System::PassThrough, System::Engine];
    if settings.peer {
        system::build_peer();
        systems.push(System::Peer);
    }
    let workload = events::usual(0, settings.people);
    compare("Due to be sent → arrived at a reader of `wa.verdicts`", settings, &systems, &workload, PARTITIONS);
}

/// The lowest rate, 64 partitions, and all events on one of them.
pub fn run_with_idle_partitions(settings: &Settings) {
    println!("\n## Latency where 63 of 64 partitions are idle");
    let lowest = settings.rates.iter().copied().min().unwrap_or(2_000);
    let settings = Settings { rates: vec![lowest], warm: settings.warm.min(100_000), ..settings.clone() };
    // One number, so one partition.
    let workload = loadgen::Settings { numbers: 1, ..events::usual(0, settings.people.min(20_000)) };
    let systems = [System::PassThrough, System::Engine];
    compare("The same on one of 64 partitions", &settings, &systems, &workload, 64);
}
