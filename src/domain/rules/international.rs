//! The countries with a rate of their own for passcodes of businesses from elsewhere (rules.md 1.6).

use crate::domain::time::Date;

/// The countries, in two letters, and the first day, in the account's zone, on which they have the rate.
///
/// Source: AIR, CBP (2024, 2025); PRICE (2026). Indonesia first, India a month later: read in a secondary source.
#[rustfmt::skip]
const ROWS: [(&str, Date); 4] = [
    ("ID",                         Date::new(2024,  6, 1)),
    ("IN",                         Date::new(2024,  7, 1)),
    ("EG MY NG PK SA ZA AE",       Date::new(2025,  2, 1)),
    ("BD IQ KZ KW MA NP OM LK UA", Date::new(2026, 10, 1)),
];

/// Whether a country has the rate on a day.
#[must_use]
pub fn has_rate(country: &str, date: Date) -> bool {
    ROWS.iter().any(|(countries, from)| *from <= date && countries.split(' ').any(|listed| listed == country))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eighteen_countries_have_the_rate_each_from_its_day() {
        let count = |year, month| {
            ROWS.iter()
                .flat_map(|(countries, _)| countries.split(' '))
                .filter(|country| has_rate(country, Date::new(year, month, 1)))
                .count()
        };
        assert_eq!([count(2024, 5), count(2024, 6), count(2024, 7), count(2025, 2), count(2026, 10)], [0, 1, 2, 9, 18]);
    }
}
