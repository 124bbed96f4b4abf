//! What a number has been charged for: the sums of its lines by month, category and currency; and how many of its months'
//! free deliveries it has used.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::Scope;
use crate::domain::content::Category;
use crate::domain::id::AccountId;
use crate::domain::money::{Amount, Currency};
use crate::domain::time::{Millis, Month, Span, Timestamp};

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

impl Spent {
    /// No message, and no money.
    const NOTHING: Self = Self { messages: 0, amount: Some(Amount::ZERO) };
}

/// What one number has been charged for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spend {
    /// Whose the number is, by its last line.
    pub scope: Scope,
    /// The account that its last line named.
    pub account: Option<AccountId>,
    /// The sums.
    pub items: BTreeMap<Item, Spent>,
    /// Free deliveries used, by month: lines less reversals.
    pub free: BTreeMap<Month, i64>,
}

impl Spend {
    /// A number that has been charged for nothing.
    #[must_use]
    pub const fn new(scope: Scope) -> Self {
        Self { scope, account: None, items: BTreeMap::new(), free: BTreeMap::new() }
    }

    /// Adds a line, or takes one back. Nothing is left of a sum whose lines have all been taken back.
    pub fn add(&mut self, item: Item, messages: i64, amount: Amount) {
        match self.items.entry(item) {
            Entry::Vacant(place) => {
                place.insert(Spent { messages, amount: Some(amount) });
            }
            Entry::Occupied(mut place) => {
                let Spent { messages: known, amount: sum } = *place.get();
                let spent = Spent { messages: known + messages, amount: sum.and_then(|sum| sum.plus(amount)) };
                if spent == Spent::NOTHING {
                    place.remove();
                } else {
                    place.insert(spent);
                }
            }
        }
    }

    /// A line took a free delivery of a month, or is taken back that did. Returns how many are used then.
    pub fn take_free(&mut self, month: Month, messages: i64) -> u32 {
        let used = self.free.entry(month).or_default();
        *used += messages;
        if *used == 0 {
            self.free.remove(&month);
        }
        self.free_used(month)
    }

    /// How many free deliveries of a month are used.
    #[must_use]
    pub fn free_used(&self, month: Month) -> u32 {
        let used = self.free.get(&month).copied().unwrap_or_default();
        u32::try_from(used.max(0)).unwrap_or(u32::MAX)
    }

    /// Forgets months before one.
    pub fn forget_before(&mut self, month: Month) {
        self.items.retain(|item, _| item.month >= month);
        self.free.retain(|known, _| *known >= month);
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

/// What a month would come to that goes on as it has begun: what was spent in it, times its length, divided by what has
/// passed of it, to the nearest millionth. Nothing on its first day, of which too much would follow, and once it has ended.
/// This is arithmetic: nobody has promised that the rest of a month is like its beginning.
#[must_use]
pub fn forecast(spent: Amount, month: Span, now: Timestamp) -> Option<Amount> {
    let (passed, length) = (now.since(month.start).0, month.end.since(month.start).0);
    if passed < Millis::days(1).0 || length <= passed {
        return None;
    }
    let whole = i128::from(spent.millionths()) * i128::from(length);
    let passed = i128::from(passed);
    let nearest = (whole.abs() + passed / 2) / passed * whole.signum();
    i64::try_from(nearest).ok().map(Amount::from_millionths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_forecast_by_what_has_passed_of_it() {
        let hour = |hours| Timestamp::EARLIEST + Millis::hours(hours);
        let month = Span { start: hour(0), end: hour(30 * 24) };
        let of = |spent, at| forecast(Amount::from_millionths(spent), month, at).map(Amount::millionths);
        for (spent, hours, expected) in [
            (1_000_000, 23, None),
            (1_000_000, 24, Some(30_000_000)),
            (1_000_000, 15 * 24, Some(2_000_000)),
            (1_000_000, 7 * 24, Some(4_285_714)),
            (-1_000_000, 7 * 24, Some(-4_285_714)),
            (0, 48, Some(0)),
            (1_000_000, 30 * 24 - 1, Some(1_001_391)),
            (1_000_000, 30 * 24, None),
            (1_000_000, -1, None),
            (i64::MAX, 48, None),
        ] {
            assert_eq!(of(spent, hour(hours)), expected, "{spent} millionths after {hours} hours");
        }
    }

    #[test]
    fn lines_in_any_order_leave_the_same_sums_and_nothing_of_what_is_taken_back() {
        let (month, currency) =
            (Month::parse("2026-11").expect("a month"), Currency::parse("USD").expect("a currency"));
        let item = |category: &Category| Item { month, category: category.clone(), currency };
        let lines = [
            (Category::Utility, 1, 40),
            (Category::Marketing, 1, 90),
            (Category::Utility, -1, -40),
            (Category::Marketing, 1, 90),
            (Category::Marketing, -1, -90),
        ];
        for first in 0..lines.len() {
            let mut spend = Spend::new(Scope::Number(crate::domain::id::NumberId::parse("n").expect("an id")));
            for (category, messages, amount) in lines.iter().cycle().skip(first).take(lines.len()) {
                spend.add(item(category), *messages, Amount::from_millionths(*amount));
            }
            let left = Spent { messages: 1, amount: Some(Amount::from_millionths(90)) };
            assert_eq!(
                spend.items.into_iter().collect::<Vec<_>>(),
                [(item(&Category::Marketing), left)],
                "from {first}"
            );
        }
    }

    #[test]
    fn free_deliveries_are_counted_by_month_and_given_back() {
        let month = |text| Month::parse(text).expect("a month");
        let mut spend = Spend::new(Scope::Number(crate::domain::id::NumberId::parse("n").expect("an id")));
        let (october, november) = (month("2026-10"), month("2026-11"));
        assert_eq!([spend.take_free(october, 1), spend.take_free(october, 1), spend.take_free(november, 1)], [1, 2, 1]);
        assert_eq!(spend.take_free(october, -1), 1);
        spend.forget_before(november);
        assert_eq!([spend.free_used(october), spend.free_used(november)], [0, 1]);
    }
}
