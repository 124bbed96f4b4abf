//! Gates that depend on what has been used: messaging limits, budgets, the month's free deliveries.

use super::{Gates, Known, Preview, Reason};
use crate::domain::billing::Toll;
use crate::domain::content::Content;
use crate::domain::in_flight::Uses;
use crate::domain::ledger::usage::AsOf;
use crate::domain::ledger::{Scope, reach};
use crate::domain::money::{Amount, Currency};
use crate::domain::policy::{Context, Over};
use crate::domain::rules::limits::{self, MessagingLimit};
use crate::domain::time::{Days, Timestamp};
use crate::domain::window::WindowAt;

/// What is used of the limits that apply to an ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// How many people may be reached outside service windows in 24 hours.
    pub messaging: Option<u32>,
    /// How many have been, and as of when.
    pub reached: Option<AsOf<u64>>,
    /// How many sends of the number are on their way that would reach one person more; nothing where they are not counted.
    pub in_flight: Option<u32>,
    /// Whether one more message keeps the rate of one number to one person; nothing where that is not looked at.
    pub pair_rate: Option<bool>,
    /// Whether it keeps the messages of one number in a second; nothing where no fact tells them.
    pub throughput: Option<bool>,
    /// The budget that decides: the one of which least is left.
    pub budget: Option<BudgetUse>,
}

/// How much of a budget is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetUse {
    /// The budget.
    pub amount: Amount,
    /// What was spent of it, by the ledger's list prices.
    pub spent: Amount,
    /// The currency of both.
    pub currency: Currency,
}

/// Gate 5: how many people have been reached in the last day and will be by sends of the number that are on their way, where
/// the limit is known (rules.md 3.6). Returns what is used of the platform's limits.
pub fn messaging_gate(
    gates: &mut Gates,
    context: &Context<'_>,
    known: Known<'_>,
    content: &Content,
    (asked_at, at): (Timestamp, Timestamp),
) -> Limits {
    let pair_rate =
        (context.policy.pair_rate && !known.contact.is_group).then(|| known.waits_until(context, at).is_none());
    let looked_at = Limits { pair_rate, throughput: known.throughput_ok(at), ..Limits::default() };
    let day = context.rules.card_date(Days::of(context.zones, known.account.zone, at).first);
    let Some(people) = known.account.limit_on(day).and_then(MessagingLimit::people) else {
        return looked_at;
    };
    let own = limits::own(&known.number.id);
    let portfolio = Scope::of(known.account.portfolio.as_ref(), known.account.id.as_ref(), &known.number.id);
    let reached = context.usage.people(limits::scope(&portfolio, &own, day), at);
    let in_flight = context.rows_hold_all.then(|| known.number.in_flight.count(Uses::MessagingLimit, asked_at));
    if reaches_anew(known, content, at)
        && let Some(AsOf { count, as_of }) = reached
        && count + u64::from(in_flight.unwrap_or_default()) >= u64::from(people)
    {
        let fresh = context.partition_time.since(as_of) <= context.policy.usage_fresh;
        gates.because(if fresh { Reason::MessagingLimit } else { Reason::MessagingLimitUnsure });
    }
    Limits { messaging: Some(people), reached, in_flight, ..looked_at }
}

/// Whether a message that is sent at an instant reaches somebody outside a service window who does not count yet.
#[must_use]
pub fn reaches_anew(known: Known<'_>, content: &Content, at: Timestamp) -> bool {
    let outside = matches!(content, Content::Template(_) | Content::DirectSend(_))
        && !matches!(known.contact.window.at(at, known.number.coexistence_since), WindowAt::Open(_));
    // Whoever was written to within the day counts already.
    let counts = known.contact.last_template_outside.is_some_and(|sent| sent <= at && at < sent + reach::COUNTED);
    outside && !counts
}

/// After all gates of the platform's: the deployment's own budgets, where the message would be charged. A budget counts what
/// the ledger has charged in the month of the instant asked for, in the account's zone, at list price.
pub fn budget_gate(
    gates: &mut Gates,
    context: &Context<'_>,
    known: Known<'_>,
    preview: &Preview,
    at: Timestamp,
) -> Option<BudgetUse> {
    let (Toll::Charged(category), Some(Ok(price))) = (&preview.toll, &preview.price) else {
        return None;
    };
    let mut tightest: Option<(Amount, BudgetUse)> = None;
    for budget in &context.policy.budgets {
        let is_its = budget.number.as_ref().is_none_or(|number| *number == known.number.id)
            && budget.category.as_ref().is_none_or(|of| of == category)
            && budget.currency == price.currency;
        let Some(date) = Days::of(context.zones, known.account.zone, at).certain().filter(|_| is_its) else {
            continue;
        };
        let spend = context.usage.spend(&known.number.id);
        let spent = spend.map_or(Some(Amount::ZERO), |spend| {
            spend.count.of(date.month(), budget.category.as_ref(), budget.currency)
        });
        let after = spent.and_then(|spent| spent.plus(price.amount));
        let (Some(spent), Some(after)) = (spent, after) else {
            continue;
        };
        if after > budget.amount {
            gates.because(match budget.over {
                Over::Block => Reason::BudgetExceeded,
                Over::Warn => Reason::BudgetOverrun,
            });
        } else if after > budget.low {
            gates.because(Reason::BudgetLow);
        }
        let left = budget.amount.plus(spent.reversed()).unwrap_or(budget.amount);
        let used = BudgetUse { amount: budget.amount, spent, currency: budget.currency };
        if tightest.is_none_or(|(least, _)| left < least) {
            tightest = Some((left, used));
        }
    }
    tightest.map(|(_, used)| used)
}

/// Warns where few of the month's free deliveries are left, if the deployment wants to hear of it.
pub fn allowance_gate(gates: &mut Gates, context: &Context<'_>, preview: &Preview) {
    let in_flight = preview.in_flight.unwrap_or_default();
    if let Some(from) = context.policy.allowance_low
        && preview.allowance.is_some_and(|it| it.consumed && it.used_before.saturating_add(in_flight) >= from)
    {
        gates.because(Reason::AllowanceLow);
    }
}
