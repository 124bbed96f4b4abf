//! `FULL_TRANSITIVE`: every version reads what every other one wrote.

use serde_json::{Value as Json, json};
use tollgate::codec::schema;

use super::case::{all, kind, kinds};
use super::golden::{versions, with_todays_defaults};
use super::library::{decode, encode, parse, tree};
use super::trees::{
    avro_objects, each_record, field_at, fields_of, incompatibilities, known, paths, put, unfolded, without_field,
};

const EVENT: &str = schema::EVENT.text;

#[test]
fn every_released_schema_is_compatible_with_every_other_and_with_todays() {
    for kind in kinds() {
        let released = versions().iter().filter_map(|version| version.schemas.get(kind.schema.name));
        let all: Vec<&str> = released.map(String::as_str).chain([kind.schema.text]).collect();
        // From the oldest on: a later version may know more than an earlier one, and never less.
        for (number, old) in all.iter().enumerate() {
            for new in &all[number..] {
                assert_eq!(incompatibilities(old, new), Vec::<String>::new(), "{}", kind.schema.name);
            }
        }
    }
}

#[test]
fn new_code_reads_what_every_old_schema_wrote() {
    for version in versions() {
        for (record, schema) in &version.schemas {
            let kind = kind(record);
            for json in version.json(record) {
                let case = super::case::Case::new(kind, "old", json.to_string());
                let read = case.read_by(schema, &encode(&parse(schema), &json));
                assert_eq!(read, Ok(with_todays_defaults(kind, &json)), "{record} of {}", version.name);
            }
        }
    }
}

#[test]
fn an_old_schema_reads_what_new_code_writes() {
    for version in versions() {
        for case in all() {
            let Some(old) = version.schemas.get(case.kind.schema.name) else { continue };
            let read = decode(&case.kind.parsed, Some(&parse(old)), &case.datum());
            assert_eq!(read.as_ref(), Ok(&known(&case.json, &unfolded(old))), "{} by {}", case.name(), version.name);
        }
    }
}

/// The same for the versions that there may once have been: one field fewer, each field in turn.
#[test]
fn a_schema_that_lacks_a_field_reads_what_new_code_writes() {
    for case in all() {
        let mut whole = unfolded(case.kind.schema.text);
        let datum = case.datum();
        for path in paths(&whole) {
            let old = without_field(&whole, &path);
            let mut expected = case.json.clone();
            put(&mut expected, &path, None);
            let read = decode(&case.kind.parsed, Some(&parse(&old.to_string())), &datum);
            assert_eq!(read.as_ref(), Ok(&expected), "{} without {path:?}", case.name());
            // Such a version is a lawful older one exactly if the field has a default.
            let lawful = field_at(&mut whole, &path).get("default").is_some();
            assert_eq!(avro_objects(&old, &whole).is_none(), lawful, "{} without {path:?}", case.name());
        }
    }
}

/// The event's schema with the fields of one of its records changed.
fn change(record: &str, change: impl Fn(&mut Vec<Json>)) -> String {
    let (mut tree, mut changed) = (tree(EVENT), false);
    each_record(&mut tree, &mut |node| {
        if node["name"] == record {
            change(fields_of(node));
            changed = true;
        }
    });
    assert!(changed, "there is no {record}");
    tree.to_string()
}

/// With one field changed.
fn change_field(record: &str, name: &str, change_it: impl Fn(&mut Json)) -> String {
    change(record, |fields| {
        change_it(fields.iter_mut().find(|field| field["name"] == name).expect("the field is there"));
    })
}

fn removed(record: &str, name: &str) -> String {
    change(record, |fields| {
        let place = fields.iter().position(|field| field["name"] == name).expect("the field is there");
        fields.remove(place);
    })
}

fn renamed(record: &str, name: &str) -> String {
    change_field(record, name, |field| field["name"] = json!(format!("{name}_2")))
}

/// With a field's type changed.
fn typed(record: &str, name: &str, by: &Json) -> String {
    change_field(record, name, |field| field["type"] = by.clone())
}

fn replaced(record: &str, by: &Json) -> String {
    change_field(record, by["name"].as_str().expect("a field has a name"), |field| field.clone_from(by))
}

fn added(record: &str, field: &Json) -> String {
    change(record, |fields| fields.insert(fields.len() / 2, field.clone()))
}

