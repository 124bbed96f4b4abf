//! Whatever a record holds, our codec and apache-avro agree on it. The records are invented by the schema: every
//! choice is made by the next byte of a seed, and a seed that has run out chooses the least, so proptest
//! shrinks a record by shrinking its seed.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};
use tollgate::codec::avro;
use tollgate::codec::frame::Framing;

use super::case::{Case, FRAMINGS, KINDS, framed, kind, kinds};
use super::library::{decode_text, encode};
use super::trees::unfolded;

/// So many cases, and no file of failures: what fails is printed, and becomes a test of its own.
pub fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// What texts are made of: each of JSON's and UTF-8's special cases.
const CHARACTERS: &str = "aZ7 \"\\/{\0\n\u{7f}éßي\u{301}\u{2028}語\u{fffd}👍\u{10ffff}";

/// Where the length of an integer's bytes changes, and the ends.
const INTEGERS: [i64; 14] =
    [0, 1, -1, 63, 64, -64, -65, 8_191, 8_192, 2_147_483_647, -2_147_483_648, 1_790_000_000_000, i64::MAX, i64::MIN];

/// Takes the next byte of the seed as one of so many choices.
fn choose(seed: &mut &[u8], among: usize) -> usize {
    let Some((first, rest)) = seed.split_first() else { return 0 };
    *seed = rest;
    usize::from(*first) % among
}

fn text(seed: &mut &[u8]) -> String {
    let characters: Vec<char> = CHARACTERS.chars().collect();
    (0..choose(seed, 6)).map(|_| characters[choose(seed, characters.len())]).collect()
}

fn bytes(seed: &mut &[u8], length: usize) -> Vec<u8> {
    (0..length).map(|_| u8::try_from(choose(seed, 256)).unwrap_or_default()).collect()
}

/// Invents a value of a type of an unfolded schema.
fn value(node: &Json, seed: &mut &[u8]) -> Json {
    match node {
        Json::String(name) => match name.as_str() {
            "boolean" => json!(choose(seed, 2) == 1),
            "int" | "long" => {
                let integer = match choose(seed, INTEGERS.len() + 6) {
                    known if known < INTEGERS.len() => INTEGERS[known],
                    _ => bytes(seed, 8).iter().fold(0, |integer, byte| integer << 8 | i64::from(*byte)),
                };
                let fits = name == "long" || i32::try_from(integer).is_ok();
                json!(if fits { integer } else { integer >> 32 })
            }
            "string" => json!(text(seed)),
            "bytes" => {
                let length = choose(seed, 9);
                json!(BASE64_STANDARD.encode(bytes(seed, length)))
            }
            other => panic!("{other} is no type of ours"),
        },
        Json::Array(branches) => {
            if choose(seed, 2) == 0 {
                Json::Null
            } else {
                value(&branches[1], seed)
            }
        }
        _ if node["type"] == "array" => (0..choose(seed, 4)).map(|_| value(&node["items"], seed)).collect(),
        _ if node["type"] == "map" => {
            (0..choose(seed, 4)).map(|_| (text(seed), value(&node["values"], seed))).collect()
        }
        _ => {
            let mut record = Map::new();
            for field in node["fields"].as_array().into_iter().flatten() {
                let json = value(&field["type"], seed);
                // Plain JSON leaves out what is null and empty maps.
                if !json.is_null() && (field["type"]["type"] != "map" || json != json!({})) {
                    record.insert(field["name"].as_str().unwrap_or_default().to_owned(), json);
                }
            }
            Json::Object(record)
        }
    }
}

/// Invents a record of a type, by its number.
pub fn case(number: usize, mut seed: &[u8]) -> Case {
    static UNFOLDED: std::sync::OnceLock<Vec<Json>> = std::sync::OnceLock::new();
    let unfolded = UNFOLDED.get_or_init(|| kinds().iter().map(|kind| unfolded(kind.schema.text)).collect());
    Case::new(&kinds()[number], "invented", value(&unfolded[number], &mut seed).to_string())
}

/// Seeds, for a type that is as often the event or the verdict, the largest, as any other.
pub fn seeds() -> impl Strategy<Value = (usize, Vec<u8>)> {
    let large = |name: &str| Just(kinds().iter().position(|known| known.schema == kind(name).schema).unwrap_or(0));
    let number = prop_oneof![large("Event"), large("Verdict"), 0..KINDS];
    (number, prop::collection::vec(any::<u8>(), 0..500))
}

proptest! {
    #![proptest_config(config(768))]

    /// Holds one record against all framings and against apache-avro, both ways.
    #[test]
    fn any_record_is_the_same_to_apache_avro_and_to_us((number, seed) in seeds()) {
        let case = case(number, &seed);
        let datum = case.datum();
        let ours = String::from_utf8(case.write(Framing::Json)).expect("JSON is UTF-8");
        prop_assert_eq!(decode_text(&case.kind.parsed, None, &datum), Ok(ours), "ours, read by apache-avro");
        let mut rest = datum.as_slice();
        prop_assert_eq!((avro::skip(&case.kind.plan, &mut rest), rest), (Ok(()), [].as_slice()), "ours, skipped");
        for framing in FRAMINGS {
            prop_assert_eq!(case.read(&case.write(framing)), Ok(case.json.clone()), "as {:?}", framing);
        }
        let by_value = encode(&case.kind.parsed, &case.json);
        // A map has no order in the library's tree, so its bytes need not be ours; their number must be.
        prop_assert_eq!(by_value.len(), datum.len(), "apache-avro writes as many bytes as we do");
        prop_assert_eq!(case.library_writes(None), datum, "apache-avro writes what we write");
        for bytes in [by_value, case.library_writes(Some(1))] {
            prop_assert_eq!(case.read(&framed(&bytes)), Ok(case.json.clone()), "apache-avro's");
        }
    }
}

/// Inventing is of use only if it invents what is rare.
#[test]
fn invented_records_hold_unicode_empty_texts_and_extreme_integers() {
    let (mut all, mut state) = (String::new(), 1_u32);
    for number in (0..KINDS).cycle().take(200 * KINDS) {
        let random = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        });
        all.push_str(&case(number, &random.take(300).collect::<Vec<u8>>()).json.to_string());
    }
    for rare in ["\u{10ffff}", "👍", "\\u0000", "\\\"", ":\"\"", "{}", "[]", "true"] {
        assert!(all.contains(rare), "no {rare} is invented");
    }
    for rare in [i64::MAX, i64::MIN, i64::from(i32::MAX), i64::from(i32::MIN)] {
        assert!(all.contains(&format!(":{rare}")), "no {rare} is invented");
    }
}
