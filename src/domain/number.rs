//! What is remembered of one business phone number: what it may not do, and what it has used of its month.

use std::collections::BTreeMap;

use super::id::{AccountId, NumberId};
use super::reference::Restriction;
use super::time::{Month, Timestamp};

/// One business phone number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// The platform's id.
    pub id: NumberId,
    /// Since when it is used from the phone app as well.
    pub coexistence_since: Option<Timestamp>,
    /// The account events last came through: the sender's account where nothing better is known.
    pub last_account: Option<AccountId>,
    /// Its restrictions, each with the instant it began.
    pub restrictions: Vec<(Timestamp, Restriction)>,
    /// Templates that pacing has paused, found out from held messages that failed.
    pub paced: Vec<PacedPause>,
    /// How many asks have arrived in the second of the last one.
    pub asks: Asks,
    /// What it has used of its free deliveries, by month of its account's calendar.
    pub months: BTreeMap<Month, MonthUse>,
}

/// Asks that arrived within one second of partition time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// The second, since the epoch.
    pub second: i64,
    /// How many.
    pub count: u32,
}

impl Asks {
    /// Counts an ask. Tells whether it is more than `limit` in its second.
    pub fn exceed(&mut self, limit: Option<u32>, at: Timestamp) -> bool {
        // Without a limit there is nothing to remember.
        let Some(limit) = limit else {
            return false;
        };
        let second = at.millis().div_euclid(1_000);
        if self.second != second {
            *self = Self { second, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count > limit
    }
}

/// A template paused by pacing: it stays paused until the platform says otherwise (rules.md 3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacedPause {
    /// The template's name.
    pub name: Box<str>,
    /// Its language.
    pub language: Box<str>,
    /// When a held message failed for it.
    pub since: Timestamp,
}

/// What a number has used of a month's free deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MonthUse {
    /// Service messages published as free of this month.
    pub free: u32,
}

impl Number {
    /// A number nothing is known of.
    #[must_use]
    pub const fn new(id: NumberId) -> Self {
        Self {
            id,
            coexistence_since: None,
            last_account: None,
            restrictions: Vec::new(),
            paced: Vec::new(),
            asks: Asks { second: 0, count: 0 },
            months: BTreeMap::new(),
        }
    }

    /// Puts the number under a restriction; one of the same name that began earlier is replaced.
    pub fn restrict(&mut self, since: Timestamp, restriction: Restriction) {
        let newer = |(began, known): &(Timestamp, Restriction)| known.name == restriction.name && *began > since;
        if self.restrictions.iter().any(newer) {
            return;
        }
        self.restrictions.retain(|(_, known)| known.name != restriction.name);
        self.restrictions.push((since, restriction));
    }

    /// The restrictions in force at an instant.
    pub fn restricted(&self, at: Timestamp) -> impl Iterator<Item = &Restriction> {
        let in_force = move |(since, restriction): &&(Timestamp, Restriction)| {
            *since <= at && restriction.until.is_none_or(|until| at < until)
        };
        self.restrictions.iter().filter(in_force).map(|(_, restriction)| restriction)
    }

    /// The free deliveries used of a month.
    #[must_use]
    pub fn used(&self, month: Month) -> u32 {
        self.months.get(&month).map_or(0, |used| used.free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Millis;

    #[test]
    fn asks_are_counted_by_the_second() {
        let mut asks = Asks::default();
        let start = Timestamp::EARLIEST;
        let mut exceed = |millis| asks.exceed(Some(2), start + Millis(millis));
        assert_eq!(
            [exceed(0), exceed(1), exceed(999), exceed(1_000), exceed(1_001), exceed(1_002)],
            [false, false, true, false, false, true]
        );
        assert!(!asks.exceed(None, start), "without a limit nothing exceeds it");
    }
}
