//! What a number has been charged for: the sums of its lines by month, category and currency.

use std::collections::BTreeMap;

use super::Scope;
use crate::domain::content::Category;
use crate::domain::money::{Amount, Currency};
use crate::domain::time::Month;

/// What one sum is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// The month, in the sending account's zone.
    pub month: Month,
    /// The category charged.
    pub category: Category,
    /// The currency; sums of different currencies are never added.
    pub currency: Currency,
}

/// A sum of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// How many messages: lines less reversals.
    pub messages: i64,
    /// What they cost at list price; nothing once that did not fit into an amount.
    pub amount: Option<Amount>,
}

/// What one number has been charged for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spend {
    /// Whose the number is, by its last line.
    pub scope: Scope,
    /// The sums.
    pub items: BTreeMap<Item, Spent>,
}

impl Spend {
    /// A number that has been charged for nothing.
    #[must_use]
    pub const fn new(scope: Scope) -> Self {
        Self { scope, items: BTreeMap::new() }
    }

    /// Adds a line, or takes one back.
    pub fn add(&mut self, item: Item, messages: i64, amount: Amount) {
        let spent = self.items.entry(item).or_insert(Spent { messages: 0, amount: Some(Amount::ZERO) });
        spent.messages += messages;
        spent.amount = spent.amount.and_then(|sum| sum.plus(amount));
    }

    /// Forgets months before one.
    pub fn forget_before(&mut self, month: Month) {
        self.items.retain(|item, _| item.month >= month);
    }

    /// What has been charged in a month and currency: in one category, or in all. Nothing if that does not fit into an
    /// amount.
    #[must_use]
    pub fn of(&self, month: Month, category: Option<&Category>, currency: Currency) -> Option<Amount> {
        let counts = |item: &Item| {
            item.month == month
                && item.currency == currency
                && category.is_none_or(|category| item.category == *category)
        };
        let items = self.items.iter().filter(|(item, _)| counts(item));
        items.map(|(_, spent)| spent.amount).try_fold(Amount::ZERO, |sum, amount| sum.plus(amount?))
    }
}
