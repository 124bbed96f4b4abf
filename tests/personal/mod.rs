//! What fixtures and the example day tell of people, for tests that look for it where it must not be.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

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

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The bodies of all fixtures, and the lines of the example day.
pub fn lines() -> Vec<String> {
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

/// Everything in these lines that is personal.
pub fn all_personal(lines: &[String]) -> BTreeSet<String> {
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
pub fn assert_clean(what: &str, text: &str, personal: &BTreeSet<String>) {
    let leaked = personal.iter().filter(|secret| text.contains(secret.as_str())).count();
    assert_eq!(leaked, 0, "{what} tells {leaked} texts that are personal");
}
