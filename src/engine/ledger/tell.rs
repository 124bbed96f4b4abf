//! What the ledger tells of its own accord: what each scope has used, every so often and as soon as there is something to
//! notice.

use std::collections::BTreeSet;

use super::{Arisen, Facts, KEPT, Ledger, Numbered, Posted, scope_key};
use crate::domain::id::{AccountId, NumberId};
use crate::domain::ledger::Scope;
use crate::domain::ledger::notices::{self, Notice, Notices, Stands};
use crate::domain::ledger::spend::Spend;
use crate::domain::ledger::volume::{CounterId, Reached};
use crate::domain::money::{Amount, Currency};
use crate::domain::reference::Reference;
use crate::domain::rules::limits::MessagingLimit;
use crate::domain::rules::tiers::Accrual;
use crate::domain::time::{Date, Days, Millis, Month, Span, Timestamp};
use crate::store::{self, Store};

/// What a scope has used of its limits, tiers and budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// Whose.
    pub scope: Scope,
    /// Everything that was known by then is in it.
    pub as_of: Timestamp,
    /// How many people may be reached outside service windows in 24 hours, if known.
    pub limit: Option<MessagingLimit>,
    /// How many have been; nothing where nobody counts them.
    pub people: Option<u64>,
    /// The volume of each account, market, category and month, and the tier the portfolio has reached there.
    pub tiers: Vec<TierUsed>,
    /// What each number was charged for.
    pub spend: Vec<SpentBy>,
    /// What tiers have taken off, by month, category and currency.
    pub off: Vec<(Month, Accrual, Currency, Amount)>,
    /// What there is to notice.
    pub notices: Vec<Standing>,
}

/// The volume of an account that counts towards a tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierUsed {
    /// Of which count.
    pub counter: CounterId,
    /// The account.
    pub account: Option<AccountId>,
    /// Its charged messages.
    pub messages: u64,
    /// The tier that the next message of the portfolio comes into, if any card has tiers for it.
    pub tier: Option<Reached>,
}

/// What one number was charged for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpentBy {
    /// The number.
    pub number: NumberId,
    /// The sums.
    pub spend: Spend,
    /// The present month of its account, and from when to when it lasts, if its zone is known.
    pub month: Option<(Month, Span)>,
}

/// A notice that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The number, if it is of one.
    pub number: Option<NumberId>,
    /// The notice.
    pub notice: Notice,
    /// How far it has come.
    pub reached: Measure,
    /// The charge instant of the line that it arose with.
    pub since: Timestamp,
    /// Whether it has not been told before.
    pub is_new: bool,
}

/// A count of deliveries or people, or a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// So many.
    Count(u64),
    /// So much; nothing where that does not fit into an amount.
    Sum(Option<Amount>),
}

