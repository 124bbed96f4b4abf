//! The bill of the example day, worked out by hand from `docs/rules.md` and compared line by line.
//!
//! The account is in São Paulo's time zone, three hours behind UTC, and pays in dollars; all of it happens in
//! October 2026, in the era E5 (rules.md 1.7), by the sample card of 2026-10-01 (rules.md 7.3). Ana is in
//! Brazil, Ravi in India, Emma and Leo are in the United Kingdom, and of Jo only a user id of the United
//! States is known.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

mod running;

use running::{Replay, records, repository, tollgate};
use serde_json::Value;
use tollgate::domain::money::Amount;

const CARD: Option<&str> = Some("sample-usd-2026-10-01.csv");
const FREE_ENTRY_POINT: Option<&str> = Some("free_entry_point");
const FREE_CUSTOMER_SERVICE: Option<&str> = Some("free_customer_service");

/// A line of the ledger, as it must be.
struct Line {
    message: &'static str,
    request: &'static str,
    entry_type: &'static str,
    category: &'static str,
    pricing_type: &'static str,
    market: &'static str,
    /// In millionths of a dollar.
    amount: i64,
    free_reason: Option<&'static str>,
    rate_card: Option<&'static str>,
    trigger: &'static str,
    /// Seconds since the Unix epoch.
    occurred_at: i64,
    local_date: &'static str,
    /// Whether the service window was open at the send, and the free entry point.
    open: (bool, bool),
    /// How many of the month's free thousand had been used before, where this one is one of them.
    used_before: Option<i64>,
}

const LEDGER: [Line; 7] = [
    // A marketing template to Ana outside any window is charged at Brazil's marketing rate, 0.0625. It was
    // delivered at 12:00:04 UTC on the 6th, nine in the morning in São Paulo.
    Line {
        message: "wamid.DAY001",
        request: "sale-ana",
        entry_type: "CHARGE",
        category: "marketing",
        pricing_type: "regular",
        market: "Brazil",
        amount: 62_500,
        free_reason: None,
        rate_card: CARD,
        trigger: "delivered",
        occurred_at: 1_791_288_004,
        local_date: "2026-10-06",
        open: (false, false),
        used_before: None,
    },
    // Ana wrote at 14:00 UTC, and the answer of 15:00 is a service message in her window: the first of the
    // thousand that the number has free in October.
    Line {
        message: "wamid.DAY003",
        request: "reply-ana",
        entry_type: "FREE",
        category: "service",
        pricing_type: "free_customer_service",
        market: "Brazil",
        amount: 0,
        free_reason: FREE_CUSTOMER_SERVICE,
        rate_card: None,
        trigger: "delivered",
        occurred_at: 1_791_298_803,
        local_date: "2026-10-06",
        open: (true, false),
        used_before: Some(0),
    },
    // A utility template in the open window was free until 2026-09-30. Since E5 it is charged, at Brazil's
    // utility rate, 0.0068, and it takes nothing of the free thousand.
    Line {
        message: "wamid.DAY004",
        request: "order-ana",
        entry_type: "CHARGE",
        category: "utility",
        pricing_type: "regular",
        market: "Brazil",
        amount: 6_800,
        free_reason: None,
        rate_card: CARD,
        trigger: "delivered",
        occurred_at: 1_791_302_403,
        local_date: "2026-10-06",
        open: (true, false),
        used_before: None,
    },
    // Ravi came through an ad at 17:00 UTC, and the answer within 24 hours opens his free entry point, in
    // which everything is free. The free entry point ranks before the free thousand and takes none of it.
    Line {
        message: "wamid.DAY021",
        request: "reply-ravi",
        entry_type: "FREE",
        category: "referral_conversion",
        pricing_type: "free_entry_point",
        market: "India",
        amount: 0,
        free_reason: FREE_ENTRY_POINT,
        rate_card: None,
        trigger: "delivered",
        occurred_at: 1_791_307_204,
        local_date: "2026-10-06",
        open: (true, true),
        used_before: None,
    },
    // Jo wrote at 19:00 UTC and is answered in the window: the second of the free thousand, because Ravi's
    // took none. Without a phone number the user id's country tells the market.
    Line {
        message: "wamid.DAY031",
        request: "reply-jo",
        entry_type: "FREE",
        category: "service",
        pricing_type: "free_customer_service",
        market: "North America",
        amount: 0,
        free_reason: FREE_CUSTOMER_SERVICE,
        rate_card: None,
        trigger: "delivered",
        occurred_at: 1_791_313_803,
        local_date: "2026-10-06",
        open: (true, false),
        used_before: Some(1),
    },
    // Ana's window closed at 14:00 UTC on the 7th, 24 hours after her only message; the utility template of
    // 18:00 is outside it and costs the same 0.0068.
    Line {
        message: "wamid.DAY005",
        request: "shipped-ana",
        entry_type: "CHARGE",
        category: "utility",
        pricing_type: "regular",
        market: "Brazil",
        amount: 6_800,
        free_reason: None,
        rate_card: CARD,
        trigger: "delivered",
        occurred_at: 1_791_396_003,
        local_date: "2026-10-07",
        open: (false, false),
        used_before: None,
    },
    // A marketing template to Ravi on the 8th. His service window is long closed, but the free entry point
    // that the platform told is open for seven days, so it is free. Delivered was never told: read, a minute
    // after sent, stands in for it.
    Line {
        message: "wamid.DAY022",
        request: "sale-ravi",
        entry_type: "FREE",
        category: "referral_conversion",
        pricing_type: "free_entry_point",
        market: "India",
        amount: 0,
        free_reason: FREE_ENTRY_POINT,
        rate_card: None,
        trigger: "read_implied",
        occurred_at: 1_791_460_860,
        local_date: "2026-10-08",
        open: (false, true),
        used_before: None,
    },
    // Leo's template, wamid.DAY041, failed: what is not delivered has no line (rules.md 1.6). Emma's two asks
    // and Leo's first were blocked and never sent.
];

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str)
}

