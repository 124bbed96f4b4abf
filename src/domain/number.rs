//! What is remembered of one business phone number: what it may not do, and what it has used of its month.

use std::collections::{BTreeMap, BTreeSet};

use super::id::{AccountId, MessageId, MessageKey, NumberId, Participant};
use super::in_flight::InFlight;
use super::reference::Restriction;
use super::refusal::{GoneOut, Refusal};
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
    /// How many messages the platform has taken in the second of the last one.
    pub sends: Asks,
    /// When the platform last dropped a template that it had held back, for the whole portfolio's sake.
    pub portfolio_paced_at: Option<Timestamp>,
    /// What the platform has accepted of it, and not delivered yet.
    pub in_flight: InFlight,
    /// What the platform has refused to it or its accounts, until something shows that it is over.
    pub refusals: Vec<Refusal>,
    /// What has gone out last, by account.
    pub gone_out: Vec<GoneOut>,
    /// What it has used of its free deliveries, by month of its account's calendar.
    pub months: BTreeMap<Month, MonthUse>,
}

/// What happened within one second: asks, as they arrived, or messages, as they were sent.
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
        self.count(at);
        self.count > limit
    }

    /// Counts one more.
    pub const fn count(&mut self, at: Timestamp) {
        let second = at.millis().div_euclid(1_000);
        if self.second != second {
            *self = Self { second, count: 0 };
        }
        self.count = self.count.saturating_add(1);
    }

    /// How many were counted in the second of an instant.
    #[must_use]
    pub const fn at(&self, at: Timestamp) -> u32 {
        if self.second == at.millis().div_euclid(1_000) { self.count } else { 0 }
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

/// How many deliveries beyond the free ones are kept in order. A late report moves one across the line; only so many in
/// a row could move one that is not kept.
const BEYOND: usize = 1_000;

/// What a number has used of a month's free deliveries: those that the platform calls free count first, whenever they
/// were delivered; the rest of the free ones go to the others in the order of their delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonthUse {
    /// Deliveries that the platform calls free.
    pub confirmed: u32,
    /// Other deliveries, as many of the first as are free.
    pub free: BTreeSet<Rank>,
    /// The first of those that come after them.
    pub beyond: BTreeSet<Rank>,
    /// Whether any of this has changed since somebody asked.
    pub changed: bool,
}

/// Where a delivery stands among others: by its instant, then by its id and participant (rules.md 1.11).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// The charge instant.
    pub at: Timestamp,
    /// The message's id.
    pub id: MessageId,
    /// The recipient within a group.
    pub participant: Option<Participant>,
    /// The message.
    pub message: MessageKey,
}

impl Number {
    /// What has a place in the order of a month.
    pub fn ranked(&self) -> impl Iterator<Item = &Rank> {
        self.months.values().flat_map(|used| used.free.iter().chain(&used.beyond))
    }

    /// Calls messages otherwise where they have a place in the order of a month.
    pub fn call_messages(&mut self, called: &BTreeMap<MessageKey, MessageId>) {
        for used in self.months.values_mut() {
            for ranks in [&mut used.free, &mut used.beyond] {
                let otherwise = |rank: &Rank| {
                    let id = called.get(&rank.message).filter(|id| **id != rank.id)?;
                    Some((rank.clone(), Rank { id: id.clone(), participant: None, ..*rank }))
                };
                let renamed: Vec<(Rank, Rank)> = ranks.iter().filter_map(otherwise).collect();
                used.changed |= !renamed.is_empty();
                for (former, rank) in renamed {
                    ranks.remove(&former);
                    ranks.insert(rank);
                }
            }
        }
    }
}

impl MonthUse {
    /// The free deliveries used.
    #[must_use]
    pub fn used(&self) -> u32 {
        self.confirmed.saturating_add(u32::try_from(self.free.len()).unwrap_or(u32::MAX))
    }

    /// The free deliveries used before one that stands at a rank, which is asked for where it matters; `is_ranked` says whether
    /// it has a place here already, there or elsewhere.
    #[must_use]
    pub fn used_before(&self, rank: impl FnOnce() -> Rank, is_ranked: bool) -> u32 {
        if self.free.is_empty() {
            return self.confirmed;
        }
        let rank = rank();
        // Most deliveries are reported in their order, and stand behind all others.
        let before = if self.free.last().is_some_and(|last| *last < rank) {
            self.free.len()
        } else if !is_ranked || self.free.contains(&rank) {
            // It is one of the last ones far more often than one of the first.
            self.free.len() - self.free.range(&rank..).count()
        } else {
            self.free.range(..&rank).filter(|other| other.message != rank.message).count()
        };
        self.confirmed.saturating_add(u32::try_from(before).unwrap_or(u32::MAX))
    }

