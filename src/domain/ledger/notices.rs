//! What has become little, or is used up: of a number's free deliveries and budgets in a month, and of a messaging limit.
//! Each is told as soon as it arises, and stands for as long as it holds.

use std::collections::BTreeMap;

use super::spend::{Item, Spend};
use crate::domain::content::Category;
use crate::domain::id::NumberId;
use crate::domain::money::{Amount, Currency};
use crate::domain::policy::{Budget, Over, Policy};
use crate::domain::time::{Month, Timestamp};

/// The free deliveries of a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deliveries {
    /// The month, in the account's zone.
    pub month: Month,
    /// How many used up make the notice.
    pub bound: u32,
}

/// A budget of a month.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BudgetOf {
    /// The month, in the account's zone.
    pub month: Month,
    /// The category; nothing where the budget is of all of them together.
    pub category: Option<Category>,
    /// The currency.
    pub currency: Currency,
    /// More than how much makes the notice.
    pub bound: Amount,
}

/// Something to take notice of. Names are those of the reasons of verdicts, where there is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notice {
    /// Few of the month's free deliveries are left, as the deployment has it.
    AllowanceLow(Deliveries),
    /// None of them is.
    AllowanceUsedUp(Deliveries),
    /// Little is left of a budget.
    BudgetLow(BudgetOf),
    /// More was spent than a budget that the deployment only wants to hear of.
    BudgetOverrun(BudgetOf),
    /// More was spent than a budget that blocks: by messages on their way, or sent all the same.
    BudgetExceeded(BudgetOf),
    /// So many people were reached within a day that few are left of the messaging limit, as the deployment has it.
    MessagingLimitLow(u32),
    /// As many were reached as the limit allows.
    MessagingLimitReached(u32),
}

impl Notice {
    /// The name on outputs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AllowanceLow(_) => "allowance_low",
            Self::AllowanceUsedUp(_) => "allowance_used_up",
            Self::BudgetLow(_) => "budget_low",
            Self::BudgetOverrun(_) => "budget_overrun",
            Self::BudgetExceeded(_) => "budget_exceeded",
            Self::MessagingLimitLow(_) => "messaging_limit_low",
            Self::MessagingLimitReached(_) => "messaging_limit_reached",
        }
    }

    /// The month it is of, if it is of one.
    #[must_use]
    pub const fn month(&self) -> Option<Month> {
        match self {
            Self::AllowanceLow(of) | Self::AllowanceUsedUp(of) => Some(of.month),
            Self::BudgetLow(of) | Self::BudgetOverrun(of) | Self::BudgetExceeded(of) => Some(of.month),
            Self::MessagingLimitLow(_) | Self::MessagingLimitReached(_) => None,
        }
    }

    /// Whether it still holds of a number: a line may have been taken back, and a budget may have become another one.
    #[must_use]
    pub fn holds(&self, policy: &Policy, number: &NumberId, spend: &Spend) -> bool {
        let budgets = || policy.budgets.iter().filter(|budget| is_of(budget, number));
        let of_budget = |of: &BudgetOf, makes: fn(&Budget, BudgetOf) -> Option<Notice>| {
            let makes =
                |budget: &Budget| budget.category == of.category && makes(budget, of.clone()).as_ref() == Some(self);
            let spent = spend.of(of.month, of.category.as_ref(), of.currency);
            spent.is_none_or(|spent| of.bound < spent) && budgets().any(makes)
        };
        match self {
            Self::AllowanceLow(of) => policy.allowance_low == Some(of.bound) && of.bound <= spend.free_used(of.month),
            Self::AllowanceUsedUp(of) => of.bound <= spend.free_used(of.month),
            Self::BudgetLow(of) => of_budget(of, low),
            Self::BudgetOverrun(of) | Self::BudgetExceeded(of) => of_budget(of, over),
            // No number has them.
            Self::MessagingLimitLow(_) | Self::MessagingLimitReached(_) => true,
        }
    }
}

fn is_of(budget: &Budget, number: &NumberId) -> bool {
    budget.number.as_ref().is_none_or(|of| of == number)
}

/// The notice that little is left of a budget, if that is a bound of its own.
fn low(budget: &Budget, of: BudgetOf) -> Option<Notice> {
    (budget.low < budget.amount).then_some(Notice::BudgetLow(BudgetOf { bound: budget.low, ..of }))
}

/// The notice that more than a budget was spent.
#[allow(clippy::unnecessary_wraps, reason = "as little being left may be no notice")]
fn over(budget: &Budget, of: BudgetOf) -> Option<Notice> {
    let of = BudgetOf { bound: budget.amount, ..of };
    Some(match budget.over {
        Over::Warn => Notice::BudgetOverrun(of),
        Over::Block => Notice::BudgetExceeded(of),
    })
}

