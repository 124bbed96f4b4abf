//! What a vector is given besides its timeline: settings, rate cards and candidate rows.

use std::path::Path;

use crate::codec::rate_card;
use crate::config::{self, answer_within, parse_date};
use crate::domain::money::{Amount, Currency};
use crate::domain::policy::{Budget, DecidedAt, NoOptIn, Over, Policy};
use crate::domain::reference::Country;
use crate::domain::rules::Rules;
use crate::domain::rules::cards::{Card, Cards, Column};
use crate::domain::rules::markets::Market;
use crate::domain::rules::tiers::{TierRow, Tiered, VolumeTiers};
use crate::domain::time::Date;
use crate::scenario::parse::Given;

/// The sample cards that ship as examples (rules.md 7.3).
const SAMPLE_CARDS: [(&str, &str); 4] = [
    ("sample-usd-2023-06-01.csv", include_str!("../../../examples/rate-cards/sample-usd-2023-06-01.csv")),
    ("sample-usd-2026-10-01.csv", include_str!("../../../examples/rate-cards/sample-usd-2026-10-01.csv")),
    ("sample-usd-2026-10-01-tiers.csv", include_str!("../../../examples/rate-cards/sample-usd-2026-10-01-tiers.csv")),
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
            "allowance_low" => {
                let from = value.parse().map_err(|_| format!("`{value}` is no number"))?;
                policy.allowance_low = Some(from);
            }
            "messaging_limit_low" => {
                let percent = value.parse().map_err(|_| format!("`{value}` is no number"))?;
                policy.messaging_limit_low = Some(percent);
            }
            // `block 1.00`, `warn 1.00`, and behind a `;` from where on little is left; of every category, in USD.
            "budget_block" | "budget_warn" => {
                let (whole, low) = value.split_once(';').unwrap_or((value, value));
                let amount = |text| Amount::parse(text).ok_or_else(|| format!("`{text}` is no amount"));
                policy.budgets.push(Budget {
                    number: None,
                    category: None,
                    amount: amount(whole)?,
                    low: amount(low)?,
                    currency: Currency::parse("USD").ok_or("USD is a currency")?,
                    over: if name == "budget_block" { Over::Block } else { Over::Warn },
                });
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
            let mut import = rate_card::Import::default();
            for (name, text) in SAMPLE_CARDS {
                import.add(name, name, text.as_bytes());
            }
            cards = import.finish().map_err(|mistakes| format!("{mistakes:?}"))?;
        }
        Some("test") => {
            let currency = Currency::parse("USD").ok_or("USD is a currency")?;
            let mut card = Card::new("test card", currency, Date::new(2019, 6, 1));
            for market in Market::all() {
                for (of, prices) in [
                    (Tiered::Utility, [10_000, 9_000, 8_000]),
                    (Tiered::Authentication, [10_000, 9_000, 8_000]),
                    (Tiered::AuthenticationInternational, [50_000, 45_000, 40_000]),
                ] {
                    let [list, second, third] = prices.map(Amount::from_millionths);
                    let tiers = VolumeTiers::new(&[
                        TierRow { from: 1, to: Some(1_000), price: list },
                        TierRow { from: 1_001, to: Some(5_000), price: second },
                        TierRow { from: 5_001, to: None, price: third },
                    ]);
                    card.set(market, of.column(), list);
                    card.set_tiers(market, of, tiers.map_err(|mistakes| format!("{mistakes:?}"))?)
                        .map_err(|refused| refused.to_string())?;
                }
                let [list, second] = [1_000, 900].map(Amount::from_millionths);
                let tiers = VolumeTiers::new(&[
                    TierRow { from: 1, to: Some(500_000), price: list },
                    TierRow { from: 500_001, to: None, price: second },
                ]);
                card.set(market, Column::Call, list);
                card.set_tiers(market, Tiered::Call, tiers.map_err(|mistakes| format!("{mistakes:?}"))?)
                    .map_err(|refused| refused.to_string())?;
            }
            cards.add(card);
        }
        Some(other) => return Err(format!("there is no card `{other}`; there are `test` and `sample`")),
    }
    Ok(cards)
}

/// The rules with the candidate rows given, and the cards with their rates.
///
/// # Errors
/// Every mistake in the file.
pub fn candidate(given: &Given, folder: &Path, rules: Rules, cards: &mut Cards) -> Result<Rules, String> {
    let Some(name) = &given.candidate else {
        return Ok(rules);
    };
    let applied = config::candidate::read(&folder.join(name)).and_then(|file| file.apply(rules, cards));
    applied.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}
