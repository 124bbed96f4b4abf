//! `tollgate explain` as people run it: why a verdict, a line of the ledger or a window is as it is.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod running;

use std::path::PathBuf;

use running::{Replay, records, repository, tollgate};
use serde_json::{Value, json};
use tempfile::TempDir;

/// 2026-10-06T12:00:00Z.
const NOON: i64 = 1_791_288_000_000;
const HOUR: i64 = 3_600_000;
const NUMBER: &str = "731840265519304";
const ANA: &str = "5511955501234";

/// What a command said.
struct Told {
    code: Option<i32>,
    text: String,
}

impl Told {
    /// That these lines come in this order, others between them or not.
    #[track_caller]
    fn holds(&self, lines: &str) {
        let mut rest = self.text.as_str();
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let place = rest.find(line);
            let place = place.unwrap_or_else(|| panic!("`{line}` is not there, or not in this order:\n{}", self.text));
            rest = &rest[place + line.len()..];
        }
    }
}

fn explain(files: &[&str], what: &str, arguments: &[&str]) -> Told {
    explain_by("examples/demo.toml", files, what, arguments)
}

fn explain_by(config: &str, files: &[&str], what: &str, arguments: &[&str]) -> Told {
    let mut command = tollgate();
    command.current_dir(repository("")).arg("explain").arg(what).args(files);
    for (option, file) in [("--accounts", "accounts"), ("--templates", "templates")] {
        command.args([option, &format!("examples/day/{file}.ndjson")]);
    }
    let output = command.args(["--config", config]).args(arguments).output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    Told { code: output.status.code(), text: String::from_utf8(text).expect("text") }
}

/// Explains something of the example day.
fn of_the_day(what: &str, arguments: &[&str]) -> Told {
    let told = explain(&["examples/day/webhooks.ndjson", "examples/day/sends.ndjson"], what, arguments);
    assert!(!told.text.contains(ANA), "no output holds a phone number");
    told
}

/// What only this test's events tell.
struct Events {
    folder: TempDir,
    lines: Vec<String>,
}

impl Events {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), lines: Vec::new() }
    }

    fn add(&mut self, at: i64, kind: &str, section: &Value) {
        let event = json!({
            "kind": kind, "phone_number_id": NUMBER, "account_id": "604118273950462", "occurred_at": at,
            "received_at": at, "contact": {"wa_id": ANA}, kind: section,
        });
        self.lines.push(event.to_string());
    }

    fn explain(&self, what: &str, arguments: &[&str]) -> Told {
        let path: PathBuf = self.folder.path().join("events.ndjson");
        std::fs::write(&path, self.lines.join("\n")).expect("written");
        explain(&[&path.display().to_string()], what, arguments)
    }
}

