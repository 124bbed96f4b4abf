//! Candidate rows: rules that are announced, or only thought of, to rehearse what they would change.
//!
//! They stand behind the rows that ship, each later than the last one of its table, so that what has happened is judged as
//! before; and they are named for what they are, so that no output passes a rehearsal off as the platform's rules.

use std::fmt;

use super::Rules;
use super::eras::{EntryPointRule, Era};
use super::international::InternationalRow;
use super::markets::{self, MarketRow};
use crate::domain::time::Date;

/// Rows to be put behind those that ship, each list in ascending order of day.
#[derive(Clone, Debug, Default)]
pub struct Candidate {
    /// Eras that charge by the message.
    pub eras: Vec<Era>,
    /// Rules of free entry points.
    pub entry_points: Vec<EntryPointRule>,
    /// Dials that move to another market.
    pub markets: Vec<MarketRow>,
    /// Countries that get a rate of their own for passcodes.
    pub international: Vec<InternationalRow>,
}

/// A row of a candidate by its table and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowId {
    /// Of the eras.
    Era(usize),
    /// Of the entry point rules.
    EntryPoint(usize),
    /// Of the market map.
    Market(usize),
    /// Of the countries with an international rate.
    International(usize),
}

/// Why a row cannot stand where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misplaced {
    /// A row that it would have to follow begins on this day or later.
    NotAfter(Date),
    /// What is free is counted by the month, so an era begins with one.
    NotFirstOfMonth,
    /// It is no change from the row before it.
    NoChange,
}

impl fmt::Display for Misplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAfter(date) => {
                write!(f, "rows stand in ascending order, behind those that ship: this one has to begin after {date}")
            }
            Self::NotFirstOfMonth => {
                f.write_str("an era begins on the first day of a month, because what is free is counted by the month")
            }
            Self::NoChange => f.write_str("it changes nothing: the calling code is in this market already"),
        }
    }
}

impl Rules {
    /// The rules with candidate rows behind them. The rows live as long as the process: call it once, when it starts.
    ///
    /// # Errors
    /// Every row that cannot stand where it is.
    pub fn with(self, candidate: Candidate) -> Result<Self, Vec<(RowId, Misplaced)>> {
        let mut wrong = Vec::new();
        let mut last = self.eras.last().map(|era| era.from);
        for (at, era) in candidate.eras.iter().enumerate() {
            wrong.extend(follows(&mut last, era.from).map(|why| (RowId::Era(at), why)));
            if era.from != era.from.month().first_day() {
                wrong.push((RowId::Era(at), Misplaced::NotFirstOfMonth));
            }
        }
        let mut last = self.entry_points.last().map(|rule| rule.from);
        for (at, rule) in candidate.entry_points.iter().enumerate() {
            wrong.extend(follows(&mut last, rule.from).map(|why| (RowId::EntryPoint(at), why)));
        }
        for (at, row) in candidate.markets.iter().enumerate() {
            let id = RowId::Market(at);
            let before = candidate.markets[..at].iter().rev().find(|before| before.dial == row.dial).copied();
            match before.or_else(|| markets::last_row(row.dial)) {
                Some(before) if before.from >= row.from => wrong.push((id, Misplaced::NotAfter(before.from))),
                Some(before) if before.market == row.market => wrong.push((id, Misplaced::NoChange)),
                Some(_) | None => {}
            }
        }
        let mut last = self.international.last().map(|row| row.from);
        for (at, row) in candidate.international.iter().enumerate() {
            // Countries that ship with one day may be two rows of a candidate.
            let same = last == Some(row.from) && at > 0;
            wrong.extend(follows(&mut last, row.from).filter(|_| !same).map(|why| (RowId::International(at), why)));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Self {
            eras: behind(self.eras, candidate.eras),
            entry_points: behind(self.entry_points, candidate.entry_points),
            moved: behind(self.moved, candidate.markets),
            international: behind(self.international, candidate.international),
            ..self
        })
    }
}

/// Whether a row follows the last one, which it then is.
fn follows(last: &mut Option<Date>, from: Date) -> Option<Misplaced> {
    let wrong = last.filter(|last| *last >= from).map(Misplaced::NotAfter);
    *last = Some(from).max(*last);
    wrong
}

