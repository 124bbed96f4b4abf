//! `tollgate replay` as people run it: twice, in steps, killed and gone on with, on files of every kind.
//!
//! What it promises is that none of this shows in the outputs. Streams come from the load generator, and have
//! broken lines put in between, so that dead letters are compared as well.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod running;

use std::io::Write;
use std::path::{Path, PathBuf};

use running::{Outputs, Replay, assert_same, records, repository, tollgate};
use serde_json::Value;
use tempfile::TempDir;

/// Synthetic traffic in a folder of its own.
struct Stream {
    folder: TempDir,
    lines: Vec<String>,
}

impl Stream {
    /// Makes a stream with reference records beside it. `config.toml` is the demo's configuration.
    fn new(events: u32, seed: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("load.ndjson");
        let made = tollgate()
            .args(["loadgen", "--numbers", "3", "--contacts", "400"])
            .args(["--events", &events.to_string(), "--seed", &seed.to_string(), "--out"])
            .arg(&out)
            .output()
            .expect("the binary runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let text = std::fs::read_to_string(&out).expect("a stream");
        Self { folder, lines: text.lines().map(str::to_owned).collect() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a broken line behind every 101st, of three kinds, and an empty one, which is none at all.
    fn with_broken_lines(mut self) -> Self {
        let broken =
            ["{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"60", "not json", "{\"kind\":7}\n"];
        let mut kinds = broken.iter().cycle();
        let lines = std::mem::take(&mut self.lines);
        for (index, line) in lines.into_iter().enumerate() {
            self.lines.push(line);
            if index % 101 == 100 {
                self.lines.push((*kinds.next().expect("a cycle has no end")).to_owned());
            }
        }
        self
    }

    /// Writes lines to a file and returns its name.
    fn write<'l>(&self, name: &str, lines: impl IntoIterator<Item = &'l String>) -> PathBuf {
        let text = lines.into_iter().fold(String::new(), |text, line| text + line + "\n");
        std::fs::write(self.path(name), text).expect("written");
        name.into()
    }

    /// Writes the stream to two files, by turns of some lines each, and never parts two records of one
    /// instant, whose order between two files would be the files' order.
    fn write_two(&self, turn: usize) -> Vec<PathBuf> {
        let arrival = |line: &String| {
            let value: Option<Value> = serde_json::from_str(line).ok();
            value.and_then(|value| value.get("received_at").and_then(Value::as_i64))
        };
        let (mut parts, mut part, mut taken) = ([Vec::new(), Vec::new()], 0, 0);
        let mut before = None;
        for line in &self.lines {
            let at = arrival(line);
            if taken >= turn && at.is_some() && at != before {
                (part, taken) = (1 - part, 0);
            }
            parts[part].push(line);
            (before, taken) = (at.or(before), taken + 1);
        }
        let [even, odd] = parts;
        vec![self.write("even.ndjson", even), self.write("odd.ndjson", odd)]
    }

    fn replay(&self, files: Vec<PathBuf>, out: &str) -> Replay {
        Replay {
            files,
            accounts: vec!["load.accounts.ndjson".into()],
            templates: vec!["load.templates.ndjson".into()],
            config: repository("examples/demo.toml").into(),
            out: self.path(out),
            format: "ndjson",
            state: None,
            within: self.folder.path().to_owned(),
            more: Vec::new(),
        }
    }
}

/// Every output has something in it, so that comparing it says something.
fn assert_full(outputs: &Outputs) {
    for (name, lines) in outputs {
        assert!(!lines.is_empty(), "there are {name}");
    }
}

#[test]
fn the_same_input_twice_gives_the_same_outputs_in_both_formats() {
    let stream = Stream::new(6_000, 11).with_broken_lines();
    let files = stream.write_two(40);
    let first = stream.replay(files, "first");
    let summary = first.run();
    let expected = first.outputs();
    assert_full(&expected);
    let second = first.beside("second", false);
    assert_eq!(second.run(), summary);
    assert_same(&expected, &second.outputs(), "a second run");
    for out in ["avro", "avro again"] {
        let replay = Replay { format: "avro", ..first.beside(out, false) };
        assert_eq!(replay.run(), summary);
        assert_same(&expected, &replay.outputs(), "the containers");
    }
}

/// The instant at which the events of one person begin.
const BEGIN: i64 = 1_791_288_000_000;

/// An event about one person, so many milliseconds after the beginning.
fn event(kind: &str, number: u8, after: i64, section: &str) -> String {
    let at = BEGIN + after;
    format!(
        "{{\"kind\":\"{kind}\",\"phone_number_id\":\"10731000000000{number}\",\"occurred_at\":{at},\
         \"received_at\":{at},\"contact\":{{\"wa_id\":\"5511955501234\"}},{section}}}\n"
    )
}

fn asks(request: &str) -> String {
    let content = "\"content\":{\"kind\":\"freeform\",\"message_type\":\"text\"}";
    format!("\"send_requested\":{{\"request_id\":\"{request}\",{content}}}")
}

/// A replay of events, under a policy.
fn replay_of(folder: &Path, policy: &str, events: &str) -> Replay {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("written");
    let deployment = "[deployment]\nname = \"demo\"\nkey = \"tests name invented people\"\n";
    write("config.toml", &format!("{deployment}{policy}"));
    write("events.ndjson", events);
    Replay {
        files: vec!["events.ndjson".into()],
        accounts: Vec::new(),
        templates: Vec::new(),
        config: "config.toml".into(),
        within: folder.to_owned(),
        ..Replay::of_the_example_day(folder.join("single"))
    }
}

/// Somebody asks one number again and again, under a policy that answers two asks of a second and acts on none.
fn asks_in_a_row(folder: &Path) -> Replay {
    let mut text = event("message", 1, -1_000, "\"message\":{\"message_id\":\"wamid.1\",\"type\":\"text\"}");
    for (number, after) in [(1, 0), (1, 0), (2, 10), (1, 20), (1, 999), (1, 1_000), (1, 1_001), (1, 1_002)] {
        let request = text.lines().count();
        text += &event("send_requested", number, after, &asks(&request.to_string()));
    }
    replay_of(folder, "enforced = false\nasks_per_second = 2\n", &text)
}

#[test]
fn a_refusal_is_told_once_whether_it_is_seen_before_its_ask_or_after() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |request: &str, after| {
        let section = format!(
            "\"status\":{{\"request_id\":\"{request}\",\"status\":\"failed\",\"errors\":[{{\"code\":131047}}]}}"
        );
        event("status", 1, after, &section)
    };
    let text = [
        // Of nothing that was ever asked.
        refused("never", 0) + &refused("never", 0),
        refused("late", 1) + &event("send_requested", 1, 0, &asks("late")) + &refused("late", 1),
        event("send_requested", 1, 2, &asks("first")) + &refused("first", 3) + &refused("first", 3),
        event("send_requested", 1, 2, &asks("first")),
    ];
    let replay = replay_of(folder.path(), "", &text.concat());
    replay.run();
    let outputs = replay.outputs();
    let requests = |name| -> Vec<String> {
        let told = records(&outputs, name);
        told.iter().map(|record| record["request_id"].as_str().expect("a request").to_owned()).collect()
    };
    assert_eq!(requests("outcomes"), ["never", "late", "first"]);
    assert_eq!(requests("verdicts"), ["late", "first"], "each ask is answered, and once");
}

#[test]
fn asks_beyond_those_of_a_second_are_told_so_and_nobody_need_act_on_a_verdict() {
    let folder = tempfile::tempdir().expect("a folder");
    let replay = asks_in_a_row(folder.path());
    replay.run();
    let verdicts = records(&replay.outputs(), "verdicts");
    let said: Vec<_> = verdicts
        .iter()
        .map(|verdict| (verdict["verdict"].as_str().expect("an answer"), verdict["reason"].as_str().expect("a reason")))
        .collect();
    let (open, throttled) = (("allowed", "service_window_open"), ("unknown", "throttled"));
    // Another number has asks of its own, and the next second begins anew.
    let elsewhere = ("blocked", "service_window_never_opened");
    assert_eq!(said, [open, open, elsewhere, throttled, throttled, open, open, throttled]);
    assert!(verdicts.iter().all(|verdict| verdict["enforced"] == Value::Bool(false)));
}

#[cfg(feature = "rocksdb")]
mod gone_on_with {
    use super::*;
    use std::process::Stdio;
    use std::thread;
    use std::time::{Duration, Instant};

    /// Runs a replay with a state in steps of so many records, to the end. Returns the last summary, and how
    /// many runs it took.
    fn in_steps(replay: &Replay, step: u64) -> (Value, u64) {
        let stopping = replay.with("--stop-after", &step.to_string());
        let (mut before, mut runs) = (0, 0);
        loop {
            let summary = stopping.run();
            let records = summary["records"].as_u64().expect("a number");
            runs += 1;
            if records - before < step {
                return (summary, runs);
            }
            assert_eq!(records, before + step, "a step is as long as was asked for");
            before = records;
        }
    }

    /// A run in steps is the single run, in both formats; and a run after the end changes nothing.
    fn steps_do_not_show(single: &Replay, step: u64, at_least: u64) {
        let summary = single.run();
        let expected = single.outputs();
        assert_full(&expected);
        for format in ["ndjson", "avro"] {
            let replay = Replay { format, ..single.beside(&format!("steps-{format}"), true) };
            let (stepped, runs) = in_steps(&replay, step);
            assert!(runs >= at_least, "{runs} runs");
            assert_eq!(stepped, summary, "the counts of all steps together, {format}");
            assert_same(&expected, &replay.outputs(), &format!("steps of {step}, {format}"));
            assert_eq!(replay.run(), summary, "there is nothing left to do");
            assert_same(&expected, &replay.outputs(), &format!("a run after the end, {format}"));
        }
    }

    #[test]
    fn the_example_day_one_record_at_a_time_is_the_day() {
        let folder = tempfile::tempdir().expect("a folder");
        let day = Replay::of_the_example_day(folder.path().join("single"));
        steps_do_not_show(&day, 1, 41);
    }

    #[test]
    fn seven_records_at_a_time_from_two_files_are_the_stream() {
        let stream = Stream::new(210, 12).with_broken_lines();
        let files = stream.write_two(5);
        // The second file does not say when its records arrived, so the greatest time it has had stands for
        // it, which a run that goes on must know of the lines before.
        let text = std::fs::read_to_string(stream.path("odd.ndjson")).expect("a stream");
        let without = |line: &str| {
            let mut value: Value = serde_json::from_str(line).ok()?;
            value.as_object_mut()?.remove("received_at")?;
            Some(value.to_string())
        };
        let lines: Vec<String> = text.lines().map(|line| without(line).unwrap_or_else(|| line.to_owned())).collect();
        stream.write("odd.ndjson", &lines);
        steps_do_not_show(&stream.replay(files, "single"), 7, 30);
    }

    #[test]
    fn a_thousand_records_at_a_time_are_the_stream() {
        let stream = Stream::new(12_000, 13).with_broken_lines();
        let files = stream.write_two(30);
        steps_do_not_show(&stream.replay(files, "single"), 1_000, 12);
    }

    #[test]
    fn a_day_can_be_added_to_the_days_before() {
        let stream = Stream::new(6_000, 14).with_broken_lines();
        let single = stream.replay(vec![stream.write("all.ndjson", &stream.lines)], "single");
        single.run();
        // Windows of the first part are open when it ends; the second part finds them in the state.
        let (first, second) = stream.lines.split_at(3_000);
        let first = stream.replay(vec![stream.write("first.ndjson", first)], "days").beside("days", true);
        let second = Replay { files: vec![stream.write("second.ndjson", second)], ..first.clone() };
        first.run();
        second.run();
        let whole = |replay: &Replay| without_places(&replay.outputs());
        assert_same(&whole(&single), &whole(&second), "two days one after the other");
    }

    #[test]
    fn the_asks_of_a_second_are_counted_by_all_runs_together() {
        let folder = tempfile::tempdir().expect("a folder");
        let single = asks_in_a_row(folder.path());
        let summary = single.run();
        let stepped = single.beside("steps", true);
        assert_eq!(in_steps(&stepped, 1), (summary, 10));
        assert_same(&single.outputs(), &stepped.outputs(), "one ask at a time");
    }

    /// A sequence that is the same in every run of the tests, and without a pattern (splitmix64).
    struct Random(u64);

    impl Random {
        /// A number from zero on, below one.
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            f64::from((mixed >> 33) as u32) / f64::from(1_u32 << 31)
        }
    }

    #[expect(clippy::disallowed_methods, reason = "how long a run takes decides when it can be killed")]
    fn measured<T>(run: impl FnOnce() -> T) -> (T, Duration) {
        let start = Instant::now();
        let result = run();
        (result, start.elapsed())
    }

    /// Starts a replay and kills it after a while. Whether it was still running.
    fn killed_after(replay: &Replay, delay: Duration) -> bool {
        let mut command = replay.command();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs");
        thread::sleep(delay);
        child.kill().expect("it can be killed");
        let status = child.wait().expect("it has ended");
        // A process that came to its end by itself has an exit code, and it is that of success.
        assert!(status.code().is_none_or(|code| code == 0), "it did not fail by itself");
        status.code().is_none()
    }

    /// How long each output is; nothing where it was not made yet.
    fn lengths(replay: &Replay) -> Vec<u64> {
        let entries = std::fs::read_dir(&replay.out).into_iter().flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        files.iter().map(|path| path.metadata().expect("a file").len()).collect()
    }

    fn stream_to_kill() -> (Stream, Replay) {
        let stream = Stream::new(24_000, 15).with_broken_lines();
        let files = stream.write_two(30);
        // Some ten commits in the run, far enough apart that outputs grow between them.
        let replay = stream.replay(files, "single").with("--commit-every", "2500");
        (stream, replay)
    }

    #[test]
    fn a_run_killed_at_any_moment_goes_on_as_if_it_had_not_been() {
        const KILLS: u32 = 20;
        let (_stream, replay) = stream_to_kill();
        let single = replay.beside("single", true);
        let (summary, mut length) = measured(|| single.run());
        let expected = single.outputs();
        assert_full(&expected);
        let mut random = Random(2026);
        let (mut kills, mut attempts) = (0, 0);
        let (mut behind_a_commit, mut with_a_tail) = (0, 0);
        while kills < KILLS {
            attempts += 1;
            assert!(attempts <= 3 * KILLS, "only {kills} of {attempts} kills found a run to kill");
            let format = if attempts % 2 == 0 { "avro" } else { "ndjson" };
            let killed = Replay { format, ..replay.beside(&format!("killed-{attempts}"), true) };
            let delay = length.mul_f64(random.next());
            if !killed_after(&killed, delay) {
                // The machine is less busy than when the length was measured.
                length = delay;
                continue;
            }
            kills += 1;
            let left = lengths(&killed);
            // A single record tells how many had been committed, and cuts off what had not been.
            let one_more = killed.with("--stop-after", "1").run();
            let committed = one_more["records"].as_u64().expect("a number") - 1;
            behind_a_commit += u32::from(committed > 0);
            let cut = lengths(&killed);
            with_a_tail += u32::from(left.iter().zip(&cut).any(|(left, cut)| left > cut));
            assert_eq!(killed.run(), summary, "kill {kills}: the counts are those of a single run");
            assert_same(&expected, &killed.outputs(), &format!("kill {kills}, after {committed} records, {format}"));
            std::fs::remove_dir_all(&killed.out).expect("removed");
        }
        // Kills before the first commit prove less than those behind one, and those most that find outputs
        // with more in them than was committed.
        assert!(behind_a_commit >= KILLS / 4, "{behind_a_commit} kills came behind a commit");
        assert!(with_a_tail >= KILLS / 4, "{with_a_tail} kills left outputs to cut");
    }

    #[test]
    fn a_run_killed_again_and_again_comes_to_the_same_end() {
        let (_stream, replay) = stream_to_kill();
        let single = replay.beside("single", true);
        let (summary, length) = measured(|| single.run());
        let killed = replay.beside("killed", true);
        let mut random = Random(1121);
        let mut kills = 0;
        // What one run has committed the next need not repeat, so it ends at last even where all are killed.
        while kills < 12 && killed_after(&killed, length.mul_f64(0.1 + random.next() / 3.0)) {
            kills += 1;
        }
        assert!(kills >= 2, "{kills} kills");
        assert_eq!(killed.run(), summary);
        assert_same(&single.outputs(), &killed.outputs(), "a run killed again and again");
    }

    #[test]
    fn a_state_is_gone_on_with_only_as_it_was_begun() {
        let stream = Stream::new(900, 16).with_broken_lines();
        let files = vec![stream.write("load.ndjson", &stream.lines)];
        let single = stream.replay(files, "single");
        single.run();
        let config = |name: &str, from: &str, to: &str| {
            let text = std::fs::read_to_string(repository("examples/demo.toml")).expect("a configuration");
            let text = text.replace("rate-cards/", &repository("examples/rate-cards/"));
            std::fs::write(stream.path(name), text.replace(from, to)).expect("written");
            PathBuf::from(name)
        };
        let mut begun = single.beside("steps", true);
        begun.config = config("as-begun.toml", "", "");
        let summary = begun.with("--stop-after", "300").run();
        assert_eq!(summary["records"], 300);
        let left = begun.outputs();

        let settings = "settings, rate cards, accounts or templates are not those the state was made with";
        let renamed = Replay { config: config("renamed.toml", "\"demo\"", "\"other\""), ..begun.clone() };
        renamed.is_refused(&["--state: ", settings, "replay into a new --state directory"]);
        let rekeyed = Replay { config: config("rekeyed.toml", "sample key", "other key"), ..begun.clone() };
        rekeyed.is_refused(&["--state: ", settings]);
        let card = std::fs::read_to_string(repository("examples/rate-cards/sample-inr-2026-10-01.csv"));
        let eur = stream.path("eur.csv");
        std::fs::write(&eur, card.expect("a card").replace("INR", "EUR")).expect("written");
        begun.with("--rate-card", &eur.display().to_string()).is_refused(&["--state: ", settings]);
        begun.with("--assume-zone", "America/Sao_Paulo").is_refused(&["--state: ", settings]);
        Replay { accounts: Vec::new(), ..begun.clone() }.is_refused(&["--state: ", settings]);

        let elsewhere = Replay { out: stream.path("elsewhere"), ..begun.clone() };
        let former = format!("--out: the former run was made with --out {} --format ndjson", begun.out.display());
        elsewhere.is_refused(&[&former, "go on the same way"]);
        assert!(!elsewhere.out.exists(), "what is refused makes nothing");
        Replay { format: "avro", ..begun.clone() }.is_refused(&[&former]);
        let added = stream.write("added.ndjson", &stream.lines[..1]);
        let with_another = Replay { files: vec!["load.ndjson".into(), added.clone()], ..begun.clone() };
        with_another.is_refused(&["added.ndjson: it is new, and the former run has not finished its own files"]);
        Replay { files: vec![added], ..begun.clone() }
            .is_refused(&["load.ndjson: the former run stopped in the middle of it; give it again"]);

        // A file that has grown, and one of the same length with another byte in it.
        let changed = "load.ndjson: it is not the file the former run read: its size or its beginning has changed";
        let text = std::fs::read(stream.path("load.ndjson")).expect("a stream");
        let mut grown = text.clone();
        grown.extend_from_slice(b"{}\n");
        std::fs::write(stream.path("load.ndjson"), grown).expect("written");
        begun.is_refused(&[changed]);
        let mut other = text.clone();
        other[20] ^= 1;
        std::fs::write(stream.path("load.ndjson"), other).expect("written");
        begun.is_refused(&[changed]);
        std::fs::write(stream.path("load.ndjson"), text).expect("written");

        // All that is wrong is told together.
        let all_wrong = Replay { config: renamed.config, ..elsewhere };
        all_wrong.is_refused(&[settings, &former]);
        // None of the refusals has left a mark, and the run can still be gone on with.
        assert_same(&left, &begun.outputs(), "what was there before the refusals");
        begun.run();
        assert_same(&single.outputs(), &begun.outputs(), "a run gone on with after refusals");
    }

    #[test]
    fn an_output_that_somebody_cut_is_not_gone_on_with() {
        let stream = Stream::new(600, 17);
        let replay = stream.replay(vec!["load.ndjson".into()], "cut").beside("cut", true);
        replay.with("--stop-after", "500").run();
        let path = replay.out.join("windows.ndjson");
        let whole = std::fs::read(&path).expect("an output");
        std::fs::write(&path, &whole[..whole.len() - 1]).expect("written");
        let ended = replay.end(None);
        assert_eq!(ended.code, Some(1));
        assert!(ended.errors.contains("windows.ndjson: it is shorter than the former run left it"), "{}", ended.errors);
        std::fs::write(&path, &whole).expect("written");
        replay.run();
    }

    #[test]
    fn standard_input_cannot_be_gone_on_with() {
        let stream = Stream::new(50, 18);
        let replay = stream.replay(vec!["-".into()], "out").beside("out", true);
        replay.is_refused(&["-: standard input cannot be read twice; with --state give files"]);
        assert!(!replay.out.exists() && !replay.state.expect("a state").exists(), "nothing was made");
    }
}

#[test]
fn a_malformed_line_is_a_letter_and_the_run_goes_on() {
    let stream = Stream::new(400, 19);
    let clean = stream.replay(vec!["load.ndjson".into()], "clean");
    let without = clean.run();
    let mut lines = stream.lines.clone();
    // Broken in a way of its own each, at lines that are known. The fourth is an ask of which number and
    // id can be read, and an ask is answered even when it cannot be understood.
    let broken = [
        (10, r#"{"object":"whatsapp_business_account","entry":[{"id":"6041"#, "not_json"),
        (20, "nonsense", "not_json"),
        (30, r#"{"neither":"event","nor":"webhook"}"#, "unknown_shape"),
        (
            40,
            r#"{"kind":"send_requested","phone_number_id":"100007310000097","occurred_at":1789862399876,"send_requested":{"request_id":"req-broken"}}"#,
            "unknown_shape",
        ),
        (50, r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[7]}]}"#, "unknown_shape"),
    ];
    for (number, line, _) in broken {
        lines.insert(number - 1, line.to_owned());
    }
    let replay = stream.replay(vec![stream.write("broken.ndjson", &lines)], "broken");
    let summary = replay.run();
    let outputs = replay.outputs();
    let letters = records(&outputs, "dead-letters");
    assert_eq!(letters.len(), broken.len());
    for (letter, (number, line, code)) in letters.iter().zip(broken) {
        assert_eq!(letter["original_topic"], "broken.ndjson");
        assert_eq!(letter["original_offset"], number, "the line, from 1");
        assert_eq!(letter["error"], code, "line {number}: {}", letter["detail"]);
        assert_eq!(letter["payload_size"], line.len());
        assert!(letter["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "it says what is wrong");
    }
    let counted: u64 = summary["dead_letters"].as_object().expect("counts").values().filter_map(Value::as_u64).sum();
    assert_eq!(counted, 5, "the summary counts the letters");
    assert_eq!(summary["dead_letters"]["not_json"], 2);
    assert_eq!(summary["records"].as_u64(), without["records"].as_u64().map(|records| records + 5));
    assert_eq!(summary["events"], without["events"], "everything else was folded");
    assert_eq!(summary["bill"], without["bill"]);
    let (with, without) = (records(&outputs, "verdicts"), records(&clean.outputs(), "verdicts"));
    let answers: Vec<&Value> = with.iter().filter(|verdict| !without.contains(verdict)).collect();
    assert_eq!(with.len(), without.len() + 1);
    assert_eq!((&answers[0]["request_id"], &answers[0]["verdict"]), (&"req-broken".into(), &"unknown".into()));
}

#[test]
fn a_letter_says_how_long_a_record_is_that_it_does_not_keep() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("pointers.toml");
    let text = "[deployment]\nkey = \"tests name invented people only\"\n[dead_letters]\npayload = \"pointer\"\n";
    std::fs::write(&config, text).expect("written");
    let mut replay = Replay::of_the_example_day(folder.path().join("out"));
    replay.config = config;
    replay.run();
    let letters = records(&replay.outputs(), "dead-letters");
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["payload_size"], 58);
    assert!(letters[0].get("payload").is_none(), "only a pointer is kept");
}

#[test]
fn a_line_that_no_webhook_can_be_is_passed_over() {
    let stream = Stream::new(50, 20);
    let clean = stream.replay(vec!["load.ndjson".into()], "clean");
    clean.run();
    let mut lines = stream.lines.clone();
    let long = format!("{{\"long\":\"{}\"}}", "x".repeat(17 << 20));
    let size = long.len() + 1;
    lines.insert(24, long);
    let replay = stream.replay(vec![stream.write("long.ndjson", &lines)], "long");
    let summary = replay.run();
    assert_eq!(summary["dead_letters"]["too_long"], 1);
    let letters = records(&replay.outputs(), "dead-letters");
    assert_eq!(
        (letters[0]["original_offset"].as_u64(), letters[0]["payload_size"].as_u64()),
        (Some(25), Some(size as u64))
    );
    assert!(letters[0].get("payload").is_none(), "what is too large is not carried along");
    assert!(replay.outputs()["verdicts"] == clean.outputs()["verdicts"], "everything else was folded");
}

#[test]
fn an_output_that_cannot_be_written_ends_the_run_and_is_named() {
    for format in ["ndjson", "avro"] {
        let folder = tempfile::tempdir().expect("a directory");
        let out = folder.path().join("out");
        std::fs::create_dir(&out).expect("a directory");
        // The device that is always full.
        let verdicts = out.join(format!("verdicts.{format}"));
        std::os::unix::fs::symlink("/dev/full", &verdicts).expect("a link");
        let ended = Replay { format, ..Replay::of_the_example_day(out) }.end(None);
        assert_eq!(ended.code, Some(1), "{}", ended.errors);
        let named = ended.errors.contains(&verdicts.display().to_string());
        assert!(named && ended.errors.contains("No space left"), "{}", ended.errors);
    }
}

#[test]
fn all_mistakes_are_told_together_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let card = "\"Rates, effective October 1, 2026\",,,,,\nMarket,Currency,Marketing,Utility,Authentication,Service\n\
                Atlantis,USD,0.1,0.1,0.1,0.1\nBrazil,Euro,0.1,0.1,0.1,0.1\nIndia,USD,cheap,0.1,0.1,0.1\n";
    let card = write("card.csv", card).display().to_string();
    let config = "[deployment]\nidentity = \"shown\"\n[rules]\nas_of = \"soon\"\nlateness_horizon = \"ages\"\n\
                  [prices]\nrate_cards = [\"none.csv\"]\nassume_zone = \"Mars/Olympus\"\n";
    let config = write("wrong.toml", config);
    let wrong_fact = "{\"entity_type\": \"account\", \"entity_id\": \"1\", \"facts\": [{\"name\": \"time_zone\", \
                      \"value\": \"Mars/Olympus\", \"from\": 0, \"learned_at\": 0, \"source\": \"operator\"}]}\n";
    let accounts = write("accounts.ndjson", &format!("nonsense\n{wrong_fact}"));
    let mut replay = Replay::of_the_example_day(folder.path().join("out"));
    replay.files.push("no-such-file.ndjson".into());
    replay.files.push("nor-this-one.ndjson".into());
    replay.accounts = vec![accounts];
    replay.templates.push("no-templates.ndjson".into());
    replay.config = config;
    replay.state = cfg!(feature = "rocksdb").then(|| folder.path().join("state"));
    let replay = replay.with("--rate-card", &card).with("--memory", "lots").with("--assume-currency", "Taler");
    replay.is_refused(&[
        "no-such-file.ndjson: it cannot be read",
        "nor-this-one.ndjson: it cannot be read",
        "no-templates.ndjson: it cannot be read",
        "accounts.ndjson, line 1: ",
        "accounts.ndjson, line 2: ",
        "card.csv, line 3, column 1: `Atlantis` is no market",
        "card.csv, line 4, column 2: `Euro` is no currency",
        "card.csv, line 5, column 3: ",
        "none.csv: the rate card cannot be read",
        "`deployment.key`: outputs name people by a keyed hash, and there is no key",
        "`deployment.identity`: `shown` is none of",
        "`rules.as_of`: `soon` is no date",
        "`rules.lateness_horizon`: it is no length of time",
        "`prices.assume_zone`: `Mars/Olympus` is no time zone",
        "`prices.assume_currency`: `Taler` is no currency",
        "`state.memory`: `lots` is no size",
    ]);
    // A configuration that cannot be read at all hides none of the mistakes beside it.
    for (config, problem) in [
        (write("broken.toml", "[deployment]\nname = \n"), "broken.toml, line 2: "),
        (write("unknown.toml", "[deployment]\n\nnom = \"demo\"\n"), "unknown.toml, line 3: "),
        (folder.path().join("none.toml"), "none.toml: it cannot be read"),
    ] {
        Replay { config, ..replay.clone() }.is_refused(&[
            problem,
            "no-such-file.ndjson: it cannot be read",
            "card.csv, line 3, column 1: `Atlantis` is no market",
            "`prices.assume_currency`: `Taler` is no currency",
        ]);
    }
    assert!(!replay.out.exists(), "no outputs are made");
    assert!(replay.state.is_none_or(|state| !state.exists()), "no state is made");
}

