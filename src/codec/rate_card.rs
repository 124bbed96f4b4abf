//! Rate cards from the platform's own files: lists of rates and of volume tiers, as CSV or as workbooks (rules.md 7.1;
//! docs/rate-cards.md is the format for users).
//!
//! What a file is, is told by its content, not by its name: the platform's "csv" of October 2026 is a workbook. A title above
//! the columns names the day from which it holds, the columns tell whether it lists rates or tiers. Files may come in any
//! order; tiers are put on the card of their currency and day when all have been read. All mistakes of all files are
//! reported together.

mod list;
mod table;
mod tiers;
mod workbook;

use std::fmt;
use std::sync::Arc;

use crate::domain::money::{Amount, Currency};
use crate::domain::rules::cards::Cards;
use crate::domain::rules::markets::Market;
use crate::domain::time::Date;
use table::{Row, Table};
use tiers::TierList;

/// A mistake in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it is.
    pub place: Place,
    /// What is wrong and what to do.
    pub problem: String,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<str>,
    /// The sheet, in a workbook.
    pub sheet: Option<Arc<str>>,
    /// The line of a text, the row of a sheet, from 1; 0 where it is the whole file or sheet.
    pub row: u64,
    /// The column, from 0, where it is about one.
    pub column: Option<u32>,
}

impl Place {
    fn file(file: &str) -> Self {
        Self { file: file.into(), sheet: None, row: 0, column: None }
    }