    /// Counts a delivery that the platform calls free, or counts it no more.
    pub const fn confirm(&mut self, is_free: bool) {
        self.confirmed = if is_free { self.confirmed.saturating_add(1) } else { self.confirmed.saturating_sub(1) };
        self.changed = true;
    }

    /// Puts a delivery in its place; `moves` says that it may have another one, and `probably` which. Returns the messages
    /// that are free now and were not, or the other way round.
    pub fn rank(&mut self, rank: Rank, moves: bool, probably: Option<&Rank>, limit: u32) -> Vec<MessageKey> {
        let own = rank.message;
        if moves {
            if self.free.contains(&rank) || self.beyond.contains(&rank) {
                return self.balance(limit);
            }
            self.unrank(own, probably);
        }
        // What comes after so many that are kept can only move up if as many move away.
        if self.is_behind_all(&rank) {
            return self.balance(limit);
        }
        self.changed = true;
        if self.beyond.first().is_some_and(|first| *first < rank) {
            self.beyond.insert(rank);
        } else {
            self.free.insert(rank);
        }
        let mut moved = self.balance(limit);
        moved.retain(|message| *message != own);
        moved
    }

    /// Whether a delivery comes after so many others that it is not kept.
    fn is_behind_all(&self, rank: &Rank) -> bool {
        self.beyond.len() == BEYOND && self.beyond.last().is_some_and(|last| last < rank)
    }

    /// Takes a delivery out; `false` if it has no place. All are looked through only if it does not stand where it
    /// probably does.
    pub fn unrank(&mut self, message: MessageKey, probably: Option<&Rank>) -> bool {
        if probably.is_some_and(|rank| self.is_behind_all(rank)) {
            return false;
        }
        if probably.is_some_and(|rank| self.free.remove(rank) || self.beyond.remove(rank)) {
            self.changed = true;
            return true;
        }
        let before = self.free.len() + self.beyond.len();
        if before > 0 {
            self.free.retain(|rank| rank.message != message);
            self.beyond.retain(|rank| rank.message != message);
        }
        let found = before > self.free.len() + self.beyond.len();
        self.changed |= found;
        found
    }

    /// Moves deliveries across the line until as many are free as there are. Returns those moved.
    pub fn balance(&mut self, limit: u32) -> Vec<MessageKey> {
        let room = usize::try_from(limit.saturating_sub(self.confirmed)).unwrap_or(usize::MAX);
        let mut moved = Vec::new();
        self.changed |= self.free.len() > room || (self.free.len() < room && !self.beyond.is_empty());
        while self.free.len() > room {
            moved.extend(self.free.last().map(|rank| rank.message));
            self.beyond.extend(self.free.pop_last());
        }
        while self.free.len() < room && !self.beyond.is_empty() {
            moved.extend(self.beyond.first().map(|rank| rank.message));
            self.free.extend(self.beyond.pop_first());
        }
        while self.beyond.len() > BEYOND {
            self.beyond.pop_last();
        }
        moved
    }
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
            sends: Asks { second: 0, count: 0 },
            portfolio_paced_at: None,
            in_flight: InFlight::new(),
            refusals: Vec::new(),
            gone_out: Vec::new(),
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
        self.months.get(&month).map_or(0, MonthUse::used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Millis;

    fn rank(at: i64, name: u8) -> Rank {
        let id = MessageId::parse(&format!("wamid.{name}")).expect("an id");
        Rank { at: Timestamp::EARLIEST + Millis(at), id, participant: None, message: MessageKey([name; 16]) }
    }

    #[test]
    fn one_late_delivery_moves_one_other_across_the_line() {
        let mut month = MonthUse::default();
        for (at, name) in [(10, 1), (30, 3), (40, 4)] {
            assert_eq!(month.rank(rank(at, name), false, None, 2), []);
        }
        assert_eq!(month.used_before(|| rank(40, 4), true), 2, "the third is beyond two");
        assert_eq!(month.rank(rank(20, 2), false, None, 2), [MessageKey([3; 16])]);
        assert_eq!([1, 2, 3].map(|name| month.used_before(|| rank(i64::from(name) * 10, name), true)), [0, 1, 2]);
        assert_eq!(month.used_before(|| rank(15, 1), true), 0, "it does not stand before itself");
        assert_eq!(month.used_before(|| rank(15, 5), false), 1);
        // The platform calls one free that it had said nothing of: it is no rival of the others any more.
        assert!(month.unrank(MessageKey([2; 16]), Some(&rank(15, 2))), "wherever it stands");
        month.confirm(true);
        assert_eq!(month.balance(2), []);
        assert_eq!(month.used_before(|| rank(30, 3), true), 2);
    }

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
