//! The way to and from apache-avro that does not pass through our codec: a record's JSON to the library's
//! value tree by a schema, and the tree back to JSON.

use std::collections::{BTreeMap, HashMap};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value as Json, json};

/// Parses a schema.
pub fn parse(schema: &str) -> Schema {
    Schema::parse_str(schema).unwrap_or_else(|error| panic!("a schema of a test is none: {error}"))
}

/// Parses a schema's text as JSON.
pub fn tree(schema: &str) -> Json {
    serde_json::from_str(schema).expect("a schema is JSON")
}

/// Reads one value, all of the bytes, and gives it in the plain JSON of our framing.
///
/// # Errors
/// In the library's words.
pub fn decode_text(writer: &Schema, reader: Option<&Schema>, bytes: &[u8]) -> Result<String, String> {
    let mut rest = bytes;
    let datum = GenericDatumReader::builder(writer).maybe_reader_schema(reader).build();
    let value = datum.and_then(|datum| datum.read_value(&mut rest)).map_err(|error| error.to_string())?;
    if rest.is_empty() { Ok(text(&value)) } else { Err(format!("{} bytes follow the record", rest.len())) }
}

/// The same, parsed.
///
/// # Errors
/// In the library's words.
pub fn decode(writer: &Schema, reader: Option<&Schema>, bytes: &[u8]) -> Result<Json, String> {
    decode_text(writer, reader, bytes).map(|text| tree(&text))
}

/// Writes plain JSON by a schema.
pub fn encode(schema: &Schema, json: &Json) -> Vec<u8> {
    let datum = GenericDatumWriter::builder(schema).build();
    let bytes = datum.and_then(|datum| datum.write_value_to_vec(value(schema, json)));
    bytes.unwrap_or_else(|error| panic!("the library does not write by this schema: {error}"))
}

/// The library's value tree of plain JSON.
pub fn value(schema: &Schema, json: &Json) -> Value {
    let mut names = HashMap::new();
    gather(schema, &mut names);
    build(schema, &names, json)
}

/// A value as our JSON framing has it, the fields in the schema's order: a union is its bare value, null fields
/// and empty maps are left out, and bytes are base64.
pub fn text(value: &Value) -> String {
    let entry = |(name, value): (&String, &Value)| format!("{}:{}", json!(name), text(value));
    match value {
        Value::Null => "null".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Long(value) => value.to_string(),
        Value::String(value) | Value::Enum(_, value) => json!(value).to_string(),
        Value::Bytes(bytes) => json!(BASE64_STANDARD.encode(bytes)).to_string(),
        Value::Union(_, value) => text(value),
        Value::Array(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(",")),
        Value::Map(entries) => {
            let sorted: BTreeMap<_, _> = entries.iter().collect();
            format!("{{{}}}", sorted.into_iter().map(entry).collect::<Vec<_>>().join(","))
        }
        Value::Record(fields) => {
            let present = fields.iter().filter(|(_, value)| !is_absent(value)).map(|(name, value)| (name, value));
            format!("{{{}}}", present.map(entry).collect::<Vec<_>>().join(","))
        }
        _ => panic!("a type that no record of ours has: {value:?}"),
    }
}

fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Union(_, value) => is_absent(value),
        Value::Map(entries) => entries.is_empty(),
        _ => false,
    }
}

fn gather<'s>(schema: &'s Schema, names: &mut HashMap<String, &'s Schema>) {
    if let (Some(name), false) = (schema.name(), matches!(schema, Schema::Ref { .. })) {
        names.insert(name.fullname(None), schema);
    }
    match schema {
        Schema::Array(array) => gather(&array.items, names),
        Schema::Map(map) => gather(&map.types, names),
        Schema::Union(union) => union.variants().iter().for_each(|branch| gather(branch, names)),
        Schema::Record(record) => record.fields.iter().for_each(|field| gather(&field.schema, names)),
        _ => {}
    }
}

fn build(schema: &Schema, names: &HashMap<String, &Schema>, json: &Json) -> Value {
    // Numbers and names of branches and symbols are few.
    let place = |place: Option<usize>| u32::try_from(place.expect("the schema has a place for it")).expect("a place");
    let whole = || json.as_i64().unwrap_or_else(|| panic!("{json} is no integer"));
    let string = || json.as_str().unwrap_or_else(|| panic!("{json} is no string")).to_owned();
    match schema {
        Schema::Null => Value::Null,
        Schema::Boolean => Value::Boolean(json.as_bool().expect("a boolean")),
        Schema::Int => Value::Int(i32::try_from(whole()).expect("an int")),
        Schema::Long => Value::Long(whole()),
        Schema::TimestampMicros => Value::TimestampMicros(whole()),
        Schema::Float => Value::Float(json.to_string().parse().expect("a float")),
        Schema::Double => Value::Double(json.as_f64().expect("a double")),
        Schema::String => Value::String(string()),
        Schema::Bytes => Value::Bytes(BASE64_STANDARD.decode(string()).expect("base64")),
        Schema::Fixed(fixed) => Value::Fixed(fixed.size, string().into_bytes()),
        Schema::Enum(symbols) => Value::Enum(place(symbols.symbols.iter().position(|known| json == known)), string()),
        Schema::Array(array) => {
            let items = json.as_array().unwrap_or_else(|| panic!("{json} is no array"));
            Value::Array(items.iter().map(|item| build(&array.items, names, item)).collect())
        }
        Schema::Map(map) => {
            let entries = json.as_object().unwrap_or_else(|| panic!("{json} is no map"));
            Value::Map(entries.iter().map(|(key, value)| (key.clone(), build(&map.types, names, value))).collect())
        }
        Schema::Union(union) => {
            let branch = union.variants().iter().position(|branch| takes(branch, json));
            let value = branch.map(|branch| build(&union.variants()[branch], names, json));
            Value::Union(place(branch), Box::new(value.expect("a branch is for it")))
        }
        Schema::Record(record) => {
            let given = json.as_object().unwrap_or_else(|| panic!("{json} is no record"));
            let field = |field: &apache_avro::schema::RecordField| {
                let json = given.get(&field.name).or(field.default.as_ref());
                let json = json.unwrap_or_else(|| panic!("{} is missing and has no default", field.name));
                (field.name.clone(), build(&field.schema, names, json))
            };
            // What the schema does not know would be lost, and a test would compare less than it says.
            let lost = given.keys().find(|name| record.fields.iter().all(|field| field.name != **name));
            assert_eq!(lost, None, "{} has no such field", record.name);
            Value::Record(record.fields.iter().map(field).collect())
        }
        Schema::Ref { name } => build(names[&name.fullname(None)], names, json),
        _ => panic!("a type that no test needs: {schema:?}"),
    }
}

/// Whether a branch of a union is the one for this JSON.
fn takes(branch: &Schema, json: &Json) -> bool {
    match branch {
        Schema::Null => json.is_null(),
        Schema::Boolean => json.is_boolean(),
        Schema::Int | Schema::Long | Schema::TimestampMicros => json.is_i64(),
        Schema::Float | Schema::Double => json.is_f64(),
        Schema::String | Schema::Bytes | Schema::Enum(_) | Schema::Fixed(_) => json.is_string(),
        Schema::Array(_) => json.is_array(),
        _ => json.is_object(),
    }
}
