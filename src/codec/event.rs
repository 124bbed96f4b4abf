//! A record of `wa.events` to an event of the domain: every field parsed once, here.

use std::fmt;

use super::ids::{self, DeploymentKey};
use super::records;
use super::text::Text;
use crate::domain::content::{Category, Content, Template};
use crate::domain::event::{
    About, Acceptance, Ask, CallEnded, ConsentGiven, ConsentScope, Event, Happening, Inbound, Lasted, NumberFact,
    Preference, Pricing, Referral, Stage, Status, Term,
};
use crate::domain::id::{
    AccountId, EventId, GroupId, Identity, InvalidId, MessageId, NumberId, ParentUserId, Participant, RequestId,
    ScopedUserId, WaId,
};
use crate::domain::money::{Amount, Currency};
use crate::domain::rules::openers::InboundKind;
use crate::domain::time::{Millis, Timestamp};

/// Why a record is no event. It names the field and never repeats its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The field, with the sections it stands in.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is not there.
    Missing,
    /// It is no id.
    Id(InvalidId),
    /// It is no instant between 2009 and 2099 in milliseconds.
    Instant,
    /// It is no amount with a currency.
    Money,
    /// It is none of the words it may be.
    Word,
    /// It is negative.
    Negative,
    /// It is a word that is too long for one.
    TooLong,
}

impl Invalid {
    /// The stable code of dead letters.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.problem {
            Problem::Missing => "missing_field",
            Problem::Id(_)
            | Problem::Instant
            | Problem::Money
            | Problem::Word
            | Problem::Negative
            | Problem::TooLong => "invalid_field",
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = self.field;
        match self.problem {
            Problem::Missing => write!(f, "`{field}` is missing"),
            Problem::Id(invalid) => write!(f, "`{field}` is no id: {invalid}"),
            Problem::Instant => write!(f, "`{field}` is no instant in milliseconds since 1970 between 2009 and 2099"),
            Problem::Money => write!(f, "`{field}` is no amount with a currency"),
            Problem::Word => write!(f, "`{field}` is none of the words it may be; the schema lists them"),
            Problem::Negative => write!(f, "`{field}` is negative"),
            Problem::TooLong => write!(f, "`{field}` is longer than {LONGEST_WORD} bytes"),
        }
    }
}

impl std::error::Error for Invalid {}

/// A record as it arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// The event; nothing for a heartbeat, which only says that time has passed.
    pub event: Option<Event>,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When the log took it, if the record says.
    pub received_at: Option<Timestamp>,
}

pub(super) const fn missing(field: &'static str) -> Invalid {
    Invalid { field, problem: Problem::Missing }
}

pub(super) fn id<T>(
    field: &'static str,
    text: &Text<'_>,
    parse: fn(&str) -> Result<T, InvalidId>,
) -> Result<T, Invalid> {
    parse(text.as_str()).map_err(|invalid| Invalid { field, problem: Problem::Id(invalid) })
}

/// How long a word may be that is passed on as it came, in bytes: as long as the platform lets names be. Outputs repeat
/// words, and an output that its topic has no room for would never be committed.
const LONGEST_WORD: usize = 512;

fn word<'t>(field: &'static str, text: &'t Text<'_>) -> Result<&'t str, Invalid> {
    let problem = Problem::TooLong;
    Some(text.as_str()).filter(|word| word.len() <= LONGEST_WORD).ok_or(Invalid { field, problem })
}

pub(super) fn optional<T>(
    field: &'static str,
    text: Option<&Text<'_>>,
    parse: fn(&str) -> Result<T, InvalidId>,
) -> Result<Option<T>, Invalid> {
    text.map(|text| id(field, text, parse)).transpose()
}

pub(super) fn instant(field: &'static str, millis: i64) -> Result<Timestamp, Invalid> {
    Timestamp::from_millis(millis).ok_or(Invalid { field, problem: Problem::Instant })
}

