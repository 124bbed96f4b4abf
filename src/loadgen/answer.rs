//! The right answers, one JSON object each.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

/// What must have come out by the end of the stream.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The verdict on one ask.
    Verdict {
        /// The business number that asked.
        phone_number_id: String,
        /// Its own id of the send.
        request_id: String,
        /// May it be sent?
        verdict: Verdict,
        /// The first reason by precedence.
        reason: Reason,
    },
    /// What remains of a message in the ledger, corrections netted out. A message without a line has none.
    Message {
        /// The business number that sent.
        phone_number_id: String,
        /// The platform's id of the message.
        message_id: String,
        /// Charged, free, or not to be told.
        entry_type: EntryType,
        /// In which category.
        category: Category,
        /// Why free.
        #[serde(skip_serializing_if = "Option::is_none")]
        free_reason: Option<FreeReason>,
        /// Why it cannot be told.
        #[serde(skip_serializing_if = "Option::is_none")]
        unknown_reason: Option<UnknownReason>,
        /// The account's local month of the charge instant, `2026-10`.
        billing_period: String,
        /// The charge instant.
        occurred_at: i64,
        /// The account's local day of it, `2026-10-01`.
        local_date: String,
        /// What it costs; absent where that cannot be told.
        #[serde(skip_serializing_if = "Option::is_none")]
        amount: Option<Amount>,
        /// In which currency; absent with `amount`.
        #[serde(skip_serializing_if = "Option::is_none")]
        currency: Option<&'static str>,
    },
    /// A service window that is open when the stream ends.
    Window {
        /// The business number.
        phone_number_id: String,
        /// The person's present phone number, if the business can know it.
        #[serde(skip_serializing_if = "Option::is_none")]
        wa_id: Option<String>,
        /// The person's present scoped id, if the business can know it.
        #[serde(skip_serializing_if = "Option::is_none")]
        user_id: Option<String>,
        /// The phone number before the person took a new one.
        #[serde(skip_serializing_if = "Option::is_none")]
        former_wa_id: Option<String>,
        /// The scoped id before the person took a new phone number.
        #[serde(skip_serializing_if = "Option::is_none")]
        former_user_id: Option<String>,
        /// The first instant outside the window.
        expires_at: i64,
    },
    /// A sum over the answers before it.
    Total(Total),
}

/// A sum over all answers of a kind.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Total {
    /// Asks.
    Verdicts {
        /// Answered so.
        verdict: Verdict,
        /// For this reason.
        reason: Reason,
        /// How many.
        count: u64,
    },
    /// Messages with a line.
    Messages {
        /// Of this kind.
        entry_type: EntryType,
        /// In this category.
        category: Category,
        /// Free for this reason.
        #[serde(skip_serializing_if = "Option::is_none")]
        free_reason: Option<FreeReason>,
        /// Not to be told for this reason.
        #[serde(skip_serializing_if = "Option::is_none")]
        unknown_reason: Option<UnknownReason>,
        /// How many.
        count: u64,
    },
    /// All that is charged in one currency.
    Money {
        /// The currency.
        currency: &'static str,
        /// The sum.
        amount: Amount,
    },
    /// Windows open at the end.
    Windows {
        /// How many.
        count: u64,
    },
    /// The stream itself.
    Events {
        /// How many events, repeats included.
        count: u64,
        /// The greatest `received_at`, at which windows are open or not.
        partition_time: i64,
    },
}

/// May it be sent? The generator asks nothing that cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the words are the contract's")]
pub enum Verdict {
    Allowed,
    Blocked,
}

/// Why, in order of precedence; those that permit last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the words are the contract's")]
pub enum Reason {
    AccountRestricted,
    MarketingNotInCountry,
    OptedOut,
    MarketingOptedOut,
    ServiceWindowNeverOpened,
    ServiceWindowClosed,
    ServiceWindowClosesBeforeSchedule,
    TemplateNotFound,
    TemplateNotApproved,
    TemplatePaused,
    TemplateDisabled,
    DirectSendNotEnabled,
    PaymentIssue,
    ServiceWindowOpen,
    TemplateApproved,
    DirectSendEnabled,
}

impl Reason {
    /// Whether it permits or forbids.
    pub(super) const fn verdict(self) -> Verdict {
        match self {
            Self::ServiceWindowOpen | Self::TemplateApproved | Self::DirectSendEnabled => Verdict::Allowed,
            _ => Verdict::Blocked,
        }
    }
}

/// Kind of a ledger line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the words are the contract's")]
pub enum EntryType {
    Charge,
    Free,
    Unknown,
}

/// Category of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the words are the contract's")]
pub enum Category {
    Marketing,
    Utility,
    Authentication,
    Service,
    ReferralConversion,
}

impl Category {
    /// The platform's word.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Marketing => "marketing",
            Self::Utility => "utility",
            Self::Authentication => "authentication",
            Self::Service => "service",
            Self::ReferralConversion => "referral_conversion",
        }
    }
}

/// Why a message costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the words are the contract's")]
pub enum FreeReason {
    FreeCustomerService,
    FreeEntryPoint,
    Reaction,
}

/// Why what a message costs cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the words are the contract's")]
pub enum UnknownReason {
    NoRateCard,
    NoRate,
}

/// Money in millionths; as JSON a decimal string with two decimals or as many as it needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub i64);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, millionths) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let decimals = format!("{:06}", millionths % 1_000_000);
        let needed = decimals.trim_end_matches('0').len().max(2);
        write!(f, "{sign}{}.{}", millionths / 1_000_000, &decimals[..needed])
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

type Line = (EntryType, Category, Option<FreeReason>, Option<UnknownReason>);

/// Adds answers up as they are given.
#[derive(Default)]
pub(super) struct Tally {
    verdicts: BTreeMap<Reason, u64>,
    messages: BTreeMap<Line, u64>,
    money: BTreeMap<&'static str, Amount>,
    windows: u64,
}

impl Tally {
    pub(super) fn add(&mut self, answer: &Answer) {
        match answer {
            Answer::Verdict { reason, .. } => *self.verdicts.entry(*reason).or_default() += 1,
            Answer::Message { entry_type, category, free_reason, unknown_reason, amount, currency, .. } => {
                *self.messages.entry((*entry_type, *category, *free_reason, *unknown_reason)).or_default() += 1;
                if let (EntryType::Charge, Some(amount), Some(currency)) = (entry_type, amount, currency) {
                    self.money.entry(currency).or_default().0 += amount.0;
                }
            }
            Answer::Window { .. } => self.windows += 1,
            Answer::Total(_) => {}
        }
    }

    /// The totals, in a fixed order.
    pub(super) fn totals(&self, events: u64, partition_time: i64) -> Vec<Answer> {
        let verdicts = self.verdicts.iter().map(|(reason, count)| Total::Verdicts {
            verdict: reason.verdict(),
            reason: *reason,
            count: *count,
        });
        let messages =
            self.messages.iter().map(|((entry_type, category, free_reason, unknown_reason), count)| Total::Messages {
                entry_type: *entry_type,
                category: *category,
                free_reason: *free_reason,
                unknown_reason: *unknown_reason,
                count: *count,
            });
        let money = self.money.iter().map(|(currency, amount)| Total::Money { currency, amount: *amount });
        let rest = [Total::Windows { count: self.windows }, Total::Events { count: events, partition_time }];
        verdicts.chain(messages).chain(money).chain(rest).map(Answer::Total).collect()
    }
}
