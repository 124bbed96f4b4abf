//! The three framings of a record, told apart by their first bytes: Confluent's registry (`00` and the
//! schema's id), Avro single-object (`C3 01` and the schema's fingerprint), and JSON (`{`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::avro::{self, Plan};
use super::schema::RecordSchema;

const REGISTRY: u8 = 0;
const SINGLE_OBJECT: [u8; 2] = [0xC3, 0x01];

/// How a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// As JSON with the schema's field names.
    Json,
    /// As Avro single-object encoding.
    SingleObject,
    /// As Avro behind the id that a registry gave the schema.
    Registry(u32),
}

/// Why a framed record cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    /// There is nothing.
    Empty,
    /// The first bytes are those of no framing.
    UnknownFraming,
    /// The frame names a registry id that is not known here.
    UnknownId(u32),
    /// The frame names a fingerprint that is not known here.
    UnknownFingerprint([u8; 8]),
    /// It is no JSON, or not of this shape. Says where and what kind of value, never the value.
    Json {
        /// The line within the record, from 1.
        line: usize,
        /// The column.
        column: usize,
        /// Whether it is JSON of another shape, and not broken JSON.
        shape: bool,
    },
    /// It is no Avro of the schema its frame names.
    Avro(avro::Error),
    /// Bytes follow the record.
    TrailingBytes,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the record is empty"),
            Self::UnknownFraming => {
                f.write_str("the first bytes are neither a registry frame, nor a single-object frame, nor `{`")
            }
            Self::UnknownId(id) => write!(f, "schema id {id} is not known here; register the schema or add it"),
            Self::UnknownFingerprint(bytes) => {
                let number = u64::from_le_bytes(*bytes);
                write!(f, "schema fingerprint {number:016x} is not known here; add the schema it was written with")
            }
            Self::Json { line, column, shape: true } => {
                write!(f, "line {line}, column {column}: a field is missing or of another type than the schema says")
            }
            Self::Json { line, column, shape: false } => write!(f, "line {line}, column {column}: no JSON"),
            Self::Avro(error) => error.fmt(f),
            Self::TrailingBytes => f.write_str("bytes follow the record"),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// The stable code of dead letters.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty | Self::UnknownFraming => "unknown_framing",
            Self::UnknownId(_) | Self::UnknownFingerprint(_) => "unknown_schema",
            Self::Json { shape: false, .. } => "not_json",
            Self::Json { shape: true, .. } => "unknown_shape",
            Self::Avro(_) | Self::TrailingBytes => "not_avro",
        }
    }
}

/// Reads JSON of a record.
///
/// # Errors
/// Where it is not what the record says.
pub fn from_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Json {
        line: error.line(),
        column: error.column(),
        shape: error.classify() == serde_json::error::Category::Data,
    })
}

/// The schemas a reader knows writers by.
#[derive(Debug, Default)]
pub struct Writers {
    by_fingerprint: BTreeMap<[u8; 8], Plan>,
    by_id: BTreeMap<u32, Plan>,
}

impl Writers {
    /// A reader that knows the present schema of a record.
    ///
    /// # Errors
    /// If the schema is none.
    pub fn of(schema: RecordSchema) -> Result<Self, avro::Error> {
        let mut writers = Self::default();
        writers.add(schema.text)?;
        Ok(writers)
    }

    /// Learns a schema under its fingerprint.
    ///
    /// # Errors
    /// If the text is no schema.
    pub fn add(&mut self, schema: &str) -> Result<(), avro::Error> {
        self.by_fingerprint.insert(avro::fingerprint(schema)?, Plan::parse(schema)?);
        Ok(())
    }

    /// Learns a schema under the id a registry gave it.
    ///
    /// # Errors
    /// If the text is no schema.
    pub fn add_registered(&mut self, id: u32, schema: &str) -> Result<(), avro::Error> {
        self.by_id.insert(id, Plan::parse(schema)?);
        Ok(())
    }

