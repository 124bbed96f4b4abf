//! Writes the record of an event when it arrives.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use super::arrival::{About, Arrival, CallEvent, Client, Pricing, PricingType, Provenance, Report, Stage, What};
use super::asks::FREEFORM_TYPES;
use super::inbound::FORMS;
use super::names::{CallId, MessageId, RequestId};
use super::people::Person;
use super::random::mix;
use super::rules::Content;
use super::world::{Account, MISSING, ORDER_UPDATE, World};
use crate::codec::records;

/// Writes records into texts of its own, which it uses again and again: a record borrows them.
#[derive(Default)]
pub(super) struct Scribe {
    seed: u64,
    event_id: String,
    phone: String,
    user: String,
    parent: String,
    /// The message, request or call that the event is about.
    subject: String,
    /// What that refers to: another message, the request, the conversation.
    object: String,
    new_phone: String,
    new_user: String,
}

fn set(text: &mut String, value: impl Display) {
    text.clear();
    // Writing to a string cannot fail.
    let _ = write!(text, "{value}");
}

impl Scribe {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed: mix(seed), ..Self::default() }
    }

    /// The record of `arrival`.
    pub(super) fn write<'s>(&'s mut self, arrival: &Arrival, world: &'s World) -> records::Event<'s> {
        self.write_texts(arrival, &world.person(arrival.contact));
        let account = world.account(arrival.contact);
        let mut event = records::Event {
            phone_number_id: world.number(arrival.contact).id.as_str().into(),
            occurred_at: arrival.occurred_at,
            received_at: Some(arrival.received_at),
            provenance: "live".into(),
            contact: self.contact(arrival),
            ..records::Event::default()
        };
        // The writer of an event may leave its id out. Then the reader makes one of what it says.
        if !arrival.serial.is_multiple_of(16) {
            event.event_id = Some(self.event_id.as_str().into());
        }
        self.fill(&mut event, arrival, account);
        event
    }

    /// Writes all ids the record will borrow.
    fn write_texts(&mut self, arrival: &Arrival, person: &Person) {
        let scattered = mix(arrival.serial ^ self.seed);
        set(&mut self.event_id, format_args!("{scattered:016x}{:016x}", mix(scattered)));
        let ids = arrival.ids;
        if ids.phone {
            person.write_phone(ids.moved, &mut self.phone);
        }
        if ids.user {
            person.write_user(ids.moved, &mut self.user);
        }
        self.parent.clear();
        if ids.user && person.has_parent {
            person.write_parent(&mut self.parent);
        }
        match arrival.what {
            What::Said { message, about, .. } => {
                set(&mut self.subject, MessageId(message));
                if let Some(about) = about {
                    set(&mut self.object, MessageId(about));
                }
            }
            What::Called { call, .. } => set(&mut self.subject, CallId(call)),
            What::Moved { .. } => {
                person.write_phone(true, &mut self.new_phone);
                person.write_user(true, &mut self.new_user);
            }
            What::Asked { request, .. } => set(&mut self.subject, RequestId(request)),
            What::Accepted { request, message, .. } => {
                set(&mut self.subject, MessageId(message));
                if let Some(request) = request {
                    set(&mut self.object, RequestId(request));
                }
            }
            What::Reported(Report { about, entry_ends, .. }) => {
                match about {
                    About::Message(message) => set(&mut self.subject, MessageId(message)),
                    About::Request(request) => set(&mut self.subject, RequestId(request)),
                }
                if let Some(ends) = entry_ends {
                    let conversation = mix(mix(u64::from(arrival.contact)) ^ ends.unsigned_abs());
                    set(&mut self.object, format_args!("{conversation:032x}"));
                }
            }
            What::Preference { .. } | What::Consent { .. } | What::Heartbeat | What::Throughput | What::Unknown => {}
        }
    }

    /// Whom the event is about, by the ids it gives.
    fn contact(&self, arrival: &Arrival) -> Option<records::Person<'_>> {
        let about_person = match arrival.what {
            What::Reported(report) => report.names_contact,
            What::Heartbeat | What::Throughput | What::Unknown => false,
            _ => true,
        };
        let ids = arrival.ids;
        about_person.then(|| records::Person {
            wa_id: ids.phone.then(|| self.phone.as_str().into()),
            user_id: ids.user.then(|| self.user.as_str().into()),
            parent_user_id: (!self.parent.is_empty()).then(|| self.parent.as_str().into()),
        })
    }

    /// Fills the section of the event's kind.
    fn fill<'s>(&'s self, event: &mut records::Event<'s>, arrival: &Arrival, account: &'s Account) {
        let subject = self.subject.as_str();
        let object = self.object.as_str();
        let category_of = |content| category_of(content, account, arrival.occurred_at);
        // Webhooks name their account; what the business writes down need not.
        let mut through = Some(account.id.as_str());
        let kind = match arrival.what {
            What::Said { form, about, client, clicked, provenance, .. } => {
                let object = about.map(|_| object);
                event.message = Some(Box::new(message(form, subject, object, client, clicked)));
                event.provenance = provenance_word(provenance).into();
                "message"
            }
            What::Called { event: stage, by_person, .. } => {
                let direction = if by_person { "user_initiated" } else { "business_initiated" };
                let word = call_word(stage).into();
                event.call = Some(Box::new(records::Call {
                    call_id: subject.into(),
                    event: word,
                    direction: Some(direction.into()),
                    ..records::Call::default()
                }));
                "call"
            }
            What::Preference { stop } => {
                let value = if stop { "stop" } else { "resume" }.into();
                event.preference = Some(Box::new(records::Preference { category: "marketing_messages".into(), value }));
                "preference"
            }
            What::Moved { ids_change } => {
                event.identity_change = Some(Box::new(self.identity_change(arrival, ids_change)));
                "identity_change"
            }
            What::Consent { all, given } => {
                through = None;
                event.consent = Some(Box::new(records::Consent {
                    scope: if all { "all" } else { "marketing" }.into(),
                    state: if given { "given" } else { "withdrawn" }.into(),
                    source: Some("web_form".into()),
                }));
                "consent"
            }
            What::Asked { content, evaluate_for, .. } => {
                through = None;
                event.send_requested = Some(Box::new(records::SendRequested {
                    request_id: subject.into(),
                    content: say(content, account, category_of(content)),
                    evaluate_for,
                    time_to_live_seconds: None,
                    attributes: BTreeMap::new(),
                }));
                "send_requested"
            }
            What::Accepted { request, content, held, .. } => {
                through = None;
                let status = if held { "held_for_quality_assessment" } else { "accepted" };
                event.send_accepted = Some(Box::new(records::SendAccepted {
                    request_id: request.map(|_| object.into()),
                    message_id: subject.into(),
                    message_status: Some(status.into()),
                    content: content.map(|content| say(content, account, category_of(content))),
                    time_to_live_seconds: None,
                }));
                "send_accepted"
            }
            What::Reported(report) => {
                event.status = Some(Box::new(status(&report, subject, object)));
                "status"
            }
            What::Heartbeat => {
                // It is about a partition, and about no number.
                through = None;
                event.phone_number_id = "".into();
                "heartbeat"
            }
            What::Throughput => {
                let value = Some("80".into());
                event.number_fact =
                    Some(Box::new(records::NumberFact { name: "throughput".into(), value, until: None }));
                "number_fact"
            }
            What::Unknown => {
                let name = "business_username_updates".into();
                event.unknown = Some(Box::new(records::Unknown { name, error_codes: Vec::new() }));
                "unknown"
            }
        };
        event.kind = kind.into();
        event.account_id = through.map(Into::into);
    }

    fn identity_change(&self, arrival: &Arrival, ids_change: bool) -> records::IdentityChange<'_> {
        let (phone, user) = (arrival.ids.phone && ids_change, arrival.ids.user && ids_change);
        let word = match (phone, user) {
            (true, _) => "user_changed_number",
            (false, true) => "user_changed_user_id",
            // The key of the encryption changed, and no id.
            (false, false) => "user_identity_changed",
        };
        records::IdentityChange {
            message_id: None,
            r#type: word.into(),
            new_wa_id: phone.then(|| self.new_phone.as_str().into()),
            new_user_id: user.then(|| self.new_user.as_str().into()),
            new_parent_user_id: None,
        }
    }
}

