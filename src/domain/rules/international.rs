//! The countries with a rate of their own for passcodes of businesses from elsewhere (rules.md 1.6).

use crate::domain::time::Date;

/// Countries that have the rate from a day on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternationalRow {
    /// The first day, in the account's zone.
    pub from: Date,
    /// The countries, in two letters each.
    pub countries: &'static str,
    /// Where the rule was read.
    pub source: &'static str,
}

const fn row(from: Date, countries: &'static str, source: &'static str) -> InternationalRow {
    InternationalRow { from, countries, source }
}

/// The rows, in ascending order of day.
#[rustfmt::skip]
pub const INTERNATIONAL: [InternationalRow; 4] = [
    row(Date::new(2024,  6, 1), "ID",                         "CBP; AIR (Indonesia first: secondary source)"),
    row(Date::new(2024,  7, 1), "IN",                         "CBP; AIR (India a month later: secondary source)"),
    row(Date::new(2025,  2, 1), "EG MY NG PK SA ZA AE",       "CBP"),
    row(Date::new(2026, 10, 1), "BD IQ KZ KW MA NP OM LK UA", "PRICE (rules.md 1.6, 1.7)"),
];

/// Whether a country has the rate on a day, by these rows.
#[must_use]
pub fn has_rate(rows: &[InternationalRow], country: &str, date: Date) -> bool {
    rows.iter().any(|row| row.from <= date && row.countries.split(' ').any(|listed| listed == country))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eighteen_countries_have_the_rate_each_from_its_day() {
        let count = |year, month| {
            INTERNATIONAL
                .iter()
                .flat_map(|row| row.countries.split(' '))
                .filter(|country| has_rate(&INTERNATIONAL, country, Date::new(year, month, 1)))
                .count()
        };
        assert_eq!([count(2024, 5), count(2024, 6), count(2024, 7), count(2025, 2), count(2026, 10)], [0, 1, 2, 9, 18]);
    }
}
