//! Volume tiers: the more messages of a market and category a portfolio is charged for in a month, the less the further
//! ones cost (PRICE; rules.md 1.6).
//!
//! Tiers are marginal: each message costs what its own tier says, and none is priced again because others follow. Tier 1 is
//! the list rate; tier n + 1 is what the platform calls "tier rate n". Only charged messages count, by (portfolio, month in
//! the account's zone, market, [`Accrual`]); who counts them is the ledger's matter, and this file holds arithmetic alone.

use std::fmt;
use std::ops::Range;

use super::cards::Column;
use crate::domain::content::Category;
use crate::domain::money::Amount;

/// A column of the card that has volume tiers. Service, marketing and group messages have none (NTM, PRICE, GRP).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tiered {
    /// Utility templates.
    Utility,
    /// Authentication templates.
    Authentication,
    /// Authentication templates at the international rate.
    AuthenticationInternational,
    /// Calls of the business's, whose tiers count pulses (rules.md 1.9).
    Call,
}

impl Tiered {
    /// All of them, in the order of the card.
    pub const ALL: [Self; 4] = [Self::Utility, Self::Authentication, Self::AuthenticationInternational, Self::Call];

    /// How many of what is counted one unit of the platform's lists is: those of calls are in minutes, of ten pulses each.
    #[must_use]
    pub const fn listed_in(self) -> u64 {
        match self {
            Self::Utility | Self::Authentication | Self::AuthenticationInternational => 1,
            Self::Call => 10,
        }
    }

    /// What a category's tiers stand under; `None` for one without tiers.
    #[must_use]
    pub const fn of(category: &Category) -> Option<Self> {
        match category {
            Category::Utility => Some(Self::Utility),
            Category::Authentication => Some(Self::Authentication),
            Category::AuthenticationInternational => Some(Self::AuthenticationInternational),
            Category::Call => Some(Self::Call),
            Category::Marketing
            | Category::MarketingLite
            | Category::Service
            | Category::ReferralConversion
            | Category::Notification
            | Category::BusinessInitiated
            | Category::UserInitiated
            | Category::GeneralPurposeAi
            | Category::Tokens
            | Category::GroupMarketing
            | Category::GroupUtility
            | Category::GroupService
            | Category::Unknown(_) => None,
        }
    }

    /// The column its list rate stands in.
    #[must_use]
    pub const fn column(self) -> Column {
        match self {
            Self::Utility => Column::Utility,
            Self::Authentication => Column::Authentication,
            Self::AuthenticationInternational => Column::AuthenticationInternational,
            Self::Call => Column::Call,
        }
    }

    /// The tiers of a column; `None` for one that has none.
    #[must_use]
    pub fn in_column(column: Column) -> Option<Self> {
        Self::ALL.into_iter().find(|of| of.column() == column)
    }

    /// The count its tier is found by.
    #[must_use]
    pub const fn accrual(self) -> Accrual {
        match self {
            Self::Utility => Accrual::Utility,
            Self::Authentication | Self::AuthenticationInternational => Accrual::Authentication,
            Self::Call => Accrual::Calls,
        }
    }

    /// The name on cards and outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utility => "utility",
            Self::Authentication => "authentication",
            Self::AuthenticationInternational => "authentication_international",
            Self::Call => "call",
        }
    }
}

/// What is counted together towards a market's tiers in a month. Authentication and its international rate share one
/// count: a switch in mid-month goes on at the tier reached (PRICE, example 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Accrual {
    /// Charged utility messages.
    Utility,
    /// Charged authentication messages, at either rate.
    Authentication,
    /// The pulses of charged calls.
    Calls,
}

impl Accrual {
    /// The name on outputs, and the platform's in its report of a tier.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utility => "utility",
            Self::Authentication => "authentication",
            Self::Calls => "call",
        }
    }
}

/// One tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Its place, from 1: the list rate.
    pub number: u32,
    /// The first message of the month that is in it, from 1.
    pub first: u64,
    /// The last one; `None` where it is open-ended.
    pub last: Option<u64>,
    /// What each message in it costs.
    pub price: Amount,
}

/// As the platform writes it: `0:100000`, `100001:1000000`, `1000001:MAX` (AU; AN, dimension TIER).
impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = if self.first == 1 { 0 } else { self.first };
        match self.last {
            Some(last) => write!(f, "{first}:{last}"),
            None => write!(f, "{first}:MAX"),
        }
    }
}

/// A row of a list of tiers, as read: from which message of the month to which, and the price of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierRow {
    /// The first message; of the first row, 0 or 1.
    pub from: u64,
    /// The last one; `None` where it is open-ended.
    pub to: Option<u64>,
    /// What each of them costs.
    pub price: Amount,
}

/// Why rows are no list of tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierMistake {
    /// There is no row.
    None,
    /// The first row begins later than with the first message.
    Begins(u64),
    /// A row ends before it begins.
    Ends {
        /// Where it begins.
        from: u64,
        /// Where it ends.
        to: u64,
    },
    /// Between two rows there are messages without a price.
    Gap {
        /// The first message without one.
        from: u64,
        /// The last.
        to: u64,
    },
    /// Messages stand in two rows.
    Overlap {
        /// The first message that does.
        from: u64,
    },
    /// The last row ends, so that messages beyond it would have no price.
    NotOpen(u64),
    /// A price below nothing.
    Negative(Amount),
}

