//! The fold: one event in, what is remembered changed, what the world must be told appended in order.
//!
//! [`apply`] and [`pass`] alone change state. Neither can fail halfway, wait, log or look at a clock:
//! whatever they need was loaded before. What may not be folded [`admit`] refuses, before anything changes.

mod lines;
mod merge;
mod refused;
mod tell;

use std::sync::Arc;

use self::lines::recipient;
use super::billing;
use super::contact::{Choice, Consent, ConsentSource, Contact};
use super::content::{Category, Content};
use super::conversation::Wants;
use super::effect::{Effect, Outcome, SendResult, What};
use super::entry_point::{Looks, Sent, Word};
use super::event::{
    About, Acceptance, Ask, CallEnded, ConsentGiven, ConsentScope, Event, Happening, Inbound, NumberFact, Preference,
    PricingKind, Stage, Status,
};
use super::id::{ContactNumber, EventId, MessageKey, RequestId, WaId};
use super::in_flight::Uses;
use super::ledger::reach;
use super::message::{Asked, Failure, KEPT_WHOLE, Message, Priced, Request, TIME_TO_LIVE, TIME_TO_LIVE_AUTHENTICATION};
use super::number::{Number, PacedPause};
use super::pair::Burst;
use super::policy::Context;
use super::reference::{Account, Restriction};
use super::rules::EraAt;
use super::rules::eras::{ConversationTerms, ToldApartBy};
use super::rules::errors;
use super::rules::markets::Origin;
use super::rules::openers::InboundKind;
use super::time::{Days, Millis, Timestamp};
use super::verdict::{self, Answer, Known};
use super::window::{self, Moved, WindowAt};
pub use merge::{Called, erase, unite};

/// How many templates paused by pacing are remembered of a number; the oldest is forgotten first.
const PACED: usize = 256;

