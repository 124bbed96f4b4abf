//! What a reader does with values that nobody has told it of, and with bytes.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use tollgate::codec::frame::{Framing, Writers};
use tollgate::codec::records::DeadLetter;

use super::case::{Case, FRAMINGS, all, event, filled, kind};
use super::library::{decode, encode, parse, tree};
use super::trees::{field_at, paths, put, unfolded, values};

/// Whatever text stands where the docs list known values: it is kept, in every framing and by apache-avro.
#[test]
fn a_value_that_nobody_knows_survives_every_framing() {
    for case in filled() {
        let mut json = case.json.clone();
        let mut whole = unfolded(case.kind.schema.text);
        for (number, path) in paths(&whole).iter().enumerate() {
            // Bytes are texts in JSON too, and no text is put there.
            let said = field_at(&mut whole, path)["type"].to_string();
            if said.contains("\"string\"") && values(&json, path)[0].is_string() {
                put(&mut json, path, Some(&json!(format!("unheard of ☎ {number}"))));
            }
        }
        let unheard = Case::new(case.kind, "unheard of", json.to_string());
        assert_ne!(unheard.json, case.json);
        for framing in FRAMINGS {
            assert_eq!(case.read(&unheard.write(framing)).as_ref(), Ok(&json), "{} as {framing:?}", case.name());
        }
        assert_eq!(decode(&case.kind.parsed, None, &unheard.datum()), Ok(json), "{}", case.name());
    }
}

#[test]
fn a_field_that_nobody_knows_is_passed_over_in_json() {
    let case = event();
    let mut json = case.json.clone();
    json["mood"] = json!({"colour": ["blue", null, 1.5, {"deep": true}]});
    json["status"]["mood"] = json!(null);
    assert_eq!(case.read(json.to_string().as_bytes()), Ok(case.json));
}

/// A producer may spell out in JSON what is absent.
#[test]
fn a_null_in_json_is_an_absent_field() {
    for case in all().filter(|case| case.part == "minimal") {
        let mut json = case.json.clone();
        for field in tree(case.kind.schema.text)["fields"].as_array().expect("a record has fields") {
            let name = field["name"].as_str().expect("a field has a name");
            if field.get("default") == Some(&json!(null)) && json.get(name).is_none() {
                json[name] = json!(null);
            }
        }
        assert_eq!(case.read(json.to_string().as_bytes()).as_ref(), Ok(&case.json), "{}", case.name());
    }
}

/// A dead letter that holds a payload, or none.
fn letter(payload: Option<&[u8]>) -> Case {
    let mut json = serde_json::to_value(DeadLetter::default()).expect("a record of ours can be JSON");
    if let Some(payload) = payload {
        json["payload"] = json!(BASE64_STANDARD.encode(payload));
    }
    Case::new(kind("DeadLetter"), "letter", json.to_string())
}

#[test]
fn bytes_are_base64_in_json_and_themselves_in_avro_and_come_back() {
    for bytes in [&b""[..], b"\0", &[0xC3, 0x01, 0xFF, 0xFE], b"plain text", &[b'='; 63]] {
        let case = letter(Some(bytes));
        // Branch 1 of the union, the length in zigzag form, and the bytes as they are.
        let held = [&[2, u8::try_from(2 * bytes.len()).expect("short bytes")], bytes].concat();
        let datum = case.datum();
        assert!(datum.windows(held.len()).any(|window| window == held), "{bytes:?} in {datum:?}");
        assert_eq!(decode(&case.kind.parsed, None, &datum).as_ref(), Ok(&case.json));
        for framing in FRAMINGS {
            let written = case.write(framing);
            let read: DeadLetter<'_> = case.kind.reader.read(&written).expect("a letter can be read");
            assert_eq!(read.payload.expect("a payload is there, empty or not").0, bytes, "as {framing:?}");
            let written = letter(None).write(framing);
            let read: DeadLetter<'_> = case.kind.reader.read(&written).expect("a letter can be read");
            assert_eq!(read.payload, None, "no bytes and empty bytes are two things, as {framing:?}");
        }
    }
}

#[test]
fn text_that_is_no_base64_is_no_bytes() {
    for text in ["%", "AA", "AA=A", "A A=", "AAA=\n"] {
        let mut json = letter(None).json;
        json["payload"] = json!(text);
        let read = letter(None).read(json.to_string().as_bytes());
        assert_eq!(read.map_err(|error| error.code()), Err("unknown_shape"), "{text:?}");
    }
}

#[test]
fn a_frame_that_names_an_unknown_schema_says_so() {
    let code = |writers: &Writers, bytes: &[u8]| {
        let read = writers.read::<DeadLetter<'_>>(bytes);
        read.map(|_| ()).map_err(|error| error.code())
    };
    let [single, registry] = [Framing::SingleObject, Framing::Registry(8)].map(|framing| letter(None).write(framing));
    assert_eq!(code(&kind("DeadLetter").reader, &registry), Err("unknown_schema"));
    assert_eq!(code(&kind("Event").reader, &single), Err("unknown_schema"));
    assert_eq!(code(&Writers::default(), &[]), Err("unknown_framing"));
    assert_eq!(code(&Writers::default(), b"[]"), Err("unknown_framing"));
}

#[test]
fn what_follows_a_record_is_an_error() {
    for case in all() {
        for framing in FRAMINGS {
            let mut bytes = case.write(framing);
            bytes.push(b'0');
            assert!(case.read(&bytes).is_err(), "{} as {framing:?}", case.name());
        }
    }
}

/// The detail of a dead letter is for people, and no person's number is in it.
#[test]
fn an_error_never_holds_what_was_read() {
    const NUMBER: &str = "12025550143";
    let wrong = [
        (json!(NUMBER), json!("string")),
        (json!(12_025_550_143_i64), json!("long")),
        (json!([NUMBER]), json!({"type": "array", "items": "string"})),
        (json!({NUMBER: NUMBER}), json!({"type": "map", "values": "string"})),
        (json!(true), json!("boolean")),
    ];
    let mut errors = 0;
    for case in filled() {
        let schema = unfolded(case.kind.schema.text);
        for path in paths(&schema) {
            for (value, r#type) in &wrong {
                let mut json = case.json.clone();
                put(&mut json, &path, Some(value));
                let in_json = case.read(json.to_string().as_bytes());
                // The same by a writer who has another type there.
                let mut schema = schema.clone();
                *field_at(&mut schema, &path) = json!({"name": path.last(), "type": r#type});
                let schema = schema.to_string();
                let in_avro = case.read_by(&schema, &encode(&parse(&schema), &json));
                for error in [in_json, in_avro].into_iter().filter_map(Result::err) {
                    errors += 1;
                    let said = format!("{error} {error:?}");
                    assert!(!said.contains(NUMBER), "{}: {path:?}: {said}", case.name());
                }
            }
        }
    }
    assert!(errors > 1_000, "only {errors} errors");
}
