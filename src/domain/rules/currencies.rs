//! Currencies: their smallest units, and accounts that the platform delivers for in one currency only, from a day on
//! (rules.md 1.1, PRICE).

use crate::domain::money::Currency;
use crate::domain::reference::Account;
use crate::domain::time::Date;

/// A currency that eligible customers of a country must pay in, and from which day, in the account's zone, what is sent
/// from an account in another one is not delivered.
#[derive(Debug)]
pub struct CurrencyRow {
    /// The currency.
    pub currency: &'static str,
    /// The first day.
    pub from: Date,
    /// Where the rule was read.
    pub source: &'static str,
}

/// The rows.
#[rustfmt::skip]
pub const CURRENCIES: [CurrencyRow; 2] = [
    CurrencyRow { currency: "INR", from: Date::new(2027, 1, 1), source: "PRICE: the last day to migrate is 2026-12-31" },
    CurrencyRow { currency: "BRL", from: Date::new(2027, 7, 1), source: "PRICE: the last day to migrate is 2027-06-30" },
];

/// Whether the platform does not deliver for an account on a day, because it is eligible for a currency and pays in
/// another.
#[must_use]
pub fn is_refused(account: &Account, date: Date) -> bool {
    let Some((wanted, pays)) = account.must_pay_in.zip(account.currency) else {
        return false;
    };
    wanted != pays && CURRENCIES.iter().any(|row| Currency::parse(row.currency) == Some(wanted) && row.from <= date)
}

/// The currencies that the platform bills in (PRICE, rules.md 7.1), and how many of its smallest unit make one. Source: ISO
/// 4217, list of 2026-01-01, minor units: none for CLP, two digits for the rest.
#[rustfmt::skip]
const SMALLEST_UNITS: [(&str, u32); 16] = [
    ("AED", 100), ("ARS", 100), ("AUD", 100), ("BRL", 100), ("CLP", 1),   ("COP", 100), ("EUR", 100), ("GBP", 100),
    ("IDR", 100), ("INR", 100), ("MXN", 100), ("MYR", 100), ("PEN", 100), ("SAR", 100), ("SGD", 100), ("USD", 100),
];

/// How many of a currency's smallest unit make one; `None` for one that the platform does not bill in.
#[must_use]
pub fn smallest_units(currency: Currency) -> Option<u32> {
    SMALLEST_UNITS.iter().find(|(name, _)| *name == currency.as_str()).map(|(_, units)| *units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eligible_account_in_another_currency_is_refused_from_the_day_on() {
        let currency = Currency::parse;
        let account = |wanted, pays| Account {
            must_pay_in: currency(wanted),
            currency: currency(pays),
            ..Account::unknown(None)
        };
        assert!(!is_refused(&account("INR", "USD"), Date::new(2026, 12, 31)));
        assert!(is_refused(&account("INR", "USD"), Date::new(2027, 1, 1)));
        assert!(!is_refused(&account("INR", "INR"), Date::new(2027, 1, 1)));
        assert!(!is_refused(&account("BRL", "USD"), Date::new(2027, 6, 30)));
        assert!(is_refused(&account("BRL", "USD"), Date::new(2027, 7, 1)));
        assert!(!is_refused(&Account::unknown(None), Date::new(2028, 1, 1)));
    }
}