#[test]
fn a_message_is_explained_from_the_ask_to_the_line() {
    let told = of_the_day("wamid.DAY003", &[]);
    assert_eq!(told.code, Some(0), "{}", told.text);
    told.holds(
        "41 records, which arrived from 2026-10-06T12:00:00Z to 2026-10-08T12:01:02Z; nothing before is known
         2026-10-06T14:00:00Z the person wrote or called; row `message`: opens the window (CSW: a user messages the business
         examples/day/webhooks.ndjson:5, event 6545ec6f0370cdd31031f1b7a52e7ed6, arrived 2026-10-06T14:00:02Z
         - service_window opened: from 2026-10-06T14:00:00Z until 2026-10-07T14:00:00Z
         2026-10-06T15:00:00Z asked whether what is no template may be sent, as reply-ana
         - verdict allowed: service_window_open
         2026-10-06T15:00:03Z status delivered of wamid.DAY003
         - the message: delivered 2026-10-06T15:00:03Z
         - ledger of wamid.DAY003: line 0 FREE free as service: free_customer_service, 0.00 USD
         2026-10-07T14:00:00Z time passed
         - service_window closed at 2026-10-07T14:00:00Z (expired)
         Verdict 5c750a838badece27bb5a1cdf0f596d3 (reply-ana)
         32. service_window_open permits, by event 6545ec6f0370cdd31031f1b7a52e7ed6 at examples/day/webhooks.ndjson:5
         Message wamid.DAY003
         rule: E5, in force from 2026-10-01 (NTM; PRICE-SEP; PRICE-OCT; ST 2026-09-14 (rules.md 1.7))
         when it was sent: service window open, free entry point closed
         market: Brazil
         allowance: free delivery 1 of 1000 in 2026-10
         the platform says PMP free_customer_service in service; agreement: match
         Now:
         service window closed since 2026-10-07T14:00:00Z",
    );
    assert!(!told.text.contains("wamid.DAY004"), "another message of theirs is another matter");
}

#[test]
fn any_name_that_a_thing_has_leads_to_it() {
    let verdict = "Verdict 75a347d3138ee753160a06e2164845b4 (sale-ana)";
    let line = "line 0 CHARGE charged as marketing, 0.0625 USD by sample-usd-2026-10-01.csv";
    let folder = tempfile::tempdir().expect("a folder");
    let replay = Replay::of_the_example_day(folder.path().join("out"));
    replay.run();
    let outputs = replay.outputs();
    let billing = records(&outputs, "billing");
    let entry = billing.iter().find(|entry| entry["message_id"] == "wamid.DAY001").expect("a line");
    let id = |value: &Value| value.as_str().expect("an id").to_owned();
    for what in [
        "sale-ana".to_owned(),
        "wamid.DAY001".to_owned(),
        "75a347d3138ee753160a06e2164845b4".to_owned(),
        "+5511955501234".to_owned(),
        id(&entry["envelope"]["id"]),
        id(&entry["contact"]["key"]),
        id(&entry["status_event"]),
    ] {
        let told = of_the_day(&what, &["--number", NUMBER]);
        assert_eq!(told.code, Some(0), "{what}: {}", told.text);
        told.holds(&format!("{verdict}\nlist price: 0.0625 USD by sample-usd-2026-10-01.csv"));
        told.holds(line);
        assert_eq!(of_the_day(&what, &["--number", "1"]).code, Some(1), "no other number knows it");
    }
}

#[test]
fn it_is_told_as_it_was_known_at_an_instant() {
    let told = of_the_day(ANA, &["--as-of", "2026-10-06T14:30:00Z"]);
    told.holds("Now:\nservice window open until 2026-10-07T14:00:00Z");
    assert!(!told.text.contains("reply-ana"), "it was asked half an hour later");
    assert!(!told.text.contains("closing"));
    // Time passes without an event too.
    of_the_day(ANA, &["--as-of", "2026-10-07T13:30:00Z"]).holds("- service_window closing: from 2026-10-06T14:00:00Z");
    assert_eq!(of_the_day(ANA, &["--as-of", "2026-10-06T11:59:59Z"]).code, Some(1));
}

#[test]
fn what_is_missing_is_said() {
    let told = of_the_day("wamid.NOWHERE", &[]);
    assert_eq!(told.code, Some(1));
    told.holds(
        "Missing: 1 records, or parts of them, cannot be read: what they say is not known.
         Missing: nothing in these records is about it. It may be older than they are",
    );
    let mut events = Events::new();
    let pricing = json!({"pricing_model": "PMP", "type": "regular", "category": "utility", "billable": true});
    events.add(NOON, "status", &json!({"message_id": "wamid.X", "status": "delivered", "pricing": pricing}));
    events.add(NOON, "send_accepted", &json!({"message_id": "wamid.Y", "content": {"kind": "freeform"}}));
    events.explain("wamid.X", &[]).holds(
        "Message wamid.X
         line 0 CHARGE charged as utility, 0.0068 USD by sample-usd-2026-10-01.csv
         we computed: unknown: content_unknown
         agreement: platform_only
         Missing: no send of it was seen, neither an ask nor an acceptance: what it says is unknown",
    );
    events.explain("wamid.Y", &[]).holds(
        "Message wamid.Y
         Missing: no ask about it was seen, so there was no verdict.
         Missing: no delivery of it was reported, so it has no line in the ledger.",
    );
}

#[test]
fn reasons_that_are_outweighed_are_told_in_their_place() {
    let mut events = Events::new();
    events.add(NOON, "message", &json!({"message_id": "wamid.IN", "type": "text"}));
    events.add(NOON + HOUR, "preference", &json!({"category": "marketing_messages", "value": "stop"}));
    let template = json!({"name": "spring_sale", "language": "en"});
    let ask = json!({"request_id": "sale", "content": {"kind": "template", "template": template}});
    events.add(NOON + 2 * HOUR, "send_requested", &ask);
    events.explain("sale", &[]).holds(
        "the person stopped marketing messages
         - consent to marketing: refused at 2026-10-06T13:00:00Z, by user_preferences
         - verdict blocked: marketing_opted_out
         reasons in order of precedence:
         11. marketing_opted_out blocks, as the platform's code 131050 would, by user_preferences
         31. template_approved permits; outweighed
         32. service_window_open permits, by event
         ; outweighed
         45. no_opt_in_record warns",
    );
}

#[test]
fn the_free_delivery_is_told_by_its_number() {
    let mut events = Events::new();
    events.add(NOON, "message", &json!({"message_id": "wamid.IN", "type": "text"}));
    for message in 1..=1_001 {
        let at = NOON + message * 1_000;
        let id = format!("wamid.{message}");
        events.add(at, "send_accepted", &json!({"message_id": id, "content": {"kind": "freeform"}}));
        events.add(at + 500, "status", &json!({"message_id": id, "status": "delivered"}));
    }
    events.explain("wamid.1000", &[]).holds(
        "allowance: free delivery 1000 of 1000 in 2026-10
         Missing: no report of the platform's price was seen: its line rests on our computation alone.",
    );
    events.explain("wamid.1001", &[]).holds(
        "line 0 CHARGE charged as service, 0.0068 USD by sample-usd-2026-10-01.csv
         allowance: 1000 of 1000 free deliveries in 2026-10 were used before it",
    );
}

#[test]
fn it_is_told_as_json_too() {
    let told = of_the_day("wamid.DAY003", &["--json"]);
    let told: Value = serde_json::from_str(&told.text).expect("one object");
    let contact = &told["contacts"][0];
    assert_eq!(contact["phone_number_id"], NUMBER);
    assert_eq!(contact["messages"][0]["id"], "wamid.DAY003");
    assert_eq!(contact["events"][0]["read_from"], "examples/day/webhooks.ndjson:5");
    assert_eq!(contact["events"][0]["changes"][0].as_str().map(|text| &text[..21]), Some("service_window opened"));
}

#[test]
fn all_mistakes_are_told_together() {
    let told = explain(&["nowhere.ndjson", "-"], "x", &["--as-of", "yesterday", "--number", ""]);
    assert_eq!(told.code, Some(2));
    for place in ["--as-of:", "--number:", "-: standard input cannot be read twice", "nowhere.ndjson:"] {
        assert!(told.text.contains(place), "{place} {}", told.text);
    }
}

#[test]
fn the_names_of_a_person_are_told_with_what_told_of_them() {
    let mut events = Events::new();
    let both = json!({"wa_id": ANA, "user_id": "BR.13491208655302741918"});
    for (at, contact) in [(NOON, json!({"wa_id": ANA})), (NOON + HOUR, both)] {
        events.add(at, "message", &json!({"message_id": format!("wamid.N{at}"), "type": "text"}));
        let mut event: Value = serde_json::from_str(&events.lines.pop().expect("an event")).expect("JSON");
        event["contact"] = contact;
        events.lines.push(event.to_string());
    }
    let told = events.explain("BR.13491208655302741918", &[]);
    told.holds(
        "Now:
         known by a phone number (
         given together with another name at 2026-10-06T13:00:00Z, by event
         known by a user id (
         given together with another name at 2026-10-06T13:00:00Z, by event",
    );
    assert!(!told.text.contains(ANA) && !told.text.contains("BR.1349"), "by their keys alone:\n{}", told.text);
}

#[test]
fn a_row_that_is_rehearsed_is_told_with_its_source() {
    let told = of_the_day(
        "wamid.DAY003",
        &["--candidate", "tests/scenarios/candidate-2027-01-01.toml", "--rules-as-of", "2027-01-01"],
    );
    told.holds(
        "rule: E6 (candidate candidate-2027-01-01.toml), in force from 2027-01-01 \
         (candidate candidate-2027-01-01.toml: made up to show that a change is data), because rules as of 2027-01-01",
    );
}

#[test]
fn a_line_of_discount_is_explained_and_the_tier_of_what_it_counts() {
    let mut events = Events::new();
    let pricing = json!({"billable": true, "pricing_model": "PMP", "type": "regular", "category": "utility"});
    for message in 0..3 {
        let status = json!({"message_id": format!("wamid.T{message}"), "status": "delivered", "pricing": pricing});
        events.add(NOON + message, "status", &status);
    }
    let folder = events.folder.path();
    let tiers = "Market,Currency,Category,From,To,Rate\nBrazil,USD,Utility,0,2,0.0068\nBrazil,USD,Utility,3,n,0.0060\n";
    let tiers = format!("Volume tiers in USD, effective October 1, 2026,,,,,\n{tiers}");
    let cards = repository("examples/rate-cards/sample-usd-2026-10-01.csv");
    let written = [("tiers.csv", tiers), ("config.toml", demo_with_cards(&["tiers.csv", &cards]))];
    for (name, text) in &written {
        std::fs::write(folder.join(name), text).expect("written");
    }
    let config = folder.join("config.toml").display().to_string();
    let file = folder.join("events.ndjson");
    std::fs::write(&file, events.lines.join("\n")).expect("written");
    let replay = Replay {
        files: vec![file.clone()],
        config: config.clone().into(),
        ..Replay::of_the_example_day(folder.join("out"))
    };
    replay.run();
    let billing = records(&replay.outputs(), "billing");
    let discount = billing.iter().find(|line| line["entry_type"] == "DISCOUNT").expect("a discount");
    let (id, file) = (discount["envelope"]["id"].as_str().expect("an id"), file.display().to_string());
    let told = explain_by(&config, &[&file], id, &[]);
    assert_eq!(told.code, Some(0), "{}", told.text);
    told.holds(
        "line 0 DISCOUNT -0.0008 USD of 604118273950462
         counted: utility of portfolio
         in 2026-10, in Brazil
         volume tier: 3:MAX of the month, 0.006 each, by our count",
    );
    explain_by(&config, &[&file], "wamid.T2", &[]).holds("volume tier: 3:MAX of the month, 0.006 each, by our count");
}

/// The configuration of the demo with other cards.
fn demo_with_cards(cards: &[&str]) -> String {
    let demo = std::fs::read_to_string(repository("examples/demo.toml")).expect("the example's configuration");
    let (before, _) = demo.split_once("rate_cards").expect("it has cards");
    format!("{before}rate_cards = {cards:?}\n")
}
