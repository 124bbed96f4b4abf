//! The stream is what it claims to be, and the answers fit it.
//!
//! The checks read the records as written, and recount from them what the generator knew from its plan.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde_json::Value;

use super::calendar::{DAY, HOUR, LocalDays};
use super::random::{Popularity, Random};
use super::{Amount, Answer, Calendar, Category, Date, EntryType, FreeReason, Reason, Settings, generate, references};
use crate::codec::records;

/// The calendar of the time zone library the product uses.
struct Zones;

impl Calendar for Zones {
    fn date(&self, zone: &str, millis: i64) -> Date {
        let zone = jiff::tz::TimeZone::get(zone).expect("a zone of the database");
        let at = jiff::Timestamp::from_millisecond(millis).expect("an instant").to_zoned(zone);
        (at.year(), at.month().unsigned_abs(), at.day().unsigned_abs())
    }
}

struct Run {
    events: Vec<Value>,
    answers: Vec<Value>,
}

fn run(settings: &Settings) -> Run {
    let (mut events, mut answers) = (Vec::new(), Vec::new());
    let mut keep_event = |event: &records::Event<'_>| {
        events.push(serde_json::to_value(event)?);
        Ok(())
    };
    let mut keep_answer = |answer: &Answer| {
        answers.push(serde_json::to_value(answer)?);
        Ok(())
    };
    generate(settings, &Zones, &mut keep_event, &mut keep_answer).expect("settings that are in order");
    Run { events, answers }
}

/// Few contacts, so that much happens to each.
fn busy(events: u64) -> Settings {
    Settings { events, contacts: events as u32 / 60, ..Settings::default() }
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn millis(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

fn answers<'r>(run: &'r Run, kind: &'static str) -> impl Iterator<Item = &'r Value> {
    run.answers.iter().filter(move |answer| text(answer, "/answer") == kind)
}

fn events<'r>(run: &'r Run, kind: &'static str) -> impl Iterator<Item = &'r Value> {
    run.events.iter().filter(move |event| text(event, "/kind") == kind)
}

/// The same event however often it arrived.
fn firsts<'r>(events: impl Iterator<Item = &'r Value>) -> impl Iterator<Item = &'r Value> {
    let mut seen = BTreeSet::new();
    events.filter(move |event| {
        let mut content = (*event).clone();
        if let Some(fields) = content.as_object_mut() {
            fields.remove("received_at");
        }
        seen.insert(content.to_string())
    })
}

#[test]
fn the_same_seed_gives_the_same_stream() {
    let settings = busy(20_000);
    let (one, again) = (run(&settings), run(&settings));
    assert!(one.events == again.events && one.answers == again.answers);
    let other = run(&Settings { seed: 2, ..settings });
    assert!(one.events != other.events && one.answers != other.answers);
}

#[test]
fn events_come_in_order_of_arrival_and_within_the_longest_delay() {
    for settings in [busy(50_000), Settings { longest_delay: HOUR, ..busy(20_000) }] {
        let run = run(&settings);
        assert_eq!(run.events.len() as u64, settings.events);
        let mut last = 0;
        for event in &run.events {
            let (occurred_at, received_at) = (millis(event, "/occurred_at"), millis(event, "/received_at"));
            assert!(last <= received_at, "arrives after the one before");
            assert!((0..=settings.longest_delay).contains(&(received_at - occurred_at)), "is neither early nor late");
            last = received_at;
        }
    }
}

#[test]
fn some_events_arrive_again_and_some_out_of_order() {
    let run = run(&busy(50_000));
    let repeats = run.events.len() - firsts(run.events.iter()).count();
    assert!((500..2000).contains(&repeats), "{repeats}");
    let mut known = BTreeMap::new();
    let mut overtaken = BTreeMap::<(&str, &str), u32>::new();
    for event in events(&run, "status") {
        let (message, stage) = (text(event, "/status/message_id"), text(event, "/status/status"));
        let before: &mut Vec<&str> = known.entry(message).or_default();
        for earlier in before.iter().filter(|earlier| **earlier != stage) {
            *overtaken.entry((stage, earlier)).or_default() += 1;
        }
        before.push(stage);
    }
    assert!(overtaken[&("sent", "delivered")] > 100 && overtaken[&("sent", "read")] > 10);
    let mut reported = BTreeSet::new();
    let accepted_late = run.events.iter().filter(|event| {
        reported.insert(text(event, "/status/message_id"));
        let message = text(event, "/send_accepted/message_id");
        !message.is_empty() && reported.contains(message)
    });
    assert!(accepted_late.count() > 100);
}