/// What the fold of one event may change. The caller loads it, and keeps it afterwards.
pub struct Held<'a> {
    /// The business phone number.
    pub number: &'a mut Number,
    /// The contact, if the event or its message names one.
    pub contact: Option<(ContactNumber, &'a mut Contact)>,
    /// The message, if the event is about one; empty if it is not known yet.
    pub message: Option<(MessageKey, &'a mut Option<Message>)>,
    /// The message to a group as a whole, if the event is about one recipient's share of it; empty if it is not known yet.
    pub whole: Option<(MessageKey, &'a mut Option<Message>)>,
    /// The request, if the event names one; empty if it is not known.
    pub request: Option<&'a mut Option<Request>>,
}

/// Why an event was not folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It happened longer ago than the horizon, and is about nothing that is remembered.
    TooLate,
}

/// Whether an event may be folded. `known` says whether the message or request it is about is remembered.
///
/// # Errors
/// Why it may not.
pub fn admit(context: &Context<'_>, event: &Event, known: bool) -> Result<(), Refused> {
    let late = event.occurred_at < context.partition_time - context.policy.horizon;
    if late && !known && !event.admit_late && event.happening.is_dated() {
        return Err(Refused::TooLate);
    }
    Ok(())
}

/// Folds one event that [`admit`] let in. Effects are appended in the order in which they are to be published. Returns
/// what is to be done then.
#[must_use]
pub fn apply(
    context: &Context<'_>,
    event: &Event,
    account: &Arc<Account>,
    held: Held<'_>,
    effects: &mut Vec<Effect>,
) -> Then {
    let Held { number, contact, message, whole, request } = held;
    if let Some(account) = &event.account
        && number.last_account.as_ref() != Some(account)
    {
        number.last_account = Some(account.clone());
    }
    let (contact_number, contact) = contact.unzip();
    let mut fold = Fold::new(context, event.id, event.occurred_at, account, number, effects);
    match (&event.happening, contact) {
        (Happening::Inbound(inbound), Some(contact)) => {
            fold.inbound(contact, inbound);
            fold.tell_state(contact);
        }
        (Happening::Echo, Some(contact)) => {
            if let Some(present) = contact.window.present_mut() {
                present.count_outbound(event.occurred_at);
            }
        }
        (Happening::MarketingPreference(preference), Some(contact)) => {
            let given = matches!(preference, Preference::Resume);
            fold.choose(contact, ConsentScope::Marketing, given, ConsentSource::Preference);
            fold.tell_state(contact);
        }
        (Happening::Consent(ConsentGiven { scope, given, source }), Some(contact)) => {
            fold.choose(contact, *scope, *given, ConsentSource::Business(source.as_str().into()));
            fold.tell_state(contact);
        }
        (Happening::CallEnded(ended), Some(contact)) => {
            fold.inbound(contact, &Inbound { kind: InboundKind::CallOther, live: true, referral: None });
            if let Some((_, message)) = message {
                fold.call_ended(contact_number, ended, message);
            }
            fold.tell_state(contact);
        }
        (Happening::SendRequested(ask), Some(contact)) => {
            if let (Some(number), Some(request)) = (contact_number, request) {
                let phone = event.contact.as_ref().and_then(|named| named.phone.as_ref());
                fold.ask((number, contact, phone), ask, request);
            }
        }
        (Happening::SendAccepted(acceptance), contact) => {
            if let Some((key, message)) = message {
                fold.accepted(contact_number, contact, acceptance, key, message, request);
            }
        }
        (Happening::Status(status), contact) => match (&status.about, message, request) {
            (About::Message(id), Some((key, message)), _) => {
                let message = message.get_or_insert_with(|| Message {
                    id: Some(id.clone()),
                    participant: status.participant.clone(),
                    contact: contact_number,
                    account: account.id.clone(),
                    ..Message::default()
                });
                message.contact = message.contact.or(contact_number);
                fold.status(contact, status, (key, message), whole);
            }
            (About::Request(id), _, Some(request)) => fold.refused(contact, status, id, request),
            (About::Message(_), None, _) | (About::Request(_), _, None) => {}
        },
        (Happening::NumberFact(NumberFact::Coexistence), _) => {
            fold.number.coexistence_since = fold.number.coexistence_since.max(Some(event.occurred_at));
        }
        (Happening::NumberFact(NumberFact::Restriction { name, until }), _) => {
            fold.number.restrict(event.occurred_at, Restriction { name: name.clone(), until: *until });
        }
        // Whose names they are and who is forgotten is found out before this; nothing is remembered of what is not
        // known. And the reader gives every event that is about a person its person, so without one there is nothing to fold.
        (Happening::IdentityChanged(_) | Happening::ContactErased | Happening::Unknown(_), _)
        | (
            Happening::Inbound(_)
            | Happening::Echo
            | Happening::MarketingPreference(_)
            | Happening::Consent(_)
            | Happening::CallEnded(_)
            | Happening::SendRequested(_),
            None,
        ) => {}
    }
    Then { own: fold.own, disturbed: fold.disturbed, look_back: fold.look_back }
}

/// What is to be done after an event was folded.
#[derive(Debug, Default)]
pub struct Then {
    /// Whether the line of the message that the event is about may be wrong now: it is to be given to [`settle`].
    pub own: bool,
    /// Other messages of which that is so, to be loaded.
    pub disturbed: Vec<MessageKey>,
    /// The messages that went to the contact since this instant are to be loaded and given to [`look_back`] before that:
    /// the event happened before they were sent, and was heard of after.
    pub look_back: Option<Timestamp>,
}

/// Takes in messages that were sent before an event was heard of, and may be something else for it. Returns those whose
/// lines may be wrong now.
#[must_use]
pub fn look_back(
    context: &Context<'_>,
    event: &Event,
    account: &Arc<Account>,
    number: &mut Number,
    contact: &mut Contact,
    earlier: &[(MessageKey, Message)],
    effects: &mut Vec<Effect>,
) -> Vec<MessageKey> {
    let mut fold = Fold::new(context, event.id, event.occurred_at, account, number, effects);
    for (key, message) in earlier {
        fold.follow(contact, *key, message);
        fold.disturbed.push(*key);
    }
    contact.entry.has_looked_back();
    fold.work_out(contact, context.partition_time);
    fold.tell_state(contact);
    fold.disturbed
}

/// A message whose line may be wrong.
pub struct Disturbed<'a> {
    /// Its key.
    pub key: MessageKey,
    /// The message.
    pub message: &'a mut Message,
    /// What is known of its account at its charge instant.
    pub account: &'a Arc<Account>,
    /// What else the event has told of it.
    pub news: Option<&'a News>,
}

/// What an event tells of a message that it is not about.
pub enum News {
    /// The message to a group that it is a share of.
    Whole(Box<Message>),
    /// The ask that it answers to.
    Asked(RequestId, Asked),
}

/// Brings the ledger of a message in line with all that is known. Returns the messages whose lines may be wrong then.
#[must_use]
pub fn settle(
    context: &Context<'_>,
    event: &Event,
    number: &mut Number,
    contact: &mut Contact,
    disturbed: Disturbed<'_>,
    effects: &mut Vec<Effect>,
) -> Vec<MessageKey> {
    let Disturbed { key, message, account, news } = disturbed;
    if message.packed {
        return Vec::new();
    }
    match news {
        Some(News::Whole(whole)) if message.id == whole.id => message.take_over(whole),
        Some(News::Asked(request, asked)) if message.request.as_ref() == Some(request) => message.answers(asked),
        Some(News::Whole(_) | News::Asked(..)) | None => {}
    }
    let mut fold = Fold::new(context, event.id, event.occurred_at, account, number, effects);
    if news.is_some() {
        fold.depart(contact, message);
        fold.follow(contact, key, message);
        fold.work_out(contact, context.partition_time);
        fold.tell_state(contact);
    }
    fold.converse(contact, key, message);
    fold.settle(contact, key, message);
    fold.disturbed
}

