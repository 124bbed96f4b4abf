//! Rows of contacts and of their names.

use super::{Error, NEWEST, NumberIndex, Reader, Result, VERSION, Writer, begin, first_or_newest, open};
use crate::domain::contact::{Choice, Clear, Consent, ConsentSource, Contact, Refusal, RefusedFor};
use crate::domain::conversation::{Announced, ConversationKind, Conversations, Delivery, Role, Wants};
use crate::domain::entry_point::{Click, Eligibility, EntryPoint, ExpirySource, FreeWindow, Sent, Word};
use crate::domain::id::{AliasHash, ContactKey, ContactNumber, EventId, MessageKey, ScopedUserId, WaId};
use crate::domain::identity::{Again, Alias, Chain, How, Join, Rank as NameRank, Suppressed};
use crate::domain::pair::Burst;
use crate::domain::rules::markets::Origin;
use crate::domain::rules::openers::InboundKind;
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::{Present, ServiceWindow};

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
    for Join { alias, origin, again, at, event, how, left } in joins {
        let same = told == Some((*at, *event));
        w.byte(alias.rank as u8);
        w.byte(*how as u8);
        w.flags(&[same, again.is_some(), left.is_some(), *origin != Origin::Unknown]);
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
        if *origin != Origin::Unknown {
            w.unsigned(u64::from(origin.encode()));
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
        let [same, again, left, origin] = r.flags()?;
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
            origin: r.when(origin, read_origin)?.unwrap_or(Origin::Unknown),
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
        edges_before,
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
        entry.former.is_some(),
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
    for (at, edges) in [entry.former, window.former()].into_iter().flatten() {
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
    write_rest(&mut w, *burst, refusals, *edges_before);
}

/// What few contacts have stands behind what all have, and takes nothing where there is none of it.
fn write_rest(w: &mut Writer<'_>, burst: Option<Burst>, refusals: &[Refusal], edges_before: u32) {
    let has = [burst.is_some(), !refusals.is_empty(), edges_before > 0];
    if has.contains(&true) {
        w.flags(&has);
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
    if edges_before > 0 {
        w.unsigned(u64::from(edges_before));
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
    let origin = read_origin(&mut r)?;
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
        entry_former,
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
    entry.former = r.when(entry_former, edges)?;
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
    let [burst, refusals, edges_before] = if r.is_at_end() { [false; 3] } else { r.flags()? };
    let burst = r.when(burst, |r| Ok(Burst { first: r.instant()?, count: r.small()? }))?;
    let refusals = r.when(refusals, |r| r.list(read_refusal))?.unwrap_or_default();
    let edges_before = r.when(edges_before, Reader::small)?.unwrap_or_default();
    r.end()?;
    let contact = Contact {
        key,
        rank,
        chain,
        edges_before,
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

fn read_origin(r: &mut Reader<'_>) -> Result<Origin> {
    u32::try_from(r.unsigned()?).ok().and_then(Origin::decode).ok_or(Error::Damaged("an origin"))
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
