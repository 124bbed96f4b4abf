//! Rows of the ledger: counts, their half-hours, what numbers were charged for, and whom portfolios have reached.

use std::collections::BTreeMap;

use super::{Error, Reader, Result, Writer, begin, open};
use crate::domain::content::Category;
use crate::domain::id::{AccountId, NumberId, PortfolioId};
use crate::domain::ledger::Scope;
use crate::domain::ledger::spend::{Item, Spend, Spent};
use crate::domain::ledger::volume::{CounterId, Published, Share};
use crate::domain::money::{Amount, Currency};
use crate::domain::rules::markets::Market;
use crate::domain::rules::tiers::{Accrual, Tiered};
use crate::domain::time::{Date, Month, Timestamp};

/// What is stored of a count besides its half-hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterRow {
    /// What it counts.
    pub id: CounterId,
    /// When what has changed in it is to be published, if anything has.
    pub due: Option<Timestamp>,
    /// What has been published.
    pub published: BTreeMap<Option<AccountId>, Published>,
}

/// Appends a count without its half-hours.
pub fn write_counter(row: &CounterRow, out: &mut Vec<u8>) {
    let CounterRow { id: CounterId { scope, market, accrual, month }, due, published } = row;
    let mut w = begin(out);
    write_scope(&mut w, scope);
    w.text(market.name());
    w.text(accrual.name());
    w.signed(i64::from(month.ordinal()));
    w.optional_instant(*due);
    w.count(published.len());
    for (account, Published { revisions, off }) in published {
        w.optional_text(account.as_ref().map(AccountId::as_str));
        w.unsigned(u64::from(*revisions));
        w.count(off.len());
        for (currency, amount) in off {
            w.array(currency.bytes());
            w.signed(amount.millionths());
        }
    }
}

/// Reads a count without its half-hours.
///
/// # Errors
/// If it is damaged or too new.
pub fn read_counter(bytes: &[u8]) -> Result<CounterRow> {
    let mut r = open(bytes)?;
    let id = CounterId {
        scope: read_scope(&mut r)?,
        market: Market::named(r.text()?).ok_or(Error::Damaged("a market"))?,
        accrual: accrual(r.text()?)?,
        month: month(&mut r)?,
    };
    let due = r.optional_instant()?;
    let published = r.list(|r| {
        let account = r.optional_text()?.map(account).transpose()?;
        let revisions = r.small()?;
        let off = r.list(|r| Ok((currency(r)?, Amount::from_millionths(r.signed()?))))?;
        Ok((account, Published { revisions, off: off.into_iter().collect() }))
    })?;
    r.end()?;
    Ok(CounterRow { id, due, published: published.into_iter().collect() })
}

/// Appends the messages of a half-hour.
pub fn write_half_hour(shares: &[(&Share, i64)], out: &mut Vec<u8>) {
    let mut w = begin(out);
    w.count(shares.len());
    for (Share { account, of, card, units }, messages) in shares {
        w.optional_text(account.as_ref().map(AccountId::as_str));
        w.text(of.name());
        w.flags(&[card.is_some()]);
        if let Some((currency, from)) = card {
            w.array(currency.bytes());
            w.signed(i64::from(from.ordinal()));
        }
        w.signed(*messages);
        w.unsigned(u64::from(*units));
    }
}

/// Reads the messages of a half-hour.
///
/// # Errors
/// If it is damaged or too new.
pub fn read_half_hour(bytes: &[u8]) -> Result<Vec<(Share, i64)>> {
    let mut r = open(bytes)?;
    let shares = r.list(|r| {
        let account = r.optional_text()?.map(account).transpose()?;
        let of = tiered(r.text()?)?;
        let [has_card] = r.flags()?;
        let card = r.when(has_card, |r| Ok((currency(r)?, date(r)?)))?;
        let messages = r.signed()?;
        Ok((Share { account, of, card, units: r.small()? }, messages))
    })?;
    r.end()?;
    Ok(shares)
}

/// Appends what a number was charged for.
pub fn write_spend(number: &NumberId, spend: &Spend, out: &mut Vec<u8>) {
    let mut w = begin(out);
    w.text(number.as_str());
    write_scope(&mut w, &spend.scope);
    w.count(spend.items.len());
    for (Item { month, category, currency }, Spent { messages, amount }) in &spend.items {
        w.signed(i64::from(month.ordinal()));
        w.text(category.name());
        w.array(currency.bytes());
        w.signed(*messages);
        w.optional_signed(amount.map(Amount::millionths));
    }
}

/// Reads what a number was charged for.
///
/// # Errors
/// If it is damaged or too new.
pub fn read_spend(bytes: &[u8]) -> Result<(NumberId, Spend)> {
    let mut r = open(bytes)?;
    let number = NumberId::parse(r.text()?).map_err(|_| Error::Damaged("a number"))?;
    let scope = read_scope(&mut r)?;
    let items = r.list(|r| {
        let item = Item { month: month(r)?, category: Category::parse(r.text()?), currency: currency(r)? };
        Ok((item, Spent { messages: r.signed()?, amount: r.optional_signed()?.map(Amount::from_millionths) }))
    })?;
    r.end()?;
    Ok((number, Spend { scope, items: items.into_iter().collect() }))
}

/// Appends when a person was reached, and by whom.
pub fn write_reached(scope: &Scope, at: Timestamp, out: &mut Vec<u8>) {
    let mut w = begin(out);
    w.instant(at);
    write_scope(&mut w, scope);
}

