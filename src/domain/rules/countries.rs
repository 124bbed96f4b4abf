//! Countries with rules of their own for marketing: where the platform delivers none, and where it never holds any back
//! (rules.md 3.5).

use crate::domain::time::Date;

/// Countries whose people are delivered no marketing: the API takes it, and it fails (131049).
struct Row {
    /// The recipients' countries, in two letters each.
    countries: &'static str,
    /// The first day, in the account's zone.
    from: Date,
    /// The first day after it, if it has ended.
    until: Option<Date>,
}

/// The rows. Source: PUL; the day is from PRICE and CHG. By phone number it is "+1 with an area code of the United
/// States", which is how [`super::markets::Origin::country`] tells that country.
const NO_MARKETING: [Row; 1] = [Row { countries: "US", from: Date::new(2025, 4, 1), until: None }];

/// Where marketing is not capped, for numbers and for people: the European Economic Area, the United Kingdom, Japan and
/// South Korea. Source: PUL.
const NEVER_CAPPED: &str =
    "AT BE BG HR CY CZ DK EE FI FR DE GR HU IS IE IT LV LI LT LU MT NL NO PL PT RO SK SI ES SE GB JP KR";

fn lists(countries: &str, country: &str) -> bool {
    countries.split(' ').any(|listed| listed == country)
}

/// Whether marketing is delivered to people in a country on a day.
#[must_use]
pub fn delivers_marketing(country: &str, date: Date) -> bool {
    !NO_MARKETING
        .iter()
        .any(|row| row.from <= date && row.until.is_none_or(|until| date < until) && lists(row.countries, country))
}

/// Whether marketing from numbers or to people in a country is never capped.
#[must_use]
pub fn is_never_capped(country: &str) -> bool {
    lists(NEVER_CAPPED, country)
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
