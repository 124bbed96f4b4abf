//! Deliveries that came too late: what `reconcile` says they would have cost, and that each gets its line once it is
//! given back, whatever it was written as.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod running;

use std::path::{Path, PathBuf};
use std::process::Output;

use running::{Replay, records, repository, tollgate};
use serde_json::{Value, json};
use tollgate::codec::avro::ContainerWriter;
use tollgate::codec::frame::{self, Framing};
use tollgate::codec::records::{DeadLetter, Envelope, Event};
use tollgate::codec::schema;
use tollgate::codec::text::Bytes;

const NUMBER: &str = "731840265519304";
const ACCOUNT: &str = "604118273950462";
/// 2026-10-06 12:00 UTC.
const NOON: i64 = 1_791_288_000_000;
const DAY: i64 = 86_400_000;

/// A marketing template to Brazil, delivered at noon and heard of so many days later.
fn delivery(message: &str, days_late: i64) -> Value {
    json!({
        "kind": "status", "phone_number_id": NUMBER, "account_id": ACCOUNT, "occurred_at": NOON,
        "received_at": NOON + days_late * DAY, "contact": {"wa_id": "5511955501234"},
        "status": {"message_id": message, "status": "delivered",
            "pricing": {"pricing_model": "PMP", "type": "regular", "category": "marketing"}},
    })
}

/// The same as the platform's webhook.
fn webhook(message: &str, days_late: i64) -> Value {
    let status = json!({"id": message, "status": "delivered", "timestamp": (NOON / 1000).to_string(),
        "recipient_id": "5511955501234",
        "pricing": {"billable": true, "pricing_model": "PMP", "type": "regular", "category": "marketing"}});
    json!({
        "received_at": NOON + days_late * DAY, "object": "whatsapp_business_account",
        "entry": [{"id": ACCOUNT, "changes": [{"field": "messages", "value": {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "12025550117", "phone_number_id": NUMBER},
            "statuses": [status]}}]}],
    })
}

/// One event in a container, as `replay` and others write them.
fn container(event: &Value) -> Vec<u8> {
    let text = event.to_string();
    let record: Event<'_> = frame::from_json(text.as_bytes()).expect("an event");
    let (mut writer, mut bytes) = (ContainerWriter::new([7; 16]), Vec::new());
    writer.header(schema::EVENT.text, &mut bytes);
    writer.add(&record, &mut bytes).expect("written");
    writer.flush(&mut bytes).expect("written");
    bytes
}

fn replay(directory: &Path, out: &str, files: &[PathBuf]) -> Replay {
    Replay {
        files: files.to_vec(),
        accounts: vec![repository("examples/day/accounts.ndjson").into()],
        templates: Vec::new(),
        config: repository("examples/demo.toml").into(),
        out: directory.join(out),
        format: "ndjson",
        state: None,
        within: directory.to_owned(),
        more: Vec::new(),
    }
}

fn redrive(files: &[PathBuf], out: &Path, more: &[&str]) -> Output {
    tollgate().arg("redrive").args(files).arg("--out").arg(out).args(more).output().expect("the binary runs")
}

/// Message, kind and amount of every line.
fn lines(replay: &Replay) -> Vec<(String, String, String)> {
    let mut lines: Vec<_> = records(&replay.outputs(), "billing")
        .iter()
        .map(|line| {
            let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
            (text("message_id"), text("entry_type"), text("amount"))
        })
        .collect();
    lines.sort();
    lines
}

fn write(path: &Path, contents: impl AsRef<[u8]>) -> PathBuf {
    std::fs::write(path, contents).expect("written");
    path.to_owned()
}

