//! Volume tiers (rules.md 1.6): the more messages of a market a portfolio is charged for in a month, the less the next
//! one costs.
//!
//! A tier is a total. Every line of the ledger is at list price, and what the tiers take off is worked out from counts by
//! half-hour, so that no message is repriced because another one was counted, and the order of reports changes nothing.
//! Within a half-hour accounts stand in the order of their ids.

use std::collections::{BTreeMap, BTreeSet};

use super::Scope;
use crate::domain::id::AccountId;
use crate::domain::money::{Amount, Currency};
use crate::domain::rules::cards::Cards;
use crate::domain::rules::markets::Market;
use crate::domain::rules::tiers::{Accrual, Tier, Tiered, VolumeTiers};
use crate::domain::time::{Date, Millis, Month, Timestamp};

/// How long counts are kept together: the finest grain of the platform's own analytics (rules.md 8).
const HALF_HOUR: i64 = 30 * 60 * 1000;

/// Which count: a portfolio's, of a market, what counts together and a month in the sending account's zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterId {
    /// Whose.
    pub scope: Scope,
    /// Of which market.
    pub market: Market,
    /// Of which categories.
    pub accrual: Accrual,
    /// In which month.
    pub month: Month,
}

impl CounterId {
    /// The column of the card whose bounds the count is held against; authentication has the same at both rates.
    #[must_use]
    pub const fn tiered(&self) -> Tiered {
        match self.accrual {
            Accrual::Utility => Tiered::Utility,
            Accrual::Authentication => Tiered::Authentication,
            Accrual::Calls => Tiered::Call,
        }
    }
}

/// A half-hour, by its number since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HalfHour(pub i32);

impl HalfHour {
    /// The half-hour of an instant.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self(i32::try_from(at.millis().div_euclid(HALF_HOUR)).unwrap_or(i32::MAX))
    }

    /// Its first instant; the earliest there is for one before that.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp::from_millis(i64::from(self.0) * HALF_HOUR).unwrap_or(Timestamp::EARLIEST)
    }

    /// The first instant after it.
    #[must_use]
    pub fn end(self) -> Timestamp {
        self.start() + Millis(HALF_HOUR)
    }
}

/// Messages that have one price: the account they belong to, the rate, and the card that names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    /// The account, if it is known.
    pub account: Option<AccountId>,
    /// The column of the card.
    pub of: Tiered,
    /// The card, by its currency and the day it holds from; nothing where there was none to price them.
    pub card: Option<(Currency, Date)>,
    /// How many units each is: the pulses of a call, and one of a message.
    pub units: u32,
}

/// What the platform has announced: from an instant on a portfolio's messages are in a tier (rules.md 6.4,
/// `VOLUME_BASED_PRICING_TIER_UPDATE`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The market.
    pub market: Market,
    /// The categories.
    pub accrual: Accrual,
    /// The month.
    pub month: Month,
    /// The number of the first message of the month in the tier.
    pub from: u64,
    /// `tier_update_time`; of several for one tier the earliest counts.
    pub at: Timestamp,
}

/// The switches of one counter: the first message of each tier and when it began, in order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switches(Vec<(Timestamp, u64)>);

impl Switches {
    /// The switches that have been announced for a counter.
    #[must_use]
    pub fn of<'a>(announced: impl IntoIterator<Item = &'a Announced>, counter: &CounterId) -> Self {
        let mut earliest: BTreeMap<u64, Timestamp> = BTreeMap::new();
        for Announced { market, accrual, month, from, at } in announced {
            if (*market, *accrual, *month) == (counter.market, counter.accrual, counter.month) && *from > 0 {
                earliest.entry(*from).and_modify(|known| *known = (*known).min(*at)).or_insert(*at);
            }
        }
        let mut switches: Vec<_> = earliest.into_iter().map(|(from, at)| (at, from)).collect();
        switches.sort_unstable();
        Self(switches)
    }

    /// When a tier began that begins with a message, if that was announced.
    #[must_use]
    pub fn began(&self, from: u64) -> Option<Timestamp> {
        self.0.iter().find(|(_, first)| *first == from).map(|(at, _)| *at)
    }
}