/// Changes that break the contract, and whether Avro's rules alone would let them pass.
#[rustfmt::skip]
fn breaking() -> Vec<(&'static str, bool, String)> {
    let letters = json!({"type": "enum", "name": "Kind", "symbols": ["message", "status"]});
    let texts = json!({"type": "array", "items": "string"});
    let numbers = json!({"type": "map", "values": "long"});
    vec![
        ("a required field is removed", false, removed("Event", "occurred_at")),
        ("a required field of an inner record is removed", false, removed("PlatformError", "code")),
        ("an optional field is removed", true, removed("Event", "group_id")),
        ("an optional field of an inner record is removed", true, removed("Conversation", "origin")),
        ("a list is removed", true, removed("Status", "errors")),
        ("a required field is renamed", false, renamed("Event", "phone_number_id")),
        ("an optional field is renamed", true, renamed("Event", "received_at")),
        ("an optional field of an inner record is renamed", true, renamed("Pricing", "type")),
        ("a long becomes an int", false, typed("Event", "occurred_at", &json!("int"))),
        ("an int becomes a long", false, typed("PlatformError", "code", &json!("long"))),
        ("a long becomes a double", false, typed("Event", "occurred_at", &json!("double"))),
        ("a boolean becomes a string", false,
            replaced("Event", &json!({"name": "admit_late", "type": "string", "default": ""}))),
        ("a string becomes a long", false, typed("Event", "kind", &json!("long"))),
        ("a string becomes an enum", false, typed("Event", "kind", &letters)),
        ("a string becomes bytes", true, typed("Event", "kind", &json!("bytes"))),
        ("an optional string becomes a long", false, typed("Event", "group_id", &json!(["null", "long"]))),
        ("an optional string becomes bytes", true, typed("Event", "group_id", &json!(["null", "bytes"]))),
        ("a union grows", false, typed("Event", "group_id", &json!(["null", "string", "long"]))),
        ("an optional field becomes required", false,
            replaced("Call", &json!({"name": "direction", "type": "string"}))),
        ("a required field becomes optional", false, typed("Call", "event", &json!(["null", "string"]))),
        ("items of a list change", false, typed("Message", "error_codes", &texts)),
        ("values of a map change", false, typed("SendRequested", "attributes", &numbers)),
        ("a map becomes a list", false,
            replaced("SendRequested", &json!({"name": "attributes", "type": texts, "default": []}))),
        ("a field is added without a default", false, added("Event", &json!({"name": "mood", "type": "string"}))),
        ("an optional field is added without a default", false,
            added("Status", &json!({"name": "mood", "type": ["null", "string"]}))),
        ("a default is taken away", true, change_field("Event", "admit_late", |field| {
            field.as_object_mut().and_then(|field| field.remove("default"));
        })),
        ("a default becomes another", true,
            change_field("Event", "provenance", |field| field["default"] = json!("history_import"))),
        ("an inner record gets another name", false, EVENT.replace("\"Conversation\"", "\"Chat\"")),
    ]
}

#[test]
fn a_change_that_breaks_the_contract_is_found() {
    for (what, lawful, changed) in breaking() {
        assert!(!incompatibilities(EVENT, &changed).is_empty(), "{what}: nothing is found");
        // Were Avro's rules to find all of them, ours could go.
        let objects = avro_objects(&unfolded(EVENT), &unfolded(&changed));
        assert_eq!(objects.is_none(), lawful, "{what}: {objects:?}");
    }
}

#[test]
fn a_change_that_keeps_the_contract_is_let_pass_one_way_and_found_the_other() {
    let lawful = [
        json!({"name": "mood", "type": ["null", "string"], "default": null}),
        json!({"name": "moods", "type": {"type": "array", "items": "int"}, "default": []}),
        json!({"name": "glad", "type": "boolean", "default": false}),
    ];
    for record in ["Event", "Person", "Status", "Pricing"] {
        for field in &lawful {
            let future = added(record, field);
            assert_eq!(incompatibilities(EVENT, &future), Vec::<String>::new(), "{record}: {field} is added");
            assert_ne!(incompatibilities(&future, EVENT), Vec::<String>::new(), "{record}: {field} is removed");
        }
    }
}

#[test]
fn another_doc_or_another_order_breaks_nothing() {
    let reordered = change("Status", |fields| fields.reverse());
    assert_eq!(incompatibilities(EVENT, &reordered), Vec::<String>::new());
    let reworded = change_field("Status", "status", |field| field["doc"] = json!("Other words."));
    assert_eq!(incompatibilities(EVENT, &reworded), Vec::<String>::new());
}
