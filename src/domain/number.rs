//! What is remembered of one business phone number: what it may not do, and what it has used of its month.

use std::collections::BTreeMap;

use super::id::{AccountId, NumberId};
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
    /// Templates that pacing has paused, found out from held messages that failed.
    pub paced: Vec<PacedPause>,
    /// What it has used of its free deliveries, by month of its account's calendar.
    pub months: BTreeMap<Month, MonthUse>,
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
        Self { id, coexistence_since: None, last_account: None, paced: Vec::new(), months: BTreeMap::new() }
    }

    /// The free deliveries used of a month.
    #[must_use]
    pub fn used(&self, month: Month) -> u32 {
        self.months.get(&month).map_or(0, |used| used.free)
    }
}
