//! Bytes that nobody meant: no reader panics, and what claims to be endless is refused at once.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::de::{DeserializeOwned, IgnoredAny};
use tollgate::codec::avro::{self, Blocks, Plan};

use super::case::{FRAMINGS, all, event, framed};
use super::invented::{case, config, seeds};
use super::library::decode;

/// 2^60 in zigzag form.
const MANY: [u8; 9] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20];

fn reads<T: DeserializeOwned>(schema: &str, mut bytes: &[u8]) -> bool {
    let plan = Plan::parse(schema).expect("the test's schema can be compiled");
    avro::from_bytes::<T>(&plan, &mut bytes).is_ok()
}

fn skips(schema: &str, mut bytes: &[u8]) -> bool {
    let plan = Plan::parse(schema).expect("the test's schema can be compiled");
    avro::skip(&plan, &mut bytes).is_ok()
}

/// Were they believed, this test would not end, or ask for more memory than there is.
#[test]
fn sixteen_bytes_that_claim_a_quintillion_items_are_refused() {
    let lists = |items: &str| format!(r#"{{"type": "array", "items": {items}}}"#);
    let maps = r#"{"type": "map", "values": "string"}"#;
    let nothing = r#"{"type": "record", "name": "Nothing", "fields": []}"#;
    for tail in [[0; 7], [0x80; 7], [2; 7]] {
        let bytes = [MANY.as_slice(), &tail].concat();
        assert!(!reads::<String>(r#""string""#, &bytes));
        assert!(!reads::<Vec<String>>(&lists(r#""string""#), &bytes));
        assert!(!reads::<Vec<i64>>(&lists(r#""long""#), &bytes));
        assert!(!reads::<Vec<()>>(&lists(r#""null""#), &bytes));
        assert!(!reads::<BTreeMap<String, String>>(maps, &bytes));
        for schema in [r#""string""#, r#""bytes""#, maps, &lists(r#""string""#), &lists(r#""null""#), &lists(nothing)] {
            assert!(!skips(schema, &bytes), "{schema}: {bytes:?}");
            assert!(!reads::<IgnoredAny>(schema, &bytes), "{schema}: {bytes:?}");
        }
    }
}

/// The same inside our own records: wherever a list begins, a quintillion items are claimed.
#[test]
fn a_record_that_claims_a_quintillion_items_is_refused() {
    for case in all() {
        let datum = case.datum();
        for place in 0..datum.len() {
            let mut bytes = framed(&datum);
            bytes.splice(place + 5..place + 6, MANY);
            // Where a long or a text stood it may be lawful; it has come to an end.
            let _ = case.read(&bytes);
        }
    }
}

#[test]
fn nothing_nested_without_end_overflows_the_stack() {
    let schema = r#"{"type": "record", "name": "Chain", "fields": [{"name": "next", "type": ["null", "Chain"]}]}"#;
    let bytes = vec![2; 1 << 20];
    assert!(!skips(schema, &bytes) && !reads::<IgnoredAny>(schema, &bytes));
    // Each level of this one takes no byte at all.
    let schema = r#"{"type": "record", "name": "Chain", "fields": [{"name": "next", "type": "Chain"}]}"#;
    if let Ok(plan) = Plan::parse(schema) {
        assert!(avro::skip(&plan, &mut [].as_slice()).is_err());
    }
    let json = [b"{\"status\":".repeat(1 << 18), b"1".to_vec()].concat();
    assert!(event().read(&json).is_err());
}

#[test]
fn a_record_cut_anywhere_is_an_error() {
    for case in all() {
        for framing in FRAMINGS {
            let bytes = case.write(framing);
            for length in 0..bytes.len() {
                assert!(case.read(&bytes[..length]).is_err(), "{} as {framing:?}, {length} bytes", case.name());
            }
        }
    }
}

#[test]
fn a_container_that_claims_a_quintillion_bytes_is_refused() {
    let head = |codec: &str| {
        let mut bytes = b"Obj\x01\x04".to_vec();
        for text in ["avro.schema", r#""null""#, "avro.codec", codec] {
            bytes.push(u8::try_from(2 * text.len()).expect("a short text"));
            bytes.extend_from_slice(text.as_bytes());
        }
        [bytes.as_slice(), &[0], &[9; 16]].concat()
    };
    let mut hostile = vec![
        [b"Obj\x01".as_slice(), &MANY].concat(),
        [b"Obj\x01\x02".as_slice(), &MANY].concat(),
        [b"Obj\x01\x02\x00".as_slice(), &MANY].concat(),
        b"Obj\x01".to_vec(),
        Vec::new(),
    ];
    for codec in ["null", "deflate", "zstandard", "snappy"] {
        // A size, a count and a size, and a size of which nothing follows.
        hostile.push([head(codec), vec![2], MANY.to_vec()].concat());
        hostile.push([head(codec), MANY.to_vec(), MANY.to_vec()].concat());
        hostile.push([head(codec), vec![2], vec![0x80, 0x80, 0x80, 0x80, 0x01]].concat());
        // A count of which the block holds nothing.
        hostile.push([head(codec), MANY.to_vec(), vec![0], vec![8; 16]].concat());
    }
    for bytes in hostile {
        let mut block = Vec::new();
        let read = Blocks::open(bytes.as_slice()).and_then(|mut blocks| {
            while blocks.next_block(&mut block)?.is_some() {}
            Ok(())
        });
        assert!(read.is_err(), "{bytes:?} is read");
    }
}

/// Changes bytes at a place: flips, sets, inserts, removes or repeats.
fn damage(bytes: &mut Vec<u8>, (way, place, value, length): (usize, usize, u8, usize)) {
    let place = place % bytes.len().max(1);
    let end = bytes.len().min(place + length);
    match way {
        0 if place < end => bytes[place] ^= 1 << (value % 8),
        1 if place < end => bytes[place] = value,
        2 => drop(bytes.splice(place..place, std::iter::repeat_n(value, length))),
        3 => drop(bytes.splice(place..place, MANY)),
        4 => drop(bytes.drain(place..end)),
        5 => {
            let part = bytes[place..end].to_vec();
            drop(bytes.splice(place..place, part));
        }
        _ => {}
    }
}

fn damages() -> impl Strategy<Value = Vec<(usize, usize, u8, usize)>> {
    prop::collection::vec((0..6_usize, any::<usize>(), any::<u8>(), 1..20_usize), 1..4)
}

proptest! {
    #![proptest_config(config(1_024))]

    #[test]
    fn random_bytes_never_panic(
        (number, _) in seeds(),
        start in prop_oneof![Just(vec![]), Just(vec![0, 0, 0, 0, 7]), Just(vec![0xC3, 1]), Just(vec![b'{'])],
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let case = case(number, &[]);
        let _ = case.read(&[start, bytes.clone()].concat());
        let _ = avro::skip(&case.kind.plan, &mut bytes.as_slice());
    }

    /// What damage leaves readable, apache-avro reads as we do. (Not the other way round: it reads a text whose
    /// bytes have ended as an empty one.)
    #[test]
    fn damaged_records_never_panic_and_are_the_same_to_apache_avro_and_to_us(
        (number, seed) in seeds(),
        framing in 0..FRAMINGS.len(),
        damages in damages(),
    ) {
        let case = case(number, &seed);
        let (mut bytes, mut datum) = (case.write(FRAMINGS[framing]), case.datum());
        for change in damages {
            damage(&mut bytes, change);
            damage(&mut datum, change);
        }
        let _ = case.read(&bytes);
        let skipped = avro::skip(&case.kind.plan, &mut datum.as_slice());
        if let Ok(read) = case.read(&framed(&datum)) {
            prop_assert_eq!(decode(&case.kind.parsed, None, &datum), Ok(read));
            prop_assert_eq!(skipped, Ok(()), "what can be read can be skipped");
        }
    }
}

#[test]
fn what_is_not_what_the_schema_says_is_an_error() {
    let letters = r#"{"type": "enum", "name": "Letters", "symbols": ["A", "B"]}"#;
    let (strings, texts) = (r#"{"type": "array", "items": "string"}"#, r#"{"type": "map", "values": "string"}"#);
    let too_long = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01];
    assert!(!reads::<bool>(r#""boolean""#, &[2]));
    assert!(!reads::<bool>(r#""boolean""#, &[0xFF]));
    assert!(!reads::<Option<i64>>(r#"["null", "long"]"#, &[4, 2]), "a third branch");
    assert!(!reads::<Option<i64>>(r#"["null", "long"]"#, &[1, 2]), "a negative branch");
    assert!(!reads::<String>(letters, &[4]), "a third symbol");
    assert!(!reads::<String>(letters, &[1]), "a negative symbol");
    assert!(!reads::<i64>(r#""long""#, &too_long));
    assert!(!reads::<i32>(r#""long""#, &[0x80, 0x80, 0x80, 0x80, 0x10]), "2^31");
    assert!(!reads::<String>(r#""string""#, &[1, b'a']), "a negative length");
    assert!(!reads::<String>(r#""string""#, &[2, 0xFF]), "no UTF-8");
    assert!(!reads::<Vec<String>>(strings, &[2, 2, 0xFF, 0]), "no UTF-8 in a list");
    assert!(!reads::<BTreeMap<String, String>>(texts, &[2, 2, 0xFF, 2, b'a', 0]), "no UTF-8 in a key");
    // And the same bytes put right are read.
    assert!(reads::<bool>(r#""boolean""#, &[1]));
    assert!(reads::<Option<i64>>(r#"["null", "long"]"#, &[2, 2]));
    assert!(reads::<String>(letters, &[2]));
    assert!(reads::<i32>(r#""long""#, &[0xFE, 0xFF, 0xFF, 0xFF, 0x0F]), "2^31 - 1");
    assert!(reads::<BTreeMap<String, String>>(texts, &[2, 2, b'k', 2, b'a', 0]));
}

#[test]
fn records_that_hold_each_other_twice_are_no_task_without_end() {
    let nested = |levels: u32| {
        (0..levels).fold("\"null\"".to_owned(), |inner, level| {
            let name = if level == 0 { inner.clone() } else { format!("\"r{}\"", level - 1) };
            format!(
                "{{\"type\":\"record\",\"name\":\"r{level}\",\"fields\":[\
                 {{\"name\":\"a\",\"type\":{inner}}},{{\"name\":\"b\",\"type\":{name}}}]}}"
            )
        })
    };
    assert!(Plan::parse(&nested(10)).is_ok(), "a thousand values are allowed");
    assert!(Plan::parse(&nested(30)).is_err(), "a thousand million are not");
}
