//! The records of the store: what is remembered, as bytes.
//!
//! Every record begins with its format's version. A reader takes every version ever written and refuses a
//! newer one; golden files hold that. The layout is written out by hand, because a record outlives the
//! shape of the type it came from.

pub(crate) mod bytes;
pub mod ledger;

use std::fmt;

use bytes::{Reader, Writer};

use crate::domain::billing::{Agreement, FreeReason, Line, Toll, Unpriced};
use crate::domain::contact::{Choice, Clear, Consent, ConsentSource, Contact, Refusal, RefusedFor};
use crate::domain::content::{Category, Content, Template};
use crate::domain::conversation::{Announced, ConversationKind, Conversations, Delivery, Role, Wants};
use crate::domain::entry_point::{Click, Eligibility, EntryPoint, ExpirySource, FreeWindow, Sent, Word};
use crate::domain::event::{Pricing, Stage, Term};
use crate::domain::id::{
    AccountId, AliasHash, ContactKey, ContactNumber, EventId, MessageId, MessageKey, NumberId, Participant, RequestId,
    ScopedUserId, WaId,
};
use crate::domain::identity::{Again, Alias, Chain, How, Join, Rank as NameRank, Suppressed};
use crate::domain::in_flight::{InFlight, Minute, Uses};
use crate::domain::message::{Asked, Failure, Message, Priced, Request, SentIn, Told};
use crate::domain::money::{Amount, Currency};
use crate::domain::number::{Asks, MonthUse, Number, PacedPause, Rank};
use crate::domain::pair::Burst;
use crate::domain::reference::{Country, Restriction};
use crate::domain::refusal::{GoneOut, Refusal as SenderRefusal};
use crate::domain::rules::markets::Origin;
use crate::domain::rules::openers::InboundKind;
use crate::domain::rules::refusals::Subject;
use crate::domain::time::{Date, Month, Span, Timestamp};
use crate::domain::verdict::Answer;
use crate::domain::window::{Present, ServiceWindow};

/// The first version, in which most records still are.
const VERSION: u8 = 1;

/// The newest version of any record.
const NEWEST: u8 = 2;

/// The format that records are written in: a deployment raises it once all its members can read the newer one. What is
/// newest before the first release is what a deployment begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum WriteFormat {
    /// As the first version wrote them.
    First,
    /// Numbers hold the asks and the sends of the last second, so that a restart does not begin to count anew; sends on their
    /// way are counted, in the rows of numbers and messages; a refusal is remembered where nobody has asked; and the position
    /// says how far the ledger is (`worker::position`).
    #[default]
    Second,
}

impl WriteFormat {
    /// The format of a number in the configuration.
    #[must_use]
    pub const fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::First),
            2 => Some(Self::Second),
            _ => None,
        }
    }
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A newer version of Tollgate wrote it.
    Newer(u8),
    /// It is damaged: it ends too early, or holds what cannot be.
    Damaged(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer(version) => {
                write!(f, "it has format {version}, and this version of Tollgate reads up to {NEWEST}; run a newer one")
            }
            Self::Damaged(what) => {
                write!(f, "it is damaged: {what}; rebuild the state by replaying into a new directory")
            }
        }
    }
}

impl std::error::Error for Error {}

type Result<T> = std::result::Result<T, Error>;

/// Where a number stands in the table of numbers; contacts and messages name it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NumberIndex(pub u32);

fn begin(out: &mut Vec<u8>) -> Writer<'_> {
    let mut writer = Writer::to(out);
    writer.byte(VERSION);
    writer
}

fn open(bytes: &[u8]) -> Result<Reader<'_>> {
    let mut reader = Reader::new(bytes);
    match reader.byte()? {
        VERSION => Ok(reader),
        0 => Err(Error::Damaged("no version")),
        version => Err(Error::Newer(version)),
    }
}

/// The version of a record that is written in more than one.
fn first_or_newest(r: &mut Reader<'_>) -> Result<u8> {
    match r.byte()? {
        0 => Err(Error::Damaged("no version")),
        version @ VERSION..=NEWEST => Ok(version),
        newer => Err(Error::Newer(newer)),
    }
}

/// The row of a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "nearly every row is a contact, in a box of the table's")]
pub enum ContactRow {
    /// The contact, and the number it belongs to.
    Here(NumberIndex, Contact),
    /// It has turned out to be another one.
    Moved(ContactNumber),
}

impl ContactRow {
    /// The contact, unless it is another one.
    #[must_use]
    pub const fn contact(&self) -> Option<&Contact> {
        match self {
            Self::Here(_, contact) => Some(contact),
            Self::Moved(_) => None,
        }
    }

    /// The contact to be changed, unless it is another one.
    pub const fn contact_mut(&mut self) -> Option<&mut Contact> {
        match self {
            Self::Here(_, contact) => Some(contact),
            Self::Moved(_) => None,
        }
    }
}

/// Appends the row of a contact. One that has turned out to be another one is of the second version: the first has none.
pub fn write_contact_row(row: &ContactRow, out: &mut Vec<u8>) {
    match row {
        ContactRow::Here(number, contact) => write_contact(*number, contact, out),
        ContactRow::Moved(to) => {
            let mut w = Writer::to(out);
            w.byte(NEWEST);
            w.unsigned(to.0);
        }
    }
}

/// Reads the row of a contact.
///
/// # Errors
/// If the record is damaged or too new.
pub fn read_contact_row(bytes: &[u8]) -> Result<ContactRow> {
    let mut r = Reader::new(bytes);
    if first_or_newest(&mut r)? == VERSION {
        return read_contact(bytes).map(|(number, contact)| ContactRow::Here(number, contact));
    }
    let to = ContactNumber(r.unsigned()?);
    r.end()?;
    Ok(ContactRow::Moved(to))
}

/// The row of an alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AliasRow {
    /// Whose it is.
    Of(ContactNumber),
    /// Whose it was is erased.
    Suppressed(Box<Suppressed>),
}

/// How long the row of an alias is that points to a contact, which is the contact's number and no version. Rows of any
/// other length have one.
const POINTER: usize = 8;

/// Appends the row of an alias.
pub fn write_alias(row: &AliasRow, out: &mut Vec<u8>) {
    let suppressed = match row {
        AliasRow::Of(contact) => return out.extend_from_slice(&contact.0.to_be_bytes()),
        AliasRow::Suppressed(suppressed) => suppressed,
    };
    let Suppressed { generation, at, refused } = &**suppressed;
    let mut w = Writer::to(out);
    w.byte(NEWEST);
    // Eight bytes, so that the row is longer than that of an alias that points to a contact.
    w.array(at.millis().to_be_bytes());
    w.unsigned(u64::from(*generation));
    w.flags(&[refused.all.is_some(), refused.marketing.is_some()]);
    for choice in [&refused.all, &refused.marketing].into_iter().flatten() {
        write_choice(&mut w, choice);
    }
}

