//! Files of records, cut into records: JSON by line or pretty-printed, Avro containers, plain or compressed. And what
//! whoever reads records of one kind takes them from, be it files or something else.
//!
//! What a file is, its first bytes tell; its name does not matter. Nothing here knows what a record means.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::codec::avro::{self, Plan};
use crate::codec::frame;
use crate::config::Mistake;
use crate::domain::time::Timestamp;

/// The longest record accepted: well above the platform's largest batch of a thousand updates.
const LONGEST: usize = 16 << 20;

/// How much is read at once.
const BUFFER: usize = 256 << 10;

/// What a file is known by, so that a resumed run can tell that it is still the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its path as given.
    pub path: String,
    /// Its size in bytes; nothing for standard input.
    pub size: Option<u64>,
    /// H of its first MiB, in hexadecimal digits.
    pub digest: String,
}

impl Identity {
    /// Identifies a file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        let name = path.display().to_string();
        if name == "-" {
            return Ok(Self { path: name, size: None, digest: String::new() });
        }
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut start = Vec::new();
        file.take(1 << 20).read_to_end(&mut start)?;
        let digest = crate::codec::ids::hex(crate::codec::ids::hash(&[&start]));
        Ok(Self { path: name, size: Some(size), digest: digest.as_str().to_owned() })
    }
}

/// How far a file has been read: everything before this place has been handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Bytes of the decompressed file, in a text; nothing in a container.
    pub bytes: u64,
    /// Records.
    pub records: u64,
    /// Lines, in a text.
    pub lines: u64,
}

/// One record, as it stands in the file.
#[derive(Debug)]
pub struct RawRecord<'b> {
    /// Its line, from 1, or in a container its number, from 1; in a log its offset.
    pub number: u64,
    /// Its bytes; none where it is too long.
    pub bytes: &'b [u8],
    /// How many bytes it has, also where they are not kept.
    pub size: u64,
    /// What is wrong with it as a record, if anything.
    pub flaw: Option<Flaw>,
    /// The schema it was written with, where it is Avro.
    pub plan: Option<&'b Plan>,
    /// What is put before its bytes where it stands alone: the name of that schema.
    pub frame: &'b [u8],
}

impl<'b> RawRecord<'b> {
    /// Reads it as a record of ours.
    ///
    /// # Errors
    /// Why it is none, without any of its content.
    pub fn read<T: Deserialize<'b>>(&self) -> Result<T, String> {
        match (self.flaw, self.plan) {
            (Some(_), _) => Err("it is no JSON object".to_owned()),
            (None, Some(plan)) => {
                let mut rest = self.bytes;
                let record = avro::from_bytes(plan, &mut rest).map_err(|error| error.to_string())?;
                if rest.is_empty() { Ok(record) } else { Err(frame::Error::TrailingBytes.to_string()) }
            }
            (None, None) => frame::from_json(self.bytes).map_err(|error| error.to_string()),
        }
    }
}

/// How many mistakes of one file are told: more would tell nothing new.
pub const MOST_MISTAKES: usize = 20;

/// Whoever takes records. What is wrong with one is told without its place.
pub type Take<'t> = dyn FnMut(&RawRecord<'_>) -> Result<(), Vec<String>> + 't;