#[test]
fn statuses_of_a_message_occur_in_order() {
    let run = run(&busy(50_000));
    let mut stages = BTreeMap::<&str, BTreeMap<&str, i64>>::new();
    for event in events(&run, "status") {
        let at = stages.entry(text(event, "/status/message_id")).or_default();
        at.insert(text(event, "/status/status"), millis(event, "/occurred_at"));
    }
    for at in stages.values().filter(|at| !at.contains_key("failed")) {
        let in_order: Vec<_> = ["sent", "delivered", "read"].iter().filter_map(|stage| at.get(stage)).collect();
        assert!(in_order.is_sorted());
    }
}

#[test]
fn every_ask_has_one_verdict() {
    let run = run(&busy(50_000));
    let key = |value: &Value, section: &str| {
        (text(value, "/phone_number_id").to_owned(), text(value, &format!("{section}/request_id")).to_owned())
    };
    let asked: Vec<_> = firsts(events(&run, "send_requested")).map(|event| key(event, "/send_requested")).collect();
    let answered: BTreeSet<_> = answers(&run, "verdict").map(|answer| key(answer, "")).collect();
    assert_eq!(answered.len(), answers(&run, "verdict").count());
    assert!(answered == asked.into_iter().collect());
}

#[test]
fn every_delivered_message_has_one_line_and_no_other_has_one() {
    let run = run(&busy(50_000));
    let reactions: BTreeSet<&str> = events(&run, "send_requested")
        .filter(|event| text(event, "/send_requested/content/kind") == "reaction")
        .map(|event| text(event, "/send_requested/request_id"))
        .collect();
    let mut stages = BTreeMap::<&str, BTreeMap<&str, i64>>::new();
    for event in events(&run, "status") {
        let at = stages.entry(text(event, "/status/message_id")).or_default();
        at.insert(text(event, "/status/status"), millis(event, "/occurred_at"));
    }
    let reactions: BTreeSet<&str> = events(&run, "send_accepted")
        .filter(|event| {
            text(event, "/send_accepted/content/kind") == "reaction"
                || reactions.contains(text(event, "/send_accepted/request_id"))
        })
        .map(|event| text(event, "/send_accepted/message_id"))
        .collect();
    let due: BTreeMap<&str, i64> = stages
        .iter()
        .filter_map(|(message, at)| {
            let reacted = at.get("sent").filter(|_| reactions.contains(message));
            Some((*message, *at.get("delivered").or(at.get("read")).or(reacted)?))
        })
        .collect();
    let lines: BTreeMap<&str, i64> =
        answers(&run, "message").map(|line| (text(line, "/message_id"), millis(line, "/occurred_at"))).collect();
    assert_eq!(lines.len(), answers(&run, "message").count());
    assert!(lines == due, "the charge instant is delivery, else the first reading, of a reaction the sending");
}

/// Whether the record is of the kind that opens the service window, by another reading of rules.md 2.1.
fn opens_window(event: &Value) -> bool {
    let call = (text(event, "/call/event"), text(event, "/call/direction"));
    let edited = text(event, "/message/type") == "unsupported" && text(event, "/message/subtype") == "edit";
    match text(event, "/kind") {
        "message" if text(event, "/provenance") != "live" || edited => false,
        "message" if event.pointer("/message/reaction_removed") == Some(&Value::Bool(true)) => false,
        "message" => !matches!(text(event, "/message/type"), "edit" | "revoke"),
        "call" => matches!(call, ("connect", "user_initiated") | ("accepted", "business_initiated")),
        _ => false,
    }
}

#[test]
fn windows_and_verdicts_on_free_text_can_be_recounted_from_the_stream() {
    // With one set of ids for each person, so that a person can be told without merging ids.
    let run = run(&Settings { aliases: false, moves: false, numbers: 4, ..busy(120_000) });
    let mut windows = BTreeMap::<(String, String), i64>::new();
    let mut expected = BTreeMap::new();
    for event in firsts(run.events.iter()) {
        let person = [text(event, "/contact/wa_id"), text(event, "/contact/user_id")].concat();
        let contact = (text(event, "/phone_number_id").to_owned(), person);
        if opens_window(event) {
            let ends = windows.entry(contact).or_default();
            *ends = (*ends).max(millis(event, "/occurred_at") + DAY);
        } else if matches!(text(event, "/send_requested/content/kind"), "freeform" | "reaction") {
            let ends = windows.get(&contact).copied().unwrap_or_default();
            let now = millis(event, "/occurred_at");
            let at = event.pointer("/send_requested/evaluate_for").and_then(Value::as_i64).unwrap_or(now);
            let reason = match ends {
                _ if at < ends => "service_window_open",
                _ if now < ends => "service_window_closes_before_schedule",
                0 => "service_window_never_opened",
                _ => "service_window_closed",
            };
            expected.insert(text(event, "/send_requested/request_id").to_owned(), reason);
        }
    }
    let mut payments = 0;
    for answer in answers(&run, "verdict") {
        let Some(expected) = expected.get(text(answer, "/request_id")) else { continue };
        match text(answer, "/reason") {
            // It comes after the window in precedence.
            "payment_issue" if *expected == "service_window_open" => payments += 1,
            reason => assert_eq!(reason, *expected),
        }
    }
    assert!(payments > 0);
    let end = run.events.iter().map(|event| millis(event, "/received_at")).max().unwrap_or_default();
    let open: BTreeMap<_, _> = windows.into_iter().filter(|(_, ends)| end < *ends).collect();
    let given: BTreeMap<_, _> = answers(&run, "window")
        .map(|answer| {
            let person = [text(answer, "/wa_id"), text(answer, "/user_id")].concat();
            ((text(answer, "/phone_number_id").to_owned(), person), millis(answer, "/expires_at"))
        })
        .collect();
    assert!(open.len() > 50 && open == given);
}

