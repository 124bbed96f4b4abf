//! What the platform says of accounts and templates, as facts of the reference topics.

use super::shape::{Lax, Value};
use super::{Part, Reader};
use crate::codec::text::Text;

/// A fact about an account, or about one of its templates.
#[derive(Clone, Debug, PartialEq)]
pub struct NewFact<'a> {
    /// The account.
    pub account: Text<'a>,
    /// The template's name and language, if it is about one.
    pub template: Option<(Text<'a>, Text<'a>)>,
    /// What the fact is: `standing`, `restriction`, `status`, `category`, …
    pub name: Text<'a>,
    /// Its value.
    pub value: Option<Text<'a>>,
    /// The first instant it holds, in milliseconds.
    pub from: i64,
    /// The first instant after it, if it ends.
    pub until: Option<i64>,
    /// What else it says.
    pub attributes: Vec<(&'static str, Text<'a>)>,
}

impl NewFact<'_> {
    /// The fact without its body.
    #[must_use]
    pub fn into_owned(self) -> NewFact<'static> {
        let Self { account, template, name, value, from, until, attributes } = self;
        NewFact {
            account: account.into_owned(),
            template: template.map(|(name, language)| (name.into_owned(), language.into_owned())),
            name: name.into_owned(),
            value: value.map(Text::into_owned),
            from,
            until,
            attributes: attributes.into_iter().map(|(name, value)| (name, value.into_owned())).collect(),
        }
    }
}

