//! `tollgate erase --kafka`: the event that has a person erased, to the topic of events.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Cluster, Progress, wrong};
use crate::codec::records::Event;
use crate::codec::schema;
use crate::config::Mistake;
use crate::config::stream::Stream;
use crate::engine::FUTURE;
use crate::stream::Topic;

/// When the log will say that the event arrived, as far as this machine's clock knows.
#[allow(clippy::disallowed_methods, reason = "the log stamps records with the time of day")]
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Writes the event to the first topic of events and waits until the brokers have it. Returns where it is, as it is told.
///
/// # Errors
/// Why it is not there, without any of its content.
pub fn erase(stream: &Stream, event: &Event<'_>, progress: Progress) -> Result<String, Vec<Mistake>> {
    if !stream.arrival_by_field && event.occurred_at > now() + FUTURE.0 {
        return Err(wrong("--at")(&"it is more than ten minutes ahead, and would be a dead letter"));
    }
    let cluster = Cluster::connect(stream, &[], progress)?;
    let (topic, number) = (Topic::Input(0), event.phone_number_id.as_str());
    let mut value = Vec::new();
    cluster.framer(topic, schema::EVENT)?.write(event, &mut value).map_err(|error| wrong("erase")(&error))?;
    cluster.write(topic, std::iter::once((number.to_owned(), value)))?;
    Ok(format!("`{}`, partition {}", cluster.name(topic), cluster.partition(topic, number).0))
}
