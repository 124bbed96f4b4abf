//! The platform's pricing analytics, as its Graph API answers them: how many messages were delivered in each span of
//! time, and what they cost.
//!
//! An answer is `{"pricing_analytics": {"data": [{"data_points": […]}]}, "id": "<account>"}`; one page of it may be
//! given by itself, and so may the data points, one per line. Costs are JSON numbers. They are read from their text, so
//! that no float ever holds an amount.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::money::Amount;
use crate::domain::time::Timestamp;

/// What one document of an export holds.
#[derive(Default)]
pub struct Document {
    /// The account it is about, where it says.
    pub account: Option<String>,
    /// Its data points, in order.
    pub points: Vec<Point>,
    /// How many costs had more than six decimals, which are what is left of a float, and were rounded.
    pub rounded: u64,
}

/// One data point. A dimension that was not asked for is absent. It never prints, for it may hold a phone number.
#[derive(Clone, PartialEq, Eq)]
pub struct Point {
    /// The first instant it counts.
    pub start: Timestamp,
    /// The first instant it counts no more.
    pub end: Timestamp,
    /// The business phone number as people write it, digits only.
    pub phone: Option<String>,
    /// The recipient's country.
    pub country: Option<String>,
    /// The category, in lower case as in webhooks.
    pub category: Option<String>,
    /// The pricing type, in lower case as in webhooks.
    pub pricing_type: Option<String>,
    /// The volume tier, `lower:upper`.
    pub tier: Option<String>,
    /// How many messages were delivered.
    pub volume: i64,
    /// What they cost, in the account's currency. Absent where the platform hides it.
    pub cost: Option<Amount>,
}

/// Why a document cannot be used. It says where and what to do, and holds none of the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable(pub String);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    id: Option<String>,
    #[serde(borrow)]
    pricing_analytics: Option<Page<'a>>,
    conversation_analytics: Option<serde::de::IgnoredAny>,
    error: Option<serde::de::IgnoredAny>,
    // A page by itself, and a data point by itself.
    #[serde(borrow)]
    data: Option<Vec<Group<'a>>>,
    #[serde(borrow)]
    data_points: Option<Vec<RawPoint<'a>>>,
    start: Option<i64>,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    data: Option<Vec<Group<'a>>>,
    #[serde(borrow)]
    data_points: Option<Vec<RawPoint<'a>>>,
}

#[derive(Deserialize)]
struct Group<'a> {
    #[serde(borrow, default)]
    data_points: Vec<RawPoint<'a>>,
}

#[derive(Deserialize)]
struct RawPoint<'a> {
    start: i64,
    end: i64,
    phone_number: Option<String>,
    country: Option<String>,
    pricing_category: Option<String>,
    pricing_type: Option<String>,
    tier: Option<String>,
    volume: Option<i64>,
    #[serde(borrow)]
    cost: Option<&'a RawValue>,
}

/// Reads one JSON document of an export.
///
/// # Errors
/// What is wrong with it and what to do.
pub fn parse(bytes: &[u8]) -> Result<Document, Unusable> {
    let unusable = |why: &str| Unusable(why.to_owned());
    let wrong_shape = |error: &serde_json::Error| {
        let place = format!("line {}, column {} of the document", error.line(), error.column());
        if error.is_data() {
            Unusable(format!("{place}: a field is missing or of another type than the platform's documentation says"))
        } else {
            Unusable(format!("{place}: no JSON"))
        }
    };
    let answer: Answer<'_> = serde_json::from_slice(bytes).map_err(|error| wrong_shape(&error))?;
    if answer.error.is_some() {
        return Err(unusable(
            "it is the platform's answer to a request that failed; ask again, and give the new answer",
        ));
    }
    let mut document = Document { account: answer.id, ..Document::default() };
    let points = match (answer.pricing_analytics, answer.data, answer.data_points) {
        (Some(page), _, _) => flat(page.data, page.data_points),
        (None, None, None) if answer.start.is_some() => {
            // A data point has no `id` of an account.
            document.account = None;
            vec![serde_json::from_slice(bytes).map_err(|error| wrong_shape(&error))?]
        }
        (None, None, None) if answer.conversation_analytics.is_some() => {
            return Err(unusable("it holds `conversation_analytics`; ask the platform for `pricing_analytics`"));
        }
        (None, None, None) => return Err(unusable("it holds no `pricing_analytics`, no `data` and no data point")),
        (None, data, points) => flat(data, points),
    };
    for (index, raw) in points.iter().enumerate() {
        let (point, rounded) = point(raw).map_err(|why| Unusable(format!("data point {}: {why}", index + 1)))?;
        document.rounded += u64::from(rounded);
        document.points.push(point);
    }
    Ok(document)
}