impl fmt::Display for TierMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("there is no tier"),
            Self::Begins(first) => write!(f, "the first tier begins at {first}, and messages before it have no price"),
            Self::Ends { from, to } => write!(f, "the tier from {from} ends at {to}, before it begins"),
            Self::Gap { from, to } if from == to => write!(f, "message {from} is in no tier"),
            Self::Gap { from, to } => write!(f, "messages {from} to {to} are in no tier"),
            Self::Overlap { from } => write!(f, "message {from} is in two tiers"),
            Self::NotOpen(last) => {
                write!(f, "messages beyond {last} are in no tier; leave the end of the last one open")
            }
            Self::Negative(price) => write!(f, "{price} is no price"),
        }
    }
}

/// The tiers of one market and column, in ascending order: every message of a month is in exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeTiers(Box<[Tier]>);

impl VolumeTiers {
    /// Tiers from their rows, in any order.
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn new(rows: &[TierRow]) -> Result<Self, Vec<TierMistake>> {
        let mut rows = rows.to_vec();
        rows.sort_by_key(|row| (row.from, row.to.unwrap_or(u64::MAX)));
        let mut mistakes = Vec::new();
        let mut tiers: Vec<Tier> = Vec::with_capacity(rows.len());
        // The first message that has no tier yet; `None` once a tier is open-ended.
        let mut next = Some(1);
        for row in &rows {
            // The platform's lists begin at 0 or at 1, and mean the same by it.
            let first = row.from.max(1);
            if let Some(to) = row.to.filter(|to| *to < first) {
                mistakes.push(TierMistake::Ends { from: row.from, to });
                continue;
            }
            match next {
                Some(1) if first > 1 => mistakes.push(TierMistake::Begins(first)),
                Some(next) if first > next => mistakes.push(TierMistake::Gap { from: next, to: first - 1 }),
                Some(next) if first == next => {}
                Some(_) | None => mistakes.push(TierMistake::Overlap { from: first }),
            }
            if row.price < Amount::ZERO {
                mistakes.push(TierMistake::Negative(row.price));
            }
            let number = tiers.len() as u32 + 1;
            tiers.push(Tier { number, first, last: row.to, price: row.price });
            next = match (next, row.to.and_then(|to| to.checked_add(1))) {
                (Some(next), Some(after)) => Some(next.max(after)),
                (None, _) | (_, None) => None,
            };
        }
        match next {
            Some(1) if rows.is_empty() => mistakes.push(TierMistake::None),
            Some(1) | None => {}
            Some(next) => mistakes.push(TierMistake::NotOpen(next - 1)),
        }
        if mistakes.is_empty() { Ok(Self(tiers.into())) } else { Err(mistakes) }
    }

    /// The tiers, in ascending order.
    #[must_use]
    pub fn all(&self) -> &[Tier] {
        &self.0
    }

    /// What the first tier costs: the list rate.
    #[must_use]
    pub fn list_rate(&self) -> Amount {
        self.0[0].price
    }

    /// The tier of the `nth` charged message of the month, from 1.
    #[must_use]
    pub fn of(&self, nth: u64) -> Tier {
        let next = self.0.partition_point(|tier| tier.first <= nth.max(1));
        self.0[next.saturating_sub(1)]
    }

    /// What the messages cost that raise the month's count from `counted.start` to `counted.end`, each at its own tier's
    /// price; `None` when the sum would not fit.
    #[must_use]
    pub fn total(&self, counted: Range<u64>) -> Option<Amount> {
        self.sum(counted, |tier| tier.price)
    }

    /// What is taken off the list price of the messages that raise the month's count from `counted.start` to
    /// `counted.end`: nothing or less than nothing, as long as further tiers are cheaper. It is [`Self::total`] less so
    /// many times the list rate; `None` when it would not fit.
    #[must_use]
    pub fn discount(&self, counted: Range<u64>) -> Option<Amount> {
        let list = self.list_rate().millionths();
        self.sum(counted, |tier| Amount::from_millionths(tier.price.millionths().saturating_sub(list)))
    }

