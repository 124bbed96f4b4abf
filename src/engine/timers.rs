//! The deadlines of all contacts, in the order in which they fire: by instant, then by contact.
//!
//! Only the near ones are in memory; the rest wait in the store, which holds them all. A broadcast's million
//! windows all close within minutes, so the bound counts rows, not hours.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::id::ContactNumber;
use crate::domain::time::{Millis, Timestamp};
use crate::store::{self, Batch, Store, keys};

/// How many deadlines are kept in memory.
const NEAR: usize = 200_000;

/// A deadline: the instant in milliseconds, and whose it is.
type Due = (i64, ContactNumber);

/// The deadlines of all contacts.
pub struct Timers {
    near: BTreeSet<Due>,
    /// All deadlines before this one are in `near`.
    horizon: Option<Due>,
    /// Changes not yet in the store: set, or taken away.
    changes: BTreeMap<Due, bool>,
    bound: usize,
}

impl Default for Timers {
    fn default() -> Self {
        Self::new(NEAR)
    }
}

impl Timers {
    fn new(bound: usize) -> Self {
        Self { near: BTreeSet::new(), horizon: None, changes: BTreeMap::new(), bound }
    }

    /// The deadlines of a store.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn open(store: &impl Store) -> Result<Self, store::Error> {
        let mut timers = Self { horizon: Some((i64::MIN, ContactNumber(0))), ..Self::default() };
        timers.refill(store)?;
        Ok(timers)
    }

    /// Sets a deadline.
    pub fn set(&mut self, due: Timestamp, contact: ContactNumber) {
        let due = (due.millis(), contact);
        if self.horizon.is_none_or(|horizon| due < horizon) {
            self.near.insert(due);
        }
        self.changes.insert(due, true);
    }

    /// Takes a deadline away.
    pub fn clear(&mut self, due: Timestamp, contact: ContactNumber) {
        let due = (due.millis(), contact);
        self.near.remove(&due);
        self.changes.insert(due, false);
    }

    /// Takes the first deadline that is not after an instant.
    pub fn next(&mut self, now: Timestamp) -> Option<(Timestamp, ContactNumber)> {
        let due = self.due(now)?;
        let first = self.near.pop_first()?;
        self.changes.insert(first, false);
        Some(due)
    }

    /// The first deadline in memory that is not after an instant.
    pub fn due(&self, now: Timestamp) -> Option<(Timestamp, ContactNumber)> {
        let (due, contact) = *self.near.first().filter(|(due, _)| *due <= now.millis())?;
        Some((now - Millis(now.millis() - due), contact))
    }

    /// The earliest deadline, or the earliest instant at which one that is only in the store may be due.
    pub fn first(&self) -> Option<Timestamp> {
        let near = self.near.first().map(|(due, _)| *due);
        let millis = near.or(self.horizon.map(|(due, _)| due))?;
        Timestamp::from_millis(millis)
    }

    /// Whether deadlines that may be due are only in the store: commit, then [`Timers::refill`].
    pub fn needs_refill(&self, now: Timestamp) -> bool {
        self.horizon.is_some_and(|(horizon, _)| horizon <= now.millis()) && self.near.is_empty()
    }

    /// Whether so many changes wait that they should be written.
    pub fn is_full(&self) -> bool {
        self.near.len() > self.bound * 2 || self.changes.len() > self.bound * 2
    }

    /// How many changes there are to write.
    pub fn to_write(&self) -> usize {
        self.changes.len()
    }

    /// Adds the changes to a batch.
    pub fn write(&mut self, batch: &mut Batch) {
        for ((due, contact), set) in std::mem::take(&mut self.changes) {
            let key = keys::timer_at(due, contact);
            if set { batch.put(&key, &[]) } else { batch.delete(&key) }
        }
    }

    /// Forgets far deadlines, after a commit: the store has them.
    pub fn trim(&mut self) {
        if self.near.len() > self.bound
            && let Some(first_far) = self.near.iter().nth(self.bound / 2).copied()
        {
            self.near.split_off(&first_far);
            self.horizon = Some(self.horizon.map_or(first_far, |horizon| horizon.min(first_far)));
        }
    }

    /// Reads the next deadlines from the store, after a commit.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn refill(&mut self, store: &impl Store) -> Result<(), store::Error> {
        let Some(horizon) = self.horizon else {
            return Ok(());
        };
        let limit = self.bound / 2;
        let rows = store.scan(&[keys::TIMER], &keys::timer_at(horizon.0, horizon.1), limit + 1)?;
        let mut found: Vec<Due> = rows.iter().filter_map(|(key, _)| keys::parse_timer(key)).collect();
        self.horizon = if found.len() > limit { found.pop() } else { None };
        self.near.extend(found);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;

    #[test]
    fn deadlines_fire_in_order_whatever_is_in_memory() {
        let start = Timestamp::from_millis(1_790_812_800_000).expect("in range");
        let (mut timers, mut store) = (Timers::new(10), Memory::default());
        // Set in an order far from that of firing.
        for index in 0..500_u64 {
            let place = index * 7_919 % 500;
            timers.set(start + Millis(i64::try_from(place).expect("small") / 3), ContactNumber(place));
            if timers.is_full() {
                let mut batch = Batch::default();
                timers.write(&mut batch);
                store.commit(batch).expect("memory never fails");
                timers.trim();
            }
        }
        let now = start + Millis(1_000);
        let mut fired = Vec::new();
        loop {
            if let Some((_, contact)) = timers.next(now) {
                fired.push(contact.0);
            } else if timers.needs_refill(now) {
                let mut batch = Batch::default();
                timers.write(&mut batch);
                store.commit(batch).expect("memory never fails");
                timers.refill(&store).expect("memory never fails");
            } else {
                break;
            }
        }
        assert_eq!(fired, (0..500).collect::<Vec<_>>());
    }
}