/// The answers alone, which take no time.
fn answers_of(settings: &Settings) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut keep = |answer: &Answer| {
        answers.push(answer.clone());
        Ok(())
    };
    generate(settings, &Zones, &mut |_| Ok(()), &mut keep).expect("settings that are in order");
    answers
}

#[test]
fn a_number_has_a_thousand_free_replies_a_month_and_not_before_october() {
    let answers = answers_of(&Settings { numbers: 5, ..busy(600_000) });
    let mut used = BTreeMap::<(&str, &str), (u32, u32)>::new();
    for answer in &answers {
        let Answer::Message { phone_number_id, billing_period, category, free_reason, .. } = answer else { continue };
        if *category != Category::Service || *free_reason == Some(FreeReason::Reaction) {
            continue;
        }
        let counts = used.entry((phone_number_id, billing_period)).or_default();
        *if free_reason.is_some() { &mut counts.0 } else { &mut counts.1 } += 1;
    }
    for ((_, period), (free, beyond)) in &used {
        assert!(*beyond == 0 || *period >= "2026-10" && *free == 1000, "{period}: {free} and {beyond}");
    }
    assert_eq!(used.values().filter(|(_, beyond)| *beyond > 0).count(), 4, "all numbers that can pay, in October");
    let september = used.iter().filter(|((_, period), _)| *period == "2026-09");
    assert!(september.map(|(_, (free, _))| *free).max() > Some(1000), "replies cost nothing yet, however many");
}

#[test]
fn a_number_that_cannot_pay_delivers_its_free_replies_and_nothing_that_costs() {
    let settings = Settings { numbers: 4, ..busy(600_000) };
    let accounts = references(&settings, &Zones).expect("settings that are in order").accounts;
    let has_fact = |record: &records::Account<'_>, name: &str, value: &str| {
        let fact = record.facts.iter().find(|fact| fact.name.as_str() == name);
        fact.and_then(|fact| fact.value.as_ref()).is_some_and(|found| found.as_str() == value)
    };
    let account = accounts.iter().find(|record| has_fact(record, "payment_method", "false"));
    let account = account.expect("an account without a payment method").entity_id.as_str();
    let number = accounts.iter().find(|record| has_fact(record, "account", account));
    let number = number.expect("a number of that account").entity_id.as_str();
    let (mut lines, mut replies, mut refused) = (0, 0, 0);
    for answer in answers_of(&settings) {
        match answer {
            Answer::Message { phone_number_id, entry_type, category, billing_period, free_reason, .. }
                if phone_number_id == number =>
            {
                assert!(entry_type == EntryType::Free);
                let counted = category == Category::Service && free_reason == Some(FreeReason::FreeCustomerService);
                replies += u32::from(counted && billing_period == "2026-10");
                lines += 1;
            }
            Answer::Verdict { phone_number_id, reason, .. } if phone_number_id == number => {
                refused += u32::from(reason == Reason::PaymentIssue);
            }
            _ => {}
        }
    }
    assert!(replies == 1000 && lines > 2000 && refused > 2000, "{replies}, {lines}, {refused}");
}

#[test]
fn pricing_comes_always_or_never() {
    let run = run(&busy(50_000));
    let mut numbers = BTreeMap::<&str, (u32, u32)>::new();
    let mut messages = BTreeMap::<(&str, &str), (bool, bool)>::new();
    for event in events(&run, "status") {
        let message = messages.entry((text(event, "/phone_number_id"), text(event, "/status/message_id"))).or_default();
        message.0 |= matches!(text(event, "/status/status"), "delivered" | "read");
        message.1 |= event.pointer("/status/pricing").is_some();
    }
    for ((number, _), (_, priced)) in messages.iter().filter(|(_, (delivered, _))| *delivered) {
        let counts = numbers.entry(number).or_default();
        *if *priced { &mut counts.0 } else { &mut counts.1 } += 1;
    }
    assert!(numbers.values().all(|(priced, silent)| *priced == 0 || *silent == 0));
    assert!(numbers.values().any(|(priced, _)| *priced > 0) && numbers.values().any(|(_, silent)| *silent > 0));
}

