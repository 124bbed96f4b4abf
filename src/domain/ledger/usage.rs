//! What the ledger tells the conversation stage: how much of a limit or a budget is used, and as of when.

use std::collections::BTreeMap;

use super::Scope;
use super::reach::PersonKey;
use super::spend::Spend;
use crate::domain::id::NumberId;
use crate::domain::time::Timestamp;

/// A count, and the instant up to which it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsOf<T> {
    /// The count.
    pub count: T,
    /// Everything that was known by then is in it.
    pub as_of: Timestamp,
}

/// Whoever knows what is used.
pub trait Usage {
    /// How many people a scope has reached outside service windows in the 24 hours before an instant; nothing where
    /// nobody counts them.
    fn people(&self, scope: &Scope, at: Timestamp) -> Option<AsOf<u64>>;

    /// What a number has been charged for.
    fn spend(&self, number: &NumberId) -> Option<AsOf<&Spend>>;
}

/// Nobody knows anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl Usage for Nothing {
    fn people(&self, _: &Scope, _: Timestamp) -> Option<AsOf<u64>> {
        None
    }

    fn spend(&self, _: &NumberId) -> Option<AsOf<&Spend>> {
        None
    }
}

/// Somebody who was reached outside a service window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who, as the whole portfolio knows them.
    pub key: PersonKey,
    /// Whether the limit that counts them is the portfolio's; else it is the number's own.
    pub of_portfolio: bool,
}

/// What ledgers have told, of all scopes and numbers.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    people: BTreeMap<Scope, AsOf<u64>>,
    spend: BTreeMap<NumberId, AsOf<Spend>>,
}

impl Snapshot {
    /// Learns how many people a scope has reached.
    pub fn tell_people(&mut self, scope: Scope, people: AsOf<u64>) {
        self.people.insert(scope, people);
    }

    /// Learns that nobody counts the people whom a scope reaches.
    pub fn forget_people(&mut self, scope: &Scope) {
        self.people.remove(scope);
    }

    /// Learns what a number has been charged for.
    pub fn tell_spend(&mut self, number: NumberId, spend: AsOf<Spend>) {
        self.spend.insert(number, spend);
    }
}

impl Usage for Snapshot {
    fn people(&self, scope: &Scope, _: Timestamp) -> Option<AsOf<u64>> {
        self.people.get(scope).copied()
    }

    fn spend(&self, number: &NumberId) -> Option<AsOf<&Spend>> {
        self.spend.get(number).map(|spend| AsOf { count: &spend.count, as_of: spend.as_of })
    }
}
