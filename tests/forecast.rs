//! `tollgate forecast` as people run it: what a list of messages would come to, before any is sent.
//!
//! The business is in Brazil and pays in dollars by the sample card: free text costs 0.0068 once the month's thousand
//! free deliveries are used up, marketing 0.0625.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod running;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use running::{Replay, records, repository, tollgate};
use serde_json::{Value, json};
use tempfile::TempDir;

/// 2026-10-06T12:00:00Z.
const NOON: i64 = 1_791_288_000_000;
const HOUR: i64 = 3_600_000;
const NUMBER: &str = "731840265519304";
const ACCOUNT: &str = "604118273950462";

/// The phone number of an invented person.
fn phone(person: usize) -> String {
    format!("55119{:08}", 55_500_000 + person)
}

/// Events of the example's business in a folder of their own.
struct Day {
    folder: TempDir,
    events: Vec<String>,
    config: PathBuf,
}

impl Day {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), events: Vec::new(), config: "examples/demo.toml".into() }
    }

    /// Has the deployment limits of its own.
    fn limit(&mut self, limits: &str) {
        let demo = std::fs::read_to_string(repository("examples/demo.toml")).expect("the example's configuration");
        let demo = demo.replace("rate-cards/", &repository("examples/rate-cards/"));
        self.config = self.file("limits.toml", &format!("{demo}\n[limits]\n{limits}\n"));
    }

    fn event(&mut self, at: i64, kind: &str, person: usize, section: Value) {
        let mut event = json!({
            "kind": kind, "phone_number_id": NUMBER, "account_id": ACCOUNT, "occurred_at": at, "received_at": at,
            "contact": {"wa_id": phone(person)},
        });
        event[kind] = section;
        self.events.push(event.to_string());
    }

    fn writes(&mut self, at: i64, person: usize) {
        self.event(at, "message", person, json!({"message_id": format!("wamid.IN{person}.{at}"), "type": "text"}));
    }

    /// Free text is delivered, which the platform calls free.
    fn gets_free_text(&mut self, at: i64, person: usize) {
        let pricing =
            json!({"billable": false, "pricing_model": "PMP", "type": "free_customer_service", "category": "service"});
        let id = format!("wamid.OUT{person}.{at}");
        self.event(at, "status", person, json!({"message_id": id, "status": "delivered", "pricing": pricing}));
    }

    fn asks(&mut self, at: i64, person: usize, evaluate_for: Option<i64>, content: &Value) {
        let ask = json!({"request_id": format!("ask-{person}"), "evaluate_for": evaluate_for, "content": content});
        self.event(at, "send_requested", person, ask);
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    fn list(&self, people: std::ops::Range<usize>) -> PathBuf {
        let rows = people.fold("phone\n".to_owned(), |rows, person| rows + &phone(person) + "\n");
        self.file("list.csv", &rows)
    }

    fn events(&self) -> PathBuf {
        self.file("events.ndjson", &self.events.join("\n"))
    }

    fn replay(&self, out: &str) -> Replay {
        let example = Replay::of_the_example_day(self.folder.path().join(out));
        Replay { files: vec![self.events()], config: self.config.clone(), ..example }
    }

    /// A forecast of a list: by the events unless `arguments` name a state.
    fn forecast(&self, list: &PathBuf, arguments: &[&str]) -> Told {
        let mut command = tollgate();
        command.current_dir(repository("")).arg("forecast").arg(list).args(["--number", NUMBER]);
        for (option, file) in [("--accounts", "accounts"), ("--templates", "templates")] {
            command.args([option, &format!("examples/day/{file}.ndjson")]);
        }
        if !arguments.contains(&"--state") {
            command.arg("--replay").arg(self.events());
        }
        let output = command.arg("--config").arg(&self.config).args(arguments).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Told { ok: output.status.success(), out: text(&output.stdout), errors: text(&output.stderr) }
    }

    /// Compares the totals of a forecast with what they must be, a line for each group.
    #[track_caller]
    fn check(&self, list: &PathBuf, arguments: &[&str], expected: &str) {
        let told = self.forecast(list, &[arguments, &["--json"]].concat());
        assert!(told.ok, "{}", told.errors);
        let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(told.totals(), expected);
    }
}

struct Told {
    ok: bool,
    out: String,
    errors: String,
}

impl Told {
    fn answers(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
    }

