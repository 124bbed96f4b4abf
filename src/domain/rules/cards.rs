//! Rate cards: what a delivered message costs, per currency, market and category, from a day on.
//!
//! Cards are data that the operator loads (the platform publishes them; nothing is fetched). Every card of
//! a currency replaces the one before it from its own first day.

use std::sync::Arc;

use super::markets::{MARKETS, Market};
use crate::domain::content::Category;
use crate::domain::money::{Amount, Currency};
use crate::domain::time::Date;

/// A column of the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Column {
    /// Marketing templates, by either API.
    Marketing,
    /// Utility templates.
    Utility,
    /// Authentication templates.
    Authentication,
    /// Authentication templates at the international rate.
    AuthenticationInternational,
    /// Messages that are no template.
    Service,
    /// Answers of a provider of general-purpose artificial intelligence; the platform lists them on a card of its own.
    GeneralPurposeAi,
    /// Templates before 2022-02-01.
    Notification,
    /// Conversations that the business began, from 2022-02-01 to 2023-05-31.
    BusinessInitiated,
    /// Conversations that a person began, in the same time.
    UserInitiated,
    /// Pulses of calls that the business began.
    Call,
}

impl Column {
    /// How many columns there are.
    pub const COUNT: usize = 10;

    /// The column a category is priced in; `None` for one that has no price of its own or is unknown.
    #[must_use]
    pub const fn of(category: &Category) -> Option<Self> {
        match category {
            Category::Marketing | Category::MarketingLite | Category::GroupMarketing => Some(Self::Marketing),
            Category::Utility | Category::GroupUtility => Some(Self::Utility),
            Category::Authentication => Some(Self::Authentication),
            Category::AuthenticationInternational => Some(Self::AuthenticationInternational),
            Category::Service | Category::GroupService => Some(Self::Service),
            Category::GeneralPurposeAi => Some(Self::GeneralPurposeAi),
            Category::Notification => Some(Self::Notification),
            Category::BusinessInitiated => Some(Self::BusinessInitiated),
            Category::UserInitiated => Some(Self::UserInitiated),
            Category::Call => Some(Self::Call),
            Category::ReferralConversion | Category::Tokens | Category::Unknown(_) => None,
        }
    }
}

/// The rates of one currency from one day on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// What outputs call it: where it came from and from when it holds.
    pub name: Arc<str>,
    /// The currency.
    pub currency: Currency,
    /// The first day, in the account's zone.
    pub from: Date,
    /// The rates; `None` where the card says `n/a` or does not list the market.
    rates: [[Option<Amount>; Column::COUNT]; MARKETS.len()],
}

impl Card {
    /// A card without a rate.
    #[must_use]
    pub fn new(name: &str, currency: Currency, from: Date) -> Self {
        Self { name: name.into(), currency, from, rates: [[None; Column::COUNT]; MARKETS.len()] }
    }

    /// Writes a rate; returns the one it replaces.
    pub fn set(&mut self, market: Market, column: Column, rate: Amount) -> Option<Amount> {
        self.rates[market.index()][column as usize].replace(rate)
    }

    /// The rate of a market and category.
    #[must_use]
    pub fn rate(&self, market: Market, column: Column) -> Option<Amount> {
        self.rates[market.index()][column as usize]
    }
}

/// All cards, in order of currency and day.
#[derive(Clone, Debug, Default)]
pub struct Cards(Vec<Card>);

impl Cards {
    /// Adds a card; `false` if one for the same currency and day is there already.
    pub fn add(&mut self, card: Card) -> bool {
        match self.0.binary_search_by_key(&(card.currency, card.from), |known| (known.currency, known.from)) {
            Ok(_) => false,
            Err(place) => {
                self.0.insert(place, card);
                true
            }
        }
    }

    /// The card of a currency in force on a day.
    #[must_use]
    pub fn in_force(&self, currency: Currency, date: Date) -> Option<&Card> {
        let next = self.0.partition_point(|card| (card.currency, card.from) <= (currency, date));
        self.0.get(next.checked_sub(1)?).filter(|card| card.currency == currency)
    }

    /// Whether no card is loaded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_holds_from_its_day_until_the_next_one() {
        let usd = Currency::parse("USD").expect("a currency");
        let inr = Currency::parse("INR").expect("a currency");
        let mut cards = Cards::default();
        for (name, currency, month) in [("u7", usd, 7), ("i10", inr, 10), ("u10", usd, 10)] {
            assert!(cards.add(Card::new(name, currency, Date::new(2026, month, 1))));
        }
        assert!(!cards.add(Card::new("again", usd, Date::new(2026, 7, 1))));
        let name = |currency, month, day| cards.in_force(currency, Date::new(2026, month, day)).map(|card| &*card.name);
        assert_eq!(name(usd, 6, 30), None);
        assert_eq!(name(usd, 9, 30), Some("u7"));
        assert_eq!(name(usd, 10, 1), Some("u10"));
        assert_eq!(name(inr, 9, 30), None);
        assert_eq!(name(inr, 12, 1), Some("i10"));
    }
}
