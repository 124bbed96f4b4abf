//! `tollgate reconcile --kafka`: the ledger from `wa.billing`, and what it lacks back to it.

use super::{Cluster, Held, wrong};
use crate::codec::records::BillingEntry;
use crate::codec::schema;
use crate::config::Mistake;
use crate::domain::time::Timestamp;
use crate::stream::Topic;
use crate::zones::instant;

/// What retention has removed from the ledger's topic that may be about what is compared, by partition.
#[must_use]
pub fn missing(billing: &Held<'_>) -> Vec<Mistake> {
    let cut = billing.cut().map(|(partition, offset, first)| {
        let since = first.and_then(Timestamp::from_millis).map_or_else(
            || "there is nothing left".to_owned(),
            |first| format!("the first line left is of {}", instant(first)),
        );
        let place = format!("topic `{}`, partition {}", billing.cluster.name(billing.topic), partition.0);
        let problem = format!(
            "retention has removed the lines before offset {}, and {since}; give the ledger as files with --billing",
            offset.offset()
        );
        Mistake::new(place, problem)
    });
    cut.collect()
}

/// Writes lines to the ledger's topic, framed as `tollgate run` frames them; keyed by portfolio, or by account where none
/// is known. Returns how many the brokers have.
///
/// # Errors
/// Why they do not have all of them.
pub fn post(cluster: &Cluster, lines: &[BillingEntry<'_>]) -> Result<u64, Vec<Mistake>> {
    let framer = cluster.framer(Topic::Billing, schema::BILLING_ENTRY)?;
    let mut records = Vec::new();
    for line in lines {
        let whose = [&line.portfolio_id, &line.account_id, &line.phone_number_id];
        let key = whose.into_iter().flatten().next().map_or("", |id| id.as_str()).to_owned();
        let mut value = Vec::new();
        framer.write(line, &mut value).map_err(|error| wrong("an adjustment")(&error))?;
        records.push((key, value));
    }
    cluster.write(Topic::Billing, records.into_iter())
}