/// Reads the row of an alias.
///
/// # Errors
/// If the record is damaged or too new.
pub fn read_alias(bytes: &[u8]) -> Result<AliasRow> {
    if let Ok(number) = <[u8; POINTER]>::try_from(bytes) {
        return Ok(AliasRow::Of(ContactNumber(u64::from_be_bytes(number))));
    }
    let mut r = Reader::new(bytes);
    if first_or_newest(&mut r)? != NEWEST {
        return Err(Error::Damaged("an alias"));
    }
    let at = Timestamp::from_millis(i64::from_be_bytes(r.array()?)).ok_or(Error::Damaged("an instant"))?;
    let generation = r.small()?;
    let [all, marketing] = r.flags()?;
    let refused = Consent { all: r.when(all, read_choice)?, marketing: r.when(marketing, read_choice)? };
    r.end()?;
    Ok(AliasRow::Suppressed(Box::new(Suppressed { generation, at, refused })))
}

/// Writes the names of a contact. Those that one event told of share its mention.
fn write_chain(w: &mut Writer<'_>, chain: &Chain) {
    let Chain { joins, absorbed, unsettled } = chain;
    w.count(joins.len());
    let mut told = None;
    for Join { alias, again, at, event, how, left } in joins {
        let same = told == Some((*at, *event));
        w.byte(alias.rank as u8);
        w.byte(*how as u8);
        w.flags(&[same, again.is_some(), left.is_some()]);
        w.array(alias.hash.0);
        if !same {
            w.instant(*at);
            w.array(event.0);
            told = Some((*at, *event));
        }
        if let Some(Again { generation, since, key }) = again {
            w.unsigned(u64::from(*generation));
            w.instant(*since);
            w.array(key.0);
        }
        if let Some(left) = left {
            w.instant(*left);
        }
    }
    w.count(absorbed.len());
    for number in absorbed {
        w.unsigned(number.0);
    }
    w.optional_instant(*unsettled);
}

fn read_chain(r: &mut Reader<'_>) -> Result<Box<Chain>> {
    let mut told = None;
    let joins = r.list(|r| {
        let rank = NameRank::from_index(r.byte()?).ok_or(Error::Damaged("a kind of name"))?;
        let how = How::from_index(r.byte()?).ok_or(Error::Damaged("a way to learn a name"))?;
        let [same, again, left] = r.flags()?;
        let hash = AliasHash(r.array()?);
        if !same {
            told = Some((r.instant()?, EventId(r.array()?)));
        }
        let (at, event) = told.ok_or(Error::Damaged("a name that no event told of"))?;
        Ok(Join {
            alias: Alias { rank, hash },
            again: r.when(again, |r| {
                Ok(Again { generation: r.small()?, since: r.instant()?, key: ContactKey(r.array()?) })
            })?,
            at,
            event,
            how,
            left: r.when(left, Reader::instant)?,
        })
    })?;
    let absorbed = r.list(|r| r.unsigned().map(ContactNumber))?;
    Ok(Box::new(Chain { joins, absorbed, unsettled: r.optional_instant()? }))
}

/// Appends a contact.
pub fn write_contact(number: NumberIndex, contact: &Contact, out: &mut Vec<u8>) {
    let Contact {
        key,
        rank,
        chain,
        origin,
        is_group,
        clear,
        window,
        entry,
        conversations,
        consent,
        last_template_outside,
        capped_at,
        held_out_at,
        refusals,
        burst,
        last_sent,
        pending,
        armed,
    } = contact;
    let mut w = begin(out);
    w.array(key.0);
    w.unsigned(u64::from(number.0));
    w.unsigned(u64::from(origin.encode()));
    w.flags(&[
        *is_group,
        clear.is_some(),
        window.present().is_some(),
        entry.eligible.is_some(),
        entry.open.is_some(),
        consent.all.is_some(),
        consent.marketing.is_some(),
        last_template_outside.is_some(),
        armed.is_some(),
        entry.follows(),
        entry.withdrawn.is_some(),
        window.former().is_some(),
        !conversations.is_empty(),
        last_sent.is_some(),
        capped_at.is_some(),
        held_out_at.is_some(),
        chain.is_some(),
        *rank as u8 & 1 != 0,
        *rank as u8 & 2 != 0,
    ]);
    if let Some(clear) = clear {
        w.optional_text(clear.phone.as_ref().map(WaId::as_str));
        w.optional_text(clear.scoped.as_ref().map(ScopedUserId::as_str));
    }
    spans(&mut w, window.stretches());
    if let Some(present) = window.present() {
        write_present(&mut w, present);
    }
    if let Some(waiting) = &entry.eligible {
        write_eligibility(&mut w, waiting);
    }
    if let Some(open) = &entry.open {
        write_free(&mut w, open);
    }
    spans(&mut w, &entry.past);
    if entry.follows() {
        write_course(&mut w, entry);
    }
    for (at, edges) in [entry.withdrawn, window.former()].into_iter().flatten() {
        w.instant(at);
        w.unsigned(u64::from(edges));
    }
    for choice in [&consent.all, &consent.marketing].into_iter().flatten() {
        write_choice(&mut w, choice);
    }
    for at in [last_template_outside, last_sent, capped_at, held_out_at].into_iter().flatten() {
        w.instant(*at);
    }
    w.count(pending.len());
    for (drops_at, key) in pending {
        w.instant(*drops_at);
        w.array(key.0);
    }
    if let Some(armed) = armed {
        w.instant(*armed);
    }
    if !conversations.is_empty() {
        write_conversations(&mut w, conversations);
    }
    if let Some(chain) = chain {
        write_chain(&mut w, chain);
    }
    write_held_back(&mut w, *burst, refusals);
}

/// What few contacts have stands behind the rest, and takes nothing where there is none of it.
fn write_held_back(w: &mut Writer<'_>, burst: Option<Burst>, refusals: &[Refusal]) {
    if burst.is_some() || !refusals.is_empty() {
        w.flags(&[burst.is_some(), !refusals.is_empty()]);
    }
    if let Some(Burst { first, count }) = burst {
        w.instant(first);
        w.unsigned(u64::from(count));
    }
    if !refusals.is_empty() {
        w.count(refusals.len());
        for Refusal { why, at } in refusals {
            w.byte(*why as u8);
            w.instant(*at);
        }
    }
}

