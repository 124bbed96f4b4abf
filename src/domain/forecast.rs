//! What a campaign would come to: the verdict and the price of every message of a list, before any is sent.
//!
//! Each message is judged as an ask would be at that instant, with one difference: the month's free deliveries, the
//! messaging limit and the budgets are used up within the campaign, in the order of the list. Nothing that is remembered
//! changes.

use std::collections::{BTreeMap, BTreeSet};

use super::billing::{NoPrice, Toll, Unpriced};
use super::contact::Contact;
use super::content::Content;
use super::event::Ask;
use super::id::{AccountId, ContactKey, Identity, NumberId, RequestId, WaId};
use super::in_flight::Uses;
use super::ledger::Scope;
use super::ledger::spend::{Item, Spend};
use super::ledger::usage::{AsOf, Usage};
use super::money::{Amount, Currency};
use super::number::Number;
use super::policy::Context;
use super::reference::Account;
use super::rules::markets::Market;
use super::time::{Days, Timestamp};
use super::verdict::{self, Answer, Known, Preview, Reason, Verdict};

/// How many recipients one question may name.
pub const MOST_RECIPIENTS: usize = 10_000;

/// How many candidates one question may name: each is judged for every recipient.
pub const MOST_CANDIDATES: usize = 10;

/// A question about a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The asker's id of it.
    pub request: RequestId,
    /// The business phone number that would send.
    pub number: NumberId,
    /// The account that would send, if the asker names it.
    pub account: Option<AccountId>,
    /// When it is asked.
    pub asked_at: Timestamp,
    /// The instant to answer for, when it is not now.
    pub evaluate_for: Option<Timestamp>,
    /// Who would be written to, in the order of the list.
    pub recipients: Vec<Identity>,
    /// What might be said. Each is a campaign of its own.
    pub candidates: Vec<Candidate>,
    /// Whether every recipient's answer is wanted besides the totals.
    pub per_recipient: bool,
}

/// What might be said to the recipients of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// The same to all.
    Same(Content),
    /// To each what the list says.
    Each(Vec<Content>),
}

impl Candidate {
    /// What is said to a recipient, by its place in the list.
    #[must_use]
    pub fn to(&self, recipient: usize) -> Option<&Content> {
        match self {
            Self::Same(content) => Some(content),
            Self::Each(contents) => contents.get(recipient),
        }
    }
}

/// A campaign being judged, message by message.
pub struct Campaign<'a> {
    context: Context<'a>,
    account: &'a Account,
    /// As it would be once the messages judged so far are delivered; those of them that reach somebody anew are on their way.
    number: Number,
    /// What it would have been charged for then.
    spend: Spend,
    /// Whom they reach.
    reached: BTreeSet<ContactKey>,
}

impl<'a> Campaign<'a> {
    /// A campaign of which nothing is judged yet.
    #[must_use]
    pub fn new(context: Context<'a>, account: &'a Account, number: Number) -> Self {
        let scope = || Scope::of(account.portfolio.as_ref(), account.id.as_ref(), &number.id);
        let spend = context.usage.spend(&number.id).map_or_else(|| Spend::new(scope()), |spend| spend.count.clone());
        Self { context, account, number, spend, reached: BTreeSet::new() }
    }

    /// Judges the next message. One that would be sent uses up what it takes of the free deliveries, of budgets and of
    /// the messaging limit; one that is refused or cannot be told does not.
    pub fn judge(&mut self, contact: &Contact, phone: Option<&WaId>, ask: &Ask, asked_at: Timestamp) -> Verdict {
        let known = Known { number: &self.number, contact, phone, account: self.account };
        let usage = Spending { usage: self.context.usage, number: &self.number.id, spend: &self.spend };
        let context = Context { usage: &usage, ..self.context };
        let verdict = verdict::judge(&context, known, ask, asked_at, false);
        if verdict.answer != Answer::Allowed {
            return verdict;
        }
        let at = verdict.evaluate_for;
        let reaches = verdict::reaches_anew(known, &ask.content, at);
        if let Some(allowance) = verdict.price.allowance.filter(|allowance| allowance.consumed) {
            self.number.months.entry(allowance.month).or_default().confirm(true);
        }
        if let (Toll::Charged(category), Some(Ok(price))) = (&verdict.price.toll, &verdict.price.price)
            && let Some(date) = Days::of(self.context.zones, self.account.zone, at).certain()
        {
            let item = Item { month: date.month(), category: category.clone(), currency: price.currency };
            self.spend.add(item, 1, price.amount);
        }
        if reaches && self.reached.insert(contact.key) {
            self.number.in_flight.depart(Uses::MessagingLimit, asked_at);
        }
        verdict
    }
}

