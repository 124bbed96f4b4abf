//! Writers of the future, and of other habits: today's decoder reads what a schema wrote that it has never seen.

use serde_json::{Value as Json, json};
use tollgate::codec::avro::{self, Plan};

use super::case::{Case, all, event, filled};
use super::library::{encode, parse, tree};
use super::trees::{children, each_field, each_record, field_at, fields_of, paths, put, unfolded, values};

/// Fields of every type there is, as a later version or another producer may add them. Each has a default that
/// is no zero byte, so that something must be skipped.
fn foreign(number: usize) -> Vec<Json> {
    let namespace = format!("added{number}");
    let inner = json!({
        "type": "record", "name": "Added", "namespace": namespace,
        "fields": [
            {"name": "lists", "type": {"type": "array", "items": {"type": "map", "values": ["null", "double"]}}},
            {"name": "flag", "type": "boolean"}
        ]
    });
    let letters = json!({"type": "enum", "name": "Letters", "namespace": namespace, "symbols": ["A", "B"]});
    let fixed = json!({"type": "fixed", "name": "Four", "namespace": namespace, "size": 4});
    let timestamp = json!({"type": "long", "logicalType": "timestamp-micros"});
    vec![
        json!({"name": "added_string", "type": "string", "default": "x"}),
        json!({"name": "added_bytes", "type": "bytes", "default": "AAECAw=="}),
        json!({"name": "added_int", "type": "int", "default": -70}),
        json!({"name": "added_float", "type": "float", "default": 1.5}),
        json!({"name": "added_double", "type": "double", "default": 2.5}),
        json!({"name": "added_null", "type": "null", "default": null}),
        json!({"name": "added_fixed", "type": fixed, "default": "abcd"}),
        json!({"name": "added_enum", "type": letters, "default": "B"}),
        json!({"name": "added_instant", "type": timestamp, "default": 1_790_000_000_000_000_i64}),
        json!({"name": "added_union", "type": ["string", "null", "long", "double"], "default": "one of many"}),
        json!({"name": "added_record", "type": inner, "default": {"lists": [{"a": 0.5, "b": null}, {}], "flag": true}}),
    ]
}

/// The schema with foreign fields in the middle of every record.
fn grown(schema: &str) -> Json {
    let (mut tree, mut number) = (unfolded(schema), 0);
    each_record(&mut tree, &mut |record| {
        number += 1;
        let fields = fields_of(record);
        let middle = fields.len() / 2;
        fields.splice(middle..middle, foreign(number));
    });
    tree
}

/// Writes JSON by a schema and reads it.
fn read(case: &Case, schema: &Json, json: &Json) -> Result<Json, &'static str> {
    let schema = schema.to_string();
    case.read_by(&schema, &encode(&parse(&schema), json)).map_err(|error| error.code())
}

#[test]
fn added_fields_are_passed_over_and_fields_are_read_by_their_names() {
    for case in all() {
        for mut tree in [unfolded(case.kind.schema.text), grown(case.kind.schema.text)] {
            assert_eq!(read(&case, &tree, &case.json).as_ref(), Ok(&case.json), "{}", case.name());
            each_record(&mut tree, &mut |record| fields_of(record).reverse());
            assert_eq!(read(&case, &tree, &case.json).as_ref(), Ok(&case.json), "{} reversed", case.name());
        }
    }
}

/// Replaces types everywhere, also within unions, lists and maps.
fn replace(node: &mut Json, by: &mut impl FnMut(&Json) -> Option<Json>) {
    match by(node) {
        Some(other) => *node = other,
        None => children(node).into_iter().for_each(|inner| replace(inner, by)),
    }
}

