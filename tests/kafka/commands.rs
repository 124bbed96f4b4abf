//! What operators' commands do with topics: dead letters go back, a person is forgotten, the ledger is reconciled, and
//! what has happened is explained.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tollgate::codec::{frame, partitioner, records, schema};
use tollgate::domain::time::Timestamp;
use tollgate::stream::Topic;
use tollgate::zones::instant;

use crate::cluster::{Deployment, Plan, Process, shared_broker, tollgate, wall};
use crate::operator::Admin;
use crate::produce::{Loader, ask, messages};
use crate::reading::{Isolation, scan, scan_from};
use crate::registry_server::RegistryServer;

const NUMBER: &str = "731840265519304";
const ACCOUNT: &str = "604118273950462";
const PORTFOLIO: &str = "2329417887457253";
const PERSON: &str = "5511955501234";
/// 2026-10-06 12:00 UTC.
const NOON: i64 = 1_791_288_000_000;
const DAY: i64 = 86_400_000;
const HALF_HOUR: i64 = 1_800_000;

const LIMIT: Duration = Duration::from_mins(2);

/// What a command said, and its exit code.
struct Told {
    code: Option<i32>,
    out: String,
    errors: String,
}

impl Told {
    /// That it ended so, having said this.
    #[track_caller]
    fn is(&self, code: i32, lines: &[&str]) {
        let said = [self.out.as_str(), self.errors.as_str()].concat();
        assert_eq!(self.code, Some(code), "{said}");
        for line in lines {
            assert!(said.contains(line), "`{line}` in:\n{said}");
        }
        assert!(!said.contains("5511955501234"), "nobody is named");
    }
}

/// Runs a command with a configuration.
fn run_with(config: &Path, command: &str, arguments: &[&str]) -> Told {
    let mut process = tollgate(config);
    process.env("TOLLGATE_LOG", "warn").arg(command).args(arguments).arg("--config").arg(config);
    let output = process.output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Told { code: output.status.code(), out: text(output.stdout), errors: text(output.stderr) }
}

/// Runs a command on the topics of a deployment.
fn run(deployment: &Deployment, command: &str, arguments: &[&str]) -> Told {
    run_with(&deployment.config_file("operator"), command, &[arguments, &["--kafka"]].concat())
}

/// All records of a topic that are committed: partition, key and value.
fn held(deployment: &Deployment, topic: Topic) -> Vec<(u32, Vec<u8>, Vec<u8>)> {
    let (all, mut found) = (0..deployment.plan.partitions, Vec::new());
    scan(deployment.bootstrap(), &deployment.topic(topic), all, Isolation::Committed, |read| {
        found.push((read.partition, read.key.unwrap_or_default().to_vec(), read.value.unwrap_or_default().to_vec()));
    });
    found
}

/// The same as JSON.
fn told(deployment: &Deployment, topic: Topic) -> Vec<Value> {
    let records = held(deployment, topic).into_iter().filter(|(.., value)| !value.is_empty());
    records.map(|(.., value)| serde_json::from_slice(&value).expect("JSON")).collect()
}

/// Two fields of every record of a topic, in order.
fn lines(deployment: &Deployment, topic: Topic, field: &str, of: &str) -> Vec<(String, String)> {
    let text = |record: &Value, field: &str| record[field].as_str().unwrap_or_default().to_owned();
    let mut lines: Vec<_> =
        told(deployment, topic).iter().map(|record| (text(record, field), text(record, of))).collect();
    lines.sort();
    lines
}

fn drained(deployment: &Deployment) {
    let mut processes = [deployment.start("a")];
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(Process::terminate);
}

fn send(loader: &mut Loader, event: &Value) {
    let text = event.to_string();
    loader.event(&frame::from_json(text.as_bytes()).expect("an event"));
}

/// A marketing template to Brazil, delivered at noon and heard of so much later.
fn delivery(message: &str, later: i64) -> Value {
    json!({
        "kind": "status", "phone_number_id": NUMBER, "account_id": ACCOUNT, "occurred_at": NOON,
        "received_at": NOON + later, "contact": {"wa_id": PERSON},
        "status": {"message_id": message, "status": "delivered",
            "pricing": {"pricing_model": "PMP", "type": "regular", "category": "marketing"}},
    })
}

