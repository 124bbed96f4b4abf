//! What Tollgate publishes.

use crate::codec::text::{Bytes, Text};

records! {
    /// The attributes of CloudEvents, which every output carries as fields, and what caused it.
    Envelope {
        id: Text<'a>,
        source: Text<'a>,
        r#type: Text<'a>,
        time: i64,
        subject: Option<Text<'a>>,
        cause: Option<Text<'a>>,
        engine_version: Text<'a>,
        read_from: Option<Provenance<'a>>,
    }

    /// Where the input that caused an output was read. Part of no id.
    Provenance {
        topic: Text<'a>,
        partition: i32,
        offset: i64,
    }

    /// A contact as outputs name it.
    Contact {
        key: Text<'a>,
        wa_id: Option<Text<'a>>,
        user_id: Option<Text<'a>>,
    }

    /// `wa.verdicts`: the answer to one ask.
    Verdict {
        envelope: Envelope<'a>,
        phone_number_id: Text<'a>,
        account_id: Option<Text<'a>>,
        portfolio_id: Option<Text<'a>>,
        contact: Option<Contact<'a>>,
        request_id: Text<'a>,
        message_kind: Option<Text<'a>>,
        category: Option<Text<'a>>,
        template: Option<TemplateView<'a>>,
        verdict: Text<'a>,
        reason: Text<'a>,
        reasons: Vec<Reason<'a>>,
        warnings: Vec<Reason<'a>>,
        asked_at: i64,
        evaluate_for: i64,
        valid_until: Option<i64>,
        service_window: Option<ServiceWindow<'a>>,
        free_entry_point: Option<FreeEntryPoint<'a>>,
        price: Option<Price<'a>>,
        alternatives: Vec<Alternative<'a>>,
        consent: Option<ConsentView<'a>>,
        limits: Option<Limits<'a>>,
        enforced: bool,
        reference_watermark: Option<i64>,
        rules_as_of: Option<Text<'a>>,
    }

    /// What is known of the template asked about.
    TemplateView {
        name: Text<'a>,
        language: Text<'a>,
        category: Option<Text<'a>>,
        status: Option<Text<'a>>,
        announced_category: Option<Text<'a>>,
        announced_for: Option<i64>,
    }

    /// Why.
    Reason {
        code: Text<'a>,
        platform_code: Option<i32>,
        evidence: Vec<Text<'a>>,
        fact: Option<Text<'a>>,
    }

    /// The service window at the instant asked for.
    ServiceWindow {
        state: Text<'a>,
        opened_at: Option<i64>,
        expires_at: Option<i64>,
        closed_at: Option<i64>,
        opened_by: Option<Text<'a>>,
    }

    /// The free entry point at the instant asked for.
    FreeEntryPoint {
        state: Text<'a>,
        eligible_until: Option<i64>,
        opened_at: Option<i64>,
        expires_at: Option<i64>,
        expiry_source: Option<Text<'a>>,
        confirmed: Option<bool>,
    }

    /// What a message would cost.
    Price {
        chargeable: Option<bool>,
        pricing_type: Option<Text<'a>>,
        category: Option<Text<'a>>,
        free_reason: Option<Text<'a>>,
        unknown_reason: Option<Text<'a>>,
        unit_price: Option<Text<'a>>,
        currency: Option<Text<'a>>,
        market: Option<Text<'a>>,
        rate_card: Option<Text<'a>>,
        rule: Text<'a>,
        allowance: Option<Allowance<'a>>,
    }

    /// The month's free deliveries.
    Allowance {
        period: Text<'a>,
        limit: i32,
        used_before: i32,
        consumed: bool,
        in_flight: Option<i32>,
        as_of: Option<i64>,
    }

    /// Something else that may be sent.
    Alternative {
        message_kind: Text<'a>,
        category: Option<Text<'a>>,
        price: Price<'a>,
    }

    /// What the contact has agreed to or refused.
    ConsentView {
        opt_in: Option<bool>,
        opt_in_source: Option<Text<'a>>,
        opt_in_at: Option<i64>,
        marketing: Option<bool>,
        marketing_source: Option<Text<'a>>,
        marketing_at: Option<i64>,
    }

    /// The limits that apply, and how old they are.
    Limits {
        messaging_limit: Option<i64>,
        messaging_used: Option<i64>,
        messaging_in_flight: Option<i64>,
        messaging_as_of: Option<i64>,
        pair_rate_ok: Option<bool>,
        throughput_ok: Option<bool>,
        budget: Option<Text<'a>>,
        budget_spent: Option<Text<'a>>,
        budget_currency: Option<Text<'a>>,
    }

    /// `wa.billing`: one line of the ledger.
    BillingEntry {
        envelope: Envelope<'a>,
        entry_type: Text<'a>,
        revision: i32,
        reverses: Option<Text<'a>>,
        phone_number_id: Option<Text<'a>>,
        account_id: Option<Text<'a>>,
        portfolio_id: Option<Text<'a>>,
        billing_subject: Option<Text<'a>>,
        payer: Option<Text<'a>>,
        contact: Option<Contact<'a>>,
        message_id: Option<Text<'a>>,
        participant_key: Option<Text<'a>>,
        request_id: Option<Text<'a>>,
        message_kind: Option<Text<'a>>,
        status_event: Option<Text<'a>>,
        charge_trigger: Option<Text<'a>>,
        occurred_at: i64,
        billing_period: Option<Text<'a>>,
        local_date: Option<Text<'a>>,
        time_zone: Option<Text<'a>>,
        market: Option<Text<'a>>,
        country: Option<Text<'a>>,
        country_source: Option<Text<'a>>,
        pricing_type: Option<Text<'a>>,
        category: Option<Text<'a>>,
        free_reason: Option<Text<'a>>,
        unknown_reason: Option<Text<'a>>,
        platform: Option<super::event::Pricing<'a>>,
        expected_type: Option<Text<'a>>,
        expected_category: Option<Text<'a>>,
        agreement: Option<Text<'a>>,
        service_window_open: Option<bool>,
        free_entry_point_open: Option<bool>,
        allowance: Option<Allowance<'a>>,
        quantity: i64,
        unit: Text<'a>,
        list_unit_price: Option<Text<'a>>,
        effective_unit_price: Option<Text<'a>>,
        amount: Option<Text<'a>>,
        currency: Option<Text<'a>>,
        price_source: Text<'a>,
        rate_card: Option<Text<'a>>,
        tier: Option<Tier<'a>>,
        rule: Text<'a>,
        reference_watermark: Option<i64>,
        charge_class: Option<Text<'a>>,
        finality: Text<'a>,
        reconciliation_ref: Option<Text<'a>>,
    }

    /// A volume tier.
    Tier {
        name: Text<'a>,
        from: i64,
        to: Option<i64>,
        basis: Text<'a>,
    }

    /// `wa.windows`: an edge of a window.
    WindowEvent {
        envelope: Envelope<'a>,
        window_id: Text<'a>,
        phone_number_id: Text<'a>,
        account_id: Option<Text<'a>>,
        portfolio_id: Option<Text<'a>>,
        contact: Contact<'a>,
        window_type: Text<'a>,
        category: Option<Text<'a>>,
        transition: Text<'a>,
        opened_at: i64,
        refreshed_at: Option<i64>,
        expires_at: i64,
        closed_at: Option<i64>,
        expiry_source: Text<'a>,
        close_reason: Option<Text<'a>>,
        opened_by: Option<Text<'a>>,
        opened_by_kind: Option<Text<'a>>,
        inbound_count: Option<i32>,
        outbound_count: Option<i32>,
        first_response_at: Option<i64>,
        lead_ms: Option<i64>,
        revision: i32,
        corrects: Option<Text<'a>>,
        corrected_fields: Vec<Text<'a>>,
    }

    /// `wa.window-state`: the present windows of one contact.
    WindowState {
        envelope: Envelope<'a>,
        phone_number_id: Text<'a>,
        contact: Contact<'a>,
        service_window: Option<ServiceWindowState<'a>>,
        free_entry_point: Option<FreeEntryPoint<'a>>,
        opted_out: Option<OptOut<'a>>,
        updated_at: i64,
    }

    /// An open service window.
    ServiceWindowState {
        r#type: Text<'a>,
        opened_at: i64,
        refreshed_at: i64,
        expires_at: i64,
    }

    /// What a contact refuses.
    OptOut {
        scope: Text<'a>,
        source: Text<'a>,
        at: i64,
    }

    /// A row of `wa.window-state` in a file, which has no keys: `value` is absent where the topic's is null.
    WindowStateRow {
        key: Text<'a>,
        value: Option<WindowState<'a>>,
    }

    /// `wa.outcomes`: what became of a send.
    Outcome {
        envelope: Envelope<'a>,
        phone_number_id: Text<'a>,
        account_id: Option<Text<'a>>,
        portfolio_id: Option<Text<'a>>,
        contact: Option<Contact<'a>>,
        message_id: Option<Text<'a>>,
        participant_key: Option<Text<'a>>,
        request_id: Option<Text<'a>>,
        outcome: Text<'a>,
        held: Option<bool>,
        code: Option<i32>,
        error_class: Option<Text<'a>>,
        advice: Option<Text<'a>>,
        agreement: Option<Text<'a>>,
        disagrees: bool,
        revision: i32,
    }

    /// `wa.dead-letters`: what could not be folded, as it came.
    DeadLetter {
        envelope: Envelope<'a>,
        original_topic: Text<'a>,
        original_partition: i32,
        original_offset: i64,
        original_key: Option<Bytes<'a>>,
        error: Text<'a>,
        detail: Text<'a>,
        part: Option<Text<'a>>,
        payload: Option<Bytes<'a>>,
        payload_size: i64,
    }
}