#[test]
fn a_delivery_that_came_too_late_gets_its_line_once_it_is_given_back() {
    let charge = |message: &str| (message.to_owned(), "CHARGE".to_owned(), "0.0625".to_owned());
    for (what, late) in [
        ("event.ndjson", format!("{}\n", delivery("wamid.LATE", 9)).into_bytes()),
        ("webhook.ndjson", format!("{}\n", webhook("wamid.LATE", 9)).into_bytes()),
        ("event.avro", container(&delivery("wamid.LATE", 9))),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        let timely = write(&at("timely.ndjson"), format!("{}\n", delivery("wamid.TIMELY", 0)));
        let late = write(&at(what), late);
        let first = replay(directory.path(), "first", &[timely.clone(), late.clone()]);
        assert_eq!(first.run()["dead_letters"], json!({"too_late": 1}), "{what}");
        assert_eq!(lines(&first), [charge("wamid.TIMELY")], "{what}");

        let back = at("back.ndjson");
        let ended = redrive(std::slice::from_ref(&first.out), &back, &[]);
        assert_eq!(ended.status.code(), Some(0), "{what}: {}", String::from_utf8_lossy(&ended.stderr));
        assert_eq!(String::from_utf8_lossy(&ended.stdout), "1 with `too_late` go back\n", "{what}");
        if what.ends_with(".ndjson") {
            // Byte for byte what it was, but for the flag.
            let original = std::fs::read_to_string(&late).expect("written");
            let returned = std::fs::read_to_string(&back).expect("written");
            assert_eq!(returned.replacen("{\"admit_late\":true,", "{", 1), original, "{what}");
        }
        // With the original, which is a letter again, and without it; told twice, it is charged once.
        for (name, files) in [
            ("with", vec![timely.clone(), late.clone(), back.clone()]),
            ("without", vec![timely.clone(), back.clone()]),
            ("twice", vec![timely.clone(), back.clone(), back.clone()]),
        ] {
            let second = replay(directory.path(), name, &files);
            second.run();
            assert_eq!(lines(&second), [charge("wamid.LATE"), charge("wamid.TIMELY")], "{what} {name}");
        }
    }
}

#[test]
fn reconcile_tells_what_came_too_late_and_what_it_would_have_cost() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    let events = [delivery("wamid.TIMELY", 0), webhook("wamid.LATE", 9)].map(|event| format!("{event}\n")).concat();
    let events = write(&at("events.ndjson"), events);
    let first = replay(directory.path(), "first", &[events]);
    first.run();
    let half_hour = json!({"start": NOON / 1000, "end": NOON / 1000 + 1800, "phone_number": "12025550117",
        "country": "BR", "pricing_category": "MARKETING", "pricing_type": "REGULAR", "tier": "0:MAX", "volume": 2,
        "cost": 0.125});
    let answer = json!({"pricing_analytics": {"data": [{"data_points": [half_hour]}]}, "id": ACCOUNT});
    let analytics = write(&at("analytics.json"), serde_json::to_string_pretty(&answer).expect("JSON"));
    let reconcile = |billing: &Path, more: &[&str]| {
        let mut command = tollgate();
        command.arg("reconcile").arg("--analytics").arg(&analytics).arg("--billing").arg(billing);
        command.args(["--config", &repository("examples/demo.toml")]);
        command.args(["--accounts", &repository("examples/day/accounts.ndjson")]).args(more);
        command.output().expect("the binary runs")
    };
    let (differences, posted) = (at("differences.ndjson"), at("posted.ndjson"));
    let (differences, posted) = (differences.display().to_string(), posted.display().to_string());
    let ended = reconcile(&first.out, &["--out", &differences, "--post", &posted]);
    let told = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{told}{}", String::from_utf8_lossy(&ended.stderr));
    for text in
        ["missing_webhook (1 too late)", "Came too late", "events.ndjson/0/2", "0.0625 USD", "1 ADJUSTMENT lines"]
    {
        assert!(told.contains(text), "{text}: {told}");
    }
    let rows = std::fs::read_to_string(&differences).expect("written");
    let rows: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).expect("JSON")).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["cause"], &rows[0]["too_late"]), (&json!("missing_webhook"), &json!(1)));
    assert_eq!((&rows[1]["cause"], &rows[1]["amount"]), (&json!("too_late"), &json!("0.0625")));
    let line = std::fs::read_to_string(&posted).expect("written");
    let line: Value = serde_json::from_str(&line).expect("one line");
    assert_eq!((&line["envelope"]["source"], &line["amount"]), (&json!("demo"), &json!("0.0625")));

    // Once it is given back both sides are equal, and nothing is late any more.
    let back = at("back.ndjson");
    redrive(std::slice::from_ref(&first.out), &back, &[]);
    let mut files = first.files.clone();
    files.push(back);
    let second = replay(directory.path(), "second", &files);
    second.run();
    let ended = reconcile(&second.out, &[]);
    let told = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_eq!(ended.status.code(), Some(0), "{told}");
    assert!(told.contains("No difference.") && !told.contains("too late"), "{told}");
}

