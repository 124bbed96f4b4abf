//! Candidate rows from a file: what an announced change of rules and prices would do, rehearsed on real traffic
//! (docs/candidates.md is the format for users).

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::{Mistake, parse_date, parse_length};
use crate::domain::content::Category;
use crate::domain::money::{Amount, Currency};
use crate::domain::rules::Rules;
use crate::domain::rules::candidate::{Candidate, RowId};
use crate::domain::rules::cards::{Cards, Column};
use crate::domain::rules::eras::{AnswerWithin, Charges, EntryPointRule, Era, MessageTerms, ServicePrice};
use crate::domain::rules::international::InternationalRow;
use crate::domain::rules::markets::{Market, MarketRow};
use crate::domain::rules::tiers::{TierRow, Tiered, VolumeTiers};
use crate::domain::time::Date;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    source: String,
    #[serde(default)]
    era: Vec<Spanned<RawEra>>,
    #[serde(default)]
    entry_point: Vec<Spanned<RawEntryPoint>>,
    #[serde(default)]
    market: Vec<Spanned<RawMarket>>,
    #[serde(default)]
    international: Vec<Spanned<RawInternational>>,
    #[serde(default)]
    rate: Vec<Spanned<RawRate>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEra {
    name: String,
    from: String,
    free_service: Option<FreeService>,
    utility_in_window_free: Option<bool>,
    exempt_service_until: Option<String>,
}

