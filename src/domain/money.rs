//! Money as integers: millionths of a currency's unit, because the platform's rates have at most six
//! decimals. No float ever holds an amount, and an amount without a currency is never added to another.

use std::fmt;

/// A currency by its ISO 4217 code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// A currency by its three capital letters. The platform's older cards write `$US`; that is USD too.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.as_bytes() {
            b"$US" => Some(Self(*b"USD")),
            &[a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Some(Self([a, b, c])),
            _ => None,
        }
    }

    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }

    /// The three letters as bytes, the stored form.
    #[must_use]
    pub const fn bytes(self) -> [u8; 3] {
        self.0
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An amount in millionths of a currency's unit; negative on a reversal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i64);

impl Amount {
    /// Nothing to pay.
    pub const ZERO: Self = Self(0);

    /// An amount from millionths.
    #[must_use]
    pub const fn from_millionths(millionths: i64) -> Self {
        Self(millionths)
    }

    /// Millionths of the unit.
    #[must_use]
    pub const fn millionths(self) -> i64 {
        self.0
    }

    /// The amount with its sign turned.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self(-self.0)
    }

    /// The sum; `None` when it would not fit, so that a bill is never wrong in silence.
    #[must_use]
    pub const fn plus(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// So many times the amount; `None` when it would not fit.
    #[must_use]
    pub fn times(self, count: u64) -> Option<Self> {
        self.0.checked_mul(i64::try_from(count).ok()?).map(Self)
    }

    /// An amount as people and cards write it: digits, an optional point, at most six decimals, an
    /// optional minus sign, and commas between thousands of the whole part.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() || fraction.len() > 6 || (digits.contains('.') && fraction.is_empty()) {
            return None;
        }
        // A comma that stands anywhere else is a decimal comma, and no amount.
        if let Some((first, rest)) = whole.split_once(',')
            && (!(1..=3).contains(&first.len()) || first.starts_with('0') || rest.split(',').any(|it| it.len() != 3))
        {
            return None;
        }
        let digits = whole.bytes().filter(|byte| *byte != b',').chain(fraction.bytes());
        let mut millionths: i64 = 0;
        for byte in digits.chain(std::iter::repeat_n(b'0', 6 - fraction.len())) {
            if !byte.is_ascii_digit() {
                return None;
            }
            millionths = millionths.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
        }
        Some(Self(if negative { -millionths } else { millionths }))
    }
}

impl fmt::Display for Amount {
    /// A decimal with at least two and at most six places, without trailing zeros beyond two.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let (whole, mut fraction) = (magnitude / 1_000_000, magnitude % 1_000_000);
        let mut places = 6;
        while places > 2 && fraction.is_multiple_of(10) {
            fraction /= 10;
            places -= 1;
        }
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{whole}.{fraction:0places$}")
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_they_are_read() {
        for (text, millionths, written) in [
            ("0.0118", 11_800, "0.0118"),
            ("0.115", 115_000, "0.115"),
            ("2,280", 2_280_000_000, "2280.00"),
            ("1,234,567.5", 1_234_567_500_000, "1234567.50"),
            ("0", 0, "0.00"),
            ("-0.5", -500_000, "-0.50"),
            ("78.4917", 78_491_700, "78.4917"),
            ("0.000001", 1, "0.000001"),
        ] {
            let amount = Amount::parse(text).expect(text);
            assert_eq!(amount.millionths(), millionths, "{text}");
            assert_eq!(amount.to_string(), written, "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        let no_numbers = ["", ".", "1.", ".5", "n/a", "1.2345678", "1e3", "--1", "1.-1", "99999999999999999"];
        let decimal_commas = ["0,0625", "0,062", "1,25", "1,2,3.5", "1234,567", ",5", "1,,000", "12,"];
        for text in no_numbers.into_iter().chain(decimal_commas) {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_old_way_to_write_dollars_is_dollars() {
        assert_eq!(Currency::parse("$US"), Currency::parse("USD"));
        assert_eq!(Currency::parse("usd"), None);
    }
}
