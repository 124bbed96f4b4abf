//! No personal data in what is logged, printed or told in a panic: the real command reads every shape of
//! webhook there is, whole and damaged, and logs everything it can.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

mod personal;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use personal::{all_personal, assert_clean, lines, root};
use tollgate::codec::event;
use tollgate::codec::ids::DeploymentKey;
use tollgate::codec::webhook::{Parsed, Part, Settings};
use tollgate::engine::Prepared;

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a file can be written");
    path
}

#[test]
fn nothing_personal_is_logged() {
    let lines = lines();
    let secrets = all_personal(&lines);
    assert!(secrets.len() > 50, "the fixtures hold personal data to look for");
    let folder = tempfile::tempdir().expect("a directory");
    let mut damaged = String::new();
    for line in &lines {
        let cut = line.char_indices().nth(line.chars().count() * 3 / 4).map_or(line.len(), |(at, _)| at);
        let wrong_types =
            line.replace("\"timestamp\": \"", "\"timestamp\": \"x").replace("\"timestamp\":\"", "\"timestamp\":\"x");
        let _ = writeln!(damaged, "{}\n{wrong_types}", &line[..cut]);
    }
    let inputs =
        [write(folder.path(), "whole.ndjson", &lines.join("\n")), write(folder.path(), "damaged.ndjson", &damaged)];
    for input in inputs {
        let run = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .arg("replay")
            .arg(&input)
            .arg("--config")
            .arg(root().join("examples/demo.toml"))
            .arg("--out")
            .arg(folder.path().join("out"))
            .env("TOLLGATE_LOG", "trace")
            .output()
            .expect("the command runs");
        let (log, printed) = (String::from_utf8_lossy(&run.stderr), String::from_utf8_lossy(&run.stdout));
        assert!(run.status.success(), "{} failed", input.display());
        assert!(log.contains("TRACE") || log.contains("dead letter"), "the log is on");
        assert_clean("the log", &log, &secrets);
        assert_clean("the summary", &printed, &secrets);
    }
}

#[test]
fn nothing_personal_is_told_by_a_panic() {
    let lines = lines();
    let secrets = all_personal(&lines);
    let key = DeploymentKey::new(b"a key for the tests alone").expect("a key");
    let mut told = 0;
    for line in &lines {
        let Ok(parsed) = Parsed::new(line.as_bytes()) else { continue };
        for part in parsed.parts(&Settings::default(), Some(1_790_000_000_000)) {
            let Part::Event(record) = part else { continue };
            if let Ok(arrived) = event::parse(&record, &key)
                && let Some(event) = arrived.event
            {
                // What a panic could print of it, wherever it is.
                assert_clean("an event", &format!("{:?}", Prepared::new(event, &key)), &secrets);
                told += 1;
            }
        }
    }
    assert!(told > 50, "events were looked at");
}
