//! Texts and bytes inside records: borrowed from the input where it holds them as they are.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// How long a text may be that is kept in place: as long as the hexadecimal digits of an id, of which most outputs
/// have several.
const SHORT: usize = 32;

/// A string field of a record. Borrowed from the input unless that had to be unescaped. Never printed: any
/// of them may hold a phone number.
#[derive(Clone)]
pub struct Text<'a>(Kept<'a>);

#[derive(Clone)]
enum Kept<'a> {
    Borrowed(&'a str),
    /// So many bytes of UTF-8.
    Short(u8, [u8; SHORT]),
    Owned(Box<str>),
}

impl Text<'_> {
    /// A copy of a text, in place where it is short.
    #[must_use]
    pub fn copied(text: &str) -> Text<'static> {
        let mut bytes = [0; SHORT];
        match (u8::try_from(text.len()), bytes.get_mut(..text.len())) {
            (Ok(length), Some(place)) => {
                place.copy_from_slice(text.as_bytes());
                Text(Kept::Short(length, bytes))
            }
            _ => Text(Kept::Owned(text.into())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Kept::Borrowed(text) => text,
            // It was text when it was copied.
            Kept::Short(length, bytes) => {
                bytes.get(..usize::from(*length)).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default()
            }
            Kept::Owned(text) => text,
        }
    }

    /// The text without its input.
    #[must_use]
    pub fn into_owned(self) -> Text<'static> {
        match self.0 {
            Kept::Borrowed(text) => Text::copied(text),
            Kept::Short(length, bytes) => Text(Kept::Short(length, bytes)),
            Kept::Owned(text) => Text(Kept::Owned(text)),
        }
    }
}

impl Default for Text<'_> {
    fn default() -> Self {
        Self(Kept::Borrowed(""))
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text<'_> {}

impl Hash for Text<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for Text<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Kept::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(Kept::Owned(text.into_boxed_str()))
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.as_str().len())
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Kept::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text::copied(text))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
                Ok(text.into())
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// A bytes field of a record: bytes in Avro, base64 in JSON.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bytes<'a>(pub Cow<'a, [u8]>);

impl fmt::Debug for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&base64::display::Base64Display::new(&self.0, &BASE64_STANDARD))
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;
        impl<'de> Visitor<'de> for BytesVisitor {
            type Value = Bytes<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes, or base64 in JSON")
            }

            fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Bytes(Cow::Borrowed(bytes)))
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Bytes(Cow::Owned(bytes.to_vec())))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                BASE64_STANDARD.decode(text).map(|bytes| Bytes(Cow::Owned(bytes))).map_err(|_| E::custom("no base64"))
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(BytesVisitor)
        } else {
            deserializer.deserialize_bytes(BytesVisitor)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_the_same_text_however_long_it_is() {
        for length in [0, 1, SHORT - 1, SHORT, SHORT + 1, 300] {
            let text = "é".repeat(length / 2) + if length % 2 == 1 { "x" } else { "" };
            let copies = [Text::copied(&text), Text::from(text.as_str()).into_owned(), Text::from(text.clone())];
            for copy in copies {
                assert_eq!((copy.as_str(), &copy), (text.as_str(), &Text::from(text.as_str())), "{length} bytes");
            }
        }
        assert!(Text::copied("a") < Text::from("b".repeat(300)));
    }
}
