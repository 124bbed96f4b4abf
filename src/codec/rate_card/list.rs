//! Lists of rates: a market a row, a category a column.

use super::table::{Row, Table};
use super::{Mistake, market_and_currency, place_of, rate};
use crate::domain::rules::cards::{Card, Column};
use crate::domain::time::Date;

/// The columns that are priced by, by their names without anything but letters. Another one, such as `Meta Business
/// Agent`, is passed over.
const PRICED: [(Column, &str); Column::COUNT] = [
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

/// Where the columns stand.
pub(super) struct Columns {
    market: u32,
    currency: u32,
    rates: Vec<(Column, u32)>,
}

impl Columns {
    /// The columns of a header.
    pub fn parse(table: &Table, header: &Row) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let market = place_of(table, header, &["market"], &mut mistakes);
        let currency = place_of(table, header, &["currency"], &mut mistakes);
        let rates: Vec<(Column, u32)> = PRICED
            .iter()
            .filter_map(|(column, name)| Some((*column, place_of(table, header, &[name], &mut mistakes)?)))
            .collect();
        let mut missing = |what: &str| mistakes.push(table.place(header, None).mistake(what));
        if currency.is_none() {
            missing("there is no column `Currency`");
        }
        if rates.is_empty() {
            missing(
                "no column is one that is priced by: Marketing, Utility, Authentication, Authentication-International, \
                 Service, AI Provider, Notification, Business-Initiated and User-Initiated are",
            );
        }
        match (market, currency) {
            (Some(market), Some(currency)) if mistakes.is_empty() => Ok(Self { market, currency, rates }),
            _ => Err(mistakes),
        }
    }
}

/// Reads the rows of a list. `name` is what outputs call the card.
pub(super) fn read(
    table: &Table,
    rows: &[Row],
    columns: &Columns,
    name: &str,
    from: Date,
) -> Result<Card, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut card: Option<Card> = None;
    for row in rows {
        let places = (columns.market, columns.currency);
        let named = market_and_currency(table, row, places, &mut mistakes);
        // A row that names no market may have other mistakes, and they are told too.
        let rates: Vec<_> = columns
            .rates
            .iter()
            .filter_map(|(column, at)| Some((*column, *at, rate(table, row, *at, &mut mistakes)?)))
            .collect();
        let Some((market, currency)) = named else {
            continue;
        };
        let card = card.get_or_insert_with(|| Card::new(name, currency, from));
        if card.currency != currency {
            let problem =
                format!("the card is in {:?}, and this row in {currency:?}; give each currency a file", card.currency);
            mistakes.push(table.place(row, Some(columns.currency)).mistake(problem));
            continue;
        }
        for (column, at, amount) in rates {
            if card.set(market, column, amount).is_some() {
                let problem = format!("`{}` has a rate for this column already", market.name());
                mistakes.push(table.place(row, Some(at)).mistake(problem));
            }
        }
    }
    if card.is_none() && mistakes.is_empty() {
        mistakes.push(table.first_place().mistake("the card has no rates"));
    }
    card.filter(|_| mistakes.is_empty()).ok_or(mistakes)
}
