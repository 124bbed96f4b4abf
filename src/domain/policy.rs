//! What a deployment decides for itself, and everything else a fold looks up.
//!
//! The open questions of the platform's rules are switches here, each with the default that rules.md 10
//! recommends; nothing in here is read from a clock, a file or the environment while folding.

use super::content::Category;
use super::id::NumberId;
use super::ledger::usage::Usage;
use super::money::{Amount, Currency};
use super::reference::Reference;
use super::rules::Rules;
use super::rules::cards::Cards;
use super::rules::openers::OpenerTable;
use super::time::{Millis, Timestamp, Zones};

/// The choices of a deployment.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Policy {
    /// Which inbound events open the service window.
    pub openers: OpenerTable,
    /// Which instant's window decides a message's price (rules.md 10 #7).
    pub window_decided_at: DecidedAt,
    /// What to do where nothing says that a contact agreed to be written to.
    pub no_opt_in: NoOptIn,
    /// Whether only one template may be sent after the service window has closed (the seed policy of 2021).
    pub one_template_after_window: bool,
    /// Whether a verdict keeps the platform's rate of one number to one person (rules.md 3.7).
    pub pair_rate: bool,
    /// Whether held messages that fail for a paused template tell that pacing has paused it, so that the pause does not
    /// end by itself (rules.md 10 #42).
    pub pacing_told_by_failures: bool,
    /// How long before its end a window is announced to be closing; `None` for no such alert.
    pub closing_lead: Option<Millis>,
    /// How long before its end the verdict takes the service window for closed (rules.md 10 #9).
    pub margin: Millis,
    /// How late an event about a message we do not hold may be.
    pub horizon: Millis,
    /// Whether outputs carry personal ids.
    pub clear_identity: bool,
    /// What may be spent in a month.
    pub budgets: Vec<Budget>,
    /// From how many used on the month's free deliveries are few.
    pub allowance_low: Option<u32>,
    /// From how many hundredths of a messaging limit on few people are left; nothing where nobody wants to hear of it.
    pub messaging_limit_low: Option<u32>,
    /// How old a count of people reached may be that blocks; beyond that it only warns.
    pub usage_fresh: Millis,
    /// How many asks of one number are answered within a second; beyond it the answer is `throttled`.
    pub asks_per_second: Option<u32>,
}

/// What a number may spend in a month, in all categories or in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The number; nothing where every number has as much, each for itself.
    pub number: Option<NumberId>,
    /// The category; nothing for all of them together.
    pub category: Option<Category>,
    /// How much.
    pub amount: Amount,
    /// From how much on little is left.
    pub low: Amount,
    /// The currency; what is charged in another one does not count.
    pub currency: Currency,
    /// What to do about a message that would cost more than is left.
    pub over: Over,
}

/// What to do about a message that a budget has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Block it.
    Block,
    /// Allow it, with a warning.
    Warn,
}

/// The instant whose window state decides a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecidedAt {
    /// When the message was sent.
    Sent,
    /// When it was delivered.
    Delivered,
}

/// What to do where nothing says that a contact agreed to be written to (rules.md 3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoOptIn {
    /// Allow it, with a warning.
    Warn,
    /// Block it.
    Block,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            openers: OpenerTable::default(),
            window_decided_at: DecidedAt::Sent,
            no_opt_in: NoOptIn::Warn,
            one_template_after_window: false,
            pair_rate: true,
            pacing_told_by_failures: true,
            closing_lead: Some(Millis::hours(1)),
            margin: Millis::ZERO,
            horizon: Millis::days(7),
            clear_identity: false,
            budgets: Vec::new(),
            allowance_low: None,
            messaging_limit_low: None,
            usage_fresh: Millis::minutes(5),
            asks_per_second: None,
        }
    }
}

/// Everything a fold looks up and never changes.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The deployment's choices.
    pub policy: &'a Policy,
    /// The platform's rules.
    pub rules: &'a Rules,
    /// The rate cards.
    pub cards: &'a Cards,
    /// What is known of accounts and templates.
    pub reference: &'a Reference,
    /// The world's time zones.
    pub zones: &'a dyn Zones,
    /// The greatest arrival seen: what "late" and "due" are measured against.
    pub partition_time: Timestamp,
    /// Whether inbound events may be missing that arrived before this one: then a window that looks closed may
    /// be open.
    pub input_stale: bool,
    /// Whether what is known of accounts and templates may be too old to rest a verdict on.
    pub reference_stale: bool,
    /// Whether rows hold all that is known. The older format has no room for sends on their way and for what was refused
    /// to a number: what a restart would forget decides nothing.
    pub rows_hold_all: bool,
    /// What is used of limits and budgets.
    pub usage: &'a dyn Usage,
}