/// What is known of the account, so that its messages have prices.
fn account() -> Value {
    let fact = |(name, value): (&str, &str)| json!({"name": name, "value": value, "from": NOON - 400 * DAY, "learned_at": NOON - 400 * DAY});
    let facts = [("portfolio", PORTFOLIO), ("time_zone", "America/Sao_Paulo"), ("currency", "USD")].map(fact);
    json!({"entity_type": "account", "entity_id": ACCOUNT, "facts": facts})
}

fn know_account(deployment: &Deployment, loader: &mut Loader) {
    let text = account().to_string();
    let account: records::Account<'_> = frame::from_json(text.as_bytes()).expect("an account");
    loader.account(&deployment.topic(Topic::Accounts), &account);
}

#[test]
fn what_came_too_late_goes_back_by_command_and_is_billed_once_however_often() {
    let broker = shared_broker();
    for (name, json, pointers) in [("redriven", false, false), ("redriven-json", true, false), ("pointed", false, true)]
    {
        let plan = Plan { name, partitions: 2, json, pointers, ..Plan::default() };
        let deployment = Deployment::create(&broker, plan);
        let mut loader = Loader::of(&deployment);
        know_account(&deployment, &mut loader);
        send(&mut loader, &delivery("wamid.TIMELY", 0));
        send(&mut loader, &delivery("wamid.LATE", 9 * DAY));
        // Somebody has a partitioner of their own, and somebody writes what is no event.
        let home = partitioner::partition(NUMBER.as_bytes(), 2);
        let astray = ask(NUMBER, PERSON, "astray", NOON + 9 * DAY);
        loader.raw(1 - home, NUMBER.as_bytes(), &serde_json::to_vec(&astray).expect("JSON"));
        loader.raw(home, NUMBER.as_bytes(), b"{\"kind\":7}");
        loader.finish();
        drained(&deployment);
        let once = ["wamid.LATE", "wamid.TIMELY"].map(|id| (id.to_owned(), "CHARGE".to_owned()));
        let (bill, topic) = (|| bill(&deployment), deployment.topic(Topic::Input(0)));
        assert_eq!(bill(), once[1..], "{name}");

        let there = || {
            let home = |record: &&(u32, Vec<u8>, Vec<u8>)| record.0 == home && record.1 == NUMBER.as_bytes();
            let inputs = held(&deployment, Topic::Input(0));
            (inputs.iter().filter(home).count(), inputs.len())
        };
        assert_eq!(there(), (3, 4), "{name}");
        run(&deployment, "redrive", &[]).is(
            1,
            &[
                "1 with `too_late` go back",
                "1 with `wrong_partition` go back",
                "1 cannot go back",
                &format!("{topic}, partition {home}, offset 2: it would be a letter again"),
                &format!("Nothing is written yet: --yes writes to `{topic}`."),
            ],
        );
        assert_eq!(there(), (3, 4), "{name}: a plan is no deed");

        run(&deployment, "redrive", &["--yes", "--error", "too_late"]).is(
            0,
            &["1 with `too_late` go back", "2 were not asked for", &format!("1 records were written to `{topic}`.")],
        );
        drained(&deployment);
        assert_eq!(bill(), once, "{name}");

        // Whoever does it again bills nobody again, and makes no letters either.
        run(&deployment, "redrive", &["--yes"]).is(1, &[&format!("2 records were written to `{topic}`.")]);
        drained(&deployment);
        assert_eq!(bill(), once, "{name}");
        assert_eq!(held(&deployment, Topic::DeadLetters).len(), 3, "{name}");
        assert_eq!(there(), (6, 7), "{name}: all that went back is in the partition of its number, which is its key");

        if pointers {
            // What is gone from the log by now is said to be.
            Admin::of(&deployment).delete_before(&topic, home, 2);
            run(&deployment, "redrive", &["--yes", "--error", "too_late"]).is(
                1,
                &["No letter goes back.", "1 cannot go back", "retention has removed the record that it is about"],
            );
        }
    }
}