    fn totals(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for answer in self.answers() {
            for total in answer["totals"].as_array().expect("totals") {
                let mut line = format!("{}:", total["candidate"]);
                for field in ["recipients", "verdict", "reason", "market", "category"] {
                    let text = total[field].as_str().map_or_else(|| total[field].to_string(), str::to_owned);
                    write!(line, " {text}").expect("memory");
                }
                for field in ["free_reason", "unknown_reason", "amount"] {
                    write!(line, "{}", total[field].as_str().map_or_else(String::new, |text| format!(" {text}")))
                        .expect("memory");
                }
                lines.push(line);
            }
        }
        lines
    }
}

/// 1,500 people wrote at noon; 300 of the month's thousand free deliveries are used.
fn a_busy_day() -> Day {
    let mut day = Day::new();
    for person in 0..1_500 {
        day.writes(NOON, person);
    }
    for person in 0..300 {
        day.gets_free_text(NOON + HOUR, person);
    }
    day
}

#[test]
fn a_campaign_of_1500_with_700_free_left_costs_800() {
    let day = a_busy_day();
    day.check(
        &day.list(0..1_500),
        &["--freeform", "--template", "spring_sale/en"],
        "0: 1500 allowed template_approved Brazil marketing 93.75
         1: 700 allowed service_window_open Brazil service free_customer_service 0.00
         1: 800 allowed service_window_open Brazil service 5.44",
    );
    let table = day.forecast(&day.list(0..1_500), &["--freeform"]).out;
    assert!(table.contains("after 1800 records, the last of which arrived 2026-10-06T13:00:00Z"), "{table}");
    assert!(table.ends_with("To pay at list price: 5.44 USD\n"), "{table}");
}

#[test]
fn the_first_of_the_list_are_free() {
    let day = a_busy_day();
    let (list, out) = (day.list(0..1_500), day.folder.path().join("recipients.ndjson"));
    let told = day.forecast(&list, &["--freeform", "--recipients", &out.display().to_string()]);
    assert!(told.ok, "{}", told.errors);
    let text = std::fs::read_to_string(&out).expect("answers");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("an answer")).collect();
    let amounts: Vec<&str> = lines.iter().map(|line| line["amount"].as_str().expect("priced")).collect();
    assert_eq!(amounts, [["0.00"; 700].as_slice(), &["0.0068"; 800]].concat());
    assert_eq!(lines[0]["line"], 2, "the first line names the columns");
    assert_eq!(lines[1_499]["line"], 1_501);
}

#[test]
fn a_window_that_will_have_closed_by_then_is_closed() {
    let mut day = Day::new();
    day.writes(NOON, 1);
    day.writes(NOON + 2 * HOUR, 2);
    for (at, expected) in [
        ("2026-10-07T11:59:59.999Z", "0: 2 allowed service_window_open Brazil service free_customer_service 0.00"),
        (
            "2026-10-07T12:00:00Z",
            "0: 1 allowed service_window_open Brazil service free_customer_service 0.00
             0: 1 blocked service_window_closes_before_schedule Brazil service free_customer_service",
        ),
        (
            "2026-10-08T12:00:00Z",
            "0: 2 blocked service_window_closes_before_schedule Brazil service free_customer_service",
        ),
    ] {
        let list = day.list(1..3);
        day.check(&list, &["--freeform", "--at", at], expected);
    }
}

#[test]
fn nobody_knows_the_windows_of_a_number_that_was_never_heard_of() {
    let mut day = Day::new();
    day.writes(NOON, 1);
    let told = day.forecast(&day.list(1..2), &["--number", "1", "--freeform"]);
    assert!(!told.ok, "one number is asked about: {}", told.out);
    let question = json!({
        "request_id": "q", "phone_number_id": "731840265519305", "account_id": ACCOUNT, "occurred_at": NOON,
        "recipients": [{"wa_id": phone(1)}], "candidates": [{"kind": "freeform"}],
    });
    let list = day.file("questions.ndjson", &format!("{question}\n"));
    day.check(&list, &[], "0: 1 unknown stale_input Brazil service free_customer_service 0.00");
}

#[test]
fn the_lines_may_say_themselves_what_is_sent() {
    let mut day = Day::new();
    day.writes(NOON, 1);
    let (one, two, three) = (phone(1), phone(2), phone(3));
    let list = day.file(
        "list.csv",
        &format!(
            "Name;Phone;Template;Language\nAna;+{one};;\nBia;{two};spring_sale;en\nCaio;\"{} {}\";order_update;en\n",
            &three[..4],
            &three[4..]
        ),
    );
    day.check(
        &list,
        &["--freeform"],
        "0: 1 allowed template_approved Brazil marketing 0.0625
         0: 1 allowed template_approved Brazil utility 0.0068
         0: 1 allowed service_window_open Brazil service free_customer_service 0.00",
    );
    assert!(day.forecast(&list, &["--freeform"]).errors.contains("The column `Name` is not used."));
}