/// Folds the passing of a contact's deadline. Returns the messages whose time to live has run out; the
/// caller loads them and gives them to [`drop_message`].
pub fn pass(
    context: &Context<'_>,
    number: &mut Number,
    contact: &mut Contact,
    account: &Arc<Account>,
    due: Timestamp,
    effects: &mut Vec<Effect>,
) -> Vec<MessageKey> {
    let mut fold = Fold::new(context, NO_EVENT, due, account, number, effects);
    fold.alert(contact);
    if contact.window.present().is_some_and(|present| present.expires_at <= due)
        && let Some(present) = contact.window.close()
    {
        fold.tell_closed(contact, &present);
    }
    contact.burst = contact.burst.filter(|burst| due < burst.paid_off());
    fold.work_out(contact, due);
    fold.tell_conversations(contact, due);
    fold.tell_state(contact);
    let (dropped, pending): (Vec<_>, Vec<_>) = contact.pending.drain(..).partition(|(drops_at, _)| *drops_at <= due);
    contact.pending = pending;
    dropped.into_iter().map(|(_, key)| key).collect()
}

/// Folds the end of a message's time to live: it is assumed dropped, because no report of it is promised
/// (rules.md 5, TTL).
pub fn drop_message(
    context: &Context<'_>,
    number: &mut Number,
    contact: &Contact,
    account: &Arc<Account>,
    message: &mut Message,
    due: Timestamp,
    effects: &mut Vec<Effect>,
) {
    // Of a share whose recipient was erased nothing is told.
    if message.settled_at.is_some() || message.told.dropped || message.packed {
        return;
    }
    message.told.dropped = true;
    message.settled_at = Some(context.partition_time);
    let mut fold = Fold::new(context, NO_EVENT, due, account, number, effects);
    fold.land(message);
    fold.tell_outcome(Some(contact), message, SendResult::Dropped, false);
}

/// Stands where an effect is caused by time alone.
const NO_EVENT: EventId = EventId([0; 16]);

impl Happening {
    /// Whether it is about an instant whose consequences end, so that it can come too late. A fact or a
    /// choice holds from its instant on, however late it is learned; an imported message has no consequences.
    const fn is_dated(&self) -> bool {
        match self {
            Self::Inbound(inbound) => inbound.live,
            Self::Echo | Self::CallEnded(_) | Self::SendRequested(_) | Self::SendAccepted(_) | Self::Status(_) => true,
            Self::MarketingPreference(_)
            | Self::Consent(_)
            | Self::IdentityChanged(_)
            | Self::ContactErased
            | Self::NumberFact(_)
            | Self::Unknown(_) => false,
        }
    }
}

/// One event being folded.
struct Fold<'a, 'c> {
    context: &'a Context<'c>,
    event: EventId,
    at: Timestamp,
    account: &'a Arc<Account>,
    number: &'a mut Number,
    effects: &'a mut Vec<Effect>,
    /// Whether the contact's row in the table of windows has changed.
    moved: bool,
    /// Whether the line of the message that the event is about may be wrong now.
    own: bool,
    /// Other messages of which that is so.
    disturbed: Vec<MessageKey>,
    /// Since when messages are to be looked at again.
    look_back: Option<Timestamp>,
}

impl<'a, 'c> Fold<'a, 'c> {
    const fn new(
        context: &'a Context<'c>,
        event: EventId,
        at: Timestamp,
        account: &'a Arc<Account>,
        number: &'a mut Number,
        effects: &'a mut Vec<Effect>,
    ) -> Self {
        Self {
            context,
            event,
            at,
            account,
            number,
            effects,
            moved: false,
            own: false,
            disturbed: Vec::new(),
            look_back: None,
        }
    }
}

impl Fold<'_, '_> {
    fn days(&self, at: Timestamp) -> Days {
        Days::of(self.context.zones, self.account.zone, at)
    }

    /// The person wrote or called.
    fn inbound(&mut self, contact: &mut Contact, inbound: &Inbound) {
        if !inbound.live {
            return;
        }
        if let Some(chain) = &mut contact.chain {
            // Who has the number now has written again.
            chain.unsettled.take_if(|since| *since < self.at);
        }
        // What the person wrote since is known already: the windows there were may be others.
        let mut in_order = contact.window.written_at().is_none_or(|last| last <= self.at);
        let after_coexistence = self.number.coexistence_since.is_none_or(|since| self.at >= since);
        // Whoever writes can be reached.
        contact.has_written(self.at);
        if self.context.policy.openers.opens(inbound.kind) && after_coexistence {
            // Whether a click was answered in time depends on the window it opened, for as long as the click matters.
            let since = self.context.partition_time - window::REMEMBERED;
            let keep_from = contact.entry.clicks.first().map_or(since, |click| since.min(click.at));
            let moved = contact.window.inbound(self.at, self.event, inbound.kind, keep_from);
            in_order &= !matches!(moved, Moved::Corrected(_));
            self.tell_moved(contact, moved);
        }
        let clicked = inbound.referral.as_ref().is_some_and(|referral| !referral.on_desktop)
            && !contact.is_group
            && self.context.rules.has_entry_points(self.days(self.at))
            && contact.entry.note_click(self.at, self.event);
        let is_late = contact.last_sent.is_some_and(|last| last >= self.at);
        // A click that waits may be answered for longer now; one that was late may wait again.
        let prolongs = self.context.rules.entry_point_extends && contact.entry.open.is_some();
        if clicked || is_late || !in_order || prolongs || contact.entry.eligible.is_some() {
            self.work_out(contact, self.context.partition_time);
        }
        if is_late {
            self.look_back = Some(self.look_back.map_or(self.at, |since| since.min(self.at)));
        }
    }

