//! Rate cards in the platform's own CSV layout (rules.md 7.1).
//!
//! The first line is a title that names the day from which the card holds; the next one names the columns; a
//! missing rate is `n/a`. All mistakes of a card are reported together, each with its line.

use std::fmt;

use crate::domain::money::{Amount, Currency};
use crate::domain::rules::cards::{Card, Column};
use crate::domain::rules::markets::Market;
use crate::domain::time::Date;

/// A mistake in a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong and what to do.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Reads a card. `name` is what outputs call it.
///
/// # Errors
/// Every mistake in it.
pub fn read(name: &str, text: &str) -> Result<Card, Vec<Mistake>> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let mut mistakes = Vec::new();
    let mut from = None;
    let mut columns: Option<Columns> = None;
    let mut card: Option<Card> = None;
    for row in reader.records() {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                mistakes.push(Mistake { line, problem: "it is not CSV in UTF-8".into() });
                continue;
            }
        };
        let line = row.position().map_or(0, csv::Position::line);
        if row.iter().all(str::is_empty) {
            continue;
        }
        let Some(known) = &columns else {
            if let Some(date) = row.get(0).and_then(effective_date) {
                from = Some(date);
            } else if let Some(header) = Columns::parse(&row) {
                columns = Some(header);
            } else if from.is_none() {
                let problem = "the title names no date; it reads like `…, effective October 1, 2026`".into();
                mistakes.push(Mistake { line, problem });
                return Err(mistakes);
            } else {
                let problem = "the columns are not `Market,Currency,Marketing,Utility,Authentication,…`; those that are priced by \
                               are Marketing, Utility, Authentication, Authentication-International, Service, AI Provider, \
                               Notification, Business-Initiated, User-Initiated and Call"
                    .into();
                mistakes.push(Mistake { line, problem });
                return Err(mistakes);
            }
            continue;
        };
        let Some(from) = from else {
            let problem = "no title above the columns says from when the card holds".into();
            mistakes.push(Mistake { line, problem });
            return Err(mistakes);
        };
        read_row(&row, line, known, name, from, &mut card, &mut mistakes);
    }
    match card {
        Some(card) if mistakes.is_empty() => Ok(card),
        None if mistakes.is_empty() => Err(vec![Mistake { line: 1, problem: "the card has no rates".into() }]),
        _ => Err(mistakes),
    }
}

fn read_row(
    row: &csv::StringRecord,
    line: u64,
    columns: &Columns,
    name: &str,
    from: Date,
    card: &mut Option<Card>,
    mistakes: &mut Vec<Mistake>,
) {
    let mut wrong = |problem: String| mistakes.push(Mistake { line, problem });
    let market = row.get(columns.market).unwrap_or_default();
    let Some(market) = Market::named(market) else {
        return wrong(format!("`{market}` is no market of the platform's list"));
    };
    let currency = row.get(columns.currency).unwrap_or_default();
    let Some(currency) = Currency::parse(currency) else {
        return wrong(format!("`{currency}` is no currency; three capital letters are, such as `USD`"));
    };
    let card = card.get_or_insert_with(|| Card::new(name, currency, from));
    if card.currency != currency {
        return wrong(format!(
            "the card is in {:?}, and this row in {currency:?}; give each currency a file",
            card.currency
        ));
    }
    for (column, place) in &columns.rates {
        let rate = row.get(*place).unwrap_or_default();
        if rate.is_empty() || rate.eq_ignore_ascii_case("n/a") {
            continue;
        }
        match Amount::parse(rate).filter(|amount| *amount >= Amount::ZERO) {
            Some(amount) => {
                if card.set(market, *column, amount).is_some() {
                    wrong(format!("`{}` has a rate for this column already", market.name()));
                }
            }
            None => wrong(format!("`{rate}` is no rate; digits with at most six decimals are, or `n/a`")),
        }
    }
}

/// Where the columns stand.
struct Columns {
    market: usize,
    currency: usize,
    rates: Vec<(Column, usize)>,
}

