//! The schemas of the topics, compiled in.

/// The schema of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordSchema {
    /// The record's name.
    pub name: &'static str,
    /// The schema as JSON text.
    pub text: &'static str,
}

macro_rules! schemas {
    ($($(#[$doc:meta])* $name:ident = $record:literal, $file:literal;)*) => {
        $($(#[$doc])*
        pub const $name: RecordSchema =
            RecordSchema { name: $record, text: include_str!(concat!("../../schemas/", $file)) };)*

        /// All of them.
        pub const ALL: &[RecordSchema] = &[$($name),*];
    };
}

schemas! {
    /// `wa.events`
    EVENT = "Event", "event.avsc";
    /// `wa.accounts`
    ACCOUNT = "Account", "account.avsc";
    /// `wa.templates`
    TEMPLATE_HISTORY = "TemplateHistory", "template_history.avsc";
    /// `wa.verdicts`
    VERDICT = "Verdict", "verdict.avsc";
    /// `wa.billing`
    BILLING_ENTRY = "BillingEntry", "billing_entry.avsc";
    /// `wa.windows`
    WINDOW_EVENT = "WindowEvent", "window_event.avsc";
    /// `wa.window-state`
    WINDOW_STATE = "WindowState", "window_state.avsc";
    /// `wa.window-state` in a file, which has no keys
    WINDOW_STATE_ROW = "WindowStateRow", "window_state_row.avsc";
    /// `wa.outcomes`
    OUTCOME = "Outcome", "outcome.avsc";
    /// `wa.usage`
    USAGE = "Usage", "usage.avsc";
    /// `wa.forecasts`
    FORECAST_REQUESTED = "ForecastRequested", "forecast_requested.avsc";
    /// `wa.forecast-answers`
    FORECAST_ANSWER = "ForecastAnswer", "forecast_answer.avsc";
    /// `wa.dead-letters`
    DEAD_LETTER = "DeadLetter", "dead_letter.avsc";
}