/// Parses a record.
///
/// # Errors
/// Which field keeps it from being an event.
pub fn parse(record: &records::Event<'_>, key: &DeploymentKey) -> Result<Arrived, Invalid> {
    let occurred_at = instant("occurred_at", record.occurred_at)?;
    let received_at = record.received_at.map(|at| instant("received_at", at)).transpose()?;
    if record.kind.as_str() == "heartbeat" {
        return Ok(Arrived { event: None, occurred_at, received_at });
    }
    let number = id("phone_number_id", &record.phone_number_id, NumberId::parse)?;
    let contact = record.contact.as_ref().map(|person| identity(person, "contact")).transpose()?.flatten();
    let group = optional("group_id", record.group_id.as_ref(), GroupId::parse)?;
    let account = optional("account_id", record.account_id.as_ref(), AccountId::parse)?;
    let reader = Reader { record, has_contact: contact.is_some() || group.is_some() };
    let happening = reader.happening()?;
    if happening == Happening::ContactErased && contact.is_none() {
        return Err(missing("contact"));
    }
    let id = match record.event_id.as_ref() {
        None => reader.event_id(&number, contact.as_ref(), key),
        Some(given) => ids::from_hex(given.as_str())
            .map_or_else(|| ids::event(number.as_str(), "given", &[given.as_str()], None), EventId),
    };
    let event = Event { id, number, account, occurred_at, contact, group, admit_late: record.admit_late, happening };
    Ok(Arrived { event: Some(event), occurred_at, received_at })
}

pub(super) fn identity(person: &records::Person<'_>, section: &'static str) -> Result<Option<Identity>, Invalid> {
    let field = |contact: &'static str, participant: &'static str| {
        if section == "contact" { contact } else { participant }
    };
    let phone = optional(field("contact.wa_id", "status.participant.wa_id"), person.wa_id.as_ref(), WaId::parse)?;
    let scoped =
        optional(field("contact.user_id", "status.participant.user_id"), person.user_id.as_ref(), ScopedUserId::parse)?;
    let parent = optional(
        field("contact.parent_user_id", "status.participant.parent_user_id"),
        person.parent_user_id.as_ref(),
        ParentUserId::parse,
    )?;
    Ok(Identity::new(phone, scoped, parent))
}

struct Reader<'r, 'a> {
    record: &'r records::Event<'a>,
    has_contact: bool,
}

impl Reader<'_, '_> {
    /// What happened, by the record's kind. A kind that is not known is an event all the same.
    fn happening(&self) -> Result<Happening, Invalid> {
        let record = self.record;
        match record.kind.as_str() {
            "message" => self.message(record.message.as_ref().ok_or(missing("message"))?),
            "call" => self.call(record.call.as_ref().ok_or(missing("call"))?),
            "preference" => self.preference(record.preference.as_ref().ok_or(missing("preference"))?),
            "identity_change" => identity_change(record.identity_change.as_ref().ok_or(missing("identity_change"))?),
            "send_requested" => self.send_requested(record.send_requested.as_ref().ok_or(missing("send_requested"))?),
            "send_accepted" => send_accepted(record.send_accepted.as_ref().ok_or(missing("send_accepted"))?),
            "status" => status(record.status.as_ref().ok_or(missing("status"))?),
            "consent" => self.consent(record.consent.as_ref().ok_or(missing("consent"))?),
            "number_fact" => number_fact(record.number_fact.as_ref().ok_or(missing("number_fact"))?),
            "contact_erased" => Ok(Happening::ContactErased),
            "unknown" => {
                Ok(Happening::Unknown(record.unknown.as_ref().map_or("", |unknown| unknown.name.as_str()).into()))
            }
            other => Ok(Happening::Unknown(other.into())),
        }
    }

    fn needs_contact(&self) -> Result<(), Invalid> {
        if self.has_contact { Ok(()) } else { Err(missing("contact")) }
    }

