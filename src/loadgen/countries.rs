//! Where people live, how their phone numbers look, and what a message to them costs.
//!
//! The rates are the sample of rules.md 7.3 in a table of the generator's own. It must not be shared with
//! the product's: two copies that agree are a check, one copy that is wrong is none.

use super::answer::{Amount, Category};

/// A currency an account may have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Currency {
    Usd,
    Inr,
}

impl Currency {
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Usd => "USD",
            Self::Inr => "INR",
        }
    }
}

/// A market of the sample cards, which are in force from 2026-10-01.
#[derive(Clone, Copy)]
pub(super) enum Market {
    Brazil,
    India,
    Indonesia,
    Germany,
    UnitedKingdom,
    Morocco,
    NorthAmerica,
    RestOfAfrica,
    Other,
    /// A market of its own on the real cards that the sample does not list.
    Unlisted,
}

impl Market {
    /// The list price, if the card of that currency has one. On the sample utility, authentication and service
    /// cost the same in every market.
    pub(super) const fn price(self, currency: Currency, category: Category) -> Option<Amount> {
        let (marketing, others) = match (currency, self) {
            (Currency::Inr, Self::India) => (863_100, 115_000),
            (Currency::Inr, _) | (Currency::Usd, Self::Unlisted) => return None,
            (Currency::Usd, Self::Brazil) => (62_500, 6_800),
            (Currency::Usd, Self::India) => (11_800, 1_400),
            (Currency::Usd, Self::Indonesia) => (41_100, 25_000),
            (Currency::Usd, Self::Germany) => (136_500, 55_000),
            (Currency::Usd, Self::UnitedKingdom) => (63_500, 22_000),
            (Currency::Usd, Self::Morocco) => (41_400, 23_000),
            (Currency::Usd, Self::NorthAmerica) => (25_000, 3_400),
            (Currency::Usd, Self::RestOfAfrica) => (22_500, 4_000),
            (Currency::Usd, Self::Other) => (60_400, 7_700),
        };
        Some(Amount(match category {
            Category::Marketing => marketing,
            Category::Utility | Category::Authentication | Category::Service => others,
            // What an answer to an advertisement brings is never charged.
            Category::ReferralConversion => 0,
        }))
    }
}

/// A country and the form of its mobile numbers.
pub(super) struct Country {
    /// ISO 3166, as scoped ids begin.
    pub(super) iso: &'static str,
    pub(super) market: Market,
    /// How a number begins: before and after a person takes a new one. Where few digits follow there are
    /// several beginnings.
    pub(super) prefixes: [&'static [&'static str]; 2],
    /// How many digits follow.
    pub(super) digits: u32,
    /// Its share of people who live nowhere in particular.
    pub(super) share: u64,
}

const fn country(
    iso: &'static str,
    market: Market,
    prefixes: [&'static [&'static str]; 2],
    digits: u32,
    share: u64,
) -> Country {
    Country { iso, market, prefixes, digits, share }
}

/// Ids of people stay below this: what fits into seven digits and eight beginnings.
pub(super) const MOST_PEOPLE: u64 = 80_000_000;

/// Their places in [`COUNTRIES`], for the accounts that are at home there.
pub(super) const BRAZIL: usize = 0;
pub(super) const INDIA: usize = 1;
pub(super) const GERMANY: usize = 3;

#[rustfmt::skip]
pub(super) static COUNTRIES: [Country; 14] = [
    country("BR", Market::Brazil, [&["55119"], &["55219"]], 8, 20),
    country("IN", Market::India, [&["919"], &["918"]], 9, 20),
    country("ID", Market::Indonesia, [&["62812"], &["62813"]], 8, 10),
    country("DE", Market::Germany, [&["49151"], &["49160"]], 8, 10),
    country("GB", Market::UnitedKingdom, [&["4477"], &["4478"]], 8, 8),
    country("MA", Market::Morocco, [&["2126"], &["2127"]], 8, 5),
    country("US", Market::NorthAmerica, [
        &["1415", "1212", "1312", "1206", "1617", "1305", "1702", "1713"],
        &["1646", "1503", "1404", "1214", "1602", "1303", "1619", "1718"],
    ], 7, 6),
    country("CA", Market::NorthAmerica, [
        &["1416", "1604", "1514", "1403", "1613", "1519", "1902", "1204"],
        &["1647", "1778", "1438", "1587", "1343", "1226", "1506", "1431"],
    ], 7, 6),
    country("KE", Market::RestOfAfrica, [&["2547"], &["2541"]], 8, 4),
    country("TZ", Market::RestOfAfrica, [&["2557"], &["2556"]], 8, 3),
    // Neither South Korea nor DR Congo is listed, so both are Other (rules.md 7.2).
    country("KR", Market::Other, [&["8210"], &["8211"]], 8, 3),
    country("CD", Market::Other, [&["2438"], &["2439"]], 8, 2),
    country("FR", Market::Unlisted, [&["336"], &["337"]], 8, 2),
    // A market of its own since 2026-10-01, never Russia's.
    country("KZ", Market::Unlisted, [
        &["7700", "7701", "7702", "7705", "7707", "7708", "7747", "7771"],
        &["7775", "7776", "7777", "7778", "7760", "7761", "7762", "7763"],
    ], 7, 1),
];
