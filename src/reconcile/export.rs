//! One or several exports of the platform's figures, put together: by account, in spans of time that do not overlap.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::compare::{BID, Bucket};
use crate::codec::analytics::{Document, Point};
use crate::codec::records::BillingEntry;
use crate::domain::time::{Millis, Timestamp, Zones as _};
use crate::zones::Zones;

/// What the platform calls what webhooks call otherwise.
const SAME_CATEGORY: [(&str, &str); 1] = [("ai_bot", "general_purpose_ai")];

/// The exports of one account.
#[derive(Default)]
pub struct Export {
    /// The data points by what they are of: bucket, phone, country, category, type, tier.
    pub points: BTreeMap<PointKey, Point>,
    /// Which dimensions the figures are broken down by.
    pub has: Has,
    /// Whether the platform names what was bid for by a category of its own.
    pub has_bids: bool,
    /// The buckets, by where they start.
    buckets: BTreeMap<Timestamp, Timestamp>,
    grain: Grain,
    /// From where to where figures were asked for.
    pub span: Option<Bucket>,
}

/// Which dimensions an export has.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "four dimensions, each asked for or not")]
pub struct Has {
    /// PHONE.
    pub phone: bool,
    /// COUNTRY.
    pub country: bool,
    /// `PRICING_CATEGORY`.
    pub category: bool,
    /// `PRICING_TYPE`.
    pub pricing_type: bool,
}

type Text = Option<String>;
type PointKey = (Bucket, Text, Text, Text, Text, Text);

/// How finely an export cuts time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Grain {
    HalfHour,
    Day,
    #[default]
    Month,
}

const HALF_HOUR: Millis = Millis::minutes(30);