/// What records of one kind are taken from.
pub trait Supply {
    /// Hands out every record. Every mistake gets its place.
    fn each(&mut self, mistakes: &mut Vec<Mistake>, take: &mut Take<'_>);

    /// From now on leaves out what was written long enough before an instant to be about earlier ones alone, where it is
    /// known when that was.
    ///
    /// # Errors
    /// If that cannot be found out.
    fn since(&mut self, _: Timestamp) -> Result<(), Mistake> {
        Ok(())
    }
}

/// Files, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Files(pub Vec<PathBuf>);

impl Supply for Files {
    fn each(&mut self, mistakes: &mut Vec<Mistake>, take: &mut Take<'_>) {
        for path in &self.0 {
            each(path, mistakes, &mut *take);
        }
    }
}

/// Hands every record of a file to whoever wants it. Every mistake gets the file and the line.
pub fn each(path: &Path, mistakes: &mut Vec<Mistake>, mut take: impl FnMut(&RawRecord<'_>) -> Result<(), Vec<String>>) {
    let unreadable =
        |error: &io::Error| Mistake::new(path.display().to_string(), format!("it cannot be read: {error}"));
    let read = Arc::new(AtomicU64::new(0));
    let mut input = match Input::open(path, Place::default(), &read) {
        Ok(input) => input,
        Err(error) => return mistakes.push(unreadable(&error)),
    };
    let known = mistakes.len();
    loop {
        match input.next() {
            Ok(None) => return,
            Ok(Some(record)) => {
                let place = format!("{}, line {}", path.display(), record.number);
                let wrong = take(&record).err().unwrap_or_default();
                mistakes.extend(wrong.into_iter().map(|problem| Mistake::new(&place, problem)));
            }
            Err(error) => return mistakes.push(unreadable(&error)),
        }
        if mistakes.len() >= known + MOST_MISTAKES {
            return mistakes.push(Mistake::new(path.display().to_string(), "there may be more; mend these first"));
        }
    }
}

/// What is wrong with a record before anyone looks into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It does not begin with `{`.
    NoObject,
    /// Another record begins before it ends.
    Unfinished,
    /// It is longer than any record may be; its bytes are not kept.
    TooLong,
}

/// A file of records.
pub enum Input {
    /// Text.
    Json(Box<JsonInput>),
    /// An Avro container.
    Avro(Box<AvroInput>),
}

/// Counts the bytes read from files, for the progress bar.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

type Source = BufReader<Box<dyn Read + Send>>;

impl Input {
    /// Opens a file, or standard input for `-`, at a place. `read` counts the bytes taken from it.
    ///
    /// # Errors
    /// If it cannot be read, or ends before the place.
    pub fn open(path: &Path, place: Place, read: &Arc<AtomicU64>) -> io::Result<Self> {
        let file: Box<dyn Read + Send> =
            if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
        Self::of(Box::new(Counted { inner: file, read: Arc::clone(read) }), place)
    }

    /// Reads bytes from anywhere, at a place.
    ///
    /// # Errors
    /// If they cannot be read, or end before the place.
    pub fn of(bytes: Box<dyn Read + Send>, place: Place) -> io::Result<Self> {
        let source = decompress(BufReader::with_capacity(BUFFER, bytes))?;
        Self::from_source(source, place)
    }

    fn from_source(mut source: Source, place: Place) -> io::Result<Self> {
        if source.fill_buf()?.starts_with(b"Obj\x01") {
            return AvroInput::open(source, place).map(|input| Self::Avro(Box::new(input)));
        }
        skip(&mut source, place.bytes)?;
        Ok(Self::Json(Box::new(JsonInput { source, place, record: Vec::new(), held: Vec::new() })))
    }

    /// The next record, or nothing at the end.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    #[allow(clippy::should_implement_trait, reason = "an iterator could not lend its records")]
    pub fn next(&mut self) -> io::Result<Option<RawRecord<'_>>> {
        match self {
            Self::Json(input) => input.next(),
            Self::Avro(input) => input.next(),
        }
    }

    /// The place behind the record that was handed out last.
    #[must_use]
    pub fn place(&self) -> Place {
        match self {
            Self::Json(input) => input.place,
            Self::Avro(input) => Place { bytes: 0, records: input.number, lines: 0 },
        }
    }
}

/// Undoes gzip or zstd, if the first bytes are theirs.
fn decompress(mut source: Source) -> io::Result<Source> {
    let start = source.fill_buf()?;
    let inner: Box<dyn Read + Send> = if start.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::bufread::MultiGzDecoder::new(source))
    } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(zstd::stream::read::Decoder::with_buffer(source)?)
    } else {
        return Ok(source);
    };
    Ok(BufReader::with_capacity(BUFFER, inner))
}

fn skip(source: &mut Source, bytes: u64) -> io::Result<()> {
    let skipped = io::copy(&mut source.by_ref().take(bytes), &mut io::sink())?;
    if skipped == bytes {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends before the place where the former run stopped"))
    }
}

/// Text: one JSON object per line, or objects over several lines, perhaps in one array.
pub struct JsonInput {
    source: Source,
    place: Place,
    record: Vec<u8>,
    /// A line that was read and belongs to the next record.
    held: Vec<u8>,
}

impl JsonInput {
    /// Reads a line into `record`, with its end; `false` at the end of the file.
    fn read_line(&mut self) -> io::Result<bool> {
        if !self.held.is_empty() {
            self.record.append(&mut self.held);
        } else if self.source.by_ref().take(LONGEST as u64 + 1).read_until(b'\n', &mut self.record)? == 0 {
            return Ok(false);
        }
        Ok(true)
    }