/// What has been published for an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// How many lines there are.
    pub revisions: u32,
    /// The sum of them, by currency.
    pub off: BTreeMap<Currency, Amount>,
}

/// One line of discount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discount {
    /// Of which count.
    pub counter: CounterId,
    /// The account.
    pub account: Option<AccountId>,
    /// The line's number among the account's lines of this count.
    pub revision: u32,
    /// What there is to pay less than before: negative, or positive where too much had been taken off.
    pub amount: Amount,
    /// In which currency.
    pub currency: Currency,
    /// The tier that the portfolio had reached.
    pub tier: Option<Reached>,
}

/// A tier that has been reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The tier.
    pub tier: Tier,
    /// Whether the platform has announced it; else it is by our count.
    pub announced: bool,
}

/// One count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    messages: BTreeMap<HalfHour, BTreeMap<Share, i64>>,
    total: i64,
    /// The cards that price them.
    cards: BTreeSet<(Tiered, Option<(Currency, Date)>)>,
    /// What has been published, by account.
    pub published: BTreeMap<Option<AccountId>, Published>,
}

impl Counter {
    /// Adds messages of a half-hour, or takes them out where the number is negative.
    pub fn add(&mut self, half_hour: HalfHour, share: Share, messages: i64) {
        self.total += messages * i64::from(share.units);
        self.cards.insert((share.of, share.card));
        *self.messages.entry(half_hour).or_default().entry(share).or_default() += messages;
    }

    /// The messages of a half-hour, by what they cost.
    #[must_use]
    pub fn shares(&self, half_hour: HalfHour) -> Vec<(&Share, i64)> {
        self.messages.get(&half_hour).into_iter().flatten().map(|(share, count)| (share, *count)).collect()
    }

    /// The accounts of which messages have been counted, and how many of each.
    #[must_use]
    pub fn accounts(&self) -> BTreeMap<Option<AccountId>, u64> {
        let mut accounts: BTreeMap<Option<AccountId>, i64> = BTreeMap::new();
        for (share, count) in self.messages.values().flatten() {
            match accounts.get_mut(&share.account) {
                Some(sum) => *sum += count,
                None => {
                    accounts.insert(share.account.clone(), *count);
                }
            }
        }
        let counted = |(account, sum)| Some((account, u64::try_from(sum).ok().filter(|sum| *sum > 0)?));
        accounts.into_iter().filter_map(counted).collect()
    }

    /// The tier of the next message, by the card of any currency in use that has tiers.
    #[must_use]
    pub fn tier(&self, id: &CounterId, (cards, day): (&Cards, Date), switches: &Switches) -> Option<Reached> {
        let mut currencies =
            self.messages.values().flatten().filter_map(|(share, _)| share.card).map(|(currency, _)| currency);
        let tiers = currencies.find_map(|currency| cards.in_force(currency, day)?.tiers(id.market, id.tiered()))?;
        Some(self.reached(tiers, switches))
    }

    /// How many messages the next one has before it, as the tiers count them.
    #[must_use]
    pub fn before(&self, switches: &Switches) -> u64 {
        if switches.0.is_empty() {
            return u64::try_from(self.total).unwrap_or(0);
        }
        let mut walk = Walk::new(switches);
        for (half_hour, shares) in &self.messages {
            walk.reach(half_hour.start());
            walk.pass(shares.iter().map(|(share, count)| count * i64::from(share.units)).sum());
        }
        walk.before
    }

    /// The tier of the next message, by a card's tiers for it.
    #[must_use]
    pub fn reached(&self, tiers: &VolumeTiers, switches: &Switches) -> Reached {
        let tier = tiers.of(self.before(switches) + 1);
        Reached { tier, announced: switches.began(tier.first).is_some() }
    }

