//! No personal data in what is logged, printed or told in a panic: the real command reads every shape of
//! webhook there is, whole and damaged, and logs everything it can.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tollgate::codec::event;
use tollgate::codec::ids::DeploymentKey;
use tollgate::codec::webhook::{Parsed, Part, Settings};
use tollgate::engine::Prepared;

/// The fields of webhooks and events that tell of a person or of what was said.
const PERSONAL: [&str; 24] = [
    "from",
    "to",
    "wa_id",
    "recipient_id",
    "user_id",
    "parent_user_id",
    "recipient_user_id",
    "parent_recipient_user_id",
    "from_user_id",
    "display_phone_number",
    "phone_number",
    "business_phone_number",
    "new_wa_id",
    "old_wa_id",
    "username",
    "profile",
    "body",
    "caption",
    "button",
    "interactive",
    "contacts",
    "location",
    "emoji",
    "participants",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The bodies of all fixtures, and the lines of the example day.
fn lines() -> Vec<String> {
    let mut lines = Vec::new();
    for file in ["tests/webhooks/shapes.ndjson", "tests/webhooks/variants.ndjson"] {
        for line in std::fs::read_to_string(root().join(file)).expect("the fixtures are there").lines() {
            let line: Value = serde_json::from_str(line).expect("a fixture is JSON");
            lines.push(line["body"].to_string());
        }
    }
    for file in ["examples/day/webhooks.ndjson", "examples/day/sends.ndjson"] {
        let text = std::fs::read_to_string(root().join(file)).expect("the examples are there");
        lines.extend(text.lines().map(str::to_owned));
    }
    lines
}

/// All texts that stand under one of some names and are as long as a phone number. What is shorter is a word
/// like `text`, which a log may well say.
fn texts_under(value: &Value, names: &[&str], under: bool, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if under && text.len() >= 7 => {
            found.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| texts_under(item, names, under, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                texts_under(value, names, under || names.contains(&name.as_str()), found);
            }
        }
        _ => {}
    }
}

fn all_personal(lines: &[String]) -> BTreeSet<String> {
    let (mut found, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for value in lines.iter().filter_map(|line| serde_json::from_str(line).ok()) {
        texts_under(&value, &PERSONAL, false, &mut found);
        texts_under(&value, &["phone_number_id"], false, &mut numbers);
    }
    // A fixture may name its business number as the one written to. That id is nobody's phone number.
    found.retain(|text| !numbers.contains(text));
    found
}

/// Fails without printing what was found, which is the point.
fn assert_clean(what: &str, text: &str, personal: &BTreeSet<String>) {
    let leaked = personal.iter().filter(|secret| text.contains(secret.as_str())).count();
    assert_eq!(leaked, 0, "{what} tells {leaked} texts that are personal");
}

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
