//! Avro bytes to records, by the schema they were written with.
//!
//! serde does the resolution: fields are given by name, so one the reader does not know is skipped and one
//! the writer did not know takes the reader's default. Where reader and writer agree, names are not asked
//! for. Nothing is copied that can be borrowed.

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use super::{Error, Field, Node, Plan};

/// How deep a value may be nested: deeper than any record of ours, and far from the end of the stack.
const DEPTH: u32 = 32;

/// Reads one value from the front of `input` and moves it on.
///
/// # Errors
/// If the bytes are not what the writer's schema says, or not what the reader expects.
pub fn from_bytes<'de, T: de::Deserialize<'de>>(plan: &Plan, input: &mut &'de [u8]) -> Result<T, Error> {
    T::deserialize(Decoder { plan, node: plan.root, input, depth: 0 })
}

/// Passes over one value at the front of `input`.
///
/// # Errors
/// If the bytes are not what the writer's schema says.
pub fn skip(plan: &Plan, input: &mut &[u8]) -> Result<(), Error> {
    pass(plan, plan.root, input, 0)
}

/// Where in a record's bytes a field stands that is a boolean; nothing if the schema has no such field.
///
/// # Errors
/// If the bytes are not what the writer's schema says.
pub fn boolean(plan: &Plan, name: &str, bytes: &[u8]) -> Result<Option<usize>, Error> {
    let Node::Record(fields) = &plan.nodes[plan.root] else {
        return Ok(None);
    };
    let mut rest = bytes;
    for field in &fields.all {
        let before = bytes.len() - rest.len();
        pass(plan, field.node, &mut rest, 0)?;
        if field.name == name {
            return Ok(matches!(plan.nodes[field.node], Node::Boolean).then_some(before));
        }
    }
    Ok(None)
}

/// Takes an integer in Avro's zigzag form from the front.
pub(super) fn long(input: &mut &[u8]) -> Result<i64, Error> {
    let mut value: u64 = 0;
    for (index, byte) in input.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *input = &input[index + 1..];
            return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    Err(if input.len() < 10 { Error::Truncated } else { Error::Malformed("an integer of more than 64 bits") })
}

/// Takes so many bytes from the front.
pub(super) fn take<'de>(input: &mut &'de [u8], length: usize) -> Result<&'de [u8], Error> {
    let (taken, rest) = input.split_at_checked(length).ok_or(Error::Truncated)?;
    *input = rest;
    Ok(taken)
}

/// Takes bytes behind their length from the front.
pub(super) fn bytes<'de>(input: &mut &'de [u8]) -> Result<&'de [u8], Error> {
    let length = long(input)?;
    take(input, usize::try_from(length).map_err(|_| Error::Malformed("a negative length"))?)
}

fn string<'de>(input: &mut &'de [u8]) -> Result<&'de str, Error> {
    std::str::from_utf8(bytes(input)?).map_err(|_| Error::Malformed("a string that is not UTF-8"))
}

struct Decoder<'p, 'i, 'de> {
    plan: &'p Plan,
    node: usize,
    input: &'i mut &'de [u8],
    depth: u32,
}

impl<'p, 'de> Decoder<'p, '_, 'de> {
    fn at(&mut self, node: usize) -> Result<Decoder<'p, '_, 'de>, Error> {
        if self.depth == DEPTH {
            return Err(Error::Malformed("nested too deeply"));
        }
        Ok(Decoder { plan: self.plan, node, input: self.input, depth: self.depth + 1 })
    }

    fn node(&self) -> &'p Node {
        &self.plan.nodes[self.node]
    }

    /// Reads which branch of a union follows and goes there; anything else stays where it is.
    fn branch(&mut self) -> Result<(), Error> {
        if let Node::Union(branches) = self.node() {
            self.node = branch(branches, self.input)?;
        }
        Ok(())
    }
}

/// Passes over a value of a type. Every record of a file is passed over once, to find where it ends, so this
/// does without a decoder for each field.
fn pass(plan: &Plan, node: usize, input: &mut &[u8], depth: u32) -> Result<(), Error> {
    let inside = |node: usize, input: &mut &[u8]| {
        if depth == DEPTH { Err(Error::Malformed("nested too deeply")) } else { pass(plan, node, input, depth + 1) }
    };
    match &plan.nodes[node] {
        Node::Null => Ok(()),
        Node::Boolean => take(input, 1).map(drop),
        Node::Integer | Node::Enum(_) => long(input).map(drop),
        Node::Float => take(input, 4).map(drop),
        Node::Double => take(input, 8).map(drop),
        Node::Bytes | Node::String => bytes(input).map(drop),
        Node::Fixed(size) => take(input, *size).map(drop),
        Node::Array(items) => {
            let mut left = Items::default();
            while left.another(input)? {
                inside(*items, input)?;
            }
            Ok(())
        }
        Node::Map(values) => {
            let mut left = Items::default();
            while left.another(input)? {
                bytes(input)?;
                inside(*values, input)?;
            }
            Ok(())
        }
        Node::Record(fields) => fields.all.iter().try_for_each(|field| inside(field.node, input)),
        Node::Union(branches) => {
            let branch = branch(branches, input)?;
            match &plan.nodes[branch] {
                Node::Union(_) => Err(Error::Malformed("a union in a union")),
                _ => pass(plan, branch, input, depth),
            }
        }
    }
}