    /// Reads a record in whatever framing it comes.
    ///
    /// # Errors
    /// What keeps it from being read.
    pub fn read<'a, T: Deserialize<'a>>(&self, bytes: &'a [u8]) -> Result<T, Error> {
        let Some((plan, mut rest)) = self.unframe(bytes)? else {
            return from_json(bytes);
        };
        let record = avro::from_bytes(plan, &mut rest).map_err(Error::Avro)?;
        if rest.is_empty() { Ok(record) } else { Err(Error::TrailingBytes) }
    }

    /// What a frame holds, and the schema it was written with; nothing for JSON, which has no frame.
    ///
    /// # Errors
    /// If the frame is none, or names a schema that is not known.
    pub fn unframe<'a>(&self, bytes: &'a [u8]) -> Result<Option<(&Plan, &'a [u8])>, Error> {
        match bytes {
            [] => Err(Error::Empty),
            [REGISTRY, a, b, c, d, rest @ ..] => {
                let id = u32::from_be_bytes([*a, *b, *c, *d]);
                Ok(Some((self.by_id.get(&id).ok_or(Error::UnknownId(id))?, rest)))
            }
            [first, second, rest @ ..] if [*first, *second] == SINGLE_OBJECT => {
                let (fingerprint, rest) = rest.split_first_chunk::<8>().ok_or(Error::Avro(avro::Error::Truncated))?;
                let plan = self.by_fingerprint.get(fingerprint);
                Ok(Some((plan.ok_or(Error::UnknownFingerprint(*fingerprint))?, rest)))
            }
            [b'{', ..] => Ok(None),
            _ => Err(Error::UnknownFraming),
        }
    }

    /// Sets a flag of a record, in whatever framing it comes, and leaves every other byte as it is. In Avro the flag is
    /// one byte where the writer's schema has it; in JSON its value is replaced, or the field is put first. Returns
    /// nothing where the record was written with a schema that has no such flag.
    ///
    /// # Errors
    /// What keeps the record from being read.
    pub fn with_flag(&self, bytes: &[u8], flag: &str) -> Result<Option<Vec<u8>>, Error> {
        if let Some((plan, rest)) = self.unframe(bytes)? {
            let from_end = avro::boolean(plan, flag, rest).map_err(Error::Avro)?.map(|at| rest.len() - at);
            let mut changed = bytes.to_vec();
            let place = from_end.and_then(|from_end| bytes.len().checked_sub(from_end));
            return Ok(place.and_then(|place| changed.get_mut(place)).map(|byte| *byte = 1).map(|()| changed));
        }
        let fields: BTreeMap<Cow<'_, str>, &RawValue> = from_json(bytes)?;
        let mut changed = Vec::with_capacity(bytes.len() + flag.len() + 8);
        if let Some(value) = fields.get(flag).map(|value| value.get()) {
            // The value is a part of the record, so where it stands is the distance between the two.
            let start = value.as_ptr().addr() - bytes.as_ptr().addr();
            changed.extend_from_slice(&bytes[..start]);
            changed.extend_from_slice(b"true");
            changed.extend_from_slice(&bytes[start + value.len()..]);
        } else {
            let comma = if fields.is_empty() { "" } else { "," };
            changed.extend_from_slice(format!("{{\"{flag}\":true{comma}").as_bytes());
            changed.extend_from_slice(&bytes[1..]);
        }
        Ok(Some(changed))
    }
}

/// The single-object frame that names a schema, which is put before a record of a container that is to stand alone: a
/// container has one schema for all.
///
/// # Errors
/// If the text is no schema.
pub fn single_object(schema: &str) -> Result<[u8; 10], avro::Error> {
    let mut frame = [0; 10];
    frame[..2].copy_from_slice(&SINGLE_OBJECT);
    frame[2..].copy_from_slice(&avro::fingerprint(schema)?);
    Ok(frame)
}