    /// A call of the business's ended: it is charged like a message that was delivered then.
    fn call_ended(&mut self, contact: Option<ContactNumber>, ended: &CallEnded, slot: &mut Option<Message>) {
        let Some(content) = ended.lasted.call().filter(|_| slot.is_none()) else {
            return;
        };
        *slot = Some(Message {
            id: Some(ended.call.clone()),
            contact,
            account: self.account.id.clone(),
            content: Some(content),
            delivered_at: Some(self.at),
            settled_at: Some(self.context.partition_time),
            ..Message::default()
        });
        self.own = true;
    }

    /// The person agreed or refused.
    fn choose(&mut self, contact: &mut Contact, scope: ConsentScope, given: bool, source: ConsentSource) {
        let choice = Choice { given, at: self.at, source };
        let known = match scope {
            ConsentScope::All => &mut contact.consent.all,
            ConsentScope::Marketing => &mut contact.consent.marketing,
        };
        self.moved |= Consent::choose(known, choice);
    }

    /// Somebody asks.
    fn ask(
        &mut self,
        (contact_number, contact, phone): (ContactNumber, &Contact, Option<&WaId>),
        ask: &Ask,
        request: &mut Option<Request>,
    ) {
        if request.as_ref().is_some_and(|request| request.asked.is_some()) {
            return;
        }
        let throttled = self.number.asks.exceed(self.context.policy.asks_per_second, self.context.partition_time);
        let known = Known { number: self.number, contact, phone, account: self.account };
        let verdict = verdict::decide(self.context, known, ask, self.at, throttled);
        let asked = Asked {
            content: ask.content.clone(),
            contact: contact_number,
            account: self.account.id.clone(),
            at: self.at,
            answer: verdict.answer,
            time_to_live: ask.time_to_live,
        };
        *request = Some(Request {
            asked: Some(asked),
            refused: request.as_ref().is_some_and(|request| request.refused),
            message: request.as_ref().and_then(|request| request.message),
            forgotten_at: self.context.partition_time.max(verdict.evaluate_for) + KEPT_WHOLE,
        });
        self.tell(Some(contact), What::Verdict(Box::new(verdict)));
        // The API's answer was heard of before the ask.
        self.disturbed.extend(request.as_ref().and_then(|request| request.message));
    }

    /// The API took a message.
    fn accepted(
        &mut self,
        contact_number: Option<ContactNumber>,
        contact: Option<&mut Contact>,
        acceptance: &Acceptance,
        key: MessageKey,
        slot: &mut Option<Message>,
        request: Option<&mut Option<Request>>,
    ) {
        let message = slot.get_or_insert_with(Message::default);
        if message.packed {
            return;
        }
        let is_news = message.accepted_at.or(message.sent_at).is_none();
        message.id = Some(acceptance.message.clone());
        message.held |= acceptance.held;
        let accepted_at = earlier(message.accepted_at, self.at);
        if let (Some(uses), Some(before)) = (message.in_flight, message.accepted_at.replace(accepted_at)) {
            self.number.in_flight.land(uses, before);
            self.number.in_flight.depart(uses, accepted_at);
        }
        message.contact = message.contact.or(contact_number);
        if message.request.is_none() {
            message.request.clone_from(&acceptance.request);
        }
        if message.content.is_none() {
            message.content.clone_from(&acceptance.content);
        }
        if message.account.is_none() {
            message.account.clone_from(&self.account.id);
        }
        let mut time_to_live = acceptance.time_to_live;
        if let Some(request) = request {
            let forgotten_at = self.context.partition_time.max(self.at) + KEPT_WHOLE;
            let request = request.get_or_insert(Request { asked: None, refused: false, message: None, forgotten_at });
            if let Some(asked) = &request.asked {
                message.answers(asked);
                time_to_live = time_to_live.or(asked.time_to_live);
            } else {
                request.message = Some(key);
            }
        }
        let time_to_live = time_to_live.unwrap_or_else(|| time_to_live_of(message.content.as_ref()));
        message.drops_at = Some(message.sent_at.or(message.accepted_at).unwrap_or(self.at) + time_to_live);
        if !message.told.accepted {
            message.told.accepted = true;
            self.number.sends.count(self.at);
            self.tell_outcome(contact.as_deref(), message, SendResult::Accepted { held: acceptance.held }, false);
        }
        self.disturbed.extend(&message.shares);
        if let Some(contact) = contact {
            if is_news {
                Self::count_in_burst(contact, self.at);
            }
            self.depart(contact, message);
            Self::wait_for(contact, key, message);
            contact.last_sent = contact.last_sent.max(message.known_at());
            // What it says may only be known now.
            if self.follow(contact, key, message) {
                self.work_out(contact, self.context.partition_time);
            }
            self.own = true;
            self.tell_state(contact);
        }
    }

