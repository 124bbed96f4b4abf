//! The three framings of a record, told apart by their first bytes: Confluent's registry (`00` and the
//! schema's id), Avro single-object (`C3 01` and the schema's fingerprint), and JSON (`{`).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

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
        let (plan, mut rest) = match bytes {
            [] => return Err(Error::Empty),
            [REGISTRY, a, b, c, d, rest @ ..] => {
                let id = u32::from_be_bytes([*a, *b, *c, *d]);
                (self.by_id.get(&id).ok_or(Error::UnknownId(id))?, rest)
            }
            [first, second, rest @ ..] if [*first, *second] == SINGLE_OBJECT => {
                let (fingerprint, rest) = rest.split_first_chunk::<8>().ok_or(Error::Avro(avro::Error::Truncated))?;
                let plan = self.by_fingerprint.get(fingerprint);
                (plan.ok_or(Error::UnknownFingerprint(*fingerprint))?, rest)
            }
            [b'{', ..] => return from_json(bytes),
            _ => return Err(Error::UnknownFraming),
        };
        let record = avro::from_bytes(plan, &mut rest).map_err(Error::Avro)?;
        if rest.is_empty() { Ok(record) } else { Err(Error::TrailingBytes) }
    }
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
            Framing::SingleObject => {
                prefix.extend_from_slice(&SINGLE_OBJECT);
                prefix.extend_from_slice(&avro::fingerprint(schema.text)?);
            }
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
