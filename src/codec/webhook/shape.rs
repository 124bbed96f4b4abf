//! The shape of webhook bodies, as leniently as JSON allows: a field of another type than documented is a
//! field that is not understood, never an error. Only what is used has a place here.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::codec::records;
use crate::codec::text::Text;

/// A scalar of any type.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Lax<'a> {
    /// It is not there, or null.
    #[default]
    Absent,
    /// A string.
    Text(Text<'a>),
    /// A whole number.
    Integer(i64),
    /// Any other number, as text.
    Decimal(String),
    /// A boolean.
    Bool(bool),
    /// An object with `previous` and `current`.
    Changed(Box<(Lax<'a>, Lax<'a>)>),
    /// Something else.
    Other,
}

impl<'a> Lax<'a> {
    /// The text of a string that is not empty, or of a whole number.
    pub fn text(&self) -> Option<Text<'a>> {
        match self {
            Self::Text(text) if !text.as_str().is_empty() => Some(text.clone()),
            Self::Integer(number) => Some(number.to_string().into()),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// The same as [`Lax::text`], for a field that may also be an object.
    pub fn as_text(&self) -> Option<Text<'a>> {
        self.text()
    }

    /// The values before and after, of a field that tells of a change; a plain value is the one before.
    pub fn change(&self) -> (Option<Text<'a>>, Option<Text<'a>>) {
        match self {
            Self::Changed(change) => (change.0.text(), change.1.text()),
            plain => (plain.text(), None),
        }
    }

    /// A whole number, also one written as a string.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Text(text) => text.as_str().parse().ok(),
            _ => None,
        }
    }

    /// A number or a string of digits, as text.
    pub fn decimal(&self) -> Option<Text<'a>> {
        match self {
            Self::Decimal(number) => Some(number.clone().into()),
            other => other.text(),
        }
    }

    /// A boolean.
    pub const fn boolean(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Lax<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LaxVisitor;
        impl<'de> Visitor<'de> for LaxVisitor {
            type Value = Lax<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Lax::Text(text.into()))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Lax::Text(text.to_owned().into()))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Lax::Integer(number))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                Ok(i64::try_from(number).map_or(Lax::Other, Lax::Integer))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Lax::Decimal(number.to_string()))
            }
            fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Lax::Bool(value))
            }
            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Lax::Absent)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Lax::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
                let (mut previous, mut current) = (Lax::Absent, Lax::Absent);
                while let Some(name) = fields.next_key::<Cow<'de, str>>()? {
                    match &*name {
                        "previous" => previous = fields.next_value()?,
                        "current" => current = fields.next_value()?,
                        _ => {
                            fields.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Lax::Changed(Box::new((previous, current))))
            }
        }
        deserializer.deserialize_any(LaxVisitor)
    }
}

/// An object, or nothing if something else stands in its place.
#[derive(Clone, Debug)]
pub struct Maybe<T>(pub Option<T>);

impl<T> Default for Maybe<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// An array of objects, or nothing if something else stands in its place.
#[derive(Clone, Debug)]
pub struct Many<T>(pub Option<Vec<Maybe<T>>>, bool);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(None, false)
    }
}

impl<T> Many<T> {
    /// The items; `None` for one that is no object.
    pub fn items(&self) -> impl Iterator<Item = Option<&T>> {
        self.0.iter().flatten().map(|item| item.0.as_ref())
    }

    /// Whether something is there that is no array.
    pub const fn is_wrong(&self) -> bool {
        self.1
    }
}

/// Reads an object as `T`, anything else as nothing.
struct MaybeVisitor<T>(PhantomData<T>);

macro_rules! nothing_else {
    ($nothing:expr) => {
        fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
            Ok($nothing)
        }
        fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
            Ok($nothing)
        }
        fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
            Ok($nothing)
        }
        fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
            Ok($nothing)
        }
        fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
            Ok($nothing)
        }
    };
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for MaybeVisitor<T> {
    type Value = Maybe<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
        T::deserialize(serde::de::value::MapAccessDeserializer::new(fields)).map(|object| Maybe(Some(object)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Maybe(None))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Maybe(None))
    }

    nothing_else!(Maybe(None));
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MaybeVisitor(PhantomData))
    }
}