    fn message(&self, message: &records::Message<'_>) -> Result<Happening, Invalid> {
        self.needs_contact()?;
        id("message.message_id", &message.message_id, MessageId::parse)?;
        if self.record.provenance.as_str() == "phone_app_echo" {
            return Ok(Happening::Echo);
        }
        let unavailable = message.error_codes.contains(&131_060);
        let subtype = message.subtype.as_ref().map(Text::as_str);
        let kind = InboundKind::of_message(message.r#type.as_str(), subtype, unavailable, message.reaction_removed);
        let platform = message.client_platform.as_ref().map(Text::as_str);
        let referral = message.referral.as_ref().map(|referral| {
            let source = referral.source_type.as_ref();
            let source = source.map_or(Ok(""), |source| word("message.referral.source_type", source))?;
            let on_desktop = matches!(platform, Some("desktop" | "web"));
            Ok(Referral { source_type: Term::new(source), on_desktop })
        });
        let referral = referral.transpose()?;
        let live = self.record.provenance.as_str() == "live";
        Ok(Happening::Inbound(Inbound { kind, live, referral }))
    }

    fn call(&self, call: &records::Call<'_>) -> Result<Happening, Invalid> {
        self.needs_contact()?;
        let from_person = call.direction.as_ref().is_some_and(|direction| direction.as_str() == "user_initiated");
        let kind = InboundKind::of_call(call.event.as_str(), from_person);
        let live = self.record.provenance.as_str() == "live";
        let from_business = call.direction.as_ref().is_some_and(|direction| direction.as_str() == "business_initiated");
        if call.event.as_str() == "terminate" && from_business && live {
            let lasted = match call.duration_seconds {
                Some(seconds) if seconds < 0 => {
                    return Err(Invalid { field: "call.duration_seconds", problem: Problem::Negative });
                }
                Some(seconds) => Lasted::Seconds(u32::try_from(seconds).unwrap_or(u32::MAX)),
                None if call.status.as_ref().is_some_and(|status| status.as_str() == "completed") => Lasted::Unknown,
                None => Lasted::Seconds(0),
            };
            let call = id("call.call_id", &call.call_id, MessageId::parse)?;
            return Ok(Happening::CallEnded(CallEnded { call, lasted }));
        }
        Ok(Happening::Inbound(Inbound { kind, live, referral: None }))
    }

    fn preference(&self, preference: &records::Preference<'_>) -> Result<Happening, Invalid> {
        self.needs_contact()?;
        Ok(match (preference.category.as_str(), preference.value.as_str()) {
            ("marketing_messages", "stop") => Happening::MarketingPreference(Preference::Stop),
            ("marketing_messages", "resume") => Happening::MarketingPreference(Preference::Resume),
            (category, value) => Happening::Unknown(format!("preference/{category}/{value}").into()),
        })
    }

    fn consent(&self, consent: &records::Consent<'_>) -> Result<Happening, Invalid> {
        self.needs_contact()?;
        let scope = match consent.scope.as_str() {
            "all" => ConsentScope::All,
            "marketing" => ConsentScope::Marketing,
            _ => return Err(Invalid { field: "consent.scope", problem: Problem::Word }),
        };
        let given = match consent.state.as_str() {
            "given" => true,
            "withdrawn" => false,
            _ => return Err(Invalid { field: "consent.state", problem: Problem::Word }),
        };
        let source = consent.source.as_ref().map_or(Ok("unstated"), |source| word("consent.source", source))?;
        Ok(Happening::Consent(ConsentGiven { scope, given, source: Term::new(source) }))
    }

    fn send_requested(&self, ask: &records::SendRequested<'_>) -> Result<Happening, Invalid> {
        self.needs_contact()?;
        Ok(Happening::SendRequested(Ask {
            request: id("send_requested.request_id", &ask.request_id, RequestId::parse)?,
            content: content(&ask.content, "send_requested.content.kind")?,
            evaluate_for: ask.evaluate_for.map(|at| instant("send_requested.evaluate_for", at)).transpose()?,
            time_to_live: time_to_live("send_requested.time_to_live_seconds", ask.time_to_live_seconds)?,
        }))
    }

    /// The event's id, from what makes it that event (rules.md 6.6): a message by its id, a status by
    /// message, stage, recipient and time, anything else by all it says. Where the person is part of it, they
    /// are named as outputs name them, so that no id can be guessed back to a phone number.
    fn event_id(&self, id: &NumberId, contact: Option<&Identity>, key: &DeploymentKey) -> EventId {
        let record = self.record;
        let number = record.phone_number_id.as_str();
        let at = Some(record.occurred_at);
        let person =
            || contact.map_or_else(Text::default, |contact| ids::hex(key.contact(id, contact.canonical(), 0).0));
        let text = |text: &Option<Text<'_>>| text.as_ref().map_or("", Text::as_str).to_owned();
        let of = |kind: &str, parts: &[&str], at| ids::event(number, kind, parts, at);
        if let Some(message) = &record.message {
            return of("message", &[message.message_id.as_str()], None);
        }
        if let Some(status) = &record.status {
            let about = status.message_id.as_ref().or(status.request_id.as_ref());
            let participant = status.participant.as_ref().map(participant_text).unwrap_or_default();
            return of("status", &[about.map_or("", Text::as_str), status.status.as_str(), participant], at);
        }
        if let Some(accepted) = &record.send_accepted {
            return of("send_accepted", &[accepted.message_id.as_str()], None);
        }
        if let Some(ask) = &record.send_requested {
            return of("send_requested", &[ask.request_id.as_str()], at);
        }
        if let Some(call) = &record.call {
            return of("call", &[call.call_id.as_str(), call.event.as_str()], at);
        }
        if let Some(preference) = &record.preference {
            return of("preference", &[person().as_str(), preference.category.as_str(), preference.value.as_str()], at);
        }
        if let Some(consent) = &record.consent {
            return of("consent", &[person().as_str(), consent.scope.as_str(), consent.state.as_str()], at);
        }
        if let Some(change) = &record.identity_change {
            return of("identity_change", &[person().as_str(), &text(&change.message_id), change.r#type.as_str()], at);
        }
        if let Some(fact) = &record.number_fact {
            return of("number_fact", &[fact.name.as_str(), &text(&fact.value)], at);
        }
        let name = record.unknown.as_ref().map_or("", |unknown| unknown.name.as_str());
        of(record.kind.as_str(), &[person().as_str(), name], at)
    }
}

/// Whatever the platform calls the change: what it names the person by now is theirs, as what it named them by before.
fn identity_change(change: &records::IdentityChange<'_>) -> Result<Happening, Invalid> {
    let phone = optional("identity_change.new_wa_id", change.new_wa_id.as_ref(), WaId::parse)?;
    let scoped = optional("identity_change.new_user_id", change.new_user_id.as_ref(), ScopedUserId::parse)?;
    let parent =
        optional("identity_change.new_parent_user_id", change.new_parent_user_id.as_ref(), ParentUserId::parse)?;
    Ok(Happening::IdentityChanged(Identity::new(phone, scoped, parent).map(Box::new)))
}

fn participant_text<'t>(person: &'t records::Person<'_>) -> &'t str {
    person.wa_id.as_ref().or(person.user_id.as_ref()).or(person.parent_user_id.as_ref()).map_or("", Text::as_str)
}

fn time_to_live(field: &'static str, seconds: Option<i64>) -> Result<Option<Millis>, Invalid> {
    match seconds {
        Some(seconds) if seconds < 0 => Err(Invalid { field, problem: Problem::Negative }),
        Some(seconds) => Ok(Some(Millis::seconds(seconds.min(10_000_000)))),
        None => Ok(None),
    }
}

/// The old names of free-form content are taken too: what the session API called a session message.
pub(super) fn content(content: &records::Content<'_>, field: &'static str) -> Result<Content, Invalid> {
    let named = |field, category: &Option<Text<'_>>| {
        category.as_ref().map(|category| word(field, category).map(Category::parse)).transpose()
    };
    let category = named("content.category", &content.category)?;
    match content.kind.as_str() {
        "freeform" | "session" | "service"
            if content.message_type.as_ref().is_some_and(|kind| kind.as_str() == "reaction") =>
        {
            Ok(Content::Reaction)
        }
        "freeform" | "session" | "service" => Ok(Content::Freeform),
        "reaction" => Ok(Content::Reaction),
        "agent" => Ok(Content::Agent),
        "direct_send" => category.map(Content::DirectSend).ok_or(missing("content.category")),
        "template" | "hsm" => {
            let template = content.template.as_ref().ok_or(missing("content.template"))?;
            Ok(Content::Template(Template {
                name: word("content.template.name", &template.name)?.into(),
                language: word("content.template.language", &template.language)?.into(),
                category: named("content.template.category", &template.category)?.or(category),
            }))
        }
        _ => Err(Invalid { field, problem: Problem::Word }),
    }
}

fn send_accepted(accepted: &records::SendAccepted<'_>) -> Result<Happening, Invalid> {
    let held = accepted.message_status.as_ref().is_some_and(|status| status.as_str() == "held_for_quality_assessment");
    let content = accepted.content.as_ref().map(|said| content(said, "send_accepted.content.kind")).transpose()?;
    Ok(Happening::SendAccepted(Acceptance {
        request: optional("send_accepted.request_id", accepted.request_id.as_ref(), RequestId::parse)?,
        message: id("send_accepted.message_id", &accepted.message_id, MessageId::parse)?,
        held,
        content,
        time_to_live: time_to_live("send_accepted.time_to_live_seconds", accepted.time_to_live_seconds)?,
    }))
}

fn status(status: &records::Status<'_>) -> Result<Happening, Invalid> {
    let stage = match status.status.as_str() {
        "sent" => Stage::Sent,
        "delivered" => Stage::Delivered,
        "read" | "played" => Stage::Read,
        "failed" => Stage::Failed,
        other => return Ok(Happening::Unknown(format!("status/{other}").into())),
    };
    let about = match (&status.message_id, &status.request_id) {
        (Some(message), _) => About::Message(id("status.message_id", message, MessageId::parse)?),
        (None, Some(request)) => About::Request(id("status.request_id", request, RequestId::parse)?),
        (None, None) => return Err(missing("status.message_id")),
    };
    let participant = match &status.participant {
        Some(person) => {
            identity(person, "participant")?;
            let text = Text::from(participant_text(person).to_owned());
            Some(id("status.participant", &text, Participant::parse)?)
        }
        None => None,
    };
    let conversation = status.conversation.as_ref();
    let ends = conversation.and_then(|conversation| conversation.expires_at);
    Ok(Happening::Status(Status {
        about,
        participant,
        stage,
        pricing: status.pricing.as_ref().map(pricing).transpose()?.flatten(),
        conversation_ends: ends.map(|at| instant("status.conversation.expires_at", at)).transpose()?,
        errors: status.errors.iter().map(|error| error.code).collect(),
    }))
}

/// The platform's word on the price; nothing if it names no category, for then it says nothing.
fn pricing(pricing: &records::Pricing<'_>) -> Result<Option<Pricing>, Invalid> {
    let Some(category) = &pricing.category else {
        return Ok(None);
    };
    let term = |field, text: &Option<Text<'_>>| text.as_ref().map(|text| word(field, text).map(Term::new)).transpose();
    let cost = match (&pricing.cost_amount, &pricing.cost_currency) {
        (Some(amount), Some(currency)) => {
            let parsed = Amount::parse(amount.as_str()).zip(Currency::parse(currency.as_str()));
            Some(parsed.ok_or(Invalid { field: "status.pricing.cost_amount", problem: Problem::Money })?)
        }
        (None, None) => None,
        _ => return Err(Invalid { field: "status.pricing.cost_currency", problem: Problem::Missing }),
    };
    Ok(Some(Pricing {
        model: term("status.pricing.pricing_model", &pricing.pricing_model)?.unwrap_or_else(|| Term::new("")),
        kind: term("status.pricing.type", &pricing.r#type)?,
        category: Term::new(word("status.pricing.category", category)?),
        subtype: term("status.pricing.subtype", &pricing.subtype)?,
        billable: pricing.billable,
        cost,
    }))
}

fn number_fact(fact: &records::NumberFact<'_>) -> Result<Happening, Invalid> {
    match (fact.name.as_str(), &fact.value) {
        ("coexistence_since", _) => Ok(Happening::NumberFact(NumberFact::Coexistence)),
        ("restriction", Some(name)) => Ok(Happening::NumberFact(NumberFact::Restriction {
            name: word("number_fact.value", name)?.into(),
            until: fact.until.map(|until| instant("number_fact.until", until)).transpose()?,
        })),
        ("restriction", None) => Err(missing("number_fact.value")),
        (name, _) => Ok(Happening::Unknown(format!("number_fact/{name}").into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What keeps an ask with such a template from being an event.
    fn problem(name: &str, category: &str) -> Option<Invalid> {
        let template = records::Template { name: name.into(), language: "en".into(), category: Some(category.into()) };
        let content =
            records::Content { kind: "template".into(), template: Some(template), ..records::Content::default() };
        let asked = records::SendRequested { request_id: "1".into(), content, ..records::SendRequested::default() };
        let record = records::Event {
            kind: "send_requested".into(),
            phone_number_id: "1".into(),
            occurred_at: 1_791_200_000_000,
            contact: Some(records::Person { wa_id: Some("5511000000000".into()), ..records::Person::default() }),
            send_requested: Some(Box::new(asked)),
            ..records::Event::default()
        };
        let key = DeploymentKey::new(b"tests name invented people only").expect("long enough");
        parse(&record, &key).err()
    }

    /// What an ended call means, by who called, how the platform says it ended, and how long it lasted.
    fn ended(direction: &'static str, status: Option<&'static str>, seconds: Option<i64>) -> Option<Lasted> {
        let call = records::Call {
            call_id: "wacid.1".into(),
            event: "terminate".into(),
            direction: Some(direction.into()),
            status: status.map(Into::into),
            duration_seconds: seconds,
        };
        let record = records::Event {
            kind: "call".into(),
            phone_number_id: "1".into(),
            occurred_at: 1_791_200_000_000,
            provenance: "live".into(),
            contact: Some(records::Person { wa_id: Some("5511000000000".into()), ..records::Person::default() }),
            call: Some(Box::new(call)),
            ..records::Event::default()
        };
        let key = DeploymentKey::new(b"tests name invented people only").expect("long enough");
        match parse(&record, &key).expect("an event").event.expect("it is for us").happening {
            Happening::CallEnded(ended) => Some(ended.lasted),
            _ => None,
        }
    }

    #[test]
    fn a_call_of_the_business_ends_after_so_long_and_a_persons_is_no_matter() {
        assert_eq!(ended("business_initiated", Some("completed"), Some(142)), Some(Lasted::Seconds(142)));
        assert_eq!(ended("business_initiated", Some("completed"), None), Some(Lasted::Unknown));
        assert_eq!(ended("business_initiated", Some("failed"), None), Some(Lasted::Seconds(0)));
        assert_eq!(ended("user_initiated", Some("completed"), Some(142)), None);
    }

    #[test]
    fn words_that_nobody_knows_are_passed_on_unless_they_are_longer_than_words() {
        let longest = "w".repeat(LONGEST_WORD);
        assert_eq!(problem(&longest, &longest), None);
        let longer = longest + "w";
        for (name, category, field) in
            [(longer.as_str(), "utility", "content.template.name"), ("hello", &longer, "content.template.category")]
        {
            let invalid = problem(name, category).expect("it is too long");
            assert_eq!((invalid.field, invalid.problem, invalid.code()), (field, Problem::TooLong, "invalid_field"));
        }
    }
}
