//! The dated rows of price and of windows. Rows are appended, never edited: a replay bills an old message
//! by its old row. `from` is a date in the account's own time zone, whose midnight the platform uses.

use crate::domain::time::{Date, Millis};

/// A pricing era with a price per delivered message (rules.md 1.6, 1.7).
#[derive(Debug, PartialEq, Eq)]
pub struct Era {
    /// The first day, in the account's zone, of the charge instant.
    pub from: Date,
    /// The row's name on outputs.
    pub name: &'static str,
    /// What a message that is no template costs.
    pub service: ServicePrice,
    /// Whether a utility template in an open service window is free.
    pub utility_in_window_free: bool,
    /// Whether eligible governments and non-profits pay for service messages beyond the allowance.
    pub exempt_service_until: Option<Date>,
    /// Where the rule was read.
    pub source: &'static str,
}

/// What a message that is no template costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServicePrice {
    /// Nothing, ever.
    Free,
    /// Nothing for so many deliveries per business phone number and calendar month, then the market's rate.
    FreeUpTo(u32),
}

/// The eras with a price per message. Days before the first row belong to notification and conversation
/// pricing, which this version does not price: their lines are unknown, and say so.
#[rustfmt::skip]
pub const ERAS: [Era; 2] = [
    Era { from: Date::new(2025,  7, 1), name: "E4", service: ServicePrice::Free,            utility_in_window_free: true,  exempt_service_until: None,
          source: "PRICE; ST; CHG #315, #316 (rules.md 1.6)" },
    Era { from: Date::new(2026, 10, 1), name: "E5", service: ServicePrice::FreeUpTo(1_000), utility_in_window_free: false, exempt_service_until: Some(Date::new(2028, 1, 1)),
          source: "NTM; PRICE-SEP; PRICE-OCT; ST 2026-09-14 (rules.md 1.7)" },
];

const _: () = {
    let mut at = 1;
    while at < ERAS.len() {
        assert!(ERAS[at - 1].from.before(ERAS[at].from), "eras stand in ascending order of date");
        at += 1;
    }
};

/// The era of a day; `None` before per-message pricing.
#[must_use]
pub fn era(date: Date) -> Option<&'static Era> {
    ERAS.iter().rev().find(|era| era.from <= date)
}

/// How long the service window stays open after each inbound event: 24 hours, half-open, in all eras
/// (CSW; PRICE's example closes at hour 26 a window of hour 2).
pub const SERVICE_WINDOW: Millis = Millis::hours(24);

/// A free entry point's length and its deadline for the answer (rules.md 1.1, 2.2).
#[derive(Debug, PartialEq, Eq)]
pub struct EntryPointRule {
    /// The first day, in the account's zone, of the answer.
    pub from: Date,
    /// The row's name on outputs.
    pub name: &'static str,
    /// How long everything is free from the answer on, unless the platform's timestamp says otherwise.
    pub length: Millis,
    /// By when the business must answer.
    pub answer: AnswerWithin,
    /// Where the rule was read.
    pub source: &'static str,
}

/// By when the business must answer a click for the entry point to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerWithin {
    /// So long after the click, half-open.
    Length(Millis),
    /// While the service window is open.
    ServiceWindow,
}

/// The rows. F2's length is not published: 72 hours, provisional, until the platform's timestamp is seen.
#[rustfmt::skip]
pub const ENTRY_POINTS: [EntryPointRule; 3] = [
    EntryPointRule { from: Date::new(2019, 6,  1), name: "F0", length: Millis::hours(24), answer: AnswerWithin::Length(Millis::hours(24)),
                     source: "CBP22: the first conversation, 24 h" },
    EntryPointRule { from: Date::new(2023, 3,  1), name: "F1", length: Millis::hours(72), answer: AnswerWithin::Length(Millis::hours(24)),
                     source: "CBP; PRICE" },
    EntryPointRule { from: Date::new(2026, 9, 28), name: "F2", length: Millis::hours(72), answer: AnswerWithin::ServiceWindow,
                     source: "PRICE-SEP; PRICE-OCT: up to 7 days, within the service window (rules.md 10 #4, #5)" },
];

const _: () = {
    let mut at = 1;
    while at < ENTRY_POINTS.len() {
        assert!(ENTRY_POINTS[at - 1].from.before(ENTRY_POINTS[at].from), "rows stand in ascending order of date");
        at += 1;
    }
};

/// The entry point rule of a day. Days before the first row have the first row's rule.
#[must_use]
pub fn entry_point(date: Date) -> &'static EntryPointRule {
    ENTRY_POINTS.iter().rev().find(|rule| rule.from <= date).unwrap_or(&ENTRY_POINTS[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_era_begins_on_its_day() {
        assert_eq!(era(Date::new(2025, 6, 30)), None);
        assert_eq!(era(Date::new(2025, 7, 1)).map(|era| era.name), Some("E4"));
        assert_eq!(era(Date::new(2026, 9, 30)).map(|era| era.name), Some("E4"));
        assert_eq!(era(Date::new(2026, 10, 1)).map(|era| era.name), Some("E5"));
    }

    #[test]
    fn each_entry_point_rule_begins_on_its_day() {
        assert_eq!(entry_point(Date::new(2023, 2, 28)).name, "F0");
        assert_eq!(entry_point(Date::new(2023, 3, 1)).name, "F1");
        assert_eq!(entry_point(Date::new(2026, 9, 28)).name, "F2");
        assert_eq!(entry_point(Date::new(2018, 1, 1)).name, "F0");
    }
}
