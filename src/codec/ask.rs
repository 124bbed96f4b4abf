//! Asks that cannot be understood: where at least their number and id can be read, they are answered.

use super::records;
use crate::domain::time::Timestamp;

/// How long a number or an id may be that an answer repeats, in bytes. An answer must fit into its topic, and nobody
/// who waits for one has made up an id that is longer.
const LONGEST: usize = 4_096;

/// An ask of which only number and id can be read.
#[derive(Clone, PartialEq, Eq)]
pub struct MalformedAsk {
    /// The business phone number.
    pub number: String,
    /// The caller's id.
    pub request: String,
    /// When it was asked, if that can be read.
    pub at: Option<Timestamp>,
}

impl std::fmt::Debug for MalformedAsk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MalformedAsk(..)")
    }
}

impl MalformedAsk {
    /// Of a record that is what the schema says and still no event.
    #[must_use]
    pub fn of_record(record: &records::Event<'_>) -> Option<Self> {
        let ask = record.send_requested.as_ref()?;
        Self::readable(Self {
            number: record.phone_number_id.as_str().to_owned(),
            request: ask.request_id.as_str().to_owned(),
            at: Timestamp::from_millis(record.occurred_at),
        })
    }

    /// Of JSON that is not what the schema says.
    #[must_use]
    pub fn of_json(bytes: &[u8]) -> Option<Self> {
        let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        Self::readable(Self {
            number: text(value.get("phone_number_id")?)?,
            request: text(value.get("send_requested")?.get("request_id")?)?,
            at: value.get("occurred_at").and_then(serde_json::Value::as_i64).and_then(Timestamp::from_millis),
        })
    }

    fn readable(ask: Self) -> Option<Self> {
        let some = |text: &str| (1..=LONGEST).contains(&text.len());
        Some(ask).filter(|ask| some(&ask.number) && some(&ask.request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_no_answer_has_room_for_are_not_answered() {
        let ask = |length: usize| {
            let id = "r".repeat(length);
            MalformedAsk::of_json(
                format!("{{\"phone_number_id\":\"1\",\"send_requested\":{{\"request_id\":\"{id}\"}}}}").as_bytes(),
            )
        };
        assert!(ask(1).is_some() && ask(LONGEST).is_some());
        assert!(ask(0).is_none() && ask(LONGEST + 1).is_none());
    }
}
