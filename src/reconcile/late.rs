//! Dead letters that came too late, and the lines that they would have had: each is folded by itself, admitted.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::frame::Writers;
use crate::codec::records::{BillingEntry, DeadLetter, Event};
use crate::codec::webhook::{self, Part};
use crate::codec::{event, schema};
use crate::config::{Config, Mistake};
use crate::domain::effect::What;
use crate::domain::id::EventId;
use crate::domain::reference::Reference;
use crate::domain::time::Timestamp;
use crate::engine::publish::{Publisher, Record};
use crate::engine::{Engine, Prepared};
use crate::replay::inputs::Supply;
use crate::store::Memory;
use crate::zones::Zones;

/// Where a letter was read first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The topic, or the file.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset, or the line.
    pub offset: i64,
}

/// A dead letter that came too late.
pub struct Letter {
    place: Place,
    payload: Option<Vec<u8>>,
}

/// What a letter would have come to.
pub struct Late {
    /// Where the letter was read first.
    pub place: Place,
    /// The line of the ledger, as JSON.
    pub line: Vec<u8>,
}

/// How many bytes of letters are held at once. What others would have cost is not told.
const HELD: usize = 64 << 20;

/// Reads the letters that came too late.
pub fn read(source: &mut dyn Supply, mistakes: &mut Vec<Mistake>) -> Vec<Letter> {
    let (mut letters, mut held) = (Vec::new(), 0);
    source.each(mistakes, &mut |record| {
        let letter: DeadLetter<'_> = record.read().map_err(|problem| vec![problem])?;
        if letter.error.as_str() == "too_late" {
            let place = Place {
                topic: letter.original_topic.as_str().to_owned(),
                partition: letter.original_partition,
                offset: letter.original_offset,
            };
            let payload = letter.payload.map(|payload| payload.0).filter(|payload| held + payload.len() <= HELD);
            held += payload.as_ref().map_or(0, |payload| payload.len());
            letters.push(Letter { place, payload: payload.map(Cow::into_owned) });
        }
        Ok(())
    });
    letters
}

/// Folds letters, and returns the lines that they would have had; and of how many it cannot be told.
///
/// # Errors
/// If the schema of events is none or the state cannot be kept, neither of which happens.
pub fn lines(
    letters: &[Letter],
    config: Config,
    reference: Reference,
    zones: Zones,
) -> Result<(Vec<Late>, u64), Mistake> {
    let failed = |error: &dyn std::fmt::Display| Mistake::new("dead letters", error.to_string());
    let writers = Writers::of(schema::EVENT).map_err(|error| failed(&error))?;
    let setup = Arc::new(config.setup);
    let mut places: BTreeMap<EventId, &Place> = BTreeMap::new();
    let (mut events, mut untold) = (Vec::new(), 0);
    for letter in letters {
        let records = letter.payload.as_deref().map(|payload| events_of(payload, &writers, &config.webhook));
        let Some(Some(records)) = records else {
            untold += 1;
            continue;
        };
        for record in &records {
            let Some(event) = event::parse(record, &setup.key).ok().and_then(|arrived| arrived.event) else { continue };
            // The same letter may stand in several files.
            if places.insert(event.id, &letter.place).is_none() {
                events.push(Prepared::new(event, &setup.key));
            }
        }
    }
    events.sort_by_key(|prepared| prepared.event.occurred_at);
    let (mut engine, _) = Engine::open(Arc::clone(&setup), Zones::new(), Arc::new(reference), Memory::default())
        .map_err(|error| failed(&error))?;
    let publisher = Publisher::new(setup, zones, config.name, config.enforced);
    let (mut outputs, mut lines) = (Vec::new(), Vec::new());
    for prepared in &events {
        // Each arrives when it happened, so none is late here.
        let folded = engine.fold(prepared, prepared.event.occurred_at, &mut outputs).map_err(|error| failed(&error))?;
        untold += u64::from(folded.is_err());
    }
    let reversed: Vec<_> =
        charges(&outputs).filter_map(|(charge, _)| charge.reverses.map(|line| (charge, line))).collect();
    for (charge, output) in charges(&outputs) {
        let same = |(other, line): &(&crate::domain::billing::Charge, u32)| {
            (&other.message, &other.participant, *line) == (&charge.message, &charge.participant, charge.revision)
        };
        if charge.reverses.is_some() || reversed.iter().any(same) {
            continue;
        }
        let price = publisher.at_list(&charge.line, charge.reverses.is_some());
        if let Record::Billing(line) = publisher.record(output, Some(&price))
            && let Some(place) = places.get(&charge.status)
        {
            let line = serde_json::to_vec(&line).map_err(|error| failed(&error))?;
            lines.push(Late { place: (*place).clone(), line });
        }
    }
    Ok((lines, untold))
}

fn charges(
    outputs: &[crate::engine::Output],
) -> impl Iterator<Item = (&crate::domain::billing::Charge, &crate::engine::Output)> {
    outputs.iter().filter_map(|output| match &output.effect.what {
        What::Charge(charge) => Some((&**charge, output)),
        _ => None,
    })
}

/// The events of a letter: one of ours in any framing, or those of a webhook's body.
fn events_of<'a>(payload: &'a [u8], writers: &Writers, settings: &webhook::Settings) -> Option<Vec<Box<Event<'a>>>> {
    if let Ok(event) = writers.read::<Event<'_>>(payload) {
        return Some(vec![Box::new(event)]);
    }
    let body = webhook::Parsed::new(payload).ok().filter(webhook::Parsed::is_webhook)?;
    let parts = body.parts(settings, body.received_at());
    Some(parts.into_iter().filter_map(|part| if let Part::Event(event) = part { Some(event) } else { None }).collect())
}

impl Late {
    /// The line.
    #[must_use]
    pub fn entry(&self) -> BillingEntry<'_> {
        crate::codec::frame::from_json(&self.line).unwrap_or_default()
    }

    /// What the line is about, to be found among those of the ledger.
    #[must_use]
    pub fn message(&self) -> (String, String, String) {
        message(&self.entry())
    }

    /// When it would have been charged.
    #[must_use]
    pub fn at(&self) -> Option<Timestamp> {
        Timestamp::from_millis(self.entry().occurred_at)
    }
}

/// What a line is about: number, message and participant.
#[must_use]
pub fn message(entry: &BillingEntry<'_>) -> (String, String, String) {
    let text = |text: Option<&crate::codec::text::Text<'_>>| text.map_or("", |text| text.as_str()).to_owned();
    (text(entry.phone_number_id.as_ref()), text(entry.message_id.as_ref()), text(entry.participant_key.as_ref()))
}
