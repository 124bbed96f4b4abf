//! What each shape of webhook becomes, held as a table; and what must never come through.
//!
//! `tests/webhooks/shapes.ndjson` has the shapes of the platform's published examples, one line each with
//! invented values, `variants.ndjson` those its documentation describes besides, and broken ones. Run with
//! `UPDATE_GOLDEN=1` to write the table anew, and read the difference.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tollgate::codec::event;
use tollgate::codec::ids::DeploymentKey;
use tollgate::codec::records;
use tollgate::codec::text::Text;
use tollgate::codec::webhook::{Parsed, Part, Settings};

#[derive(serde::Deserialize)]
struct Line {
    shape: String,
    body: Box<serde_json::value::RawValue>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn lines(file: &str) -> Vec<Line> {
    let text = std::fs::read_to_string(folder().join("webhooks").join(file)).expect("the fixtures are there");
    text.lines().map(|line| serde_json::from_str(line).expect("a fixture is JSON")).collect()
}

/// The arrival that bodies without any time are given.
const FALLBACK: i64 = 1_790_000_000_000;

fn settings() -> Settings {
    Settings { opt_out_keywords: vec!["no more offers".into()], opt_in_keywords: vec!["start".into()] }
}

/// What an event is, in a line that holds no personal data.
fn describe(event: &records::Event<'_>) -> String {
    let mut line = format!("event {}", event.kind.as_str());
    let text = |text: &Option<Text<'_>>| text.as_ref().map_or(String::new(), |text| text.as_str().to_owned());
    if let Some(message) = &event.message {
        let _ = write!(line, " {}", message.r#type.as_str());
        for (name, there) in [
            ("subtype", message.subtype.is_some()),
            ("removed", message.reaction_removed),
            ("context", message.context_message_id.is_some()),
            ("referral", message.referral.is_some()),
        ] {
            if there {
                let _ = write!(line, " {name}");
            }
        }
        let _ = write!(line, "{}{}", if message.subtype.is_some() { "=" } else { "" }, text(&message.subtype));
        if !message.error_codes.is_empty() {
            let _ = write!(line, " errors {:?}", message.error_codes);
        }
    }
    if let Some(status) = &event.status {
        let _ = write!(line, " {}", status.status.as_str());
        if let Some(pricing) = &status.pricing {
            let parts = [&pricing.pricing_model, &pricing.r#type, &pricing.category, &pricing.subtype];
            let parts: Vec<String> = parts.into_iter().map(text).collect();
            let _ = write!(line, " {}", parts.join("/"));
            let _ = write!(line, "{}", text(&pricing.cost_amount));
        }
        if let Some(conversation) = &status.conversation {
            let ends = if conversation.expires_at.is_some() { " with end" } else { "" };
            let _ = write!(line, " conversation {}{ends}", text(&conversation.origin));
        }
        if !status.errors.is_empty() {
            let _ = write!(line, " errors {:?}", status.errors.iter().map(|error| error.code).collect::<Vec<_>>());
        }
        if let Some(participant) = &status.participant {
            let _ = write!(line, " participant by {}", ids(participant));
        }
    }
    if let Some(call) = &event.call {
        let _ = write!(line, " {} {}", call.event.as_str(), text(&call.direction));
    }
    if let Some(preference) = &event.preference {
        let _ = write!(line, " {} {}", preference.category.as_str(), preference.value.as_str());
    }
    if let Some(change) = &event.identity_change {
        let _ = write!(line, " {}", change.r#type.as_str());
    }
    if let Some(consent) = &event.consent {
        let _ = write!(line, " {} {}", consent.scope.as_str(), consent.state.as_str());
    }
    if let Some(unknown) = &event.unknown {
        let _ = write!(line, " {} {:?}", unknown.name.as_str(), unknown.error_codes);
    }
    if let Some(contact) = &event.contact {
        let _ = write!(line, "; of {}", ids(contact));
    }
    if event.group_id.is_some() {
        line.push_str("; in a group");
    }
    if event.provenance.as_str() != "live" {
        let _ = write!(line, "; {}", event.provenance.as_str());
    }
    if event.occurred_at == FALLBACK {
        line.push_str("; at its arrival");
    }
    line
}

/// Which ids a person is known by.
fn ids(person: &records::Person<'_>) -> String {
    let known = [("phone", &person.wa_id), ("user id", &person.user_id), ("parent id", &person.parent_user_id)];
    let known: Vec<&str> = known.into_iter().filter(|(_, id)| id.is_some()).map(|(name, _)| name).collect();
    if known.is_empty() { "nobody".into() } else { known.join(" and ") }
}

fn table(file: &str) -> String {
    let key = DeploymentKey::new(b"tests name invented people only").expect("long enough");
    let mut table = String::new();
    for Line { shape, body } in lines(file) {
        let parsed = Parsed::new(body.get().as_bytes()).expect("a fixture is JSON");
        for part in parsed.parts(&settings(), Some(FALLBACK)) {
            let what = match part {
                Part::Event(record) => {
                    let parsed = event::parse(&record, &key);
                    let invalid = parsed.err().map(|invalid| format!(" BUT {invalid}")).unwrap_or_default();
                    describe(&record) + &invalid
                }
                Part::Fact(fact) => {
                    let value = fact.value.as_ref().map_or("", Text::as_str);
                    let about = if fact.template.is_some() { "template" } else { "account" };
                    let names: Vec<&str> = fact.attributes.iter().map(|(name, _)| *name).collect();
                    let until = if fact.until.is_some() { " until" } else { "" };
                    format!("{about} fact {} {value}{until} {names:?}", fact.name.as_str())
                }
                Part::Refused(refusal) => format!("refused {} {}: {}", refusal.code, refusal.part, refusal.detail),
            };
            let _ = writeln!(table, "{shape:48} {what}");
        }
    }
    table
}

fn golden(name: &str, found: &str) {
    let path = folder().join("golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).expect("the table can be written");
    }
    let known = std::fs::read_to_string(&path).expect("the table is there; UPDATE_GOLDEN=1 writes it");
    assert_eq!(found, known, "the table has changed; UPDATE_GOLDEN=1 writes it anew");
}

#[test]
fn every_published_shape_becomes_what_the_table_says() {
    assert_eq!(lines("shapes.ndjson").len(), 81);
    let table = table("shapes.ndjson");
    golden("webhook-shapes.txt", &table);
    assert!(!table.contains("refused"), "a published shape is read");
}

#[test]
fn every_described_shape_becomes_what_the_table_says() {
    golden("webhook-variants.txt", &table("variants.ndjson"));
}

#[test]
fn no_part_of_a_body_is_dropped_in_silence() {
    for file in ["shapes.ndjson", "variants.ndjson"] {
        for Line { shape, body } in lines(file) {
            let parsed = Parsed::new(body.get().as_bytes()).expect("a fixture is JSON");
            assert!(!parsed.parts(&settings(), Some(FALLBACK)).is_empty(), "{shape} became nothing");
        }
    }
}

/// All texts of a JSON value that stand under one of some names.
fn texts_under(value: &serde_json::Value, names: &[&str], under: bool, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::String(text) if under => {
            found.insert(text.clone());
        }
        serde_json::Value::Array(items) => {
            for item in items {
                texts_under(item, names, under, found);
            }
        }
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                texts_under(value, names, under || names.contains(&name.as_str()), found);
            }
        }
        _ => {}
    }
}

#[test]
fn no_message_body_no_name_and_no_caption_comes_through() {
    let private = [
        "body",
        "caption",
        "name",
        "username",
        "title",
        "description",
        "payload",
        "text",
        "sdp",
        "headline",
        "response_json",
        "filename",
        "address",
        "full_name",
        "first_name",
        "details",
        "formatted_name",
        "sha256",
        "url",
    ];
    for file in ["shapes.ndjson", "variants.ndjson"] {
        for Line { shape, body } in lines(file) {
            let whole: serde_json::Value = serde_json::from_str(body.get()).expect("a fixture is JSON");
            let mut texts = BTreeSet::new();
            texts_under(&whole, &private, false, &mut texts);
            let parsed = Parsed::new(body.get().as_bytes()).expect("a fixture is JSON");
            let mut kept = String::new();
            for part in parsed.parts(&settings(), Some(FALLBACK)) {
                if let Part::Event(record) = part {
                    let mut record = *record;
                    // The titles of the platform's errors are its own fixed texts.
                    for error in record.status.iter_mut().flat_map(|status| &mut status.errors) {
                        error.title = None;
                    }
                    kept.push_str(&serde_json::to_string(&record).expect("a record is JSON"));
                }
            }
            for text in texts.iter().filter(|text| text.len() >= 4 && text.contains(' ')) {
                assert!(!kept.contains(text.as_str()), "{shape} keeps a text of the message");
            }
        }
    }
}

#[test]
fn a_body_that_is_no_json_is_told_where() {
    let error = Parsed::new(b"{\"object\": \n nonsense}").err().expect("no JSON");
    assert_eq!(error.line, 2);
}

#[test]
fn any_json_at_all_is_read_without_a_panic() {
    for text in [
        "null",
        "[]",
        "{}",
        "3",
        "\"x\"",
        "{\"object\":3}",
        "{\"object\":\"whatsapp_business_account\",\"entry\":{}}",
        "{\"object\":\"whatsapp_business_account\",\"entry\":[null,3,{\"changes\":[[]]}]}",
    ] {
        let parsed = Parsed::new(text.as_bytes()).expect("JSON");
        let parts = parsed.parts(&Settings::default(), None);
        assert!(parts.iter().all(|part| matches!(part, Part::Refused(_))) && !parts.is_empty(), "{text}");
    }
}
