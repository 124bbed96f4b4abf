//! The schemas against the structs, and against the habits that the encoder relies on.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Value as Json, json};
use tollgate::codec::avro::fingerprint;
use tollgate::codec::frame::Framing;
use tollgate::codec::schema;

use super::case::{FRAMINGS, all, filled, framed, kinds};
use super::library::{decode_text, encode, parse, text as plain, tree};
use super::trees::{each_field, each_record, field_at, paths, put, unfolded, values, without, without_field};

fn text<'j>(node: &'j Json, key: &str) -> &'j str {
    node[key].as_str().unwrap_or_default()
}

#[test]
fn every_schema_file_is_compiled_in_under_its_own_name_and_has_a_sample() {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas")).expect("the schemas are there");
    let files = files.map(|file| file.expect("a directory can be listed").path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "avsc"));
    let files: BTreeSet<String> = files.map(|path| std::fs::read_to_string(path).expect("a schema is text")).collect();
    assert_eq!(files, schema::ALL.iter().map(|schema| schema.text.to_owned()).collect());
    for (kind, schema) in kinds().iter().zip(schema::ALL) {
        let tree = tree(schema.text);
        assert_eq!((text(&tree, "name"), text(&tree, "namespace")), (schema.name, "tollgate.v1"));
        assert_eq!(kind.schema, *schema);
    }
}

#[test]
fn every_record_and_every_field_says_what_it_means() {
    for schema in schema::ALL {
        each_record(&mut tree(schema.text), &mut |record| {
            let name = text(record, "name").to_owned();
            assert!(!text(record, "doc").trim().is_empty(), "{name} has no doc");
            each_field(record, &mut |field| {
                assert!(!text(field, "doc").trim().is_empty(), "{name}.{} has no doc", text(field, "name"));
            });
        });
    }
}

#[test]
fn a_record_used_in_several_files_is_the_same_in_all_of_them() {
    let mut known: HashMap<String, Json> = HashMap::new();
    for schema in schema::ALL {
        // Without namespaces, which unfolding makes different everywhere; with docs.
        each_record(&mut without(unfolded(schema.text), "namespace"), &mut |record| {
            let known = known.entry(text(record, "name").to_owned()).or_insert_with(|| record.clone());
            assert_eq!(known, record, "{} in {}", text(record, "name"), schema.name);
        });
    }
}

/// Sets of values grow, so none is an enum; and what may be absent says so in one way.
#[test]
fn no_schema_uses_an_enum_a_logical_type_an_alias_or_a_union_other_than_null_and_one_type() {
    fn check(place: &str, node: &Json) {
        for key in ["logicalType", "aliases"] {
            assert_eq!(node.get(key), None, "{place}");
        }
        match (node, text(node, "type")) {
            (Json::String(name), _) => assert!(!["float", "double", "null"].contains(&name.as_str()), "{place}"),
            (Json::Object(record), "record") => {
                for field in record["fields"].as_array().expect("a record has fields") {
                    let place = format!("{place}.{}", text(field, "name"));
                    assert_eq!(field.get("aliases"), None, "{place}");
                    match field["type"].as_array().map(Vec::as_slice) {
                        Some([null, branch]) if null == "null" => {
                            assert_eq!(field.get("default"), Some(&Json::Null), "{place} has no default");
                            check(&place, branch);
                        }
                        _ => check(&place, &field["type"]),
                    }
                }
            }
            (Json::Object(array), "array") => check(place, &array["items"]),
            (Json::Object(map), "map") => check(place, &map["values"]),
            _ => panic!("{place} is of type {node}"),
        }
    }
    for schema in schema::ALL {
        check(schema.name, &tree(schema.text));
    }
}

/// The encoder writes one zero byte for a field that is left out.
#[test]
fn every_default_is_one_zero_byte_except_the_provenance() {
    let zeros = [json!(null), json!(false), json!(0), json!(""), json!([]), json!({})];
    for schema in schema::ALL {
        each_field(&mut unfolded(schema.text), &mut |field| match field.get("default") {
            Some(default) if text(field, "name") == "provenance" => assert_eq!(default, "live"),
            Some(default) => assert!(zeros.contains(default), "{}.{}", schema.name, text(field, "name")),
            None => {}
        });
    }
}

