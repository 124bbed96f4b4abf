//! The whole of `tollgate replay`, from file to files: events a second, processor time and memory.
//!
//! `cargo bench --bench replay`; `EVENTS`, `CONTACTS` and `RUNS` in the environment change the volume, and
//! `FORMATS` (`avro ndjson`) and `MEMORY` (`512MiB`) what is run.

#![allow(clippy::expect_used, reason = "a bench that cannot go on stops")]
#![allow(clippy::cast_precision_loss, reason = "a figure is read to three digits")]

mod measure;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn tollgate() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tollgate"))
}

/// Waits for a command and returns the most memory it has held, in bytes.
fn watch(child: &mut Child) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().expect("a child can be waited for").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = peak.max(kibibytes.unwrap_or(0) << 10);
        std::thread::sleep(Duration::from_millis(20));
    }
    peak
}

/// The processor time of all children waited for so far.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in brackets may hold spaces. Behind it, the 14th and 15th fields are what is asked for, in hundredths.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(13).take(2);
    Duration::from_millis(fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10)
}

fn replay(folder: &Path, format: &str, memory: &str) -> (Duration, Duration, u64) {
    let out = folder.join("out");
    let _ = std::fs::remove_dir_all(&out);
    let before = processor_time();
    let (taken, peak) = measure::time(|| {
        let mut child = tollgate()
            .args(["replay", &format!("stream.{format}"), "--accounts", &format!("stream.accounts.{format}")])
            .args(["--templates", &format!("stream.templates.{format}"), "--out", "out", "--format", format])
            .args(["--memory", memory, "--summary", "json", "--config"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/demo.toml"))
            .env("TOLLGATE_LOG", "error")
            .current_dir(folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("the command can be started");
        let peak = watch(&mut child);
        assert!(child.wait().expect("a child can be waited for").success(), "the replay failed");
        peak
    });
    (taken, processor_time().saturating_sub(before), peak)
}

fn main() {
    measure::machine();
    let (events, contacts) = (measure::setting("EVENTS", 1_000_000), measure::setting("CONTACTS", 20_000));
    let memory = std::env::var("MEMORY").unwrap_or_else(|_| "512MiB".into());
    let formats = std::env::var("FORMATS").unwrap_or_else(|_| "avro ndjson".into());
    let folder = tempfile::Builder::new().prefix("tollgate-bench").tempdir().expect("a directory");
    println!("{events} events of {contacts} contacts, rows in at most {memory}");
    for format in formats.split_whitespace() {
        let made = tollgate()
            .args(["loadgen", "--events", &events.to_string(), "--contacts", &contacts.to_string(), "--out"])
            .arg(folder.path().join(format!("stream.{format}")))
            .stderr(Stdio::null())
            .status();
        assert!(made.expect("the command can be started").success(), "no stream was made");
        let (mut walls, mut processor, mut most) = (Vec::new(), Vec::new(), 0);
        for _ in 0..measure::runs() {
            let (wall, cpu, peak) = replay(folder.path(), format, &memory);
            walls.push(wall);
            processor.push(cpu);
            most = most.max(peak);
        }
        measure::report(&format!("replay, {format} to {format}"), events, walls);
        measure::report("  per processor", events, processor);
        println!("  at most {} MiB of memory", most >> 20);
    }
}