impl Columns {
    /// The header row. A column the rules do not price by, such as `Meta Business Agent`, is passed over.
    fn parse(row: &csv::StringRecord) -> Option<Self> {
        let place = |wanted: &str| row.iter().position(|name| plain(name) == wanted);
        let rates = [
            (Column::Marketing, "marketing"),
            (Column::Utility, "utility"),
            (Column::Authentication, "authentication"),
            (Column::AuthenticationInternational, "authenticationinternational"),
            (Column::Service, "service"),
            (Column::GeneralPurposeAi, "aiprovider"),
            (Column::Notification, "notification"),
            (Column::BusinessInitiated, "businessinitiated"),
            (Column::UserInitiated, "userinitiated"),
            (Column::Call, "call"),
        ];
        let rates: Vec<_> = rates.into_iter().filter_map(|(column, name)| Some((column, place(name)?))).collect();
        let columns = Self { market: place("market")?, currency: place("currency")?, rates };
        (!columns.rates.is_empty()).then_some(columns)
    }
}

/// A column's name in lower-case letters alone: the platform breaks "Authentication-International" in two.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphabetic).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// The day in a title such as `Cost per message in USD …, effective October 1, 2026`.
fn effective_date(title: &str) -> Option<Date> {
    let lower = title.to_ascii_lowercase();
    let (_, rest) = lower.split_once("effective")?;
    let words: Vec<&str> =
        rest.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.windows(3).find_map(|words| {
        let number =
            |word: &str| word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic()).parse::<u16>().ok();
        let month = |word: &str| {
            let place = MONTHS.iter().position(|month| word.len() >= 3 && month.starts_with(word))?;
            u8::try_from(place + 1).ok()
        };
        // `October 1, 2026`, `1 October 2026` and `2026-10-01` are all in use.
        let (year, month, day) = match words {
            [a, b, c] if month(a).is_some() => (number(c)?, month(a)?, number(b)?),
            [a, b, c] if month(b).is_some() => (number(c)?, month(b)?, number(a)?),
            [a, b, c] if a.len() == 4 => (number(a)?, u8::try_from(number(b)?).ok()?, number(c)?),
            _ => return None,
        };
        Date::checked(i16::try_from(year).ok()?, month, u8::try_from(day).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = "\
\"Cost per message in USD on the WhatsApp Business Platform, effective October 1, 2026\",,,,,,
Market,Currency,Marketing,Utility,Authentication,\"Authentication-
International\",Service,Meta Business Agent
Brazil,$US,0.0625,0.0068,0.0068,n/a,0.0068,n/a
India,$US,0.0118,0.0014,0.0014,0.0304,0.0014,n/a
";

    #[test]
    fn the_platforms_own_layout_is_read() {
        let card = read("sample", CARD).expect("a card");
        assert_eq!(card.from, Date::new(2026, 10, 1));
        let rate = |market: &str, column| card.rate(Market::named(market).expect("a market"), column);
        assert_eq!(rate("Brazil", Column::Marketing), Amount::parse("0.0625"));
        assert_eq!(rate("Brazil", Column::AuthenticationInternational), None);
        assert_eq!(rate("India", Column::AuthenticationInternational), Amount::parse("0.0304"));
        assert_eq!(rate("Germany", Column::Service), None);
    }

    #[test]
    fn all_mistakes_are_reported_together_with_their_lines() {
        let broken = CARD.replace("0.0625", "6 cents").replace("India,$US", "Atlantis,$US")
            + "Chile,CLP,1,1,1,n/a,1,n/a\nBrazil,$US,0.1,n/a,n/a,n/a,n/a,n/a\n";
        let mistakes = read("broken", &broken).expect_err("mistakes");
        let lines: Vec<u64> = mistakes.iter().map(|mistake| mistake.line).collect();
        assert_eq!(lines, [4, 5, 6]);
        assert!(mistakes[0].problem.contains("6 cents") && mistakes[1].problem.contains("Atlantis"));
    }

    #[test]
    fn a_card_without_a_date_is_refused() {
        assert!(read("x", "Cost per message\nMarket,Currency,Marketing,Utility,Authentication\n").is_err());
        assert!(read("x", "").is_err());
    }

    #[test]
    fn a_title_may_write_its_date_in_any_of_the_usual_ways() {
        for title in [
            "effective October 1, 2026",
            "effective 1 Oct 2026",
            "effective from 2026-10-01 on",
            "Effective Oct 1st, 2026",
        ] {
            assert_eq!(effective_date(title), Some(Date::new(2026, 10, 1)), "{title}");
        }
        assert_eq!(effective_date("Cost per message"), None);
    }
}
