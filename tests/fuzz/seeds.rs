//! The first corpora, made of the examples and fixtures: `UPDATE_GOLDEN=1 cargo test --test fuzz seeds` writes
//! them anew after a format or an example has changed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tollgate::codec::avro::ContainerWriter;
use tollgate::codec::frame::{self, Framing};
use tollgate::codec::records::{
    Account, BillingEntry, DeadLetter, Envelope, Event, ForecastAnswer, ForecastRecipient, ForecastRequested,
    ForecastTotal, Outcome, Spend, TemplateHistory, TierUse, Usage, Verdict, WindowEvent, WindowStateRow,
};
use tollgate::codec::schema;
use tollgate::store::{Store, keys};

use crate::mutation::folder;
use crate::stream;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect("an example")
}

fn keep(target: &str, name: &str, bytes: &[u8]) {
    let folder = folder(target).join("corpus");
    let file = folder.join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(file, bytes).expect("written");
    } else {
        // A seed may be of an older example; what matters is that every kind has one.
        assert!(file.is_file(), "{target}/corpus/{name} is missing: run with UPDATE_GOLDEN=1");
    }
}

/// A record in two framings, behind the byte that says which it is.
macro_rules! keep_record {
    ($place:literal, $record:ident, $schema:ident, $json:expr, $name:expr) => {{
        let json: &[u8] = $json;
        let record = frame::from_json::<$record<'_>>(json).expect("a record");
        for (framing, end) in [(Framing::Json, "json"), (Framing::SingleObject, "avro")] {
            let mut bytes = vec![$place];
            frame::write(&record, schema::$schema, framing, &mut bytes).expect("written");
            keep("frames", &format!("{}.{end}", $name), &bytes);
        }
    }};
}

/// The bodies of the fixtures, which are lines with the name of their shape.
fn bodies() -> Vec<(String, String)> {
    #[derive(serde::Deserialize)]
    struct Line {
        shape: String,
        body: Box<serde_json::value::RawValue>,
    }
    let lines = text("tests/webhooks/shapes.ndjson") + &text("tests/webhooks/variants.ndjson");
    let lines = lines.lines().map(|line| serde_json::from_str::<Line>(line).expect("a fixture"));
    lines.map(|line| (line.shape, line.body.get().to_owned())).collect()
}

#[test]
fn seeds_of_every_kind_are_kept() {
    let (sends, webhooks) = (text("examples/day/sends.ndjson"), text("examples/day/webhooks.ndjson"));
    // The bodies of the fixtures by tens, so that a few files hold all of them.
    for (number, some) in bodies().chunks(10).enumerate() {
        let lines = some.iter().fold(String::new(), |lines, (_, body)| lines + body + "\n");
        keep("stream", &format!("bodies-{number:02}"), lines.as_bytes());
    }
    keep("stream", "asks", sends.as_bytes());
    keep("stream", "statuses", webhooks.as_bytes());
    // The day itself, by arrival.
    let mut day: Vec<(i64, &str)> = sends.lines().chain(webhooks.lines()).map(|line| (arrival(line), line)).collect();
    day.sort_by_key(|(arrived_at, _)| *arrived_at);
    let day = day.iter().fold(String::new(), |mut day, (_, line)| {
        let _ = writeln!(day, "{line}");
        day
    });
    keep("stream", "day", day.as_bytes());
    outputs(&day);
    inputs(&sends, &webhooks);
    for (number, line) in sends.lines().take(4).enumerate() {
        keep_record!(b'0', Event, EVENT, line.as_bytes(), format!("event-{number}"));
    }
    let accounts = text("examples/day/accounts.ndjson");
    keep_record!(b'1', Account, ACCOUNT, accounts.lines().next().expect("a line").as_bytes(), "account");
    let templates = text("examples/day/templates.ndjson");
    keep_record!(
        b'2',
        TemplateHistory,
        TEMPLATE_HISTORY,
        templates.lines().next().expect("a line").as_bytes(),
        "template"
    );
    forecasts();
    for card in ["sample-usd-2026-10-01.csv", "sample-usd-2026-10-01-tiers.csv", "sample-inr-2026-10-01.csv"] {
        keep("rate_card", card, text(&format!("examples/rate-cards/{card}")).as_bytes());
    }
    for file in std::fs::read_dir(root().join("tests/scenarios")).expect("scenarios") {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("a scenario");
        let name = path.file_stem().expect("a name").to_string_lossy();
        // What stands before the first empty line is said of all vectors.
        let (head, vectors) = text.split_once("\n\n").unwrap_or(("", &text));
        for (number, vector) in vectors.split("\n\n").enumerate().step_by(9) {
            keep("scenario", &format!("{name}-{number:02}"), format!("{head}\n\n{vector}\n").as_bytes());
        }
    }
    keep("config", "shipped", text("deploy/tollgate.toml").as_bytes());
    let uncommented = text("deploy/tollgate.toml").replace("\n#", "\n");
    let settings = uncommented.lines().filter(|line| line.starts_with('[') || line.contains(" = ")).fold(
        String::new(),
        |mut settings, line| {
            let named = ["key_file", "rate_cards", "candidate"].iter().any(|name| line.starts_with(name));
            if !named && !line.starts_with("# ") {
                let _ = writeln!(settings, "{line}");
            }
            settings
        },
    );
    keep("config", "every-setting", settings.as_bytes());
}

