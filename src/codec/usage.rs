//! Rows of `wa.usage` as the conversation stage reads them back.

use super::records;
use super::reference::Mistake;
use crate::domain::content::Category;
use crate::domain::id::{AccountId, NumberId, PortfolioId};
use crate::domain::ledger::Scope;
use crate::domain::ledger::spend::{Item, Spend};
use crate::domain::ledger::usage::{AsOf, Snapshot};
use crate::domain::money::{Amount, Currency};
use crate::domain::time::{Month, Timestamp};

fn mistake<E: std::fmt::Display>(field: &str) -> impl Fn(E) -> Mistake {
    move |error| Mistake(format!("`{field}` cannot be used: {error}"))
}

fn unusable(field: &str) -> Mistake {
    Mistake(format!("`{field}` cannot be read"))
}

/// Learns what a row tells.
///
/// # Errors
/// What is wrong with it; nothing was learned, then.
pub fn learn(used: &mut Snapshot, row: &records::Usage<'_>) -> Result<(), Mistake> {
    let as_of = Timestamp::from_millis(row.as_of).ok_or_else(|| unusable("as_of"))?;
    let id = row.scope_id.as_str();
    let scope = match row.scope_type.as_str() {
        "portfolio" => PortfolioId::parse(id).map(Scope::Portfolio).map_err(mistake("scope_id"))?,
        "account" => AccountId::parse(id).map(Scope::Account).map_err(mistake("scope_id"))?,
        "number" => NumberId::parse(id).map(Scope::Number).map_err(mistake("scope_id"))?,
        // Other scopes may come; nothing is asked of them here.
        _ => return Ok(()),
    };
    let mut numbers: std::collections::BTreeMap<NumberId, Spend> = std::collections::BTreeMap::new();
    for spent in &row.spend {
        let Some(number) = &spent.phone_number_id else {
            continue;
        };
        let number = NumberId::parse(number.as_str()).map_err(mistake("spend.phone_number_id"))?;
        let item = Item {
            month: Month::parse(spent.month.as_str()).ok_or_else(|| unusable("spend.month"))?,
            category: Category::parse(spent.category.as_str()),
            currency: Currency::parse(spent.currency.as_str()).ok_or_else(|| unusable("spend.currency"))?,
        };
        let amount = Amount::parse(spent.amount.as_str()).ok_or_else(|| unusable("spend.amount"))?;
        numbers.entry(number).or_insert_with(|| Spend::new(scope.clone())).add(item, 0, amount);
    }
    for (number, spend) in numbers {
        used.tell_spend(number, AsOf { count: spend, as_of });
    }
    match row.unique_users.and_then(|people| u64::try_from(people).ok()) {
        Some(people) => used.tell_people(scope, AsOf { count: people, as_of }),
        // Whoever was counted before is no more.
        None => used.forget_people(&scope),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ledger::usage::Usage as _;

    #[test]
    fn a_row_without_people_takes_back_those_of_the_row_before() {
        let row = |unique_users| records::Usage {
            scope_type: "portfolio".into(),
            scope_id: "300000000000001".into(),
            as_of: 1_790_000_000_000,
            unique_users,
            ..records::Usage::default()
        };
        let scope = Scope::Portfolio(PortfolioId::parse("300000000000001").expect("an id"));
        let mut used = Snapshot::default();
        let mut learn = |people| {
            super::learn(&mut used, &row(people)).expect("a row that says what it should");
            used.people(&scope, Timestamp::EARLIEST).map(|people| people.count)
        };
        assert_eq!([learn(Some(7)), learn(Some(0)), learn(None)], [Some(7), Some(0), None]);
    }
}
