//! Files as every version wrote them, read and written by today's code.
//!
//! A version is a directory of schemas and one of records. `.json` holds the filled record in its first line
//! and the minimal one in its second, `.single` and `.registry` (under id 7) the same two in hexadecimal
//! digits; the schemas are without their docs, which may be put right at any time. After a release:
//! 1. add the field to the schema (with a default that is one zero byte) and to the struct;
//! 2. name the next version in [`NEWEST`], copy the `.json` files to it and give the new field a value;
//! 3. `UPDATE_GOLDEN=1 cargo test --test contracts` adds the other files, and `git status` shows none modified.
//!
//! From then on the older version is only read. A file that is there is never overwritten: to change one
//! before its release, delete it first.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use serde_json::Value as Json;
use tollgate::codec::frame::{Framing, Writers};

use super::case::{Case, ID, Kind, kind, kinds, knowing, samples};
use super::library::tree;
use super::trees::{known, unfolded, without};

/// The version that today's schemas are.
const NEWEST: &str = "v1";

const ENDINGS: [(&str, Framing); 3] =
    [("json", Framing::Json), ("single", Framing::SingleObject), ("registry", Framing::Registry(ID))];

/// What a version wrote.
pub struct Version {
    /// Its name.
    pub name: String,
    /// The schemas' texts by the record's name.
    pub schemas: BTreeMap<String, String>,
}

impl Version {
    /// The bytes of a type's two records in a framing.
    fn records(&self, record: &str, ending: &str) -> [Vec<u8>; 2] {
        let text = golden(&format!("records/{}/{record}.{ending}", self.name));
        let parts = if ending == "json" {
            text.lines().map(|line| line.as_bytes().to_vec()).collect()
        } else {
            from_hex(&text)
        };
        parts.try_into().unwrap_or_else(|_| panic!("{record}.{ending} of {} holds two records", self.name))
    }

    /// The records' JSON as the version wrote it.
    pub fn lines(&self, record: &str) -> [String; 2] {
        self.records(record, "json").map(|line| String::from_utf8(line).expect("JSON is UTF-8"))
    }

    /// The records' JSON, parsed; what later versions added is absent.
    pub fn json(&self, record: &str) -> [Json; 2] {
        self.lines(record).map(|line| serde_json::from_str(&line).expect("a golden file holds JSON"))
    }
}

fn path(below: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).join(below)
}

/// The text of a golden file.
pub fn golden(below: &str) -> String {
    fs::read_to_string(path(below)).unwrap_or_else(|error| panic!("{below}: {error}"))
}

/// The names of the files in a directory.
fn names(directory: &str) -> Vec<String> {
    let files = fs::read_dir(path(directory)).unwrap_or_else(|error| panic!("{directory}: {error}"));
    files.map(|file| file.expect("a file").file_name().into_string().expect("a name is ASCII")).collect()
}

/// All versions, the oldest first. The first test to ask writes the schemas of a new one, if told to.
pub fn versions() -> &'static [Version] {
    static VERSIONS: OnceLock<Vec<Version>> = OnceLock::new();
    VERSIONS.get_or_init(|| {
        for kind in kinds() {
            let schema = serde_json::to_string_pretty(&without(tree(kind.schema.text), "doc"));
            complete(&format!("schemas/{NEWEST}/{}.avsc", kind.schema.name), || schema.expect("a tree is JSON") + "\n");
        }
        let mut versions = names("schemas");
        // v10 comes after v9.
        versions.sort_by_key(|name| (name.len(), name.clone()));
        assert_eq!(versions.last().map(String::as_str), Some(NEWEST), "NEWEST names the newest version");
        versions.into_iter().map(version).collect()
    })
}

fn version(name: String) -> Version {
    let file = |file: String| {
        let record = file.strip_suffix(".avsc").expect("a version's schemas are schemas").to_owned();
        (record, golden(&format!("schemas/{name}/{file}")))
    };
    Version { schemas: names(&format!("schemas/{name}")).into_iter().map(file).collect(), name }
}