    /// The platform reports on a message.
    fn status(
        &mut self,
        contact: Option<&mut Contact>,
        status: &Status,
        (key, message): (MessageKey, &mut Message),
        whole: Option<(MessageKey, &mut Option<Message>)>,
    ) {
        if message.packed {
            // Of what arrives after we gave it up no more is known than of a message that was never seen. A share of a message
            // to a group may be that of somebody who was erased.
            let arrives = matches!(status.stage, Stage::Delivered | Stage::Read) && status.participant.is_none();
            match &status.about {
                About::Message(id) if arrives && message.is_given_up() => {
                    message.begin_again(id, self.account.id.as_ref());
                }
                About::Message(_) | About::Request(_) => return,
            }
        }
        if let Some((_, whole)) = &whole
            && let Some(whole) = &**whole
        {
            message.take_over(whole);
        }
        let is_news = message.accepted_at.or(message.sent_at).is_none();
        self.merge(status, message);
        if message.drops_at.is_none() {
            message.drops_at = Some(self.at + time_to_live_of(message.content.as_ref()));
        }
        if message.charge_instant().is_some() {
            self.land(message);
        }
        let Some(contact) = contact else {
            // Nobody knows whom it is about: its failure can still be told, and nothing else follows.
            if status.stage == Stage::Failed {
                self.failed(None, status, message);
            }
            return;
        };
        if is_news && status.stage == Stage::Sent {
            Self::count_in_burst(contact, self.at);
        }
        if status.stage == Stage::Failed {
            self.failed(Some(contact), status, message);
        } else {
            self.count_as_sent(contact, message);
        }
        if message.charge_instant().is_some() && !message.told.delivered {
            message.told.delivered = true;
            message.settled_at = Some(self.context.partition_time);
            contact.is_reached(message.send_instant().unwrap_or(self.at));
            let disagrees = message.answer == Some(Answer::Blocked);
            self.tell_outcome(Some(contact), message, SendResult::Delivered, disagrees);
        }
        contact.last_sent = contact.last_sent.max(message.known_at());
        if self.follow(contact, key, message) {
            self.work_out(contact, self.context.partition_time);
        }
        Self::wait_for(contact, key, message);
        if let Some((whole_key, whole)) = whole {
            Self::share(contact, key, message, whole_key, whole);
            if let Some(whole) = whole.as_mut().filter(|whole| whole.settled_at.is_some()) {
                self.land(whole);
            }
        }
        self.own = true;
        self.tell_state(contact);
    }

    /// Notes a recipient's share with the message to the group: what is learned of that later is the share's too. Once
    /// one recipient has it, or is known not to, it is not on its way as a whole any more.
    fn share(
        contact: &mut Contact,
        key: MessageKey,
        share: &Message,
        whole_key: MessageKey,
        slot: &mut Option<Message>,
    ) {
        let whole = slot.get_or_insert_with(|| Message {
            id: share.id.clone(),
            contact: share.contact,
            account: share.account.clone(),
            drops_at: share.drops_at,
            ..Message::default()
        });
        if whole.packed {
            return;
        }
        if !whole.shares.contains(&key) {
            whole.shares.push(key);
        }
        whole.settled_at = whole.settled_at.max(share.settled_at);
        Self::wait_for(contact, whole_key, whole);
    }

    /// Merges what a status says into what is known.
    fn merge(&self, status: &Status, message: &mut Message) {
        message.conversation_ends = message.conversation_ends.max(status.conversation_ends);
        match status.stage {
            Stage::Sent => message.sent_at = Some(earlier(message.sent_at, self.at)),
            Stage::Delivered => message.delivered_at = Some(earlier(message.delivered_at, self.at)),
            Stage::Read => message.read_at = Some(earlier(message.read_at, self.at)),
            Stage::Failed => {}
        }
        let Some(pricing) = &status.pricing else {
            return;
        };
        message.was_charged |= billing::charges(self.context.rules, self.account, pricing, || self.days(self.at));
        let newer = message.priced.as_ref().is_none_or(|known| (known.at, known.stage) < (self.at, status.stage));
        if newer {
            message.priced = Some(Priced { at: self.at, stage: status.stage, pricing: pricing.clone() });
        }
    }

