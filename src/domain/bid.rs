//! What a sender bids where the platform lets a marketing message cost a max price at most (rules.md 1.10, MAX).
//!
//! `bid_amount` is the price of 1,000 deliveries in the currency's smallest unit; what a delivery costs in the end, the
//! platform says in `pricing.cost`, which replaces the rate card (`billing::price`).

use super::money::{Amount, Currency};
use super::rules::currencies;

/// How many deliveries a bid is for.
const DELIVERIES: i128 = 1_000;

/// A whole number of something so small that no bid has a part of it.
fn whole(dividend: i128, divisor: i128) -> Option<u64> {
    (dividend % divisor == 0).then(|| u64::try_from(dividend / divisor).ok()).flatten()
}

/// The `bid_amount` for a max price of one message; `None` where the currency's smallest unit is not known, the price is
/// negative, or the bid would not be a whole number.
#[must_use]
pub fn of_price(price: Amount, currency: Currency) -> Option<u64> {
    let units = currencies::smallest_units(currency)?;
    whole(i128::from(price.millionths()) * i128::from(units) * DELIVERIES, 1_000_000)
}

/// The bid that stands after the multiplier of one message, such as 1.5; `None` where it would not be a whole number.
#[must_use]
pub fn scaled(bid: u64, multiplier: Amount) -> Option<u64> {
    whole(i128::from(bid).checked_mul(i128::from(multiplier.millionths()))?, 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bid(price: &str, currency: &str) -> Option<u64> {
        of_price(Amount::parse(price)?, Currency::parse(currency)?)
    }

    #[test]
    fn a_bid_is_for_a_thousand_in_the_smallest_unit() {
        assert_eq!(bid("0.87", "INR"), Some(87_000));
        assert_eq!(bid("0.05", "USD"), Some(5_000));
        assert_eq!(bid("78.4917", "CLP"), None, "the peso has no smaller unit, and a bid no fraction");
        assert_eq!(bid("78.491", "CLP"), Some(78_491));
        assert_eq!(bid("0.05", "XTS"), None);
        assert_eq!(bid("-0.05", "USD"), None);
    }

    #[test]
    fn a_multiplier_scales_it() {
        assert_eq!(scaled(2_000, Amount::from_millionths(1_500_000)), Some(3_000));
        assert_eq!(scaled(1, Amount::from_millionths(1_500_000)), None);
    }
}
