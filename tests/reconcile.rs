//! The ledger beside exports of the platform's analytics, as tables: lines, figures, and the differences with their
//! causes.
//!
//! Columns are set apart by spaces, `-` stands for nothing, times are of 2026 in UTC. A line of the ledger is
//! `at number country category type quantity amount`, and then what else it has; a figure of the platform
//! `from to number country category type tier volume cost`; a difference
//! `from number country category type tier cause quantity amount`.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod running;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tollgate::config::Mistake;
use tollgate::domain::money::Amount;
use tollgate::reconcile::{self, Options, Ours, Reconciled};
use tollgate::replay::inputs;
use tollgate::zones::Zones;

const ACCOUNT: &str = "604118273950462";
const PORTFOLIO: &str = "500000000000001";

fn seconds(at: &str) -> i64 {
    let at: jiff::civil::DateTime = format!("2026-{at}").parse().expect("a time");
    at.to_zoned(jiff::tz::TimeZone::UTC).expect("a time").timestamp().as_second()
}

fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|row| !row.is_empty())
}

/// A field that is there unless the table has `-` for it.
fn set(object: &mut Value, field: &str, text: &str) {
    if text != "-" {
        object[field] = json!(text);
    }
}

/// Lines of `wa.billing`.
fn ledger(table: &str) -> String {
    let mut lines = String::new();
    for row in rows(table) {
        let [at, number, country, category, pricing_type, quantity, amount, more @ ..] = &row[..] else {
            panic!("a line of the ledger has seven columns: {row:?}");
        };
        let millis = seconds(at) * 1000;
        let quantity: i64 = quantity.parse().expect("a quantity");
        let mut line = json!({
            "envelope": {"id": "0", "source": "test", "type": "tollgate.billing.entry.v1", "time": millis,
                "engine_version": "0"},
            "entry_type": if amount.starts_with('-') { "REVERSAL" } else if *amount == "0" { "FREE" } else { "CHARGE" },
            "revision": 0, "account_id": ACCOUNT, "portfolio_id": PORTFOLIO, "occurred_at": millis,
            "billing_period": format!("2026-{}", &at[..2]), "time_zone": "UTC", "local_date": format!("2026-{}", &at[..5]),
            "quantity": quantity, "unit": "message", "currency": "USD", "price_source": "rate_card", "rule": "E5",
            "finality": "provisional",
        });
        for (field, text) in [
            ("phone_number_id", number),
            ("country", country),
            ("category", category),
            ("pricing_type", pricing_type),
            ("amount", amount),
        ] {
            set(&mut line, field, text);
        }
        for field in more {
            let (field, value) = field.split_once('=').expect("field=value");
            line[field] = json!(value.replace('_', " ").trim());
            if matches!(field, "free_reason" | "price_source" | "entry_type" | "unit" | "time_zone") {
                line[field] = json!(value);
            }
        }
        // A row of several messages is as many lines, each with its share.
        let lines_of = if line["entry_type"] == "CHARGE" && quantity > 1 { quantity } else { 1 };
        if lines_of > 1 {
            let whole = Amount::parse(amount).expect("an amount").millionths();
            assert_eq!(whole % lines_of, 0, "the lines of {row:?} cost the same");
            line["amount"] = json!(Amount::from_millionths(whole / lines_of).to_string());
            line["quantity"] = json!(1);
        }
        for _ in 0..lines_of {
            writeln!(lines, "{line}").expect("text");
        }
    }
    lines
}