    /// What the tiers take off, by account and currency: less than nothing. Nothing at all if it does not fit into an amount.
    #[must_use]
    pub fn off(
        &self,
        market: Market,
        cards: &Cards,
        switches: &Switches,
    ) -> Option<BTreeMap<(Option<AccountId>, Currency), Amount>> {
        let mut off = BTreeMap::new();
        let mut walk = Walk::new(switches);
        for (half_hour, shares) in &self.messages {
            walk.reach(half_hour.start());
            for (share, count) in shares {
                if let Some((currency, from)) = share.card
                    && let Some(card) = cards.in_force(currency, from)
                    && let Some(tiers) = card.tiers(market, share.of)
                {
                    let less = walk.less(tiers, *count, share.units)?;
                    let sum = off.entry((share.account.clone(), currency)).or_insert(Amount::ZERO);
                    *sum = sum.plus(less)?;
                }
                walk.pass(count * i64::from(share.units));
            }
        }
        Some(off)
    }

    /// The half-hours in which anything was counted.
    pub fn half_hours(&self) -> impl Iterator<Item = HalfHour> {
        self.messages.keys().copied()
    }

    /// The last of them.
    #[must_use]
    pub fn last(&self) -> Option<HalfHour> {
        self.messages.last_key_value().map(|(half_hour, _)| *half_hour)
    }

    /// Forgets the messages, which are kept elsewhere, and not what has been published.
    pub fn put_away(&mut self) {
        self.messages.clear();
        self.total = 0;
    }

    /// Whether all messages are in the first tier of their cards, so that nothing is off: a quick look, for the many counts
    /// that never come further.
    fn is_in_first_tier(&self, market: Market, cards: &Cards) -> bool {
        let total = u64::try_from(self.total).unwrap_or(0);
        self.cards.iter().all(|(of, card)| {
            let card = card.and_then(|(currency, from)| cards.in_force(currency, from));
            let first = card.and_then(|card| card.tiers(market, *of)).map(|tiers| tiers.of(1));
            first.is_none_or(|first| first.last.is_none_or(|last| total <= last))
        })
    }

    /// The lines that bring what is published in line with what the counts say. The tier they name is that of the card of
    /// `day`.
    pub fn publish(&mut self, id: &CounterId, (cards, day): (&Cards, Date), switches: &Switches) -> Vec<Discount> {
        if self.published.is_empty() && switches.0.is_empty() && self.is_in_first_tier(id.market, cards) {
            return Vec::new();
        }
        let Some(off) = self.off(id.market, cards, switches) else {
            return Vec::new();
        };
        let mut all: BTreeMap<(Option<AccountId>, Currency), Amount> = off;
        for (account, published) in &self.published {
            for currency in published.off.keys() {
                all.entry((account.clone(), *currency)).or_insert(Amount::ZERO);
            }
        }
        let mut lines = Vec::new();
        for ((account, currency), off) in all {
            let known = self.published.get(&account).and_then(|published| published.off.get(&currency).copied());
            let Some(more) = off.plus(known.unwrap_or(Amount::ZERO).reversed()).filter(|more| *more != Amount::ZERO)
            else {
                continue;
            };
            let tiers = cards.in_force(currency, day).and_then(|card| card.tiers(id.market, id.tiered()));
            let tier = tiers.map(|tiers| self.reached(tiers, switches));
            let published = self.published.entry(account.clone()).or_default();
            published.off.insert(currency, off);
            let revision = published.revisions;
            published.revisions += 1;
            lines.push(Discount { counter: id.clone(), account, revision, amount: more, currency, tier });
        }
        lines
    }
}

/// Goes through a month's messages in order, and knows how many stand before the next.
struct Walk<'s> {
    switches: &'s [(Timestamp, u64)],
    before: u64,
}

impl<'s> Walk<'s> {
    fn new(switches: &'s Switches) -> Self {
        Self { switches: &switches.0, before: 0 }
    }