/// Reads a contact and the number it belongs to.
///
/// # Errors
/// If the record is damaged or too new.
pub fn read_contact(bytes: &[u8]) -> Result<(NumberIndex, Contact)> {
    let mut r = open(bytes)?;
    let key = ContactKey(r.array()?);
    let number = NumberIndex(r.small()?);
    let origin = u32::try_from(r.unsigned()?).ok().and_then(Origin::decode).ok_or(Error::Damaged("an origin"))?;
    let [
        is_group,
        clear,
        present,
        eligible,
        free,
        all,
        marketing,
        template,
        armed,
        follows,
        withdrawn,
        former,
        conversations,
        sent,
        capped,
        held_out,
        chain,
        rank_low,
        rank_high,
    ] = r.flags()?;
    let rank = NameRank::from_index(u8::from(rank_low) | u8::from(rank_high) << 1).unwrap_or_default();
    let clear = r.when(clear, |r| {
        let phone = r.optional_text()?.map(|text| WaId::parse(text).map_err(|_| Error::Damaged("a phone number")));
        let scoped =
            r.optional_text()?.map(|text| ScopedUserId::parse(text).map_err(|_| Error::Damaged("a scoped id")));
        Ok(Clear { phone: phone.transpose()?, scoped: scoped.transpose()? })
    })?;
    let stretches = read_spans(&mut r)?;
    let present = r.when(present, read_present)?;
    let eligible = r.when(eligible, read_eligibility)?;
    let open = r.when(free, read_free)?;
    let past = read_spans(&mut r)?;
    let mut entry = EntryPoint { eligible, open, past, ..EntryPoint::default() };
    r.when(follows, |r| read_course(r, &mut entry))?;
    let edges = |r: &mut Reader<'_>| Ok((r.instant()?, r.small()?));
    entry.withdrawn = r.when(withdrawn, edges)?;
    let former = r.when(former, edges)?;
    let consent = Consent { all: r.when(all, read_choice)?, marketing: r.when(marketing, read_choice)? };
    let last_template_outside = r.when(template, Reader::instant)?;
    let last_sent = r.when(sent, Reader::instant)?;
    let capped_at = r.when(capped, Reader::instant)?;
    let held_out_at = r.when(held_out, Reader::instant)?;
    let pending = r.list(|r| Ok((r.instant()?, MessageKey(r.array()?))))?;
    let armed = r.when(armed, Reader::instant)?;
    let conversations = r.when(conversations, read_conversations)?.unwrap_or_default();
    let chain = r.when(chain, read_chain)?;
    let [burst, refusals] = if r.is_at_end() { [false; 2] } else { r.flags()? };
    let burst = r.when(burst, |r| Ok(Burst { first: r.instant()?, count: r.small()? }))?;
    let refusals = r.when(refusals, |r| r.list(read_refusal))?.unwrap_or_default();
    r.end()?;
    let contact = Contact {
        key,
        rank,
        chain,
        origin,
        is_group,
        clear,
        window: ServiceWindow::restore(stretches, present, former),
        entry,
        conversations,
        consent,
        last_template_outside,
        capped_at,
        held_out_at,
        refusals,
        burst,
        last_sent,
        pending,
        armed,
    };
    Ok((number, contact))
}

fn read_refusal(r: &mut Reader<'_>) -> Result<Refusal> {
    let why = RefusedFor::ALL.get(usize::from(r.byte()?)).copied().ok_or(Error::Damaged("a refusal"))?;
    Ok(Refusal { why, at: r.instant()? })
}

/// Writes what happened to an entry point.
fn write_course(w: &mut Writer<'_>, entry: &EntryPoint) {
    w.optional_instant(entry.since);
    w.count(entry.openers.len());
    for (start, opener) in &entry.openers {
        w.instant(*start);
        w.array(opener.0);
    }
    w.count(entry.clicks.len());
    for click in &entry.clicks {
        write_click(w, click);
    }
    w.count(entry.sends.len());
    for Sent { start, sent_at, message, joins, word, covered } in &entry.sends {
        w.instant(*start);
        w.signed(sent_at.since(*start).0);
        w.array(message.0);
        let free = word.is_some_and(|word| word.free);
        let ends = word.and_then(|word| word.ends);
        w.flags(&[*joins, *covered, word.is_some(), free, ends.is_some()]);
        if let Some(ends) = ends {
            w.instant(ends);
        }
    }
}

fn read_course(r: &mut Reader<'_>, entry: &mut EntryPoint) -> Result<()> {
    entry.since = r.optional_instant()?;
    entry.openers = r.list(|r| Ok((r.instant()?, MessageKey(r.array()?))))?;
    entry.clicks = r.list(read_click)?;
    entry.sends = r.list(|r| {
        let start = r.instant()?;
        let sent_at = r.instant_after(start)?;
        let message = MessageKey(r.array()?);
        let [joins, covered, word, free, ends] = r.flags()?;
        let ends = r.when(ends, Reader::instant)?;
        Ok(Sent { start, sent_at, message, joins, word: word.then_some(Word { free, ends }), covered })
    })?;
    Ok(())
}

fn write_click(w: &mut Writer<'_>, click: &Click) {
    w.instant(click.at);
    w.array(click.event.0);
    w.unsigned(u64::from(click.edges));
}

fn read_click(r: &mut Reader<'_>) -> Result<Click> {
    Ok(Click { at: r.instant()?, event: EventId(r.array()?), edges: r.small()? })
}

fn write_conversations(w: &mut Writer<'_>, conversations: &Conversations) {
    w.count(conversations.deliveries().len());
    for Delivery { at, message, wants, role } in conversations.deliveries() {
        w.instant(*at);
        w.array(message.0);
        w.byte(wants.kind as u8);
        w.flags(&[wants.any, wants.opens, role.is_some(), matches!(role, Some(Role::Opened(_)))]);
        if let Some(role) = role {
            w.byte(role.kind() as u8);
        }
    }
    w.count(conversations.announced().len());
    for Announced { kind, span, revision, closed, withdrawn } in conversations.announced() {
        w.byte(*kind as u8);
        w.instant(span.start);
        w.signed(span.end.since(span.start).0);
        w.unsigned(u64::from(*revision));
        w.flags(&[*closed, *withdrawn]);
    }
}

fn read_conversation_kind(r: &mut Reader<'_>) -> Result<ConversationKind> {
    ConversationKind::from_index(r.byte()?).ok_or(Error::Damaged("a conversation's kind"))
}

fn read_conversations(r: &mut Reader<'_>) -> Result<Conversations> {
    let deliveries = r.list(|r| {
        let at = r.instant()?;
        let message = MessageKey(r.array()?);
        let kind = read_conversation_kind(r)?;
        let [any, opens, role, opened] = r.flags()?;
        let role = r.when(role, read_conversation_kind)?;
        let role = role.map(|kind| if opened { Role::Opened(kind) } else { Role::Joined(kind) });
        Ok(Delivery { at, message, wants: Wants { kind, any, opens }, role })
    })?;
    let announced = r.list(|r| {
        let kind = read_conversation_kind(r)?;
        let start = r.instant()?;
        let span = Span { start, end: r.instant_after(start)? };
        let revision = r.small()?;
        let [closed, withdrawn] = r.flags()?;
        Ok(Announced { kind, span, revision, closed, withdrawn })
    })?;
    Ok(Conversations::restore(deliveries, announced))
}