    /// Reads a line into `held`, to look at it; `false` at the end of the file.
    fn look_ahead(&mut self) -> io::Result<bool> {
        self.held.clear();
        Ok(self.source.by_ref().take(LONGEST as u64 + 1).read_until(b'\n', &mut self.held)? > 0)
    }

    /// Moves the place behind what is in `record`.
    fn pass(&mut self, lines: u64) {
        self.place.bytes += self.record.len() as u64;
        self.place.lines += lines;
    }

    fn next(&mut self) -> io::Result<Option<RawRecord<'_>>> {
        let (start, number, flaw) = loop {
            self.record.clear();
            let start = self.place.bytes;
            if !self.read_line()? {
                return Ok(None);
            }
            let number = self.place.lines + 1;
            if self.record.len() > LONGEST {
                self.skip_line()?;
                break (start, number, Some(Flaw::TooLong));
            }
            let content = trim(&self.record);
            // Between objects an array may begin, go on or end.
            if content.iter().all(|byte| b"[], \t".contains(byte)) {
                self.pass(1);
                continue;
            }
            if content[0] != b'{' {
                self.pass(1);
                break (start, number, Some(Flaw::NoObject));
            }
            if content.ends_with(b"}") {
                self.pass(1);
                break (start, number, None);
            }
            break (start, number, self.read_object()?);
        };
        self.place.records += 1;
        let (bytes, size): (&[u8], u64) = if flaw == Some(Flaw::TooLong) {
            (&[], self.place.bytes - start)
        } else {
            let bytes = trim(&self.record);
            (bytes, bytes.len() as u64)
        };
        Ok(Some(RawRecord { number, bytes, size, flaw, plan: None, frame: &[] }))
    }

    /// Reads the rest of an object whose first line is in `record`.
    fn read_object(&mut self) -> io::Result<Option<Flaw>> {
        let (mut lines, mut depth) = (1, Depth::default());
        depth.follow(&self.record);
        while depth.level > 0 {
            if !self.look_ahead()? {
                self.pass(lines);
                return Ok(Some(Flaw::Unfinished));
            }
            // Inside a pretty-printed object lines are indented: one that begins in the first column with an
            // object begins another record, and this one is a line that was cut off.
            if self.held[0] == b'{' {
                self.pass(lines);
                return Ok(Some(Flaw::Unfinished));
            }
            depth.follow(&self.held);
            self.record.append(&mut self.held);
            lines += 1;
            if self.record.len() > LONGEST {
                self.pass(lines);
                return Ok(Some(Flaw::TooLong));
            }
        }
        self.pass(lines);
        Ok(None)
    }

    /// Passes over the rest of a line that is too long.
    fn skip_line(&mut self) -> io::Result<()> {
        self.place.bytes += self.record.len() as u64;
        while self.record.last() != Some(&b'\n') {
            self.record.clear();
            if self.source.by_ref().take(LONGEST as u64).read_until(b'\n', &mut self.record)? == 0 {
                break;
            }
            self.place.bytes += self.record.len() as u64;
        }
        self.place.lines += 1;
        Ok(())
    }
}

/// A record's bytes without white space around them, and without the comma behind an array's item.
fn trim(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii();
    line.strip_suffix(b",").unwrap_or(line).trim_ascii_end()
}

/// How deep inside an object a text has come.
#[derive(Default)]
struct Depth {
    level: usize,
    in_string: bool,
    escaped: bool,
}

impl Depth {
    fn follow(&mut self, text: &[u8]) {
        for byte in text {
            match (byte, self.in_string) {
                (_, true) if self.escaped => self.escaped = false,
                (b'\\', true) => self.escaped = true,
                (b'"', _) => self.in_string = !self.in_string,
                (b'{' | b'[', false) => self.level += 1,
                (b'}' | b']', false) => self.level = self.level.saturating_sub(1),
                _ => {}
            }
        }
    }
}

/// An Avro container.
pub struct AvroInput {
    blocks: avro::Blocks<Source>,
    plan: Plan,
    frame: [u8; 10],
    block: Vec<u8>,
    at: usize,
    left: u64,
    number: u64,
}

