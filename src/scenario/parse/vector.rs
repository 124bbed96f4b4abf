//! What a scenario says.

use std::ops::Range;

use super::Mistake;
use crate::domain::money::{Amount, Currency};
use crate::domain::time::{Date, Millis};

/// A vector: what is given, and a timeline with what is expected of it.
#[derive(Clone, Debug)]
pub struct Vector {
    /// Its name, such as `A02`.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// Where its header stands.
    pub at: Range<usize>,
    /// The rule it waits for, if it is not expected to pass yet.
    pub pending: Option<String>,
    /// Hour 0, in UTC.
    pub origin: Date,
    /// What is given.
    pub given: Given,
    /// What happens, in the order in which it arrives.
    pub steps: Vec<Step>,
    /// What could not be understood; only a pending vector may have any.
    pub mistakes: Vec<Mistake>,
}

/// What is given before a vector begins.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// The account's time zone; UTC if none is named.
    pub zone: Option<String>,
    /// The time zones of accounts that have one of their own.
    pub other_zones: Vec<(String, String)>,
    /// The account's currency; USD if none is named.
    pub currency: Option<String>,
    /// The contact's phone number.
    pub phone: Option<String>,
    /// The contact's scoped id.
    pub scoped: Option<String>,
    /// The phone number of business number `P1`.
    pub own: Option<String>,
    /// Free deliveries used: how many, and of which month if not that of the first step.
    pub used: Option<(u32, Option<String>)>,
    /// Facts about the account.
    pub facts: Vec<(String, String)>,
    /// Settings, by name and value.
    pub settings: Vec<(String, String)>,
    /// The rate card: `test` or `sample`.
    pub card: Option<String>,
    /// A file of candidate rows, beside the scenarios' own.
    pub candidate: Option<String>,
    /// Whether the service window is open from an hour before the first step on.
    pub window_open: bool,
    /// Whether nothing says that the contact agreed to be written to.
    pub no_opt_in: bool,
}

/// One line of the timeline.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where it stands.
    pub at: Range<usize>,
    /// When it arrives.
    pub when: When,
    /// What happens.
    pub event: Happening,
    /// What is expected after it.
    pub expects: Vec<(Range<usize>, Expect)>,
    /// The rule it waits for.
    pub pending: Option<String>,
}

/// An instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// So long after hour 0.
    After(Millis),
    /// A day and a time of it, in the account's zone.
    Local(Date, Millis),
    /// A day and a time of it, in UTC.
    Utc(Date, Millis),
    /// Seconds since the epoch.
    Unix(i64),
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// The person writes, reacts or calls.
    In(Inbound),
    /// The business's call, by the platform's event.
    Call(String),
    /// The business's call, which the person takes for so long; after as many minutes of calls to others in the month.
    CallOf(Millis, u32),
    /// The business asks, sends, and the message is delivered.
    Out(Outbound),
    /// The platform reports on a message named before, or on one it alone knows.
    Status(StatusLine),
    /// The person stops or resumes marketing.
    Preference(String, Person),
    /// The business records consent: scope, and whether it is given.
    Consent(String, bool, Person),
    /// The person is to be forgotten.
    Erase(Person),
    /// The platform tells of a template: which, and the fact with its value and title.
    Template {
        /// `M`, `U` or `A`.
        template: char,
        /// `status`, `category`, `category_announced` or `quality`.
        fact: String,
        /// Its value.
        value: String,
        /// The title of a status event.
        title: Option<String>,
        /// From when it holds, if not from the step.
        from: Option<When>,
    },
    /// A fact about the account, until when it holds if it says.
    Account(String, String, Option<When>),
    /// The platform tells that account `A`'s portfolio is in a volume tier from now on.
    Tier {
        /// The tier in the platform's notation.
        tier: String,
        /// The market.
        market: String,
        /// The category.
        category: String,
        /// The month.
        month: String,
    },
    /// A bid for a max price: of so much in a currency, or one that a multiplier scales.
    Bid(Bid),
    /// The number begins to be used from the phone app.
    Coexistence,
    /// Nothing but time.
    Time,
}

/// A bid for a max price.
#[derive(Clone, Debug, PartialEq)]
pub enum Bid {
    /// Of so much a message.
    Price(Currency, Amount),
    /// That is known, for a message with a multiplier.
    Scaled(u64, Amount),
}

impl Happening {
    /// The names it gives of a person, where it says so.
    pub fn by(&self) -> Option<&str> {
        match self {
            Self::In(inbound) => inbound.becomes.as_deref().or(inbound.by.as_deref()),
            Self::Out(out) => out.by.as_deref(),
            Self::Status(line) => line.by.as_deref(),
            Self::Preference(_, person) | Self::Consent(_, _, person) | Self::Erase(person) => person.by.as_deref(),
            Self::Call(_)
            | Self::CallOf(..)
            | Self::Bid(_)
            | Self::Tier { .. }
            | Self::Template { .. }
            | Self::Account(..)
            | Self::Coexistence
            | Self::Time => None,
        }
    }
}

/// Whom a choice is about, and when it was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Person {
    /// The names it gives, as of [`Inbound::by`].
    pub by: Option<String>,
    /// When it happened, if not when it arrives.
    pub occurred: Option<When>,
}