fn spans(w: &mut Writer<'_>, spans: &[Span]) {
    w.count(spans.len());
    for span in spans {
        w.instant(span.start);
        w.signed(span.end.since(span.start).0);
    }
}

fn read_spans(r: &mut Reader<'_>) -> Result<Vec<Span>> {
    r.list(|r| {
        let start = r.instant()?;
        Ok(Span { start, end: r.instant_after(start)? })
    })
}

fn write_present(w: &mut Writer<'_>, present: &Present) {
    let Present {
        opened_at,
        refreshed_at,
        expires_at,
        opened_by,
        opened_by_kind,
        inbound_count,
        outbound_count,
        first_response_at,
        revision,
        alerted_for,
        seen,
    } = present;
    w.instant(*opened_at);
    w.instant(*refreshed_at);
    w.instant(*expires_at);
    w.array(opened_by.0);
    w.byte(*opened_by_kind as u8);
    w.unsigned(u64::from(*inbound_count));
    w.unsigned(u64::from(*outbound_count));
    w.optional_instant(*first_response_at);
    w.unsigned(u64::from(*revision));
    w.optional_instant(*alerted_for);
    w.count(seen.len());
    for event in seen {
        w.array(event.0);
    }
}

fn read_present(r: &mut Reader<'_>) -> Result<Present> {
    Ok(Present {
        opened_at: r.instant()?,
        refreshed_at: r.instant()?,
        expires_at: r.instant()?,
        opened_by: EventId(r.array()?),
        opened_by_kind: InboundKind::from_index(r.byte()?).ok_or(Error::Damaged("an inbound kind"))?,
        inbound_count: r.small()?,
        outbound_count: r.small()?,
        first_response_at: r.optional_instant()?,
        revision: r.small()?,
        alerted_for: r.optional_instant()?,
        seen: r.list(|r| Ok(EventId(r.array()?)))?,
    })
}

fn write_eligibility(w: &mut Writer<'_>, click: &Eligibility) {
    let Eligibility { clicked_at, event, deadline, revision, alerted_for } = click;
    w.instant(*clicked_at);
    w.array(event.0);
    w.instant(*deadline);
    w.unsigned(u64::from(*revision));
    w.optional_instant(*alerted_for);
}

fn read_eligibility(r: &mut Reader<'_>) -> Result<Eligibility> {
    Ok(Eligibility {
        clicked_at: r.instant()?,
        event: EventId(r.array()?),
        deadline: r.instant()?,
        revision: r.small()?,
        alerted_for: r.optional_instant()?,
    })
}

fn write_free(w: &mut Writer<'_>, open: &FreeWindow) {
    let FreeWindow { span, expiry, confirmed, click, revision, alerted_for } = open;
    w.instant(span.start);
    w.signed(span.end.since(span.start).0);
    w.flags(&[*expiry == ExpirySource::Platform, *confirmed, click.is_some()]);
    if let Some(click) = click {
        write_click(w, click);
    }
    w.unsigned(u64::from(*revision));
    w.optional_instant(*alerted_for);
}

fn read_free(r: &mut Reader<'_>) -> Result<FreeWindow> {
    let start = r.instant()?;
    let span = Span { start, end: r.instant_after(start)? };
    let [platform, confirmed, click] = r.flags()?;
    Ok(FreeWindow {
        span,
        expiry: if platform { ExpirySource::Platform } else { ExpirySource::Rule },
        confirmed,
        click: r.when(click, read_click)?,
        revision: r.small()?,
        alerted_for: r.optional_instant()?,
    })
}

fn write_choice(w: &mut Writer<'_>, choice: &Choice) {
    w.flags(&[choice.given]);
    w.instant(choice.at);
    match &choice.source {
        ConsentSource::Preference => w.byte(0),
        ConsentSource::PlatformError => w.byte(1),
        ConsentSource::Business(word) => {
            w.byte(2);
            w.text(word);
        }
    }
}

fn read_choice(r: &mut Reader<'_>) -> Result<Choice> {
    let [given] = r.flags()?;
    let at = r.instant()?;
    let source = match r.byte()? {
        0 => ConsentSource::Preference,
        1 => ConsentSource::PlatformError,
        2 => ConsentSource::Business(r.text()?.into()),
        _ => return Err(Error::Damaged("a source of consent")),
    };
    Ok(Choice { given, at, source })
}

/// Appends a number. Its months are records of their own.
pub fn write_number(index: NumberIndex, number: &Number, format: WriteFormat, out: &mut Vec<u8>) {
    let mut w = Writer::to(out);
    w.byte(match format {
        WriteFormat::First => VERSION,
        WriteFormat::Second => NEWEST,
    });
    let Number { id, coexistence_since, last_account, restrictions, paced, asks, sends, portfolio_paced_at, .. } =
        number;
    let Number { in_flight, refusals, gone_out, months: _, .. } = number;
    w.unsigned(u64::from(index.0));
    w.text(id.as_str());
    w.optional_instant(*coexistence_since);
    w.optional_text(last_account.as_ref().map(AccountId::as_str));
    w.count(restrictions.len());
    for (since, restriction) in restrictions {
        w.instant(*since);
        w.text(&restriction.name);
        w.optional_instant(restriction.until);
    }
    w.count(paced.len());
    for pause in paced {
        w.text(&pause.name);
        w.text(&pause.language);
        w.instant(pause.since);
    }
    if format >= WriteFormat::Second {
        w.signed(asks.second);
        w.unsigned(u64::from(asks.count));
        w.signed(sends.second);
        w.unsigned(u64::from(sends.count));
        w.optional_instant(*portfolio_paced_at);
        let minutes = in_flight.minutes();
        w.count(minutes.len());
        for Minute { number, allowance, messaging_limit } in minutes {
            w.signed(*number);
            w.unsigned(u64::from(*allowance));
            w.unsigned(u64::from(*messaging_limit));
        }
        w.count(gone_out.len());
        for GoneOut { account, sent_at } in gone_out {
            w.optional_text(account.as_ref().map(AccountId::as_str));
            for at in sent_at {
                w.optional_instant(*at);
            }
        }
        w.count(refusals.len());
        for refusal in refusals {
            write_sender_refusal(&mut w, refusal);
        }
    }
}

