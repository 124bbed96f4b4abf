//! What the platform's error codes mean for a sender (rules.md 3.9): whose fault, whether to try again, and
//! whether a verdict could have known.

use crate::domain::time::Millis;

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The service window.
    Window,
    /// The template.
    Template,
    /// The person, by choice or circumstance.
    Contact,
    /// The account.
    Account,
    /// Too many messages.
    Rate,
    /// The request itself.
    Parameter,
    /// The platform.
    Server,
}

impl Class {
    /// The name on outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Template => "template",
            Self::Contact => "contact",
            Self::Account => "account",
            Self::Rate => "rate",
            Self::Parameter => "parameter",
            Self::Server => "server",
        }
    }
}

/// One code.
#[derive(Debug)]
pub struct ErrorRow {
    /// The platform's code, or the first of a range that means one thing.
    pub code: i32,
    /// The last of the range.
    pub last: i32,
    /// Whose fault.
    pub class: Class,
    /// What to do about it.
    pub advice: &'static str,
    /// Whether our verdict should have said so: an `allowed` that meets such a code was wrong.
    pub predictable: bool,
}

const fn row(code: i32, class: Class, advice: &'static str, predictable: bool) -> ErrorRow {
    ErrorRow { code, last: code, class, advice, predictable }
}

/// The codes, ascending. Source: ERR, read as rules.md 3.9 tells.
#[rustfmt::skip]
pub const ERRORS: [ErrorRow; 75] = [
    row(     0, Class::Account,   "fix", false),
    row(     1, Class::Server,    "back_off", false),
    row(     2, Class::Server,    "back_off", false),
    row(     3, Class::Account,   "fix", false),
    row(     4, Class::Rate,      "back_off", false),
    row(    10, Class::Account,   "fix", false),
    row(    33, Class::Account,   "fix", false),
    row(   100, Class::Parameter, "fix", false),
    row(   190, Class::Account,   "fix", false),
    ErrorRow { last: 299, ..row(200, Class::Account, "fix", false) },
    row(   368, Class::Account,   "no", true),
    row(   470, Class::Window,    "send_template", true),
    row(  1031, Class::Account,   "no", true),
    row(  2061, Class::Template,  "after_unpause", true),
    row(  2062, Class::Template,  "no", true),
    row( 80007, Class::Rate,      "back_off", false),
    row(130403, Class::Contact,   "no", false),
    row(130429, Class::Rate,      "back_off", false),
    row(130472, Class::Contact,   "no", false),
    row(130497, Class::Account,   "no", false),
    row(131000, Class::Server,    "back_off", false),
    row(131005, Class::Account,   "fix", false),
    row(131008, Class::Parameter, "fix", false),
    row(131009, Class::Parameter, "fix", false),
    row(131016, Class::Server,    "back_off", false),
    row(131020, Class::Parameter, "no", false),
    row(131021, Class::Parameter, "no", false),
    row(131026, Class::Contact,   "no", false),
    row(131030, Class::Contact,   "no", false),
    row(131031, Class::Account,   "no", true),
    row(131037, Class::Account,   "fix", false),
    row(131041, Class::Parameter, "no", false),
    row(131042, Class::Account,   "fix_payment", true),
    row(131044, Class::Account,   "fix_payment", false),
    row(131045, Class::Account,   "fix", false),
    row(131047, Class::Window,    "send_template", true),
    row(131048, Class::Rate,      "later", false),
    row(131049, Class::Contact,   "after_24_hours", false),
    row(131050, Class::Contact,   "until_resume", true),
    row(131051, Class::Parameter, "no", false),
    row(131052, Class::Parameter, "maybe", false),
    row(131053, Class::Parameter, "maybe", false),
    row(131056, Class::Rate,      "back_off", true),
    row(131057, Class::Server,    "later", false),
    row(131060, Class::Parameter, "no", false),
    row(131061, Class::Template,  "fix", false),
    row(131062, Class::Parameter, "use_phone", false),
    row(131063, Class::Template,  "fix", false),
    row(131064, Class::Account,   "after_the_period", false),
    row(131065, Class::Template,  "fix", false),
    row(131070, Class::Account,   "after_handover", false),
    row(131207, Class::Parameter, "no", false),
    row(131208, Class::Rate,      "back_off", false),
    row(131214, Class::Parameter, "no", false),
    row(131215, Class::Parameter, "no", false),
    row(132000, Class::Template,  "fix", false),
    row(132001, Class::Template,  "fix", true),
    row(132005, Class::Template,  "fix", false),
    row(132007, Class::Template,  "fix", false),
    row(132008, Class::Template,  "fix", false),
    row(132012, Class::Template,  "fix", false),
    row(132015, Class::Template,  "after_unpause", true),
    row(132016, Class::Template,  "no", true),
    row(132018, Class::Template,  "fix", false),
    row(132068, Class::Template,  "fix", false),
    row(132069, Class::Template,  "later", false),
    row(133004, Class::Server,    "back_off", false),
    row(133010, Class::Account,   "fix", false),
    row(134100, Class::Template,  "fix", false),
    row(134101, Class::Template,  "fix", false),
    row(134102, Class::Template,  "fix", false),
    row(134103, Class::Template,  "fix", false),
    row(135000, Class::Template,  "no", false),
    row(137000, Class::Parameter, "no", false),
    row(139200, Class::Account,   "no", false),
];

const _: () = {
    let mut at = 1;
    while at < ERRORS.len() {
        assert!(ERRORS[at - 1].last < ERRORS[at].code, "error codes stand in ascending order");
        at += 1;
    }
};

/// Marketing was held back because the person has had enough of it, from all businesses together (PUL).
pub const MARKETING_CAPPED: i32 = 131_049;
/// Marketing was held back for an experiment (EXP).
pub const HELD_OUT: i32 = 130_472;
/// One business number has written to one person faster than the platform takes (PAIR).
pub const PAIR_RATE: i32 = 131_056;
/// A template that was held back was dropped for the whole portfolio's sake; also a general error (PPACE).
pub const PORTFOLIO_PACED: i32 = 135_000;

/// How long to wait after [`MARKETING_CAPPED`] before marketing is tried again (PUL).
pub const MARKETING_CAP: Millis = Millis::hours(24);

/// The code that teaches us that a person has stopped marketing messages.
pub const MARKETING_STOPPED: i32 = 131_050;
/// The code of a message that was held and then dropped because its template was paused.
pub const TEMPLATE_PAUSED: i32 = 132_015;

/// What a code means; `None` for one this version does not know.
#[must_use]
pub fn error(code: i32) -> Option<&'static ErrorRow> {
    let after = ERRORS.partition_point(|row| row.code <= code);
    ERRORS[..after].last().filter(|row| code <= row.last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_alone_or_in_its_range() {
        for (code, class) in
            [(0, Some("account")), (200, Some("account")), (250, Some("account")), (299, Some("account")), (300, None)]
        {
            assert_eq!(error(code).map(|row| row.class.name()), class, "{code}");
        }
        assert!(error(-1).is_none() && error(131_046).is_none());
        assert_eq!(error(131_047).map(|row| row.advice), Some("send_template"));
    }
}
