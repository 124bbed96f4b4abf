//! Runs of the `tollgate` binary, and what they leave behind.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tollgate::codec::avro::{self, Blocks, Plan};
use tollgate::codec::records;

/// A file of the repository.
pub fn repository(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name).display().to_string()
}

/// The binary, with no key but what a test gives it.
pub fn tollgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.env_remove("TOLLGATE_DEPLOYMENT_KEY");
    command
}

/// A replay to run, with the sample cards and the sample key of the demo.
#[derive(Clone)]
pub struct Replay {
    /// The files to replay.
    pub files: Vec<PathBuf>,
    /// Files of accounts.
    pub accounts: Vec<PathBuf>,
    /// Files of templates.
    pub templates: Vec<PathBuf>,
    /// The configuration.
    pub config: PathBuf,
    /// Where outputs go.
    pub out: PathBuf,
    /// `ndjson` or `avro`.
    pub format: &'static str,
    /// The directory of a state to keep.
    pub state: Option<PathBuf>,
    /// The directory it runs in, to which paths are relative.
    pub within: PathBuf,
    /// Anything else.
    pub more: Vec<String>,
}

/// How a run ended.
pub struct Ended {
    /// The exit code; nothing if it was killed.
    pub code: Option<i32>,
    /// The summary, where the run came to its end.
    pub summary: Value,
    /// What it said is wrong.
    pub errors: String,
}

impl Replay {
    /// The day of the examples, run in the repository as `make demo` does.
    pub fn of_the_example_day(out: PathBuf) -> Self {
        Self {
            files: vec!["examples/day/webhooks.ndjson".into(), "examples/day/sends.ndjson".into()],
            accounts: vec!["examples/day/accounts.ndjson".into()],
            templates: vec!["examples/day/templates.ndjson".into()],
            config: "examples/demo.toml".into(),
            out,
            format: "ndjson",
            state: None,
            within: repository("").into(),
            more: Vec::new(),
        }
    }

    /// The same replay with one more argument and its value.
    pub fn with(&self, argument: &str, value: &str) -> Self {
        let mut changed = self.clone();
        changed.more.extend([argument.to_owned(), value.to_owned()]);
        changed
    }

    /// The same replay into other directories of the same folder: its outputs, and a state of its own.
    pub fn beside(&self, name: &str, with_state: bool) -> Self {
        let folder = self.out.parent().expect("outputs have a folder");
        let state = with_state.then(|| folder.join(format!("{name}-state")));
        Self { out: folder.join(name), state, ..self.clone() }
    }

    /// The command.
    pub fn command(&self) -> Command {
        let mut command = tollgate();
        command.current_dir(&self.within).arg("replay").args(&self.files);
        for (name, paths) in [("--accounts", &self.accounts), ("--templates", &self.templates)] {
            for path in paths {
                command.arg(name).arg(path);
            }
        }
        command.arg("--config").arg(&self.config).arg("--out").arg(&self.out);
        command.args(["--format", self.format, "--summary", "json"]);
        if let Some(state) = &self.state {
            command.arg("--state").arg(state);
        }
        command.args(&self.more);
        command
    }

    /// Runs it, with a file as standard input if one is given.
    pub fn end(&self, input: Option<&Path>) -> Ended {
        let input = input.map_or_else(Stdio::null, |path| std::fs::File::open(path).expect("an input").into());
        let output = self.command().stdin(input).output().expect("the binary runs");
        Ended {
            code: output.status.code(),
            summary: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs it to its end and returns the summary.
    pub fn run(&self) -> Value {
        let ended = self.end(None);
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        ended.summary
    }

    /// Runs it where it must refuse: with exit code 2, and with each of these texts in what it says.
    pub fn is_refused(&self, texts: &[&str]) {
        let ended = self.end(None);
        assert_eq!(ended.code, Some(2), "it is refused with exit code 2: {}", ended.errors);
        for text in texts {
            assert!(ended.errors.contains(text), "it says `{text}`: {}", ended.errors);
        }
    }

    /// The outputs.
    pub fn outputs(&self) -> Outputs {
        outputs(&self.out, self.format)
    }
}

/// Every output by its name, as lines of JSON.
pub type Outputs = BTreeMap<&'static str, Vec<u8>>;

/// Decodes the next record of an output and writes it as JSON.
type AsJson = fn(&Plan, &mut &[u8]) -> Vec<u8>;

macro_rules! as_json {
    ($record:ident) => {
        |plan, rest| {
            let record: records::$record<'_> = avro::from_bytes(plan, rest).expect("a record");
            serde_json::to_vec(&record).expect("JSON")
        }
    };
}

const OUTPUTS: [(&str, AsJson); 6] = [
    ("verdicts", as_json!(Verdict)),
    ("billing", as_json!(BillingEntry)),
    ("windows", as_json!(WindowEvent)),
    ("window-state", as_json!(WindowStateRow)),
    ("outcomes", as_json!(Outcome)),
    ("dead-letters", as_json!(DeadLetter)),
];

/// Reads the outputs of a run. Containers are decoded with the product's own reader and written as the product
/// writes NDJSON, because where blocks end depends on where a run committed, and records do not.
pub fn outputs(directory: &Path, format: &str) -> Outputs {
    let read = |name: &str| std::fs::read(directory.join(format!("{name}.{format}"))).expect("an output");
    OUTPUTS
        .iter()
        .map(|(name, as_json)| {
            let bytes = read(name);
            (*name, if format == "avro" { container_as_json(&bytes, *as_json) } else { bytes })
        })
        .collect()
}

fn container_as_json(bytes: &[u8], as_json: AsJson) -> Vec<u8> {
    let mut blocks = Blocks::open(bytes).expect("a container");
    let plan = Plan::parse(&blocks.header().schema).expect("a schema");
    let (mut block, mut lines) = (Vec::new(), Vec::new());
    while let Some(count) = blocks.next_block(&mut block).expect("a whole block") {
        let mut rest = &block[..];
        for _ in 0..count {
            lines.extend(as_json(&plan, &mut rest));
            lines.push(b'\n');
        }
        assert!(rest.is_empty(), "a block ends with its last record");
    }
    lines
}

/// Compares outputs. It tells the line that differs and not what it holds, which may be phone numbers.
pub fn assert_same(expected: &Outputs, found: &Outputs, what: &str) {
    for ((name, expected), found) in expected.iter().zip(found.values()) {
        if expected != found {
            let lines = |bytes: &[u8]| bytes.split_inclusive(|byte| *byte == b'\n').count();
            let pairs = expected.split(|byte| *byte == b'\n').zip(found.split(|byte| *byte == b'\n'));
            let differ = pairs.take_while(|(expected, found)| expected == found).count() + 1;
            let (expected, found) = (lines(expected), lines(found));
            panic!("{what}: {name} differs at line {differ} (of {expected} expected, {found} found)");
        }
    }
}

/// The records of an output.
pub fn records(outputs: &Outputs, name: &str) -> Vec<Value> {
    let text = std::str::from_utf8(&outputs[name]).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}