#[test]
fn every_field_has_a_value_in_the_filled_sample_and_no_value_occurs_twice() {
    for case in filled() {
        let mut known = HashSet::new();
        for path in paths(&unfolded(case.kind.schema.text)) {
            let found = values(&case.json, &path);
            let empty = [json!([]), json!({}), json!("")];
            assert!(!found.is_empty() && !found.iter().any(|value| empty.contains(value)), "{}: {path:?}", case.name());
            for leaf in found.into_iter().filter(|value| !value.is_boolean()) {
                assert!(known.insert(leaf.to_string()), "{}: {leaf} occurs twice, at {path:?}", case.name());
            }
        }
    }
}

/// Our encoder knows no names: it writes the struct's fields in their order. apache-avro gives them the
/// schema's names, in the schema's order, which are to be the names and the order of our JSON.
#[test]
fn every_struct_has_the_names_and_the_order_of_its_schema() {
    for case in all() {
        let ours = String::from_utf8(case.write(Framing::Json)).expect("JSON is UTF-8");
        assert_eq!(decode_text(&case.kind.parsed, None, &case.datum()), Ok(ours), "{}", case.name());
    }
}

/// The bytes of an `int` and of a `long` are the same, so their widths are told at their ends.
#[test]
fn every_integer_is_as_wide_as_its_schema_says() {
    for case in filled() {
        let mut whole = unfolded(case.kind.schema.text);
        for path in paths(&whole) {
            let said = field_at(&mut whole, &path)["type"].to_string();
            let is_long = said.contains("\"long\"") && !said.contains("record");
            let mut json = case.json.clone();
            let wide = json!(i64::from(i32::MAX) + 1);
            // The values of a list of integers are put as a list.
            let list = values(&json, &path)[0].is_array();
            put(&mut json, &path, Some(&if list { json!([wide]) } else { wide }));
            let read = case.read(json.to_string().as_bytes());
            if is_long {
                assert_eq!(read, Ok(json), "{}: {path:?}", case.name());
            } else {
                assert!(read.is_err(), "{}: {path:?}", case.name());
            }
        }
    }
}

#[test]
fn our_decoder_reads_what_apache_avro_writes() {
    for case in all() {
        // Arrays and maps in one block and in a block for every item, which has its size in bytes before it.
        for bytes in [encode(&case.kind.parsed, &case.json), case.library_writes(None), case.library_writes(Some(1))] {
            assert_eq!(case.read(&framed(&bytes)).as_ref(), Ok(&case.json), "{}", case.name());
        }
    }
}

#[test]
fn apache_avro_reads_our_single_objects_by_their_fingerprint() {
    for case in all() {
        let reader = apache_avro::GenericSingleObjectReader::builder().schema(parse(case.kind.schema.text)).build();
        let bytes = case.write(Framing::SingleObject);
        let value = reader.and_then(|reader| reader.read_value(&mut bytes.as_slice()));
        assert_eq!(tree(&plain(&value.expect("a single object can be read"))), case.json, "{}", case.name());
    }
}

/// A doc may be put right without a new schema: frames name the canonical form, which has none.
#[test]
fn a_doc_is_no_part_of_the_fingerprint() {
    for schema in schema::ALL {
        let bare = without(tree(schema.text), "doc").to_string();
        assert_eq!(fingerprint(&bare), fingerprint(schema.text), "{}", schema.name);
    }
}

/// The schema's defaults and the struct's are written in two places; here they are held together, field by
/// field, for a writer that does not know the field and for JSON that leaves it out.
#[test]
fn a_field_that_the_writer_does_not_know_takes_the_schemas_default() {
    for case in filled() {
        let mut whole = unfolded(case.kind.schema.text);
        for path in paths(&whole) {
            let place = format!("{}: {path:?}", case.name());
            let schema = without_field(&whole, &path).to_string();
            let mut json = case.json.clone();
            put(&mut json, &path, None);
            let by_avro = case.read_by(&schema, &encode(&parse(&schema), &json));
            let by_json = case.read(json.to_string().as_bytes());
            if let Some(default) = field_at(&mut whole, &path).get("default") {
                let is_absent = default.is_null() || *default == json!({});
                put(&mut json, &path, (!is_absent).then_some(default));
                assert_eq!((by_avro.as_ref(), by_json.as_ref()), (Ok(&json), Ok(&json)), "{place}");
            } else {
                assert_eq!(by_avro.map_err(|error| error.code()), Err("not_avro"), "{place}");
                assert_eq!(by_json.map_err(|error| error.code()), Err("unknown_shape"), "{place}");
            }
        }
    }
}

#[test]
fn every_framing_gives_back_the_record() {
    for case in all() {
        for framing in FRAMINGS {
            assert_eq!(case.read(&case.write(framing)).as_ref(), Ok(&case.json), "{} as {framing:?}", case.name());
        }
    }
}