fn flat<'a>(data: Option<Vec<Group<'a>>>, points: Option<Vec<RawPoint<'a>>>) -> Vec<RawPoint<'a>> {
    let grouped = data.into_iter().flatten().flat_map(|group| group.data_points);
    grouped.chain(points.into_iter().flatten()).collect()
}

fn point(raw: &RawPoint<'_>) -> Result<(Point, bool), &'static str> {
    let time = |seconds| Timestamp::from_seconds(seconds).ok_or("`start` and `end` are seconds since the epoch");
    let (start, end) = (time(raw.start)?, time(raw.end)?);
    if end <= start {
        return Err("it ends before it starts");
    }
    let cost = match raw.cost.map(RawValue::get) {
        None | Some("null") => None,
        Some(text) => Some(cost(text).ok_or("`cost` is no amount")?),
    };
    let lower = |text: &Option<String>| text.as_deref().map(str::to_ascii_lowercase);
    let point = Point {
        start,
        end,
        phone: raw.phone_number.as_deref().map(digits),
        country: raw.country.clone(),
        category: lower(&raw.pricing_category),
        pricing_type: lower(&raw.pricing_type),
        tier: raw.tier.clone(),
        volume: raw.volume.ok_or("it has no `volume`; ask for the metric VOLUME beside COST")?,
        cost: cost.map(|(amount, _)| amount),
    };
    Ok((point, cost.is_some_and(|(_, rounded)| rounded)))
}

/// A phone number without what people write between its digits.
#[must_use]
pub fn digits(phone: &str) -> String {
    phone.chars().filter(char::is_ascii_digit).collect()
}

/// An amount from the text of a JSON number, and whether it had to be rounded. Rates have at most six decimals and so
/// has every sum of them; what follows the sixth is what a float on the way has left, and is rounded to the nearest.
#[must_use]
pub fn cost(text: &str) -> Option<(Amount, bool)> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix('+').unwrap_or(exponent).parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    if whole.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // How many of the digits stand before the end of the sixth decimal.
    let kept = i64::from(exponent) + i64::try_from(whole.len()).ok()? + 6;
    let mut millionths: i64 = 0;
    let mut place = 0;
    let first = digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len());
    if first == digits.len() {
        return Some((Amount::ZERO, false));
    }
    while place < kept {
        let digit = usize::try_from(place).ok().and_then(|place| digits.get(place)).copied().unwrap_or(b'0');
        millionths = millionths.checked_mul(10)?.checked_add(i64::from(digit - b'0'))?;
        place += 1;
    }
    let rest = usize::try_from(kept.max(0)).ok()?;
    let rest = digits.get(rest..).unwrap_or_default();
    let rounded = rest.iter().any(|digit| *digit != b'0');
    // Below the first digit of a number smaller than a millionth there is nothing to round up.
    if kept >= 0 && rest.first().is_some_and(|digit| *digit >= b'5') {
        millionths = millionths.checked_add(1)?;
    }
    Some((Amount::from_millionths(if negative { -millionths } else { millionths }), rounded))
}

#[derive(Deserialize)]
struct Numbers {
    #[serde(default)]
    data: Vec<NumberRow>,
}

#[derive(Deserialize)]
struct NumberRow {
    id: String,
    display_phone_number: String,
}