/// When a line of the example arrived.
fn arrival(line: &str) -> i64 {
    // One line of the example is broken on purpose.
    let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    value["received_at"].as_i64().or(value["occurred_at"].as_i64()).unwrap_or(i64::MAX)
}

/// Whether a published text is of a type; a row of the window state is, which has a key, and is no window's edge.
fn of_type(text: &str, wanted: &str) -> bool {
    let is_row = text.starts_with(r#"{"key""#);
    if wanted == "row" { is_row } else { !is_row && text.contains(&format!(r#""type":"tollgate.{wanted}"#)) }
}

/// What the day publishes and leaves behind: records for `frames`, rows for `state`.
fn outputs(day: &str) {
    let (told, store) = stream::run(day.as_bytes());
    let of = |wanted: &str| told.iter().filter(|text| of_type(text, wanted)).take(2).cloned().collect::<Vec<_>>();
    for (number, json) in of("send.verdict").iter().enumerate() {
        keep_record!(b'3', Verdict, VERDICT, json.as_bytes(), format!("verdict-{number}"));
    }
    for (number, json) in of("billing").iter().enumerate() {
        keep_record!(b'4', BillingEntry, BILLING_ENTRY, json.as_bytes(), format!("billing-{number}"));
    }
    for (number, json) in of("window").iter().enumerate() {
        keep_record!(b'5', WindowEvent, WINDOW_EVENT, json.as_bytes(), format!("window-{number}"));
    }
    for (number, json) in of("row").iter().enumerate() {
        keep_record!(b'7', WindowStateRow, WINDOW_STATE_ROW, json.as_bytes(), format!("window-state-{number}"));
    }
    for (number, json) in of("send.outcome").iter().enumerate() {
        keep_record!(b'8', Outcome, OUTCOME, json.as_bytes(), format!("outcome-{number}"));
    }
    let kinds = [keys::CONTACT, keys::NUMBER, keys::NUMBER_MONTH, keys::MESSAGE, keys::REQUEST, keys::FACT];
    for kind in kinds {
        for (number, (_, row)) in store.scan(&[kind], &[], 4).expect("memory can be read").into_iter().enumerate() {
            let bytes: Vec<u8> = std::iter::once(kind).chain(row).collect();
            keep("state", &format!("{}-{number}", char::from(kind)), &bytes);
        }
    }
}

/// Files: lines, pretty-printed objects in an array, a container, and both compressed.
fn inputs(sends: &str, webhooks: &str) {
    let few = sends.lines().take(5).collect::<Vec<_>>().join("\n");
    keep("inputs", "lines", few.as_bytes());
    keep("inputs", "bodies", webhooks.lines().take(2).collect::<Vec<_>>().join("\n").as_bytes());
    let values: Vec<serde_json::Value> = few.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    keep("inputs", "array", serde_json::to_string_pretty(&values).expect("JSON").as_bytes());
    let (mut writer, mut file) = (ContainerWriter::new(*b"a sync marker!!!"), Vec::new());
    // A schema without its documentation leaves room for what matters.
    let mut schema: serde_json::Value = serde_json::from_str(schema::EVENT.text).expect("JSON");
    strip(&mut schema);
    writer.header(&schema.to_string(), &mut file);
    for (number, line) in sends.lines().take(5).enumerate() {
        let event = frame::from_json::<Event<'_>>(line.as_bytes()).expect("an event");
        writer.add(&event, &mut file).expect("written");
        if number % 2 == 1 {
            writer.flush(&mut file).expect("written");
        }
    }
    writer.flush(&mut file).expect("written");
    keep("inputs", "container", &file);
    let mut gzip = flate2::read::GzEncoder::new(few.as_bytes(), flate2::Compression::best());
    let mut compressed = Vec::new();
    std::io::Read::read_to_end(&mut gzip, &mut compressed).expect("compressed");
    keep("inputs", "lines.gz", &compressed);
    keep("inputs", "lines.zst", &zstd::encode_all(few.as_bytes(), 3).expect("compressed"));
    small_containers();
    endless_container();
}

/// Containers of a small schema, one for each compression of blocks.
fn small_containers() {
    let schema = r#"{"type":"record","name":"Event","fields":[{"name":"kind","type":"string"},{"name":"phone_number_id","type":"string"},{"name":"occurred_at","type":"long"},{"name":"errors","type":{"type":"array","items":["null","int"]}},{"name":"more","type":{"type":"map","values":"boolean"}}]}"#;
    let record = b"\x12heartbeat\x021\x80\xf0\xa5\x9c\xa2\x68\x04\x00\x02\x06\x00\x02\x02a\x01\x00";
    let block = [&record[..], &record[..]].concat();
    let deflate = {
        let mut bytes = Vec::new();
        let mut encoder = flate2::read::DeflateEncoder::new(&block[..], flate2::Compression::best());
        std::io::Read::read_to_end(&mut encoder, &mut bytes).expect("compressed");
        bytes
    };
    let snappy = {
        let mut bytes = snap::raw::Encoder::new().compress_vec(&block).expect("compressed");
        let mut crc = flate2::Crc::new();
        crc.update(&block);
        bytes.extend_from_slice(&crc.sum().to_be_bytes());
        bytes
    };
    let zstandard = zstd::encode_all(&block[..], 3).expect("compressed");
    for (codec, bytes) in [("null", block), ("deflate", deflate), ("snappy", snappy), ("zstandard", zstandard)] {
        let mut file = b"Obj\x01\x04".to_vec();
        for (key, value) in [("avro.codec", codec), ("avro.schema", schema)] {
            for part in [key, value] {
                length(part.len(), &mut file);
                file.extend_from_slice(part.as_bytes());
            }
        }
        file.extend_from_slice(b"\0a sync marker!!!\x04");
        length(bytes.len(), &mut file);
        file.extend_from_slice(&bytes);
        file.extend_from_slice(b"a sync marker!!!");
        keep("inputs", &format!("small-{codec}"), &file);
    }
}

/// A container that says it holds more records than anyone can count, of a schema that takes no bytes.
fn endless_container() {
    let schema = r#"{"type":"record","name":"Event","fields":[]}"#;
    let mut file = b"Obj\x01\x02\x16avro.schema".to_vec();
    length(schema.len(), &mut file);
    file.extend_from_slice(schema.as_bytes());
    file.extend_from_slice(b"\0a sync marker!!!\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\0a sync marker!!!");
    keep("inputs", "endless", &file);
}

/// A length as Avro writes it.
fn length(length: usize, out: &mut Vec<u8>) {
    let mut rest = length * 2;
    while rest >= 0x80 {
        out.push(u8::try_from(rest & 0x7f).expect("seven bits") | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).expect("seven bits"));
}

fn strip(schema: &mut serde_json::Value) {
    match schema {
        serde_json::Value::Object(object) => {
            object.remove("doc");
            object.values_mut().for_each(strip);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// The records that nothing publishes yet.
fn forecasts() {
    fn json(record: &impl serde::Serialize) -> Vec<u8> {
        serde_json::to_vec(record).expect("JSON")
    }
    let envelope = || Envelope { id: "1".into(), source: "fuzz".into(), time: 1, ..Envelope::default() };
    let usage = Usage {
        envelope: envelope(),
        tiers: vec![TierUse::default()],
        spend: vec![Spend { amount: "0.1".into(), ..Spend::default() }],
        ..Usage::default()
    };
    keep_record!(b'9', Usage, USAGE, &json(&usage), "usage");
    let request = ForecastRequested { request_id: "1".into(), recipients: vec![<_>::default()], ..<_>::default() };
    keep_record!(b'a', ForecastRequested, FORECAST_REQUESTED, &json(&request), "forecast-requested");
    let answer = ForecastAnswer {
        envelope: envelope(),
        totals: vec![ForecastTotal::default()],
        recipients: vec![ForecastRecipient::default()],
        ..ForecastAnswer::default()
    };
    keep_record!(b'b', ForecastAnswer, FORECAST_ANSWER, &json(&answer), "forecast-answer");
    let letter = DeadLetter {
        envelope: envelope(),
        payload: Some(tollgate::codec::text::Bytes(b"{}".into())),
        ..DeadLetter::default()
    };
    keep_record!(b'c', DeadLetter, DEAD_LETTER, &json(&letter), "dead-letter");
}