/// Whether a text can be a symbol of an enum.
fn is_name(text: &str) -> bool {
    !text.starts_with(|first: char| first.is_ascii_digit())
        && text.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

#[test]
fn an_enum_where_we_have_a_string_is_read_as_its_symbol() {
    let mut enums = 0;
    for case in filled() {
        let mut tree = unfolded(case.kind.schema.text);
        for path in paths(&tree) {
            let texts: Option<Vec<&str>> = values(&case.json, &path).into_iter().map(Json::as_str).collect();
            let Some(texts) = texts.filter(|texts| texts.iter().all(|text| is_name(text))) else { continue };
            enums += 1;
            let symbols = [&["NoValueOfOurs"], texts.as_slice()].concat();
            let letters = json!({"type": "enum", "name": format!("E{enums}"), "symbols": symbols});
            let field = field_at(&mut tree, &path);
            replace(&mut field["type"], &mut |node| (*node == "string").then(|| letters.clone()));
            field.as_object_mut().and_then(|field| field.remove("default"));
        }
        // Without its default an optional field must be spelt out, which the filled record does.
        assert_eq!(read(&case, &tree, &case.json).as_ref(), Ok(&case.json), "{}", case.name());
    }
    assert!(enums > 50, "only {enums} fields became enums");
}

/// Avro promises it of an `int` where we have a `long`. The other way nothing is lost as long as the numbers
/// fit; what does not fit is no record.
#[test]
fn integers_of_another_width_are_read_if_they_fit() {
    for case in filled() {
        let mut json = case.json.clone();
        let mut tree = unfolded(case.kind.schema.text);
        for path in paths(&tree) {
            if values(&json, &path)[0].is_i64() {
                put(&mut json, &path, Some(&json!(1_000_003)));
            }
        }
        for (from, to) in [("long", "int"), ("int", "long")] {
            replace(&mut tree, &mut |node| (*node == from).then(|| json!(to)));
            assert_eq!(read(&case, &tree, &json).as_ref(), Ok(&json), "{}: {from} as {to}", case.name());
        }
    }
    let case = event();
    let mut schema = tree(case.kind.schema.text);
    replace(&mut schema, &mut |node| (*node == "int").then(|| json!("long")));
    let mut json = case.json.clone();
    json["status"]["errors"][0]["code"] = json!(i64::from(i32::MAX) + 1);
    assert_eq!(read(&case, &schema, &json), Err("not_avro"));
}

#[test]
fn a_required_field_that_becomes_optional_is_read_if_it_is_there() {
    let case = event();
    let mut tree = unfolded(case.kind.schema.text);
    field_at(&mut tree, &["kind".to_owned()])["type"] = json!(["null", "string"]);
    assert_eq!(read(&case, &tree, &case.json).as_ref(), Ok(&case.json));
    let mut json = case.json.clone();
    json["kind"] = json!(null);
    assert_eq!(read(&case, &tree, &json), Err("not_avro"));
}

#[test]
fn optional_fields_that_become_required_or_stand_in_other_unions_are_read() {
    for case in all() {
        for second in [false, true] {
            let mut tree = unfolded(case.kind.schema.text);
            each_field(&mut tree, &mut |field| {
                let optional = field["type"].as_array().map(|branches| branches[1].clone());
                let Some(branch) = optional.filter(Json::is_string) else { return };
                if second {
                    // The default is of the first type, and a null is written out.
                    field["type"] = json!(["double", branch, "null"]);
                    field["default"] = json!(0.5);
                } else if case.part == "filled" {
                    field["type"] = branch;
                    field.as_object_mut().and_then(|field| field.remove("default"));
                }
            });
            let mut json = case.json.clone();
            spell_out(&tree, &mut json);
            assert_eq!(read(&case, &tree, &json).as_ref(), Ok(&case.json), "{} in {tree}", case.name());
        }
    }
}

/// Writes the nulls that plain JSON leaves out, where the schema's default is another.
fn spell_out(node: &Json, json: &mut Json) {
    match (node, json) {
        (Json::Array(branches), json) => branches.iter().for_each(|branch| spell_out(branch, json)),
        (Json::Object(_), Json::Array(items)) => items.iter_mut().for_each(|item| spell_out(&node["items"], item)),
        (Json::Object(object), Json::Object(record)) => {
            for field in object.get("fields").and_then(Json::as_array).into_iter().flatten() {
                let name = field["name"].as_str().expect("a field has a name");
                if field["default"] == json!(0.5) {
                    record.entry(name).or_insert(Json::Null);
                }
                record.get_mut(name).into_iter().for_each(|json| spell_out(&field["type"], json));
            }
        }
        _ => {}
    }
}

#[test]
fn another_namespace_reads_the_same() {
    for case in all() {
        let moved = tree(&case.kind.schema.text.replace("tollgate.v1", "com.example.gateway"));
        assert_eq!(read(&case, &moved, &case.json).as_ref(), Ok(&case.json), "{}", case.name());
    }
}

/// A reader that is done with one record stands at the next: what it skips it skips whole.
#[test]
fn what_is_skipped_is_skipped_whole() {
    for case in all() {
        let text = case.kind.schema.text;
        let grown = grown(text).to_string();
        let written = encode(&parse(&grown), &case.json);
        let by_blocks = case.library_writes(Some(1));
        for (schema, datum) in [(grown.as_str(), written), (text, case.datum()), (text, by_blocks)] {
            let bytes = [datum.as_slice(), b"next"].concat();
            let mut rest = bytes.as_slice();
            let plan = Plan::parse(schema).expect("the schema can be compiled");
            avro::skip(&plan, &mut rest).unwrap_or_else(|error| panic!("{}: {error}", case.name()));
            assert_eq!(rest, b"next", "{}", case.name());
        }
    }
}
