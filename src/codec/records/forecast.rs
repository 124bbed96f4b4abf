//! `wa.forecasts`, `wa.forecast-answers` and `wa.usage`.

use super::event::{Content, Person};
use super::output::{Envelope, Reason};
use crate::codec::text::Text;

records! {
    /// A question about a campaign.
    ForecastRequested {
        request_id: Text<'a>,
        phone_number_id: Text<'a>,
        account_id: Option<Text<'a>>,
        occurred_at: i64,
        received_at: Option<i64>,
        evaluate_for: Option<i64>,
        recipients: Vec<Person<'a>>,
        candidates: Vec<Content<'a>>,
        #[serde(default)]
        per_recipient: bool,
    }

    /// One part of the answer.
    ForecastAnswer {
        envelope: Envelope<'a>,
        phone_number_id: Text<'a>,
        request_id: Text<'a>,
        chunk: i32,
        chunks: i32,
        answered_at_offset: Option<i64>,
        reference_watermark: Option<i64>,
        partition_time: Option<i64>,
        evaluated_for: Option<i64>,
        totals: Vec<ForecastTotal<'a>>,
        #[serde(default)]
        recipients: Vec<ForecastRecipient<'a>>,
    }

    /// Recipients with one verdict, reason, market and price.
    ForecastTotal {
        candidate: i32,
        verdict: Text<'a>,
        reason: Text<'a>,
        market: Option<Text<'a>>,
        category: Option<Text<'a>>,
        pricing_type: Option<Text<'a>>,
        recipients: i64,
        amount: Option<Text<'a>>,
        currency: Option<Text<'a>>,
        unit_price: Option<Text<'a>>,
        free_reason: Option<Text<'a>>,
        unknown_reason: Option<Text<'a>>,
    }

    /// The answer for one recipient.
    ForecastRecipient {
        recipient: i32,
        candidate: i32,
        contact_key: Text<'a>,
        verdict: Text<'a>,
        reasons: Vec<Reason<'a>>,
        amount: Option<Text<'a>>,
        currency: Option<Text<'a>>,
    }

    /// What a portfolio or a number has used of its limits and tiers.
    Usage {
        envelope: Envelope<'a>,
        scope_type: Text<'a>,
        scope_id: Text<'a>,
        as_of: i64,
        messaging_limit: Option<i64>,
        messaging_limit_name: Option<Text<'a>>,
        unique_users: Option<i64>,
        #[serde(default)]
        tiers: Vec<TierUse<'a>>,
        #[serde(default)]
        spend: Vec<Spend<'a>>,
        #[serde(default)]
        notices: Vec<Notice<'a>>,
    }

    /// The volume of one market, category and month, and the tier it has reached.
    TierUse {
        account_id: Text<'a>,
        market: Text<'a>,
        category: Text<'a>,
        month: Text<'a>,
        messages: i64,
        tier: Option<Text<'a>>,
    }

    /// What was charged in one month, category and currency.
    Spend {
        phone_number_id: Option<Text<'a>>,
        month: Text<'a>,
        category: Text<'a>,
        amount: Text<'a>,
        currency: Text<'a>,
        forecast: Option<Text<'a>>,
    }

    /// What has become little, or is used up.
    Notice {
        code: Text<'a>,
        phone_number_id: Option<Text<'a>>,
        month: Option<Text<'a>>,
        category: Option<Text<'a>>,
        bound: Text<'a>,
        reached: Text<'a>,
        currency: Option<Text<'a>>,
        since: i64,
    }
}