/// Reads when a person was reached, and by whom.
///
/// # Errors
/// If it is damaged or too new.
pub fn read_reached(bytes: &[u8]) -> Result<(Scope, Timestamp)> {
    let mut r = open(bytes)?;
    let at = r.instant()?;
    let scope = read_scope(&mut r)?;
    r.end()?;
    Ok((scope, at))
}

fn write_scope(w: &mut Writer<'_>, scope: &Scope) {
    w.byte(match scope {
        Scope::Portfolio(_) => 0,
        Scope::Account(_) => 1,
        Scope::Number(_) => 2,
    });
    w.text(scope.id());
}

fn read_scope(r: &mut Reader<'_>) -> Result<Scope> {
    let kind = r.byte()?;
    let id = r.text()?;
    let scope = match kind {
        0 => PortfolioId::parse(id).map(Scope::Portfolio),
        1 => AccountId::parse(id).map(Scope::Account),
        2 => NumberId::parse(id).map(Scope::Number),
        _ => return Err(Error::Damaged("a scope")),
    };
    scope.map_err(|_| Error::Damaged("a scope's id"))
}

fn accrual(name: &str) -> Result<Accrual> {
    let known = [Accrual::Utility, Accrual::Authentication, Accrual::Calls];
    known.into_iter().find(|accrual| accrual.name() == name).ok_or(Error::Damaged("what counts together"))
}

fn tiered(name: &str) -> Result<Tiered> {
    Tiered::ALL.into_iter().find(|of| of.name() == name).ok_or(Error::Damaged("a column with tiers"))
}

fn account(id: &str) -> Result<AccountId> {
    AccountId::parse(id).map_err(|_| Error::Damaged("an account"))
}

fn currency(r: &mut Reader<'_>) -> Result<Currency> {
    let letters: [u8; 3] = r.array()?;
    std::str::from_utf8(&letters).ok().and_then(Currency::parse).ok_or(Error::Damaged("a currency"))
}

fn month(r: &mut Reader<'_>) -> Result<Month> {
    i32::try_from(r.signed()?).ok().and_then(Month::from_ordinal).ok_or(Error::Damaged("a month"))
}

fn date(r: &mut Reader<'_>) -> Result<Date> {
    i32::try_from(r.signed()?).ok().and_then(Date::from_ordinal).ok_or(Error::Damaged("a day"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd() -> Currency {
        Currency::parse("USD").expect("a currency")
    }

    fn scopes() -> [Scope; 3] {
        [
            Scope::Portfolio(PortfolioId::parse("p").expect("an id")),
            Scope::Account(account("a").expect("an id")),
            Scope::Number(NumberId::parse("n").expect("an id")),
        ]
    }

    /// Whatever is cut off of a row, it is refused.
    fn no_part_is_read<T>(row: &[u8], read: impl Fn(&[u8]) -> Result<T>) {
        for length in 0..row.len() {
            assert!(read(&row[..length]).is_err(), "cut at {length}");
        }
        assert!(matches!(read(&[9]), Err(Error::Newer(9))));
    }

    #[test]
    fn what_is_written_of_a_count_is_read() {
        let month = Month::parse("2026-10").expect("a month");
        for (scope, accrual) in scopes().into_iter().zip([Accrual::Utility, Accrual::Authentication, Accrual::Calls]) {
            let off = BTreeMap::from([(usd(), Amount::from_millionths(-1_500))]);
            let published = BTreeMap::from([
                (None, Published::default()),
                (Some(account("a").expect("an id")), Published { revisions: 3, off }),
            ]);
            let id = CounterId { scope, market: Market::OTHER, accrual, month };
            let row = CounterRow { id, due: Some(Timestamp::EARLIEST), published };
            let mut bytes = Vec::new();
            write_counter(&row, &mut bytes);
            assert_eq!(read_counter(&bytes), Ok(row));
            no_part_is_read(&bytes, read_counter);
        }
    }

    #[test]
    fn what_is_written_of_a_half_hour_is_read() {
        let card = Some((usd(), Date::new(2026, 10, 1)));
        let shares = [
            (Share { account: None, of: Tiered::Utility, card: None, units: 1 }, 7),
            (Share { account: Some(account("a").expect("an id")), of: Tiered::Call, card, units: 20 }, -1),
        ];
        let mut bytes = Vec::new();
        write_half_hour(&shares.each_ref().map(|(share, messages)| (share, *messages)), &mut bytes);
        assert_eq!(read_half_hour(&bytes), Ok(shares.to_vec()));
        no_part_is_read(&bytes, read_half_hour);
    }

    #[test]
    fn what_is_written_of_a_number_and_of_a_person_is_read() {
        let number = NumberId::parse("n").expect("an id");
        let [scope, ..] = scopes();
        let mut spend = Spend::new(scope.clone());
        let month = Month::parse("2026-10").expect("a month");
        for category in [Category::Utility, Category::Unknown("brand_new".into())] {
            spend.add(Item { month, category, currency: usd() }, 2, Amount::from_millionths(20_000));
        }
        let mut bytes = Vec::new();
        write_spend(&number, &spend, &mut bytes);
        assert_eq!(read_spend(&bytes), Ok((number, spend)));
        no_part_is_read(&bytes, read_spend);
        let mut bytes = Vec::new();
        write_reached(&scope, Timestamp::EARLIEST, &mut bytes);
        assert_eq!(read_reached(&bytes), Ok((scope, Timestamp::EARLIEST)));
        no_part_is_read(&bytes, read_reached);
    }
}
