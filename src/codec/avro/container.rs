//! Avro object container files: a header with the schema, then blocks of records between sync markers.

use std::io::{self, Read, Write};

use super::{Error, decode, encode};

const MAGIC: &[u8] = b"Obj\x01";

/// The largest block accepted. Writers make blocks of some tens of KiB; a length beyond this is damage.
const LARGEST_BLOCK: usize = 256 << 20;

/// How blocks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    Null,
    /// Raw deflate.
    Deflate,
    /// Zstandard.
    Zstandard,
    /// Snappy, with a checksum.
    Snappy,
}

impl Codec {
    fn parse(name: &[u8]) -> Result<Self, Error> {
        match name {
            b"" | b"null" => Ok(Self::Null),
            b"deflate" => Ok(Self::Deflate),
            b"zstandard" => Ok(Self::Zstandard),
            b"snappy" => Ok(Self::Snappy),
            _ => Err(Error::Unsupported("a block compression other than null, deflate, zstandard and snappy")),
        }
    }
}

/// What a container file says of itself.
#[derive(Debug)]
pub struct Header {
    /// The schema its records were written with, as JSON.
    pub schema: String,
    /// How its blocks are compressed.
    pub codec: Codec,
    sync: [u8; 16],
}

/// The blocks of a container file.
pub struct Blocks<R> {
    input: R,
    header: Header,
    raw: Vec<u8>,
}

impl<R: Read> Blocks<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// If the input cannot be read, or is no container file.
    pub fn open(mut input: R) -> io::Result<Self> {
        let mut magic = [0; 4];
        input.read_exact(&mut magic)?;
        if magic != *MAGIC {
            return Err(invalid("it does not begin as an Avro file does"));
        }
        let (mut schema, mut codec) = (None, Codec::Null);
        loop {
            let count = read_long(&mut input)?.ok_or_else(|| invalid("it ends inside its header"))?;
            if count == 0 {
                break;
            }
            if count < 0 {
                read_long(&mut input)?;
            }
            for _ in 0..count.unsigned_abs().min(1_000) {
                let key = read_bytes(&mut input)?;
                let value = read_bytes(&mut input)?;
                match key.as_slice() {
                    b"avro.schema" => {
                        schema = Some(String::from_utf8(value).map_err(|_| invalid("its schema is not UTF-8"))?);
                    }
                    b"avro.codec" => codec = Codec::parse(&value).map_err(invalid)?,
                    _ => {}
                }
            }
        }
        let mut sync = [0; 16];
        input.read_exact(&mut sync)?;
        let schema = schema.ok_or_else(|| invalid("its header names no schema"))?;
        Ok(Self { input, header: Header { schema, codec, sync }, raw: Vec::new() })
    }

    /// What the file says of itself.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Reads the next block into `block`, decompressed; the number of its records, or `None` at the end.
    ///
    /// # Errors
    /// If the input cannot be read or is damaged.
    pub fn next_block(&mut self, block: &mut Vec<u8>) -> io::Result<Option<u64>> {
        let Some(count) = read_long(&mut self.input)? else {
            return Ok(None);
        };
        let count = u64::try_from(count).map_err(|_| invalid("a block with a negative count"))?;
        let size = read_long(&mut self.input)?.ok_or_else(|| invalid("it ends inside a block"))?;
        let size = usize::try_from(size).ok().filter(|size| *size <= LARGEST_BLOCK);
        let size = size.ok_or_else(|| invalid("a block of an impossible size"))?;
        let target = if self.header.codec == Codec::Null { &mut *block } else { &mut self.raw };
        target.clear();
        let read = self.input.by_ref().take(size as u64).read_to_end(target)?;
        if read < size {
            return Err(invalid("it ends inside a block"));
        }
        let mut sync = [0; 16];
        self.input.read_exact(&mut sync)?;
        if sync != self.header.sync {
            return Err(invalid("a block does not end where its length says"));
        }
        match self.header.codec {
            Codec::Null => {}
            Codec::Deflate => inflate(flate2::read::DeflateDecoder::new(&self.raw[..]), block)?,
            Codec::Zstandard => inflate(zstd::stream::read::Decoder::new(&self.raw[..])?, block)?,
            Codec::Snappy => unsnap(&self.raw, block)?,
        }
        // Every record of ours takes a byte at least; without a bound a few bytes could mean records forever.
        if count > block.len() as u64 {
            return Err(invalid("a block of more records than bytes"));
        }
        Ok(Some(count))
    }
}

