//! Rows of business phone numbers, and of what they have used of a month.

use super::{Error, NEWEST, NumberIndex, Reader, Result, VERSION, WriteFormat, Writer, begin, first_or_newest, open};
use crate::domain::id::{AccountId, MessageId, MessageKey, NumberId, Participant};
use crate::domain::in_flight::{InFlight, Minute};
use crate::domain::number::{Asks, MonthUse, Number, PacedPause, Rank};
use crate::domain::reference::{Country, Restriction};
use crate::domain::refusal::{GoneOut, Refusal as SenderRefusal};
use crate::domain::rules::refusals::Subject;
use crate::domain::time::Month;

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

pub(super) fn account(text: Option<&str>) -> Result<Option<AccountId>> {
    text.map(|text| AccountId::parse(text).map_err(|_| Error::Damaged("an account's id"))).transpose()
}

pub(super) fn read_month_number(r: &mut Reader<'_>) -> Result<Month> {
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