fn millionths(text: Option<&str>) -> Option<i64> {
    text.map(|text| Amount::parse(text).expect("an amount").millionths())
}

fn replayed() -> (tempfile::TempDir, Replay, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let replay = Replay::of_the_example_day(folder.path().join("out"));
    let summary = replay.run();
    (folder, replay, summary)
}

#[test]
fn every_line_of_the_days_ledger_is_the_one_worked_out_by_hand() {
    let (_folder, replay, summary) = replayed();
    let found = records(&replay.outputs(), "billing");
    assert_eq!(found.len(), LEDGER.len(), "one line for every message that was delivered, and no other");
    for (line, expected) in found.iter().zip(&LEDGER) {
        let message = expected.message;
        assert_eq!(text(line, "message_id"), Some(message), "lines are in the order of delivery");
        let told = |name| (name, text(line, name));
        assert_eq!(told("request_id"), ("request_id", Some(expected.request)), "{message}");
        assert_eq!(told("entry_type"), ("entry_type", Some(expected.entry_type)), "{message}");
        assert_eq!(told("category"), ("category", Some(expected.category)), "{message}");
        assert_eq!(told("pricing_type"), ("pricing_type", Some(expected.pricing_type)), "{message}");
        assert_eq!(told("market"), ("market", Some(expected.market)), "{message}");
        assert_eq!(told("free_reason"), ("free_reason", expected.free_reason), "{message}");
        assert_eq!(told("unknown_reason"), ("unknown_reason", None), "{message}");
        assert_eq!(told("rate_card"), ("rate_card", expected.rate_card), "{message}");
        assert_eq!(told("charge_trigger"), ("charge_trigger", Some(expected.trigger)), "{message}");
        assert_eq!(told("local_date"), ("local_date", Some(expected.local_date)), "{message}");
        assert_eq!(millionths(text(line, "amount")), Some(expected.amount), "{message}: the amount");
        let rate = (expected.amount > 0).then_some(expected.amount);
        assert_eq!(millionths(text(line, "list_unit_price")), rate, "{message}: the card's rate");
        assert_eq!(line["occurred_at"], expected.occurred_at * 1000, "{message}");
        assert_eq!(line["service_window_open"], expected.open.0, "{message}: the service window");
        assert_eq!(line["free_entry_point_open"], expected.open.1, "{message}: the free entry point");
        let allowance = line.get("allowance");
        assert_eq!(
            allowance.and_then(|allowance| allowance["used_before"].as_i64()),
            expected.used_before,
            "{message}"
        );
        if let Some(allowance) = allowance {
            assert_eq!((&allowance["limit"], &allowance["consumed"]), (&1000.into(), &true.into()), "{message}");
            assert_eq!(text(allowance, "period"), Some("2026-10"), "{message}");
        }
        // The same for all: one message each, in October by the account's clock, under the rules of E5, and the
        // platform tells of each what we expect.
        assert_eq!(text(line, "billing_period"), Some("2026-10"), "{message}");
        assert_eq!(text(line, "time_zone"), Some("America/Sao_Paulo"), "{message}");
        assert_eq!(text(line, "currency"), Some("USD"), "{message}");
        assert_eq!(text(line, "rule"), Some("E5"), "{message}");
        assert_eq!(text(line, "agreement"), Some("match"), "{message}");
        assert_eq!(text(line, "billing_subject"), Some("lantern-books"), "{message}");
        assert_eq!((&line["quantity"], &line["revision"]), (&1.into(), &0.into()), "{message}");
    }
    // 0.0625 + 0.0068 + 0.0068, and the five rows of the summary add up to it.
    let total: i64 = LEDGER.iter().map(|line| line.amount).sum();
    assert_eq!(total, 76_100);
    let bill = summary["bill"].as_array().expect("rows");
    let of_bill: i64 = bill.iter().filter_map(|row| millionths(text(row, "amount"))).sum();
    assert_eq!((bill.len(), of_bill), (5, total));
    // The last record arrives 637,262 of the month's 2,678,400 seconds after its beginning: the marketing that cost 0.0625
    // would come to 0.262686, and the utility messages that cost 0.0136 to 0.057161.
    let of_month = &summary["forecasts"]["portfolio/2329417887457253"];
    let told = ["month", "currency", "amount"].map(|name| text(&of_month[0], name));
    assert_eq!(told, [Some("2026-10"), Some("USD"), Some("0.319847")]);
    assert_eq!(summary["notices"], Value::Object(serde_json::Map::default()), "little of anything was used");
    assert_eq!(summary["disagreements"], Value::Object(serde_json::Map::default()));
    assert_eq!(summary["missing"], Value::Object(serde_json::Map::default()), "nothing was assumed");
}

