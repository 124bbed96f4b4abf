//! `wa.events`: everything that happens to a business phone number.

use std::collections::BTreeMap;

use crate::codec::text::Text;

/// The provenance of a live event, which is what an event without one is.
fn live() -> Text<'static> {
    "live".into()
}

records! {
    /// One event. `kind` says which of the sections is filled. They are in boxes, because all but one are empty.
    Event {
        event_id: Option<Text<'a>>,
        kind: Text<'a>,
        phone_number_id: Text<'a>,
        account_id: Option<Text<'a>>,
        occurred_at: i64,
        received_at: Option<i64>,
        #[serde(default)]
        admit_late: bool,
        #[serde(default = "live")]
        provenance: Text<'a>,
        contact: Option<Person<'a>>,
        group_id: Option<Text<'a>>,
        message: Option<Box<Message<'a>>>,
        call: Option<Box<Call<'a>>>,
        preference: Option<Box<Preference<'a>>>,
        identity_change: Option<Box<IdentityChange<'a>>>,
        send_requested: Option<Box<SendRequested<'a>>>,
        send_accepted: Option<Box<SendAccepted<'a>>>,
        status: Option<Box<Status<'a>>>,
        consent: Option<Box<Consent<'a>>>,
        number_fact: Option<Box<NumberFact<'a>>>,
        unknown: Option<Box<Unknown<'a>>>,
    }

    /// A person, by every id an event gives.
    Person {
        wa_id: Option<Text<'a>>,
        user_id: Option<Text<'a>>,
        parent_user_id: Option<Text<'a>>,
    }

    /// Kind `message`: the person wrote or reacted. Never the body.
    Message {
        message_id: Text<'a>,
        r#type: Text<'a>,
        subtype: Option<Text<'a>>,
        #[serde(default)]
        reaction_removed: bool,
        context_message_id: Option<Text<'a>>,
        client_platform: Option<Text<'a>>,
        referral: Option<Referral<'a>>,
        #[serde(default)]
        error_codes: Vec<i32>,
    }

    /// The advertisement or post a message came through.
    Referral {
        source_type: Option<Text<'a>>,
        source_id: Option<Text<'a>>,
        source_url: Option<Text<'a>>,
        ctwa_clid: Option<Text<'a>>,
    }

    /// Kind `call`.
    Call {
        call_id: Text<'a>,
        event: Text<'a>,
        direction: Option<Text<'a>>,
        status: Option<Text<'a>>,
        duration_seconds: Option<i64>,
    }

    /// Kind `preference`: the person stopped or resumed messages in WhatsApp's own settings.
    Preference {
        category: Text<'a>,
        value: Text<'a>,
    }

    /// Kind `identity_change`: the person's ids changed. `contact` holds the ids before.
    IdentityChange {
        message_id: Option<Text<'a>>,
        r#type: Text<'a>,
        new_wa_id: Option<Text<'a>>,
        new_user_id: Option<Text<'a>>,
        new_parent_user_id: Option<Text<'a>>,
    }

    /// Kind `send_requested`: may this be sent?
    SendRequested {
        request_id: Text<'a>,
        content: Content<'a>,
        evaluate_for: Option<i64>,
        time_to_live_seconds: Option<i64>,
        #[serde(default)]
        attributes: BTreeMap<Text<'a>, Text<'a>>,
    }

    /// What a message says, as far as permission and price are concerned.
    Content {
        kind: Text<'a>,
        message_type: Option<Text<'a>>,
        category: Option<Text<'a>>,
        template: Option<Template<'a>>,
    }

    /// A template as a sender names it.
    Template {
        name: Text<'a>,
        language: Text<'a>,
        category: Option<Text<'a>>,
    }

    /// Kind `send_accepted`: the platform's API took a message.
    SendAccepted {
        request_id: Option<Text<'a>>,
        message_id: Text<'a>,
        message_status: Option<Text<'a>>,
        content: Option<Content<'a>>,
        time_to_live_seconds: Option<i64>,
    }

    /// Kind `status`: the platform reports on a message.
    Status {
        message_id: Option<Text<'a>>,
        request_id: Option<Text<'a>>,
        status: Text<'a>,
        recipient_type: Option<Text<'a>>,
        participant: Option<Person<'a>>,
        pricing: Option<Pricing<'a>>,
        conversation: Option<Conversation<'a>>,
        #[serde(default)]
        errors: Vec<PlatformError<'a>>,
        callback_data: Option<Text<'a>>,
    }

    /// The platform's `pricing` object, as sent.
    Pricing {
        billable: Option<bool>,
        pricing_model: Option<Text<'a>>,
        r#type: Option<Text<'a>>,
        category: Option<Text<'a>>,
        subtype: Option<Text<'a>>,
        cost_amount: Option<Text<'a>>,
        cost_currency: Option<Text<'a>>,
    }

    /// The platform's `conversation` object, as sent.
    Conversation {
        id: Option<Text<'a>>,
        origin: Option<Text<'a>>,
        expires_at: Option<i64>,
    }

    /// One of the platform's errors.
    PlatformError {
        code: i32,
        title: Option<Text<'a>>,
    }

    /// Kind `consent`: the business records that a person agreed or refused.
    Consent {
        scope: Text<'a>,
        state: Text<'a>,
        source: Option<Text<'a>>,
    }

    /// Kind `number_fact`: something became true of the business phone number.
    NumberFact {
        name: Text<'a>,
        value: Option<Text<'a>>,
        until: Option<i64>,
    }

    /// Kind `unknown`: what the reader does not understand.
    Unknown {
        name: Text<'a>,
        #[serde(default)]
        error_codes: Vec<i32>,
    }
}
