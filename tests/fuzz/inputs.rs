//! Files as they are given to `tollgate replay`: lines of JSON, and Avro containers with whatever schema and
//! compression they name.

use std::io::{self, Cursor, Read};

use tollgate::codec::avro::{self, ContainerWriter};
use tollgate::codec::records::{Account, Event, TemplateHistory};
use tollgate::codec::{frame, schema};
use tollgate::replay::inputs::{Input, Place};

/// How far a file is read: a few bytes may be the compressed form of very many.
const RECORDS: usize = 2_000;

/// How many bytes are decompressed, for the same reason.
const BYTES: u64 = 1 << 20;

fn open(input: &[u8], place: Place) -> io::Result<Input> {
    Input::of(Box::new(Cursor::new(input.to_vec()).take(BYTES)), place)
}

/// Reads on to the end: the bytes of each record, and the place behind it.
fn rest(input: &mut Input) -> Vec<(u64, Vec<u8>, Place)> {
    let mut records = Vec::new();
    while records.len() < RECORDS {
        let Ok(Some(record)) = input.next() else {
            break;
        };
        let (number, bytes) = (record.number, record.bytes.to_vec());
        match record.plan {
            Some(plan) => {
                let mut rest = &bytes[..];
                let read = avro::from_bytes::<Event<'_>>(plan, &mut rest);
                let _ = avro::from_bytes::<Account<'_>>(plan, &mut &bytes[..]);
                let _ = avro::from_bytes::<TemplateHistory<'_>>(plan, &mut &bytes[..]);
                if let Ok(event) = read {
                    assert!(rest.is_empty(), "reading a record takes as many bytes as passing over it");
                    in_a_container(&event);
                }
            }
            None => {
                let _ = frame::from_json::<Event<'_>>(&bytes);
            }
        }
        records.push((number, bytes, input.place()));
    }
    records
}

/// Holds that a container of ours gives back the record that was put into it.
fn in_a_container(event: &Event<'_>) {
    let (mut writer, mut file) = (ContainerWriter::new([7; 16]), Vec::new());
    writer.header(schema::EVENT.text, &mut file);
    writer.add(event, &mut file).expect("every record can be written");
    writer.flush(&mut file).expect("memory can be written");
    let mut input = open(&file, Place::default()).expect("our own file");
    let record = input.next().expect("our own file").expect("one record");
    let plan = record.plan.expect("a container has a schema");
    let read = avro::from_bytes::<Event<'_>>(plan, &mut &record.bytes[..]).expect("our own record");
    assert!(*event == read, "a container gives back another record");
}

/// Reads a file, and reads it again from where a run might have stopped.
pub fn check(input: &[u8]) {
    let Ok(mut opened) = open(input, Place::default()) else {
        return;
    };
    let all = rest(&mut opened);
    let Some(stopped) = all.len().checked_sub(1).map(|last| last / 2) else {
        return;
    };
    let mut resumed = open(input, all[stopped].2).expect("a file that could be read can be read again");
    let again = rest(&mut resumed);
    assert!(all[stopped + 1..] == again[..all.len() - stopped - 1], "a resumed run reads other records");
}