impl Ledger {
    /// Tells what is used, of every scope of which something has changed, its limit too, or people are counted.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn tell(
        &mut self,
        facts: Facts<'_>,
        as_of: Timestamp,
        posted: &mut Vec<Posted>,
        store: &impl Store,
    ) -> Result<(), store::Error> {
        self.forget_people(as_of);
        let counted = self.reach.values().filter(|people| people.reach.next().is_some());
        self.untold.extend(counted.map(|people| people.scope.clone()));
        if self.notices_end.is_some_and(|end| end <= as_of) {
            let ended = |notices: &Notices| notices.next_end().is_some_and(|end| end <= as_of);
            let numbers = self.spend.values().filter(|known| ended(&known.notices));
            self.untold.extend(numbers.map(|known| known.spend.scope.clone()));
        }
        // Nothing else may happen to whom a limit was raised or taken away.
        if self.told_by.replace(facts.reference.version()) != Some(facts.reference.version()) {
            let other = |(scope, told): &(&Scope, &Option<_>)| facts.reference.messaging_limit(scope, as_of) != **told;
            let changed = self.limits.iter().filter(other);
            self.untold.extend(changed.map(|(scope, _)| scope.clone()));
        }
        for scope in std::mem::take(&mut self.untold) {
            let used = self.used(facts, scope, as_of, store)?;
            posted.push(Posted::Used(Box::new(used)));
        }
        self.notices_end = self.spend.values().filter_map(|known| known.notices.next_end()).min();
        self.told_at = Some(as_of);
        Ok(())
    }

    /// Tells what is used, of every scope of which anything is known.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn tell_all(
        &mut self,
        facts: Facts<'_>,
        as_of: Timestamp,
        posted: &mut Vec<Posted>,
        store: &impl Store,
    ) -> Result<(), store::Error> {
        self.untold = self.known();
        self.tell(facts, as_of, posted, store)
    }

    /// The scopes of which anything is known.
    pub(super) fn known(&self) -> BTreeSet<Scope> {
        let numbers = self.spend.values().map(|known| &known.spend.scope);
        let people = self.reach.values().filter(|people| !people.reach.is_empty() || !people.notices.is_empty());
        let people = people.map(|people| &people.scope);
        numbers.chain(people).chain(self.counters.keys().map(|id| &id.scope)).cloned().collect()
    }

    /// Whether notices have arisen that nobody was told of.
    #[must_use]
    pub const fn has_arisen(&self) -> bool {
        !self.arisen.is_empty()
    }

    /// Tells at once what is used where notices have arisen.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn tell_arisen(
        &mut self,
        facts: Facts<'_>,
        as_of: Timestamp,
        posted: &mut Vec<Posted>,
        store: &impl Store,
    ) -> Result<(), store::Error> {
        while let Some((scope, ..)) = self.arisen.first() {
            let scope = scope.clone();
            let used = self.used(facts, scope, as_of, store)?;
            posted.push(Posted::Used(Box::new(used)));
        }
        Ok(())
    }

    /// When something is to be told next, where that is done so often: of what has changed since, and by what is known now.
    #[must_use]
    pub fn next_told(&self, reference: &Reference, every: Millis) -> Option<Timestamp> {
        let may_differ = !self.limits.is_empty() && self.told_by != Some(reference.version());
        let waits =
            may_differ || !self.untold.is_empty() || self.reach.values().any(|people| people.reach.next().is_some());
        let told = self.told_at.map(|told| told + every).or(self.now).filter(|_| waits);
        told.into_iter().chain(self.notices_end).min()
    }

    /// What a scope has used.
    fn used(
        &mut self,
        facts: Facts<'_>,
        scope: Scope,
        as_of: Timestamp,
        store: &impl Store,
    ) -> Result<Used, store::Error> {
        let Facts { setup, reference, .. } = facts;
        let limit = reference.messaging_limit(&scope, as_of);
        let (mut tiers, mut off) = (Vec::new(), Vec::new());
        for (id, entry) in self.counters.iter_mut().filter(|(id, _)| id.scope == scope) {
            entry.prepare(id, reference, store)?;
            let tier =
                entry.counter.tier(id, (&setup.cards, setup.rules.card_date(id.month.first_day())), &entry.switches);
            tiers.extend(entry.counter.accounts().into_iter().map(|(account, messages)| TierUsed {
                counter: id.clone(),
                account,
                messages,
                tier,
            }));
            let sums = entry.counter.published.values().flat_map(|published| &published.off);
            let sums = sums.filter(|(_, amount)| **amount != Amount::ZERO);
            off.extend(sums.map(|(currency, amount)| (id.month, id.accrual, *currency, *amount)));
        }
        self.limits.insert(scope.clone(), limit);
        let (reached, of_limit) = self.people_of(facts, &scope, as_of);
        // Where nobody counts, only a limit says that somebody would be counted.
        let is_counted = reached > 0 || limit.and_then(MessagingLimit::people).is_some();
        let people = is_counted.then_some(reached);
        let (spend, mut notices) = self.spent_in(facts, &scope, as_of);
        notices.extend(of_limit);
        notices.sort_by(|one, other| (&one.number, &one.notice).cmp(&(&other.number, &other.notice)));
        self.arisen.retain(|(of, ..)| *of != scope);
        Ok(Used { scope, as_of, limit, people, tiers, spend, off, notices })
    }

    /// How many people a scope has reached, and what there is to notice of that.
    fn people_of(&mut self, facts: Facts<'_>, scope: &Scope, as_of: Timestamp) -> (u64, Vec<Standing>) {
        let Self { reach, arisen, .. } = self;
        let Some(people) = reach.get_mut(&scope_key(scope)) else {
            return (0, Vec::new());
        };
        people.forget(as_of);
        let limit = match scope {
            // A number's own limit depends on who sends: those of its notices stand until fewer people count.
            Scope::Number(_) => None,
            Scope::Portfolio(_) | Scope::Account(_) => Some(people.limit(&facts, None, as_of)),
        };
        let count = people.reach.len();
        // The limit may be another one than when they arose.
        let hold = limit.map(|limit| {
            let hold = limit.into_iter().flat_map(|limit| notices::of_limit(&facts.setup.policy, limit, count));
            hold.collect::<Vec<_>>()
        });
        let standing =
            people.notices.iter().filter(|(notice, _)| hold.as_ref().is_none_or(|hold| hold.contains(notice)));
        let notices = standing.map(|(notice, Stands { since, .. })| Standing {
            number: None,
            notice: notice.clone(),
            reached: Measure::Count(count),
            since,
            is_new: has(arisen, scope, None, notice),
        });
        (count, notices.collect())
    }

    /// What the numbers of a scope were charged for, in their order, and what there is to notice of that.
    fn spent_in(&mut self, facts: Facts<'_>, scope: &Scope, as_of: Timestamp) -> (Vec<SpentBy>, Vec<Standing>) {
        let Self { spend, spent, arisen, .. } = self;
        let (mut all, mut notices) = (Vec::new(), Vec::new());
        for (number, known) in spend.iter_mut().filter(|(_, known)| known.spend.scope == *scope) {
            let Numbered { spend, notices: standing, changed } = known;
            spend.forget_before(Date::utc(as_of - KEPT).month());
            if standing.keep_in_time(as_of) && !std::mem::replace(changed, true) {
                spent.push(number.clone());
            }
            let policy = &facts.setup.policy;
            let holding = standing.iter().filter(|(notice, _)| notice.holds(policy, number, spend));
            notices.extend(holding.map(|(notice, Stands { since, .. })| Standing {
                number: Some(number.clone()),
                reached: reached(notice, spend),
                is_new: has(arisen, scope, Some(number), notice),
                notice: notice.clone(),
                since,
            }));
            let month = present_month(facts, spend.account.as_ref(), as_of);
            all.push(SpentBy { number: number.clone(), spend: spend.clone(), month });
        }
        all.sort_by(|one, other| one.number.cmp(&other.number));
        (all, notices)
    }
}