/// Reads the answer to `GET /<account>/phone_numbers`: ids of business phone numbers, and the digits that people know
/// each by.
///
/// # Errors
/// If it is no such answer.
pub fn numbers(bytes: &[u8]) -> Result<Vec<(String, String)>, Unusable> {
    let numbers: Numbers = serde_json::from_slice(bytes).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Unusable(format!("{place}: it is no answer of `phone_numbers` with `id` and `display_phone_number`"))
    })?;
    if numbers.data.is_empty() {
        return Err(Unusable("it holds no phone number under `data`".to_owned()));
    }
    Ok(numbers.data.into_iter().map(|row| (row.id, digits(&row.display_phone_number))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_read_from_their_text_to_the_last_decimal() {
        for (text, written, rounded) in [
            ("0", "0.00", false),
            ("10", "10.00", false),
            ("4.6", "4.60", false),
            ("0.0432", "0.0432", false),
            ("-0.0432", "-0.0432", false),
            ("1e2", "100.00", false),
            ("1.5E-3", "0.0015", false),
            ("15e-1", "1.50", false),
            ("0.000001", "0.000001", false),
            ("0.30000000000000004", "0.30", true),
            ("0.29999999999999998", "0.30", true),
            ("0.0000005", "0.000001", true),
            ("1e-7", "0.00", true),
            ("9e-9", "0.00", true),
            ("0e99999", "0.00", false),
            ("9223372036854.775807", "9223372036854.775807", false),
        ] {
            let (amount, was_rounded) = cost(text).expect(text);
            assert_eq!((amount.to_string().as_str(), was_rounded), (written, rounded), "{text}");
        }
        for text in ["", "-", ".5", "1e", "1e99", "9223372036854.775808", "\"1\"", "true"] {
            assert_eq!(cost(text), None, "{text}");
        }
    }

    #[test]
    fn answers_pages_and_points_say_the_same() {
        let point = r#"{"start": 1749106800, "end": 1749193200, "phone_number": "+1 555-045-8206", "country": "IN",
            "tier": "0:750000", "pricing_type": "REGULAR", "pricing_category": "AUTHENTICATION_INTERNATIONAL",
            "volume": 2, "cost": 4.6}"#;
        let page = format!(r#"{{"data": [{{"data_points": [{point}]}}]}}"#);
        let answer = format!(r#"{{"pricing_analytics": {page}, "id": "102290129340398"}}"#);
        for (text, account) in [(point.to_owned(), None), (page, None), (answer, Some("102290129340398"))] {
            let document = parse(text.as_bytes()).map_err(|Unusable(why)| why).expect("usable");
            assert_eq!(document.account.as_deref(), account);
            let [point] = &document.points[..] else { panic!("one point") };
            assert_eq!(point.phone.as_deref(), Some("15550458206"));
            assert_eq!(point.category.as_deref(), Some("authentication_international"));
            assert_eq!((point.volume, point.cost.map(|cost| cost.to_string())), (2, Some("4.60".to_owned())));
        }
    }

    #[test]
    fn what_cannot_be_used_is_told_with_what_to_do() {
        for (text, told) in [
            ("{", "no JSON"),
            (r#"{"error": {"message": "x"}}"#, "ask again"),
            (r#"{"conversation_analytics": {}}"#, "ask the platform for `pricing_analytics`"),
            (r#"{"id": "1"}"#, "holds no `pricing_analytics`"),
            (r#"{"start": 1790000000, "end": 1790000000, "volume": 1}"#, "data point 1: it ends before it starts"),
            (r#"{"start": 1790000000, "end": 1790001800, "cost": 1}"#, "metric VOLUME"),
            (r#"{"start": 1790000000, "end": 1790001800, "volume": 1, "cost": "x"}"#, "`cost` is no amount"),
            (r#"{"start": "x"}"#, "another type"),
        ] {
            let Unusable(why) = parse(text.as_bytes()).err().expect(text);
            assert!(why.contains(told), "{text}: {why}");
        }
    }
}