impl AvroInput {
    fn open(source: Source, place: Place) -> io::Result<Self> {
        let blocks = avro::Blocks::open(source)?;
        let invalid = |error: avro::Error| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        let plan = Plan::parse(&blocks.header().schema).map_err(invalid)?;
        let frame = frame::single_object(&blocks.header().schema).map_err(invalid)?;
        let mut input = Self { blocks, plan, frame, block: Vec::new(), at: 0, left: 0, number: 0 };
        while input.number < place.records {
            if input.next()?.is_none() {
                let why = "it ends before the place where the former run stopped";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
            }
        }
        Ok(input)
    }

    fn next(&mut self) -> io::Result<Option<RawRecord<'_>>> {
        while self.left == 0 {
            match self.blocks.next_block(&mut self.block)? {
                None => return Ok(None),
                Some(count) => (self.left, self.at) = (count, 0),
            }
        }
        let start = self.at;
        let mut rest = &self.block[start..];
        avro::skip(&self.plan, &mut rest)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("a record: {error}")))?;
        self.at = self.block.len() - rest.len();
        self.left -= 1;
        self.number += 1;
        let bytes = &self.block[start..self.at];
        let size = bytes.len() as u64;
        Ok(Some(RawRecord { number: self.number, bytes, size, flaw: None, plan: Some(&self.plan), frame: &self.frame }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str) -> Vec<(u64, String, Option<Flaw>)> {
        let source: Source = BufReader::new(Box::new(io::Cursor::new(text.as_bytes().to_vec())));
        let mut input = Input::from_source(source, Place::default()).expect("readable");
        let mut found = Vec::new();
        while let Some(record) = input.next().expect("readable") {
            found.push((record.number, String::from_utf8_lossy(record.bytes).into_owned(), record.flaw));
        }
        assert_eq!(input.place().bytes, text.len() as u64, "every byte was handed out or passed over");
        found
    }

    #[test]
    fn lines_are_records() {
        let found = records("{\"a\":1}\n\n{\"b\":2}\r\n{\"c\":3}");
        assert_eq!(
            found.iter().map(|(line, text, _)| (*line, text.as_str())).collect::<Vec<_>>(),
            [(1, "{\"a\":1}"), (3, "{\"b\":2}"), (4, "{\"c\":3}"),]
        );
    }

    #[test]
    fn pretty_printed_objects_are_records_also_in_an_array() {
        let found = records("[\n  {\n    \"a\": \"}{\\\"\"\n  },\n  {\n    \"b\": [1]\n  }\n]\n");
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].0, found[1].0), (2, 5));
        assert!(found.iter().all(|(_, text, flaw)| flaw.is_none() && text.ends_with('}')));
    }

    #[test]
    fn a_line_that_was_cut_off_spoils_no_other() {
        let found = records("{\"a\":1}\n{\"b\":\n{\"c\":3}\nnot json\n{\"d\":4}\n");
        let flaws: Vec<_> = found.iter().map(|(line, _, flaw)| (*line, *flaw)).collect();
        assert_eq!(flaws, [(1, None), (2, Some(Flaw::Unfinished)), (3, None), (4, Some(Flaw::NoObject)), (5, None),]);
    }

    #[test]
    fn a_file_can_be_opened_where_a_former_run_stopped() {
        let text = "{\"a\":1}\n{\n \"b\":2\n}\n{\"c\":3}\n";
        let open = |place| {
            let source: Source = BufReader::new(Box::new(io::Cursor::new(text.as_bytes().to_vec())));
            Input::from_source(source, place).expect("readable")
        };
        let mut input = open(Place::default());
        input.next().expect("readable");
        input.next().expect("readable");
        let mut rest = open(input.place());
        let record = rest.next().expect("readable").expect("one more");
        assert_eq!((record.number, record.bytes), (5, &b"{\"c\":3}"[..]));
    }

    #[test]
    fn a_container_cannot_mean_more_records_than_it_has_bytes() {
        let mut file = Vec::new();
        avro::ContainerWriter::new([7; 16]).header(r#"{"type":"record","name":"Event","fields":[]}"#, &mut file);
        // The greatest number of records, in no bytes.
        file.extend_from_slice(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\0");
        file.extend_from_slice(&[7; 16]);
        let source: Source = BufReader::new(Box::new(io::Cursor::new(file)));
        let mut input = Input::from_source(source, Place::default()).expect("readable");
        assert!(input.next().is_err());
    }
}