/// Reads one item of an array.
struct ItemSeed<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for ItemSeed<T> {
    type Value = Maybe<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        Maybe::deserialize(deserializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ManyVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ManyVisitor<T> {
            type Value = Many<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = array.next_element_seed(ItemSeed(PhantomData))? {
                    items.push(item);
                }
                Ok(Many(Some(items), false))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
                while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Many(None, true))
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Many(None, false))
            }

            nothing_else!(Many(None, true));
        }
        deserializer.deserialize_any(ManyVisitor(PhantomData))
    }
}

/// Declares shapes: structs whose fields are all optional.
macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $ty:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(default, bound(deserialize = "'de: 'a"))]
        #[allow(clippy::struct_field_names, reason = "the platform named the fields")]
        pub struct $name<'a> { $(pub $field: $ty,)* }
    )*};
}

shapes! {
    /// The whole body (rules.md 6.1). `received_at` is ours: when whoever kept the body received it; `admit_late` too.
    Body { object: Lax<'a>, received_at: Lax<'a>, admit_late: Lax<'a>, entry: Many<Entry<'a>> }

    /// One account's changes.
    Entry { id: Lax<'a>, time: Lax<'a>, changes: Many<Change<'a>> }

    /// One change.
    Change { field: Lax<'a>, value: Maybe<Value<'a>> }

    /// What changed: the fields of every kind of change, for each has its own.
    Value {
        metadata: Maybe<Metadata<'a>>, contacts: Many<Contact<'a>>, messages: Many<Item<'a>>,
        statuses: Many<Item<'a>>, errors: Many<Item<'a>>, calls: Many<Item<'a>>, user_preferences: Many<Item<'a>>,
        user_id_update: Many<Item<'a>>, message_echoes: Many<Item<'a>>, history: Many<Chunk<'a>>,
        groups: Many<Item<'a>>, automatic_events: Many<Item<'a>>, state_sync: Many<Item<'a>>,
        event: Lax<'a>, phone_number: Lax<'a>, ban_info: Maybe<BanInfo<'a>>,
        restriction_info: Many<RestrictionInfo<'a>>, violation_info: Maybe<ViolationInfo<'a>>,
        volume_tier_info: Maybe<VolumeTierInfo<'a>>,
        auth_international_rate_eligibility: Maybe<AuthEligibility<'a>>, country: Lax<'a>, decision: Lax<'a>,
        message_template_id: Lax<'a>, message_template_name: Lax<'a>, message_template_language: Lax<'a>,
        message_template_category: Lax<'a>, reason: Lax<'a>, other_info: Maybe<OtherInfo<'a>>,
        new_category: Lax<'a>, previous_category: Lax<'a>, correct_category: Lax<'a>,
        category_update_timestamp: Lax<'a>, previous_quality_score: Lax<'a>, new_quality_score: Lax<'a>,
        waba_info: Maybe<WabaInfo<'a>>, alert_info: Maybe<AlertInfo<'a>>,
        display_phone_number: Lax<'a>, current_limit: Lax<'a>, max_daily_conversations_per_business: Lax<'a>,
        max_phone_numbers_per_business: Lax<'a>, flow_id: Lax<'a>, status: Lax<'a>, configuration_name: Lax<'a>,
    }

    /// The business phone number a change is about.
    Metadata { display_phone_number: Lax<'a>, phone_number_id: Lax<'a> }

    /// A person, without their name.
    Contact { wa_id: Lax<'a>, user_id: Lax<'a>, parent_user_id: Lax<'a> }

    /// A message, a status, a call or anything else that comes in arrays (rules.md 6.2-6.4).
    Item {
        id: Lax<'a>, timestamp: Lax<'a>, r#type: Lax<'a>, event: Lax<'a>, event_name: Lax<'a>, status: Lax<'a>,
        from: Lax<'a>, from_user_id: Lax<'a>, from_parent_user_id: Lax<'a>,
        to: Lax<'a>, to_user_id: Lax<'a>, to_parent_user_id: Lax<'a>, direction: Lax<'a>,
        group_id: Lax<'a>, context: Maybe<Context<'a>>, referral: Maybe<Referral<'a>>,
        text: Maybe<Said<'a>>, button: Maybe<Said<'a>>, interactive: Maybe<Interactive<'a>>,
        reaction: Maybe<Reaction<'a>>, edit: Maybe<Changed<'a>>, revoke: Maybe<Changed<'a>>, system: Maybe<System<'a>>, unsupported: Maybe<Typed<'a>>,
        recipient_id: Lax<'a>, recipient_type: Lax<'a>, recipient_user_id: Lax<'a>,
        recipient_parent_user_id: Lax<'a>, recipient_participant_id: Lax<'a>, participant_recipient_id: Lax<'a>,
        recipient_participant_user_id: Lax<'a>, recipient_participant_parent_user_id: Lax<'a>,
        pricing: Maybe<Pricing<'a>>, conversation: Maybe<Conversation<'a>>, errors: Many<PlatformError<'a>>,
        biz_opaque_callback_data: Lax<'a>, wa_id: Lax<'a>, user_id: Lax<'a>, parent_user_id: Lax<'a>,
        category: Lax<'a>, value: Lax<'a>, code: Lax<'a>,
        start_time: Lax<'a>, end_time: Lax<'a>, duration: Lax<'a>,
    }

    /// One part of an imported history.
    Chunk { threads: Many<Thread<'a>>, errors: Many<Item<'a>> }

    /// One chat of an imported history.
    Thread { messages: Many<Item<'a>> }

    /// The message an item answers.
    Context { id: Lax<'a> }

    /// The advertisement or post it came through.
    Referral { source_type: Lax<'a>, source_id: Lax<'a>, source_url: Lax<'a>, ctwa_clid: Lax<'a> }

    /// What the person wrote or tapped; compared with the keywords and dropped.
    Said { body: Lax<'a>, text: Lax<'a>, title: Lax<'a> }

    /// An interactive reply.
    Interactive { r#type: Lax<'a>, button_reply: Maybe<Said<'a>>, list_reply: Maybe<Said<'a>> }

    /// A reaction; without an emoji it is taken back.
    Reaction { emoji: Lax<'a>, message_id: Lax<'a> }

    /// A change of an old message.
    Changed { original_message_id: Lax<'a> }

    /// A notice of a changed id.
    System { r#type: Lax<'a>, wa_id: Lax<'a>, user_id: Lax<'a>, parent_user_id: Lax<'a> }

    /// Something of which only the type matters.
    Typed { r#type: Lax<'a> }

    /// The platform's word on the price.
    Pricing {
        billable: Lax<'a>, pricing_model: Lax<'a>, r#type: Lax<'a>, category: Lax<'a>, subtype: Lax<'a>,
        cost: Maybe<Cost<'a>>,
    }

    /// An expected charge.
    Cost { amount: Lax<'a>, currency: Lax<'a> }

    /// The platform's conversation.
    Conversation {
        id: Lax<'a>, expiration_timestamp: Lax<'a>, origin: Maybe<Typed<'a>>, pricing: Maybe<Pricing<'a>>,
    }

    /// One of the platform's errors.
    PlatformError { code: Lax<'a>, title: Lax<'a> }

    /// The account an event is about, where the body came to its partner.
    WabaInfo { waba_id: Lax<'a>, owner_business_id: Lax<'a> }

    /// An alert.
    AlertInfo { alert_type: Lax<'a> }

    /// A ban.
    BanInfo { waba_ban_state: Lax<'a> }

    /// A restriction.
    RestrictionInfo { restriction_type: Lax<'a>, expiration: Lax<'a> }

    /// A violation.
    ViolationInfo { violation_type: Lax<'a> }

    /// A volume tier reached.
    VolumeTierInfo {
        tier_update_time: Lax<'a>, pricing_category: Lax<'a>, tier: Lax<'a>, effective_month: Lax<'a>,
        region: Lax<'a>,
    }

    /// Eligibility for the international authentication rate.
    AuthEligibility { start_time: Lax<'a>, exception_countries: Many<ExceptionCountry<'a>> }

    /// A country with a start of its own.
    ExceptionCountry { country_code: Lax<'a>, start_time: Lax<'a> }

    /// What a template event says besides.
    OtherInfo { title: Lax<'a> }
}

impl Value<'_> {
    /// Whether it holds what only a business phone number can have.
    pub fn is_about_a_number(&self) -> bool {
        let items = [&self.messages, &self.statuses, &self.calls, &self.message_echoes, &self.user_preferences];
        items.into_iter().any(|items| items.0.is_some() || items.is_wrong()) || self.history.0.is_some()
    }
}

impl<'a> Item<'a> {
    /// The sub-type that tells kinds of one type apart.
    pub fn subtype(&self, kind: &str) -> Option<Text<'a>> {
        match kind {
            "interactive" => self.interactive.0.as_ref().and_then(|interactive| interactive.r#type.text()),
            "unsupported" | "unknown" => self.unsupported.0.as_ref().and_then(|typed| typed.r#type.text()),
            _ => None,
        }
    }

    /// The message it answers, reacts to, changes or deletes.
    pub fn about_message(&self) -> Option<Text<'a>> {
        let answered = self.context.0.as_ref().and_then(|context| context.id.text());
        let reacted = self.reaction.0.as_ref().and_then(|reaction| reaction.message_id.text());
        let mut changed = [&self.edit, &self.revoke].into_iter().filter_map(|changed| changed.0.as_ref());
        answered.or(reacted).or_else(|| changed.find_map(|changed| changed.original_message_id.text()))
    }

    /// Whether a reaction was taken back.
    pub fn reaction_removed(&self) -> bool {
        self.reaction.0.as_ref().is_none_or(|reaction| reaction.emoji.text().is_none())
    }

    /// What the person wrote or tapped.
    pub fn said(&self) -> Option<&str> {
        let interactive = self.interactive.0.as_ref();
        let replies = interactive.map(|interactive| [&interactive.button_reply, &interactive.list_reply]);
        let said = [&self.text, &self.button].into_iter().chain(replies.into_iter().flatten());
        said.filter_map(|said| said.0.as_ref())
            .find_map(|said| said.body.as_str().or_else(|| said.text.as_str()).or_else(|| said.title.as_str()))
    }

    /// The error codes, in order.
    pub fn error_codes(&self) -> Vec<i32> {
        let codes = self.errors.items().flatten().filter_map(|error| error.code.integer());
        codes.filter_map(|code| i32::try_from(code).ok()).collect()
    }

    /// The errors, in order; one whose code is no number keeps its title under code 0.
    pub fn errors(&self) -> Vec<records::PlatformError<'a>> {
        let code = |code: &Lax<'a>| code.integer().and_then(|code| i32::try_from(code).ok()).unwrap_or_default();
        let errors = self.errors.items().flatten();
        errors.map(|error| records::PlatformError { code: code(&error.code), title: error.title.text() }).collect()
    }

    /// The recipient within a group, by every form the platform has used (rules.md 6.3).
    pub fn participant(&self) -> Option<records::Person<'a>> {
        let wa_id = self.recipient_participant_id.text().or_else(|| self.participant_recipient_id.text());
        let user_id = self.recipient_participant_user_id.text();
        let parent_user_id = self.recipient_participant_parent_user_id.text();
        let there = wa_id.is_some() || user_id.is_some() || parent_user_id.is_some();
        there.then_some(records::Person { wa_id, user_id, parent_user_id })
    }
}

impl<'a> Pricing<'a> {
    /// The object as our record keeps it.
    pub fn record(&self) -> records::Pricing<'a> {
        let cost = self.cost.0.as_ref();
        records::Pricing {
            billable: self.billable.boolean(),
            pricing_model: self.pricing_model.text(),
            r#type: self.r#type.text(),
            category: self.category.text(),
            subtype: self.subtype.text(),
            cost_amount: cost.and_then(|cost| cost.amount.decimal()),
            cost_currency: cost.and_then(|cost| cost.currency.text()),
        }
    }
}
