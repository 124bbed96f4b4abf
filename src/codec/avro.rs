//! Avro on the hot path: serde straight to and from Avro's bytes.
//!
//! The general library builds a value tree per record, which costs more than the whole fold. Our own records
//! have a fixed shape, so writing is the fields one after the other (`encode`), and reading walks the
//! writer's schema once compiled to a [`Plan`] (`decode`): fields are matched by name, so a reader takes
//! what an older or newer writer wrote. The library parses the schemas, and the tests hold both against it.

mod container;
mod decode;
mod encode;

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use apache_avro::Schema;
use apache_avro::rabin::Rabin;

pub use container::{Blocks, Codec, ContainerWriter, Header};
pub use decode::{boolean, from_bytes, skip};
pub use encode::to_bytes;

/// Why bytes and schema do not go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The text is no Avro schema.
    Schema(String),
    /// The schema uses something no record of ours is made of.
    Unsupported(&'static str),
    /// The bytes end inside a value.
    Truncated,
    /// The bytes are not what the schema says.
    Malformed(&'static str),
    /// The value is not what the reader expects. Says which field's type, never its content.
    Shape(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema(why) => write!(f, "not an Avro schema: {why}"),
            Self::Unsupported(what) => write!(f, "the schema uses {what}, which no record of ours has"),
            Self::Truncated => f.write_str("the bytes end inside a value"),
            Self::Malformed(what) => write!(f, "the bytes are not what the schema says: {what}"),
            Self::Shape(why) => write!(f, "the value does not fit the record: {why}"),
        }
    }
}

impl std::error::Error for Error {}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Shape(message.to_string())
    }
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Shape(message.to_string())
    }

    fn invalid_type(unexpected: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::Shape(format!("{} where {expected} is expected", kind_of(unexpected)))
    }

    fn invalid_value(unexpected: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::Shape(format!("{} out of range where {expected} is expected", kind_of(unexpected)))
    }
}

/// The kind of an unexpected value, without the value: it may be a phone number.
pub(crate) fn kind_of(unexpected: serde::de::Unexpected<'_>) -> &'static str {
    use serde::de::Unexpected;
    match unexpected {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a decimal number",
        Unexpected::Char(_) | Unexpected::Str(_) => "a string",
        Unexpected::Bytes(_) => "bytes",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "an array",
        Unexpected::Map => "an object",
        _ => "something else",
    }
}

/// How many values a record may consist of before its bytes are looked at.
const LARGEST: u64 = 100_000;

/// A writer's schema, compiled for reading.
#[derive(Debug)]
pub struct Plan {
    nodes: Vec<Node>,
    root: usize,
}

/// One type of the schema; others are named by their place.
#[derive(Debug)]
enum Node {
    Null,
    Boolean,
    /// `int` and `long` have one encoding.
    Integer,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(Vec<String>),
    Array(usize),
    Map(usize),
    Union(Vec<usize>),
    Record(Fields),
}

/// The fields of a record.
#[derive(Debug, Default)]
struct Fields {
    all: Vec<Field>,
    /// The first reader's fields, by where their names are, and whether they are these in this order: a plan
    /// has one reader, as a rule, and asks for every record.
    first_reader: OnceLock<(usize, bool)>,
}

#[derive(Debug)]
struct Field {
    name: String,
    node: usize,
}

impl Fields {
    /// Whether a reader has just these fields in this order, so that it need not be told their names.
    fn are(&self, names: &'static [&'static str]) -> bool {
        let same = || self.all.iter().map(|field| field.name.as_str()).eq(names.iter().copied());
        let place = names.as_ptr().addr();
        match *self.first_reader.get_or_init(|| (place, same())) {
            (first, known) if first == place => known,
            _ => same(),
        }
    }
}