/// What a message would cost.
enum Costs {
    /// Millionths of a dollar.
    Millionths(i64),
    /// Nothing, and why.
    Nothing(&'static str),
}

/// A verdict, as it must be.
struct Answer {
    request: &'static str,
    verdict: &'static str,
    reason: &'static str,
    platform_code: Option<i64>,
    category: &'static str,
    market: &'static str,
    costs: Costs,
    /// The service window at the instant the ask is for.
    window: &'static str,
    /// Until when the answer holds if nothing else happens, in seconds since the Unix epoch.
    valid_until: Option<i64>,
}

const ANSWERS: [Answer; 11] = [
    // A marketing template needs no window; it is approved, and costs Brazil's marketing rate. Nothing that is
    // known would change that at an instant.
    Answer {
        request: "sale-ana",
        verdict: "allowed",
        reason: "template_approved",
        platform_code: None,
        category: "marketing",
        market: "Brazil",
        costs: Costs::Millionths(62_500),
        window: "never_opened",
        valid_until: None,
    },
    // Emma tapped the quick reply "Stop promotions", a keyword of the demo, so marketing to her is blocked. The
    // tap is a message and opened her window at 12:30 UTC all the same. Sent, it would cost the marketing
    // rate of the United Kingdom: a window makes no marketing template free.
    Answer {
        request: "sale-emma",
        verdict: "blocked",
        reason: "marketing_opted_out",
        platform_code: Some(131_050),
        category: "marketing",
        market: "United Kingdom",
        costs: Costs::Millionths(63_500),
        window: "open",
        valid_until: Some(1_791_376_200),
    },
    // Her reaction at 13:00 UTC has moved the window's end to 13:00 on the 7th. The text is planned for 15:00
    // on the 7th: two hours too late. Could it be sent, it would be one of the free thousand.
    Answer {
        request: "later-emma",
        verdict: "blocked",
        reason: "service_window_closes_before_schedule",
        platform_code: Some(131_047),
        category: "service",
        market: "United Kingdom",
        costs: Costs::Nothing("free_customer_service"),
        window: "closed",
        valid_until: None,
    },
    // Ana wrote an hour before; the answer holds until her window closes, at 14:00 UTC on the 7th.
    Answer {
        request: "reply-ana",
        verdict: "allowed",
        reason: "service_window_open",
        platform_code: None,
        category: "service",
        market: "Brazil",
        costs: Costs::Nothing("free_customer_service"),
        window: "open",
        valid_until: Some(1_791_381_600),
    },
    // An approved template needs no window; in E5 utility costs also inside it.
    Answer {
        request: "order-ana",
        verdict: "allowed",
        reason: "template_approved",
        platform_code: None,
        category: "utility",
        market: "Brazil",
        costs: Costs::Millionths(6_800),
        window: "open",
        valid_until: Some(1_791_381_600),
    },
    // Ravi's ad promises a free entry point, which the reply opens; his message opened a service window too,
    // until 17:00 UTC on the 7th, without which a text could not be sent.
    Answer {
        request: "reply-ravi",
        verdict: "allowed",
        reason: "service_window_open",
        platform_code: None,
        category: "referral_conversion",
        market: "India",
        costs: Costs::Nothing("free_entry_point"),
        window: "open",
        valid_until: Some(1_791_392_400),
    },
    // Jo is known by a user id alone, which has a window like anybody, until 19:00 UTC on the 7th.
    Answer {
        request: "reply-jo",
        verdict: "allowed",
        reason: "service_window_open",
        platform_code: None,
        category: "service",
        market: "North America",
        costs: Costs::Nothing("free_customer_service"),
        window: "open",
        valid_until: Some(1_791_399_600),
    },
    // Leo has never written, so there is no window for a text.
    Answer {
        request: "hello-leo",
        verdict: "blocked",
        reason: "service_window_never_opened",
        platform_code: Some(131_047),
        category: "service",
        market: "United Kingdom",
        costs: Costs::Nothing("free_customer_service"),
        window: "never_opened",
        valid_until: None,
    },
    // A template to him is allowed. That it fails for his own sake only the platform could know.
    Answer {
        request: "sale-leo",
        verdict: "allowed",
        reason: "template_approved",
        platform_code: None,
        category: "marketing",
        market: "United Kingdom",
        costs: Costs::Millionths(63_500),
        window: "never_opened",
        valid_until: None,
    },
    // Ana's window has closed four hours before, which a template does not need.
    Answer {
        request: "shipped-ana",
        verdict: "allowed",
        reason: "template_approved",
        platform_code: None,
        category: "utility",
        market: "Brazil",
        costs: Costs::Millionths(6_800),
        window: "closed",
        valid_until: None,
    },
    // Ravi's free entry point is open until 17:20:02 UTC on the 13th, as the platform told with his reply, so
    // the marketing template is free until then, though his service window is closed.
    Answer {
        request: "sale-ravi",
        verdict: "allowed",
        reason: "template_approved",
        platform_code: None,
        category: "referral_conversion",
        market: "India",
        costs: Costs::Nothing("free_entry_point"),
        window: "closed",
        valid_until: Some(1_791_912_002),
    },
];

#[test]
fn every_verdict_of_the_day_is_the_one_worked_out_by_hand() {
    let (_folder, replay, summary) = replayed();
    let found = records(&replay.outputs(), "verdicts");
    assert_eq!(found.len(), ANSWERS.len(), "one answer for every ask");
    for (verdict, expected) in found.iter().zip(&ANSWERS) {
        let request = expected.request;
        assert_eq!(text(verdict, "request_id"), Some(request), "answers are in the order of the asks");
        assert_eq!(text(verdict, "verdict"), Some(expected.verdict), "{request}");
        assert_eq!(text(verdict, "reason"), Some(expected.reason), "{request}");
        let first = &verdict["reasons"][0];
        assert_eq!(text(first, "code"), Some(expected.reason), "{request}: the first reason is the reason");
        assert_eq!(first.get("platform_code").and_then(Value::as_i64), expected.platform_code, "{request}");
        let price = &verdict["price"];
        assert_eq!(text(price, "category"), Some(expected.category), "{request}");
        assert_eq!(text(price, "market"), Some(expected.market), "{request}");
        assert_eq!(text(price, "rule"), Some("E5"), "{request}");
        let unit_price = millionths(text(price, "unit_price"));
        match expected.costs {
            Costs::Millionths(amount) => {
                assert_eq!((price["chargeable"].as_bool(), unit_price), (Some(true), Some(amount)), "{request}");
                assert_eq!((text(price, "currency"), text(price, "rate_card")), (Some("USD"), CARD), "{request}");
                assert_eq!(text(price, "free_reason"), None, "{request}");
            }
            Costs::Nothing(why) => {
                assert_eq!((price["chargeable"].as_bool(), unit_price), (Some(false), None), "{request}");
                assert_eq!(text(price, "free_reason"), Some(why), "{request}");
            }
        }
        assert_eq!(text(&verdict["service_window"], "state"), Some(expected.window), "{request}");
        let valid_until = verdict.get("valid_until").and_then(Value::as_i64);
        assert_eq!(valid_until, expected.valid_until.map(|seconds| seconds * 1000), "{request}: how long it holds");
        assert_eq!(verdict["enforced"], true, "{request}");
    }
    let counted: u64 =
        summary["verdicts"].as_array().expect("rows").iter().filter_map(|row| row["count"].as_u64()).sum();
    assert_eq!(counted, 11);
    // What may be sent in place of Emma's marketing: a text, because her window is open, or a template of
    // another category, and no marketing.
    let emma = &found[1]["alternatives"];
    let offered: Vec<(&str, Option<&str>)> = emma
        .as_array()
        .expect("alternatives")
        .iter()
        .map(|alternative| (text(alternative, "message_kind").expect("a kind"), text(alternative, "category")))
        .collect();
    assert_eq!(offered, [("freeform", None), ("template", Some("utility")), ("template", Some("authentication"))]);
}

#[test]
fn the_readme_shows_what_the_demo_ends_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let Replay { files, accounts, templates, config, within, .. } = Replay::of_the_example_day("out".into());
    let mut command = tollgate();
    command.current_dir(within).arg("replay").args(files).arg("--config").arg(config);
    for (option, paths) in [("--accounts", accounts), ("--templates", templates)] {
        for path in paths {
            command.arg(option).arg(path);
        }
    }
    let output = command.arg("--out").arg(folder.path().join("out")).output().expect("it runs");
    let told = String::from_utf8(output.stdout).expect("text");
    let readme = std::fs::read_to_string(repository("README.md")).expect("the README");
    assert!(readme.contains(&told), "the README does not show:\n{told}");
}