    fn mistake(self, problem: impl Into<String>) -> Mistake {
        Mistake { place: self, problem: problem.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(sheet) = &self.sheet {
            write!(f, ", sheet `{sheet}`")?;
        }
        match (self.row, self.column) {
            (0, _) => Ok(()),
            (row, Some(column)) if self.sheet.is_some() => write!(f, ", cell {}{row}", letters(column)),
            (row, None) if self.sheet.is_some() => write!(f, ", row {row}"),
            (row, Some(column)) => write!(f, ", line {row}, column {}", u64::from(column) + 1),
            (row, None) => write!(f, ", line {row}"),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// A column as workbooks name it: A, B, …, Z, AA, AB.
fn letters(column: u32) -> String {
    let mut letters = Vec::new();
    let mut rest = u64::from(column) + 1;
    while rest > 0 {
        letters.push(char::from(b'A' + ((rest - 1) % 26) as u8));
        rest = (rest - 1) / 26;
    }
    letters.iter().rev().collect()
}

/// Reads the files of a deployment, one by one, into its cards.
#[derive(Default)]
pub struct Import {
    cards: Cards,
    tiers: Vec<TierList>,
    /// Whether a list of rates could not be read, so that nothing can be said about what is missing.
    incomplete: bool,
    mistakes: Vec<Mistake>,
}

impl Import {
    /// Reads a file. `file` is what mistakes call it, and `name` what outputs do.
    pub fn add(&mut self, file: &str, name: &str, bytes: &[u8]) {
        let tables = match table::read(file, bytes) {
            Ok(tables) => tables,
            Err(mistakes) => return self.refuse(mistakes),
        };
        let mut found = 0;
        for table in &tables {
            match Head::find(table) {
                Ok(Some(head)) => {
                    found += 1;
                    self.read(table, head, name);
                }
                Ok(None) => {}
                Err(mistakes) => {
                    found += 1;
                    self.refuse(mistakes);
                }
            }
        }
        // A sheet of notes may stand beside those that count.
        if found == 0 {
            let place = tables.first().map_or_else(|| Place::file(file), Table::first_place);
            let problem = "no row names the columns: a list of rates has `Market,Currency,Marketing,Utility,Authentication,…`, \
                           a list of volume tiers `Market,Currency,Category,From,To,Rate`";
            self.refuse(vec![place.mistake(problem)]);
        }
    }

    /// Tells that a file could not be opened, so that tiers without a card may be those of its card.
    pub fn missing(&mut self) {
        self.incomplete = true;
    }

    fn read(&mut self, table: &Table, head: Head, name: &str) {
        let rows = &table.rows[head.row + 1..];
        match head.columns {
            Columns::List(columns) => match list::read(table, rows, &columns, name, head.from) {
                Ok(card) => {
                    let (currency, from) = (card.currency, card.from);
                    if !self.cards.add(card) {
                        let problem = format!("another card is for {currency:?} from {from} too; keep one");
                        self.mistakes.push(table.place(&table.rows[head.row], None).mistake(problem));
                    }
                }
                Err(mistakes) => self.refuse(mistakes),
            },
            Columns::Tiers(columns) => {
                let (list, mistakes) = tiers::read(table, rows, &columns, head.from);
                self.tiers.push(list);
                self.mistakes.extend(mistakes);
            }
        }
    }

    fn refuse(&mut self, mistakes: Vec<Mistake>) {
        self.incomplete = true;
        self.mistakes.extend(mistakes);
    }

    /// The cards, with their tiers.
    ///
    /// # Errors
    /// Every mistake in every file.
    pub fn finish(mut self) -> Result<Cards, Vec<Mistake>> {
        for list in self.tiers {
            list.put_on(&mut self.cards, self.incomplete, &mut self.mistakes);
        }
        if self.mistakes.is_empty() { Ok(self.cards) } else { Err(self.mistakes) }
    }
}

/// What stands above a table's rows.
struct Head {
    /// The day from which the table holds.
    from: Date,
    /// The place, among the table's rows, of the one that names the columns.
    row: usize,
    columns: Columns,
}

enum Columns {
    List(list::Columns),
    Tiers(tiers::Columns),
}

impl Head {
    /// The head of a table; nothing if no row of it names a market's column, as in a sheet of notes.
    fn find(table: &Table) -> Result<Option<Self>, Vec<Mistake>> {
        let is_header = |row: &Row| row.cells().any(|(_, text)| plain(text) == "market");
        let Some(row) = table.rows.iter().position(is_header) else {
            return Ok(None);
        };
        let header = &table.rows[row];
        let mut mistakes = Vec::new();
        let from = table.rows[..row].iter().find_map(|row| effective_date(&row.text()));
        if from.is_none() {
            let problem =
                "no title above the columns says from when it holds; it reads like `…, effective October 1, 2026`";
            mistakes.push(table.place(header, None).mistake(problem));
        }
        let columns = if tiers::Columns::are_in(header) {
            tiers::Columns::parse(table, header).map(Columns::Tiers)
        } else {
            list::Columns::parse(table, header).map(Columns::List)
        };
        match (from, columns) {
            (Some(from), Ok(columns)) => Ok(Some(Self { from, row, columns })),
            (_, columns) => {
                mistakes.extend(columns.err().unwrap_or_default());
                Err(mistakes)
            }
        }
    }
}

/// Where a column of one of these names stands, if any does; it is a mistake if several do.
fn place_of(table: &Table, header: &Row, names: &[&str], mistakes: &mut Vec<Mistake>) -> Option<u32> {
    let mut places = header.cells().filter(|(_, text)| names.contains(&plain(text).as_str())).map(|(column, _)| column);
    let first = places.next()?;
    for again in places {
        let text = header.get(again);
        let problem = format!("`{text}` names a column that stands in column {} already", letters(first));
        mistakes.push(table.place(header, Some(again)).mistake(problem));
    }
    Some(first)
}

/// A column's name in lower-case letters alone: the platform breaks "Authentication-International" in two.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphabetic).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// The market and the currency of a row.
fn market_and_currency(
    table: &Table,
    row: &Row,
    places: (u32, u32),
    mistakes: &mut Vec<Mistake>,
) -> Option<(Market, Currency)> {
    let (market_text, currency_text) = (row.get(places.0), row.get(places.1));
    let market = Market::named(market_text);
    if market.is_none() {
        let problem = format!("`{market_text}` is no market of the platform's list");
        mistakes.push(table.place(row, Some(places.0)).mistake(problem));
    }
    let currency = Currency::parse(currency_text);
    if currency.is_none() {
        let problem = format!("`{currency_text}` is no currency; three capital letters are, such as `USD`");
        mistakes.push(table.place(row, Some(places.1)).mistake(problem));
    }
    market.zip(currency)
}

/// A rate: nothing where the cell is empty or says that there is none.
fn rate(table: &Table, row: &Row, column: u32, mistakes: &mut Vec<Mistake>) -> Option<Amount> {
    let text = row.get(column);
    if text.is_empty() || text.eq_ignore_ascii_case("n/a") {
        return None;
    }
    let rate = Amount::parse(text).filter(|amount| *amount >= Amount::ZERO);
    if rate.is_none() {
        let problem = format!("`{text}` is no rate; digits with at most six decimals are, or `n/a`");
        mistakes.push(table.place(row, Some(column)).mistake(problem));
    }
    rate
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
