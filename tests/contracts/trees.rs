//! Schemas as JSON trees: to walk them, to change them as a later version might, and to compare them.

use std::collections::{BTreeMap, HashMap};

use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use serde_json::{Value as Json, json};

use super::library::{parse, tree};

/// What of a type, a record or a field holds other types.
const PARTS: [&str; 4] = ["fields", "items", "type", "values"];

/// The types that stand in a tree's root, and the fields.
pub fn children(node: &mut Json) -> Vec<&mut Json> {
    match node {
        Json::Array(branches) => branches.iter_mut().collect(),
        Json::Object(object) => {
            object.iter_mut().filter(|(part, _)| PARTS.contains(&part.as_str())).map(|(_, inner)| inner).collect()
        }
        _ => Vec::new(),
    }
}

/// Visits every record that is defined in a tree, to change it; inner records come first.
pub fn each_record(node: &mut Json, visitor: &mut impl FnMut(&mut Json)) {
    for inner in children(node) {
        each_record(inner, visitor);
    }
    if node["type"] == "record" {
        visitor(node);
    }
}

/// Visits every field of a tree, to change it.
pub fn each_field(node: &mut Json, visitor: &mut impl FnMut(&mut Json)) {
    each_record(node, &mut |record| fields_of(record).iter_mut().for_each(&mut *visitor));
}

/// A record's fields.
pub fn fields_of(record: &mut Json) -> &mut Vec<Json> {
    record["fields"].as_array_mut().expect("a record has fields")
}

/// The tree without its docs, or without what else goes by a key.
pub fn without(mut node: Json, key: &str) -> Json {
    // A default may be an object too, but none of ours holds such a key.
    node.as_object_mut().and_then(|object| object.remove(key));
    for inner in children(&mut node) {
        *inner = without(inner.take(), key);
    }
    node
}

/// The schema with every name replaced by what it stands for, each time in a namespace of its own. So fields
/// may be moved and removed without taking along a definition that others use, and apache-avro's check of
/// compatibility, which compares a definition with a mere name as different types, sees definitions alone.
pub fn unfolded(schema: &str) -> Json {
    fn unfold(node: &mut Json, namespace: &str, known: &mut HashMap<String, Json>, count: &mut usize) {
        if let Json::String(name) = node {
            let full = if name.contains('.') { name.clone() } else { format!("{namespace}.{name}") };
            let Some(definition) = known.get(&full) else { return };
            *node = definition.clone();
        }
        let mut namespace = namespace.to_owned();
        if is_named(node) {
            if let Some(own) = node["namespace"].as_str() {
                own.clone_into(&mut namespace);
            }
            known.insert(format!("{namespace}.{}", node["name"].as_str().unwrap_or_default()), node.clone());
            *count += 1;
            node["namespace"] = json!(format!("place{count}"));
        }
        for inner in children(node) {
            unfold(inner, &namespace, known, count);
        }
    }
    let mut tree = tree(schema);
    unfold(&mut tree, "", &mut HashMap::new(), &mut 0);
    tree
}

fn is_named(node: &Json) -> bool {
    ["record", "enum", "fixed"].iter().any(|named| node["type"] == **named)
}

/// Where a field stands: the names of the fields that lead to it. Arrays and unions have no name.
pub type Path = Vec<String>;

/// Every field of an unfolded schema.
pub fn paths(whole: &Json) -> Vec<Path> {
    fn gather(node: &mut Json, mut path: Path, found: &mut Vec<Path>) {
        if let (Some(name), false) = (node["name"].as_str(), is_named(node)) {
            path.push(name.to_owned());
            found.push(path.clone());
        }
        for inner in children(node) {
            gather(inner, path.clone(), found);
        }
    }
    let mut found = Vec::new();
    gather(&mut whole.clone(), Path::new(), &mut found);
    found
}

/// The fields beside the one at a path of an unfolded schema, and its name.
fn siblings<'t>(node: &'t mut Json, path: &'t [String]) -> (&'t mut Vec<Json>, &'t str) {
    fn record_in(node: &mut Json) -> Option<&mut Json> {
        if node["type"] == "record" { Some(node) } else { children(node).into_iter().find_map(record_in) }
    }
    let fields = fields_of(record_in(node).expect("the path leads through records"));
    match path {
        [] => panic!("a path has a name"),
        [last] => (fields, last),
        [first, rest @ ..] => {
            let field = fields.iter_mut().find(|field| field["name"] == **first).expect("the path is of this schema");
            siblings(&mut field["type"], rest)
        }
    }
}

/// The field at a path of an unfolded schema.
pub fn field_at<'t>(node: &'t mut Json, path: &'t [String]) -> &'t mut Json {
    let (fields, last) = siblings(node, path);
    fields.iter_mut().find(|field| field["name"] == last).expect("the path is of this schema")
}