fn message<'s>(
    form: u8,
    id: &'s str,
    about: Option<&'s str>,
    client: Option<Client>,
    clicked: bool,
) -> records::Message<'s> {
    let form = &FORMS[usize::from(form)];
    records::Message {
        message_id: id.into(),
        r#type: form.kind.into(),
        subtype: form.subtype.map(Into::into),
        reaction_removed: form.removed,
        context_message_id: about.map(Into::into),
        client_platform: client.map(|client| client_word(client).into()),
        referral: clicked.then(|| records::Referral {
            source_type: Some("ad".into()),
            source_id: Some("120210000000000001".into()),
            source_url: Some("https://fb.me/3cr4Wqqkv".into()),
            ctwa_clid: None,
        }),
        error_codes: form.error.into_iter().collect(),
    }
}

/// What is sent, in the words of the sender.
fn say<'s>(content: Content, account: &'s Account, category: Option<&'static str>) -> records::Content<'s> {
    let said = |kind: &'static str, message_type: &'static str| records::Content {
        kind: kind.into(),
        message_type: Some(message_type.into()),
        ..records::Content::default()
    };
    match content {
        Content::Freeform(place) => said("freeform", FREEFORM_TYPES[usize::from(place) % FREEFORM_TYPES.len()]),
        Content::Reaction => said("reaction", "reaction"),
        Content::DirectSend => records::Content { category: Some("utility".into()), ..said("direct_send", "text") },
        Content::Template(place, _) => {
            let (name, language) = match account.templates.get(usize::from(place)) {
                Some(template) => (template.name, template.language),
                None if usize::from(place) == MISSING => ("no_such_template", "en_US"),
                // It exists, in another language.
                None => (account.templates[ORDER_UPDATE].name, "ja"),
            };
            let category = category.map(Into::into);
            let template = records::Template { name: name.into(), language: language.into(), category };
            records::Content { template: Some(template), ..said("template", "template") }
        }
    }
}