/// Takes the number of a union's branch from the front.
fn branch(branches: &[usize], input: &mut &[u8]) -> Result<usize, Error> {
    let index = usize::try_from(long(input)?).ok();
    let branch = index.and_then(|index| branches.get(index));
    branch.copied().ok_or(Error::Malformed("a union branch that is not there"))
}

impl<'de> de::Deserializer<'de> for Decoder<'_, '_, 'de> {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        self.branch()?;
        match self.node() {
            Node::Null => visitor.visit_unit(),
            Node::Boolean => match take(self.input, 1)? {
                [0] => visitor.visit_bool(false),
                [1] => visitor.visit_bool(true),
                _ => Err(Error::Malformed("a boolean that is neither 0 nor 1")),
            },
            Node::Integer => visitor.visit_i64(long(self.input)?),
            Node::Float | Node::Double => Err(Error::Unsupported("a float")),
            Node::Bytes => visitor.visit_borrowed_bytes(bytes(self.input)?),
            Node::String => visitor.visit_borrowed_str(string(self.input)?),
            Node::Fixed(size) => visitor.visit_borrowed_bytes(take(self.input, *size)?),
            Node::Enum(symbols) => {
                let index = usize::try_from(long(self.input)?).ok();
                let symbol = index.and_then(|index| symbols.get(index));
                visitor.visit_str(symbol.ok_or(Error::Malformed("an enum symbol that is not there"))?)
            }
            Node::Array(items) => visitor.visit_seq(Elements { decoder: self, node: *items, left: Items::default() }),
            Node::Map(values) => visitor.visit_map(Entries { decoder: self, node: *values, left: Items::default() }),
            Node::Record(fields) => visitor.visit_map(ByName { decoder: self, left: fields.all.iter(), value: 0 }),
            Node::Union(_) => Err(Error::Malformed("a union in a union")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        self.branch()?;
        match self.node() {
            Node::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.branch()?;
        match self.node() {
            Node::Record(fields) if fields.are(names) => {
                visitor.visit_seq(InOrder { decoder: self, left: fields.all.iter() })
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        pass(self.plan, self.node, self.input, self.depth)?;
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier
    }
}

/// The items left in the blocks of an array or a map.
#[derive(Default)]
struct Items {
    left: u64,
    /// How many items there have been that take no byte; without a bound a few bytes could mean forever.
    free: u32,
    started: usize,
}

impl Items {
    fn another(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        // An item that takes no byte is allowed so often and no more.
        if self.started == input.len() {
            self.free += 1;
            if self.free > 65_536 {
                return Err(Error::Malformed("an array of more nothings than anyone would write"));
            }
        }
        if self.left == 0 {
            let count = long(input)?;
            if count < 0 {
                // A negative count is followed by the block's size, which only a reader that skips needs.
                long(input)?;
            }
            self.left = count.unsigned_abs();
        }
        self.started = input.len();
        let another = self.left > 0;
        self.left = self.left.saturating_sub(1);
        Ok(another)
    }
}

struct Elements<'p, 'i, 'de> {
    decoder: Decoder<'p, 'i, 'de>,
    node: usize,
    left: Items,
}

impl<'de> de::SeqAccess<'de> for Elements<'_, '_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.left.another(self.decoder.input)? {
            seed.deserialize(self.decoder.at(self.node)?).map(Some)
        } else {
            Ok(None)
        }
    }
}

struct Entries<'p, 'i, 'de> {
    decoder: Decoder<'p, 'i, 'de>,
    node: usize,
    left: Items,
}

impl<'de> de::MapAccess<'de> for Entries<'_, '_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if self.left.another(self.decoder.input)? {
            let key = string(self.decoder.input)?;
            seed.deserialize(de::value::BorrowedStrDeserializer::new(key)).map(Some)
        } else {
            Ok(None)
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.decoder.at(self.node)?)
    }
}

/// The fields of a record, with their names.
struct ByName<'p, 'i, 'de> {
    decoder: Decoder<'p, 'i, 'de>,
    left: std::slice::Iter<'p, Field>,
    value: usize,
}

impl<'de> de::MapAccess<'de> for ByName<'_, '_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(field) = self.left.next() else {
            return Ok(None);
        };
        self.value = field.node;
        let name: StrDeserializer<'_, Error> = field.name.as_str().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.decoder.at(self.value)?)
    }
}

/// The fields of a record whose reader has the same ones in the same order.
struct InOrder<'p, 'i, 'de> {
    decoder: Decoder<'p, 'i, 'de>,
    left: std::slice::Iter<'p, Field>,
}

impl<'de> de::SeqAccess<'de> for InOrder<'_, '_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(field) = self.left.next() else {
            return Ok(None);
        };
        seed.deserialize(self.decoder.at(field.node)?).map(Some)
    }
}