/// What there is to notice of a month's free deliveries, of which so many are used, and so many there are.
pub fn of_allowance(policy: &Policy, month: Month, used: u32, limit: Option<u32>) -> impl Iterator<Item = Notice> {
    let reached =
        move |bound: Option<u32>| bound.filter(|bound| *bound <= used).map(|bound| Deliveries { month, bound });
    let few = reached(policy.allowance_low).map(Notice::AllowanceLow);
    few.into_iter().chain(reached(limit).map(Notice::AllowanceUsedUp))
}

/// What there is to notice of the budgets that a number's charge counts towards.
#[must_use]
pub fn of_budgets(policy: &Policy, number: &NumberId, spend: &Spend, charged: &Item) -> Vec<Notice> {
    let Item { month, ref category, currency } = *charged;
    let mut notices = Vec::new();
    let theirs = |budget: &&Budget| {
        is_of(budget, number) && budget.currency == currency && budget.category.as_ref().is_none_or(|of| of == category)
    };
    for budget in policy.budgets.iter().filter(theirs) {
        let Some(spent) = spend.of(month, budget.category.as_ref(), currency) else {
            continue;
        };
        let of = || BudgetOf { month, category: budget.category.clone(), currency, bound: budget.amount };
        if budget.low < spent {
            notices.extend(low(budget, of()));
        }
        if budget.amount < spent {
            notices.extend(over(budget, of()));
        }
    }
    notices
}

/// What there is to notice of a messaging limit, where so many people were reached within a day.
pub fn of_limit(policy: &Policy, limit: u32, people: u64) -> impl Iterator<Item = Notice> {
    let reached = move |bound: u32| u64::from(bound) <= people;
    let few = policy.messaging_limit_low.map(|percent| percent_of(percent, limit));
    let few = few.filter(|bound| reached(*bound)).map(Notice::MessagingLimitLow);
    few.into_iter().chain(reached(limit).then_some(Notice::MessagingLimitReached(limit)))
}

/// So many hundredths of a limit, and no fewer.
fn percent_of(percent: u32, limit: u32) -> u32 {
    u32::try_from((u64::from(limit) * u64::from(percent)).div_ceil(100)).unwrap_or(limit)
}

/// Since when a notice stands, and until when at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stands {
    /// The charge instant of the line that it arose with.
    pub since: Timestamp,
    /// The end of its month; nothing for what is of no month.
    pub until: Option<Timestamp>,
}

/// The notices that have arisen, of what is not over. Whether one holds at an instant is asked of it: a line of a month that
/// is taken back and written anew makes none anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notices(BTreeMap<Notice, Stands>);

impl Notices {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Whether a notice has arisen.
    #[must_use]
    pub fn has(&self, notice: &Notice) -> bool {
        self.0.contains_key(notice)
    }

    /// A notice arises. One that stands already stays as it is.
    pub fn arise(&mut self, notice: Notice, stands: Stands) {
        self.0.entry(notice).or_insert(stands);
    }

    /// Takes away those of months that have ended. Tells whether there were any.
    pub fn keep_in_time(&mut self, now: Timestamp) -> bool {
        self.keep(|_, stands| stands.until.is_none_or(|until| now < until))
    }

    /// Takes away those of messaging limits of which so many people are less. Tells whether there were any.
    pub fn keep_reached(&mut self, people: u64) -> bool {
        self.keep(|notice, _| match notice {
            Notice::MessagingLimitLow(bound) | Notice::MessagingLimitReached(bound) => u64::from(*bound) <= people,
            _ => true,
        })
    }

