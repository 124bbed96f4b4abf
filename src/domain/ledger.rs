//! What belongs to a portfolio and not to one number: how many messages it was charged for, whom it has reached, and what
//! it has spent.
//!
//! Nothing here depends on the order in which lines come: counts are kept by the half-hour of the charge instant, and
//! whatever follows from them is worked out anew.

pub mod notices;
pub mod reach;
pub mod spend;
pub mod usage;
pub mod volume;

use super::id::{AccountId, NumberId, PortfolioId};

/// Whose counts are kept together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// A portfolio: tiers and, since 2025-10-07, messaging limits are its own (rules.md 1.6, 3.6).
    Portfolio(PortfolioId),
    /// An account whose portfolio is not known stands alone: its counts are a part of the portfolio's at least.
    Account(AccountId),
    /// A number of which not even the account is known; and the scope of messaging limits before 2025-10-07.
    Number(NumberId),
}

impl Scope {
    /// The scope of what a number of an account sends.
    #[must_use]
    pub fn of(portfolio: Option<&PortfolioId>, account: Option<&AccountId>, number: &NumberId) -> Self {
        match (portfolio, account) {
            (Some(portfolio), _) => Self::Portfolio(portfolio.clone()),
            (None, Some(account)) => Self::Account(account.clone()),
            (None, None) => Self::Number(number.clone()),
        }
    }

    /// The platform's id of it.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Portfolio(portfolio) => portfolio.as_str(),
            Self::Account(account) => account.as_str(),
            Self::Number(number) => number.as_str(),
        }
    }

    /// What it is, as outputs name it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Portfolio(_) => "portfolio",
            Self::Account(_) => "account",
            Self::Number(_) => "number",
        }
    }

    /// The portfolio, where it is known.
    #[must_use]
    pub const fn portfolio(&self) -> Option<&PortfolioId> {
        match self {
            Self::Portfolio(portfolio) => Some(portfolio),
            Self::Account(_) | Self::Number(_) => None,
        }
    }
}
