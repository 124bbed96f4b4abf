//! One record of any type, so that a test can go through all of them.
//!
//! Every type has a filled and a minimal record, which are the lines of its newest golden JSON. Filled: every
//! field has an invented value that occurs nowhere else in the record, so that two fields cannot change places
//! unseen. Minimal: what is required, and nothing else.

use std::sync::OnceLock;

use apache_avro::Schema;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::Value as Json;
use tollgate::codec::avro::Plan;
use tollgate::codec::frame::{self, Framing, Writers, from_json};
use tollgate::codec::records;
use tollgate::codec::schema::{self, RecordSchema};

use super::golden::versions;
use super::library::parse;

/// The registry's id of every schema here.
pub const ID: u32 = 7;

/// Every framing.
pub const FRAMINGS: [Framing; 3] = [Framing::Json, Framing::SingleObject, Framing::Registry(ID)];

/// How many types of records there are.
pub const KINDS: usize = schema::ALL.len();

/// A type of record.
pub struct Kind {
    /// Its schema.
    pub schema: RecordSchema,
    /// The schema as apache-avro sees it.
    pub parsed: Schema,
    /// The schema as we read by it.
    pub plan: Plan,
    /// A reader that knows the schema in every framing.
    pub reader: Writers,
    /// Reads bytes, and gives the record as JSON.
    pub read: fn(&Writers, &[u8]) -> Result<Json, frame::Error>,
    write: fn(&str, Framing) -> Vec<u8>,
    library_writes: fn(&str, &Schema, Option<usize>) -> Vec<u8>,
}

macro_rules! kinds {
    ($($schema:ident $record:ident),* $(,)?) => {
        [$(Kind {
            schema: schema::$schema,
            parsed: parse(schema::$schema.text),
            plan: Plan::parse(schema::$schema.text).expect("a schema of ours can be compiled"),
            reader: knowing(schema::$schema.text),
            read: |writers, bytes| {
                let record: records::$record<'_> = writers.read(bytes)?;
                Ok(serde_json::to_value(&record).expect("a record of ours can be JSON"))
            },
            write: |text, framing| {
                let record: records::$record<'_> = from_json(text.as_bytes()).expect("a case is a record");
                let mut bytes = Vec::new();
                frame::write(&record, schema::$schema, framing, &mut bytes).expect("a record can be written");
                bytes
            },
            library_writes: |text, schema, block| {
                let record: records::$record<'_> = from_json(text.as_bytes()).expect("a case is a record");
                let writer = GenericDatumWriter::builder(schema).maybe_target_block_size(block);
                let writer = writer.human_readable(false).build().expect("a writer can be made");
                writer.write_ser_to_vec(&record).expect("apache-avro serialises our records")
            },
        }),*]
    };
}

/// All types, in the order of the schemas.
pub fn kinds() -> &'static [Kind; KINDS] {
    static KNOWN: OnceLock<[Kind; KINDS]> = OnceLock::new();
    KNOWN.get_or_init(|| {
        kinds! {
            EVENT Event, ACCOUNT Account, TEMPLATE_HISTORY TemplateHistory, VERDICT Verdict,
            BILLING_ENTRY BillingEntry, WINDOW_EVENT WindowEvent, WINDOW_STATE WindowState,
            WINDOW_STATE_ROW WindowStateRow, OUTCOME Outcome, USAGE Usage, FORECAST_REQUESTED ForecastRequested,
            FORECAST_ANSWER ForecastAnswer, DEAD_LETTER DeadLetter,
        }
    })
}

/// The type of a name.
pub fn kind(name: &str) -> &'static Kind {
    kinds().iter().find(|kind| kind.schema.name == name).unwrap_or_else(|| panic!("{name} is gone"))
}

/// A reader that knows one schema in every framing.
pub fn knowing(schema: &str) -> Writers {
    let mut writers = Writers::default();
    writers.add(schema).expect("a schema of a test can be compiled");
    writers.add_registered(ID, schema).expect("a schema of a test can be compiled");
    writers
}

/// A record.
pub struct Case {
    /// Its type.
    pub kind: &'static Kind,
    /// Which record it is: `filled`, `minimal` or another.
    pub part: &'static str,
    /// It as JSON.
    pub json: Json,
    text: String,
}

impl Case {
    /// Of a record's JSON.
    pub fn new(kind: &'static Kind, part: &'static str, text: String) -> Self {
        let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", kind.schema.name));
        Self { kind, part, json, text }
    }

    /// Its name in messages.
    pub fn name(&self) -> String {
        format!("{} ({})", self.kind.schema.name, self.part)
    }

    /// Writes it in a framing.
    pub fn write(&self, framing: Framing) -> Vec<u8> {
        (self.kind.write)(&self.text, framing)
    }

    /// Its Avro bytes without a frame.
    pub fn datum(&self) -> Vec<u8> {
        self.write(Framing::Registry(ID)).split_off(5)
    }

    /// Its Avro bytes by apache-avro's own serializer, arrays and maps in blocks of so many bytes.
    pub fn library_writes(&self, block: Option<usize>) -> Vec<u8> {
        (self.kind.library_writes)(&self.text, &self.kind.parsed, block)
    }

    /// Reads bytes of its type by today's schema.
    pub fn read(&self, bytes: &[u8]) -> Result<Json, frame::Error> {
        (self.kind.read)(&self.kind.reader, bytes)
    }

    /// Reads bytes without a frame that were written by a schema.
    pub fn read_by(&self, schema: &str, datum: &[u8]) -> Result<Json, frame::Error> {
        (self.kind.read)(&knowing(schema), &framed(datum))
    }
}

/// Bytes behind a registry's frame.
pub fn framed(datum: &[u8]) -> Vec<u8> {
    [&[0], ID.to_be_bytes().as_slice(), datum].concat()
}

/// The filled and the minimal record of a type.
pub fn samples(kind: &'static Kind) -> [Case; 2] {
    let newest = versions().last().expect("there is a version");
    let [filled, minimal] = newest.lines(kind.schema.name);
    [Case::new(kind, "filled", filled), Case::new(kind, "minimal", minimal)]
}

/// The filled and the minimal records of all types.
pub fn all() -> impl Iterator<Item = Case> {
    kinds().iter().flat_map(samples)
}

/// The filled ones.
pub fn filled() -> impl Iterator<Item = Case> {
    all().filter(|case| case.part == "filled")
}

/// The filled event, which has most of what there is.
pub fn event() -> Case {
    let [filled, _] = samples(kind("Event"));
    filled
}