/// What a live ask is answered, and what a forecast says of the same message.
type Said = (String, Vec<Value>, Option<String>);

#[test]
fn a_forecast_says_what_asks_would_be_told() {
    let contents = [
        json!({"kind": "freeform"}),
        json!({"kind": "template", "template": {"name": "spring_sale", "language": "en"}}),
        json!({"kind": "template", "template": {"name": "order_update", "language": "en"}}),
        json!({"kind": "template", "template": {"name": "nobody_knows", "language": "en"}}),
    ];
    for content in contents {
        for later in [0, 5 * HOUR, 23 * HOUR, 40 * HOUR] {
            let mut day = Day::new();
            for (hours, person) in (0..).zip(0..40) {
                if person % 3 > 0 {
                    day.writes(NOON + HOUR * hours / 4, person);
                }
                if person % 7 == 2 {
                    let choice = json!({"category": "marketing_messages", "value": "stop"});
                    day.event(NOON + 10 * HOUR, "preference", person, choice);
                }
                if person % 5 == 1 {
                    let consent = json!({"scope": "all", "state": "withdrawn", "source": "web_form"});
                    day.event(NOON + 10 * HOUR, "consent", person, consent);
                }
            }
            day.events
                .sort_by_key(|event| serde_json::from_str::<Value>(event).expect("an event")["occurred_at"].as_i64());
            day.gets_free_text(NOON + 11 * HOUR, 1);
            let now = NOON + 11 * HOUR;
            let question = json!({
                "request_id": "q", "phone_number_id": NUMBER, "account_id": ACCOUNT, "occurred_at": now,
                "evaluate_for": now + later, "candidates": [content], "per_recipient": true,
                "recipients": (0..40).map(|person| json!({"wa_id": phone(person)})).collect::<Vec<_>>(),
            });
            let list = day.file("question.ndjson", &question.to_string());
            let told = day.forecast(&list, &["--json"]);
            assert!(told.ok, "{}", told.errors);
            let mut forecast: BTreeMap<String, Said> = BTreeMap::new();
            for answer in told.answers() {
                for line in answer["recipients"].as_array().expect("recipients") {
                    let text = |field: &str| line[field].as_str().map(str::to_owned);
                    let reasons = line["reasons"].as_array().expect("reasons").clone();
                    let said = (text("verdict").expect("a verdict"), reasons, text("amount"));
                    forecast.insert(text("contact_key").expect("a key"), said);
                }
            }
            for person in 0..40 {
                day.asks(now, person, Some(now + later), &content);
            }
            let replay = day.replay("out");
            replay.run();
            let verdicts = records(&replay.outputs(), "verdicts");
            assert_eq!(verdicts.len(), 40);
            for verdict in verdicts {
                let price = &verdict["price"];
                let answer = verdict["verdict"].as_str().expect("a verdict").to_owned();
                let free = price["chargeable"] == false;
                let amount = price["unit_price"].as_str().or(free.then_some("0.00")).map(str::to_owned);
                let amount = amount.filter(|_| answer != "blocked");
                let said = (answer, verdict["reasons"].as_array().expect("reasons").clone(), amount);
                let key = verdict["contact"]["key"].as_str().expect("a key");
                assert_eq!(forecast.get(key), Some(&said), "{content} {later}");
            }
        }
    }
}

#[test]
fn all_mistakes_of_a_list_are_told_with_their_lines_and_no_number() {
    let day = a_busy_day();
    let list = day.file(
        "list.csv",
        "phone,user_id,template,language,category,kind\n\
         5511955501,,,,,\n55119555012345678,,,,,\n,,sale,en,,\n,us.5511955501,,,,\n5511955501,,sale,,,\n\
         5511955501,,,,utility,\n5511955501,,,,,telepathy\n5511955501,,,,,direct_send\n5511955501,,\n",
    );
    let told = day.forecast(&list, &["--template", "sale"]);
    assert!(!told.ok);
    for (line, problem) in [
        (3, "`contact.wa_id` is no id: a phone number has 7 to 15 digits"),
        (4, "it names nobody"),
        (5, "`contact.user_id` is no id"),
        (6, "a template needs its language"),
        (7, "it has a category or a language, and neither a template nor a kind"),
        (8, "`content.kind` is none of the words it may be"),
        (9, "`content.category` is missing"),
        (10, "it has 3 columns, and the first line names 6"),
    ] {
        assert!(told.errors.contains(&format!("line {line}: {problem}")), "line {line}: {}", told.errors);
    }
    assert!(told.errors.contains("--template: write NAME/LANGUAGE"), "{}", told.errors);
    assert!(!told.errors.contains("955501"), "no error holds a phone number: {}", told.errors);
}