fn write_sender_refusal(w: &mut Writer<'_>, refusal: &SenderRefusal) {
    let SenderRefusal { code, account, country, template, at } = refusal;
    w.signed(i64::from(*code));
    w.optional_text(account.as_ref().map(AccountId::as_str));
    w.optional_text(country.as_ref().map(Country::as_str));
    w.flags(&[template.is_some()]);
    if let Some((name, language)) = template {
        w.text(name);
        w.text(language);
    }
    w.instant(*at);
}

fn read_gone_out(r: &mut Reader<'_>) -> Result<GoneOut> {
    let mut gone = GoneOut { account: account(r.optional_text()?)?, sent_at: [None; Subject::PLACES.len()] };
    for at in &mut gone.sent_at {
        *at = r.optional_instant()?;
    }
    Ok(gone)
}

fn read_sender_refusal(r: &mut Reader<'_>) -> Result<SenderRefusal> {
    let code = i32::try_from(r.signed()?).map_err(|_| Error::Damaged("an error code"))?;
    let account = account(r.optional_text()?)?;
    let country = r.optional_text()?.map(|text| Country::parse(text).ok_or(Error::Damaged("a country")));
    let [template] = r.flags()?;
    let template = r.when(template, |r| Ok((r.text()?.into(), r.text()?.into())))?;
    Ok(SenderRefusal { code, account, country: country.transpose()?, template, at: r.instant()? })
}

/// Reads a number and its place.
///
/// # Errors
/// If the record is damaged or too new.
pub fn read_number(bytes: &[u8]) -> Result<(NumberIndex, Number)> {
    let mut r = Reader::new(bytes);
    let version = first_or_newest(&mut r)?;
    let index = NumberIndex(r.small()?);
    let id = NumberId::parse(r.text()?).map_err(|_| Error::Damaged("a number's id"))?;
    let mut number = Number::new(id);
    number.coexistence_since = r.optional_instant()?;
    number.last_account = account(r.optional_text()?)?;
    number.restrictions = r.list(|r| {
        let since = r.instant()?;
        Ok((since, Restriction { name: r.text()?.into(), until: r.optional_instant()? }))
    })?;
    number.paced =
        r.list(|r| Ok(PacedPause { name: r.text()?.into(), language: r.text()?.into(), since: r.instant()? }))?;
    if version >= NEWEST {
        number.asks = Asks { second: r.signed()?, count: r.small()? };
        number.sends = Asks { second: r.signed()?, count: r.small()? };
        number.portfolio_paced_at = r.optional_instant()?;
        let minutes =
            r.list(|r| Ok(Minute { number: r.signed()?, allowance: r.small()?, messaging_limit: r.small()? }))?;
        number.in_flight = InFlight::of_minutes(minutes).ok_or(Error::Damaged("minutes of sends"))?;
        number.gone_out = r.list(read_gone_out)?;
        number.refusals = r.list(read_sender_refusal)?;
    }
    r.end()?;
    Ok((index, number))
}

fn account(text: Option<&str>) -> Result<Option<AccountId>> {
    text.map(|text| AccountId::parse(text).map_err(|_| Error::Damaged("an account's id"))).transpose()
}

fn read_month_number(r: &mut Reader<'_>) -> Result<Month> {
    let ordinal = i32::try_from(r.signed()?).ok();
    ordinal.and_then(Month::from_ordinal).ok_or(Error::Damaged("a month"))
}

/// Appends what a number has used of a month. Where the platform tells of every delivery whether it is free, that is a
/// count alone.
pub fn write_month(used: &MonthUse, out: &mut Vec<u8>) {
    let mut w = begin(out);
    let MonthUse { confirmed, free, beyond, changed: _ } = used;
    w.unsigned(u64::from(*confirmed));
    if free.is_empty() && beyond.is_empty() {
        return;
    }
    for ranks in [free, beyond] {
        w.count(ranks.len());
        for Rank { at, id, participant, message } in ranks {
            w.instant(*at);
            w.text(id.as_str());
            w.optional_text(participant.as_ref().map(Participant::as_str));
            w.array(message.0);
        }
    }
}

fn read_rank(r: &mut Reader<'_>) -> Result<Rank> {
    let at = r.instant()?;
    let id = MessageId::parse(r.text()?).map_err(|_| Error::Damaged("a message's id"))?;
    let participant = r.optional_text()?.map(Participant::parse).transpose();
    let participant = participant.map_err(|_| Error::Damaged("a participant"))?;
    Ok(Rank { at, id, participant, message: MessageKey(r.array()?) })
}

/// Reads what a number has used of a month.
///
/// # Errors
/// If the record is damaged or too new.
pub fn read_month(bytes: &[u8]) -> Result<MonthUse> {
    let mut r = open(bytes)?;
    let mut used = MonthUse { confirmed: r.small()?, ..MonthUse::default() };
    if !r.is_at_end() {
        used.free = r.list(read_rank)?.into_iter().collect();
        used.beyond = r.list(read_rank)?.into_iter().collect();
    }
    r.end()?;
    Ok(used)
}

/// Until when a record of a message or a request is kept: eight bytes behind the version, so that compaction
/// can drop it without reading the rest. `None` while that is open.
#[must_use]
pub fn kept_until(bytes: &[u8]) -> Option<Timestamp> {
    let millis = i64::from_be_bytes(*bytes.get(1..9)?.first_chunk()?);
    Timestamp::from_millis(millis)
}

fn write_kept_until(w: &mut Writer<'_>, until: Option<Timestamp>) {
    w.array(until.map_or(0, Timestamp::millis).to_be_bytes());
}

/// Appends a message.
pub fn write_message(message: &Message, out: &mut Vec<u8>) {
    let mut w = begin(out);
    write_kept_until(&mut w, message.forgotten_at());
    let Message {
        id,
        participant,
        recipient: _,
        request,
        contact,
        account,
        content,
        requested_at,
        accepted_at,
        sent_at,
        delivered_at,
        read_at,
        failed,
        in_flight,
        held,
        counted,
        answer,
        priced,
        drops_at,
        told,
        lines: _,
        line,
        agreement,
        settled_at,
        packed,
        shares,
        conversation_ends,
        ranked,
        sent_in,
    } = message;
    let Told { accepted, delivered, failed: told_failed, dropped, agreements } = told;
    w.flags(&[
        id.is_some(),
        participant.is_some(),
        request.is_some(),
        contact.is_some(),
        account.is_some(),
        content.is_some(),
        requested_at.is_some(),
        accepted_at.is_some(),
        sent_at.is_some(),
        delivered_at.is_some(),
        read_at.is_some(),
        failed.is_some(),
        *held,
        *counted,
        answer.is_some(),
        priced.is_some(),
        drops_at.is_some(),
        *accepted,
        *delivered,
        *told_failed,
        *dropped,
        *agreements > 0,
        line.is_some(),
        agreement.is_some(),
        settled_at.is_some(),
        *packed,
        !shares.is_empty(),
        conversation_ends.is_some(),
        ranked.is_some(),
        sent_in.is_some(),
        sent_in.is_some_and(|sent_in| sent_in.service_window),
        sent_in.is_some_and(|sent_in| sent_in.entry_point),
        *in_flight == Some(Uses::Allowance),
        *in_flight == Some(Uses::MessagingLimit),
    ]);
    write_message_body(&mut w, message);
}

