//! `[limits]`: what a deployment makes of limits that are used up, and its own budgets.

use serde::Deserialize;

use super::Builder;
use crate::domain::content::Category;
use crate::domain::id::NumberId;
use crate::domain::money::{Amount, Currency};
use crate::domain::policy::{Budget, Over, Policy};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLimits {
    usage_fresh: Option<String>,
    allowance_low: Option<u32>,
    messaging_limit_low: Option<u32>,
    budgets: Vec<RawBudget>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBudget {
    number: Option<String>,
    category: Option<String>,
    amount: String,
    low: Option<String>,
    currency: String,
    over: Option<String>,
}

impl Builder<'_> {
    /// Takes what is said of limits into the policy.
    pub(super) fn limits(&mut self, policy: &mut Policy, raw: &RawLimits) {
        policy.usage_fresh = self.length("limits.usage_fresh", raw.usage_fresh.as_deref(), policy.usage_fresh);
        policy.allowance_low = raw.allowance_low;
        policy.messaging_limit_low = raw.messaging_limit_low;
        if let Some(percent) = raw.messaging_limit_low.filter(|percent| !(1..=99).contains(percent)) {
            self.wrong("limits.messaging_limit_low", format!("{percent} is no number of hundredths from 1 to 99"));
        }
        for budget in &raw.budgets {
            policy.budgets.extend(self.budget(budget));
        }
    }

    fn budget(&mut self, raw: &RawBudget) -> Option<Budget> {
        const SETTING: &str = "limits.budgets";
        let over = [("block", Over::Block), ("warn", Over::Warn)];
        let over = self.word(SETTING, raw.over.as_deref(), &over, Over::Warn);
        let number = raw.number.as_deref().map(NumberId::parse).transpose();
        if let Err(invalid) = &number {
            self.wrong(SETTING, format!("`number` is no id: {invalid}"));
        }
        let category = raw.category.as_deref().map(Category::parse);
        if let Some(Category::Unknown(name)) = &category {
            self.wrong(SETTING, format!("`{name}` is no category"));
        }
        let currency = Currency::parse(&raw.currency);
        if currency.is_none() {
            self.wrong(SETTING, format!("`{}` is not three capital letters, such as `USD`", raw.currency));
        }
        let mut money = |text: &str| {
            let amount = Amount::parse(text).filter(|amount| *amount >= Amount::ZERO);
            if amount.is_none() {
                self.wrong(SETTING, format!("`{text}` is no amount, such as `250.00`"));
            }
            amount
        };
        let amount = money(&raw.amount);
        let low = raw.low.as_deref().map_or(amount, &mut money);
        Some(Budget { number: number.ok()?, category, amount: amount?, low: low?, currency: currency?, over })
    }
}