/// Exports that contradict each other or themselves.
#[derive(Debug, PartialEq, Eq)]
pub struct Contradiction(pub &'static str);

/// Puts documents together by account. A document that does not say which account it is about is of `assumed`, else
/// of the only account that others name, else of whatever account the ledger has.
///
/// # Errors
/// If they tell different figures of the same, or cut time in different ways.
pub fn gather(
    documents: Vec<Document>,
    assumed: Option<&str>,
    asked: (Option<Timestamp>, Option<Timestamp>),
) -> Result<BTreeMap<Option<String>, Export>, Contradiction> {
    let mut named: Vec<&String> = documents.iter().filter_map(|document| document.account.as_ref()).collect();
    named.sort_unstable();
    named.dedup();
    let only = match named[..] {
        [only] => Some(only.clone()),
        _ => None,
    };
    let fallback = assumed.map(str::to_owned).or(only);
    let mut exports: BTreeMap<Option<String>, Export> = BTreeMap::new();
    for document in documents {
        let account = document.account.or_else(|| fallback.clone());
        let export = exports.entry(account).or_default();
        for point in document.points {
            export.add(point)?;
        }
    }
    exports.retain(|_, export| !export.points.is_empty());
    for export in exports.values_mut() {
        export.finish(asked)?;
    }
    Ok(exports)
}

impl Export {
    fn add(&mut self, mut point: Point) -> Result<(), Contradiction> {
        if let Some(category) = &mut point.category {
            if let Some((_, ours)) = SAME_CATEGORY.iter().find(|(theirs, _)| theirs == category) {
                *category = (*ours).to_owned();
            }
            self.has_bids |= category == BID;
        }
        self.has.phone |= point.phone.is_some();
        self.has.country |= point.country.is_some();
        self.has.category |= point.category.is_some();
        self.has.pricing_type |= point.pricing_type.is_some();
        let bucket = Bucket { start: point.start, end: point.end };
        if *self.buckets.entry(bucket.start).or_insert(bucket.end) != bucket.end {
            return Err(OVERLAP);
        }
        let dimensions = (point.phone.clone(), point.country.clone(), point.category.clone());
        let key = (bucket, dimensions.0, dimensions.1, dimensions.2, point.pricing_type.clone(), point.tier.clone());
        match self.points.entry(key) {
            Entry::Vacant(free) => {
                free.insert(point);
                Ok(())
            }
            // The same export twice, or pages that overlap.
            Entry::Occupied(known) if *known.get() == point => Ok(()),
            Entry::Occupied(_) => Err(Contradiction(
                "they tell different figures of the same span and dimensions; give only the newer export",
            )),
        }
    }

    fn finish(&mut self, (from, until): (Option<Timestamp>, Option<Timestamp>)) -> Result<(), Contradiction> {
        let ends = self.buckets.values();
        if ends.zip(self.buckets.keys().skip(1)).any(|(end, next)| next < end) {
            return Err(OVERLAP);
        }
        let shortest = self.buckets.iter().map(|(start, end)| end.since(*start)).min().unwrap_or(HALF_HOUR);
        self.grain = match shortest {
            short if short <= HALF_HOUR => Grain::HalfHour,
            short if short <= Millis::hours(26) => Grain::Day,
            _ => Grain::Month,
        };
        let (first, last) = (self.buckets.keys().next().copied(), self.buckets.values().next_back().copied());
        if let (Some(first), Some(last)) = (first, last) {
            let (start, end) =
                (from.map_or(first, |from| from.min(first)), until.map_or(last, |until| until.max(last)));
            self.span = Some(Bucket { start, end });
        }
        Ok(())
    }

    /// Where a line of the ledger belongs: in one of the platform's buckets, or in one cut the same way where the
    /// platform counted nothing. `None` outside of the span that figures were asked for.
    #[must_use]
    pub fn bucket(&self, at: Timestamp, line: &BillingEntry<'_>, zones: &Zones) -> Option<Bucket> {
        let span = self.span.filter(|span| span.start <= at && at < span.end)?;
        let before = self.buckets.range(..=at).next_back().map(|(start, end)| Bucket { start: *start, end: *end });
        if let Some(known) = before.filter(|bucket| at < bucket.end) {
            return Some(known);
        }
        let gap = Bucket {
            start: before.map_or(span.start, |bucket| bucket.end),
            end: self.buckets.range(at..).next().map_or(span.end, |(start, _)| *start),
        };
        let cut = match self.grain {
            Grain::HalfHour => {
                let into = at.millis().rem_euclid(HALF_HOUR.0);
                Timestamp::from_millis(at.millis() - into).map(|start| (start, start + HALF_HOUR))
            }
            Grain::Day => local_days(line, zones, false),
            Grain::Month => local_days(line, zones, true),
        };
        Some(cut.map_or(gap, |(start, end)| Bucket { start: start.max(gap.start), end: end.min(gap.end) }))
    }
}

const OVERLAP: Contradiction =
    Contradiction("spans of time overlap; give one granularity at a time, HALF_HOUR, DAILY or MONTHLY");

/// From the beginning to the end of the line's day or month, in its account's time zone.
fn local_days(line: &BillingEntry<'_>, zones: &Zones, whole_month: bool) -> Option<(Timestamp, Timestamp)> {
    let zone = zones.find(line.time_zone.as_ref()?.as_str())?;
    let date = crate::config::parse_date(line.local_date.as_ref()?.as_str())?;
    let first = |date| zones.first_instant(zone, date);
    if whole_month {
        return Some((first(date.month().first_day())?, first(date.month().end())?));
    }
    let start = first(date)?;
    // No day is shorter than 23 hours or longer than 25, so this is in the next one.
    Some((start, first(zones.date(zone, start + Millis::hours(30)))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::analytics;

    fn export(points: &[&str]) -> Result<Export, Contradiction> {
        let documents = points.iter().map(|point| analytics::parse(point.as_bytes()).expect("a point"));
        let exports = gather(documents.collect(), None, (None, None))?;
        Ok(exports.into_values().next().expect("an account"))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds).expect("in range")
    }

    /// Days of São Paulo, three hours behind UTC: 2026-10-30, and 2026-11-02; in between the platform counted nothing.
    const DAYS: [&str; 2] = [
        r#"{"start": 1793329200, "end": 1793415600, "volume": 1}"#,
        r#"{"start": 1793588400, "end": 1793674800, "volume": 1}"#,
    ];

    #[test]
    fn a_line_where_the_platform_counted_nothing_is_in_the_day_of_its_account() {
        let export = export(&DAYS).expect("no contradiction");
        let line = |date: &'static str| BillingEntry {
            time_zone: Some("America/Sao_Paulo".into()),
            local_date: Some(date.into()),
            ..BillingEntry::default()
        };
        let zones = Zones::new();
        for (seconds, date, found) in [
            (1_793_329_200, "2026-10-30", Some((1_793_329_200, 1_793_415_600))),
            (1_793_415_599, "2026-10-30", Some((1_793_329_200, 1_793_415_600))),
            (1_793_415_600, "2026-10-31", Some((1_793_415_600, 1_793_502_000))),
            (1_793_588_399, "2026-11-01", Some((1_793_502_000, 1_793_588_400))),
            (1_793_674_800, "2026-11-03", None),
            (1_793_329_199, "2026-10-29", None),
        ] {
            let bucket = export.bucket(at(seconds), &line(date), &zones);
            assert_eq!(
                bucket.map(|bucket| (bucket.start, bucket.end)),
                found.map(|(a, b)| (at(a), at(b))),
                "{seconds}"
            );
        }
        // Without a zone the day cannot be told, and the gap as a whole is what is known.
        let bucket = export.bucket(at(1_793_415_600), &BillingEntry::default(), &zones);
        assert_eq!(bucket, Some(Bucket { start: at(1_793_415_600), end: at(1_793_588_400) }));
    }

    #[test]
    fn figures_that_contradict_each_other_are_refused() {
        let day = DAYS[0];
        assert!(export(&[day, day]).is_ok(), "the same export twice is no contradiction");
        let other = r#"{"start": 1793329200, "end": 1793415600, "volume": 2}"#;
        assert!(export(&[day, other]).is_err_and(|Contradiction(why)| why.contains("newer")));
        let half_hour = r#"{"start": 1793331000, "end": 1793332800, "volume": 1}"#;
        assert!(export(&[day, half_hour]).is_err_and(|Contradiction(why)| why.contains("granularity")));
    }
}
