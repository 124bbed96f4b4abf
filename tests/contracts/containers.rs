//! Container files: ours are read by apache-avro, and those of others by us.
//!
//! `tests/golden/containers` holds files that fastavro wrote, an implementation in Python and C that shares
//! nothing with apache-avro: the two records of `records/v1/Event.json` by turns, three times, by the schema of
//! v1, in each compression and in several blocks (`sync_interval=2000`). They are here because apache-avro
//! writes Zstandard and Snappy only with features that the program does not need.

use std::io::{self, Write as _};

use apache_avro::{Codec as LibraryCodec, DeflateSettings, Reader, Writer};
use serde_json::{Value as Json, json};
use tollgate::codec::avro::{self, Blocks, Codec, ContainerWriter, Plan};
use tollgate::codec::frame::from_json;
use tollgate::codec::records::{Event, Person};
use tollgate::codec::schema;

use super::case::{kind, samples};
use super::golden::{from_hex, golden, versions, with_todays_defaults};
use super::library::{encode, parse, text, tree, value};

const SYNC: [u8; 16] = *b"sixteen bytes ==";

const CODECS: [(&str, Codec); 4] =
    [("null", Codec::Null), ("deflate", Codec::Deflate), ("zstandard", Codec::Zstandard), ("snappy", Codec::Snappy)];

/// Reads all records of a container, as JSON, and how many blocks they are in.
fn read(bytes: &[u8], record: fn(&Plan, &mut &[u8]) -> Result<Json, avro::Error>) -> io::Result<(Vec<Json>, usize)> {
    let mut blocks = Blocks::open(bytes)?;
    let plan = Plan::parse(&blocks.header().schema).map_err(io::Error::other)?;
    let (mut records, mut number, mut block) = (Vec::new(), 0, Vec::new());
    while let Some(count) = blocks.next_block(&mut block)? {
        number += 1;
        let mut rest = block.as_slice();
        for _ in 0..count {
            records.push(record(&plan, &mut rest).map_err(io::Error::other)?);
        }
        if !rest.is_empty() {
            return Err(io::Error::other("bytes follow the block's records"));
        }
    }
    Ok((records, number))
}

fn event(plan: &Plan, input: &mut &[u8]) -> Result<Json, avro::Error> {
    avro::from_bytes::<Event<'_>>(plan, input).map(|event| json!(event))
}

fn person(plan: &Plan, input: &mut &[u8]) -> Result<Json, avro::Error> {
    avro::from_bytes::<Person<'_>>(plan, input).map(|person| json!(person))
}

/// The filled and the minimal event, by turns.
fn events(count: usize) -> Vec<Json> {
    samples(kind("Event")).map(|case| case.json).into_iter().cycle().take(count).collect()
}

/// A container of ours, and where it may be cut: behind every block.
fn ours(events: &[Json], flush: bool) -> (Vec<u8>, Vec<usize>) {
    let mut writer = ContainerWriter::new(SYNC);
    let mut file = Vec::new();
    writer.header(schema::EVENT.text, &mut file);
    let mut edges = vec![file.len()];
    for event in events {
        let event = event.to_string();
        let event: Event<'_> = from_json(event.as_bytes()).expect("a sample can be read");
        writer.add(&event, &mut file).expect("a vector can be written to");
        if flush {
            writer.flush(&mut file).expect("a vector can be written to");
            edges.push(file.len());
        }
    }
    writer.flush(&mut file).expect("a vector can be written to");
    (file, edges)
}

#[test]
fn apache_avro_reads_our_containers_and_equal_runs_write_equal_ones() {
    for (count, several) in [(201, true), (1, false), (0, false)] {
        let events = events(count);
        let (file, _) = ours(&events, false);
        let reader = Reader::new(file.as_slice()).expect("our header can be read");
        assert_eq!(*reader.writer_schema(), parse(schema::EVENT.text));
        let by_library: Vec<Json> = reader.map(|value| tree(&text(&value.expect("our blocks can be read")))).collect();
        assert_eq!(by_library, events);
        let (by_us, blocks) = read(&file, event).expect("we can read our own");
        assert_eq!((by_us, blocks > 1), (events.clone(), several));
        assert_eq!(ours(&events, false).0, file);
    }
}

/// What has been flushed is whole, whenever the program stops; what it was about to write is not there.
#[test]
fn a_container_cut_after_a_flush_is_whole() {
    let events = events(5);
    let (file, edges) = ours(&events, true);
    for (number, length) in edges.into_iter().enumerate() {
        let read = read(&file[..length], event).expect("it is whole");
        assert_eq!(read, (events[..number].to_vec(), number));
    }
}

#[test]
fn we_read_the_containers_of_apache_avro() {
    let events = events(40);
    let parsed = parse(schema::EVENT.text);
    let codecs =
        [(LibraryCodec::Null, Codec::Null), (LibraryCodec::Deflate(DeflateSettings::default()), Codec::Deflate)];
    for (codec, expected) in codecs {
        // 16,000 bytes are a block, so there are several.
        let mut writer = Writer::with_codec(&parsed, Vec::new(), codec).expect("a writer can be made");
        for event in &events {
            writer.append_value(value(&parsed, event)).expect("a vector can be written to");
        }
        let file = writer.into_inner().expect("a vector can be written to");
        assert_eq!(Blocks::open(file.as_slice()).expect("its header can be read").header().codec, expected);
        let (read, blocks) = read(&file, event).unwrap_or_else(|error| panic!("{expected:?}: {error}"));
        assert_eq!((read, blocks > 1), (events.clone(), true), "{expected:?}: all are read, from several blocks");
    }
}

