//! What can be said: the three kinds of outbound message that permission and price tell apart.
//!
//! Since Direct Send the outbound type no longer tells whether a message is a template: a free-form body
//! may carry a category, and then the category decides (rules.md 3.3). Hence a type of its own for it.

use super::rules::categories;

/// What a message is, as far as permission and price are concerned. There is no "free-form marketing".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Anything that is no template: text, media, interactive. Needs an open service window.
    Freeform,
    /// A reaction to a message of the person's: free-form, always free, never counted (rules.md 1.7, 5).
    Reaction,
    /// A message made of an approved template.
    Template(Template),
    /// A free-form body with a category, charged and judged as that category (rules.md 3.3).
    DirectSend(Category),
    /// A message written by the platform's own business agent, charged by tokens (rules.md 1.7).
    Agent,
    /// A call of the business's that the person took, charged by the pulses it lasted; none where that is unknown
    /// (rules.md 1.9).
    Call(Option<u32>),
}

impl Content {
    /// What a message of a category must have been, as far as its price is concerned; `None` where the category does not
    /// tell.
    #[must_use]
    pub fn by_category(category: &Category) -> Option<Self> {
        match category {
            Category::Service | Category::GroupService | Category::GeneralPurposeAi | Category::UserInitiated => {
                Some(Self::Freeform)
            }
            Category::Marketing
            | Category::MarketingLite
            | Category::Utility
            | Category::Authentication
            | Category::AuthenticationInternational
            | Category::GroupMarketing
            | Category::GroupUtility => Some(Self::DirectSend(category.clone())),
            Category::Tokens => Some(Self::Agent),
            Category::ReferralConversion
            | Category::Notification
            | Category::BusinessInitiated
            | Category::Call
            | Category::Unknown(_) => None,
        }
    }

    /// The name of the kind on outputs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Freeform => "freeform",
            Self::Reaction => "reaction",
            Self::Template(_) => "template",
            Self::DirectSend(_) => "direct_send",
            Self::Agent => "agent",
            Self::Call(_) => "call",
        }
    }
}

/// A template as a sender names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its name within the account.
    pub name: Box<str>,
    /// Its language code.
    pub language: Box<str>,
    /// The category the sender believes it has; the platform's own record of the template outranks it.
    pub category: Option<Category>,
}

/// A message's category on the platform's price list.
///
/// The platform adds categories; one we do not know is carried through by its raw name and never guessed at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// Marketing templates.
    Marketing,
    /// Marketing templates sent through the Marketing Messages API; same rates since 2025-07-01.
    MarketingLite,
    /// Utility templates.
    Utility,
    /// One-time passcodes.
    Authentication,
    /// Passcodes of eligible businesses to countries with a rate of their own for them.
    AuthenticationInternational,
    /// Anything that is no template.
    Service,
    /// Messages in a free entry point window.
    ReferralConversion,
    /// Templates before 2022-02-01, whatever they say.
    Notification,
    /// Conversations that the business began, from 2022-02-01 to 2023-05-31.
    BusinessInitiated,
    /// Conversations that a person began, in the same time.
    UserInitiated,
    /// Answers of a provider of general-purpose artificial intelligence (rules.md 1.8).
    GeneralPurposeAi,
    /// Messages of the platform's own agent, charged by the token (rules.md 1.7).
    Tokens,
    /// Calls of the business's, charged by pulses of six seconds (rules.md 1.9).
    Call,
    /// Marketing in a group.
    GroupMarketing,
    /// Utility in a group.
    GroupUtility,
    /// What is no template, in a group.
    GroupService,
    /// A category this version does not know, by its raw name.
    Unknown(Box<str>),
}

impl Category {
    /// A category by the platform's name in any spelling it has used, old template categories included.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        categories::by_name(name).unwrap_or_else(|| Self::Unknown(name.into()))
    }

    /// The platform's present name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Marketing => "marketing",
            Self::MarketingLite => "marketing_lite",
            Self::Utility => "utility",
            Self::Authentication => "authentication",
            Self::AuthenticationInternational => "authentication_international",
            Self::Service => "service",
            Self::ReferralConversion => "referral_conversion",
            Self::Notification => "notification",
            Self::BusinessInitiated => "business_initiated",
            Self::UserInitiated => "user_initiated",
            Self::GeneralPurposeAi => "general_purpose_ai",
            Self::Tokens => "tokens",
            Self::Call => "call",
            Self::GroupMarketing => "group_marketing",
            Self::GroupUtility => "group_utility",
            Self::GroupService => "group_service",
            Self::Unknown(raw) => raw,
        }
    }

    /// Whether a marketing opt-out is about it.
    #[must_use]
    pub const fn is_marketing(&self) -> bool {
        matches!(self, Self::Marketing | Self::MarketingLite | Self::GroupMarketing)
    }

    /// Whether it is a passcode's.
    #[must_use]
    pub const fn is_authentication(&self) -> bool {
        matches!(self, Self::Authentication | Self::AuthenticationInternational)
    }

    /// The category of the same message in a group (GRP).
    #[must_use]
    pub fn in_group(self) -> Self {
        match self {
            Self::Marketing | Self::MarketingLite => Self::GroupMarketing,
            Self::Utility => Self::GroupUtility,
            Self::Service => Self::GroupService,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_any_spelling_is_one_category() {
        for (name, category) in [
            ("UTILITY", Category::Utility),
            ("utility", Category::Utility),
            ("authentication-international", Category::AuthenticationInternational),
            ("AUTHENTICATION_INTERNATIONAL", Category::AuthenticationInternational),
            ("SHIPPING_UPDATE", Category::Utility),
            ("AUTO_REPLY", Category::Utility),
            ("OTP", Category::Authentication),
            ("TRANSACTIONAL", Category::Utility),
        ] {
            assert_eq!(Category::parse(name), category, "{name}");
        }
    }

    #[test]
    fn an_unknown_category_keeps_its_name() {
        assert_eq!(Category::parse("telepathy"), Category::Unknown("telepathy".into()));
    }
}
