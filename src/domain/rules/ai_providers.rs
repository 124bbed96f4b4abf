//! Where providers of general-purpose artificial intelligence are charged for what is no template (rules.md 1.8).
//!
//! It holds for accounts of which a fact says that they are such a provider, and for no others.

use crate::domain::time::Date;

/// Countries in which answers are charged, and when.
#[derive(Debug)]
pub struct AiProviderRow {
    /// The recipients' countries, in two letters each.
    pub countries: &'static str,
    /// The first day, in the account's zone.
    pub from: Date,
    /// The first day after it, if it has ended.
    pub until: Option<Date>,
    /// Where the rule was read.
    pub source: &'static str,
}

/// The rows. The end of 2026-05-13 is midnight in the account's zone. That the European rows
/// hold again, as two readers of the page believe, is left out (rules.md 10 #29).
#[rustfmt::skip]
pub const AI_PROVIDERS: [AiProviderRow; 3] = [
    AiProviderRow { countries: "IT", from: Date::new(2026, 2, 16), until: Some(Date::new(2026, 5, 13)), source: "AIP; CHG #394" },
    AiProviderRow { countries: "AT BE BG HR CY CZ DK EE FI FR DE GR HU IS IE LV LI LT LU MT NL NO PL PT RO SK SI ES SE",
          from: Date::new(2026, 3, 11), until: Some(Date::new(2026, 5, 13)), source: "AIP; CHG #394" },
    AiProviderRow { countries: "BR", from: Date::new(2026, 3, 11), until: None, source: "AIP" },
];

/// Whether answers to a country are charged on a day.
#[must_use]
pub fn charged(country: &str, date: Date) -> bool {
    AI_PROVIDERS.iter().any(|row| {
        row.from <= date
            && row.until.is_none_or(|until| date < until)
            && row.countries.split(' ').any(|listed| listed == country)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_listed_from_its_first_day_to_its_last() {
        assert!(!charged("IT", Date::new(2026, 2, 15)));
        assert!(charged("IT", Date::new(2026, 2, 16)));
        assert!(charged("IT", Date::new(2026, 5, 12)));
        assert!(!charged("IT", Date::new(2026, 5, 13)));
        assert!(!charged("DE", Date::new(2026, 3, 10)));
        assert!(charged("BR", Date::new(2030, 1, 1)));
        assert!(!charged("IN", Date::new(2026, 4, 1)));
    }
}
