//! `tollgate explain`: why. The events of one contact are folded again by the fold itself, and what each of them changed
//! is written down; then the rule, the card and the arithmetic of a verdict or a line of the ledger.
//!
//! Everything is folded twice: once to find whom something is about, and once to watch what touches them. A contact's
//! history begins long before the message that leads to them.

mod find;
mod tell;
mod trace;

use std::fmt;

use serde::Serialize;

use crate::codec::ids::hex;
use crate::config::{Config, Mistake};
use crate::domain::id::{MessageId, NumberId};
use crate::domain::message::Message;
use crate::domain::policy::Policy;
use crate::domain::rules::Rules;
use crate::domain::time::Timestamp;
use crate::engine::publish::Publisher;
use crate::replay::refold::Refold;
use crate::replay::{Failure, Options, Prepared};
use crate::zones::{Zones, instant};
use find::{Finder, Subject};
use trace::{Trace, Tracer};

/// What to explain.
#[derive(Clone)]
pub struct Sought {
    /// What was typed: a phone number, a user id, or an id that occurs in inputs or outputs.
    pub text: String,
    /// The only business phone number that is looked at.
    pub number: Option<NumberId>,
    /// The instant at which the refold stops.
    pub as_of: Option<Timestamp>,
}

/// Why something is as it is.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// How many records were folded, and when the first and the last of them arrived.
    records: u64,
    first_arrival: Option<String>,
    last_arrival: Option<String>,
    /// What keeps it from being whole, for everybody.
    missing: Vec<String>,
    contacts: Vec<Explained>,
    /// The line of discount that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    discount: Option<Section>,
}

/// What is explained of one contact.
#[derive(Debug, Serialize)]
struct Explained {
    phone_number_id: String,
    contact_key: String,
    events: Vec<Told>,
    verdicts: Vec<Section>,
    messages: Vec<Section>,
    /// What is known of the contact at the end.
    standing: Vec<String>,
}

/// One event, or a deadline.
#[derive(Debug, Serialize)]
struct Told {
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arrived_at: Option<String>,
    what: String,
    changes: Vec<String>,
}

/// A verdict or a message, and what it follows from.
#[derive(Debug, Serialize)]
struct Section {
    id: String,
    derivation: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
}

impl Explanation {
    /// Whether anything was found to explain.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.contacts.is_empty() && self.discount.is_none()
    }
}

/// Folds files and explains something of what they hold.
///
/// # Errors
/// What was given and cannot be used, or what failed on the way.
pub fn of_files(
    sought: &Sought,
    options: &Options,
    load: impl Fn() -> Result<(Config, Prepared), Vec<Mistake>>,
) -> Result<Explanation, Failure> {
    run(sought, Vec::new(), || {
        let (config, prepared) = load().map_err(Failure::Mistakes)?;
        let (policy, rules) = (config.setup.policy.clone(), config.setup.rules.clone());
        Ok((Refold::open(config, options, prepared, Zones::new())?, policy, rules))
    })
}

/// Folds events, twice, and explains something of what they hold. `missing` is what is known to be missing among them;
/// `open` begins with the first of them, and tells the policy and the rules that they are folded by.
///
/// # Errors
/// What was given and cannot be used, or what failed on the way.
pub fn run(
    sought: &Sought,
    mut missing: Vec<String>,
    open: impl Fn() -> Result<(Refold, Policy, Rules), Failure>,
) -> Result<Explanation, Failure> {
    let (mut refold, ..) = open()?;
    let mut finder = Finder::new(&sought.text, sought.number.clone(), refold.publisher().clone());
    refold.fold(sought.as_of, &mut finder)?;
    let records = refold.records();
    let Finder { found, discount, span, letters, .. } = finder;
    drop(refold);
    if letters > 0 {
        missing.push(format!("{letters} records, or parts of them, cannot be read: what they say is not known"));
    }
    let mut contacts = Vec::new();
    let discount = discount.map(|posted| Section {
        id: sought.text.trim().to_owned(),
        derivation: tell::discount(&posted),
        reasons: Vec::new(),
        missing: Vec::new(),
    });
    if found.is_empty() && discount.is_none() {
        missing.push(
            "nothing in these records is about it. It may be older than they are or newer than --as-of, belong to another \
             business, or be a key that another deployment key made"
                .to_owned(),
        );
    } else if !found.is_empty() {
        let (mut refold, policy, rules) = open()?;
        let mut tracer = Tracer::new(found, refold.publisher().clone(), (policy, rules.clone()));
        refold.fold(sought.as_of, &mut tracer)?;
        let now = refold.engine().partition_time();
        for (subject, trace) in &tracer.traces {
            let contact = match trace.contact {
                Some(number) => refold.engine().contact(number),
                None => Ok(None),
            };
            let contact = contact.map_err(|error| Failure::Failed(Mistake::new("the state", error.to_string())))?;
            let find = |id: [u8; 16]| tracer.places.get(&id).cloned();
            let explained = explained(subject, trace, refold.publisher(), &rules, &find);
            let standing = contact.zip(now).map(|(contact, now)| tell::standing(&contact, now));
            contacts.push(Explained { standing: standing.unwrap_or_default(), ..explained });
        }
    }
    let (first, last) = span.unzip();
    let (first_arrival, last_arrival) = (first.map(instant), last.map(instant));
    Ok(Explanation { records, first_arrival, last_arrival, missing, contacts, discount })
}

