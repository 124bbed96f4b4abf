//! What a vector is given besides its timeline: settings and rate cards.

use crate::codec::rate_card;
use crate::config::{answer_within, parse_date};
use crate::domain::money::{Amount, Currency};
use crate::domain::policy::{DecidedAt, NoOptIn, Policy};
use crate::domain::reference::Country;
use crate::domain::rules::Rules;
use crate::domain::rules::cards::{Card, Cards, Column};
use crate::domain::rules::markets::Market;
use crate::domain::time::Date;
use crate::scenario::parse::Given;

/// The sample cards that ship as examples (rules.md 7.3).
const SAMPLE_CARDS: [(&str, &str); 3] = [
    ("sample-usd-2023-06-01.csv", include_str!("../../../examples/rate-cards/sample-usd-2023-06-01.csv")),
    ("sample-usd-2026-10-01.csv", include_str!("../../../examples/rate-cards/sample-usd-2026-10-01.csv")),
    ("sample-inr-2026-10-01.csv", include_str!("../../../examples/rate-cards/sample-inr-2026-10-01.csv")),
];

/// The policy and the rules with what is set otherwise.
///
/// # Errors
/// What cannot be set so.
pub fn settings(given: &Given, policy: &Policy) -> Result<(Policy, Rules), String> {
    let (mut policy, mut rules) = (policy.clone(), Rules::default());
    // No limit is reached unless the vector names it: a thousand messages at one instant are none too many.
    policy.pair_rate = false;
    let truth = |value: &str| value.parse::<bool>().map_err(|_| format!("`{value}` is neither true nor false"));
    for (name, value) in &given.settings {
        match name.as_str() {
            "window_decided_at" => {
                policy.window_decided_at = match value.as_str() {
                    "sent" => DecidedAt::Sent,
                    "delivered" => DecidedAt::Delivered,
                    _ => return Err(format!("`{value}` is neither sent nor delivered")),
                };
            }
            "no_opt_in_record" => {
                policy.no_opt_in = match value.as_str() {
                    "warn" => NoOptIn::Warn,
                    "block" => NoOptIn::Block,
                    _ => return Err(format!("`{value}` is neither warn nor block")),
                };
            }
            "one_template_after_window" => policy.one_template_after_window = truth(value)?,
            "utility_in_window_free" => rules.utility_in_window_free = Some(truth(value)?),
            "pair_rate" => policy.pair_rate = truth(value)?,
            "pacing_told_by_failures" => policy.pacing_told_by_failures = truth(value)?,
            "free_entry_point_extends" => rules.entry_point_extends = truth(value)?,
            "free_entry_point_answer" => {
                rules.entry_point_answer =
                    Some(answer_within(value).ok_or_else(|| format!("`{value}` is neither 24h nor service_window"))?);
            }
            "rules_as_of" => {
                rules.as_of = Some(parse_date(value).ok_or_else(|| format!("`{value}` is no date"))?);
            }
            other if other.starts_with("market_of_") => {
                let country = Country::parse(&other["market_of_".len()..]);
                let taken_for = country.zip(Market::named(&value.replace('_', " ")));
                let taken_for = taken_for.ok_or_else(|| format!("`{other} {value}` names no country or no market"))?;
                rules.unlisted.push(taken_for);
            }
            other => {
                let row = other.strip_suffix("_opens_csw").unwrap_or_default();
                if !policy.openers.set(row, truth(value)?) {
                    return Err(format!("there is no setting `{other}`"));
                }
            }
        }
    }
    Ok((policy, rules))
}

/// The cards given: the test card of rules.md 9, or the sample cards of 7.3.
///
/// # Errors
/// If there is no such card.
pub fn cards(given: &Given) -> Result<Cards, String> {
    let mut cards = Cards::default();
    match given.card.as_deref() {
        None => {}
        Some("sample") => {
            for (name, text) in SAMPLE_CARDS {
                cards.add(rate_card::read(name, text).map_err(|mistakes| format!("{mistakes:?}"))?);
            }
        }
        Some("test") => {
            let currency = Currency::parse("USD").ok_or("USD is a currency")?;
            let mut card = Card::new("test card", currency, Date::new(2019, 6, 1));
            for market in Market::all() {
                for (column, rate) in [
                    (Column::Utility, 10_000),
                    (Column::Authentication, 10_000),
                    (Column::AuthenticationInternational, 50_000),
                    (Column::Call, 1_000),
                ] {
                    card.set(market, column, Amount::from_millionths(rate));
                }
            }
            cards.add(card);
        }
        Some(other) => return Err(format!("there is no card `{other}`; there are `test` and `sample`")),
    }
    Ok(cards)
}
