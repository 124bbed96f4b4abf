//! Instants, spans and calendar days.
//!
//! There is no `now()` here: every instant came inside an event, so a replay agrees with the past. A
//! calendar day depends on a time zone, and zones are data the domain does not hold; whoever folds hands
//! in a [`Zones`].

use std::fmt;
use std::num::NonZeroI64;
use std::ops::{Add, Sub};

/// An instant on the platform's clock, in milliseconds since the Unix epoch, UTC.
///
/// No instant is the epoch itself, so an instant that may be missing takes no more room than one that is there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(NonZeroI64);

impl Timestamp {
    /// The earliest instant accepted: 2009-01-01, the year the platform was founded. Anything before is a
    /// unit mistake (seconds taken for milliseconds), not an old message.
    pub const EARLIEST: Self = Self::near(1_230_768_000_000);
    /// The latest instant accepted: 2100-01-01. Anything after is a unit mistake (microseconds).
    pub const LATEST: Self = Self::near(4_102_444_800_000);

    /// The instant of a number of milliseconds, a millisecond later if that is the epoch itself.
    const fn near(millis: i64) -> Self {
        match (NonZeroI64::new(millis), NonZeroI64::new(1)) {
            (Some(millis), _) | (None, Some(millis)) => Self(millis),
            (None, None) => unreachable!(),
        }
    }

    /// An instant from milliseconds since the epoch; `None` outside 2009 to 2099.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Option<Self> {
        if millis < Self::EARLIEST.millis() || millis >= Self::LATEST.millis() {
            None
        } else {
            Some(Self::near(millis))
        }
    }

    /// An instant from seconds since the epoch, as webhooks write it; `None` outside 2009 to 2099.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Option<Self> {
        match seconds.checked_mul(1000) {
            Some(millis) => Self::from_millis(millis),
            None => None,
        }
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0.get()
    }

    /// The time from `earlier` to `self`; negative if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.millis() - earlier.millis())
    }
}

/// A length of time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub i64);

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// So many hours.
    #[must_use]
    pub const fn hours(hours: i64) -> Self {
        Self(hours * 3_600_000)
    }

    /// So many days of 24 hours.
    #[must_use]
    pub const fn days(days: i64) -> Self {
        Self::hours(days * 24)
    }

    /// So many minutes.
    #[must_use]
    pub const fn minutes(minutes: i64) -> Self {
        Self(minutes * 60_000)
    }

    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds * 1_000)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

impl Add<Millis> for Timestamp {
    type Output = Self;
    fn add(self, length: Millis) -> Self {
        Self::near(self.millis().saturating_add(length.0))
    }
}

impl Sub<Millis> for Timestamp {
    type Output = Self;
    fn sub(self, length: Millis) -> Self {
        Self::near(self.millis().saturating_sub(length.0))
    }
}

/// A half-open stretch of time: it holds its start and not its end, as the platform's own example of a
/// window that opens at hour 2 and is closed at hour 26 requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first instant inside.
    pub start: Timestamp,
    /// The first instant after.
    pub end: Timestamp,
}

impl Span {
    /// The span of a given length from an instant.
    #[must_use]
    pub fn from(start: Timestamp, length: Millis) -> Self {
        Self { start, end: start + length }
    }

    /// Whether an instant lies inside.
    #[must_use]
    pub fn contains(self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }
}

/// A calendar day of the proleptic Gregorian calendar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: i16,
    month: u8,
    day: u8,
}

impl Date {
    /// A day by its numbers.
    ///
    /// # Panics
    /// If month or day is out of range; dates in code are constants, so this fails when the rules are built.
    #[must_use]
    pub const fn new(year: i16, month: u8, day: u8) -> Self {
        match Self::checked(year, month, day) {
            Some(date) => date,
            #[allow(clippy::panic, reason = "a constant that is no day does not compile")]
            None => panic!("no such day"),
        }
    }

    /// A day by its numbers, or `None` if there is no such day.
    #[must_use]
    pub const fn checked(year: i16, month: u8, day: u8) -> Option<Self> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => 0,
        };
        if day == 0 || day > days { None } else { Some(Self { year, month, day }) }
    }

    /// The day in UTC shifted by a fixed offset, for the two extreme zones of the world.
    #[must_use]
    fn at_offset(at: Timestamp, offset: Millis) -> Self {
        // Days to civil date, after Howard Hinnant's chrono paper; exact over our range of years.
        let days = (at.millis() + offset.0).div_euclid(86_400_000) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self::of_numbers(year, month, day)
    }

    /// A day by numbers that are one by the way they were made: the year lies between 2008 and 2100, the
    /// others below 32, so the casts lose nothing.
    #[allow(clippy::cast_sign_loss, reason = "the numbers are small and positive")]
    const fn of_numbers(year: i64, month: i64, day: i64) -> Self {
        Self { year: year as i16, month: month as u8, day: day as u8 }
    }

    /// The day in UTC.
    #[must_use]
    pub fn utc(at: Timestamp) -> Self {
        Self::at_offset(at, Millis::ZERO)
    }

    /// The calendar month the day lies in.
    #[must_use]
    pub const fn month(self) -> Month {
        Month { year: self.year, month: self.month }
    }

    /// Year, month and day as numbers.
    #[must_use]
    pub const fn numbers(self) -> (i16, u8, u8) {
        (self.year, self.month, self.day)
    }

    /// Whether `self` comes before `other`; usable where rows are proved at build time.
    #[must_use]
    pub const fn before(self, other: Self) -> bool {
        self.ordinal() < other.ordinal()
    }

    /// A number that grows with the day and fits a stored record: year, month and day in decimal digits.
    #[must_use]
    pub const fn ordinal(self) -> i32 {
        self.year as i32 * 10_000 + self.month as i32 * 100 + self.day as i32
    }

    /// The day that [`Date::ordinal`] made the number of.
    #[must_use]
    pub fn from_ordinal(ordinal: i32) -> Option<Self> {
        let year = i16::try_from(ordinal / 10_000).ok()?;
        Self::checked(year, u8::try_from(ordinal / 100 % 100).ok()?, u8::try_from(ordinal % 100).ok()?)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A calendar month, the period of the free allowance and of the bill.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i16,
    month: u8,
}

