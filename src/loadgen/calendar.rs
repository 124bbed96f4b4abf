//! Local days, asked for once and then looked up.

/// The day on which an instant falls in a time zone.
pub trait Calendar {
    /// Year, month and day of `millis` (since the Unix epoch) on the clocks of `zone`, an IANA name.
    fn date(&self, zone: &str, millis: i64) -> Date;
}

/// Year, month and day.
pub type Date = (i16, u8, u8);

/// An hour, in milliseconds.
pub(super) const HOUR: i64 = 3_600_000;
/// A day of 24 hours, in milliseconds.
pub(super) const DAY: i64 = 24 * HOUR;

/// The days of one zone over a span of time, each from its first instant on.
pub(super) struct LocalDays(Vec<(i64, Date)>);

impl LocalDays {
    /// The days that touch `from..=to`.
    pub(super) fn new(calendar: &dyn Calendar, zone: &str, from: i64, to: i64) -> Self {
        let mut days = vec![(from, calendar.date(zone, from))];
        let (mut at, mut today) = days[0];
        while at <= to {
            // No local day is longer than this, whatever its clocks do.
            let (mut same, mut other) = (at, at + 2 * DAY);
            while other - same > 1 {
                let middle = same + (other - same) / 2;
                if calendar.date(zone, middle) == today {
                    same = middle;
                } else {
                    other = middle;
                }
            }
            (at, today) = (other, calendar.date(zone, other));
            days.push((at, today));
        }
        Self(days)
    }

    /// The local date of `at`; of an instant before or after the span, the nearest day in it.
    pub(super) fn date(&self, at: i64) -> Date {
        let next = self.0.partition_point(|(first, _)| *first <= at);
        self.0[next.saturating_sub(1)].1
    }

    /// The first instant on or after local midnight of `date`; the end of time where the span ends before it,
    /// and the beginning where it starts after.
    pub(super) fn first_instant(&self, date: Date) -> i64 {
        match self.0.partition_point(|(_, day)| *day < date) {
            0 => i64::MIN,
            later => self.0.get(later).map_or(i64::MAX, |(first, _)| *first),
        }
    }
}
