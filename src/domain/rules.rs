//! The platform's rules as dated rows with their sources, and the way to look them up.
//!
//! A row is found by the event's own day in the account's zone, never by today's. A new price or a new
//! window length is a row and a few scenario lines; there is no `if year >= 2026` anywhere.

pub mod cards;
pub(crate) mod categories;
pub mod eras;
pub mod errors;
pub mod markets;
pub mod openers;
pub mod restrictions;
pub mod templates;

use eras::{EntryPointRule, Era};
use markets::{Market, Origin};

use super::time::{Date, Days};

/// The rows as one deployment looks them up.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The day whose rows are used whatever the event's day is: "what would October's rules have cost me?"
    pub as_of: Option<Date>,
    /// Whether a utility template in an open service window is free, where the deployment differs from the
    /// rows (rules.md 10 #2).
    pub utility_in_window_free: Option<bool>,
}

/// The era of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EraAt {
    /// This one.
    Era(&'static Era),
    /// One before per-message pricing, which this version does not price.
    BeforePerMessage,
    /// It depends on the account's time zone, which is unknown.
    ZoneUnknown,
}

impl Rules {
    fn pin(&self, date: Date) -> Date {
        self.as_of.unwrap_or(date)
    }

    /// The era of an instant by the days it may fall on.
    #[must_use]
    pub fn era(&self, days: Days) -> EraAt {
        match (eras::era(self.pin(days.first)), eras::era(self.pin(days.last))) {
            (Some(first), Some(last)) if first == last => EraAt::Era(first),
            (None, None) => EraAt::BeforePerMessage,
            _ => EraAt::ZoneUnknown,
        }
    }

    /// Whether a utility template in an open service window is free in an era.
    #[must_use]
    pub fn utility_in_window_free(&self, era: &Era) -> bool {
        self.utility_in_window_free.unwrap_or(era.utility_in_window_free)
    }

    /// The entry point rule of an instant. On a day that depends on an unknown zone the older rule holds:
    /// permission never depends on it, and the price is unknown anyway.
    #[must_use]
    pub fn entry_point(&self, days: Days) -> &'static EntryPointRule {
        eras::entry_point(self.pin(days.first))
    }

    /// The market of a recipient on a day; `None` where the recipient's country is unknown.
    #[must_use]
    pub fn market(&self, origin: Origin, date: Date) -> Option<Market> {
        markets::market(origin, self.pin(date))
    }

    /// The day whose rate card counts.
    #[must_use]
    pub fn card_date(&self, date: Date) -> Date {
        self.pin(date)
    }
}