/// An unfolded schema without the field at a path.
pub fn without_field(whole: &Json, path: &[String]) -> Json {
    let mut tree = whole.clone();
    let (fields, last) = siblings(&mut tree, path);
    fields.retain(|field| field["name"] != last);
    tree
}

/// The values at a path of a record's JSON: several where the path leads through an array.
pub fn values<'j>(json: &'j Json, path: &[String]) -> Vec<&'j Json> {
    match (json, path) {
        (Json::Array(items), [_, ..]) => items.iter().flat_map(|item| values(item, path)).collect(),
        (Json::Object(object), [first, rest @ ..]) => {
            object.get(first).map_or_else(Vec::new, |inner| values(inner, rest))
        }
        (_, []) => vec![json],
        _ => Vec::new(),
    }
}

/// Replaces or removes the value at a path of a record's JSON; of every item where the path leads through an
/// array.
pub fn put(json: &mut Json, path: &[String], value: Option<&Json>) {
    match (json, path) {
        (Json::Array(items), _) => items.iter_mut().for_each(|item| put(item, path, value)),
        (Json::Object(object), [last]) => {
            match value {
                Some(value) => object.insert(last.clone(), value.clone()),
                None => object.remove(last),
            };
        }
        (Json::Object(object), [first, rest @ ..]) => {
            object.get_mut(first).into_iter().for_each(|json| put(json, rest, value));
        }
        _ => {}
    }
}

/// What of a record's JSON an unfolded schema knows.
pub fn known(json: &Json, node: &Json) -> Json {
    match (json, node) {
        (Json::Null, _) => Json::Null,
        (_, Json::Array(branches)) => {
            let branch = branches.iter().find(|branch| **branch != "null");
            branch.map_or(Json::Null, |branch| known(json, branch))
        }
        (Json::Array(items), Json::Object(array)) => items.iter().map(|item| known(item, &array["items"])).collect(),
        (Json::Object(object), Json::Object(record)) if record["type"] == "record" => {
            let of = |field: &Json| {
                let name = field["name"].as_str()?;
                Some((name.to_owned(), known(object.get(name)?, &field["type"])))
            };
            record["fields"].as_array().into_iter().flatten().filter_map(of).collect()
        }
        _ => json.clone(),
    }
}

/// Why data written by one of the schemas is not read whole by the other; empty if it is, both ways.
///
/// Avro's own rules are not enough: by them a field with a default may vanish or be renamed, and text may turn
/// into bytes. So whatever the old schema says must be said by the new one, and Avro's rules must agree.
pub fn incompatibilities(old: &str, new: &str) -> Vec<String> {
    const REQUIRED: &str = "required";
    /// What a schema says, as (place, what): of a record its name, of a field its default, of a leaf its type.
    fn sayings(place: String, node: &Json, found: &mut BTreeMap<String, String>) {
        match node {
            Json::Array(branches) => {
                branches.iter().enumerate().for_each(|(at, inner)| sayings(format!("{place}|{at}"), inner, found));
            }
            Json::Object(object) if node["type"] == "record" => {
                found.insert(place.clone(), node["name"].to_string());
                for field in object["fields"].as_array().into_iter().flatten() {
                    let place = format!("{place}.{}", field["name"].as_str().unwrap_or_default());
                    let default = field.get("default").map_or_else(|| REQUIRED.to_owned(), Json::to_string);
                    found.insert(format!("{place}="), default);
                    sayings(place, &field["type"], found);
                }
            }
            Json::Object(object) if object.contains_key("items") => sayings(place + "[]", &node["items"], found),
            Json::Object(object) if object.contains_key("values") => sayings(place + "{}", &node["values"], found),
            leaf => drop(found.insert(place, leaf.to_string())),
        }
    }
    let (old_tree, new_tree) = (unfolded(old), unfolded(new));
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    sayings(String::new(), &old_tree, &mut old);
    sayings(String::new(), &new_tree, &mut new);
    let changed = old.iter().filter(|(place, what)| new.get(*place) != Some(what));
    let mut found: Vec<String> = changed.map(|(place, _)| format!("{place} is gone or another")).collect();
    let added = new.iter().filter(|(place, what)| !old.contains_key(*place) && *what == REQUIRED);
    // What is required within a record that is itself new breaks nothing.
    let added = added.filter(|(place, _)| place.rsplit_once('.').is_some_and(|(record, _)| old.contains_key(record)));
    found.extend(added.map(|(place, _)| format!("{place} is added without a default")));
    found.extend(avro_objects(&old_tree, &new_tree));
    found
}

/// Why two unfolded schemas are not fully compatible by Avro's rules.
pub fn avro_objects(old: &Json, new: &Json) -> Option<String> {
    match SchemaCompatibility::mutual_read(&parse(&old.to_string()), &parse(&new.to_string())) {
        Ok(Compatibility::Full) => None,
        Ok(Compatibility::Partial) => Some("by Avro's rules some values cannot be read".to_owned()),
        Err(error) => Some(format!("by Avro's rules: {error}")),
    }
}
