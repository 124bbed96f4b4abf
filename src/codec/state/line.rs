//! Ledger lines: within the row of their message, and by themselves.

use super::{Error, Reader, Result, Writer, begin, open};
use crate::domain::billing::{FreeReason, Line, Toll, Unpriced};
use crate::domain::content::Category;
use crate::domain::money::{Amount, Currency};
use crate::domain::rules::markets::Origin;
use crate::domain::time::{Date, Month};

pub(super) fn write_cost(w: &mut Writer<'_>, cost: Option<(Amount, Currency)>) {
    w.optional_signed(cost.map(|(amount, _)| amount.millionths()));
    if let Some((_, currency)) = cost {
        w.array(currency.bytes());
    }
}

pub(super) fn read_cost(r: &mut Reader<'_>) -> Result<Option<(Amount, Currency)>> {
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

pub(super) fn write_line(w: &mut Writer<'_>, line: &Line) {
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

pub(super) fn read_line(r: &mut Reader<'_>) -> Result<Line> {
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
