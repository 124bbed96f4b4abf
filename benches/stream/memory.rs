//! Whether memory stays as it is while a long stream is drained.

use std::time::Duration;

use crate::deployment::Deployment;
use crate::events;
use crate::ladder::{PARTITIONS, broker, now, wait};
use crate::process::Running;
use crate::settings::Settings;
use crate::system::System;
use crate::table::{self, load_average, number};

/// How many points of time the table shows.
const ROWS: usize = 10;

/// Drains, and looks every second.
pub fn run(settings: &Settings) {
    println!("\n## Memory over a long drain");
    let (_broker, cluster) = broker();
    let directory = tempfile::tempdir().expect("a directory");
    let name = "memory";
    let deployment = Deployment::make(directory.path(), &cluster.bootstrap, name, "wa.events", PARTITIONS);
    let workload = events::usual(settings.memory_events, settings.people);
    let loaded = events::load(&cluster, "wa.events", &workload, PARTITIONS);
    let began = now();
    let mut running = Running::start(&mut deployment.run());
    let mut seen: Vec<(Duration, u64)> = Vec::new();
    let mut look = |usage: &crate::process::Usage| {
        let at = began.elapsed();
        if seen.last().is_none_or(|(last, _)| at.saturating_sub(*last) >= Duration::from_secs(1)) {
            seen.push((at, usage.resident));
        }
    };
    let drained = wait(&cluster, System::Engine, &deployment, &mut running, loaded.events, began, &mut look);
    running.kill();
    let mebibytes = |bytes: u64| number((bytes >> 20) as f64, 0);
    let every = seen.len().div_ceil(ROWS).max(1);
    let rows: Vec<Vec<String>> = seen
        .chunks(every)
        .filter_map(|chunk| {
            let (from, _) = chunk.first()?;
            let (to, _) = chunk.last()?;
            let held = chunk.iter().map(|(_, resident)| *resident);
            Some(vec![
                format!("{:.0} to {:.0}", from.as_secs_f64(), to.as_secs_f64()),
                mebibytes(held.clone().min()?),
                mebibytes(held.max()?),
            ])
        })
        .collect();
    let title = format!(
        "`tollgate run` over {} events: at most {} MiB; load average after: {}",
        number(loaded.events as f64, 0),
        mebibytes(drained.peak),
        load_average()
    );
    table::print(&title, &["seconds", "resident at least, MiB", "at most, MiB"], &rows);
}