#[cfg(feature = "rocksdb")]
#[test]
fn a_state_is_asked_and_left_as_it_is() {
    let mut day = a_busy_day();
    let replay = Replay { state: Some(day.folder.path().join("state")), ..day.replay("out") };
    replay.run();
    let state = replay.state.clone().expect("a state").display().to_string();
    let list = day.list(0..1_500);
    let expected = "0: 700 allowed service_window_open Brazil service free_customer_service 0.00
                    0: 800 allowed service_window_open Brazil service 5.44";
    for _ in 0..2 {
        day.check(&list, &["--freeform", "--state", &state], expected);
    }
    let before = day.events();
    let more = day.forecast(&list, &["--freeform", "--state", &state, "--replay", &before.display().to_string()]);
    assert!(more.errors.contains("the state has folded it already"), "{}", more.errors);
    // What is folded on top for a question is not in the state afterwards.
    day.events.clear();
    day.writes(NOON + 2 * HOUR, 2_000);
    let later = day.file("later.ndjson", &day.events.join("\n")).display().to_string();
    let asked = day.list(2_000..2_001);
    let on_top = ["--freeform", "--state", &state, "--replay", &later];
    day.check(&asked, &on_top, "0: 1 allowed service_window_open Brazil service free_customer_service 0.00");
    day.check(
        &asked,
        &["--freeform", "--state", &state],
        "0: 1 blocked service_window_never_opened Brazil service free_customer_service",
    );
}

#[test]
fn a_budget_that_is_spent_blocks_whether_a_state_tells_of_it_or_events() {
    let mut day = Day::new();
    day.limit(r#"budgets = [{ category = "marketing", amount = "0.10", currency = "USD", over = "block" }]"#);
    let pricing = json!({"billable": true, "pricing_model": "PMP", "type": "regular", "category": "marketing"});
    let status = json!({"message_id": "wamid.OUT1", "status": "delivered", "pricing": pricing});
    day.event(NOON, "status", 1, status);
    let list = day.list(1..3);
    let expected = "0: 2 blocked budget_exceeded Brazil marketing";
    day.check(&list, &["--template", "spring_sale/en"], expected);
    if cfg!(feature = "rocksdb") {
        let replay = Replay { state: Some(day.folder.path().join("state")), ..day.replay("out") };
        replay.run();
        let state = replay.state.expect("a state").display().to_string();
        day.check(&list, &["--template", "spring_sale/en", "--state", &state], expected);
    }
}

#[test]
fn a_budget_is_used_up_in_the_order_of_the_list() {
    let mut day = a_busy_day();
    // Room for three of them at 0.0625, and the other category has a budget of its own.
    day.limit(
        r#"budgets = [{ category = "marketing", amount = "0.20", currency = "USD", over = "block" },
                      { category = "utility", amount = "0.02", low = "0.01", currency = "USD", over = "warn" }]"#,
    );
    day.check(
        &day.list(0..10),
        &["--template", "spring_sale/en", "--template", "order_update/en"],
        "0: 3 allowed template_approved Brazil marketing 0.1875
         0: 7 blocked budget_exceeded Brazil marketing
         1: 10 allowed template_approved Brazil utility 0.068",
    );
}

#[test]
fn the_messaging_limit_is_used_up_by_those_who_have_no_window_open() {
    let mut day = Day::new();
    for person in 0..5 {
        day.writes(NOON, person);
    }
    let limit = json!({
        "entity_type": "account", "entity_id": ACCOUNT,
        "facts": [{"name": "messaging_limit", "value": "3", "from": NOON, "learned_at": NOON, "source": "operator"}],
    });
    let known = day.file("limit.ndjson", &limit.to_string());
    day.check(
        &day.list(0..10),
        &["--template", "spring_sale/en", "--accounts", &known.display().to_string()],
        "0: 8 allowed template_approved Brazil marketing 0.50
         0: 2 blocked messaging_limit Brazil marketing",
    );
}
