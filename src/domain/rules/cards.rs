//! Rate cards: what a delivered message costs, per currency, market and category, from a day on.
//!
//! Cards are data that the operator loads (the platform publishes them; nothing is fetched). Every card of
//! a currency replaces the one before it from its own first day.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::markets::{MARKETS, Market};
use super::tiers::{Tiered, VolumeTiers};
use crate::domain::content::Category;
use crate::domain::money::{Amount, Currency};
use crate::domain::time::Date;

/// A column of the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// The rates by market; `None` where the card says `n/a`, and shorter where it does not list the last markets.
    rates: Vec<[Option<Amount>; Column::COUNT]>,
    /// The volume tiers; a market and column without any is at its list rate, however many messages there are.
    tiers: BTreeMap<(Market, Tiered), VolumeTiers>,
}

/// Why tiers cannot be put on a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TiersRefused {
    /// The card has no list rate for them.
    NoListRate,
    /// The first tier has another price than the list.
    NotListRate {
        /// What the list says.
        list: Amount,
        /// What the first tier says.
        first: Amount,
    },
    /// There are tiers for this market and column already.
    Twice,
}

impl fmt::Display for TiersRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoListRate => f.write_str("the card has no list rate for it"),
            Self::NotListRate { list, first } => {
                write!(
                    f,
                    "its first tier is {first}, and the card's list rate is {list}; they are the same on the platform's lists"
                )
            }
            Self::Twice => f.write_str("the card has tiers for it already"),
        }
    }
}

impl Card {
    /// A card without a rate.
    #[must_use]
    pub fn new(name: &str, currency: Currency, from: Date) -> Self {
        Self {
            name: name.into(),
            currency,
            from,
            rates: vec![[None; Column::COUNT]; MARKETS.len()],
            tiers: BTreeMap::new(),
        }
    }

    /// Writes a rate; returns the one it replaces.
    pub fn set(&mut self, market: Market, column: Column, rate: Amount) -> Option<Amount> {
        if self.rates.len() <= market.index() {
            self.rates.resize(market.index() + 1, [None; Column::COUNT]);
        }
        self.rates[market.index()][column as usize].replace(rate)
    }

    /// The rate of a market and category.
    #[must_use]
    pub fn rate(&self, market: Market, column: Column) -> Option<Amount> {
        self.rates.get(market.index()).and_then(|rates| rates[column as usize])
    }

    /// Puts volume tiers on the card. Their first one is the list rate, which has to stand there already.
    ///
    /// # Errors
    /// If it is not, or if there are tiers already.
    pub fn set_tiers(&mut self, market: Market, of: Tiered, tiers: VolumeTiers) -> Result<(), TiersRefused> {
        let list = self.rate(market, of.column()).ok_or(TiersRefused::NoListRate)?;
        let first = tiers.list_rate();
        if list != first {
            return Err(TiersRefused::NotListRate { list, first });
        }
        if self.tiers.contains_key(&(market, of)) {
            return Err(TiersRefused::Twice);
        }
        self.tiers.insert((market, of), tiers);
        Ok(())
    }

    /// Takes the volume tiers of a market off the card; returns whether there were any.
    pub fn clear_tiers(&mut self, market: Market, of: Tiered) -> bool {
        self.tiers.remove(&(market, of)).is_some()
    }

    /// The volume tiers of a market; `None` where every message is at the list rate.
    #[must_use]
    pub fn tiers(&self, market: Market, of: Tiered) -> Option<&VolumeTiers> {
        self.tiers.get(&(market, of))
    }

    /// How many markets it has a rate for, and for how many it has volume tiers.
    #[must_use]
    pub fn markets(&self) -> (usize, usize) {
        let listed = self.rates.iter().filter(|rates| rates.iter().any(Option::is_some)).count();
        let mut tiered: Vec<Market> = self.tiers.keys().map(|(market, _)| *market).collect();
        tiered.dedup();
        (listed, tiered.len())
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

    /// The card of a currency that begins on a day, to be completed.
    pub fn beginning(&mut self, currency: Currency, from: Date) -> Option<&mut Card> {
        let place = self.0.binary_search_by_key(&(currency, from), |known| (known.currency, known.from)).ok()?;
        self.0.get_mut(place)
    }

    /// The card of a currency in force on a day.
    #[must_use]
    pub fn in_force(&self, currency: Currency, date: Date) -> Option<&Card> {
        let next = self.0.partition_point(|card| (card.currency, card.from) <= (currency, date));
        self.0.get(next.checked_sub(1)?).filter(|card| card.currency == currency)
    }

    /// Whether any card has volume tiers.
    #[must_use]
    pub fn have_tiers(&self) -> bool {
        self.0.iter().any(|card| !card.tiers.is_empty())
    }

    /// All of them, in order of currency and day.
    pub fn all(&self) -> impl Iterator<Item = &Card> {
        self.0.iter()
    }

    /// Whether no card is loaded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tiers::TierRow;
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

    #[test]
    fn tiers_begin_at_the_list_rate() {
        let brazil = Market::named("Brazil").expect("a market");
        let amount = |text| Amount::parse(text).expect("an amount");
        let tiers = |first| {
            let rows = [
                TierRow { from: 0, to: Some(9), price: amount(first) },
                TierRow { from: 10, to: None, price: amount("0.001") },
            ];
            VolumeTiers::new(&rows).expect("tiers")
        };
        let mut card = Card::new("x", Currency::parse("USD").expect("a currency"), Date::new(2026, 7, 1));
        card.set(brazil, Column::Utility, amount("0.0068"));
        let (list, first) = (amount("0.0068"), amount("0.007"));
        assert_eq!(card.set_tiers(brazil, Tiered::Authentication, tiers("0.0068")), Err(TiersRefused::NoListRate));
        assert_eq!(
            card.set_tiers(brazil, Tiered::Utility, tiers("0.007")),
            Err(TiersRefused::NotListRate { list, first })
        );
        assert_eq!(card.tiers(brazil, Tiered::Utility), None);
        assert_eq!(card.set_tiers(brazil, Tiered::Utility, tiers("0.0068")), Ok(()));
        assert_eq!(card.set_tiers(brazil, Tiered::Utility, tiers("0.0068")), Err(TiersRefused::Twice));
        assert_eq!(card.tiers(brazil, Tiered::Utility).map(|tiers| tiers.of(10).price), Some(amount("0.001")));
    }
}
