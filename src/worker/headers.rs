//! Headers of outputs, for consumers that route by them: the attributes of CloudEvents, as its binding to Kafka names
//! them. Off by default: each header costs about as much as producing the record without any.

use crate::codec::records::Envelope;
use crate::domain::time::{Date, Timestamp};
use crate::engine::publish::Record;

/// Which headers outputs carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Headers {
    /// None: every attribute is a field of the record.
    #[default]
    Off,
    /// `ce_id` and `ce_type`.
    Minimal,
    /// All attributes.
    Full,
}

/// The headers of a record with this envelope.
#[must_use]
pub fn of(envelope: &Envelope<'_>, wanted: Headers) -> Vec<(&'static str, String)> {
    let mut headers = Vec::new();
    if wanted == Headers::Off {
        return headers;
    }
    headers.push(("ce_id", envelope.id.as_str().to_owned()));
    headers.push(("ce_type", envelope.r#type.as_str().to_owned()));
    if wanted == Headers::Full {
        headers.push(("ce_specversion", "1.0".to_owned()));
        headers.push(("ce_source", envelope.source.as_str().to_owned()));
        headers.extend(Timestamp::from_millis(envelope.time).map(|time| ("ce_time", written(time))));
        headers.extend(envelope.subject.as_ref().map(|subject| ("ce_subject", subject.as_str().to_owned())));
    }
    headers
}

/// The envelope of a record that is published; a row that is deleted has none.
#[must_use]
pub fn envelope<'r, 'a>(record: &'r Record<'a>) -> Option<&'r Envelope<'a>> {
    match record {
        Record::Verdict(record) => Some(&record.envelope),
        Record::Billing(record) => Some(&record.envelope),
        Record::Window(record) => Some(&record.envelope),
        Record::State(row) => row.value.as_ref().map(|row| &row.envelope),
        Record::Outcome(record) => Some(&record.envelope),
        Record::Usage(record) => Some(&record.envelope),
        Record::DeadLetter(record) => Some(&record.envelope),
        // Charges are for the next stage alone.
        Record::Charge(..) => None,
    }
}

/// An instant as RFC 3339 writes it.
fn written(time: Timestamp) -> String {
    let of_day = time.millis().rem_euclid(24 * 60 * 60 * 1_000);
    let (seconds, millis) = (of_day / 1_000, of_day % 1_000);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z", Date::utc(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_written_as_the_binding_to_kafka_says() {
        let envelope = Envelope {
            id: "ab".into(),
            source: "shop".into(),
            r#type: "tollgate.send.verdict.v1".into(),
            time: 1_790_812_805_007,
            ..Envelope::default()
        };
        assert_eq!(of(&envelope, Headers::Off), []);
        assert_eq!(of(&envelope, Headers::Minimal).len(), 2);
        let full = of(&envelope, Headers::Full);
        let value = |name| full.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        assert_eq!(value("ce_time"), Some("2026-10-01T00:00:05.007Z"));
        assert_eq!((value("ce_source"), value("ce_subject")), (Some("shop"), None));
    }
}
