//! `wa.accounts` and `wa.templates`: the whole dated history of one entity per record.

use std::collections::BTreeMap;

use crate::codec::text::Text;

records! {
    /// What is known of a number or an account.
    Account {
        entity_type: Text<'a>,
        entity_id: Text<'a>,
        #[serde(default)]
        facts: Vec<Fact<'a>>,
    }

    /// What is known of a template.
    TemplateHistory {
        account_id: Text<'a>,
        name: Text<'a>,
        language: Text<'a>,
        template_id: Option<Text<'a>>,
        #[serde(default)]
        facts: Vec<Fact<'a>>,
    }

    /// One fact.
    Fact {
        name: Text<'a>,
        value: Option<Text<'a>>,
        from: i64,
        until: Option<i64>,
        learned_at: i64,
        source: Option<Text<'a>>,
        event_id: Option<Text<'a>>,
        #[serde(default)]
        attributes: BTreeMap<Text<'a>, Text<'a>>,
    }
}