    /// Takes note that the platform has taken a message, which counts for the rate of a person and no group.
    fn count_in_burst(contact: &mut Contact, at: Timestamp) {
        if !contact.is_group {
            Burst::count(&mut contact.burst, at);
        }
    }

    /// Counts a message among the sends on their way, unless it has arrived or come to nothing. What it says may only be
    /// known some time after it was accepted. A recipient's share of a message to a group is none: the message is.
    fn depart(&mut self, contact: &Contact, message: &mut Message) {
        let arrived = message.charge_instant().is_some() || message.failed.is_some() || message.settled_at.is_some();
        let share = message.participant.is_some();
        if arrived || share || message.in_flight.is_some() || !self.context.rows_hold_all {
            return;
        }
        if let (Some(accepted_at), Some(content)) = (message.accepted_at, &message.content) {
            message.in_flight = self.would_use(contact, content, accepted_at);
            if let Some(uses) = message.in_flight {
                self.number.in_flight.depart(uses, accepted_at);
            }
        }
    }

    /// A message is on its way no more, if it was.
    fn land(&mut self, message: &mut Message) {
        if let (Some(uses), Some(accepted_at)) = (message.in_flight.take(), message.accepted_at) {
            self.number.in_flight.land(uses, accepted_at);
        }
    }

    /// What a message would use up once it is delivered, of what sends on their way are counted against.
    fn would_use(&self, contact: &Contact, content: &Content, accepted_at: Timestamp) -> Option<Uses> {
        match content {
            Content::Freeform => {
                let look = Looks {
                    context: self.context,
                    account: self.account,
                    window: &contact.window,
                    cut: self.number.coexistence_since,
                };
                let of_entry =
                    || contact.entry.at(accepted_at).is_some() || contact.entry.would_open(accepted_at, &look);
                let takes_free = !self.account.ai_provider
                    && self.context.rules.has_free_service_messages(self.days(accepted_at))
                    && !of_entry();
                takes_free.then_some(Uses::Allowance)
            }
            Content::Template(_) | Content::DirectSend(_) => {
                let day = self.context.rules.card_date(self.days(accepted_at).first);
                let is_limited = self.account.limit_on(day).is_some_and(|limit| limit.people().is_some());
                // Whoever was written to within the day counts already.
                let counts = |sent: Timestamp| sent <= accepted_at && accepted_at < sent + reach::COUNTED;
                let window = contact.window.at(accepted_at, self.number.coexistence_since);
                let reaches = is_limited
                    && !contact.is_group
                    && !matches!(window, WindowAt::Open(_))
                    && !contact.last_template_outside.is_some_and(counts);
                reaches.then_some(Uses::MessagingLimit)
            }
            Content::Reaction | Content::Agent | Content::Call(_) => None,
        }
    }

    /// Takes note, once, that a message went out: it counts in the window, and may answer a click.
    fn count_as_sent(&self, contact: &mut Contact, message: &mut Message) {
        if message.counted {
            return;
        }
        message.counted = true;
        let sent_at = message.send_instant().unwrap_or(self.at);
        if let Some(present) = contact.window.present_mut() {
            present.count_outbound(sent_at);
        }
        let window = contact.window.at(sent_at, self.number.coexistence_since);
        let is_template = matches!(message.content, Some(Content::Template(_) | Content::DirectSend(_)));
        if is_template && !matches!(window, WindowAt::Open(_)) {
            contact.last_template_outside = contact.last_template_outside.max(Some(sent_at));
        }
    }

    /// Takes note of a message that may answer a click, or lie in an entry point's window; `false` if nothing is new.
    fn follow(&self, contact: &mut Contact, key: MessageKey, message: &Message) -> bool {
        let word = Self::word(message);
        let follows = contact.entry.follows() || word.is_some_and(|word| word.free);
        if !follows || contact.is_group {
            return false;
        }
        match self.sent(contact, key, message, word) {
            Some(sent) => contact.entry.note_sent(sent),
            None => contact.entry.forget_sent(key).is_some(),
        }
    }

    /// A message as far as an entry point is concerned; nothing where it failed, or is not known to have gone out.
    /// Where conversations are charged it answers when it is delivered (rules.md 1.11).
    fn sent(&self, contact: &Contact, key: MessageKey, message: &Message, word: Option<Word>) -> Option<Sent> {
        let delivered_at = message.charge_instant();
        if !message.counted || (message.failed.is_some() && delivered_at.is_none()) {
            return None;
        }
        let sent_at = message.send_instant().or(delivered_at)?;
        let start = if self.charges_conversations(sent_at) {
            let delivered_at = delivered_at?;
            if self.charges_conversations(delivered_at) { delivered_at } else { sent_at }
        } else {
            sent_at
        };
        let joins =
            self.told_apart_by_initiator(start) && contact.conversations.is_open_before(start, key, &contact.entry);
        Some(Sent { start, sent_at, message: key, joins, word, covered: false })
    }

