//! One partition of a topic: records and markers in order of their offsets, and what is known of producers.

use std::collections::BTreeMap;

use super::Code;

/// A producer of a transactional id, in one of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Producer {
    pub id: u64,
    pub epoch: i16,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Commit,
    Abort,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It belongs to no transaction.
    Plain,
    /// Its transaction is open.
    Open,
    Committed,
    Aborted,
}

/// A key and a value.
pub type Pair = (Option<Vec<u8>>, Option<Vec<u8>>);

/// What lies at an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Data(Pair),
    Marker(Ending),
}

/// One offset of the log.
#[derive(Clone, Debug)]
pub struct Record {
    pub offset: i64,
    pub appended_at: i64,
    /// Who wrote it: nobody with a name where it is plain.
    pub producer: Option<Producer>,
    pub fate: Fate,
    pub body: Body,
}

impl Record {
    /// Key and value, where a reader of committed records sees them.
    pub fn visible(&self) -> Option<&Pair> {
        match (&self.body, self.fate) {
            (Body::Data(pair), Fate::Plain | Fate::Committed) => Some(pair),
            _ => None,
        }
    }
}

#[derive(Default)]
struct ProducerState {
    epoch: i16,
    next_sequence: u32,
    first_open: Option<i64>,
}

/// One partition. Offsets are searched for and not counted, so that a compaction may leave gaps between them.
#[derive(Default)]
pub struct PartitionLog {
    records: Vec<Record>,
    producers: BTreeMap<u64, ProducerState>,
    start: i64,
    end: i64,
}

impl PartitionLog {
    /// Every record and marker.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// What a reader of committed records sees, from the beginning to the last stable offset.
    pub fn visible(&self) -> impl Iterator<Item = (&Record, &Pair)> {
        let stable = self.stable();
        let records = self.records.iter().take_while(move |record| record.offset < stable);
        records.filter_map(|record| record.visible().map(|pair| (record, pair)))
    }

    /// The log holds nothing below this offset.
    pub const fn start(&self) -> i64 {
        self.start
    }

    /// The offset that the next record gets.
    pub const fn end(&self) -> i64 {
        self.end
    }

    /// The last stable offset: nothing below it belongs to an open transaction.
    pub fn stable(&self) -> i64 {
        self.producers.values().filter_map(|producer| producer.first_open).min().unwrap_or(self.end)
    }

    /// The record at an offset, or the first one after it, and all that follow.
    pub fn from(&self, offset: i64) -> &[Record] {
        &self.records[self.records.partition_point(|record| record.offset < offset)..]
    }

    fn push(&mut self, now: i64, producer: Option<Producer>, fate: Fate, body: Body) {
        let appended_at = self.records.last().map_or(now, |last| last.appended_at.max(now));
        self.records.push(Record { offset: self.end, appended_at, producer, fate, body });
        self.end += 1;
    }

    /// Adds a record that belongs to no transaction.
    pub fn append(&mut self, now: i64, pair: Pair) {
        self.push(now, None, Fate::Plain, Body::Data(pair));
    }

    /// Whether the producer has a transaction open here.
    pub fn is_open(&self, producer: Producer) -> bool {
        self.producers
            .get(&producer.id)
            .is_some_and(|known| known.epoch == producer.epoch && known.first_open.is_some())
    }

    /// Adds a batch to the producer's transaction, once: a batch that was taken before is only acknowledged.
    /// Whether it was new.
    pub fn produce(&mut self, now: i64, producer: Producer, sequence: u32, pairs: &[Pair]) -> Result<bool, Code> {
        let end = self.end;
        let known = self.producers.entry(producer.id).or_default();
        if producer.epoch < known.epoch {
            return Err(Code::Fenced);
        }
        if producer.epoch > known.epoch {
            known.epoch = producer.epoch;
            known.next_sequence = 0;
        }
        if sequence < known.next_sequence {
            return Ok(false);
        }
        if sequence > known.next_sequence {
            return Err(Code::OutOfOrder);
        }
        known.next_sequence += pairs.len() as u32;
        known.first_open.get_or_insert(end);
        for pair in pairs {
            self.push(now, Some(producer), Fate::Open, Body::Data(pair.clone()));
        }
        Ok(true)
    }

    /// Writes a marker: the transaction ends here, and older epochs of the producer are fenced.
    pub fn mark(&mut self, now: i64, producer: Producer, ending: Ending) {
        let known = self.producers.entry(producer.id).or_default();
        if producer.epoch > known.epoch {
            known.epoch = producer.epoch;
            known.next_sequence = 0;
        }
        let fate = match ending {
            Ending::Commit => Fate::Committed,
            Ending::Abort => Fate::Aborted,
        };
        if let Some(first) = known.first_open.take() {
            let from = self.records.partition_point(|record| record.offset < first);
            let open = self.records[from..].iter_mut().filter(|record| record.fate == Fate::Open);
            for record in open.filter(|record| record.producer.is_some_and(|by| by.id == producer.id)) {
                record.fate = fate;
            }
        }
        self.push(now, Some(producer), fate, Body::Marker(ending));
    }

    /// Drops what lies below an offset, as retention does.
    pub fn drop_below(&mut self, offset: i64) {
        self.records.retain(|record| record.offset >= offset);
        self.start = self.start.max(offset.min(self.end));
    }
}