    /// Comes to an instant. Where the platform has said which message is the first of a tier by then, its count is
    /// taken for ours.
    fn reach(&mut self, at: Timestamp) {
        while let Some(((began, from), rest)) = self.switches.split_first()
            && *began <= at
        {
            self.before = from - 1;
            self.switches = rest;
        }
        self.hold_back();
    }

    /// A call that crosses into a tier is wholly in it (rules.md 1.9).
    fn less_of_calls(&self, tiers: &VolumeTiers, calls: u64, units: u64) -> Option<Amount> {
        let (mut walk, mut sum) = (Self { ..*self }, Amount::ZERO);
        for _ in 0..calls {
            let last = tiers.of(walk.before.saturating_add(units));
            sum = sum.plus(last.price.plus(tiers.list_rate().reversed())?.times(units)?)?;
            walk.pass(i64::try_from(units).ok()?);
        }
        Some(sum)
    }

    /// No message comes into a tier before the platform says that it begins.
    fn hold_back(&mut self) {
        if let Some((_, from)) = self.switches.first() {
            self.before = self.before.min((from - 1).saturating_sub(1));
        }
    }

    fn pass(&mut self, messages: i64) {
        self.before = self.before.saturating_add_signed(messages);
        self.hold_back();
    }

    /// What is taken off the list price of the next messages, or calls of so many units: nothing, or less than nothing.
    fn less(&self, tiers: &VolumeTiers, messages: i64, units: u32) -> Option<Amount> {
        let Ok(messages) = u64::try_from(messages) else {
            return Some(Amount::ZERO);
        };
        if units > 1 {
            return self.less_of_calls(tiers, messages, units.into());
        }
        // Before a tier that has not begun all but the first few messages stand on its threshold.
        let room = self.switches.first().map_or(messages, |(_, from)| (from - 1).saturating_sub(self.before));
        let (free, held) = (messages.min(room), messages.saturating_sub(room));
        let end = self.before.checked_add(free)?;
        let last = tiers.of(end.max(1)).price.plus(tiers.list_rate().reversed())?;
        tiers.discount(self.before..end)?.plus(last.times(held)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::PortfolioId;
    use crate::domain::rules::cards::Card;
    use crate::domain::rules::tiers::TierRow;

    fn usd() -> Currency {
        Currency::parse("USD").expect("a currency")
    }

    fn id() -> CounterId {
        let scope = Scope::Portfolio(PortfolioId::parse("p").expect("an id"));
        let month = Month::parse("2026-10").expect("a month");
        CounterId { scope, market: Market::OTHER, accrual: Accrual::Utility, month }
    }

    /// List price 10, from the third message 9, from the fifth 8, in millionths.
    fn cards() -> Cards {
        let mut card = Card::new("card", usd(), Date::new(2026, 10, 1));
        let row = |from, to, price| TierRow { from, to, price: Amount::from_millionths(price) };
        let tiers = VolumeTiers::new(&[row(1, Some(2), 10), row(3, Some(4), 9), row(5, None, 8)]).expect("tiers");
        card.set(Market::OTHER, Tiered::Utility.column(), Amount::from_millionths(10));
        card.set_tiers(Market::OTHER, Tiered::Utility, tiers).expect("they begin at the list rate");
        let mut cards = Cards::default();
        cards.add(card);
        cards
    }

    fn share(account: &str) -> Share {
        let account = Some(AccountId::parse(account).expect("an id"));
        Share { account, of: Tiered::Utility, card: Some((usd(), Date::new(2026, 10, 1))), units: 1 }
    }

    /// Counts messages, `(half-hour, account, how many)`, and tells what the tiers take off each account.
    fn off(messages: &[(i32, &str, i64)], announced: &[(i64, u64)]) -> String {
        let mut counter = Counter::default();
        for (half_hour, account, count) in messages {
            counter.add(HalfHour(1_000_000 + half_hour), share(account), *count);
        }
        let announced: Vec<Announced> = announced
            .iter()
            .map(|(half_hour, from)| Announced {
                market: Market::OTHER,
                accrual: Accrual::Utility,
                month: id().month,
                from: *from,
                at: HalfHour(1_000_000 + *half_hour as i32).start(),
            })
            .collect();
        let switches = Switches::of(&announced, &id());
        let off = counter.off(Market::OTHER, &cards(), &switches).expect("it fits");
        let account = |account: &Option<AccountId>| account.as_ref().map_or(String::new(), |id| id.as_str().to_owned());
        off.iter().map(|((id, _), off)| format!("{}{}", account(id), off.millionths())).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_discount_is_worked_out_from_counts_in_the_order_of_half_hours_and_accounts() {
        assert_eq!(off(&[(0, "a", 2)], &[]), "a0");
        assert_eq!(off(&[(0, "a", 6)], &[]), "a-6");
        assert_eq!(off(&[(0, "a", 2), (1, "b", 2), (2, "a", 2)], &[]), "a-4 b-2");
        assert_eq!(off(&[(2, "a", 2), (1, "b", 2), (0, "a", 2)], &[]), "a-4 b-2", "whichever came first");
        assert_eq!(off(&[(0, "b", 2), (0, "a", 2)], &[]), "a0 b-2");
        assert_eq!(off(&[(0, "a", 3), (0, "a", -1)], &[]), "a0", "one was taken back");
    }

    #[test]
    fn the_platform_says_when_a_tier_begins() {
        // By our count the third message is the first of the second tier; the platform has counted more, or fewer.
        assert_eq!(off(&[(0, "a", 1), (1, "a", 1)], &[(1, 3)]), "a-1");
        assert_eq!(off(&[(0, "a", 4), (1, "a", 1)], &[(1, 3)]), "a-1");
        assert_eq!(off(&[(0, "a", 4), (1, "a", 2)], &[(2, 3)]), "a0");
        assert_eq!(off(&[(0, "a", 1), (1, "a", 3)], &[(1, 3)]), "a-4", "it is counted on from there");
        assert_eq!(off(&[(0, "a", 4)], &[(2, 3), (1, 3)]), "a0");
        assert_eq!(off(&[(1, "a", 1)], &[(2, 3), (1, 3)]), "a-1", "of two reports of one switch the earlier counts");
    }

    #[test]
    fn a_call_that_crosses_into_a_tier_is_wholly_in_it() {
        let mut counter = Counter::default();
        let mut off = |units| {
            counter.add(HalfHour(1_000_000), Share { units, ..share("a") }, 1);
            let off = counter.off(Market::OTHER, &cards(), &Switches::default()).expect("it fits");
            off.into_values().map(Amount::millionths).sum::<i64>()
        };
        assert_eq!([off(2), off(3)], [0, -6], "of a call of three pulses the last is the fifth: all three cost 8");
    }

    #[test]
    fn what_is_published_is_corrected_by_lines_that_add_up() {
        let mut counter = Counter::default();
        let (cards, none, day) = (cards(), Switches::default(), Date::new(2026, 10, 1));
        let mut publish = |half_hour, account: &str, count| {
            counter.add(HalfHour(1_000_000 + half_hour), share(account), count);
            let lines = counter.publish(&id(), (&cards, day), &none);
            let line = |line: &Discount| {
                let account = line.account.as_ref().map_or("", AccountId::as_str);
                let tier = line.tier.map_or(0, |reached| reached.tier.number);
                format!("{account} {} {} tier {tier}", line.revision, line.amount.millionths())
            };
            lines.iter().map(line).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(publish(5, "b", 2), "");
        assert_eq!(publish(6, "b", 1), "b 0 -1 tier 2");
        assert_eq!(publish(4, "a", 1), "b 1 -1 tier 3", "an earlier message is counted before them");
        assert_eq!(publish(4, "a", -1), "b 2 1 tier 2");
        assert_eq!(publish(6, "b", 0), "");
    }
}