fn inflate(decoder: impl Read, block: &mut Vec<u8>) -> io::Result<()> {
    block.clear();
    let read = decoder.take(LARGEST_BLOCK as u64 + 1).read_to_end(block)?;
    if read > LARGEST_BLOCK { Err(invalid("a block of an impossible size")) } else { Ok(()) }
}

fn unsnap(raw: &[u8], block: &mut Vec<u8>) -> io::Result<()> {
    let (compressed, checksum) = raw.split_last_chunk::<4>().ok_or_else(|| invalid("a block without checksum"))?;
    let length = snap::raw::decompress_len(compressed).map_err(invalid)?;
    if length > LARGEST_BLOCK {
        return Err(invalid("a block of an impossible size"));
    }
    block.resize(length, 0);
    snap::raw::Decoder::new().decompress(compressed, block).map_err(invalid)?;
    let mut crc = flate2::Crc::new();
    crc.update(block);
    if crc.sum() == u32::from_be_bytes(*checksum) { Ok(()) } else { Err(invalid("a block's checksum is wrong")) }
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Reads an integer; `None` if the input ends before its first byte.
fn read_long(input: &mut impl Read) -> io::Result<Option<i64>> {
    let mut bytes = [0; 10];
    for index in 0..bytes.len() {
        if input.read(&mut bytes[index..=index])? == 0 {
            return if index == 0 { Ok(None) } else { Err(invalid("it ends inside an integer")) };
        }
        if bytes[index] & 0x80 == 0 {
            return decode::long(&mut &bytes[..=index]).map(Some).map_err(invalid);
        }
    }
    Err(invalid("an integer of more than 64 bits"))
}

fn read_bytes(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let length = read_long(input)?.ok_or_else(|| invalid("it ends inside its header"))?;
    let length = u64::try_from(length).map_err(|_| invalid("a negative length"))?;
    let mut bytes = Vec::new();
    let read = input.by_ref().take(length).read_to_end(&mut bytes)?;
    if (read as u64) < length { Err(invalid("it ends inside its header")) } else { Ok(bytes) }
}

/// Writes a container file, uncompressed. Records gather in a block until it is full or flushed, so what has
/// been flushed ends with a whole block and a file cut there is a whole file.
pub struct ContainerWriter {
    sync: [u8; 16],
    block: Vec<u8>,
    count: i64,
}

/// A block is written when it has grown to this many bytes.
const BLOCK: usize = 64 << 10;

impl ContainerWriter {
    /// A writer with a sync marker; the caller makes it from the file's name, so that equal runs write equal
    /// headers.
    #[must_use]
    pub const fn new(sync: [u8; 16]) -> Self {
        Self { sync, block: Vec::new(), count: 0 }
    }

    /// Appends the header of a new file.
    pub fn header(&self, schema: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        encode::long(2, out);
        for (key, value) in [("avro.codec", "null"), ("avro.schema", schema)] {
            encode::bytes(key.as_bytes(), out);
            encode::bytes(value.as_bytes(), out);
        }
        encode::long(0, out);
        out.extend_from_slice(&self.sync);
    }

    /// Adds a record, and writes the block if it is full.
    ///
    /// # Errors
    /// If the record cannot be encoded or the block cannot be written.
    pub fn add(&mut self, record: &impl serde::Serialize, out: &mut impl Write) -> io::Result<()> {
        encode::to_bytes(record, &mut self.block).map_err(invalid)?;
        self.count += 1;
        if self.block.len() >= BLOCK { self.flush(out) } else { Ok(()) }
    }

    /// Writes the records gathered so far as a block.
    ///
    /// # Errors
    /// If the block cannot be written.
    pub fn flush(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let mut head = Vec::with_capacity(20);
        encode::long(self.count, &mut head);
        encode::long(i64::try_from(self.block.len()).unwrap_or(i64::MAX), &mut head);
        out.write_all(&head)?;
        self.block.extend_from_slice(&self.sync);
        out.write_all(&self.block)?;
        self.block.clear();
        self.count = 0;
        Ok(())
    }
}