fn write_message_body(w: &mut Writer<'_>, message: &Message) {
    let Message { id, participant, request, contact, account, content, told, lines, line, agreement, .. } = message;
    let Message { requested_at, accepted_at, sent_at, delivered_at, read_at, drops_at, settled_at, .. } = message;
    let Message { recipient, failed, answer, priced, shares, conversation_ends, ranked, .. } = message;
    let texts = [
        id.as_ref().map(MessageId::as_str),
        participant.as_ref().map(Participant::as_str),
        request.as_ref().map(RequestId::as_str),
        account.as_ref().map(AccountId::as_str),
    ];
    for text in texts.into_iter().flatten() {
        w.text(text);
    }
    if let Some(contact) = contact {
        w.unsigned(contact.0);
    }
    if participant.is_some() {
        w.unsigned(recipient.map_or(0, |recipient| recipient.0));
    }
    if let Some(content) = content {
        write_content(w, content);
    }
    for at in [requested_at, accepted_at, sent_at, delivered_at, read_at, drops_at, settled_at].into_iter().flatten() {
        w.instant(*at);
    }
    if let Some(failed) = failed {
        w.instant(failed.at);
        w.optional_signed(failed.code.map(i64::from));
    }
    if let Some(answer) = answer {
        w.byte(answer_byte(*answer));
    }
    if let Some(priced) = priced {
        w.instant(priced.at);
        w.byte(stage_byte(priced.stage));
        write_pricing(w, &priced.pricing);
    }
    if told.agreements > 0 {
        w.unsigned(u64::from(told.agreements));
    }
    w.unsigned(u64::from(*lines));
    if let Some(line) = line {
        write_line(w, line);
    }
    if let Some(agreement) = agreement {
        w.byte(agreement_byte(*agreement));
    }
    if !shares.is_empty() {
        w.count(shares.len());
        for share in shares {
            w.array(share.0);
        }
    }
    if let Some(ends) = conversation_ends {
        w.instant(*ends);
    }
    if let Some(month) = ranked {
        w.signed(i64::from(month.ordinal()));
    }
}

/// Reads a message.
///
/// # Errors
/// If the record is damaged or too new.
pub fn read_message(bytes: &[u8]) -> Result<Message> {
    let mut r = open(bytes)?;
    r.array::<8>()?;
    #[rustfmt::skip]
    let [
        id, participant, request, contact, account_known, content, requested, accepted, sent, delivered, read, failed,
        held, counted, answer, priced, drops, told_accepted, told_delivered, told_failed, told_dropped, agreements,
        line, agreement, settled, packed, shares, ends, ranked, sent_in, in_service_window, in_entry_point,
        takes_free, reaches,
    ] = r.flags()?;
    let id = r.when(id, |r| MessageId::parse(r.text()?).map_err(|_| Error::Damaged("a message's id")))?;
    let participant =
        r.when(participant, |r| Participant::parse(r.text()?).map_err(|_| Error::Damaged("a participant")))?;
    let request = r.when(request, |r| RequestId::parse(r.text()?).map_err(|_| Error::Damaged("a request's id")))?;
    let account = r.when(account_known, |r| account(Some(r.text()?)))?.flatten();
    let contact = r.when(contact, |r| r.unsigned().map(ContactNumber))?;
    let recipient = r.when(participant.is_some(), |r| r.unsigned().map(ContactNumber))?;
    let message = Message {
        id,
        participant,
        recipient: recipient.filter(|recipient| recipient.0 != 0),
        request,
        account,
        contact,
        content: r.when(content, read_content)?,
        requested_at: r.when(requested, Reader::instant)?,
        accepted_at: r.when(accepted, Reader::instant)?,
        sent_at: r.when(sent, Reader::instant)?,
        delivered_at: r.when(delivered, Reader::instant)?,
        read_at: r.when(read, Reader::instant)?,
        drops_at: r.when(drops, Reader::instant)?,
        settled_at: r.when(settled, Reader::instant)?,
        failed: r.when(failed, |r| {
            let at = r.instant()?;
            let code =
                r.optional_signed()?.map(|code| i32::try_from(code).map_err(|_| Error::Damaged("an error code")));
            Ok(Failure { at, code: code.transpose()? })
        })?,
        in_flight: match (takes_free, reaches) {
            (false, false) => None,
            (true, false) => Some(Uses::Allowance),
            (false, true) => Some(Uses::MessagingLimit),
            (true, true) => return Err(Error::Damaged("a send on its way")),
        },
        held,
        counted,
        answer: r.when(answer, read_answer)?,
        priced: r
            .when(priced, |r| Ok(Priced { at: r.instant()?, stage: read_stage(r)?, pricing: read_pricing(r)? }))?,
        told: Told {
            accepted: told_accepted,
            delivered: told_delivered,
            failed: told_failed,
            dropped: told_dropped,
            agreements: r.when(agreements, Reader::small)?.unwrap_or_default(),
        },
        lines: r.small()?,
        line: r.when(line, read_line)?,
        agreement: r.when(agreement, read_agreement)?,
        packed,
        shares: r.when(shares, |r| r.list(|r| Ok(MessageKey(r.array()?))))?.unwrap_or_default(),
        conversation_ends: r.when(ends, Reader::instant)?,
        ranked: r.when(ranked, read_month_number)?,
        sent_in: sent_in.then_some(SentIn { service_window: in_service_window, entry_point: in_entry_point }),
    };
    r.end()?;
    Ok(message)
}

/// Appends a request. One of which only the refusal was seen is of the second version: the first has no room for it.
pub fn write_request(request: &Request, out: &mut Vec<u8>) {
    let Request { asked, refused, message, forgotten_at } = request;
    let mut w = Writer::to(out);
    w.byte(if asked.is_some() { VERSION } else { NEWEST });
    write_kept_until(&mut w, Some(*forgotten_at));
    let Some(Asked { content, contact, account, at, answer, time_to_live }) = asked else {
        w.flags(&[*refused, message.is_some()]);
        if let Some(message) = message {
            w.array(message.0);
        }
        return;
    };
    write_content(&mut w, content);
    w.unsigned(contact.0);
    w.optional_text(account.as_ref().map(AccountId::as_str));
    w.instant(*at);
    w.byte(answer_byte(*answer));
    w.optional_signed(time_to_live.map(|length| length.0));
    w.flags(&[*refused]);
}