    fn sum(&self, counted: Range<u64>, each: impl Fn(&Tier) -> Amount) -> Option<Amount> {
        let sum = self.0.iter().fold(0_i128, |sum, tier| {
            let before = counted.start.max(tier.first - 1);
            let after = counted.end.min(tier.last.unwrap_or(u64::MAX));
            sum + i128::from(after.saturating_sub(before)) * i128::from(each(tier).millionths())
        });
        i64::try_from(sum).ok().map(Amount::from_millionths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(from: u64, to: Option<u64>, price: &str) -> TierRow {
        TierRow { from, to, price: Amount::parse(price).expect(price) }
    }

    fn amount(text: &str) -> Amount {
        Amount::parse(text).expect(text)
    }

    /// The test card of rules.md 9.
    fn test_card() -> VolumeTiers {
        VolumeTiers::new(&[
            row(1, Some(1_000), "0.0100"),
            row(1_001, Some(5_000), "0.0090"),
            row(5_001, None, "0.0080"),
        ])
        .expect("tiers")
    }

    #[test]
    fn each_message_is_in_one_tier() {
        let tiers = test_card();
        for (nth, number, written) in [
            (1, 1, "0:1000"),
            (1_000, 1, "0:1000"),
            (1_001, 2, "1001:5000"),
            (5_000, 2, "1001:5000"),
            (5_001, 3, "5001:MAX"),
            (u64::MAX, 3, "5001:MAX"),
        ] {
            let tier = tiers.of(nth);
            assert_eq!((tier.number, tier.to_string().as_str()), (number, written), "message {nth}");
        }
    }

    /// The platform's own examples at the test card's prices: rules.md 9, F17, F20, H04.
    #[test]
    fn totals_are_marginal() {
        let tiers = test_card();
        assert_eq!(tiers.total(0..5_000), Some(amount("46.00")), "F17");
        assert_eq!(tiers.total(5_000..5_100), Some(amount("0.80")), "F20: a second provider begins in tier 3");
        assert_eq!(tiers.total(999..1_001), Some(amount("0.019")), "H04");
        assert_eq!(tiers.discount(0..5_000), Some(amount("-4.00")));
        assert_eq!(tiers.discount(0..1_000), Some(amount("0")));
        assert_eq!(tiers.total(7..7), Some(amount("0")));
        assert_eq!(tiers.total(0..u64::MAX), None, "it would not fit");
    }

    /// Totals against the slow way, message by message, over every bound and a step beside it.
    #[test]
    fn a_total_is_the_sum_of_its_messages() {
        let tiers = VolumeTiers::new(&[
            row(0, Some(3), "0.05"),
            row(4, Some(4), "0.06"),
            row(5, Some(9), "0.000001"),
            row(10, None, "0"),
        ])
        .expect("tiers need not become cheaper");
        for start in 0..14 {
            for end in start..14 {
                let mut each = (start + 1..=end).map(|nth| tiers.of(nth).price);
                let sum = each.try_fold(Amount::ZERO, Amount::plus);
                assert_eq!(tiers.total(start..end), sum, "{start}..{end}");
                let list = 50_000 * i64::try_from(end - start).expect("small");
                let discount = sum.map(|sum| Amount::from_millionths(sum.millionths() - list));
                assert_eq!(tiers.discount(start..end), discount, "{start}..{end}");
            }
        }
    }

    #[test]
    fn rows_that_are_no_tiers_are_refused_with_every_reason() {
        use TierMistake::{Begins, Ends, Gap, Negative, None as Empty, NotOpen, Overlap};
        for (rows, mistakes) in [
            (vec![], vec![Empty]),
            (vec![row(2, None, "1")], vec![Begins(2)]),
            (vec![row(0, Some(9), "1")], vec![NotOpen(9)]),
            (vec![row(0, Some(9), "1"), row(12, None, "1")], vec![Gap { from: 10, to: 11 }]),
            (vec![row(0, Some(9), "1"), row(9, None, "1")], vec![Overlap { from: 9 }]),
            (vec![row(0, None, "1"), row(9, None, "1")], vec![Overlap { from: 9 }]),
            (vec![row(0, None, "1"), row(9, Some(20), "1")], vec![Overlap { from: 9 }]),
            (vec![row(0, Some(9), "1"), row(12, Some(20), "1")], vec![Gap { from: 10, to: 11 }, NotOpen(20)]),
            (vec![row(0, Some(9), "1"), row(10, Some(8), "1"), row(10, None, "1")], vec![Ends { from: 10, to: 8 }]),
            (
                vec![row(3, Some(9), "-1"), row(10, Some(20), "1"), row(30, None, "1")],
                vec![Begins(3), Negative(Amount::from_millionths(-1_000_000)), Gap { from: 21, to: 29 }],
            ),
        ] {
            assert_eq!(VolumeTiers::new(&rows), Err(mistakes), "{rows:?}");
        }
    }

    #[test]
    fn rows_may_stand_in_any_order() {
        let shuffled = [row(5_001, None, "0.0080"), row(0, Some(1_000), "0.0100"), row(1_001, Some(5_000), "0.0090")];
        assert_eq!(VolumeTiers::new(&shuffled), Ok(test_card()));
    }

    #[test]
    fn both_authentication_rates_share_a_count() {
        assert_eq!(
            Tiered::of(&Category::AuthenticationInternational).map(Tiered::accrual),
            Some(Accrual::Authentication)
        );
        assert_eq!(Tiered::of(&Category::Authentication).map(Tiered::accrual), Some(Accrual::Authentication));
        assert_eq!(Tiered::of(&Category::Utility).map(Tiered::accrual), Some(Accrual::Utility));
        assert_eq!(Tiered::of(&Category::Service), None);
        assert_eq!(Tiered::of(&Category::GroupUtility), None);
    }
}
