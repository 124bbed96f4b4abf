//! What touched somebody, event by event: rows before and after, and what the fold told in between.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::find::{Focus, Subject};
use super::tell;
use crate::codec::ids::hex;
use crate::domain::billing::Charge;
use crate::domain::contact::Contact;
use crate::domain::effect::What;
use crate::domain::event::{About, Happening};
use crate::domain::id::{ContactNumber, MessageId, RequestId};
use crate::domain::ledger::volume::Reached;
use crate::domain::message::Message;
use crate::domain::policy::Policy;
use crate::domain::rules::Rules;
use crate::domain::time::Timestamp;
use crate::domain::verdict::{Cited, Verdict};
use crate::engine::ledger::Booked;
use crate::engine::publish::Publisher;
use crate::engine::{Engine, Output, Prepared, Rejected};
use crate::replay::refold::{Origin, Rows, Watch};
use crate::store;
use crate::zones::Zones;

/// Something that touched somebody.
pub struct Step {
    /// When it happened: the event's own time, or the deadline.
    pub at: Timestamp,
    /// The event and where it was read; nothing where time alone passed.
    pub event: Option<Event>,
    /// What it was.
    pub what: String,
    /// What it changed.
    pub changes: Vec<String>,
    /// The message or the ask that it is about and that alone; nothing where it touches the person.
    pub about: Option<Matter>,
}

/// What an event is about, besides its person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matter {
    message: Option<MessageId>,
    request: Option<RequestId>,
}

impl Matter {
    fn of(happening: &Happening) -> Option<Self> {
        let (message, request) = match happening {
            Happening::SendRequested(ask) => (None, Some(ask.request.clone())),
            Happening::SendAccepted(accepted) => (Some(accepted.message.clone()), accepted.request.clone()),
            Happening::CallEnded(ended) => (Some(ended.call.clone()), None),
            Happening::Status(status) => match &status.about {
                About::Message(id) => (Some(id.clone()), None),
                About::Request(id) => (None, Some(id.clone())),
            },
            Happening::Inbound(_)
            | Happening::Echo
            | Happening::MarketingPreference(_)
            | Happening::Consent(_)
            | Happening::IdentityChanged(_)
            | Happening::ContactErased
            | Happening::NumberFact(_)
            | Happening::Unknown(_) => return None,
        };
        Some(Self { message, request })
    }
}

/// An event that was folded.
pub struct Event {
    /// Its id.
    pub id: [u8; 16],
    /// The file and the line.
    pub place: String,
    /// When it arrived.
    pub arrived_at: Timestamp,
}

/// An ask and its answer.
pub struct Answered {
    /// The answer.
    pub verdict: Box<Verdict>,
    /// Every reason that held, those that do not decide among them.
    pub considered: Vec<Cited>,
    /// The id that it is published under.
    pub id: [u8; 16],
}

/// All that is known of one of those who are explained.
#[derive(Default)]
pub struct Trace {
    /// What is wanted.
    pub focus: Focus,
    /// What happened, in the order in which it arrived.
    pub steps: Vec<Step>,
    /// The asks that are wanted.
    pub answers: Vec<Answered>,
    /// The lines of the ledger, of the messages that are wanted.
    pub charges: Vec<Charge>,
    /// The volume tiers that they were booked in.
    tiers: Vec<(MessageId, u32, Reached)>,
    /// The messages that are wanted, as they were last whole.
    pub messages: BTreeMap<MessageId, Message>,
    /// The contact, as the state names it.
    pub contact: Option<ContactNumber>,
}

impl Trace {
    fn wants_message(&self, id: &MessageId) -> bool {
        self.focus.whole || self.focus.messages.contains(id)
    }

    /// The volume tier that a line was booked in, if there are tiers for it.
    pub fn tier_of(&self, charge: &Charge) -> Option<Reached> {
        let is_it = |(id, line, _): &&(MessageId, u32, Reached)| (id, *line) == (&charge.message, charge.revision);
        self.tiers.iter().find(is_it).map(|(_, _, reached)| *reached)
    }

