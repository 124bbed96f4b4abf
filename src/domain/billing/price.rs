//! The price of a line: by a card, by the platform's own word, or why there is none.

use std::sync::Arc;

use super::Toll;
use super::line::Line;
use crate::domain::content::Category;
use crate::domain::money::{Amount, Currency};
use crate::domain::rules::Rules;
use crate::domain::rules::cards::{Cards, Column};
use crate::domain::rules::markets::{Market, Origin};
use crate::domain::time::Date;

/// Why an amount is unknown although the toll is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPrice {
    /// The account is unknown, or its time zone is.
    TimeZoneUnknown,
    /// The account's currency is unknown.
    CurrencyUnknown,
    /// No card for the currency and day is loaded.
    NoRateCard,
    /// The recipient's country is unknown.
    MarketUnknown,
    /// The card has no rate for the market and category.
    NoRate,
    /// It is charged by the token, and no report tells how many there were.
    TokensUnknown,
}

impl NoPrice {
    /// The name on outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TimeZoneUnknown => "time_zone_unknown",
            Self::CurrencyUnknown => "currency_unknown",
            Self::NoRateCard => "no_rate_card",
            Self::MarketUnknown => "market_unknown",
            Self::NoRate => "no_rate",
            Self::TokensUnknown => "tokens_unknown",
        }
    }
}

/// What one message costs by a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPrice {
    /// What one message costs.
    pub amount: Amount,
    /// In which currency.
    pub currency: Currency,
    /// The card's name.
    pub card: Arc<str>,
}

/// The list price of a category for a recipient on a day.
///
/// # Errors
/// Which fact is missing; the first one that an operator has to supply.
pub fn list_price(
    rules: &Rules,
    cards: &Cards,
    date: Option<Date>,
    currency: Option<Currency>,
    origin: Origin,
    category: &Category,
) -> Result<ListPrice, NoPrice> {
    if *category == Category::Tokens {
        return Err(NoPrice::TokensUnknown);
    }
    let date = date.ok_or(NoPrice::TimeZoneUnknown)?;
    let currency = currency.ok_or(NoPrice::CurrencyUnknown)?;
    let market = rules.market(origin, date).ok_or(NoPrice::MarketUnknown)?;
    let card = cards.in_force(currency, rules.card_date(date)).ok_or(NoPrice::NoRateCard)?;
    let column = Column::of(category).ok_or(NoPrice::NoRate)?;
    let amount = card.rate(market, column).ok_or(NoPrice::NoRate)?;
    Ok(ListPrice { amount, currency, card: Arc::clone(&card.name) })
}

/// The kinds of ledger line a single message can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Something to pay.
    Charge,
    /// Nothing to pay, and why.
    Free,
    /// It cannot be told what there is to pay.
    Unknown,
    /// An earlier line taken back.
    Reversal,
}

impl EntryKind {
    /// The name on outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Charge => "CHARGE",
            Self::Free => "FREE",
            Self::Unknown => "UNKNOWN",
            Self::Reversal => "REVERSAL",
        }
    }
}

/// What the ledger stage adds to a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// The kind of line.
    pub kind: EntryKind,
    /// The market, if the recipient's country and the day are known.
    pub market: Option<Market>,
    /// What there is to pay: negative on a reversal, nothing where it is unknown.
    pub amount: Option<Amount>,
    /// The currency of the amount.
    pub currency: Option<Currency>,
    /// Where the amount comes from.
    pub source: PriceSource,
}

/// Where an amount comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PriceSource {
    /// From a card's list rate.
    Card(Arc<str>),
    /// The platform named it.
    Platform,
    /// Nothing is charged, so no price was looked up.
    Free,
    /// The toll itself is unknown.
    TollUnknown,
    /// A fact is missing.
    Missing(NoPrice),
}

/// Prices a line at list; `reverses` says that it takes an earlier one back.
#[must_use]
pub fn price(line: &Line, reverses: bool, rules: &Rules, cards: &Cards) -> Price {
    let Line { date, currency, origin, cost, units, .. } = *line;
    let (kind, amount, currency, source) = match (&line.toll, cost) {
        (Toll::Unknown(_), _) => (EntryKind::Unknown, None, currency, PriceSource::TollUnknown),
        (Toll::Free(..), _) => (EntryKind::Free, Some(Amount::ZERO), currency, PriceSource::Free),
        (Toll::Charged(_), Some((amount, currency))) => {
            (EntryKind::Charge, Some(amount), Some(currency), PriceSource::Platform)
        }
        (Toll::Charged(category), None) => match list_price(rules, cards, date, currency, origin, category) {
            // What does not fit into an amount is no price.
            Ok(price) => match price.amount.times(units.into()) {
                Some(amount) => (EntryKind::Charge, Some(amount), Some(price.currency), PriceSource::Card(price.card)),
                None => (EntryKind::Unknown, None, currency, PriceSource::Missing(NoPrice::NoRate)),
            },
            Err(missing) => (EntryKind::Unknown, None, currency, PriceSource::Missing(missing)),
        },
    };
    let market = date.and_then(|date| rules.market(origin, date));
    let (kind, amount) = if reverses { (EntryKind::Reversal, amount.map(Amount::reversed)) } else { (kind, amount) };
    Price { kind, market, amount, currency, source }
}