/// How many messages that are no template are free in a month, or `all`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum FreeService {
    UpTo(u32),
    Word(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntryPoint {
    name: String,
    from: String,
    length: Option<String>,
    up_to: Option<String>,
    answer_within: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMarket {
    name: String,
    from: String,
    calling_codes: Vec<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInternational {
    from: String,
    countries: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRate {
    from: String,
    currency: String,
    market: String,
    category: String,
    rate: String,
    #[serde(default)]
    tiers: Vec<RawTier>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTier {
    from: u64,
    to: Option<u64>,
    rate: String,
}

/// A price from a day on.
struct Change {
    line: usize,
    from: Date,
    currency: Currency,
    market: Market,
    column: Column,
    rate: Amount,
    tiers: Option<(Tiered, VolumeTiers)>,
}

/// A file of candidate rows, read and not yet put behind those that ship.
pub struct File {
    place: String,
    name: String,
    candidate: Candidate,
    lines: Lines,
    changes: Vec<Change>,
    /// What identifies it.
    pub digest: [u8; 16],
}

/// On which line each row of the rules stands.
#[derive(Default)]
struct Lines {
    eras: Vec<usize>,
    entry_points: Vec<usize>,
    markets: Vec<usize>,
    international: Vec<usize>,
}

/// Reads a file of candidate rows.
///
/// # Errors
/// Every mistake in it.
pub fn read(path: &Path) -> Result<File, Vec<Mistake>> {
    let place = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![Mistake::new(place.clone(), format!("the candidate rows cannot be read: {error}"))])?;
    let name = path.file_name().map_or_else(|| place.clone(), |name| name.to_string_lossy().into_owned());
    parse(&text, place, &name)
}

/// Reads the text of a file. `place` is what mistakes call it, and `name` what outputs do.
///
/// # Errors
/// Every mistake in it.
pub fn parse(text: &str, place: String, name: &str) -> Result<File, Vec<Mistake>> {
    let raw: Raw = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| line_of(text, &span));
        let place = line.map_or_else(|| place.clone(), |line| format!("{place}, line {line}"));
        vec![Mistake::new(place, error.message())]
    })?;
    let source: &'static str = format!("candidate {name}: {}", raw.source).leak();
    let mut reader = Reader { place: &place, name, source, line: 0, mistakes: Vec::new() };
    let (mut lines, mut candidate, mut changes) = (Lines::default(), Candidate::default(), Vec::new());
    for row in &raw.era {
        reader.line = line_of(text, &row.span());
        if let Some(era) = reader.era(row.get_ref(), candidate.eras.last()) {
            candidate.eras.push(era);
            lines.eras.push(reader.line);
        }
    }
    for row in &raw.entry_point {
        reader.line = line_of(text, &row.span());
        if let Some(rule) = reader.entry_point(row.get_ref(), candidate.entry_points.last()) {
            candidate.entry_points.push(rule);
            lines.entry_points.push(reader.line);
        }
    }
    for row in &raw.market {
        reader.line = line_of(text, &row.span());
        let rows = reader.market(row.get_ref());
        lines.markets.extend(rows.iter().map(|_| reader.line));
        candidate.markets.extend(rows);
    }
    for row in &raw.international {
        reader.line = line_of(text, &row.span());
        if let Some(row) = reader.international(row.get_ref()) {
            candidate.international.push(row);
            lines.international.push(reader.line);
        }
    }
    for row in &raw.rate {
        reader.line = line_of(text, &row.span());
        changes.extend(reader.rate(row.get_ref()));
    }
    if !reader.mistakes.is_empty() {
        return Err(reader.mistakes);
    }
    let digest = crate::codec::ids::hash(&[name.as_bytes(), text.as_bytes()]);
    Ok(File { place, name: name.to_owned(), candidate, lines, changes, digest })
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    text[..span.start.min(text.len())].matches('\n').count() + 1
}

/// Reads rows; nothing comes of one with a mistake in it.
struct Reader<'r> {
    place: &'r str,
    name: &'r str,
    source: &'static str,
    /// The line of the row being read.
    line: usize,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn wrong(&mut self, problem: impl Into<String>) {
        self.mistakes.push(Mistake::new(format!("{}, line {}", self.place, self.line), problem));
    }

    /// A value, or the mistake that it is none.
    fn need<T>(&mut self, value: Option<T>, problem: impl FnOnce() -> String) -> Option<T> {
        if value.is_none() {
            self.wrong(problem());
        }
        value
    }

    fn date(&mut self, text: &str) -> Option<Date> {
        self.need(parse_date(text), || format!("`{text}` is no date; write `2027-01-01`"))
    }

    fn amount(&mut self, text: &str) -> Option<Amount> {
        let amount = Amount::parse(text).filter(|amount| *amount >= Amount::ZERO);
        self.need(amount, || format!("`{text}` is no rate; digits with at most six decimals are"))
    }

    /// A row's name on outputs: it says that it is a candidate's, and of which file.
    fn named(&self, name: &str) -> &'static str {
        format!("{name} (candidate {})", self.name).leak()
    }

    /// An era that charges by the message; what the row does not name is as in the era before it.
    fn era(&mut self, row: &RawEra, before: Option<&Era>) -> Option<Era> {
        let defaults = Rules::default();
        let terms = before.or(defaults.eras.last()).and_then(Era::messages);
        let terms = self.need(terms, || "the era before it does not charge by the message".into())?.clone();
        let from = self.date(&row.from);
        let service = match &row.free_service {
            None => Some(terms.service),
            Some(FreeService::UpTo(limit)) => Some(ServicePrice::FreeUpTo(*limit)),
            Some(FreeService::Word(word)) if word == "all" => Some(ServicePrice::Free),
            Some(FreeService::Word(word)) => self
                .need(None, || format!("`{word}` is no number of free messages; a whole number a month is, or `all`")),
        };
        let exempt_service_until = match &row.exempt_service_until {
            None => Some(terms.exempt_service_until),
            Some(date) => self.date(date).map(Some),
        };
        let utility_in_window_free = row.utility_in_window_free.unwrap_or(terms.utility_in_window_free);
        let terms =
            MessageTerms { service: service?, utility_in_window_free, exempt_service_until: exempt_service_until? };
        Some(Era { from: from?, name: self.named(&row.name), charges: Charges::Messages(terms), source: self.source })
    }

    /// A rule of free entry points; what the row does not name is as in the rule before it.
    fn entry_point(&mut self, row: &RawEntryPoint, before: Option<&EntryPointRule>) -> Option<EntryPointRule> {
        let defaults = Rules::default();
        let before = before.or(defaults.entry_points.last());
        let from = self.date(&row.from);
        let mut length = |text: &str| {
            self.need(parse_length(text), || format!("`{text}` is no length of time; write `72h` or `7d`"))
        };
        let whole = match &row.length {
            None => before.map(|rule| rule.length),
            Some(text) => length(text),
        };
        let up_to = match &row.up_to {
            None => before.and_then(|rule| rule.up_to),
            Some(text) => length(text),
        };
        let answer = match row.answer_within.as_deref() {
            None => before.map(|rule| rule.answer),
            Some("service_window") => Some(AnswerWithin::ServiceWindow),
            Some(text) => length(text).map(AnswerWithin::Length),
        };
        Some(EntryPointRule {
            from: from?,
            name: self.named(&row.name),
            length: whole?,
            up_to,
            answer: answer?,
            source: self.source,
        })
    }

    /// The calling codes that a market gets, one row for each.
    fn market(&mut self, row: &RawMarket) -> Vec<MarketRow> {
        let from = self.date(&row.from);
        let name = row.name.trim();
        let market = if name.is_empty() { None } else { Market::added(name) };
        let market = self.need(market, || format!("`{name}` cannot be a market's name"));
        if row.calling_codes.is_empty() {
            self.wrong("no calling code moves to it; name some, such as `calling_codes = [254]`");
        }
        from.zip(market).map_or_else(Vec::new, |(from, market)| {
            row.calling_codes.iter().map(|dial| MarketRow { from, dial: *dial, market }).collect()
        })
    }

    fn international(&mut self, row: &RawInternational) -> Option<InternationalRow> {
        let from = self.date(&row.from);
        let letters = |country: &String| country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
        if row.countries.is_empty() || !row.countries.iter().all(letters) {
            self.wrong("countries are named by two capital letters, such as `countries = [\"KE\"]`");
            return None;
        }
        Some(InternationalRow { from: from?, countries: row.countries.join(" ").leak(), source: self.source })
    }

    fn rate(&mut self, row: &RawRate) -> Option<Change> {
        let from = self.date(&row.from);
        let currency = self.need(Currency::parse(&row.currency), || {
            format!("`{}` is no currency; three capital letters are, such as `USD`", row.currency)
        });
        let market = self.need(Market::named(&row.market), || {
            format!("`{}` is no market; the platform's are, and those of the rows above", row.market)
        });
        let column = self.need(Column::of(&Category::parse(&row.category)), || {
            format!("`{}` has no rate; marketing, utility, authentication and service have", row.category)
        });
        let rate = self.amount(&row.rate);
        let tiers = if row.tiers.is_empty() { Some(None) } else { self.tiers(row, column, rate).map(Some) };
        Some(Change {
            line: self.line,
            from: from?,
            currency: currency?,
            market: market?,
            column: column?,
            rate: rate?,
            tiers: tiers?,
        })
    }

    fn tiers(&mut self, row: &RawRate, column: Option<Column>, list: Option<Amount>) -> Option<(Tiered, VolumeTiers)> {
        let rows: Option<Vec<TierRow>> = row
            .tiers
            .iter()
            .map(|tier| Some(TierRow { from: tier.from, to: tier.to, price: self.amount(&tier.rate)? }))
            .collect();
        let of = self.need(Tiered::in_column(column?), || format!("`{}` has no volume tiers", row.category))?;
        match VolumeTiers::new(&rows?) {
            Ok(tiers) if Some(tiers.list_rate()) == list => Some((of, tiers)),
            Ok(tiers) => {
                self.wrong(format!(
                    "its first tier is {}, and the rate {}: they are the same",
                    tiers.list_rate(),
                    row.rate
                ));
                None
            }
            Err(mistakes) => {
                for mistake in mistakes {
                    self.wrong(mistake.to_string());
                }
                None
            }
        }
    }
}