/// The category of a template whose sender names it.
fn category_of(content: Content, account: &Account, at: i64) -> Option<&'static str> {
    match content {
        Content::Template(place, true) => {
            account.templates.get(usize::from(place)).map(|template| template.category(at).word())
        }
        Content::Template(_, false) | Content::Freeform(_) | Content::Reaction | Content::DirectSend => None,
    }
}

fn status<'s>(report: &Report, subject: &'s str, conversation: &'s str) -> records::Status<'s> {
    let (message_id, request_id) = match report.about {
        About::Message(_) => (Some(subject.into()), None),
        About::Request(_) => (None, Some(subject.into())),
    };
    let errors = match report.stage {
        Stage::Failed(code) => vec![records::PlatformError { code, title: None }],
        Stage::Sent | Stage::Delivered | Stage::Read => Vec::new(),
    };
    records::Status {
        message_id,
        request_id,
        status: stage_word(report.stage).into(),
        recipient_type: None,
        participant: None,
        pricing: report.pricing.map(pricing),
        conversation: report.entry_ends.map(|ends| records::Conversation {
            id: Some(conversation.into()),
            origin: Some("referral_conversion".into()),
            expires_at: Some(ends),
        }),
        errors,
        callback_data: None,
    }
}

fn pricing(pricing: Pricing) -> records::Pricing<'static> {
    let (billable, kind) = match pricing.kind {
        PricingType::Regular => (true, "regular"),
        PricingType::FreeCustomerService => (false, "free_customer_service"),
        PricingType::FreeEntryPoint => (false, "free_entry_point"),
    };
    records::Pricing {
        billable: Some(billable),
        pricing_model: Some("PMP".into()),
        r#type: Some(kind.into()),
        category: Some(pricing.category.word().into()),
        ..records::Pricing::default()
    }
}

const fn stage_word(stage: Stage) -> &'static str {
    match stage {
        Stage::Sent => "sent",
        Stage::Delivered => "delivered",
        Stage::Read => "read",
        Stage::Failed(_) => "failed",
    }
}

const fn call_word(event: CallEvent) -> &'static str {
    match event {
        CallEvent::Connect => "connect",
        CallEvent::Ringing => "ringing",
        CallEvent::Accepted => "accepted",
        CallEvent::Rejected => "rejected",
        CallEvent::Terminate => "terminate",
    }
}

const fn client_word(client: Client) -> &'static str {
    match client {
        Client::Android => "android",
        Client::Ios => "ios",
        Client::Web => "web",
        Client::Desktop => "desktop",
    }
}

const fn provenance_word(provenance: Provenance) -> &'static str {
    match provenance {
        Provenance::Live => "live",
        Provenance::History => "history_import",
        Provenance::PhoneApp => "phone_app_echo",
    }
}