/// A letter of a topic.
fn letter(offset: i64, error: &str, payload: Option<Vec<u8>>) -> String {
    let letter = DeadLetter {
        envelope: Envelope {
            id: format!("{offset:032}").into(),
            source: "test".into(),
            r#type: "tollgate.dead_letter.v1".into(),
            time: NOON + offset * DAY,
            engine_version: "0".into(),
            ..Envelope::default()
        },
        original_topic: if offset % 2 == 0 { "wa.events" } else { "wa.inbound" }.into(),
        original_offset: offset,
        error: error.into(),
        detail: "x".into(),
        payload_size: 1,
        payload: payload.map(|payload| Bytes(payload.into())),
        ..DeadLetter::default()
    };
    serde_json::to_string(&letter).expect("JSON") + "\n"
}

#[test]
fn letters_of_a_topic_go_back_by_code_topic_and_day_and_each_refusal_says_why() {
    let directory = tempfile::tempdir().expect("a directory");
    let framed = |framing| {
        let text = delivery("wamid.LATE", 9).to_string();
        let record: Event<'_> = frame::from_json(text.as_bytes()).expect("an event");
        let mut bytes = Vec::new();
        frame::write(&record, schema::EVENT, framing, &mut bytes).expect("written");
        bytes
    };
    let letters = [
        letter(0, "too_late", Some(framed(Framing::SingleObject))),
        letter(0, "too_late", Some(framed(Framing::SingleObject))),
        letter(1, "too_late", Some(framed(Framing::Json))),
        letter(2, "not_supported_yet", Some(framed(Framing::Json))),
        letter(3, "too_late", None),
        letter(4, "too_late", Some(framed(Framing::Registry(7)))),
    ];
    let letters = write(&directory.path().join("letters.ndjson"), letters.concat());
    let out = directory.path().join("back.ndjson");
    let ended = redrive(std::slice::from_ref(&letters), &out, &[]);
    let errors = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{errors}");
    let told = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_eq!(
        told,
        "1 with `not_supported_yet` go back\n1 with `too_late` go back\n2 say the same as one that goes back already\n\
         2 cannot go back\n"
    );
    assert!(errors.contains("wa.inbound, partition 0, offset 3: the letter has no payload"), "{errors}");
    assert!(errors.contains("wa.events, partition 0, offset 4: schema id 7 is not known here"), "{errors}");
    let back = std::fs::read_to_string(&out).expect("written");
    let flags: Vec<Value> =
        back.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["admit_late"].clone()).collect();
    assert_eq!(flags, [json!(true), json!(false)], "only what came too late is let in");

    for (arguments, count) in [
        (&["--error", "not_supported_yet"][..], 1),
        (&["--topic", "wa.events", "--error", "not_supported_yet", "--error", "invalid_field"], 1),
        (&["--topic", "wa.inbound", "--until", "2026-10-08"], 1),
        (&["--from", "2026-10-08", "--until", "2026-10-09"], 1),
        (&["--error", "not_json"], 0),
    ] {
        let ended = redrive(std::slice::from_ref(&letters), &out, arguments);
        assert_eq!(ended.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
        assert_eq!(std::fs::read_to_string(&out).expect("written").lines().count(), count, "{arguments:?}");
    }
    let ended = redrive(std::slice::from_ref(&letters), &out, &["--from", "soon"]);
    assert_eq!(ended.status.code(), Some(2));
}
