//! Differences as lines of the ledger: ADJUSTMENT lines, which make it the platform's.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::compare::{Difference, Dimensions};
use super::{ADJUSTMENT, AccountResult, Reconciled, amount};
use crate::codec::avro::ContainerWriter;
use crate::codec::ids::{self, hex};
use crate::codec::records::{BillingEntry, Envelope, Tier};
use crate::codec::schema;
use crate::codec::text::Text;
use crate::engine::publish::ENGINE_VERSION;

/// Lines that make the ledger the platform's.
pub struct Adjustments<'a> {
    /// Those that it does not have.
    pub lines: Vec<BillingEntry<'a>>,
    /// How many it has already.
    pub posted: usize,
}

/// An ADJUSTMENT line for every difference. `source` is the deployment's name.
#[must_use]
pub fn adjustments<'a>(found: &'a Reconciled, source: &'a str) -> Adjustments<'a> {
    let of_account = |account: &'a AccountResult| {
        account.differences.iter().map(move |difference| adjustment(&found.reference, source, account, difference))
    };
    let is_posted =
        |line: &BillingEntry<'_>| ids::from_hex(line.envelope.id.as_str()).is_some_and(|id| found.posted.contains(&id));
    let (posted, lines): (Vec<_>, Vec<_>) = found.accounts.iter().flat_map(of_account).partition(is_posted);
    Adjustments { lines, posted: posted.len() }
}

/// Writes lines to a file: as an Avro container if its name ends in `.avro`, else a JSON object per line.
///
/// # Errors
/// If the file cannot be written.
pub fn write(lines: &[BillingEntry<'_>], path: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    if path.extension().is_some_and(|extension| extension == "avro") {
        let mut container = ContainerWriter::new(ids::hash(&[b"sync marker", b"billing"]));
        let mut header = Vec::new();
        container.header(schema::BILLING_ENTRY.text, &mut header);
        file.write_all(&header)?;
        lines.iter().try_for_each(|line| container.add(line, &mut file))?;
        container.flush(&mut file)?;
    } else {
        for line in lines {
            serde_json::to_writer(&mut file, line)?;
            file.write_all(b"\n")?;
        }
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// The line that makes the ledger the platform's in one difference.
fn adjustment<'a>(
    reference: &'a str,
    source: &'a str,
    account: &'a AccountResult,
    difference: &'a Difference,
) -> BillingEntry<'a> {
    let names = difference.names();
    let mut dimensions = vec![account.id.as_str()];
    dimensions.extend(names.iter().map(String::as_str));
    let text = |text: &'a Option<String>| text.as_deref().map(Text::from);
    let Dimensions { number, country, category, pricing_type } = &difference.dimensions;
    let at = difference.bucket.start.millis();
    BillingEntry {
        envelope: Envelope {
            id: hex(ids::adjustment(reference, &dimensions)),
            source: source.into(),
            r#type: "tollgate.billing.entry.v1".into(),
            time: at,
            engine_version: ENGINE_VERSION.into(),
            ..Envelope::default()
        },
        entry_type: ADJUSTMENT.into(),
        phone_number_id: text(number),
        account_id: (!account.id.is_empty()).then(|| account.id.as_str().into()),
        portfolio_id: text(&account.portfolio),
        occurred_at: at,
        billing_period: text(&difference.period),
        market: text(&difference.market),
        country: text(country),
        pricing_type: text(pricing_type),
        category: text(category),
        quantity: difference.quantity,
        unit: "message".into(),
        amount: difference.amount.map(|millionths| amount(millionths).to_string().into()),
        currency: account.currency.filter(|_| difference.amount.is_some()).map(|unit| Text::copied(unit.as_str())),
        price_source: if difference.amount.is_some() { "reconciliation" } else { "unknown" }.into(),
        tier: difference.tier.as_deref().and_then(tier),
        rule: difference.cause.name().into(),
        finality: "reconciled".into(),
        reconciliation_ref: Some(reference.into()),
        ..BillingEntry::default()
    }
}

/// The platform's `lower:upper`; nothing for several tiers at once.
fn tier(name: &str) -> Option<Tier<'_>> {
    let (from, to) = name.split_once(':')?;
    Some(Tier { name: name.into(), from: from.parse().ok()?, to: to.parse().ok(), basis: "platform".into() })
}
