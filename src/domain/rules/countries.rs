//! Countries with rules of their own for marketing: where the platform delivers none, and where it never holds any back
//! (rules.md 3.5).

use crate::domain::time::Date;

/// Countries with a rule of their own, and when.
#[derive(Debug)]
pub struct CountryRow {
    /// The countries, in two letters each.
    pub countries: &'static str,
    /// The first day, in the account's zone.
    pub from: Date,
    /// The first day after it, if it has ended.
    pub until: Option<Date>,
    /// Where the rule was read.
    pub source: &'static str,
}

/// Countries whose people are delivered no marketing: the API takes it, and it fails (131049). By phone number the first is
/// "+1 with an area code of the United States", which is how [`super::markets::Origin::country`] tells that country.
#[rustfmt::skip]
pub const NO_MARKETING: [CountryRow; 1] = [
    CountryRow { countries: "US", from: Date::new(2025, 4, 1), until: None, source: "PUL; the day: PRICE, CHG (rules.md 3.5)" },
];

/// Where marketing is not capped, for numbers and for people: the European Economic Area, the United Kingdom, Japan and
/// South Korea. No first day is published, so that it is that of the first rules.
#[rustfmt::skip]
pub const NEVER_CAPPED: [CountryRow; 1] = [
    CountryRow { countries: "AT BE BG HR CY CZ DK EE FI FR DE GR HU IS IE IT LV LI LT LU MT NL NO PL PT RO SK SI ES SE GB JP KR",
          from: Date::new(2019, 6, 1), until: None, source: "PUL (rules.md 3.5)" },
];

fn lists(rows: &[CountryRow], country: &str, date: Date) -> bool {
    rows.iter().any(|row| {
        row.from <= date
            && row.until.is_none_or(|until| date < until)
            && row.countries.split(' ').any(|listed| listed == country)
    })
}

/// Whether marketing is delivered to people in a country on a day.
#[must_use]
pub fn delivers_marketing(country: &str, date: Date) -> bool {
    !lists(&NO_MARKETING, country, date)
}

/// Whether marketing from numbers or to people in a country is never capped on a day.
#[must_use]
pub fn is_never_capped(country: &str, date: Date) -> bool {
    lists(&NEVER_CAPPED, country, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_united_states_get_no_marketing_from_the_day_on() {
        assert!(delivers_marketing("US", Date::new(2025, 3, 31)));
        assert!(!delivers_marketing("US", Date::new(2025, 4, 1)));
        assert!(delivers_marketing("CA", Date::new(2026, 10, 1)));
    }
}