impl Plan {
    /// Compiles a schema given as JSON text.
    ///
    /// # Errors
    /// If the text is no schema, or one that cannot be read here.
    pub fn parse(schema: &str) -> Result<Self, Error> {
        let schema = Schema::parse_str(schema).map_err(|error| Error::Schema(error.to_string()))?;
        let mut plan = Self { nodes: Vec::new(), root: 0 };
        plan.root = plan.compile(&schema, &mut HashMap::new())?;
        let mut sizes = vec![None; plan.nodes.len()];
        if plan.unfolded(plan.root, &mut sizes, 0) > LARGEST {
            return Err(Error::Unsupported("records in records beyond any measure"));
        }
        Ok(plan)
    }

    /// How many values are visited for one of a type before any byte says so: the fields of records, and
    /// theirs. Records that hold each other several times can make a short schema a task without end.
    fn unfolded(&self, node: usize, sizes: &mut [Option<u64>], depth: u32) -> u64 {
        if let Some(size) = sizes[node] {
            return size;
        }
        let size = match &self.nodes[node] {
            // A record that holds itself with nothing in between has no value at all.
            Node::Record(_) if depth > 1_000 => u64::MAX,
            Node::Record(fields) => fields
                .all
                .iter()
                .fold(1, |size: u64, field| size.saturating_add(self.unfolded(field.node, sizes, depth + 1))),
            _ => 1,
        };
        sizes[node] = Some(size);
        size
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn compile(&mut self, schema: &Schema, named: &mut HashMap<String, usize>) -> Result<usize, Error> {
        let node = match schema {
            Schema::Null => Node::Null,
            Schema::Boolean => Node::Boolean,
            Schema::Int
            | Schema::Long
            | Schema::Date
            | Schema::TimeMillis
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => Node::Integer,
            Schema::Float => Node::Float,
            Schema::Double => Node::Double,
            Schema::Bytes => Node::Bytes,
            Schema::String => Node::String,
            Schema::Fixed(fixed) => {
                let place = self.add(Node::Fixed(fixed.size));
                named.insert(fixed.name.fullname(None), place);
                return Ok(place);
            }
            Schema::Enum(symbols) => {
                let place = self.add(Node::Enum(symbols.symbols.clone()));
                named.insert(symbols.name.fullname(None), place);
                return Ok(place);
            }
            Schema::Array(array) => Node::Array(self.compile(&array.items, named)?),
            Schema::Map(map) => Node::Map(self.compile(&map.types, named)?),
            Schema::Union(union) => {
                let branches: Result<_, _> =
                    union.variants().iter().map(|branch| self.compile(branch, named)).collect();
                Node::Union(branches?)
            }
            Schema::Record(record) => {
                // The place is taken before the fields are compiled, so that a record may contain itself.
                let place = self.add(Node::Record(Fields::default()));
                named.insert(record.name.fullname(None), place);
                let mut all = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    all.push(Field { name: field.name.clone(), node: self.compile(&field.schema, named)? });
                }
                self.nodes[place] = Node::Record(Fields { all, ..Fields::default() });
                return Ok(place);
            }
            Schema::Ref { name } => {
                let known = named.get(&name.fullname(None)).copied();
                return known.ok_or(Error::Unsupported("a name it does not define"));
            }
            Schema::Decimal(_) | Schema::BigDecimal | Schema::Uuid(_) | Schema::Duration(_) => {
                return Err(Error::Unsupported("a logical type over bytes"));
            }
        };
        Ok(self.add(node))
    }
}

/// The fingerprint by which single-object framing names a schema: CRC-64-AVRO of its canonical form, as it
/// stands in the frame (little-endian).
///
/// # Errors
/// If the text is no schema.
pub fn fingerprint(schema: &str) -> Result<[u8; 8], Error> {
    let schema = Schema::parse_str(schema).map_err(|error| Error::Schema(error.to_string()))?;
    let bytes = schema.fingerprint::<Rabin>().bytes;
    bytes.try_into().map_err(|_| Error::Unsupported("a fingerprint that is not 8 bytes"))
}