#[test]
fn every_kind_of_event_and_answer_occurs() {
    let run = run(&busy(150_000));
    let kinds: BTreeSet<&str> = run.events.iter().map(|event| text(event, "/kind")).collect();
    let all = "call consent heartbeat identity_change message number_fact preference send_accepted send_requested \
               status unknown";
    assert_eq!(kinds.into_iter().collect::<Vec<_>>().join(" "), all);
    let totals: Vec<&Value> = answers(&run, "total").collect();
    let verdicts = totals.iter().filter(|total| text(total, "/of") == "verdicts");
    assert_eq!(verdicts.clone().count(), 16, "all reasons");
    let given: u64 = verdicts.map(|total| total["count"].as_u64().unwrap_or_default()).sum();
    assert_eq!(given, answers(&run, "verdict").count() as u64);
    let codes: BTreeSet<i64> =
        events(&run, "status").map(|event| millis(event, "/status/errors/0/code")).filter(|code| *code != 0).collect();
    let all = [100, 130_472, 131_000, 131_026, 131_042, 131_047, 131_049, 131_050, 132_001, 132_015, 132_016];
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), all);
    for (reason, least) in [("free_entry_point", 500), ("free_customer_service", 2000), ("reaction", 500)] {
        let count = answers(&run, "message").filter(|line| text(line, "/free_reason") == reason).count();
        assert!(count > least, "{reason}: {count}");
    }
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let wrong = [
        Settings { contacts: 0, ..Settings::default() },
        Settings { contacts: 40_000_001, ..Settings::default() },
        Settings { numbers: 0, ..Settings::default() },
        Settings { days: 0, ..Settings::default() },
        Settings { start: 1_789_862_400, ..Settings::default() },
        Settings { longest_delay: 7 * DAY, ..Settings::default() },
        Settings { late_per_mille: 1001, ..Settings::default() },
    ];
    for settings in wrong {
        let refused = generate(&settings, &Zones, &mut |_| Ok(()), &mut |_| Ok(()));
        assert_eq!(refused.expect_err("a mistake").kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
fn few_events_or_contacts_are_no_trouble() {
    for (events, contacts, numbers) in [(0, 1, 1), (1, 1, 1), (11, 3, 2), (500, 1, 8), (500, 1000, 60)] {
        let run = run(&Settings { events, contacts, numbers, days: 1, ..Settings::default() });
        assert_eq!(run.events.len() as u64, events);
    }
}

#[test]
fn local_days_begin_at_local_midnight() {
    let start = Settings::default().start;
    let days = LocalDays::new(&Zones, "Asia/Kolkata", start, start + 30 * DAY);
    let october = days.first_instant((2026, 10, 1));
    assert_eq!(october, start + 11 * DAY - 5 * HOUR - HOUR / 2);
    assert_eq!((days.date(october - 1), days.date(october)), ((2026, 9, 30), (2026, 10, 1)));
    // A day of 25 hours.
    let days = LocalDays::new(&Zones, "Europe/Berlin", start, start + 60 * DAY);
    assert_eq!(days.first_instant((2026, 10, 26)) - days.first_instant((2026, 10, 25)), 25 * HOUR);
}

#[test]
fn amounts_have_the_decimals_they_need() {
    let printed = [0, 62_500, 115_000, 12_340_000, -6_800, 1].map(|millionths| Amount(millionths).to_string());
    assert_eq!(printed, ["0.00", "0.0625", "0.115", "12.34", "-0.0068", "0.000001"]);
}

#[test]
fn popularity_follows_its_law() {
    let (popularity, mut random) = (Popularity::new(1000), Random::new(7));
    let mut drawn = vec![0_u64; 1000];
    for _ in 0..1_000_000 {
        drawn[popularity.draw(&mut random) as usize] += 1;
    }
    let weight = |rank: u64| 1_000_000_000 / (rank + 9);
    let all: u64 = (0..1000).map(weight).sum();
    for (rank, found) in (0..).zip(drawn) {
        let expected = 1_000_000 * weight(rank) / all;
        assert!(found.abs_diff(expected) < 5 * expected.isqrt() + 5, "rank {rank}: {found} instead of {expected}");
    }
}