#[test]
fn the_key_may_come_from_the_environment() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let replay = |key: Option<&str>| {
        let mut command = tollgate();
        command.arg("replay").arg(repository("examples/day/webhooks.ndjson")).arg("--out").arg(&out);
        command.envs(key.map(|key| ("TOLLGATE_DEPLOYMENT_KEY", key))).output().expect("the binary runs")
    };
    for (key, problem) in [(None, "there is no key"), (Some("short"), "the key is shorter than 16 bytes")] {
        let refused = replay(key);
        assert_eq!(refused.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&refused.stderr).contains(problem));
        assert!(!out.exists(), "nothing is written");
    }
    assert_eq!(replay(Some("tests name invented people only")).status.code(), Some(0));
    assert!(out.exists());
}

/// Outputs without what a dead letter says of where it was read: its place, and its id, which is made of it.
fn without_places(outputs: &Outputs) -> Outputs {
    let mut outputs = outputs.clone();
    let mut letters = Vec::new();
    for mut letter in records(&outputs, "dead-letters") {
        for place in ["original_topic", "original_offset"] {
            letter[place] = Value::Null;
        }
        letter["envelope"]["id"] = Value::Null;
        letters.extend(letter.to_string().into_bytes());
        letters.push(b'\n');
    }
    outputs.insert("dead-letters", letters);
    outputs
}