impl<'a> Reader<'_, 'a> {
    /// Reads a change that names no business phone number: it is about the account or a template.
    pub(super) fn facts(&mut self, account: &Lax<'a>, time: Option<i64>, field: &str, value: &Value<'a>) {
        // A partner's body names the partner first, and the account it is about inside.
        let info = value.waba_info.0.as_ref();
        let Some(account) = info.and_then(|info| info.waba_id.text()).or_else(|| account.text()) else {
            return self.refuse("missing_field", "`entry.id` and `metadata.phone_number_id` are both missing");
        };
        let Some(from) = time.or(self.fallback) else {
            return self
                .refuse("undated", "nothing says when it happened; give the body a `received_at` in milliseconds");
        };
        let fact = |name: &'static str, value: Option<Text<'a>>| NewFact {
            account: account.clone(),
            template: None,
            name: name.into(),
            value,
            from,
            until: None,
            attributes: Vec::new(),
        };
        match field {
            "account_update" => self.account_update(&fact, value),
            "account_review_update" => self.push(fact("review", value.decision.text()), &[]),
            "phone_number_name_update" => {
                let about = [("display_phone_number", &value.display_phone_number)];
                self.push(fact("phone_number_name", value.decision.text()), &about);
            }
            "phone_number_quality_update" => {
                let about = [
                    ("display_phone_number", &value.display_phone_number),
                    ("current_limit", &value.current_limit),
                    ("max_daily_conversations_per_business", &value.max_daily_conversations_per_business),
                ];
                self.push(fact("phone_number_quality", value.event.text()), &about);
            }
            "business_capability_update" => {
                let about = [
                    ("max_daily_conversations_per_business", &value.max_daily_conversations_per_business),
                    ("max_phone_numbers_per_business", &value.max_phone_numbers_per_business),
                ];
                self.push(fact("capability", None), &about);
            }
            "payment_configuration_update" => {
                let about = [("configuration_name", &value.configuration_name)];
                self.push(fact("payment_configuration", value.status.text()), &about);
            }
            "message_template_status_update" | "message_template_quality_update" | "template_category_update" => {
                self.template(&fact, field, value);
            }
            "flows" => self.push(fact("flow", value.event.text()), &[("flow_id", &value.flow_id)]),
            "account_alerts" => {
                let alert = value.alert_info.0.as_ref().and_then(|alert| alert.alert_type.text());
                self.push(fact("account_alert", alert), &[]);
            }
            "security" => self.push(fact("security", value.event.text()), &[]),
            other => {
                let name = match value.event.text() {
                    Some(event) => format!("{other}/{}", event.as_str()),
                    None => other.to_owned(),
                };
                self.push(fact("webhook", Some(name.into())), &[]);
            }
        }
    }

    fn push(&mut self, mut fact: NewFact<'a>, attributes: &[(&'static str, &Lax<'a>)]) {
        let known = attributes.iter().filter_map(|(name, value)| value.text().map(|value| (*name, value)));
        fact.attributes.extend(known);
        self.parts.push(Part::Fact(fact));
    }

    /// The events of `account_update` (rules.md 3.8, 6.4). Those that change what may be sent or what it
    /// costs have facts of their own; the rest keep their name.
    fn account_update(&mut self, fact: &impl Fn(&'static str, Option<Text<'a>>) -> NewFact<'a>, value: &Value<'a>) {
        let Some(event) = value.event.text() else {
            return self.refuse("missing_field", "`event` is missing");
        };
        let number = ("phone_number", &value.phone_number);
        match event.as_str() {
            "ACCOUNT_RESTRICTION" => {
                for (index, restriction) in value.restriction_info.items().enumerate() {
                    self.below("value.restriction_info", index, |reader| {
                        let Some(name) = restriction.and_then(|restriction| restriction.restriction_type.text()) else {
                            return reader.refuse("missing_field", "`restriction_type` is missing");
                        };
                        let expiration = restriction.and_then(|restriction| restriction.expiration.integer());
                        let until = expiration.and_then(|seconds| seconds.checked_mul(1000));
                        reader.push(NewFact { until, ..fact("restriction", Some(name)) }, &[number]);
                    });
                }
            }
            "DISABLED_UPDATE" => {
                let state = value.ban_info.0.as_ref().and_then(|ban| ban.waba_ban_state.text());
                self.push(fact("standing", state), &[]);
            }
            "ACCOUNT_DELETED" | "ACCOUNT_OFFBOARDED" | "ACCOUNT_RECONNECTED" => {
                self.push(fact("standing", Some(event)), &[number]);
            }
            "ACCOUNT_VIOLATION" => {
                let violation = value.violation_info.0.as_ref().and_then(|violation| violation.violation_type.text());
                self.push(fact("violation", violation), &[number]);
            }
            "VOLUME_BASED_PRICING_TIER_UPDATE" => {
                let Some(tier) = &value.volume_tier_info.0 else {
                    return self.refuse("missing_field", "`volume_tier_info` is missing");
                };
                let about = [
                    ("tier_update_time", &tier.tier_update_time),
                    ("pricing_category", &tier.pricing_category),
                    ("effective_month", &tier.effective_month),
                    ("region", &tier.region),
                ];
                self.push(fact("volume_tier", tier.tier.text()), &about);
            }
            "AUTH_INTL_PRICE_ELIGIBILITY_UPDATE" => {
                let Some(eligibility) = &value.auth_international_rate_eligibility.0 else {
                    return self.refuse("missing_field", "`auth_international_rate_eligibility` is missing");
                };
                let exceptions: Vec<String> = eligibility
                    .exception_countries
                    .items()
                    .flatten()
                    .filter_map(|country| country.country_code.text().zip(country.start_time.text()))
                    .map(|(country, start)| format!("{}={}", country.as_str(), start.as_str()))
                    .collect();
                let mut eligible = fact("authentication_international_from", eligibility.start_time.text());
                if !exceptions.is_empty() {
                    eligible.attributes.push(("exception_countries", exceptions.join(",").into()));
                }
                self.push(eligible, &[]);
            }
            "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE" => {
                self.push(fact("primary_location", value.country.text()), &[]);
            }
            _ => self.push(fact("account_event", Some(event)), &[number]),
        }
        let owner = value.waba_info.0.as_ref().and_then(|info| info.owner_business_id.text());
        if let Some(owner) = owner {
            self.push(fact("portfolio", Some(owner)), &[]);
        }
    }

    /// The three fields about a template (rules.md 3.4, 4.3, 6.4).
    fn template(
        &mut self,
        fact: &impl Fn(&'static str, Option<Text<'a>>) -> NewFact<'a>,
        field: &str,
        value: &Value<'a>,
    ) {
        let (Some(name), Some(language)) = (value.message_template_name.text(), value.message_template_language.text())
        else {
            return self.refuse("missing_field", "`message_template_name` or `message_template_language` is missing");
        };
        let about = |kind, value| NewFact { template: Some((name.clone(), language.clone())), ..fact(kind, value) };
        match field {
            "message_template_status_update" => {
                let Some(event) = value.event.text() else {
                    return self.refuse("missing_field", "`event` is missing");
                };
                let mut status = about("status", Some(event));
                if let Some(title) = value.other_info.0.as_ref().and_then(|info| info.title.text()) {
                    status.attributes.push(("title", title));
                }
                self.push(status, &[("reason", &value.reason), ("template_id", &value.message_template_id)]);
                if let Some(category) = value.message_template_category.text() {
                    self.push(about("category", Some(category)), &[]);
                }
            }
            "message_template_quality_update" => {
                self.push(
                    about("quality", value.new_quality_score.text()),
                    &[("previous", &value.previous_quality_score)],
                );
            }
            // A notice names the present category as `new_category` and the coming one as `correct_category`; a
            // completion names the one before and the new one. Only a notice has a time of its own.
            _ => match (value.correct_category.text(), value.category_update_timestamp.integer()) {
                (Some(coming), at) => {
                    let from = at.and_then(|seconds| seconds.checked_mul(1000));
                    let mut announced = about("category_announced", Some(coming));
                    announced.from = from.unwrap_or(announced.from);
                    self.push(announced, &[("present", &value.new_category)]);
                }
                (None, _) => {
                    self.push(about("category", value.new_category.text()), &[("previous", &value.previous_category)]);
                }
            },
        }
    }
}
