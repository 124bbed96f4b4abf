//! The names a category has had. The ten template categories of 2020 to 2023 (and `AUTO_REPLY`) map to
//! today's by the default of rules.md 4.1; the platform itself classified each template by its content, so
//! a template's own record always outranks this table.

use crate::domain::content::Category;

/// One name and what it means today.
struct Name {
    /// The platform's spelling, lower case, with underscores.
    name: &'static str,
    category: Category,
}

const fn row(name: &'static str, category: Category) -> Name {
    Name { name, category }
}

/// The categories in force first (`ai_bot` is what the platform's analytics call `general_purpose_ai`), then what
/// conversations and notifications were charged as until 2023-05-31 (the platform's text prints `user_initiated` and
/// `customer_initiated`; rules.md 10 #35), then those replaced on 2023-02-02 (Graph v16; CHG #107, #124), then those
/// replaced on 2022-05-19 (Graph v14; CHG #61-#68). Source: rules.md 4.1.
#[rustfmt::skip]
const NAMES: [Name; 31] = [
    row("marketing",                    Category::Marketing),
    row("utility",                      Category::Utility),
    row("authentication",               Category::Authentication),
    row("service",                      Category::Service),
    row("referral_conversion",          Category::ReferralConversion),
    row("marketing_lite",               Category::MarketingLite),
    row("authentication_international", Category::AuthenticationInternational),
    row("general_purpose_ai",           Category::GeneralPurposeAi),
    row("ai_bot",                       Category::GeneralPurposeAi),
    row("group_marketing",              Category::GroupMarketing),
    row("group_utility",                Category::GroupUtility),
    row("group_service",                Category::GroupService),
    row("tokens",                       Category::Tokens),
    row("call",                         Category::Call),
    row("business_initiated",           Category::BusinessInitiated),
    row("user_initiated",               Category::UserInitiated),
    row("customer_initiated",           Category::UserInitiated),
    row("notification",                 Category::Notification),
    row("transactional",                Category::Utility),
    row("otp",                          Category::Authentication),
    row("account_update",               Category::Utility),
    row("alert_update",                 Category::Utility),
    row("appointment_update",           Category::Utility),
    row("issue_resolution",             Category::Utility),
    row("payment_update",               Category::Utility),
    row("personal_finance_update",      Category::Utility),
    row("reservation_update",           Category::Utility),
    row("shipping_update",              Category::Utility),
    row("ticket_update",                Category::Utility),
    row("transportation_update",        Category::Utility),
    row("auto_reply",                   Category::Utility),
];

/// The category of a name, whatever its case, a hyphen taken for an underscore (rules.md 10 #22).
pub(crate) fn by_name(name: &str) -> Option<Category> {
    let same = |known: &str| {
        known.len() == name.len()
            && known.bytes().zip(name.bytes()).all(|(k, n)| k == if n == b'-' { b'_' } else { n.to_ascii_lowercase() })
    };
    NAMES.iter().find(|row| same(row.name)).map(|row| row.category.clone())
}
