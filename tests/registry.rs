//! The client of the schema registry against a registry in memory.

#![cfg(feature = "serving")]
#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

mod registry_server;

use std::time::Duration;

use registry_server::{Mood, RegistryServer};
use serde_json::json;
use tollgate::codec::schema;
use tollgate::registry::{self, Basic, Error, Refusal, Registry, SchemaId};

/// Longer than any answer takes; nothing here waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(20);

const OLD: &str = r#"{"type": "record", "name": "A", "fields": [{"name": "x", "type": "int"}]}"#;
const WIDER: &str = r#"{"type": "record", "name": "A", "fields": [{"name": "x", "type": "int"}, {"name": "y", "type": "int", "default": 0}]}"#;
const OTHER: &str = r#"{"type": "record", "name": "A", "fields": [{"name": "z", "type": "string"}]}"#;

fn client(server: &RegistryServer) -> Registry {
    Registry::new(&[server.url()], None, PATIENCE).expect("a URL")
}

fn refusal(result: &Result<impl std::fmt::Debug, Error>) -> Option<Refusal> {
    match result {
        Err(Error::Refused { refusal, .. }) => Some(*refusal),
        _ => None,
    }
}

#[test]
fn every_schema_of_ours_is_registered_found_and_given_back() {
    let server = RegistryServer::start();
    let client = client(&server);
    for schema in schema::ALL {
        let subject = registry::subject(schema.name);
        let id = client.register(&subject, schema.text).expect("registered");
        assert_eq!(client.register(&subject, schema.text).expect("again"), id);
        assert_eq!(client.look_up(&subject, schema.text).expect("found"), id);
        assert_eq!(client.schema(id).expect("given"), schema.text);
    }
}

#[test]
fn one_schema_has_one_id_under_any_subject_and_spacing() {
    let server = RegistryServer::start();
    let client = client(&server);
    let id = client.register("a-value", OLD).expect("registered");
    assert_eq!(client.register("b-value", &OLD.replace(' ', "")).expect("registered"), id);
    assert_ne!(client.register("a-value", WIDER).expect("compatible"), id);
}

#[test]
fn a_subject_of_any_name_is_one_segment_of_the_path() {
    let server = RegistryServer::start();
    let client = client(&server);
    let subject = registry::subject(":.team:größe/50%");
    let id = client.register(&subject, OLD).expect("registered");
    assert_eq!(client.look_up(&subject, OLD).expect("found"), id);
    assert_eq!(server.requests()[0], "POST /subjects/%3A.team%3Agr%C3%B6%C3%9Fe%2F50%25-value/versions");
}

#[test]
fn refusals_are_told_apart_and_do_not_pass() {
    let server = RegistryServer::start();
    let client = client(&server);
    let unknown_subject = client.look_up("a-value", OLD);
    assert_eq!(refusal(&unknown_subject), Some(Refusal::UnknownSubject));
    client.register("a-value", OLD).expect("registered");
    assert_eq!(refusal(&client.look_up("a-value", WIDER)), Some(Refusal::UnknownSchema));
    assert_eq!(refusal(&client.schema(SchemaId(99))), Some(Refusal::UnknownSchema));
    assert_eq!(refusal(&client.register("a-value", OTHER)), Some(Refusal::Incompatible));
    assert_eq!(refusal(&client.register("a-value", "{}")), Some(Refusal::Invalid));
    let error = unknown_subject.expect_err("refused");
    assert!(!error.may_pass());
    let text = error.to_string();
    assert!(text.contains("look up the schema of `a-value`") && text.contains("40401"), "{text}");
}

#[test]
fn schemas_that_cannot_be_used_say_so() {
    let server = RegistryServer::start();
    let client = client(&server);
    let proto = server.hold(json!({ "schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF" }));
    let kind = "PROTOBUF".to_owned();
    assert_eq!(client.schema(SchemaId(proto)), Err(Error::NotAvro { id: SchemaId(proto), kind }));
    let reference = json!({ "name": "B", "subject": "b", "version": 1 });
    let parted = server.hold(json!({ "schema": OLD, "references": [reference] }));
    assert_eq!(client.schema(SchemaId(parted)), Err(Error::References(SchemaId(parted))));
}

#[test]
fn an_outage_passes() {
    let server = RegistryServer::start();
    let client = client(&server);
    let id = client.register("a-value", OLD).expect("registered");
    for mood in [Mood::Silent, Mood::Failing(503), Mood::Failing(429)] {
        server.set_mood(mood);
        let error = client.schema(id).expect_err("down");
        assert!(error.may_pass(), "{error}");
        assert!(error.to_string().contains(&server.url()), "{error}");
        server.set_mood(Mood::Well);
        assert_eq!(client.schema(id).expect("back"), OLD);
    }
}

#[test]
fn a_registry_that_hangs_is_given_up_in_time_and_another_of_its_urls_is_asked() {
    let (hangs, well) = (RegistryServer::start(), RegistryServer::start());
    let id = well.register("a-value", OLD);
    hangs.set_mood(Mood::Hanging);
    let patience = Duration::from_millis(300);
    let alone = Registry::new(&[hangs.url()], None, patience).expect("a URL");
    let error = alone.schema(SchemaId(id)).expect_err("no answer ever comes");
    assert!(error.may_pass() && error.to_string().contains(&hangs.url()), "{error}");
    let both = Registry::new(&[hangs.url(), well.url()], None, patience).expect("URLs");
    assert_eq!(both.schema(SchemaId(id)).expect("the other answers"), OLD);
    assert_eq!(hangs.requests().len(), 2, "it understood, and said nothing");
}

#[test]
fn several_urls_are_tried_in_turn_from_the_one_that_answered_last() {
    let (down, up) = (RegistryServer::start(), RegistryServer::start());
    down.set_mood(Mood::Failing(500));
    let client = Registry::new(&[down.url(), up.url()], None, PATIENCE).expect("URLs");
    client.register("a-value", OLD).expect("the second answers");
    client.register("b-value", OLD).expect("it still does");
    assert_eq!((down.requests().len(), up.requests().len()), (1, 2));
}

#[test]
fn credentials_are_sent_and_never_shown() {
    let server = RegistryServer::start();
    server.require("Basic bmFtZTpzw6ljcmV0");
    assert_eq!(refusal(&client(&server).register("a-value", OLD)), Some(Refusal::Forbidden));
    let auth = Basic { name: "name".to_owned(), password: "sécret".to_owned() };
    let client = Registry::new(&[server.url()], Some(&auth), PATIENCE).expect("a URL");
    client.register("a-value", OLD).expect("registered");
    let shown = format!("{auth:?} {client:?}");
    assert!(!shown.contains("cret") && !shown.contains("bmFt"), "{shown}");
}

#[test]
fn what_is_no_registry_is_not_waited_for() {
    let server = RegistryServer::start();
    let url = format!("{}/somewhere", server.url());
    server.set_mood(Mood::Failing(200));
    let client = Registry::new(&[url], None, PATIENCE).expect("a URL");
    let error = client.schema(SchemaId(1)).expect_err("no registry");
    assert!(matches!(error, Error::NotARegistry { .. }) && !error.may_pass(), "{error}");
}
