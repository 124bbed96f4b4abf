//! How long it takes from the start of a process to its first new commit, after its predecessor was killed at work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tollgate::codec::records;
use tollgate::loadgen;

use crate::cluster::{Cluster, Watch};
use crate::deployment::Deployment;
use crate::events::{self, Encoder, Sender};
use crate::ladder::{PARTITIONS, broker, now, wait};
use crate::openloop::{self, Ready};
use crate::process::Running;
use crate::settings::Settings;
use crate::system::System;
use crate::table::{self, Figures, load_average, number};

/// Events a second while it is killed.
const RATE: u64 = 5_000;

/// How long it works before it is killed: long enough that rows of this and of earlier checkpoints lie about.
const WORK: Duration = Duration::from_secs(5);

/// How many business numbers the contacts are spread over.
const NUMBERS: u64 = 256;

/// The first instant of the made-up traffic.
const START: i64 = 1_790_000_000_000;

/// How long it takes until every contact has written once. Shorter than a window, so all windows are open.
const SPREAD: i64 = 12 * 3_600_000;

/// A message of one of the contacts.
fn message(encoder: &mut Encoder, contact: u64, serial: u64, at: i64, take: &mut dyn FnMut(&events::Record<'_>)) {
    let (number, phone) = (format!("1000{}", contact % NUMBERS), format!("55119{contact:08}"));
    let id = format!("wamid.{serial:016x}");
    let event = records::Event {
        kind: "message".into(),
        phone_number_id: number.into(),
        occurred_at: at,
        received_at: Some(at),
        provenance: "live".into(),
        contact: Some(records::Person { wa_id: Some(phone.into()), ..records::Person::default() }),
        message: Some(Box::new(records::Message {
            message_id: id.into(),
            r#type: "text".into(),
            ..records::Message::default()
        })),
        ..records::Event::default()
    };
    take(&encoder.encode(&event));
}

/// Lets every contact write once, and waits until all of that is folded.
fn fill(cluster: &Cluster, deployment: &Deployment, contacts: u64) -> Running {
    let sender = Sender::in_bulk(cluster);
    let mut encoder = Encoder::new(PARTITIONS);
    for contact in 0..contacts {
        let at = START + (contact as i64 * SPREAD) / contacts as i64;
        message(&mut encoder, contact, contact, at, &mut |record| {
            sender.send(&deployment.events, record.partition, record.key, record.value);
        });
        if contact % 1_000 == 0 {
            sender.serve();
        }
    }
    sender.flush();
    let known = events::make(&loadgen::Settings { events: 1, ..events::usual(1, 1) }, PARTITIONS, |_, _| {});
    events::send_references(&sender, &known);
    let began = now();
    let mut running = Running::start(&mut deployment.run());
    let drained = wait(cluster, System::Engine, deployment, &mut running, contacts, began, &mut |_| {});
    eprintln!(
        "{} contacts are there after {:.0} s, with {} MiB of memory at most",
        number(contacts as f64, 0),
        began.elapsed().as_secs_f64(),
        drained.peak >> 20
    );
    running
}

/// Messages of contacts chosen all over the place, for as long as all kills take.
fn traffic(contacts: u64, seconds: u64) -> Ready {
    let mut encoder = Encoder::new(PARTITIONS);
    let mut ready = Ready::default();
    for serial in 0..RATE * seconds {
        // A multiplicative hash: equally spread, and the same in every run.
        let contact = (serial.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % contacts;
        let at = START + SPREAD + serial as i64 * 1_000 / RATE as i64;
        message(&mut encoder, contact, contacts + serial, at, &mut |record| ready.push(record));
    }
    ready
}

/// Kills and starts again, while events keep coming. Returns seconds to the first new commit.
fn kill_and_start(deployment: &Deployment, watch: &Watch, running: &mut Option<Running>) -> f64 {
    std::thread::sleep(WORK);
    if let Some(running) = running.take() {
        running.kill();
    }
    // What it had asked for in its last moment may still happen, and is nothing new.
    std::thread::sleep(Duration::from_millis(200));
    let before = watch.sum();
    let began = now();
    let started = running.insert(Running::start(&mut deployment.run()));
    while watch.sum() <= before {
        started.usage();
        assert!(began.elapsed() < Duration::from_mins(5), "nothing is committed after a restart");
        std::thread::sleep(Duration::from_millis(5));
    }
    began.elapsed().as_secs_f64()
}

/// Each size of state in turn.
pub fn run(settings: &Settings) {
    println!("\n## From the start of a process to its first new commit, after `kill -9` of the one before");
    let mut rows = Vec::new();
    for contacts in &settings.contacts {
        let (_broker, cluster) = broker();
        let directory = tempfile::tempdir().expect("a directory");
        let name = "restart";
        let deployment = Deployment::make(directory.path(), &cluster.bootstrap, name, "wa.events", PARTITIONS);
        let mut running = Some(fill(&cluster, &deployment, *contacts));
        let watch = Watch::new(&cluster, name, "wa.events");
        let ready = traffic(*contacts, 60 * settings.kills as u64);
        let done = AtomicBool::new(false);
        let mut taken = Figures::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let sender = Sender::promptly(&cluster, "wa.events");
                let go_on = || !done.load(Ordering::Relaxed);
                openloop::send(&sender, "wa.events", &ready, 0..ready.len(), RATE, go_on);
            });
            for _ in 0..settings.kills {
                let seconds = kill_and_start(&deployment, &watch, &mut running);
                eprintln!("{contacts} contacts: {seconds:.2} s");
                taken.add(seconds);
            }
            done.store(true, Ordering::Relaxed);
        });
        let state = directory_size(&directory.path().join(format!("{name}-state")));
        let peak = running.as_mut().map_or(0, |running| running.usage().peak);
        rows.push(vec![
            number(*contacts as f64, 0),
            taken.text(2),
            number((state >> 20) as f64, 0),
            number((peak >> 20) as f64, 0),
        ]);
    }
    let title = format!(
        "{} kills each at {} events/s: median, least and most; load average after: {}",
        settings.kills,
        number(RATE as f64, 0),
        load_average()
    );
    let columns = ["contacts", "seconds to the first new commit", "state on disk, MiB", "peak memory after, MiB"];
    table::print(&title, &columns, &rows);
}

/// How many bytes the files in a directory have.
fn directory_size(directory: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => directory_size(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