impl Month {
    /// Its first day.
    #[must_use]
    pub const fn first_day(self) -> Date {
        Date { year: self.year, month: self.month, day: 1 }
    }

    /// A number that grows with the month and fits a stored key: year and month in decimal digits.
    #[must_use]
    pub const fn ordinal(self) -> i32 {
        self.year as i32 * 100 + self.month as i32
    }

    /// The month that [`Month::ordinal`] made the number of.
    #[must_use]
    pub fn from_ordinal(ordinal: i32) -> Option<Self> {
        let year = i16::try_from(ordinal / 100).ok()?;
        Some(Date::checked(year, u8::try_from(ordinal % 100).ok()?, 1)?.month())
    }

    /// A month as the platform writes it: `2025-11`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        Some(Date::checked(year.parse().ok()?, month.parse().ok()?, 1)?.month())
    }

    /// The first day after the month.
    #[must_use]
    pub const fn end(self) -> Date {
        if self.month == 12 { Date::new(self.year + 1, 1, 1) } else { Date::new(self.year, self.month + 1, 1) }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl fmt::Debug for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A time zone, as a handle that only a [`Zones`] gives out and understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Zone(pub u16);

/// Whoever knows the world's time zones. The domain only ever asks for the day.
pub trait Zones {
    /// The calendar day of an instant in a zone.
    fn date(&self, zone: Zone, at: Timestamp) -> Date;
}

/// The days an instant may fall on: one when the zone is known, else those of the two ends of the world.
///
/// An unknown zone is never silently UTC: a rule that is the same on both days is certain, any other is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    /// The earliest day it can be.
    pub first: Date,
    /// The latest day it can be.
    pub last: Date,
}

impl Days {
    /// The days of an instant in a zone that may be unknown.
    #[must_use]
    pub fn of(zones: &dyn Zones, zone: Option<Zone>, at: Timestamp) -> Self {
        match zone {
            Some(zone) => {
                let date = zones.date(zone, at);
                Self { first: date, last: date }
            }
            None => {
                Self { first: Date::at_offset(at, Millis::hours(-12)), last: Date::at_offset(at, Millis::hours(14)) }
            }
        }
    }

    /// The day, if it is certain.
    #[must_use]
    pub fn certain(self) -> Option<Date> {
        (self.first == self.last).then_some(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis).expect("in range")
    }

    #[test]
    fn a_span_holds_its_start_and_not_its_end() {
        let span = Span::from(at(1_790_000_000_000), Millis::hours(24));
        assert!(span.contains(span.start));
        assert!(span.contains(span.end - Millis(1)));
        assert!(!span.contains(span.end));
        assert!(!span.contains(span.start - Millis(1)));
    }

    #[test]
    fn days_of_an_instant_follow_the_civil_calendar() {
        for (millis, day) in [
            (1_582_934_400_000, "2020-02-29"),
            (1_583_020_800_000, "2020-03-01"),
            (1_790_812_799_999, "2026-09-30"),
            (1_790_812_800_000, "2026-10-01"),
            (1_735_689_599_999, "2024-12-31"),
        ] {
            assert_eq!(Date::utc(at(millis)).to_string(), day);
        }
    }

    #[test]
    fn an_unknown_zone_spans_both_ends_of_the_world() {
        struct Never;
        impl Zones for Never {
            fn date(&self, _: Zone, _: Timestamp) -> Date {
                unreachable!("no zone is known")
            }
        }
        let noon = at(1_790_812_800_000) + Millis::hours(6);
        let days = Days::of(&Never, None, noon);
        assert_eq!((days.first.to_string(), days.last.to_string()), ("2026-09-30".into(), "2026-10-01".into()));
        for hour in 0..48 {
            let days = Days::of(&Never, None, noon + Millis::hours(hour));
            assert_eq!(days.certain(), None, "the world's zones span 26 hours, more than a day");
        }
    }

    #[test]
    fn stored_numbers_of_days_and_months_come_back() {
        let date = Date::new(2026, 11, 2);
        assert_eq!(Date::from_ordinal(date.ordinal()), Some(date));
        assert_eq!(Month::from_ordinal(date.month().ordinal()), Some(date.month()));
        assert_eq!(Date::from_ordinal(20_260_231), None);
        assert_eq!(Date::new(2026, 12, 31).month().end(), Date::new(2027, 1, 1));
    }
}