/// Reads a request.
///
/// # Errors
/// If the record is damaged or too new.
pub fn read_request(bytes: &[u8]) -> Result<Request> {
    let forgotten_at = kept_until(bytes).ok_or(Error::Damaged("an instant"))?;
    let mut r = Reader::new(bytes);
    let version = r.byte()?;
    r.array::<8>()?;
    match version {
        VERSION => {}
        NEWEST => {
            let [refused, message] = r.flags()?;
            let message = r.when(message, |r| Ok(MessageKey(r.array()?)))?;
            r.end()?;
            return Ok(Request { asked: None, refused, message, forgotten_at });
        }
        0 => return Err(Error::Damaged("no version")),
        newer => return Err(Error::Newer(newer)),
    }
    let content = read_content(&mut r)?;
    let contact = ContactNumber(r.unsigned()?);
    let account = account(r.optional_text()?)?;
    let at = r.instant()?;
    let answer = read_answer(&mut r)?;
    let time_to_live = r.optional_signed()?.map(crate::domain::time::Millis);
    let [refused] = r.flags()?;
    r.end()?;
    let asked = Some(Asked { content, contact, account, at, answer, time_to_live });
    Ok(Request { asked, refused, message: None, forgotten_at })
}

fn write_content(w: &mut Writer<'_>, content: &Content) {
    match content {
        Content::Freeform => w.byte(0),
        Content::Reaction => w.byte(1),
        Content::Template(Template { name, language, category }) => {
            w.byte(2);
            w.text(name);
            w.text(language);
            w.optional_text(category.as_ref().map(Category::name));
        }
        Content::DirectSend(category) => {
            w.byte(3);
            w.text(category.name());
        }
        Content::Agent => w.byte(4),
        Content::Call(pulses) => {
            w.byte(5);
            w.unsigned(pulses.map_or(0, u64::from));
        }
    }
}

fn read_content(r: &mut Reader<'_>) -> Result<Content> {
    Ok(match r.byte()? {
        0 => Content::Freeform,
        1 => Content::Reaction,
        2 => Content::Template(Template {
            name: r.text()?.into(),
            language: r.text()?.into(),
            category: r.optional_text()?.map(Category::parse),
        }),
        3 => Content::DirectSend(Category::parse(r.text()?)),
        4 => Content::Agent,
        5 => Content::Call(Some(r.small()?).filter(|pulses| *pulses > 0)),
        _ => return Err(Error::Damaged("a kind of content")),
    })
}

fn write_pricing(w: &mut Writer<'_>, pricing: &Pricing) {
    let Pricing { model, kind, category, subtype, billable, cost } = pricing;
    w.text(model.as_str());
    w.optional_text(kind.as_ref().map(Term::as_str));
    w.text(category.as_str());
    w.optional_text(subtype.as_ref().map(Term::as_str));
    w.byte(billable.map_or(2, u8::from));
    write_cost(w, *cost);
}

fn read_pricing(r: &mut Reader<'_>) -> Result<Pricing> {
    Ok(Pricing {
        model: Term::new(r.text()?),
        kind: r.optional_text()?.map(Term::new),
        category: Term::new(r.text()?),
        subtype: r.optional_text()?.map(Term::new),
        billable: match r.byte()? {
            0 => Some(false),
            1 => Some(true),
            2 => None,
            _ => return Err(Error::Damaged("a boolean")),
        },
        cost: read_cost(r)?,
    })
}

fn write_cost(w: &mut Writer<'_>, cost: Option<(Amount, Currency)>) {
    w.optional_signed(cost.map(|(amount, _)| amount.millionths()));
    if let Some((_, currency)) = cost {
        w.array(currency.bytes());
    }
}

fn read_cost(r: &mut Reader<'_>) -> Result<Option<(Amount, Currency)>> {
    let amount = r.optional_signed()?.map(Amount::from_millionths);
    amount.map(|amount| Ok((amount, read_currency(r)?))).transpose()
}

fn read_currency(r: &mut Reader<'_>) -> Result<Currency> {
    let letters: [u8; 3] = r.array()?;
    std::str::from_utf8(&letters).ok().and_then(Currency::parse).ok_or(Error::Damaged("a currency"))
}

/// Appends a ledger line by itself, for the stage that prices it.
pub fn write_charged(line: &Line, out: &mut Vec<u8>) {
    let mut w = begin(out);
    write_line(&mut w, line);
}

/// Reads a ledger line that stands by itself.
///
/// # Errors
/// If the record is damaged or too new.
pub fn read_charged(bytes: &[u8]) -> Result<Line> {
    let mut r = open(bytes)?;
    let line = read_line(&mut r)?;
    r.end()?;
    Ok(line)
}

fn write_line(w: &mut Writer<'_>, line: &Line) {
    let Line { revision, toll, charged_at, date, currency, origin, units, cost, consumed } = line;
    w.unsigned(u64::from(*revision));
    match toll {
        Toll::Charged(category) => {
            w.byte(0);
            w.text(category.name());
        }
        Toll::Free(reason, category) => {
            w.byte(match reason {
                FreeReason::FreeEntryPoint => 1,
                FreeReason::FreeCustomerService => 2,
                FreeReason::FreeGroupCustomerService => 3,
                FreeReason::Reaction => 4,
                FreeReason::PaidExempt => 5,
                FreeReason::InConversation => 13,
                FreeReason::FreeTier => 14,
                FreeReason::SessionMessage => 15,
                FreeReason::AgentMessage => 16,
            });
            w.text(category.name());
        }
        Toll::Unknown(why) => {
            w.byte(match why {
                Unpriced::BeforeFirstEra => 6,
                Unpriced::TimeZoneUnknown => 7,
                Unpriced::ContentUnknown => 8,
                Unpriced::TemplateUnknown => 9,
                Unpriced::CategoryUnknown(_) => 10,
                Unpriced::PricingTypeUnknown(_) => 11,
                Unpriced::MarketUnknown => 17,
                Unpriced::DurationUnknown => 18,
            });
            match why {
                Unpriced::CategoryUnknown(raw) | Unpriced::PricingTypeUnknown(raw) => w.text(raw),
                Unpriced::BeforeFirstEra
                | Unpriced::TimeZoneUnknown
                | Unpriced::ContentUnknown
                | Unpriced::TemplateUnknown
                | Unpriced::MarketUnknown
                | Unpriced::DurationUnknown => {}
            }
        }
    }
    w.instant(*charged_at);
    w.optional_signed(date.map(|date| i64::from(date.ordinal())));
    w.flags(&[currency.is_some(), *units != 1]);
    if let Some(currency) = currency {
        w.array(currency.bytes());
    }
    if *units != 1 {
        w.unsigned(u64::from(*units));
    }
    w.unsigned(u64::from(origin.encode()));
    write_cost(w, *cost);
    w.optional_signed(consumed.map(|month| i64::from(month.ordinal())));
}