#[test]
fn files_merged_by_arrival_are_the_file_they_were_split_from() {
    let stream = Stream::new(3_000, 21);
    let single = stream.replay(vec!["load.ndjson".into()], "single");
    let summary = single.run();
    let expected = single.outputs();
    for turn in [1, 7, 250] {
        let mut files = stream.write_two(turn);
        for order in ["in order", "in the other order"] {
            let merged = Replay { files: files.clone(), ..single.beside("merged", false) };
            assert_eq!(merged.run(), summary);
            assert_same(&expected, &merged.outputs(), &format!("turns of {turn}, {order}"));
            files.reverse();
        }
    }
}

#[test]
fn between_records_of_one_instant_the_order_of_the_files_decides() {
    let folder = tempfile::tempdir().expect("a folder");
    let ask = |request: &str| {
        format!(
            "{{\"kind\":\"send_requested\",\"phone_number_id\":\"731840265519304\",\"occurred_at\":1791288000000,\
             \"received_at\":1791288000000,\"contact\":{{\"wa_id\":\"5511955501234\"}},\"send_requested\":\
             {{\"request_id\":\"{request}\",\"content\":{{\"kind\":\"freeform\",\"message_type\":\"text\"}}}}}}\n"
        )
    };
    let mut replay = Replay::of_the_example_day(folder.path().join("out"));
    let paths = ["one", "two"].map(|name| {
        let path = folder.path().join(name);
        std::fs::write(&path, ask(name)).expect("written");
        path
    });
    for (files, expected) in [([0, 1], ["one", "two"]), ([1, 0], ["two", "one"])] {
        replay.files = files.map(|file| paths[file].clone()).to_vec();
        replay.run();
        let verdicts = records(&replay.outputs(), "verdicts");
        let order: Vec<&str> = verdicts.iter().filter_map(|verdict| verdict["request_id"].as_str()).collect();
        assert_eq!(order, expected);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

#[test]
fn it_does_not_matter_how_a_file_is_written() {
    let stream = Stream::new(2_000, 22).with_broken_lines();
    // All variants have the same name in folders of their own, because a dead letter tells the name.
    let plain = stream.lines.join("\n") + "\n";
    let run = |folder: &str, bytes: &[u8]| {
        std::fs::create_dir(stream.path(folder)).expect("made");
        std::fs::write(stream.path(folder).join("events"), bytes).expect("written");
        let mut replay = stream.replay(vec!["events".into()], &format!("{folder}-out"));
        replay.accounts = vec!["../load.accounts.ndjson".into()];
        replay.templates = vec!["../load.templates.ndjson".into()];
        replay.within = stream.path(folder);
        replay.run();
        replay.outputs()
    };
    let expected = run("plain", plain.as_bytes());
    assert_full(&expected);
    assert_same(&expected, &run("without-last-end", plain.trim_end().as_bytes()), "no end of line at the end");
    // Files of some hours are often joined as they are; the members go on in the middle of a line here.
    let (start, rest) = plain.as_bytes().split_at(plain.len() / 3);
    assert_same(&expected, &run("gzip", &gzip(plain.as_bytes())), "gzip");
    assert_same(&expected, &run("gzips", &[gzip(start), gzip(rest)].concat()), "two members of gzip");
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).expect("compressed");
    assert_same(&expected, &run("zstd", &zstd(plain.as_bytes())), "zstd");
    assert_same(&expected, &run("zstds", &[zstd(start), zstd(rest)].concat()), "two frames of zstd");
    // Windows ends lines in its own way; a broken record's size is without the end.
    assert_same(&expected, &run("crlf", plain.replace('\n', "\r\n").as_bytes()), "CR and LF");
    // Printed over several lines the records begin at other lines than before, which only dead letters tell.
    let pretty = |line: &str| {
        let value: Result<Value, _> = serde_json::from_str(line);
        value.map_or_else(|_| line.to_owned(), |value| serde_json::to_string_pretty(&value).expect("JSON"))
    };
    let is_event = |line: &&str| line.starts_with("{\"event_id\"");
    // A record's bytes are in its letter, so those that are JSON and no record cannot be printed anew.
    let kept = |line: &&str| is_event(line) || serde_json::from_str::<Value>(line).is_err();
    let lines: Vec<&str> = plain.lines().filter(kept).collect();
    let printed: Vec<String> = lines.iter().map(|line| pretty(line)).collect();
    assert_same(
        &without_places(&run("lines", lines.join("\n").as_bytes())),
        &without_places(&run("pretty", printed.join("\n").as_bytes())),
        "pretty-printed",
    );
    let whole: Vec<&str> = plain.lines().filter(is_event).collect();
    let values: Vec<Value> = whole.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let array = serde_json::to_string_pretty(&values).expect("JSON");
    let expected = run("whole", whole.join("\n").as_bytes());
    assert_same(&expected, &run("array", array.as_bytes()), "one array, pretty-printed");
}

#[test]
fn standard_input_is_a_file_like_any_other() {
    let stream = Stream::new(2_000, 23).with_broken_lines();
    let plain = stream.lines.join("\n");
    let file = stream.replay(vec![stream.write("events", [&plain])], "file");
    file.run();
    let expected = without_places(&file.outputs());
    for (name, bytes) in [("plain", plain.clone().into_bytes()), ("gzip", gzip(plain.as_bytes()))] {
        let path: &Path = &stream.path("input");
        std::fs::write(path, bytes).expect("written");
        let replay = stream.replay(vec!["-".into()], name);
        let ended = replay.end(Some(path));
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        let outputs = replay.outputs();
        assert!(records(&outputs, "dead-letters").iter().all(|letter| letter["original_topic"] == "-"));
        assert_same(&expected, &without_places(&outputs), &format!("standard input, {name}"));
    }
}

#[test]
fn a_container_of_events_is_the_stream_as_lines() {
    let stream = Stream::new(2_000, 24);
    let made = tollgate()
        .args(["loadgen", "--numbers", "3", "--contacts", "400", "--events", "2000", "--seed", "24", "--out"])
        .arg(stream.path("load.avro"))
        .output()
        .expect("the binary runs");
    assert!(made.status.success());
    let lines = stream.replay(vec!["load.ndjson".into()], "lines");
    let mut container = stream.replay(vec!["load.avro".into()], "container");
    container.accounts = vec!["load.accounts.avro".into()];
    container.templates = vec!["load.templates.avro".into()];
    assert_eq!(container.run(), lines.run());
    assert_same(&lines.outputs(), &container.outputs(), "a container");
}
