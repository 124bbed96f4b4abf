//! The rules as the generator reads them, apart from the product: what may be sent, and what it costs.
//!
//! Both questions are asked of a [`Situation`], which the generator knows from its own plan. Nothing here
//! remembers anything. rules.md 1.6, 1.7, 1.11, 2.1, 2.2, 3.2 to 3.5 and 3.8, from 2025-07-01 on.

use super::answer::{Category, FreeReason, Reason};
use super::people::{Contact, Marketing};
use super::world::{Account, State};

/// What is to be sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Free text or media, of the outbound type at this place of the writer's list.
    Freeform(u8),
    Reaction,
    /// A free-form body that claims to be utility.
    DirectSend,
    /// The template at this place of the account's list, or none such; and whether the sender names its
    /// category.
    Template(u8, bool),
}

/// How many messages outside templates a number may deliver for nothing in a local month.
pub(super) const FREE_REPLIES: u32 = 1000;

/// What a message costs, as far as it can be told when it is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Price {
    Settled(Cost),
    /// It depends on how many replies the month has had before: see [`Cost::of_reply`].
    Counted,
}

/// What a delivered message costs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    Charged(Category),
    Free(FreeReason, Category),
}

impl Cost {
    /// The cost of a reply with so many `before` it in its month.
    pub(super) const fn of_reply(before: u32) -> Self {
        if before < FREE_REPLIES {
            Self::Free(FreeReason::FreeCustomerService, Category::Service)
        } else {
            Self::Charged(Category::Service)
        }
    }
}

/// The category of a template, in the words of its account; none if there is no such template.
pub(super) fn category(content: Content, account: &Account, at: i64) -> Option<Category> {
    match content {
        Content::Freeform(_) | Content::Reaction => Some(Category::Service),
        Content::DirectSend => Some(Category::Utility),
        Content::Template(place, _) => account.templates.get(usize::from(place)).map(|template| template.category(at)),
    }
}

/// What a message costs that is sent in the category, with windows open or not when sent, and is delivered
/// before or after replies cost money.
pub(super) fn price(
    content: Content,
    category: Category,
    entry_open: bool,
    window_open: bool,
    replies_cost: bool,
) -> Price {
    Price::Settled(match category {
        _ if content == Content::Reaction => Cost::Free(FreeReason::Reaction, Category::Service),
        _ if entry_open => Cost::Free(FreeReason::FreeEntryPoint, Category::ReferralConversion),
        Category::Service if replies_cost => return Price::Counted,
        Category::Utility if replies_cost || !window_open => Cost::Charged(Category::Utility),
        Category::Service | Category::Utility => Cost::Free(FreeReason::FreeCustomerService, category),
        Category::Marketing | Category::Authentication | Category::ReferralConversion => Cost::Charged(category),
    })
}

/// Who asks or sends.
#[derive(Clone, Copy)]
pub(super) struct Situation<'s> {
    pub(super) account: &'s Account,
    pub(super) contact: &'s Contact,
    /// Whether the person's number is of the United States.
    pub(super) american: bool,
}

impl Situation<'_> {
    /// May `content` be sent at `at`, asked at `asked_at`? `delivered` messages are counted in that month.
    pub(super) fn verdict(&self, content: Content, asked_at: i64, at: i64, delivered: u32) -> Reason {
        let permitted = match content {
            Content::Freeform(_) | Content::Reaction => self.in_window(asked_at, at),
            Content::DirectSend => self.direct_send(at),
            Content::Template(place, _) => self.template(usize::from(place), at),
        };
        match permitted {
            Ok(_) if !self.account.plan.pays && self.would_be_charged(content, at, delivered) => Reason::PaymentIssue,
            Ok(reason) | Err(reason) => reason,
        }
    }

    fn in_window(&self, asked_at: i64, at: i64) -> Result<Reason, Reason> {
        if self.contact.window_open(at) {
            Ok(Reason::ServiceWindowOpen)
        } else if self.contact.window_open(asked_at) {
            Err(Reason::ServiceWindowClosesBeforeSchedule)
        } else if self.contact.spoke_at == 0 {
            Err(Reason::ServiceWindowNeverOpened)
        } else {
            Err(Reason::ServiceWindowClosed)
        }
    }

    /// What forbids all that the business starts.
    fn may_start(&self, at: i64) -> Result<(), Reason> {
        if self.account.restricted(at) {
            Err(Reason::AccountRestricted)
        } else if self.contact.refuses_all {
            Err(Reason::OptedOut)
        } else {
            Ok(())
        }
    }

    fn direct_send(&self, at: i64) -> Result<Reason, Reason> {
        self.may_start(at)?;
        if self.contact.window_open(at) {
            Ok(Reason::ServiceWindowOpen)
        } else if self.account.plan.direct_send {
            Ok(Reason::DirectSendEnabled)
        } else {
            Err(Reason::DirectSendNotEnabled)
        }
    }

    fn template(&self, place: usize, at: i64) -> Result<Reason, Reason> {
        let template = self.account.templates.get(place);
        let marketing = template.is_some_and(|template| template.category(at) == Category::Marketing);
        // Marketing to American numbers has not been delivered since 2025-04-01.
        if self.american && marketing && !self.account.restricted(at) {
            return Err(Reason::MarketingNotInCountry);
        }
        self.may_start(at)?;
        let Some(template) = template else {
            return Err(Reason::TemplateNotFound);
        };
        let known_refusal = matches!(self.contact.marketing, Marketing::Stopped | Marketing::Withdrawn);
        if known_refusal && marketing {
            return Err(Reason::MarketingOptedOut);
        }
        match template.state(at) {
            State::Approved => Ok(Reason::TemplateApproved),
            State::NotApproved => Err(Reason::TemplateNotApproved),
            State::Paused => Err(Reason::TemplatePaused),
            State::Disabled => Err(Reason::TemplateDisabled),
        }
    }

    /// Whether `content` would cost money if sent and delivered at `at`.
    pub(super) fn would_be_charged(&self, content: Content, at: i64, delivered: u32) -> bool {
        let Some(category) = category(content, self.account, at) else {
            return false;
        };
        let answers = self.contact.click_answerable(at, self.account.answer_in_window_from);
        let entry_open = answers || self.contact.entry_open(at);
        let window_open = self.contact.window_open(at);
        let cost = match price(content, category, entry_open, window_open, self.account.replies_cost(at)) {
            Price::Settled(cost) => cost,
            Price::Counted => Cost::of_reply(delivered),
        };
        matches!(cost, Cost::Charged(_))
    }

    /// Why the platform would not deliver `content` sent at `at`, by its error code. It knows nothing of what
    /// people refused with the business itself.
    pub(super) fn refusal(&self, content: Content, at: i64) -> Option<i32> {
        match content {
            Content::Freeform(_) | Content::Reaction => (!self.contact.window_open(at)).then_some(131_047),
            Content::DirectSend => (!self.contact.window_open(at) && !self.account.plan.direct_send).then_some(100),
            Content::Template(place, _) => {
                let Some(template) = self.account.templates.get(usize::from(place)) else {
                    return Some(132_001);
                };
                let stopped = matches!(self.contact.marketing, Marketing::Stopped | Marketing::StoppedUnheard);
                match template.state(at) {
                    State::NotApproved => Some(132_001),
                    State::Paused => Some(132_015),
                    State::Disabled => Some(132_016),
                    State::Approved if template.category(at) != Category::Marketing => None,
                    State::Approved if stopped => Some(131_050),
                    State::Approved => self.american.then_some(131_049),
                }
            }
        }
    }
}