fn read_line(r: &mut Reader<'_>) -> Result<Line> {
    let revision = r.small()?;
    let toll = match r.byte()? {
        0 => Toll::Charged(Category::parse(r.text()?)),
        1 => Toll::Free(FreeReason::FreeEntryPoint, Category::parse(r.text()?)),
        2 => Toll::Free(FreeReason::FreeCustomerService, Category::parse(r.text()?)),
        3 => Toll::Free(FreeReason::FreeGroupCustomerService, Category::parse(r.text()?)),
        4 => Toll::Free(FreeReason::Reaction, Category::parse(r.text()?)),
        5 => Toll::Free(FreeReason::PaidExempt, Category::parse(r.text()?)),
        6 => Toll::Unknown(Unpriced::BeforeFirstEra),
        7 => Toll::Unknown(Unpriced::TimeZoneUnknown),
        8 => Toll::Unknown(Unpriced::ContentUnknown),
        9 => Toll::Unknown(Unpriced::TemplateUnknown),
        10 => Toll::Unknown(Unpriced::CategoryUnknown(r.text()?.into())),
        11 => Toll::Unknown(Unpriced::PricingTypeUnknown(r.text()?.into())),
        13 => Toll::Free(FreeReason::InConversation, Category::parse(r.text()?)),
        14 => Toll::Free(FreeReason::FreeTier, Category::parse(r.text()?)),
        15 => Toll::Free(FreeReason::SessionMessage, Category::parse(r.text()?)),
        16 => Toll::Free(FreeReason::AgentMessage, Category::parse(r.text()?)),
        17 => Toll::Unknown(Unpriced::MarketUnknown),
        18 => Toll::Unknown(Unpriced::DurationUnknown),
        _ => return Err(Error::Damaged("a toll")),
    };
    let charged_at = r.instant()?;
    let ordinal = |number: i64| i32::try_from(number).map_err(|_| Error::Damaged("a day"));
    let date = r.optional_signed()?.map(|date| Date::from_ordinal(ordinal(date)?).ok_or(Error::Damaged("a day")));
    let [currency, units] = r.flags()?;
    Ok(Line {
        revision,
        toll,
        charged_at,
        date: date.transpose()?,
        currency: r.when(currency, read_currency)?,
        units: r.when(units, Reader::small)?.unwrap_or(1),
        origin: Origin::decode(r.small()?).ok_or(Error::Damaged("an origin"))?,
        cost: read_cost(r)?,
        consumed: r
            .optional_signed()?
            .map(|month| Month::from_ordinal(ordinal(month)?).ok_or(Error::Damaged("a month")))
            .transpose()?,
    })
}

const fn answer_byte(answer: Answer) -> u8 {
    match answer {
        Answer::Allowed => 0,
        Answer::Blocked => 1,
        Answer::Unknown => 2,
    }
}

fn read_answer(r: &mut Reader<'_>) -> Result<Answer> {
    match r.byte()? {
        0 => Ok(Answer::Allowed),
        1 => Ok(Answer::Blocked),
        2 => Ok(Answer::Unknown),
        _ => Err(Error::Damaged("an answer")),
    }
}

const fn stage_byte(stage: Stage) -> u8 {
    match stage {
        Stage::Sent => 0,
        Stage::Delivered => 1,
        Stage::Read => 2,
        Stage::Failed => 3,
    }
}

fn read_stage(r: &mut Reader<'_>) -> Result<Stage> {
    match r.byte()? {
        0 => Ok(Stage::Sent),
        1 => Ok(Stage::Delivered),
        2 => Ok(Stage::Read),
        3 => Ok(Stage::Failed),
        _ => Err(Error::Damaged("a stage")),
    }
}

const fn agreement_byte(agreement: Agreement) -> u8 {
    match agreement {
        Agreement::Match => 0,
        Agreement::Conflict => 1,
        Agreement::PlatformOnly => 2,
        Agreement::OursOnly => 3,
    }
}

fn read_agreement(r: &mut Reader<'_>) -> Result<Agreement> {
    match r.byte()? {
        0 => Ok(Agreement::Match),
        1 => Ok(Agreement::Conflict),
        2 => Ok(Agreement::PlatformOnly),
        3 => Ok(Agreement::OursOnly),
        _ => Err(Error::Damaged("an agreement")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::conversation::Edge;

    #[test]
    fn conversations_and_shares_come_back_as_they_were() {
        let at = Timestamp::from_millis(1_690_848_000_000).expect("in range");
        let mut contact = Contact::new(ContactKey([7; 16]), NameRank::Phone, Origin::Unknown);
        for (name, kind, any) in [(1, ConversationKind::Service, true), (2, ConversationKind::Utility, false)] {
            let wants = Wants { kind, any, opens: true };
            contact.conversations.note(at, MessageKey([name; 16]), Some(wants), &contact.entry, at);
        }
        let edges = contact.conversations.announce(&contact.entry, at, at);
        assert!(matches!(edges[..], [Edge::Opened(_), Edge::Opened(_)]));
        let mut row = Vec::new();
        write_contact(NumberIndex(3), &contact, &mut row);
        assert_eq!(read_contact(&row), Ok((NumberIndex(3), contact)));

        let whole = Message { shares: vec![MessageKey([1; 16]), MessageKey([2; 16])], ..Message::default() };
        let participant = Some(Participant::parse("13105550199").expect("a name"));
        let recipient = Some(ContactNumber::of_recipient(AliasHash([0; 16])));
        let unnoted = Message { participant, contact: Some(ContactNumber(1)), ..Message::default() };
        for message in [whole, Message { recipient, ..unnoted.clone() }, unnoted] {
            let mut row = Vec::new();
            write_message(&message, &mut row);
            assert_eq!(read_message(&row), Ok(message));
        }
    }

    #[test]
    fn refusals_and_what_has_gone_out_come_back_as_they_were() {
        let mut number = Number::new(NumberId::parse("106540352242922").expect("an id"));
        let refusal = SenderRefusal {
            code: 131_065,
            account: AccountId::parse("102290129340398").ok(),
            country: Country::parse("BR"),
            template: Some(("welcome".into(), "en".into())),
            at: Timestamp::EARLIEST,
        };
        let all = SenderRefusal { code: 0, account: None, country: None, template: None, ..refusal };
        number.refusals = vec![refusal, all];
        let at = Timestamp::EARLIEST;
        number.gone_out =
            vec![GoneOut { account: AccountId::parse("9").ok(), sent_at: [Some(at), None, Some(at), None, None] }];
        let mut row = Vec::new();
        write_number(NumberIndex(3), &number, WriteFormat::Second, &mut row);
        assert_eq!(read_number(&row), Ok((NumberIndex(3), number)));
    }
}
