//! Rows of the ledger: counts, their half-hours, what numbers were charged for, whom portfolios have reached, and what there
//! is to notice of that.

use std::collections::BTreeMap;

use super::{Error, Reader, Result, Writer, begin, open};
use crate::domain::content::Category;
use crate::domain::id::{AccountId, NumberId, PortfolioId};
use crate::domain::ledger::Scope;
use crate::domain::ledger::notices::{BudgetOf, Deliveries, Notice, Notices, Stands};
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

/// Appends what a number was charged for, and what there is to notice of it.
pub fn write_spend(number: &NumberId, spend: &Spend, notices: &Notices, out: &mut Vec<u8>) {
    let mut w = begin(out);
    w.text(number.as_str());
    write_scope(&mut w, &spend.scope);
    w.optional_text(spend.account.as_ref().map(AccountId::as_str));
    w.count(spend.items.len());
    for (Item { month, category, currency }, Spent { messages, amount }) in &spend.items {
        w.signed(i64::from(month.ordinal()));
        w.text(category.name());
        w.array(currency.bytes());
        w.signed(*messages);
        w.optional_signed(amount.map(Amount::millionths));
    }
    w.count(spend.free.len());
    for (month, used) in &spend.free {
        w.signed(i64::from(month.ordinal()));
        w.signed(*used);
    }
    write_standing(&mut w, notices);
}

/// Reads what a number was charged for, and what there is to notice of it.
///
/// # Errors
/// If it is damaged or too new.
pub fn read_spend(bytes: &[u8]) -> Result<(NumberId, Spend, Notices)> {
    let mut r = open(bytes)?;
    let number = NumberId::parse(r.text()?).map_err(|_| Error::Damaged("a number"))?;
    let scope = read_scope(&mut r)?;
    let account = r.optional_text()?.map(account).transpose()?;
    let items = r.list(|r| {
        let item = Item { month: month(r)?, category: Category::parse(r.text()?), currency: currency(r)? };
        Ok((item, Spent { messages: r.signed()?, amount: r.optional_signed()?.map(Amount::from_millionths) }))
    })?;
    let free = r.list(|r| Ok((month(r)?, r.signed()?)))?;
    let notices = read_standing(&mut r)?;
    r.end()?;
    let (items, free) = (items.into_iter().collect(), free.into_iter().collect());
    Ok((number, Spend { scope, account, items, free }, notices))
}

/// Appends what there is to notice of a scope's messaging limit.
pub fn write_notices(scope: &Scope, notices: &Notices, out: &mut Vec<u8>) {
    let mut w = begin(out);
    write_scope(&mut w, scope);
    write_standing(&mut w, notices);
}

/// Reads what there is to notice of a scope's messaging limit.
///
/// # Errors
/// If it is damaged or too new.
pub fn read_notices(bytes: &[u8]) -> Result<(Scope, Notices)> {
    let mut r = open(bytes)?;
    let scope = read_scope(&mut r)?;
    let notices = read_standing(&mut r)?;
    r.end()?;
    Ok((scope, notices))
}

fn write_standing(w: &mut Writer<'_>, notices: &Notices) {
    let deliveries = |w: &mut Writer<'_>, kind: u8, of: &Deliveries| {
        w.byte(kind);
        w.signed(i64::from(of.month.ordinal()));
        w.unsigned(u64::from(of.bound));
    };
    let budget = |w: &mut Writer<'_>, kind: u8, of: &BudgetOf| {
        w.byte(kind);
        w.signed(i64::from(of.month.ordinal()));
        w.optional_text(of.category.as_ref().map(Category::name));
        w.array(of.currency.bytes());
        w.signed(of.bound.millionths());
    };
    let people = |w: &mut Writer<'_>, kind: u8, bound: u32| {
        w.byte(kind);
        w.unsigned(u64::from(bound));
    };
    let notices = notices.iter();
    w.count(notices.len());
    for (notice, Stands { since, until }) in notices {
        match notice {
            Notice::AllowanceLow(of) => deliveries(w, 0, of),
            Notice::AllowanceUsedUp(of) => deliveries(w, 1, of),
            Notice::BudgetLow(of) => budget(w, 2, of),
            Notice::BudgetOverrun(of) => budget(w, 3, of),
            Notice::BudgetExceeded(of) => budget(w, 4, of),
            Notice::MessagingLimitLow(bound) => people(w, 5, *bound),
            Notice::MessagingLimitReached(bound) => people(w, 6, *bound),
        }
        w.instant(since);
        w.optional_instant(until);
    }
}