fn explained(
    (number, key): &Subject,
    trace: &Trace,
    publisher: &Publisher,
    rules: &Rules,
    find: &impl Fn([u8; 16]) -> Option<String>,
) -> Explained {
    let events = trace.told_steps().map(|step| Told {
        at: instant(step.at),
        event_id: step.event.as_ref().map(trace::Event::hex),
        read_from: step.event.as_ref().map(|event| event.place.clone()),
        arrived_at: step.event.as_ref().map(|event| instant(event.arrived_at)),
        what: step.what.clone(),
        changes: step.changes.clone(),
    });
    let verdicts = trace.wanted_answers().map(|answered| {
        let decides = |reason| answered.verdict.reasons.iter().any(|cited| cited.reason == reason);
        let reason = |cited| tell::reason(cited, decides(cited.reason), find);
        Section {
            id: format!("{} ({})", hex(answered.id).as_str(), answered.verdict.request.as_str()),
            derivation: tell::verdict(&answered.verdict, rules),
            reasons: answered.considered.iter().map(reason).collect(),
            missing: Vec::new(),
        }
    });
    let messages = trace.messages.iter().map(|(id, message)| of_message(id, message, trace, publisher, rules));
    Explained {
        phone_number_id: number.as_str().to_owned(),
        contact_key: hex(key.0).as_str().to_owned(),
        events: events.collect(),
        verdicts: verdicts.collect(),
        messages: messages.collect(),
        standing: Vec::new(),
    }
}

fn of_message(id: &MessageId, message: &Message, trace: &Trace, publisher: &Publisher, rules: &Rules) -> Section {
    let (mut derivation, missing) = tell::message(message);
    for charge in trace.charges.iter().filter(|charge| charge.message == *id) {
        derivation.extend(tell::derivation(charge, publisher, rules));
        derivation.extend(trace.tier_of(charge).map(tell::tier));
    }
    Section { id: id.as_str().to_owned(), derivation, reasons: Vec::new(), missing }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records", self.records)?;
        if let (Some(first), Some(last)) = (&self.first_arrival, &self.last_arrival) {
            write!(f, ", which arrived from {first} to {last}; nothing before is known")?;
        }
        writeln!(f)?;
        for missing in &self.missing {
            writeln!(f, "Missing: {missing}.")?;
        }
        self.contacts.iter().try_for_each(|contact| write!(f, "\n{contact}"))?;
        self.discount.iter().try_for_each(|section| write!(f, "\nDiscount {section}"))
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Contact {} of number {}", self.contact_key, self.phone_number_id)?;
        for told in &self.events {
            writeln!(f, "\n{} {}", told.at, told.what)?;
            if let (Some(id), Some(place), Some(arrived_at)) = (&told.event_id, &told.read_from, &told.arrived_at) {
                writeln!(f, "  {place}, event {id}, arrived {arrived_at}")?;
            }
            if told.changes.is_empty() {
                writeln!(f, "  changes nothing that is told")?;
            }
            told.changes.iter().try_for_each(|change| writeln!(f, "  - {change}"))?;
        }
        self.verdicts.iter().try_for_each(|section| write!(f, "\nVerdict {section}"))?;
        self.messages.iter().try_for_each(|section| write!(f, "\nMessage {section}"))?;
        writeln!(f, "\nNow:")?;
        self.standing.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.id)?;
        self.derivation.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        if !self.reasons.is_empty() {
            writeln!(f, "  reasons in order of precedence:")?;
        }
        self.reasons.iter().try_for_each(|reason| writeln!(f, "  {reason}"))?;
        self.missing.iter().try_for_each(|missing| writeln!(f, "  Missing: {missing}."))
    }
}
