//! The records of the topics, field by field as `schemas/*.avsc` define them.
//!
//! One Rust struct per Avro record, in the schema's order of fields, which the Avro codec relies on and a
//! test holds them to. A field that is normally absent is a union with null there, an `Option` here, and
//! left out of JSON. What a field means is written once, in the schema.

use std::collections::BTreeMap;

use super::text::{Bytes, Text};

/// Whether a field is left out of JSON.
trait Absent {
    /// Whether there is nothing to write.
    fn is_absent(&self) -> bool {
        false
    }
}

impl<T> Absent for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}
impl<T> Absent for Vec<T> {}
impl<K, V> Absent for BTreeMap<K, V> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}
impl Absent for Text<'_> {}
impl Absent for Bytes<'_> {}
impl Absent for i32 {}
impl Absent for i64 {}
impl Absent for bool {}

/// Declares records. None of them prints its content: any may hold a phone number.
macro_rules! records {
    ($($(#[$doc:meta])* $record:ident { $($(#[$attribute:meta])* $field:ident: $ty:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Default, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(bound(deserialize = "'de: 'a"))]
        #[allow(missing_docs, reason = "the schema documents every field, and a test holds them together")]
        pub struct $record<'a> {
            $(
                #[serde(skip_serializing_if = "super::Absent::is_absent")]
                $(#[$attribute])*
                pub $field: $ty,
            )*
        }

        impl super::Absent for $record<'_> {}

        impl ::std::fmt::Debug for $record<'_> {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(concat!(stringify!($record), " { .. }"))
            }
        }
    )*};
}

mod event;
mod forecast;
mod output;
mod reference;

pub use event::*;
pub use forecast::*;
pub use output::*;
pub use reference::*;
