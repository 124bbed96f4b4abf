//! Rows of messages and of requests.

use super::line::{read_cost, read_line, write_cost, write_line};
use super::number::{account, read_month_number};
use super::{Error, NEWEST, Reader, Result, VERSION, Writer, begin, kept_until, open, write_kept_until};
use crate::domain::billing::Agreement;
use crate::domain::content::{Category, Content, Template};
use crate::domain::event::{Pricing, Stage, Term};
use crate::domain::id::{AccountId, ContactNumber, MessageId, MessageKey, Participant, RequestId};
use crate::domain::in_flight::Uses;
use crate::domain::message::{Asked, Failure, Message, Priced, Request, SentIn, Told};
use crate::domain::verdict::Answer;

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
        was_charged,
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
        *was_charged,
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
        takes_free, reaches, was_charged,
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
        was_charged,
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