    fn keep(&mut self, mut holds: impl FnMut(&Notice, &Stands) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|notice, stands| holds(notice, stands));
        self.0.len() < before
    }

    /// When the first month ends of which one stands.
    #[must_use]
    pub fn next_end(&self) -> Option<Timestamp> {
        self.0.values().filter_map(|stands| stands.until).min()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Notice, Stands)> {
        self.0.iter().map(|(notice, stands)| (notice, *stands))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Notice, Stands)> for Notices {
    fn from_iter<I: IntoIterator<Item = (Notice, Stands)>>(notices: I) -> Self {
        Self(notices.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::AccountId;
    use crate::domain::ledger::Scope;

    fn usd() -> Currency {
        Currency::parse("USD").expect("a currency")
    }

    fn number() -> NumberId {
        NumberId::parse("n").expect("an id")
    }

    fn month() -> Month {
        Month::parse("2026-11").expect("a month")
    }

    fn cents(cents: i64) -> Amount {
        Amount::from_millionths(cents * 10_000)
    }

    /// `warn 100 low 80`, `block 100 of marketing`, `warn 100 of n`, `warn 100 of another`: a budget in cents.
    fn budget(text: &str) -> Budget {
        let words: Vec<&str> = text.split(' ').collect();
        let after = |word| words.iter().position(|known| *known == word).map(|place| words[place + 1]);
        let amount = |text: &str| cents(text.parse().expect("cents"));
        let (of, whole) = (after("of"), amount(words[1]));
        let is_number = |of: &&str| ["n", "another"].contains(of);
        Budget {
            number: of.filter(is_number).map(|id| NumberId::parse(id).expect("an id")),
            category: of.filter(|of| !is_number(of)).map(Category::parse),
            amount: whole,
            low: after("low").map_or(whole, amount),
            currency: usd(),
            over: if words[0] == "block" { Over::Block } else { Over::Warn },
        }
    }

    fn told<'a>(notices: impl IntoIterator<Item = &'a Notice>) -> String {
        notices.into_iter().map(Notice::code).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn budgets_are_noticed_once_more_than_their_bound_is_spent() {
        for (text, spent, expected) in [
            ("warn 100 low 80", 80, ""),
            ("warn 100 low 80", 81, "budget_low"),
            ("warn 100 low 80", 100, "budget_low"),
            ("warn 100 low 80", 101, "budget_low budget_overrun"),
            ("block 100", 100, ""),
            ("block 100", 101, "budget_exceeded"),
            ("block 100 of marketing", 101, ""),
            ("block 100 of utility", 101, "budget_exceeded"),
            ("warn 100 of n", 101, "budget_overrun"),
            ("warn 100 of another", 101, ""),
        ] {
            let policy = Policy { budgets: vec![budget(text)], ..Policy::default() };
            let mut spend = Spend::new(Scope::Account(AccountId::parse("a").expect("an id")));
            let item = Item { month: month(), category: Category::Utility, currency: usd() };
            spend.add(item.clone(), 1, cents(spent));
            let notices = of_budgets(&policy, &number(), &spend, &item);
            assert_eq!(told(&notices), expected, "{spent} of `{text}`");
            assert!(notices.iter().all(|notice| notice.holds(&policy, &number(), &spend)), "{text}");
            let other = Policy { budgets: vec![budget("warn 200 low 90")], ..Policy::default() };
            assert!(!notices.iter().any(|notice| notice.holds(&other, &number(), &spend)), "{text}: it is another one");
            spend.add(item, -1, cents(-spent));
            assert!(
                !notices.iter().any(|notice| notice.holds(&policy, &number(), &spend)),
                "{text}: it was taken back"
            );
        }
    }

    #[test]
    fn free_deliveries_and_limits_are_noticed_at_their_bound() {
        let policy = Policy { allowance_low: Some(900), messaging_limit_low: Some(80), ..Policy::default() };
        for (used, expected) in [(899, ""), (900, "allowance_low"), (1_000, "allowance_low allowance_used_up")] {
            let notices: Vec<_> = of_allowance(&policy, month(), used, Some(1_000)).collect();
            assert_eq!(told(&notices), expected, "{used} used");
        }
        for (people, expected) in
            [(200, ""), (201, "messaging_limit_low"), (251, "messaging_limit_low messaging_limit_reached")]
        {
            let notices: Vec<_> = of_limit(&policy, 251, people).collect();
            assert_eq!(told(&notices), expected, "{people} people, and 80 in a hundred of 251 are 200.8");
        }
        let unasked = Policy::default();
        assert_eq!(told(&of_limit(&unasked, 250, 249).collect::<Vec<_>>()), "");
        assert_eq!(told(&of_allowance(&unasked, month(), 1_000, None).collect::<Vec<_>>()), "", "no allowance");
    }

    #[test]
    fn a_notice_stands_as_it_arose_until_it_is_taken_away() {
        let at = |hours| Timestamp::EARLIEST + crate::domain::time::Millis::hours(hours);
        let used_up = Notice::AllowanceUsedUp(Deliveries { month: month(), bound: 1_000 });
        let mut notices = Notices::new();
        notices.arise(used_up.clone(), Stands { since: at(1), until: Some(at(9)) });
        notices.arise(used_up.clone(), Stands { since: at(2), until: Some(at(9)) });
        notices.arise(Notice::MessagingLimitReached(250), Stands { since: at(3), until: None });
        assert_eq!(notices.iter().next(), Some((&used_up, Stands { since: at(1), until: Some(at(9)) })));
        assert_eq!(notices.next_end(), Some(at(9)));
        assert!(!notices.keep_in_time(at(9) - crate::domain::time::Millis(1)));
        assert!(notices.keep_in_time(at(9)) && !notices.keep_reached(250));
        assert_eq!(
            (told(notices.iter().map(|(notice, _)| notice)), notices.next_end()),
            ("messaging_limit_reached".into(), None)
        );
        assert!(notices.keep_reached(249) && notices.is_empty());
    }
}