impl File {
    /// Puts the rows behind those that ship, and the rates on copies of the cards they change.
    ///
    /// # Errors
    /// Every row that has no place there.
    pub fn apply(self, rules: Rules, cards: &mut Cards) -> Result<Rules, Vec<Mistake>> {
        let mut mistakes = self.change(cards);
        let with = rules.with(self.candidate).map_err(|wrong| {
            wrong.into_iter().map(|(id, why)| {
                let line = match id {
                    RowId::Era(at) => self.lines.eras.get(at),
                    RowId::EntryPoint(at) => self.lines.entry_points.get(at),
                    RowId::Market(at) => self.lines.markets.get(at),
                    RowId::International(at) => self.lines.international.get(at),
                };
                Mistake::new(format!("{}, line {}", self.place, line.copied().unwrap_or_default()), why.to_string())
            })
        });
        match with {
            Ok(rules) if mistakes.is_empty() => Ok(rules),
            Ok(_) => Err(mistakes),
            Err(wrong) => {
                mistakes.extend(wrong);
                Err(mistakes)
            }
        }
    }

    /// Changes rates: on a card of its own, which is otherwise the one in force on its first day.
    fn change(&self, cards: &mut Cards) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let mut begun: Vec<(Currency, Date)> = Vec::new();
        let mut changes: Vec<&Change> = self.changes.iter().collect();
        // A later change stands on a card that has the earlier ones.
        changes.sort_by_key(|change| change.from);
        for change in changes {
            let Change { from, currency, market, column, rate, .. } = *change;
            let mut wrong =
                |problem: String| mistakes.push(Mistake::new(format!("{}, line {}", self.place, change.line), problem));
            if !begun.contains(&(currency, from)) {
                let Some(base) = cards.in_force(currency, from) else {
                    wrong(format!("no rate card of {currency:?} is in force on {from}; load the one that it changes"));
                    continue;
                };
                if base.from == from {
                    wrong(format!("the rate card {} begins on {from} too; change it there", base.name));
                    continue;
                }
                let name = format!("{} (candidate {})", base.name, self.name);
                let mut card = base.clone();
                card.name = name.into();
                card.from = from;
                cards.add(card);
                begun.push((currency, from));
            }
            let Some(card) = cards.beginning(currency, from) else {
                continue;
            };
            let had_tiers = Tiered::in_column(column).is_some_and(|of| card.clear_tiers(market, of));
            card.set(market, column, rate);
            match &change.tiers {
                Some((of, tiers)) => {
                    if let Err(refused) = card.set_tiers(market, *of, tiers.clone()) {
                        wrong(refused.to_string());
                    }
                }
                None if had_tiers => {
                    wrong(format!(
                        "{} has volume tiers for it, which begin at its rate; give the new ones in `tiers`",
                        card.name
                    ));
                }
                None => {}
            }
        }
        mistakes
    }
}
