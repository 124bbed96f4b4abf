//! How figures are taken: several runs, their median and range, and how busy the machine was.

use std::time::{Duration, Instant};

/// How often a figure is taken, unless the environment variable `RUNS` says otherwise.
const RUNS: usize = 5;

/// How often each figure is taken.
pub fn runs() -> usize {
    std::env::var("RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)
}

/// A number from the environment, for other volumes than the usual one.
pub fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

/// Says on what the figures were taken, because they mean nothing without it.
pub fn machine() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{cores} cores, load average before: {}", load.split(' ').take(3).collect::<Vec<_>>().join(" "));
}

/// How long something takes.
#[allow(clippy::disallowed_methods, reason = "this is where time is measured")]
pub fn time<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let done = work();
    (start.elapsed(), done)
}

/// Prints a figure: the median of some runs of so many events each, and the slowest and fastest.
pub fn report(what: &str, events: u64, mut taken: Vec<Duration>) {
    taken.sort_unstable();
    let rate = |time: &Duration| events as f64 / time.as_secs_f64();
    let [first, .., last] = taken.as_slice() else {
        return println!("{what:<44} too few runs");
    };
    let median = &taken[taken.len() / 2];
    println!(
        "{what:<44} {:>9.0} events/s  ({:.0} to {:.0}; {:.2} µs an event; {} runs)",
        rate(median),
        rate(last),
        rate(first),
        median.as_secs_f64() * 1e6 / events as f64,
        taken.len(),
    );
}