    /// What the platform has charged for a message, as far as an entry point is concerned.
    fn word(message: &Message) -> Option<Word> {
        let pricing = &message.priced.as_ref()?.pricing;
        if matches!(message.content, Some(Content::Reaction)) {
            return None;
        }
        let free = if pricing.is_of_conversation() {
            pricing.category() == Category::ReferralConversion
        } else {
            match pricing.pricing_kind()? {
                PricingKind::FreeEntryPoint => true,
                PricingKind::Regular | PricingKind::FreeCustomerService => false,
                PricingKind::FreeGroupCustomerService => return None,
            }
        };
        Some(Word { free, ends: message.conversation_ends })
    }

    /// Works the entry point's windows out again, and tells what has changed.
    fn work_out(&mut self, contact: &mut Contact, now: Timestamp) {
        if contact.entry.is_empty() {
            return;
        }
        // Where one conversation takes every message, windows and conversations depend on each other: each on what
        // happened before, so that going round settles them from the first to the last.
        for _ in 0..=contact.entry.sends.len() {
            let mut changes = Vec::new();
            let look = Looks {
                context: self.context,
                account: self.account,
                window: &contact.window,
                cut: self.number.coexistence_since,
            };
            self.look_back = contact.entry.wants_to_look_back().or(self.look_back);
            let disturbed = contact.entry.work_out(&look, now, self.context.partition_time, &mut changes);
            self.disturbed.extend(disturbed);
            self.tell_entry(contact, changes);
            if !contact.conversations.is_empty() {
                let others = contact.conversations.assign(&contact.entry);
                self.disturbed.extend(others);
                self.tell_conversations(contact, self.context.partition_time);
            }
            if !self.join_again(contact) {
                break;
            }
        }
    }

    /// Finds out again which of the messages that may answer a click belong to a conversation that was open; `false` if
    /// that is as it was.
    fn join_again(&self, contact: &mut Contact) -> bool {
        if contact.conversations.is_empty() {
            return false;
        }
        let joins: Vec<bool> = contact
            .entry
            .sends
            .iter()
            .map(|sent| {
                self.told_apart_by_initiator(sent.start)
                    && contact.conversations.is_open_before(sent.start, sent.message, &contact.entry)
            })
            .collect();
        let mut changed = false;
        for (sent, joins) in contact.entry.sends.iter_mut().zip(joins) {
            changed |= std::mem::replace(&mut sent.joins, joins) != joins;
        }
        changed
    }