    fn wants_request(&self, id: &RequestId) -> bool {
        self.focus.whole || self.focus.requests.contains(id)
    }
}

/// Somebody who writes down what touches those who are explained.
pub struct Tracer {
    /// Of each of them, what was written down.
    pub traces: BTreeMap<Subject, Trace>,
    publisher: Rc<Publisher>,
    policy: Policy,
    rules: Rules,
    zones: Zones,
    /// The event that is being folded: whose it is, and the contact before.
    before: Option<Before>,
    /// Where every event was read that may be evidence, by its id.
    pub places: BTreeMap<[u8; 16], String>,
}

struct Before {
    contact: Option<Contact>,
    message: Option<Message>,
    considered: Vec<Cited>,
}

impl Tracer {
    /// Writes down what touches those who were found.
    #[must_use]
    pub fn new(found: BTreeMap<Subject, Focus>, publisher: Rc<Publisher>, (policy, rules): (Policy, Rules)) -> Self {
        let traces = found.into_iter().map(|(subject, focus)| (subject, Trace { focus, ..Trace::default() }));
        let (traces, zones) = (traces.collect(), Zones::new());
        Self { traces, publisher, policy, rules, zones, before: None, places: BTreeMap::new() }
    }

    /// Whether events of a number may touch anybody who is explained.
    fn is_watched(&self, event: &Prepared) -> bool {
        self.traces.keys().any(|(number, _)| *number == event.event.number)
    }

    /// Writes down what outputs tell of somebody, and returns it in words.
    fn take(&mut self, subject: &Subject, outputs: &[Output]) -> Vec<String> {
        let Some(trace) = self.traces.get_mut(subject) else {
            return Vec::new();
        };
        let (number, key) = subject;
        let mut told = Vec::new();
        for Output { number: of, effect } in outputs {
            if **of != *number || effect.contact.as_ref().is_none_or(|contact| contact.key != *key) {
                continue;
            }
            told.extend(tell::effect(effect, &self.publisher, &self.rules, &self.zones));
            if let What::Charge(charge) = &effect.what
                && trace.wants_message(&charge.message)
            {
                trace.charges.push((**charge).clone());
            }
        }
        told
    }
}

impl Watch for Tracer {
    fn passed(&mut self, outputs: &[Output]) {
        let mut instants: BTreeSet<Timestamp> = BTreeSet::new();
        instants.extend(outputs.iter().map(|output| output.effect.at));
        let subjects: Vec<Subject> = self.traces.keys().cloned().collect();
        for subject in subjects {
            // What is due at several instants may come together.
            for at in &instants {
                let due: Vec<&Output> = outputs.iter().filter(|output| output.effect.at == *at).collect();
                let mut changes = Vec::new();
                for output in due {
                    changes.extend(self.take(&subject, std::slice::from_ref(output)));
                }
                if let Some(trace) = self.traces.get_mut(&subject).filter(|_| !changes.is_empty()) {
                    trace.steps.push(Step { at: *at, event: None, what: "time passed".into(), changes, about: None });
                }
            }
        }
    }

    fn booked(&mut self, charge: &Charge, booked: &Booked) {
        let Some(reached) = booked.tier else {
            return;
        };
        for trace in self.traces.values_mut().filter(|trace| trace.wants_message(&charge.message)) {
            trace.tiers.push((charge.message.clone(), charge.revision, reached));
        }
    }

    fn before(&mut self, engine: &Engine<Rows>, event: &Prepared) -> Result<(), store::Error> {
        self.before = None;
        if self.is_watched(event) {
            let contact = engine.whom(event)?;
            let contact = contact.map_or(Ok(None), |number| engine.contact(number))?;
            let (message, considered) = (engine.message_of(event)?, engine.considered(event)?);
            self.before = Some(Before { contact, message, considered });
        }
        Ok(())
    }

