//! The product against the load generator, which knows the right answers without knowing the product.
//!
//! The generator writes a stream and its answers to files; the `tollgate` binary replays the stream; and
//! every verdict, every message's line, every open window and the totals are compared.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn tollgate(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(arguments)
        .env("TOLLGATE_DEPLOYMENT_KEY", "tests name invented people only")
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn lines(path: &Path) -> impl Iterator<Item = Value> {
    let text = std::fs::read_to_string(path).expect("a file");
    let values: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    values.into_iter()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// An amount as a number of millionths, so that `0.055` and `0.0550` are one.
fn millionths(value: &Value) -> Option<i64> {
    let amount = tollgate::domain::money::Amount::parse(value.get("amount")?.as_str()?);
    Some(amount.expect("an amount").millionths())
}

/// What stands for a message after all reversals.
fn standing(billing: &Path) -> BTreeMap<String, Value> {
    let mut lines_of: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for line in lines(billing) {
        let known = lines_of.entry(text(&line, "message_id").to_owned()).or_default();
        if text(&line, "entry_type") == "REVERSAL" {
            let reversed = known.remove(text(&line, "reverses")).expect("what is reversed was there");
            assert_eq!(
                millionths(&line),
                millionths(&reversed).map(|amount| -amount),
                "a reversal is the line, negative"
            );
        } else {
            let id = text(&line["envelope"], "id").to_owned();
            assert!(known.insert(id, line).is_none(), "no line has the id of another");
        }
    }
    lines_of
        .into_iter()
        .filter_map(|(message, lines)| {
            assert!(lines.len() <= 1, "one line at most stands for a message");
            lines.into_values().next().map(|line| (message, line))
        })
        .collect()
}

fn compare(seed: u64, events: u64, contacts: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (number, seed, contacts) = (events.to_string(), seed.to_string(), contacts.to_string());
    tollgate(&[
        "loadgen",
        "--events",
        &number,
        "--seed",
        &seed,
        "--contacts",
        &contacts,
        "--numbers",
        "3",
        "--out",
        &path("load.ndjson"),
        "--answers",
        &path("answers.ndjson"),
    ]);
    let config = folder.path().join("clear.toml");
    std::fs::write(&config, "[deployment]\nidentity = \"clear\"\n").expect("written");
    let cards = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rate-cards");
    let card = |name: &str| cards.join(name).display().to_string();
    tollgate(&[
        "replay",
        &path("load.ndjson"),
        "--accounts",
        &path("load.accounts.ndjson"),
        "--templates",
        &path("load.templates.ndjson"),
        "--config",
        &config.display().to_string(),
        "--rate-card",
        &card("sample-usd-2026-10-01.csv"),
        "--rate-card",
        &card("sample-inr-2026-10-01.csv"),
        "--out",
        &path("out"),
    ]);
    let out = folder.path().join("out");
    let letters = std::fs::read_to_string(out.join("dead-letters.ndjson")).expect("a file");
    assert_eq!(letters, "", "a stream that is in order has no dead letters");
    let verdicts: BTreeMap<String, Value> =
        lines(&out.join("verdicts.ndjson")).map(|verdict| (text(&verdict, "request_id").to_owned(), verdict)).collect();
    let mut lines_standing = standing(&out.join("billing.ndjson"));
    let mut windows: BTreeMap<String, i64> = BTreeMap::new();
    for row in lines(&out.join("window-state.ndjson")) {
        let value = row.get("value").filter(|value| value.is_object());
        let open = value.and_then(|value| value.get("service_window")).and_then(|window| window["expires_at"].as_i64());
        let key = text(&row, "key").to_owned();
        match open {
            Some(expires_at) => windows.insert(key, expires_at),
            None => windows.remove(&key),
        };
    }
    let (mut asks, mut messages, mut open) = (0, 0, Vec::new());
    for answer in lines(Path::new(&path("answers.ndjson"))) {
        match text(&answer, "answer") {
            "verdict" => {
                asks += 1;
                let verdict = verdicts.get(text(&answer, "request_id")).expect("every ask has a verdict");
                let says = |value| (text(value, "verdict"), text(value, "reason"));
                assert_eq!(says(verdict), says(&answer), "seed {seed}, ask {}", text(&answer, "request_id"));
            }
            "message" => {
                messages += 1;
                let line =
                    lines_standing.remove(text(&answer, "message_id")).expect("every delivered message has a line");
                for name in ["entry_type", "category", "free_reason", "unknown_reason", "billing_period", "local_date"]
                {
                    let expected = text(&answer, name);
                    // Why something is unknown may be known where the category is not told by the platform's words.
                    assert_eq!(
                        text(&line, name),
                        expected,
                        "seed {seed}, {name} of a message at {}",
                        answer["occurred_at"]
                    );
                }
                assert_eq!(line["occurred_at"], answer["occurred_at"]);
                assert_eq!(millionths(&line), millionths(&answer), "seed {seed}");
            }
            "window" => open.push(answer["expires_at"].as_i64().expect("an instant")),
            _ => {}
        }
    }
    assert!(lines_standing.is_empty(), "a message that was not delivered has no line");
    assert_eq!(asks, verdicts.len());
    assert!(asks > 0 && messages > 0 && !open.is_empty(), "the stream has something of everything");
    let mut ours: Vec<i64> = windows.into_values().collect();
    open.sort_unstable();
    ours.sort_unstable();
    assert_eq!(ours, open, "seed {seed}: the windows open at the end");
}

#[test]
fn a_busy_stream_has_the_answers_the_generator_knows() {
    compare(7, 120_000, 2_000);
}

#[test]
fn many_small_streams_have_the_answers_the_generator_knows() {
    for seed in 100..110 {
        compare(seed, 12_000, 150);
    }
}