/// The person writes, reacts or calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inbound {
    /// What: `text`, `button`, `ctwa`, `call`, `unsupported:edit`, …
    pub kind: String,
    /// The message's name, so that it can come twice.
    pub name: Option<String>,
    /// When it happened, if not when it arrives.
    pub occurred: Option<When>,
    /// The business number it goes to, if not the first.
    pub number: Option<String>,
    /// Which of the contact's ids it carries, `phone` or `id`, or which names of somebody else's; both ids if nothing is
    /// said.
    pub by: Option<String>,
    /// The names after a change that the platform announces.
    pub becomes: Option<String>,
}

/// The business sends.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a word of the grammar")]
pub struct Outbound {
    /// `M`, `U`, `A`, `tmpl`, `svc`, `react`, `DS:U`, `DS:A`, `agent`.
    pub content: String,
    /// How many times.
    pub times: u32,
    /// The message's name.
    pub name: Option<String>,
    /// The business number, if not the first.
    pub number: Option<String>,
    /// The account, if not the number's.
    pub account: Option<String>,
    /// Only ask.
    pub ask_only: bool,
    /// Send although the verdict says no.
    pub anyway: bool,
    /// The instant the verdict is asked for.
    pub evaluate_for: Option<When>,
    /// When it was sent, if not at the step.
    pub sent: Option<When>,
    /// When it was delivered, if not at once.
    pub delivered: Option<When>,
    /// It is accepted and nothing more is heard of it.
    pub undelivered: bool,
    /// It fails, perhaps with a code.
    pub fails: Option<Failure>,
    /// The API refuses it at once, perhaps with a code.
    pub refused: Option<Failure>,
    /// The platform holds it back first.
    pub held: bool,
    /// The platform's word on the price, on `sent` and on `delivered`.
    pub pricing: Vec<(String, Pricing)>,
    /// It goes to a group of so many.
    pub group_of: Option<u32>,
    /// So many of the group get it, if not all.
    pub reaching: Option<u32>,
    /// It goes to others than the vector's contact, each time to somebody else.
    pub to_others: bool,
    /// The names of whom it goes to, as of [`Inbound::by`].
    pub by: Option<String>,
}

/// A send that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The platform's code, if it gives one.
    pub code: Option<i32>,
}

/// The platform reports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatusLine {
    /// The message's name.
    pub name: String,
    /// The status.
    pub status: String,
    /// When it happened, if not when it arrives.
    pub occurred: Option<When>,
    /// The error code.
    pub code: Option<i32>,
    /// The platform's word on the price.
    pub pricing: Option<Pricing>,
    /// Whether it names nobody.
    pub nobody: bool,
    /// The names it gives, as of [`Inbound::by`].
    pub by: Option<String>,
}

/// The platform's word on the price.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pricing {
    /// `PMP` or `CBP`.
    pub model: String,
    /// The type, if there is one.
    pub kind: Option<String>,
    /// The category.
    pub category: String,
    /// The subtype.
    pub subtype: Option<String>,
    /// Whether it says that the message is billable, which says nothing of being free.
    pub billable: bool,
    /// When the conversation ends.
    pub expires: Option<When>,
    /// What the platform names as the cost.
    pub cost: Option<(String, String)>,
}

/// What is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The verdict is allowed.
    Allow,
    /// The verdict is blocked, with a code of the platform's or a reason of ours.
    Block(Option<String>),
    /// The verdict is unknown, for a reason.
    Unknown(Option<String>),
    /// The verdict carries a warning.
    Warning(String),
    /// The verdict carries none, or not this one.
    NoWarning(Option<String>),
    /// The verdict counts so many sends on their way.
    InFlight(u32),
    /// The ledger takes notice of something in this step.
    Notice(String),
    /// It takes notice of nothing.
    NoNotice,
    /// The verdict names a category.
    Category(String),
    /// The verdict names a market.
    Market(String),
    /// The service window is open in this span.
    Window(When, When),
    /// The service window is open until then.
    WindowUntil(When),
    /// The service window is not open.
    NoWindow,
    /// The free entry point window is open in this span.
    Free(When, When),
    /// The free entry point window is not open.
    NoFree,
    /// The message is charged in a category, perhaps so much.
    Charge(String, Option<String>),
    /// A conversation of a kind opened, for this span.
    Opens(String, When, When),
    /// The message is free, for a reason, perhaps in a category.
    FreeLine(String, Option<String>),
    /// The message's line is unknown, for a reason.
    Unpriced(String),
    /// The message has no line.
    NoLine,
    /// No conversation has opened in the vector, or none of this kind.
    NoConversation(Option<String>),
    /// The message takes this free delivery of its month.
    Unit(u32),
    /// So many messages of the vector are charged.
    Charges(u32),
    /// The vector's messages cost so much.
    Total(String, String),
    /// The last of the messages is in this volume tier of a month.
    Tier(u32, String),
    /// The platform has announced that the tier that begins with this message of the month began then.
    TierFrom(u32, When),
    /// The send has this outcome.
    Outcome(String),
    /// The agreement of the message's line.
    Agreement(String),
    /// The bid is this.
    Bid(u64),
    /// What the step publishes last is about the contact whose key is made of this name.
    Key(String),
    /// The step closes a window for a reason.
    Closes(String),
    /// Nothing is published.
    Nothing,
}