/// What is used, and what the messages of a campaign would add to it.
struct Spending<'a> {
    usage: &'a dyn Usage,
    number: &'a NumberId,
    spend: &'a Spend,
}

impl Usage for Spending<'_> {
    fn people(&self, scope: &Scope, at: Timestamp) -> Option<AsOf<u64>> {
        self.usage.people(scope, at)
    }

    fn spend(&self, number: &NumberId) -> Option<AsOf<&Spend>> {
        let known = self.usage.spend(number);
        if number != self.number {
            return known;
        }
        Some(AsOf { count: self.spend, as_of: known.map_or(Timestamp::EARLIEST, |known| known.as_of) })
    }
}

/// Messages of a campaign that share verdict, reason, market, category and price, in the order in which they are told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// Which candidate, from 0.
    pub candidate: usize,
    /// The answer.
    pub answer: Answer,
    /// Its first reason.
    pub reason: Reason,
    /// The market, if known.
    pub market: Option<Market>,
    /// The category it would be charged or free in, if known.
    pub category: Option<Box<str>>,
    /// The platform's pricing type, if it has one.
    pub pricing_type: Option<&'static str>,
    /// Why it would be free, or why its price is unknown.
    pub why: Option<Why>,
    /// What one of them costs; nothing where that is unknown or it is not sent.
    pub unit: Option<(Amount, Option<Currency>)>,
}

/// Why a message would cost nothing, or cannot be priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It is free for this reason.
    Free(&'static str),
    /// Its price is unknown for this reason.
    Unknown(&'static str),
}

impl Group {
    /// The group of a message.
    #[must_use]
    pub fn of(candidate: usize, verdict: &Verdict, currency: Option<Currency>) -> Self {
        let price = &verdict.price;
        let why = match (&price.toll, &price.price) {
            (Toll::Free(reason, _), _) => Some(Why::Free(reason.name())),
            (Toll::Unknown(why), _) => Some(Why::Unknown(Unpriced::name(why))),
            (Toll::Charged(_), Some(Err(missing))) => Some(Why::Unknown(NoPrice::name(*missing))),
            (Toll::Charged(_), Some(Ok(_)) | None) => None,
        };
        Self {
            candidate,
            answer: verdict.answer,
            reason: verdict.reasons.first().map_or(Reason::Malformed, |cited| cited.reason),
            market: price.market,
            category: price.toll.category().map(Box::from),
            pricing_type: price.toll.pricing_type(),
            why,
            unit: unit(verdict.answer, price, currency),
        }
    }
}

/// What a message adds to the cost of its campaign: nothing is known of one without a price, and one that is refused
/// is not sent.
#[must_use]
pub fn unit(answer: Answer, price: &Preview, currency: Option<Currency>) -> Option<(Amount, Option<Currency>)> {
    match (&price.toll, &price.price) {
        _ if answer == Answer::Blocked => None,
        (Toll::Free(..), _) => Some((Amount::ZERO, currency)),
        (Toll::Charged(_), Some(Ok(price))) => Some((price.amount, Some(price.currency))),
        (Toll::Charged(_), Some(Err(_)) | None) | (Toll::Unknown(_), _) => None,
    }
}

/// How many messages of each group there are, and what they come to together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals(BTreeMap<Group, (u64, Option<Amount>)>);

impl Totals {
    /// Counts a message.
    pub fn add(&mut self, group: Group) {
        let unit = group.unit.map(|(amount, _)| amount);
        let (count, sum) = self.0.entry(group).or_insert((0, unit.map(|_| Amount::ZERO)));
        *count += 1;
        // A sum that does not fit is no sum: it shows as unknown, not as something wrong.
        *sum = sum.zip(unit).and_then(|(sum, unit)| sum.plus(unit));
    }

    /// The groups in order, each with the number of its messages and what they cost.
    pub fn iter(&self) -> impl Iterator<Item = (&Group, u64, Option<Amount>)> {
        self.0.iter().map(|(group, (count, sum))| (group, *count, *sum))
    }
}