    fn after(
        &mut self,
        engine: &Engine<Rows>,
        event: &Prepared,
        origin: &Origin,
        folded: Result<(), Rejected>,
        outputs: &[Output],
    ) -> Result<(), store::Error> {
        let Some(Before { contact: before, message: message_before, considered }) = self.before.take() else {
            return Ok(());
        };
        let Prepared { event: told, .. } = event;
        let place = format!("{}:{}", origin.file, origin.record);
        let whose = engine.whom(event)?;
        let contact = whose.map_or(Ok(None), |number| engine.contact(number))?;
        let subjects: Vec<Subject> = self.traces.keys().cloned().collect();
        for subject in subjects {
            let is_own = told.number == subject.0 && contact.as_ref().is_some_and(|contact| contact.key == subject.1);
            let of_number = told.number == subject.0 && matches!(told.happening, Happening::NumberFact(_));
            let mut changes = self.take(&subject, outputs);
            if is_own {
                self.places.insert(told.id.0, place.clone());
                let of_message = tell::progress(message_before.as_ref(), engine.message_of(event)?.as_ref());
                let of_contact = tell::changes(before.as_ref(), contact.as_ref());
                changes.splice(0..0, of_contact.into_iter().chain(of_message));
            } else if !of_number && changes.is_empty() {
                continue;
            }
            let message = engine.message_of(event)?;
            let Some(trace) = self.traces.get_mut(&subject) else {
                continue;
            };
            if let Err(rejected) = folded {
                changes.push(format!("not folded, {}: {}", rejected.code(), rejected.detail()));
            }
            let what = if is_own || of_number {
                tell::event(told, &self.policy)
            } else {
                "an event of somebody else moved the number's free deliveries".into()
            };
            let changes_windows = outputs.iter().any(|output| matches!(output.effect.what, What::Window(_)));
            let about = Matter::of(&told.happening).filter(|_| is_own && !changes_windows);
            if is_own {
                trace.contact = whose;
                trace.note(told, message, outputs, &considered);
            }
            let event = Some(Event { id: told.id.0, place: place.clone(), arrived_at: origin.arrived_at });
            trace.steps.push(Step { at: told.occurred_at, event, what, changes, about });
        }
        Ok(())
    }
}

impl Trace {
    /// Keeps what is wanted of an event of theirs: its answer, its message, and which message an ask became.
    fn note(
        &mut self,
        event: &crate::domain::event::Event,
        message: Option<Message>,
        outputs: &[Output],
        considered: &[Cited],
    ) {
        if let Happening::SendAccepted(accepted) = &event.happening
            && accepted.request.as_ref().is_some_and(|request| self.focus.requests.contains(request))
            && !self.focus.messages.contains(&accepted.message)
        {
            self.focus.messages.push(accepted.message.clone());
        }
        if let Some(message) = message.filter(|message| !message.packed)
            && let Some(id) = message.id.clone().filter(|id| self.wants_message(id))
        {
            if let Some(request) = message.request.as_ref().filter(|id| !self.focus.requests.contains(id)) {
                self.focus.requests.push(request.clone());
            }
            self.messages.insert(id, message);
        }
        for output in outputs {
            if let What::Verdict(verdict) = &output.effect.what {
                let number = event.number.as_str();
                let id = crate::codec::ids::verdict(number, verdict.request.as_str(), Some(verdict.asked_at));
                self.answers.push(Answered { verdict: verdict.clone(), considered: considered.to_vec(), id });
            }
        }
    }

    /// The answers that are wanted. An ask may only be known to be about a wanted message later.
    pub fn wanted_answers(&self) -> impl Iterator<Item = &Answered> {
        self.answers.iter().filter(|answered| self.wants_request(&answered.verdict.request))
    }

    /// What happened, without what is about something else.
    pub fn told_steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| {
            step.about.as_ref().is_none_or(|Matter { message, request }| {
                message.as_ref().is_some_and(|id| self.wants_message(id))
                    || request.as_ref().is_some_and(|id| self.wants_request(id))
            })
        })
    }
}

impl Event {
    /// Its id as outputs write it.
    #[must_use]
    pub fn hex(&self) -> String {
        hex(self.id).as_str().to_owned()
    }
}