/// Appends a record in a framing.
///
/// # Errors
/// If the record cannot be encoded, which no record of ours cannot.
pub fn write<T: Serialize>(
    record: &T,
    schema: RecordSchema,
    framing: Framing,
    out: &mut Vec<u8>,
) -> Result<(), avro::Error> {
    Framer::new(schema, framing)?.write(record, out)
}

/// Writes records of one schema in one framing.
#[derive(Clone, Debug)]
pub struct Framer {
    prefix: Vec<u8>,
    json: bool,
}

impl Framer {
    /// A writer of a schema's records.
    ///
    /// # Errors
    /// If the schema is none.
    pub fn new(schema: RecordSchema, framing: Framing) -> Result<Self, avro::Error> {
        let mut prefix = Vec::new();
        match framing {
            Framing::Json => {}
            Framing::SingleObject => prefix.extend_from_slice(&single_object(schema.text)?),
            Framing::Registry(id) => {
                prefix.push(REGISTRY);
                prefix.extend_from_slice(&id.to_be_bytes());
            }
        }
        Ok(Self { prefix, json: framing == Framing::Json })
    }

    /// Appends a record.
    ///
    /// # Errors
    /// If the record cannot be encoded, which no record of ours cannot.
    pub fn write<T: Serialize>(&self, record: &T, out: &mut Vec<u8>) -> Result<(), avro::Error> {
        if self.json {
            return serde_json::to_writer(out, record)
                .map_err(|_| avro::Error::Unsupported("a value JSON cannot hold"));
        }
        out.extend_from_slice(&self.prefix);
        avro::to_bytes(record, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{records, schema};

    fn event() -> records::Event<'static> {
        records::Event {
            kind: "heartbeat".into(),
            phone_number_id: "1".into(),
            occurred_at: 1_790_000_000_000,
            ..records::Event::default()
        }
    }

    /// The record with its flag set, and how many of its bytes are others than before.
    fn flagged(writers: &Writers, bytes: &[u8]) -> (bool, usize) {
        let changed = writers.with_flag(bytes, "admit_late").expect("readable").expect("a schema with the flag");
        let record: records::Event<'_> = writers.read(&changed).expect("readable");
        let same = record == records::Event { admit_late: true, ..event() };
        (same, bytes.iter().zip(&changed).filter(|(before, after)| before != after).count())
    }

    #[test]
    fn a_flag_is_set_in_every_framing_and_nothing_else_changes() {
        let mut writers = Writers::of(schema::EVENT).expect("a schema");
        writers.add_registered(7, schema::EVENT.text).expect("a schema");
        for framing in [Framing::SingleObject, Framing::Registry(7)] {
            let mut bytes = Vec::new();
            write(&event(), schema::EVENT, framing, &mut bytes).expect("written");
            assert_eq!(flagged(&writers, &bytes), (true, 1), "{framing:?}");
        }
        for (before, after) in [
            ("{}", r#"{"admit_late":true}"#),
            ("{ \"a\" : [1] }\n", "{\"admit_late\":true, \"a\" : [1] }\n"),
            (
                r#"{"a":{"admit_late":false}, "admit_late" : false, "b":"é"}"#,
                r#"{"a":{"admit_late":false}, "admit_late" : true, "b":"é"}"#,
            ),
        ] {
            let changed = writers.with_flag(before.as_bytes(), "admit_late").expect("readable").expect("JSON");
            assert_eq!(String::from_utf8(changed).expect("UTF-8"), after);
        }
    }

    #[test]
    fn a_record_written_with_a_schema_without_the_flag_is_left_alone() {
        let schema = r#"{"type": "record", "name": "Event", "fields": [{"name": "kind", "type": "string"}]}"#;
        let mut writers = Writers::default();
        writers.add(schema).expect("a schema");
        let bytes = [&single_object(schema).expect("a schema")[..], b"\x02x"].concat();
        assert_eq!(writers.with_flag(&bytes, "admit_late"), Ok(None));
        assert_eq!(writers.with_flag(b"\0\0\0\0\x09x", "admit_late"), Err(Error::UnknownId(9)));
    }
}
