//! The codec: every record of the topics, as JSON, as Avro single-object and behind a registry's id.

use std::cell::OnceCell;

use tollgate::codec::frame::{self, Framing, Writers};
use tollgate::codec::records::{
    Account, BillingEntry, DeadLetter, Event, ForecastAnswer, ForecastRequested, Outcome, TemplateHistory, Usage,
    Verdict, WindowEvent, WindowState, WindowStateRow,
};
use tollgate::codec::schema;

thread_local! {
    static WRITERS: OnceCell<Writers> = const { OnceCell::new() };
}

/// Gives a reader of every schema, by its fingerprint and by its place in the list as a registry's id: so a record
/// is also read from what was written with another's schema, as one is from what a newer version wrote.
pub fn with_writers<T>(then: impl FnOnce(&Writers) -> T) -> T {
    WRITERS.with(|writers| {
        then(writers.get_or_init(|| {
            let mut writers = Writers::default();
            for (id, schema) in (0..).zip(schema::ALL) {
                writers.add(schema.text).expect("a schema of ours");
                writers.add_registered(id, schema.text).expect("a schema of ours");
            }
            writers
        }))
    })
}

/// Holds that a record, written in any framing, is read as the same. A macro, because a record's type is another
/// for every lifetime of its bytes.
macro_rules! same_again {
    ($writers:expr, $record:ident, $schema:expr, $value:expr) => {{
        let value: &$record<'_> = $value;
        // A registry's ids are those of the list of schemas.
        let id = tollgate::codec::schema::ALL.iter().position(|known| *known == $schema).expect("a schema of ours");
        let id = u32::try_from(id).expect("a few schemas");
        for framing in [Framing::Json, Framing::SingleObject, Framing::Registry(id)] {
            let mut bytes = Vec::new();
            frame::write(value, $schema, framing, &mut bytes).expect("every record can be written");
            match $writers.read::<$record<'_>>(&bytes) {
                Ok(read) => assert!(*value == read, "{framing:?} of {} reads as another", $schema.name),
                Err(error) => panic!("{framing:?} of {} cannot be read: {error}", $schema.name),
            }
        }
    }};
}
pub(crate) use same_again;

/// The first byte says which record the rest is to be read as, by its place in the list of schemas.
pub fn check(input: &[u8]) {
    let Some((first, framed)) = input.split_first() else {
        return;
    };
    with_writers(|writers| {
        macro_rules! records {
            ($($place:literal $record:ident $schema:ident,)*) => {
                match first {
                    $($place => {
                        if let Ok(record) = writers.read::<$record<'_>>(framed) {
                            same_again!(writers, $record, schema::$schema, &record);
                        }
                    })*
                    _ => {}
                }
            };
        }
        records! {
            b'0' Event EVENT,
            b'1' Account ACCOUNT,
            b'2' TemplateHistory TEMPLATE_HISTORY,
            b'3' Verdict VERDICT,
            b'4' BillingEntry BILLING_ENTRY,
            b'5' WindowEvent WINDOW_EVENT,
            b'6' WindowState WINDOW_STATE,
            b'7' WindowStateRow WINDOW_STATE_ROW,
            b'8' Outcome OUTCOME,
            b'9' Usage USAGE,
            b'a' ForecastRequested FORECAST_REQUESTED,
            b'b' ForecastAnswer FORECAST_ANSWER,
            b'c' DeadLetter DEAD_LETTER,
        }
    });
}