/// Writes a golden file that is missing, if told to.
fn complete(below: &str, text: impl FnOnce() -> String) {
    let file = path(below);
    if !file.exists() {
        let told = std::env::var_os("UPDATE_GOLDEN").is_some();
        assert!(told, "{below} is missing; `UPDATE_GOLDEN=1 cargo test --test contracts` writes it");
        fs::create_dir_all(file.parent().expect("a file has a directory")).expect("directories can be made");
        fs::write(&file, text()).unwrap_or_else(|error| panic!("{below}: {error}"));
    }
}

/// Records in hexadecimal digits, in lines of 64, so that a difference is seen where it is.
fn to_hex(cases: &[Case], framing: Framing) -> String {
    let mut text = String::new();
    for case in cases {
        writeln!(text, "# {}", case.part).expect("a text can be written to");
        for line in case.write(framing).chunks(32) {
            for byte in line {
                write!(text, "{byte:02x}").expect("a text can be written to");
            }
            text.push('\n');
        }
    }
    text
}

/// The parts of a file of hexadecimal digits; a line that begins with `#` begins one.
pub fn from_hex(text: &str) -> Vec<Vec<u8>> {
    let part = |part: &str| {
        let digits: Vec<u8> = part.lines().skip(1).flat_map(str::bytes).collect();
        let byte = |pair: &[u8]| {
            let pair = std::str::from_utf8(pair).expect("digits are ASCII");
            u8::from_str_radix(pair, 16).unwrap_or_else(|_| panic!("{pair} is no byte"))
        };
        digits.chunks(2).map(byte).collect()
    };
    text.split("# ").skip(1).map(part).collect()
}

/// A record of an older version as today's code sees it.
pub fn with_todays_defaults(kind: &Kind, json: &Json) -> Json {
    let read = (kind.read)(&Writers::default(), json.to_string().as_bytes());
    read.unwrap_or_else(|error| panic!("{}: {error}", kind.schema.name))
}

#[test]
fn todays_schemas_are_those_kept_for_the_newest_version() {
    let newest = versions().last().expect("there is a version");
    assert_eq!(newest.schemas.len(), kinds().len());
    for kind in kinds() {
        // Docs may be put right at any time; anything else needs a version of its own.
        assert!(
            tree(&newest.schemas[kind.schema.name]) == without(tree(kind.schema.text), "doc"),
            "{} is no longer that of {NEWEST}: if {NEWEST} is released add the next version, else delete its files",
            kind.schema.name
        );
    }
}

/// Every file of every version: none is there that nobody reads, and no record is gone.
#[test]
fn todays_code_reads_every_golden_file() {
    todays_code_writes_the_newest_files_to_the_byte();
    for version in versions() {
        assert_eq!(names(&format!("records/{}", version.name)).len(), ENDINGS.len() * version.schemas.len());
        for (record, schema) in &version.schemas {
            let (kind, writers) = (kind(record), knowing(schema));
            let expected = version.json(record);
            for (ending, _) in ENDINGS {
                for (bytes, expected) in version.records(record, ending).iter().zip(&expected) {
                    let place = format!("{}/{record}.{ending}", version.name);
                    let read = (kind.read)(&writers, bytes).unwrap_or_else(|error| panic!("{place}: {error}"));
                    assert_eq!(read, with_todays_defaults(kind, expected), "{place}");
                    // Whatever else today's code makes of it, nothing that was written is lost.
                    assert_eq!(known(&read, &unfolded(schema)), *expected, "{place}");
                }
            }
        }
    }
}

#[test]
fn todays_code_writes_the_newest_files_to_the_byte() {
    // Another test calls this one, and neither may read what the other has half written.
    static WRITING: Mutex<()> = Mutex::new(());
    let _alone = WRITING.lock();
    for kind in kinds() {
        let cases = samples(kind);
        for (ending, framing) in ENDINGS {
            let file = format!("records/{NEWEST}/{}.{ending}", kind.schema.name);
            let text = match framing {
                Framing::Json => {
                    let lines = cases.each_ref().map(|case| String::from_utf8(case.write(framing)));
                    lines.map(|line| line.expect("JSON is UTF-8") + "\n").concat()
                }
                _ => to_hex(&cases, framing),
            };
            complete(&file, || text.clone());
            let golden = golden(&file);
            assert!(golden == text, "{file} is\n{golden}\nand today's code writes\n{text}");
        }
    }
}