/// The platform's answer.
fn analytics(table: &str) -> String {
    let mut points = Vec::new();
    for row in rows(table) {
        let [from, to, number, country, category, pricing_type, tier, volume, cost] = &row[..] else {
            panic!("a figure has nine columns: {row:?}");
        };
        let volume: i64 = volume.parse().expect("a volume");
        let mut point = json!({"start": seconds(from), "end": seconds(to), "volume": volume});
        for (field, text) in [
            ("phone_number", number),
            ("country", country),
            ("pricing_category", category),
            ("pricing_type", pricing_type),
            ("tier", tier),
        ] {
            set(&mut point, field, text);
        }
        // As a number whose text is the one in the table.
        let mut text = point.to_string();
        if *cost != "-" {
            text.truncate(text.len() - 1);
            write!(text, ",\"cost\":{cost}}}").expect("text");
        }
        points.push(text);
    }
    let points = points.join(",");
    format!(r#"{{"pricing_analytics": {{"data": [{{"data_points": [{points}]}}]}}, "id": "{ACCOUNT}"}}"#)
}

struct Files {
    directory: tempfile::TempDir,
    options: Options,
    billing: Vec<PathBuf>,
    dead_letters: Vec<PathBuf>,
}

impl Files {
    fn reconcile(&self) -> Result<Reconciled, Vec<Mistake>> {
        let (mut billing, mut dead_letters) = reconcile::files(&self.billing, &self.dead_letters)?;
        let mut accounts = inputs::Files::default();
        let mut ours = Ours { billing: &mut billing, dead_letters: &mut dead_letters, accounts: &mut accounts };
        reconcile::run(&self.options, &mut ours, None, &Zones::new())
    }

    fn run(&self) -> Reconciled {
        self.reconcile().expect("usable")
    }

    fn refused(&self) -> String {
        let mistakes = self.reconcile().err().expect("refused");
        mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
}

fn files(lines: &str, figures: &str) -> Files {
    let directory = tempfile::tempdir().expect("a directory");
    let (billing, export) = (directory.path().join("billing.ndjson"), directory.path().join("analytics.json"));
    std::fs::write(&billing, ledger(lines)).expect("written");
    std::fs::write(&export, analytics(figures)).expect("written");
    let options = Options { analytics: vec![export], ..Options::default() };
    Files { directory, options, billing: vec![billing], dead_letters: Vec::new() }
}

/// Writes the lines that make the ledger the platform's, and returns how many those are.
fn post(reconciled: &Reconciled, path: &Path) -> usize {
    let adjustments = reconcile::adjustments(reconciled, "test");
    reconcile::write(&adjustments.lines, path).expect("written");
    adjustments.lines.len()
}

fn found(reconciled: &Reconciled) -> Vec<Value> {
    let mut bytes = Vec::new();
    reconciled.write(&mut bytes).expect("written");
    let text = String::from_utf8(bytes).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// A difference as its row in a table.
fn as_row(difference: &Value) -> String {
    let start = difference["start"].as_i64().expect("an instant");
    let start = jiff::Timestamp::from_millisecond(start).expect("an instant").strftime("%m-%dT%H:%M").to_string();
    let text = |field: &str| match &difference[field] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.replace(' ', "_"),
        other => other.to_string(),
    };
    let country = if difference["country"].is_null() { text("market") } else { text("country") };
    let rest = ["category", "pricing_type", "tier", "cause", "quantity", "amount"].map(text);
    format!("{start} {} {country} {}", text("phone_number_id"), rest.join(" "))
}

fn check(lines: &str, figures: &str, expected: &str) {
    let files = files(lines, figures);
    let reconciled = files.run();
    let differences = found(&reconciled);
    let rows_found: Vec<String> = differences.iter().map(as_row).collect();
    let rows_expected: Vec<String> = rows(expected).map(|row| row.join(" ")).collect();
    assert_eq!(rows_found, rows_expected);
    assert_eq!(reconciled.is_equal(), rows_expected.is_empty());
    adds_up(&reconciled);
}

/// Whatever the causes: the differences add up to the difference of the totals.
fn adds_up(reconciled: &Reconciled) {
    for account in &reconciled.accounts {
        let quantity: i64 = account.differences.iter().map(|difference| difference.quantity).sum();
        assert_eq!(quantity, account.theirs.0 - account.ours.0, "messages");
        if let Some(cost) = account.theirs.1 {
            let amount: i128 = account.differences.iter().filter_map(|difference| difference.amount).sum();
            assert_eq!(amount, cost - account.ours.1, "millionths");
        }
    }
}

#[test]
fn equal_figures_are_no_difference() {
    check(
        "10-06T12:00 101 BR marketing regular 2 0.125
         10-06T12:10 101 BR service free_customer_service 1 0
         10-06T12:20 101 BR utility regular 1 0.0068
         10-06T12:20 101 BR utility regular -1 -0.0068
         10-06T12:20 101 BR - - 1 0 free_reason=reaction
         10-06T12:20 102 - service - 1 0 unit=conversation",
        "10-06T12:00 10-06T12:30 101 BR MARKETING REGULAR 0:MAX 2 0.125
         10-06T12:00 10-06T12:30 101 BR SERVICE FREE_CUSTOMER_SERVICE - 1 0",
        "",
    );
}

#[test]
fn what_only_one_side_counts_is_a_missing_webhook_or_a_count() {
    check(
        "10-06T12:00 101 BR marketing regular 2 0.125
         10-06T12:00 101 IN utility regular 5 0.007",
        "10-06T12:00 10-06T12:30 101 BR MARKETING REGULAR 0:MAX 5 0.3125
         10-06T12:00 10-06T12:30 101 DE UTILITY REGULAR - 4 0.22
         10-06T13:00 10-06T13:30 101 IN UTILITY REGULAR - 2 0.0028",
        // Of the nine that the ledger lacks, five it has for another country. Each has the price of where it stands.
        "10-06T12:00 101 BR marketing regular - missing_webhook 2 0.125
         10-06T12:00 101 BR marketing regular - classification 1 0.0625
         10-06T12:00 101 DE utility regular - classification 4 0.22
         10-06T12:00 101 IN utility regular - classification -5 -0.007
         10-06T13:00 101 IN utility regular - missing_webhook 2 0.0028",
    );
    check(
        "10-06T12:00 101 BR marketing regular 3 0.1875",
        "10-06T12:00 10-06T12:30 101 BR MARKETING REGULAR 0:MAX 1 0.0625",
        "10-06T12:00 101 BR marketing regular - count -2 -0.125",
    );
}

#[test]
fn the_same_count_at_another_price_is_another_rate() {
    check(
        "10-06T12:00 101 BR marketing regular 3 0.1875",
        "10-06T12:00 10-06T12:30 101 BR MARKETING REGULAR 0:MAX 3 0.18",
        "10-06T12:00 101 BR marketing regular 0:MAX rate 0 -0.0075",
    );
    // Both at once: two webhooks are missing, and all five cost another rate.
    check(
        "10-06T12:00 101 BR marketing regular 3 0.1875",
        "10-06T12:00 10-06T12:30 101 BR MARKETING REGULAR 0:MAX 5 0.3",
        "10-06T12:00 101 BR marketing regular - missing_webhook 2 0.125
         10-06T12:00 101 BR marketing regular 0:MAX rate 0 -0.0125",
    );
    // A line without a price, because no card had one.
    check(
        "10-06T12:00 101 BR marketing regular 1 -",
        "10-06T12:00 10-06T12:30 101 BR MARKETING REGULAR 0:MAX 1 0.0625",
        "10-06T12:00 101 BR marketing regular 0:MAX rate 0 0.0625",
    );
}

#[test]
fn opposite_counts_on_both_sides_of_a_midnight_are_of_the_zone() {
    check(
        "10-31T03:00 101 BR marketing regular 4 0.25
         11-01T03:00 101 BR marketing regular 1 0.0625",
        "10-31T03:00 11-01T03:00 101 BR MARKETING REGULAR 0:MAX 2 0.125
         11-01T03:00 11-02T03:00 101 BR MARKETING REGULAR 0:MAX 3 0.1875",
        "10-31T03:00 101 BR marketing regular - zone_boundary -2 -0.125
         11-01T03:00 101 BR marketing regular - zone_boundary 2 0.125",
    );
    // Not in adjacent spans: a webhook is missing here, and one is too many there.
    check(
        "10-06T12:00 101 BR marketing regular 2 0.125
         10-06T13:00 101 BR marketing regular 1 0.0625",
        "10-06T12:00 10-06T12:30 101 BR MARKETING REGULAR 0:MAX 1 0.0625
         10-06T12:30 10-06T13:00 101 IN MARKETING REGULAR 0:MAX 0 0
         10-06T13:00 10-06T13:30 101 BR MARKETING REGULAR 0:MAX 2 0.125",
        "10-06T12:00 101 BR marketing regular - count -1 -0.0625
         10-06T13:00 101 BR marketing regular - missing_webhook 1 0.0625",
    );
}

#[test]
fn a_lower_price_beyond_the_first_tier_is_of_the_tier() {
    // 0.0040 at list, 0.0038 in the second tier: no discount in the ledger.
    let lines = "10-06T12:00 101 NG utility regular 10 0.04 market=Rest_of_Africa";
    let figures = "10-06T12:00 10-06T12:30 101 NG UTILITY REGULAR 0:100000 4 0.016
                   10-06T12:00 10-06T12:30 101 NG UTILITY REGULAR 100001:1000000 6 0.0228";
    check(lines, figures, "10-06T12:00 101 NG utility regular 100001:1000000 tier 0 -0.0012");
    // The ledger's discount covers it, all of it or not.
    let discount = |amount: &str| {
        format!("{lines}\n10-06T12:30 - - utility - 0 {amount} entry_type=DISCOUNT market=Rest_of_Africa")
    };
    check(&discount("-0.0012"), figures, "");
    check(&discount("-0.001"), figures, "10-06T12:00 - Rest_of_Africa utility - - tier 0 -0.0002");
    // The platform gave none.
    let at_list = "10-06T12:00 10-06T12:30 101 NG UTILITY REGULAR 0:100000 10 0.04";
    check(&discount("-0.0012"), at_list, "10-06T12:00 - Rest_of_Africa utility - - tier 0 0.0012");
}

#[test]
fn a_price_that_was_bid_for_differs_by_the_bid() {
    check(
        "10-06T12:00 101 BR marketing_lite regular 2 0.08 price_source=platform",
        "10-06T12:00 10-06T12:30 101 BR MARKETING_LITE REGULAR 0:MAX 2 0.0777",
        "10-06T12:00 101 BR marketing_lite regular 0:MAX bid_price 0 -0.0023",
    );
}

#[test]
fn what_the_platform_calls_otherwise_is_one_difference_with_two_sides() {
    check(
        "10-06T12:00 101 BR utility free_customer_service 3 0",
        "10-06T12:00 10-06T12:30 101 BR SERVICE FREE_CUSTOMER_SERVICE - 3 0",
        "10-06T12:00 101 BR service free_customer_service - classification 3 0.00
         10-06T12:00 101 BR utility free_customer_service - classification -3 0.00",
    );
}

#[test]
fn where_the_platform_hides_costs_only_counts_are_compared() {
    let figures = "10-06T12:00 10-06T12:30 101 BR MARKETING REGULAR - 3 -";
    check("10-06T12:00 101 BR marketing regular 3 0.1875", figures, "");
    check(
        "10-06T12:00 101 BR marketing regular 2 0.125",
        figures,
        "10-06T12:00 101 BR marketing regular - missing_webhook 1 -",
    );
}

#[test]
fn values_that_nobody_knows_are_compared_by_their_names() {
    check(
        "10-06T12:00 101 XX quantum regular 3 0.3",
        "10-06T12:00 10-06T12:30 101 XX QUANTUM REGULAR - 3 0.3
         10-06T12:00 10-06T12:30 101 XX QUANTUM SPOOKY - 1 0.1",
        "10-06T12:00 101 XX quantum spooky - missing_webhook 1 0.10",
    );
}

#[test]
fn dimensions_that_were_not_asked_for_are_summed_over() {
    check(
        "10-06T12:00 101 BR marketing regular 2 0.125
         10-06T12:00 102 IN utility regular 5 0.007",
        "10-06T00:00 10-07T00:00 - - - - - 8 0.139",
        "10-06T00:00 - - - - - missing_webhook 1 0.018857
         10-06T00:00 - - - - - rate 0 -0.011857",
    );
}

#[test]
fn a_cost_is_exact_to_the_last_decimal() {
    check(
        "10-06T12:00 101 BR marketing regular 3 0.3",
        "10-06T12:00 10-06T12:30 101 BR MARKETING REGULAR 0:MAX 3 0.30000000000000004",
        "",
    );
    check(
        "10-06T12:00 101 BR marketing regular 3 0.3",
        "10-06T12:00 10-06T12:30 101 BR MARKETING REGULAR 0:MAX 3 0.300001",
        "10-06T12:00 101 BR marketing regular 0:MAX rate 0 0.000001",
    );
}

/// Once the adjustments are in the ledger there is no difference any more, whatever it was.
#[test]
fn posted_adjustments_make_the_ledger_the_platforms() {
    let lines = "10-06T12:00 101 BR marketing regular 2 0.125
                 10-06T12:00 101 NG utility regular 10 0.04 market=Rest_of_Africa
                 10-06T12:30 - - utility - 0 -0.001 entry_type=DISCOUNT market=Rest_of_Africa
                 10-06T12:30 102 IN authentication regular 3 0.0042";
    let figures = "10-06T12:00 10-06T12:30 101 BR MARKETING REGULAR 0:MAX 5 0.3
                   10-06T12:00 10-06T12:30 101 NG UTILITY REGULAR 100001:1000000 10 0.038
                   10-06T12:30 10-06T13:00 102 DE UTILITY REGULAR - 3 0.165";
    for name in ["posted.ndjson", "posted.avro"] {
        let mut files = files(lines, figures);
        let first = files.run();
        let posted: Vec<PathBuf> =
            ["once", "twice"].map(|time| files.directory.path().join(format!("{time}-{name}"))).into();
        for path in &posted {
            assert_eq!(post(&files.run(), path), found(&first).len());
        }
        let bytes = |path: &Path| std::fs::read(path).expect("written");
        assert!(bytes(&posted[0]) == bytes(&posted[1]), "the same figures, the same lines");
        files.billing.push(posted[0].clone());
        let settled = files.run();
        assert_eq!(found(&settled).iter().map(as_row).collect::<Vec<_>>(), Vec::<String>::new());
        assert_ne!(settled.reference, first.reference, "other figures have another name");
        // Whoever posts at the same time as somebody else has the ledger hold the same lines twice.
        files.billing.push(posted[1].clone());
        assert!(files.run().is_equal(), "a line counts once");
    }
    let mut files = files(lines, figures);
    files.options.reference = Some("2026-10".to_owned());
    let path = files.directory.path().join("posted.ndjson");
    post(&files.run(), &path);
    let text = std::fs::read_to_string(&path).expect("written");
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let line = lines.find(|line| line["rule"] == "missing_webhook").expect("a line");
    // The id is public: H(reference, account, from, to, number, country, category, type, tier, market, cause).
    assert_eq!(line["envelope"]["id"], "5050e6759afe30736e809e984be8f0d1");
    assert_eq!(line["reconciliation_ref"], "2026-10");
    assert_eq!(line["amount"], "0.1875");
    assert_eq!((&line["entry_type"], &line["quantity"]), (&json!("ADJUSTMENT"), &json!(3)));
    assert_eq!((&line["portfolio_id"], &line["phone_number_id"]), (&json!(PORTFOLIO), &json!("101")));
}

/// A small generator of numbers: the same seed, the same figures.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Both sides of two numbers over four half-hours: mostly the same, with a bit of everything that can differ.
fn any_figures(draw: &mut Draw) -> (String, String) {
    // Each number is on both sides, so that it is clear which is which.
    let mut lines =
        "10-06T12:00 101 ZZ service free_customer_service 1 0\n10-06T12:00 102 ZZ service free_customer_service 1 0\n"
            .to_owned();
    let mut figures = "10-06T12:00 10-06T12:30 101 ZZ SERVICE FREE_CUSTOMER_SERVICE - 1 0
                       10-06T12:00 10-06T12:30 102 ZZ SERVICE FREE_CUSTOMER_SERVICE - 1 0\n"
        .to_owned();
    let spans = ["10-06T12:00", "10-06T12:30", "10-06T13:00", "10-06T13:30", "10-06T14:00"];
    for span in spans.windows(2) {
        for (number, country, category) in [
            ("101", "BR", "utility"),
            ("101", "NG", "utility"),
            ("101", "BR", "marketing"),
            ("102", "BR", "marketing_lite"),
        ] {
            let (ours, mut theirs) = (draw.below(4), draw.below(4));
            if draw.below(2) == 0 {
                theirs = ours;
            }
            let price = 40 + 10 * draw.below(3);
            if ours > 0 {
                let more = ["", " price_source=platform", "", ""][usize::try_from(draw.below(4)).expect("small")];
                writeln!(lines, "{} {number} {country} {category} regular {ours} 0.{:04}{more}", span[0], ours * price)
                    .expect("text");
            }
            if theirs > 0 {
                let (tier, off) = [("0:100", 0), ("0:100", 0), ("101:200", 5), ("-", 7)]
                    [usize::try_from(draw.below(4)).expect("small")];
                let cost = theirs * (price - off);
                writeln!(
                    figures,
                    "{} {} {number} {country} {} REGULAR {tier} {theirs} 0.{cost:04}",
                    span[0],
                    span[1],
                    category.to_uppercase()
                )
                .expect("text");
            }
        }
    }
    if draw.below(2) == 0 {
        writeln!(
            lines,
            "10-06T13:00 - - utility - 0 -0.00{:02} entry_type=DISCOUNT market=Brazil",
            10 + draw.below(20)
        )
        .expect("text");
    }
    (lines, figures)
}

#[test]
fn whatever_the_figures_the_causes_add_up_and_adjustments_settle_them() {
    let mut told = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let (lines, figures) = any_figures(&mut Draw(seed));
        let mut files = files(&lines, &figures);
        let reconciled = files.run();
        adds_up(&reconciled);
        let differences = found(&reconciled);
        let mut moved = std::collections::BTreeMap::new();
        for difference in &differences {
            let cause = difference["cause"].as_str().expect("a cause").to_owned();
            let quantity = difference["quantity"].as_i64().expect("a quantity");
            let holds = match cause.as_str() {
                "missing_webhook" => quantity > 0,
                "count" => quantity < 0,
                "zone_boundary" | "classification" => quantity != 0,
                _ => quantity == 0 && difference["amount"] != "0.00",
            };
            assert!(holds, "seed {seed}: {difference}");
            *moved.entry(cause.clone()).or_insert(0) += quantity;
            told.insert(cause);
        }
        for cause in ["zone_boundary", "classification"] {
            assert_eq!(moved.get(cause).copied().unwrap_or_default(), 0, "seed {seed}: what {cause} takes it gives");
        }
        let posted = files.directory.path().join("posted.ndjson");
        post(&reconciled, &posted);
        files.billing.push(posted);
        assert_eq!(found(&files.run()), Vec::<Value>::new(), "seed {seed}");
    }
    let all = tollgate::reconcile::compare::Cause::ALL.map(tollgate::reconcile::compare::Cause::name);
    assert_eq!(told.len(), all.len(), "every cause was found: {told:?}");
}

#[test]
fn numbers_are_told_apart_by_the_platforms_own_list() {
    let figures = "10-06T12:00 10-06T12:30 15550100001 BR MARKETING REGULAR 0:MAX 1 0.0625
                   10-06T12:00 10-06T12:30 15550100002 BR MARKETING REGULAR 0:MAX 1 0.0625";
    let lines = "10-06T12:00 101 BR marketing regular 1 0.0625
                 10-06T12:00 102 BR marketing regular 1 0.0625";
    let mut files = files(lines, figures);
    let told = files.refused();
    assert!(told.contains("2 phone numbers of the export have no id; give --numbers"), "{told}");
    assert!(!told.contains("1555"), "no phone number is told: {told}");
    let numbers = files.directory.path().join("numbers.json");
    let list = json!({"data": [{"id": "101", "display_phone_number": "+1 555-010-0001", "verified_name": "A"},
        {"id": "102", "display_phone_number": "+1 555-010-0002"}]});
    std::fs::write(&numbers, list.to_string()).expect("written");
    files.options.numbers.push(numbers);
    assert!(files.run().is_equal());
    // Where each side has one number, they are the same.
    let one = self::files("10-06T12:00 101 BR marketing regular 1 0.0625", figures.lines().next().expect("a row"));
    assert!(one.run().is_equal());
}

#[test]
fn mistakes_are_told_together_with_their_places() {
    let mut files = files("10-06T12:00 101 BR marketing regular 1 0.0625", "");
    std::fs::write(files.directory.path().join("broken.ndjson"), "{\"occurred_at\": 1}\n").expect("written");
    std::fs::write(files.directory.path().join("error.json"), "{\"error\": {\"code\": 190}}").expect("written");
    files.options.analytics.push(files.directory.path().join("error.json"));
    files.billing.push(files.directory.path().join("nowhere"));
    files.dead_letters.push(files.directory.path().join("broken.ndjson"));
    files.options.start = Some(5);
    let told = files.refused();
    for text in
        ["error.json, line 1: it is the platform's answer to a request that failed", "--start", "broken.ndjson, line 1"]
    {
        assert!(told.contains(text), "{text}: {told}");
    }
}
