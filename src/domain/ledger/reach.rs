//! Whom a portfolio, or before 2025-10-07 a number, has reached outside a service window in the last 24 hours: what its
//! messaging limit counts (rules.md 3.6).

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::time::{Millis, Timestamp};

/// How long a person counts.
pub const COUNTED: Millis = Millis::hours(24);

/// A person as a whole portfolio knows them: a hash, the same from all its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonKey(pub [u8; 16]);

/// The people reached, each with the last time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    last: BTreeMap<PersonKey, Timestamp>,
    order: BTreeSet<(Timestamp, PersonKey)>,
}

impl Reach {
    /// Nobody.
    #[must_use]
    pub const fn new() -> Self {
        Self { last: BTreeMap::new(), order: BTreeSet::new() }
    }

    /// A person was reached. Tells whether that is the last time known.
    pub fn add(&mut self, person: PersonKey, at: Timestamp) -> bool {
        match self.last.get_mut(&person) {
            Some(last) if *last >= at => return false,
            Some(last) => {
                self.order.remove(&(*last, person));
                *last = at;
            }
            None => {
                self.last.insert(person, at);
            }
        }
        self.order.insert((at, person));
        true
    }

    /// Forgets who does not count any more at an instant, and returns them.
    pub fn forget(&mut self, now: Timestamp) -> Vec<PersonKey> {
        let mut forgotten = Vec::new();
        while let Some((at, person)) = self.order.first().copied().filter(|(at, _)| *at + COUNTED <= now) {
            self.order.remove(&(at, person));
            self.last.remove(&person);
            forgotten.push(person);
        }
        forgotten
    }

    /// How many people are remembered: where nobody is who does not count any more, that many count.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.order.len() as u64
    }

    /// Whether nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How many people were reached in the 24 hours before an instant.
    #[must_use]
    pub fn count(&self, now: Timestamp) -> u64 {
        let gone = self.order.iter().take_while(|(at, _)| *at + COUNTED <= now).count();
        (self.order.len() - gone) as u64
    }

    /// When the next one will be forgotten.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at + COUNTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_counts_once_and_for_a_day() {
        let at = |hours| Timestamp::EARLIEST + Millis::hours(hours);
        let mut reach = Reach::default();
        let (one, other) = (PersonKey([1; 16]), PersonKey([2; 16]));
        assert!(reach.add(one, at(0)) && reach.add(other, at(1)) && reach.add(one, at(2)));
        assert!(!reach.add(one, at(1)), "it was later, by a report that came earlier");
        assert_eq!([reach.count(at(24)), reach.count(at(25)), reach.count(at(26))], [2, 1, 0]);
        assert_eq!(reach.forget(at(25)), [other]);
        assert_eq!(reach.next(), Some(at(26)));
    }
}