/// Message and kind of every line of the ledger, whatever it is written as.
fn bill(deployment: &Deployment) -> Vec<(String, String)> {
    let writers = frame::Writers::of(schema::BILLING_ENTRY).expect("a schema of ours");
    let mut lines: Vec<_> = held(deployment, Topic::Billing)
        .iter()
        .map(|(.., value)| {
            let line: records::BillingEntry<'_> = writers.read(value).expect("a line");
            (line.message_id.map_or_else(String::new, |id| id.as_str().to_owned()), line.entry_type.as_str().to_owned())
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_person_is_forgotten_by_command_and_named_nowhere() {
    let broker = shared_broker();
    let deployment =
        Deployment::create(&broker, Plan { name: "forgotten", partitions: 2, json: true, ..Plan::default() });
    let mut loader = Loader::of(&deployment);
    messages(NUMBER, 0..2, NOON, |event| loader.event(event));
    // As the loader names its people.
    let (person, other) = ("5511000000000", "5511000000001");
    loader.event(&ask(NUMBER, person, "before", NOON + 1_000));
    loader.finish();
    drained(&deployment);
    let table = |deployment: &Deployment| {
        let mut rows = std::collections::BTreeMap::new();
        for (_, key, value) in held(deployment, Topic::WindowState) {
            rows.insert(key, !value.is_empty());
        }
        rows.into_values().collect::<Vec<_>>()
    };
    assert_eq!(table(&deployment), [true, true], "two people have a window");

    let names = deployment.state("a").with_file_name("names.txt");
    std::fs::write(&names, format!("+{person}\n")).expect("written");
    let at = instant(Timestamp::from_millis(NOON + 2_000).expect("an instant"));
    let names = names.display().to_string();
    let (topic, home) = (deployment.topic(Topic::Input(0)), partitioner::partition(NUMBER.as_bytes(), 2));
    // Whoever is not sure whether it was done does it again.
    for _ in 0..2 {
        let ended = run(&deployment, "erase", &["--number", NUMBER, "--names", &names, "--at", &at]);
        ended.is(0, &[&format!("The event is in `{topic}`, partition {home}.")]);
        assert!(![ended.out, ended.errors].concat().contains(person), "the command names nobody");
    }
    let is_there = |record: &&(u32, Vec<u8>, Vec<u8>)| {
        String::from_utf8_lossy(&record.2).contains("contact_erased")
            && (record.0, record.1.as_slice()) == (home, NUMBER.as_bytes())
    };
    assert_eq!(held(&deployment, Topic::Input(0)).iter().filter(is_there).count(), 2, "with the number as key");
    for (who, request) in [(person, "after"), (other, "stays")] {
        loader.event(&ask(NUMBER, who, request, NOON + 3_000));
    }
    loader.finish();
    drained(&deployment);
    let answer = |request: &str, verdict: &str| (request.to_owned(), verdict.to_owned());
    assert_eq!(
        lines(&deployment, Topic::Verdicts, "request_id", "verdict"),
        [answer("after", "blocked"), answer("before", "allowed"), answer("stays", "allowed")]
    );
    let mut left = table(&deployment);
    left.sort_unstable();
    assert_eq!(left, [false, true], "the table of windows has forgotten one");

    let wrong = run(&deployment, "erase", &["--number", NUMBER, "--names", &names, "--at", "today", "--out", "x"]);
    wrong.is(2, &["--at: `today` is no instant", "--kafka: the event goes to a file by --out"]);
}

/// The platform's answer about half an hour in which it counted so many messages.
fn analytics(folder: &Path, start: i64, messages: u32) -> PathBuf {
    let point = json!({"start": start / 1000, "end": start / 1000 + 1800, "phone_number": "12025550117",
        "country": "BR", "pricing_category": "MARKETING", "pricing_type": "REGULAR", "tier": "0:MAX",
        "volume": messages, "cost": 0.0625 * f64::from(messages)});
    let answer = json!({"pricing_analytics": {"data": [{"data_points": [point]}]}, "id": ACCOUNT});
    let path = folder.join(format!("analytics-{messages}.json"));
    std::fs::write(&path, answer.to_string()).expect("written");
    path
}

#[test]
fn the_ledger_is_reconciled_where_it_is_and_what_it_lacks_is_posted_once() {
    let broker = shared_broker();
    let registry = RegistryServer::start();
    let plan = Plan { name: "reconciled", partitions: 2, registry: Some(registry.url()), ..Plan::default() };
    let deployment = Deployment::create(&broker, plan);
    let mut loader = Loader::of(&deployment);
    know_account(&deployment, &mut loader);
    for message in 0..3 {
        send(&mut loader, &delivery(&format!("wamid.{message}"), 0));
    }
    send(&mut loader, &delivery("wamid.LATE", 9 * DAY));
    loader.finish();
    drained(&deployment);

    let folder = tempfile::tempdir().expect("a folder");
    let reconcile = |messages: u32, more: &[&str]| {
        let analytics = analytics(folder.path(), NOON, messages).display().to_string();
        run(&deployment, "reconcile", &[&["--analytics", &analytics], more].concat())
    };
    reconcile(3, &["--post"]).is(0, &["No difference.", "0 ADJUSTMENT lines are in"]);
    let before = held(&deployment, Topic::Billing);
    assert_eq!(before.len(), 3);

    // The platform has counted two more, one of which waits among the dead letters.
    let topic = deployment.topic(Topic::Billing);
    let posted = reconcile(5, &["--post", "--reference", "october"]);
    posted.is(1, &["missing_webhook (1 too late)", "Came too late", &format!("1 ADJUSTMENT lines are in `{topic}`")]);
    let known = reconcile(5, &["--post", "--reference", "october"]);
    known.is(0, &["No difference.", "0 ADJUSTMENT lines are in"]);
    // Other figures under the same name would be other lines of the same id.
    let again = reconcile(6, &["--post", "--reference", "october"]);
    again.is(1, &["1 ADJUSTMENT lines of this reference are in the ledger already", "0 ADJUSTMENT lines are in"]);

    let after = held(&deployment, Topic::Billing);
    let new: Vec<_> = after.iter().filter(|record| !before.contains(record)).collect();
    let [(partition, key, value)] = new[..] else { panic!("one line is new: {}", new.len()) };
    assert_eq!((key.as_slice(), *partition), (PORTFOLIO.as_bytes(), partitioner::partition(PORTFOLIO.as_bytes(), 2)));
    assert_eq!(value[..5], before[0].2[..5], "it is framed as the others are, behind the registry's id");

    // What retention has removed from the ledger is no difference.
    let home = partitioner::partition(NUMBER.as_bytes(), 2);
    let mut first = None;
    scan(deployment.bootstrap(), &topic, [home], Isolation::Committed, |read| {
        first = first.or(Some(read.offset));
    });
    let from = first.expect("lines of the number") + 1;
    Admin::of(&deployment).delete_before(&topic, home, from);
    let cut = format!("topic `{topic}`, partition {home}: retention has removed the lines before offset {from}");
    reconcile(5, &[]).is(1, &[&format!("warning: {cut}")]);
    reconcile(5, &["--post"]).is(2, &[&format!("error: {cut}")]);
    // Whoever has kept the ledger gives it as a file, and still posts nothing twice.
    let mut writers = frame::Writers::default();
    let id = u32::from_be_bytes(before[0].2[1..5].try_into().expect("four bytes"));
    writers.add_registered(id, schema::BILLING_ENTRY.text).expect("a schema of ours");
    let kept: Vec<String> = before
        .iter()
        .map(|(.., value)| serde_json::to_string(&writers.read::<records::BillingEntry<'_>>(value).expect("a line")))
        .collect::<Result<_, _>>()
        .expect("JSON");
    let file = folder.path().join("billing.ndjson");
    std::fs::write(&file, kept.join("\n")).expect("written");
    reconcile(5, &["--billing", &file.display().to_string(), "--post", "--reference", "october"]).is(
        1,
        &[
            "missing_webhook",
            "1 ADJUSTMENT lines of this reference are in the ledger already",
            "0 ADJUSTMENT lines are in",
        ],
    );
    let (mut left, begins) =
        (0, (0..2).map(|partition| (partition, if partition == home { from } else { 0 })).collect());
    scan_from(deployment.bootstrap(), &topic, &begins, Isolation::Committed, |_| {
        left += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(left, after.len() - 1, "nothing was posted");
}

#[test]
fn what_the_ledger_has_lost_of_times_before_the_export_is_not_missed() {
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "kept", by_log: true, ..Plan::default() });
    let mut loader = Loader::of(&deployment);
    know_account(&deployment, &mut loader);
    let earlier = (wall() / HALF_HOUR - 4) * HALF_HOUR;
    for message in 0..3 {
        let mut event = delivery(&format!("wamid.{message}"), 0);
        event["occurred_at"] = json!(earlier);
        send(&mut loader, &event);
    }
    loader.finish();
    drained(&deployment);
    let folder = tempfile::tempdir().expect("a folder");
    let numbers = folder.path().join("numbers.json");
    std::fs::write(&numbers, json!({"data": [{"id": NUMBER, "display_phone_number": "+1 202-555-0117"}]}).to_string())
        .expect("written");
    let numbers = numbers.display().to_string();
    let reconcile = |start: i64, messages: u32| {
        let analytics = analytics(folder.path(), start, messages).display().to_string();
        run(&deployment, "reconcile", &["--analytics", &analytics, "--numbers", &numbers, "--post"])
    };
    reconcile(earlier, 3).is(0, &["No difference."]);
    let (topic, home) = (deployment.topic(Topic::Billing), partitioner::partition(NUMBER.as_bytes(), 4));
    Admin::of(&deployment).delete_before(&topic, home, 1);
    reconcile(earlier, 3).is(2, &[&format!("partition {home}: retention has removed the lines before offset 1")]);
    // No line was written as late as that; those that are gone are older still.
    reconcile(earlier + 8 * HALF_HOUR, 0).is(0, &["No difference.", "0 ADJUSTMENT lines are in"]);
}

/// Explanations as JSON, without where things were read.
fn explained(told: &Told) -> Value {
    told.is(0, &[]);
    let mut explanation: Value = serde_json::from_str(&told.out).expect("JSON");
    let contacts = explanation["contacts"].as_array_mut().expect("contacts");
    for contact in contacts {
        for event in contact["events"].as_array_mut().expect("events") {
            let _ = event.as_object_mut().expect("an event").remove("read_from");
        }
        for reason in contact["verdicts"]
            .as_array_mut()
            .expect("verdicts")
            .iter_mut()
            .flat_map(|verdict| verdict["reasons"].as_array_mut().expect("reasons"))
        {
            let before = reason.as_str().expect("text").split(" at ").next().expect("text").to_owned();
            *reason = before.into();
        }
    }
    explanation
}

#[test]
fn the_log_explains_what_a_file_of_its_events_explains_or_says_what_it_lacks() {
    let broker = shared_broker();
    let plan = Plan { name: "explained", partitions: 2, inputs: 2, json: true, by_log: true, ..Plan::default() };
    let deployment = Deployment::create(&broker, plan);
    let mut loader = Loader::of(&deployment);
    know_account(&deployment, &mut loader);
    let (number, person, now) = (NUMBER, "5511000000003", wall());
    for step in 0..20_u64 {
        messages(number, step..step + 1, now, |event| loader.event(event));
        loader.event(&ask(number, person, &format!("ask-{step}"), now + i64::try_from(step).expect("few")));
        // Both topics take it before the next, so that append times tell their order.
        loader.finish();
    }
    let home = partitioner::partition(number.as_bytes(), 2);
    let mut events = Vec::new();
    for input in 0..2 {
        scan(deployment.bootstrap(), &deployment.topic(Topic::Input(input)), [home], Isolation::Committed, |read| {
            let mut event: Value = serde_json::from_slice(read.value.expect("an event")).expect("JSON");
            event["received_at"] = json!(read.appended_at);
            events.push((read.appended_at, input, event.to_string()));
        });
    }
    events.sort_by_key(|(at, input, _)| (*at, *input));
    assert_eq!(events.len(), 40);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.ndjson");
    let lines: Vec<String> = events.iter().map(|(.., event)| event.clone()).collect();
    std::fs::write(&file, lines.join("\n")).expect("written");
    let known = folder.path().join("accounts.ndjson");
    std::fs::write(&known, account().to_string()).expect("written");
    let (file, known) = (file.display().to_string(), known.display().to_string());

    let config = deployment.config_file("operator");
    let from_file = |what: &str, more: &[&str]| {
        let arguments = [&[what, &file, "--accounts", &known, "--json", "--number", number], more].concat();
        run_with(&config, "explain", &arguments)
    };
    let middle = instant(Timestamp::from_millis(events[25].0).expect("an instant"));
    for (what, more) in [(person, &[][..]), ("ask-17", &[]), (person, &["--as-of", &middle])] {
        let from_log = run(&deployment, "explain", &[&[what, "--json", "--number", number], more].concat());
        let (mut log, file) = (explained(&from_log), explained(&from_file(what, more)));
        let lacks = log["missing"].as_array_mut().expect("what is missing").pop().expect("something is");
        assert!(lacks.as_str().is_some_and(|lacks| lacks.contains("numbers of other partitions")), "{lacks}");
        assert!(!log["contacts"].as_array().expect("contacts").is_empty(), "{log}");
        assert!(log == file, "{what} {more:?}:\n{log}\n{file}");
        let place = format!("{}/{home}:", deployment.topic(Topic::Input(0)));
        assert!(from_log.out.contains(&place) || what == "ask-17", "it is said where an event is: {}", from_log.out);
    }

    let input = deployment.topic(Topic::Input(0));
    Admin::of(&deployment).delete_before(&input, home, 5);
    let cut = run(&deployment, "explain", &[person, "--number", number]);
    cut.is(0, &[&format!("Missing: retention has removed what {input}/{home} held before offset 5")]);
    run(&deployment, "explain", &[person]).is(2, &["--number: with --kafka it says which partition to read"]);
}

#[test]
fn what_cannot_be_used_is_told_before_anything_is_written() {
    let broker = shared_broker();
    let deployment = Deployment::planned(&broker, Plan { name: "unmade", ..Plan::default() });
    let folder = tempfile::tempdir().expect("a folder");
    let names = folder.path().join("names.txt");
    std::fs::write(&names, PERSON).expect("written");
    let (names, analytics) = (names.display().to_string(), analytics(folder.path(), NOON, 1).display().to_string());
    let at = instant(Timestamp::from_millis(NOON).expect("an instant"));
    let commands: [(&str, &[&str]); 4] = [
        ("redrive", &["--yes"]),
        ("erase", &["--number", NUMBER, "--names", &names, "--at", &at]),
        ("reconcile", &["--analytics", &analytics, "--post"]),
        ("explain", &[PERSON, "--number", NUMBER]),
    ];
    let config = deployment.config_file("operator");
    let nobody = config.with_file_name("nobody.toml");
    let text = std::fs::read_to_string(&config).expect("a configuration");
    std::fs::write(&nobody, text.replace(deployment.bootstrap(), "127.0.0.1:1")).expect("written");
    for (command, arguments) in commands {
        let missing = "error: topic `unmade.events-0`: it is not there; `tollgate topics --create` makes it";
        run(&deployment, command, arguments).is(2, &[missing]);
        run_with(&nobody, command, &[arguments, &["--kafka"]].concat()).is(2, &["error: the brokers: "]);
    }
    for (command, arguments, problem) in [
        ("redrive", &["--yes", "--out", "x"][..], "--yes: nothing is written to a topic; --out names a file"),
        ("redrive", &["letters.ndjson", "--out", "x"], "--kafka: letters and --out are both files"),
        ("explain", &[PERSON, "events.ndjson", "--number", NUMBER], "--kafka: events are in files too"),
    ] {
        run(&deployment, command, arguments).is(2, &[problem]);
    }
    let from_files = run_with(&config, "reconcile", &["--analytics", &analytics, "--post"]);
    from_files
        .is(2, &["--billing: name files of lines of the ledger, or give --kafka", "--post: name the file to write"]);
}