/// Rows behind others; the others themselves if there are none.
fn behind<T: Clone>(first: &'static [T], more: Vec<T>) -> &'static [T] {
    if more.is_empty() {
        return first;
    }
    let mut rows = first.to_vec();
    rows.extend(more);
    rows.leak()
}

#[cfg(test)]
mod tests {
    use super::super::eras::{AnswerWithin, Charges, MessageTerms, ServicePrice};
    use super::super::markets::{Market, Origin};
    use super::*;
    use crate::domain::time::{Days, Millis};

    fn on(year: i16, month: u8, day: u8) -> Days {
        let date = Date::new(year, month, day);
        Days { first: date, last: date }
    }

    fn era(from: Date, limit: u32) -> Era {
        let terms = MessageTerms {
            service: ServicePrice::FreeUpTo(limit),
            utility_in_window_free: true,
            exempt_service_until: None,
        };
        Era { from, name: "E6", charges: Charges::Messages(terms), source: "a test" }
    }

    #[test]
    fn rows_hold_from_their_day_on_and_change_nothing_before() {
        let market = |name| Market::named(name).expect("a market");
        let candidate = Candidate {
            eras: vec![era(Date::new(2027, 1, 1), 500)],
            entry_points: vec![EntryPointRule {
                from: Date::new(2027, 2, 15),
                name: "F3",
                length: Millis::hours(48),
                up_to: None,
                answer: AnswerWithin::Length(Millis::hours(12)),
                source: "a test",
            }],
            markets: vec![MarketRow { from: Date::new(2027, 1, 1), dial: 82, market: market("Rest of Asia Pacific") }],
            international: vec![InternationalRow { from: Date::new(2027, 1, 1), countries: "KR", source: "a test" }],
        };
        let rules = Rules::default().with(candidate).expect("they are in order");
        let months = [(2026, 12), (2027, 1)].map(|(year, month)| rules.allowance(Date::new(year, month, 1).month()));
        assert_eq!(months, [Some(1_000), Some(500)]);
        let korea = Origin::of_phone("821012345678");
        let of = |year, month, day| rules.market(korea, Date::new(year, month, day)).map(Market::name);
        assert_eq!([of(2026, 12, 31), of(2027, 1, 1)], [Some("Other"), Some("Rest of Asia Pacific")]);
        assert_eq!(
            rules.market(Origin::of_phone("81901234567"), Date::new(2027, 1, 1)),
            Some(market("Rest of Asia Pacific"))
        );
        assert_eq!(rules.entry_point(on(2027, 2, 14)).name, "F2");
        assert_eq!(rules.entry_point(on(2027, 2, 15)).name, "F3");
        assert_eq!(rules.has_international_rate("KR", on(2026, 12, 31)), Some(false));
        assert_eq!(rules.has_international_rate("KR", on(2027, 1, 1)), Some(true));
    }

    #[test]
    fn rows_that_would_change_what_has_been_are_refused() {
        let row = |year, month, dial, market: &str| MarketRow {
            from: Date::new(year, month, 1),
            dial,
            market: Market::named(market).expect("a market"),
        };
        let candidate = Candidate {
            eras: vec![era(Date::new(2026, 10, 1), 1), era(Date::new(2027, 1, 2), 1), era(Date::new(2027, 1, 1), 1)],
            markets: vec![row(2026, 7, 48, "Other"), row(2027, 1, 55, "Brazil"), row(2026, 1, 55, "Chile")],
            ..Candidate::default()
        };
        let wrong = Rules::default().with(candidate).expect_err("they are not in order");
        assert_eq!(
            wrong,
            [
                (RowId::Era(0), Misplaced::NotAfter(Date::new(2026, 10, 1))),
                (RowId::Era(1), Misplaced::NotFirstOfMonth),
                (RowId::Era(2), Misplaced::NotAfter(Date::new(2027, 1, 2))),
                (RowId::Market(0), Misplaced::NotAfter(Date::new(2026, 7, 1))),
                (RowId::Market(1), Misplaced::NoChange),
                (RowId::Market(2), Misplaced::NotAfter(Date::new(2027, 1, 1))),
            ]
        );
    }
}
