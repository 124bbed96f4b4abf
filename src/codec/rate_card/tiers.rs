//! Lists of volume tiers: a row for each market, category and tier.

use std::collections::BTreeMap;

use super::table::{Row, Table};
use super::{Mistake, Place, market_and_currency, place_of, plain, rate};
use crate::domain::money::Currency;
use crate::domain::rules::cards::Cards;
use crate::domain::rules::markets::Market;
use crate::domain::rules::tiers::{TierRow, Tiered, VolumeTiers};
use crate::domain::time::Date;

const CATEGORY: [&str; 3] = ["category", "messagecategory", "messagetype"];
const FROM: [&str; 3] = ["from", "volumefrom", "lower"];
const TO: [&str; 3] = ["to", "volumeto", "upper"];
const RATE: [&str; 3] = ["rate", "price", "tierrate"];

/// Where the columns stand.
pub(super) struct Columns {
    market: u32,
    currency: u32,
    category: u32,
    from: u32,
    to: u32,
    rate: u32,
}

impl Columns {
    /// Whether a header is that of a list of tiers: it has bounds.
    pub fn are_in(header: &Row) -> bool {
        header.cells().any(|(_, text)| {
            let name = plain(text);
            FROM.contains(&name.as_str()) || TO.contains(&name.as_str())
        })
    }

    /// The columns of a header.
    pub fn parse(table: &Table, header: &Row) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut find = |shown: &str, names: &[&str]| {
            let found = place_of(table, header, names, &mut mistakes);
            if found.is_none() {
                let problem = format!(
                    "there is no column `{shown}`; a list of volume tiers has `Market,Currency,Category,From,To,Rate`"
                );
                mistakes.push(table.place(header, None).mistake(problem));
            }
            found.unwrap_or_default()
        };
        let columns = Self {
            market: find("Market", &["market"]),
            currency: find("Currency", &["currency"]),
            category: find("Category", &CATEGORY),
            from: find("From", &FROM),
            to: find("To", &TO),
            rate: find("Rate", &RATE),
        };
        if mistakes.is_empty() { Ok(columns) } else { Err(mistakes) }
    }
}

/// The tiers that a table lists, before they are put on a card.
pub(super) struct TierList {
    from: Date,
    /// By currency, market and category: the tiers and where they begin.
    tiers: BTreeMap<(Currency, Market, Tiered), (VolumeTiers, Place)>,
}

impl TierList {
    /// Puts the tiers on their cards. If some card could not be read, one that is not there is no mistake of this list.
    pub fn put_on(self, cards: &mut Cards, incomplete: bool, mistakes: &mut Vec<Mistake>) {
        let mut without_card: Option<Currency> = None;
        for ((currency, market, of), (tiers, place)) in self.tiers {
            if let Some(card) = cards.beginning(currency, self.from) {
                if let Err(refused) = card.set_tiers(market, of, tiers) {
                    let problem = format!("{}, {}: {refused}", market.name(), of.name());
                    mistakes.push(place.mistake(problem));
                }
            } else if !incomplete && without_card != Some(currency) {
                without_card = Some(currency);
                let problem = format!(
                    "no list of rates is for {currency:?} from {}, and tiers begin at its rates; add the list of the same day",
                    self.from
                );
                mistakes.push(place.mistake(problem));
            }
        }
    }
}

/// Reads the rows of a list: what could be, and the mistakes in the rest.
pub(super) fn read(table: &Table, rows: &[Row], columns: &Columns, from: Date) -> (TierList, Vec<Mistake>) {
    let mut mistakes = Vec::new();
    let mut groups: BTreeMap<(Currency, Market, Tiered), (Vec<TierRow>, Place)> = BTreeMap::new();
    // Of a market with a mistake in one row nothing can be said of gaps between the others.
    let mut broken = Vec::new();
    for row in rows {
        let before = mistakes.len();
        let named = market_and_currency(table, row, (columns.market, columns.currency), &mut mistakes);
        let category = row.get(columns.category);
        let of = Tiered::ALL.into_iter().find(|of| plain(of.name()) == plain(category));
        if of.is_none() {
            let problem = format!(
                "`{category}` has no volume tiers; Utility, Authentication, Authentication-International and Call have"
            );
            mistakes.push(table.place(row, Some(columns.category)).mistake(problem));
        }
        let bounds = bounds(table, row, columns, &mut mistakes);
        let price = rate(table, row, columns.rate, &mut mistakes);
        let Some(((market, currency), of)) = named.zip(of) else {
            continue;
        };
        let key = (currency, market, of);
        if mistakes.len() > before {
            broken.push(key);
        } else if let Some(((from, to), price)) = bounds.zip(price) {
            let place = || table.place(row, None);
            // What is listed in minutes is counted in pulses.
            let each = of.listed_in();
            let from = from.checked_sub(1).map_or(0, |before| before.saturating_mul(each) + 1);
            let to = to.map(|to| to.saturating_mul(each));
            groups.entry(key).or_insert_with(|| (Vec::new(), place())).0.push(TierRow { from, to, price });
        }
    }
    let mut tiers = BTreeMap::new();
    for (key, (rows, place)) in groups {
        if broken.contains(&key) {
            continue;
        }
        match VolumeTiers::new(&rows) {
            Ok(made) => {
                tiers.insert(key, (made, place));
            }
            Err(wrong) => mistakes.extend(wrong.into_iter().map(|wrong| {
                let problem = format!("{}, {}: {wrong}", key.1.name(), key.2.name());
                place.clone().mistake(problem)
            })),
        }
    }
    if tiers.is_empty() && mistakes.is_empty() {
        mistakes.push(table.first_place().mistake("the list has no tiers"));
    }
    (TierList { from, tiers }, mistakes)
}

/// From which message of the month to which: an end that is empty, `n` or `MAX` is open.
fn bounds(table: &Table, row: &Row, columns: &Columns, mistakes: &mut Vec<Mistake>) -> Option<(u64, Option<u64>)> {
    let (from, to) = (row.get(columns.from), row.get(columns.to));
    let mut wrong = |column, text: &str, expected: &str| {
        mistakes.push(table.place(row, Some(column)).mistake(format!("`{text}` is no number of messages; {expected}")));
    };
    let first = whole(from);
    if first.is_none() {
        wrong(columns.from, from, "a whole number is, such as `100,001`");
    }
    let open = to.is_empty() || to.eq_ignore_ascii_case("n") || to.eq_ignore_ascii_case("max");
    let last = whole(to);
    if !open && last.is_none() {
        wrong(columns.to, to, "a whole number is, such as `1,000,000`, or `n` for an open end");
    }
    match (first, last) {
        (Some(first), None) if open => Some((first, None)),
        (Some(first), Some(last)) => Some((first, Some(last))),
        _ => None,
    }
}

/// A whole number, perhaps with commas between its thousands.
fn whole(text: &str) -> Option<u64> {
    let digits: String = text.chars().filter(|letter| *letter != ',').collect();
    // `parse` would take a plus sign too.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}