    fn conversation_terms(&self, at: Timestamp) -> Option<&'static ConversationTerms> {
        if !self.context.rules.may_be_in_conversation(at) {
            return None;
        }
        match self.context.rules.era(self.days(at)) {
            EraAt::Era(era) => era.conversations(),
            EraAt::BeforeFirst | EraAt::ZoneUnknown => None,
        }
    }

    /// Whether conversations are charged at an instant.
    fn charges_conversations(&self, at: Timestamp) -> bool {
        self.conversation_terms(at).is_some()
    }

    /// Whether one conversation is open at a time, whatever it is about.
    fn told_apart_by_initiator(&self, at: Timestamp) -> bool {
        self.conversation_terms(at).is_some_and(|terms| terms.told_apart_by == ToldApartBy::Initiator)
    }

    /// Takes note of what a delivered message is to the conversations of its contact.
    fn converse(&mut self, contact: &mut Contact, key: MessageKey, message: &Message) {
        let Some(delivered_at) = message.charge_instant() else {
            return;
        };
        let wants = match &message.priced {
            Some(priced) if priced.pricing.is_of_conversation() => billing::wants_by_word(&priced.pricing),
            // What the platform has priced by itself belongs to no conversation.
            Some(priced) if priced.pricing.kind.is_some() => None,
            _ if !self.context.rules.may_be_in_conversation(delivered_at) => None,
            _ => self.wants(contact, message, delivered_at),
        };
        let reaction = matches!(message.content, Some(Content::Reaction));
        let wants = wants.filter(|_| !reaction);
        if wants.is_none() && contact.conversations.is_empty() {
            return;
        }
        let partition_time = self.context.partition_time;
        let others = contact.conversations.note(delivered_at, key, wants, &contact.entry, partition_time);
        self.disturbed.extend(others);
        self.tell_conversations(contact, self.context.partition_time);
        if self.told_apart_by_initiator(delivered_at) && self.join_again(contact) {
            self.work_out(contact, partition_time);
        }
    }

    /// What a message asks of the conversations it finds, by our own knowledge of it.
    fn wants(&self, contact: &Contact, message: &Message, delivered_at: Timestamp) -> Option<Wants> {
        let content = message.content.as_ref()?;
        let sent_at = message.send_instant().unwrap_or(delivered_at);
        let window = contact.window.at(sent_at, self.number.coexistence_since);
        let category = match content {
            Content::Template(_) => self.category_at(message, sent_at),
            Content::DirectSend(_) | Content::Freeform | Content::Reaction | Content::Agent | Content::Call(_) => None,
        };
        let answers = matches!(window, WindowAt::Open(_));
        billing::wants(self.context.rules, self.days(delivered_at), content, category.as_ref(), answers)
    }

    /// A message failed. One that was delivered before has not.
    fn failed(&mut self, contact: Option<&mut Contact>, status: &Status, message: &mut Message) {
        if message.failed.is_some() || message.charge_instant().is_some() {
            return;
        }
        let code = status.errors.first().copied();
        self.land(message);
        message.failed = Some(Failure { at: self.at, code });
        message.settled_at = Some(self.context.partition_time);
        message.told.failed = true;
        let foreseeable = code.and_then(errors::error).is_some_and(|row| row.predictable);
        let disagrees = foreseeable && message.answer == Some(Answer::Allowed);
        self.tell_outcome(contact.as_deref(), message, SendResult::Failed { code }, disagrees);
        if let (Some(errors::TEMPLATE_PAUSED), true, Some(Content::Template(template))) =
            (code, message.held, &message.content)
        {
            let pause = PacedPause { name: template.name.clone(), language: template.language.clone(), since: self.at };
            self.paced(pause);
        }
        if code == Some(errors::PORTFOLIO_PACED) && message.held {
            self.number.portfolio_paced_at = self.number.portfolio_paced_at.max(Some(self.at));
        }
        let mut contact = contact;
        let origin = contact.as_deref().map_or(Origin::Unknown, |contact| recipient(contact, message, self.at));
        let account = message.account.as_ref();
        self.take_refusal(contact.as_deref_mut(), code, (message.content.as_ref(), account, origin));
        let Some(contact) = contact else {
            return;
        };
        match code {
            Some(errors::MARKETING_STOPPED) => {
                self.choose(contact, ConsentScope::Marketing, false, ConsentSource::PlatformError);
            }
            Some(errors::MARKETING_CAPPED) => contact.capped_at = contact.capped_at.max(Some(self.at)),
            Some(errors::HELD_OUT) => contact.held_out_at = contact.held_out_at.max(Some(self.at)),
            Some(errors::PAIR_RATE) => {
                if let Some(taken_at) = message.accepted_at.or(message.sent_at) {
                    Burst::take_back(&mut contact.burst, taken_at);
                }
            }
            _ => {}
        }
    }

    /// Pacing has paused a template: held messages fail for it.
    fn paced(&mut self, pause: PacedPause) {
        let known = &mut self.number.paced;
        known.retain(|known| (&known.name, &known.language) != (&pause.name, &pause.language));
        if known.len() == PACED {
            known.remove(0);
        }
        known.push(pause);
    }

    /// The API refused a send at once. What was asked may not be known yet, or never.
    fn refused(
        &mut self,
        mut contact: Option<&mut Contact>,
        status: &Status,
        id: &RequestId,
        request: &mut Option<Request>,
    ) {
        let forgotten_at = self.context.partition_time.max(self.at) + KEPT_WHOLE;
        let request = request.get_or_insert(Request { asked: None, refused: false, message: None, forgotten_at });
        if std::mem::replace(&mut request.refused, true) {
            return;
        }
        let code = status.errors.first().copied();
        let asked = request.asked.as_ref();
        let origin = contact.as_deref().map_or(Origin::Unknown, |contact| contact.origin);
        let said = (asked.map(|asked| &asked.content), asked.and_then(|asked| asked.account.as_ref()), origin);
        self.take_refusal(contact.as_deref_mut(), code, said);
        let foreseeable = code.and_then(errors::error).is_some_and(|row| row.predictable);
        let allowed = request.asked.as_ref().is_some_and(|asked| asked.answer == Answer::Allowed);
        let outcome = Outcome {
            message: None,
            participant: None,
            request: Some(id.clone()),
            result: SendResult::Failed { code },
            revision: 0,
            disagrees: foreseeable && allowed,
        };
        self.tell(contact.as_deref(), What::Outcome(Box::new(outcome)));
    }

    /// Keeps the list of messages on their way: in while undecided, out once settled.
    fn wait_for(contact: &mut Contact, key: MessageKey, message: &Message) {
        contact.pending.retain(|(_, pending)| *pending != key);
        if let (None, Some(drops_at)) = (message.settled_at, message.drops_at) {
            contact.pending.push((drops_at, key));
        }
    }
}

fn earlier(known: Option<Timestamp>, at: Timestamp) -> Timestamp {
    known.map_or(at, |known| known.min(at))
}

/// How long the platform tries to deliver, where the sender did not say.
fn time_to_live_of(content: Option<&Content>) -> Millis {
    let category = match content {
        Some(Content::Template(template)) => template.category.as_ref(),
        Some(Content::DirectSend(category)) => Some(category),
        Some(Content::Freeform | Content::Reaction | Content::Agent | Content::Call(_)) | None => None,
    };
    if category == Some(&Category::Authentication) { TIME_TO_LIVE_AUTHENTICATION } else { TIME_TO_LIVE }
}