fn read_standing(r: &mut Reader<'_>) -> Result<Notices> {
    let deliveries = |r: &mut Reader<'_>| Ok(Deliveries { month: month(r)?, bound: r.small()? });
    let budget = |r: &mut Reader<'_>| {
        Ok(BudgetOf {
            month: month(r)?,
            category: r.optional_text()?.map(Category::parse),
            currency: currency(r)?,
            bound: Amount::from_millionths(r.signed()?),
        })
    };
    let notices = r.list(|r| {
        let notice = match r.byte()? {
            0 => Notice::AllowanceLow(deliveries(r)?),
            1 => Notice::AllowanceUsedUp(deliveries(r)?),
            2 => Notice::BudgetLow(budget(r)?),
            3 => Notice::BudgetOverrun(budget(r)?),
            4 => Notice::BudgetExceeded(budget(r)?),
            5 => Notice::MessagingLimitLow(r.small()?),
            6 => Notice::MessagingLimitReached(r.small()?),
            _ => return Err(Error::Damaged("a notice")),
        };
        Ok((notice, Stands { since: r.instant()?, until: r.optional_instant()? }))
    })?;
    Ok(notices.into_iter().collect())
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
    use crate::domain::time::Millis;

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
    fn what_is_written_of_a_number_a_person_and_notices_is_read() {
        let number = NumberId::parse("n").expect("an id");
        let [scope, ..] = scopes();
        let mut spend = Spend::new(scope.clone());
        let month = Month::parse("2026-10").expect("a month");
        for category in [Category::Utility, Category::Unknown("brand_new".into())] {
            spend.add(Item { month, category, currency: usd() }, 2, Amount::from_millionths(20_000));
        }
        spend.account = Some(account("a").expect("an id"));
        spend.take_free(month, 7);
        let (free, category) = (Deliveries { month, bound: 1_000 }, Some(Category::Marketing));
        let budget = BudgetOf { month, category, currency: usd(), bound: Amount::from_millionths(20_000) };
        let of_number = [
            Notice::AllowanceLow(free),
            Notice::AllowanceUsedUp(free),
            Notice::BudgetLow(budget.clone()),
            Notice::BudgetOverrun(BudgetOf { category: None, ..budget.clone() }),
            Notice::BudgetExceeded(budget),
        ];
        let of_limit = [Notice::MessagingLimitLow(200), Notice::MessagingLimitReached(250)];
        let standing = |notices: &[Notice], until| -> Notices {
            notices.iter().map(|notice| (notice.clone(), Stands { since: Timestamp::EARLIEST, until })).collect()
        };
        let notices = standing(&of_number, Some(Timestamp::LATEST - Millis(1)));
        let mut bytes = Vec::new();
        write_spend(&number, &spend, &notices, &mut bytes);
        assert_eq!(read_spend(&bytes), Ok((number, spend, notices)));
        no_part_is_read(&bytes, read_spend);
        let notices = standing(&of_limit, None);
        let mut bytes = Vec::new();
        write_notices(&scope, &notices, &mut bytes);
        assert_eq!(read_notices(&bytes), Ok((scope.clone(), notices)));
        no_part_is_read(&bytes, read_notices);
        let mut bytes = Vec::new();
        write_reached(&scope, Timestamp::EARLIEST, &mut bytes);
        assert_eq!(read_reached(&bytes), Ok((scope, Timestamp::EARLIEST)));
        no_part_is_read(&bytes, read_reached);
    }
}
