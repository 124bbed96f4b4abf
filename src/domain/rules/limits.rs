//! Messaging limits: how many different people may be written to outside a service window in a moving 24 hours
//! (rules.md 3.6, LIM).

use crate::domain::id::NumberId;
use crate::domain::ledger::Scope;
use crate::domain::time::Date;

/// Whose a limit is.
#[derive(Debug)]
pub struct LimitRow {
    /// The first day, in the account's zone.
    pub from: Date,
    /// Whether all numbers of a portfolio share it; otherwise each has its own.
    pub of_portfolio: bool,
    /// Where the rule was read.
    pub source: &'static str,
}

/// The rows. Days before the first row have its rule.
#[rustfmt::skip]
pub const LIMITS: [LimitRow; 2] = [
    LimitRow { from: Date::new(2019,  6, 1), of_portfolio: false, source: "LIM: before the change (rules.md 3.6)" },
    LimitRow { from: Date::new(2025, 10, 7), of_portfolio: true,  source: "LIM: the change of 2025-10-07 (rules.md 3.6)" },
];

const _: () = assert!(LIMITS[0].from.before(LIMITS[1].from), "rows stand in ascending order of date");

/// Whether all numbers of a portfolio share a limit on a day.
#[must_use]
pub fn is_of_portfolio(date: Date) -> bool {
    LIMITS.iter().rev().find(|row| row.from <= date).unwrap_or(&LIMITS[0]).of_portfolio
}

/// A messaging limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessagingLimit {
    /// So many people.
    People(u32),
    /// As many as there are.
    Unlimited,
    /// The platform has set none yet, or has told one that this version does not know: nothing follows from it.
    NotSet,
}

/// The limits by the platform's name (PNQ). `TIER_1K` is a legacy value since the limits of 2025-10-07.
const TIERS: [(&str, MessagingLimit); 9] = [
    ("TIER_50", MessagingLimit::People(50)),
    ("TIER_250", MessagingLimit::People(250)),
    ("TIER_1K", MessagingLimit::People(1_000)),
    ("TIER_2K", MessagingLimit::People(2_000)),
    ("TIER_10K", MessagingLimit::People(10_000)),
    ("TIER_100K", MessagingLimit::People(100_000)),
    ("TIER_UNLIMITED", MessagingLimit::Unlimited),
    ("TIER_NOT_SET", MessagingLimit::NotSet),
    ("UNTIERED", MessagingLimit::NotSet),
];

impl MessagingLimit {
    /// A limit by the platform's name, or as a number, which older fields hold; -1 there means that there is none.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let known = TIERS.iter().find(|(name, _)| *name == text).map(|(_, limit)| *limit);
        known.unwrap_or_else(|| match text.parse::<i64>() {
            Ok(-1) => Self::Unlimited,
            Ok(people) => u32::try_from(people).map_or(Self::NotSet, Self::People),
            Err(_) => Self::NotSet,
        })
    }

    /// How many people, if that is limited.
    #[must_use]
    pub const fn people(self) -> Option<u32> {
        match self {
            Self::People(people) => Some(people),
            Self::Unlimited | Self::NotSet => None,
        }
    }

    /// The platform's name, where it has one for it.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        TIERS.iter().find(|(_, limit)| *limit == self).map(|(name, _)| *name)
    }
}

/// Whose people are counted together on a day.
#[must_use]
pub fn scope<'s>(portfolio: &'s Scope, own: &'s Scope, date: Date) -> &'s Scope {
    if is_of_portfolio(date) { portfolio } else { own }
}

/// The scope of a number by itself.
#[must_use]
pub fn own(number: &NumberId) -> Scope {
    Scope::Number(number.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_by_name_or_number_and_one_that_is_not_known_limits_nothing() {
        for (text, people) in
            [("TIER_2K", Some(2_000)), ("250", Some(250)), ("TIER_UNLIMITED", None), ("-1", None), ("TIER_7", None)]
        {
            assert_eq!(MessagingLimit::parse(text).people(), people, "{text}");
        }
        assert_eq!(MessagingLimit::parse("100000").name(), Some("TIER_100K"));
    }
}