#[test]
fn we_read_the_containers_of_fastavro() {
    let two = versions()[0].json("Event").map(|json| with_todays_defaults(kind("Event"), &json));
    let events: Vec<Json> = two.into_iter().cycle().take(6).collect();
    for (name, codec) in CODECS {
        let file = from_hex(&golden(&format!("containers/events.{name}.hex"))).concat();
        assert_eq!(Blocks::open(file.as_slice()).expect("its header can be read").header().codec, codec);
        let (read, blocks) = read(&file, event).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((read, blocks > 1), (events.clone(), true), "{name}: all are read, from several blocks");
    }
}

/// A small schema, so that every bit of a file can be flipped.
const PERSON: &str = r#"{"type":"record","name":"Person","fields":[{"name":"wa_id","type":["null","string"]}]}"#;

fn people() -> Vec<Json> {
    (0..9).map(|number| json!({"wa_id": format!("1202555014{number}")})).collect()
}

/// A container of three blocks in a compression, and where its blocks begin and end.
fn compressed(name: &str, codec: Codec) -> (Vec<u8>, Vec<usize>) {
    /// A number in zigzag form.
    fn long(value: usize) -> Vec<u8> {
        encode(&parse(r#""long""#), &json!(value))
    }
    let mut file = b"Obj\x01\x04".to_vec();
    for text in ["avro.codec", name, "avro.schema", PERSON] {
        file.extend(long(text.len()));
        file.extend_from_slice(text.as_bytes());
    }
    file.push(0);
    file.extend_from_slice(&SYNC);
    let mut edges = vec![file.len()];
    let parsed = parse(PERSON);
    for people in people().chunks(3) {
        let block: Vec<u8> = people.iter().flat_map(|person| encode(&parsed, person)).collect();
        let block = match codec {
            Codec::Null => block,
            Codec::Deflate => {
                let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(&block).expect("a vector can be written to");
                encoder.finish().expect("a vector can be written to")
            }
            Codec::Zstandard => zstd::stream::encode_all(block.as_slice(), 1).expect("a vector can be written to"),
            Codec::Snappy => {
                let mut crc = flate2::Crc::new();
                crc.update(&block);
                let compressed = snap::raw::Encoder::new().compress_vec(&block).expect("it can be compressed");
                [compressed.as_slice(), &crc.sum().to_be_bytes()].concat()
            }
        };
        for part in [long(people.len()), long(block.len()), block, SYNC.to_vec()] {
            file.extend(part);
        }
        edges.push(file.len());
    }
    (file, edges)
}

#[test]
fn a_container_cut_within_a_block_is_an_error() {
    for (name, codec) in CODECS {
        let (file, edges) = compressed(name, codec);
        for length in 0..=file.len() {
            let read = read(&file[..length], person);
            match edges.iter().position(|edge| *edge == length) {
                Some(blocks) => {
                    let (records, _) = read.unwrap_or_else(|error| panic!("{name}, {blocks} blocks: {error}"));
                    assert_eq!(records, people()[..3 * blocks], "{name}");
                }
                None => assert!(read.is_err(), "{name}: the first {length} bytes are read"),
            }
        }
    }
}

#[test]
fn a_container_with_a_flipped_bit_never_panics_and_is_an_error_where_it_can_be_told() {
    for (name, codec) in CODECS {
        let (file, edges) = compressed(name, codec);
        for bit in 0..8 * file.len() {
            let place = bit / 8;
            let mut damaged = file.clone();
            damaged[place] ^= 1 << (bit % 8);
            let read = read(&damaged, person);
            // Only Snappy's blocks have a checksum; elsewhere a flipped bit in a text is another text. The
            // marks between the blocks, the magic, the counts and the sizes are told in every compression.
            let mark = edges.iter().any(|edge| (edge - 16..*edge).contains(&place));
            let frame = edges.iter().any(|edge| (*edge..edge + 2).contains(&place));
            if place < 4 || mark || frame || (codec == Codec::Snappy && place >= edges[0]) {
                assert!(read.is_err(), "{name}: bit {bit} is flipped and the file is read");
            }
        }
    }
}

#[test]
fn what_is_no_container_is_an_error() {
    let (file, edges) = compressed("null", Codec::Null);
    for (from, to) in [("avro.schema", "avro.schemb"), ("\u{8}null", "\u{8}lzma"), ("Obj\u{1}", "Obj\u{2}")] {
        let place = file.windows(from.len()).position(|window| window == from.as_bytes()).expect("it is in the header");
        let mut header = file[..edges[0]].to_vec();
        header[place..place + to.len()].copy_from_slice(to.as_bytes());
        assert!(Blocks::open(header.as_slice()).is_err(), "{to:?}");
    }
    assert!(Blocks::open(b"{\"kind\":\"message\"}".as_slice()).is_err());
    assert!(Plan::parse("{\"type\":\"rekord\"}").is_err());
}