/// Whether a notice is among those that have arisen.
fn has(arisen: &[Arisen], scope: &Scope, number: Option<&NumberId>, notice: &Notice) -> bool {
    arisen.iter().any(|(of, from, new)| of == scope && from.as_ref() == number && new == notice)
}

/// How far what a notice is of has come.
fn reached(notice: &Notice, spend: &Spend) -> Measure {
    match notice {
        Notice::AllowanceLow(of) | Notice::AllowanceUsedUp(of) => Measure::Count(u64::from(spend.free_used(of.month))),
        Notice::BudgetLow(of) | Notice::BudgetOverrun(of) | Notice::BudgetExceeded(of) => {
            Measure::Sum(spend.of(of.month, of.category.as_ref(), of.currency))
        }
        // No number has them.
        Notice::MessagingLimitLow(_) | Notice::MessagingLimitReached(_) => Measure::Count(0),
    }
}

/// The month of an instant in an account's zone, and from when to when it lasts; nothing where the zone is not known.
fn present_month(facts: Facts<'_>, account: Option<&AccountId>, at: Timestamp) -> Option<(Month, Span)> {
    let zone = facts.zone(account, at)?;
    let month = Days::of(facts.zones, Some(zone), at).first.month();
    Some((month, facts.span(zone, month)?))
}
