//! Records to Avro bytes: the fields in order, and nothing else.
//!
//! This needs no schema, because ours keep to three habits that a test enforces: the Rust fields stand in the
//! schema's order, the only unions are `[null, T]` for an `Option`, and a field that may be skipped has a
//! default whose encoding is one zero byte (null, false, 0, empty).

use serde::ser::{self, Serialize};

use super::Error;

/// Appends a record.
///
/// # Errors
/// If the value has a type that no Avro schema of ours has.
pub fn to_bytes<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), Error> {
    value.serialize(&mut Encoder { out })
}

struct Encoder<'a> {
    out: &'a mut Vec<u8>,
}

/// Appends an integer in Avro's zigzag form of variable length.
pub(super) fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    if rest < 0x80 {
        return out.push(rest as u8);
    }
    let mut bytes = [0; 10];
    let mut end = 0;
    while rest >= 0x80 {
        bytes[end] = (rest & 0x7f) as u8 | 0x80;
        end += 1;
        rest >>= 7;
    }
    bytes[end] = rest as u8;
    out.extend_from_slice(&bytes[..=end]);
}

/// Appends bytes behind their length.
pub(super) fn bytes(value: &[u8], out: &mut Vec<u8>) {
    length(value.len(), out);
    out.extend_from_slice(value);
}

fn length(length: usize, out: &mut Vec<u8>) {
    long(i64::try_from(length).unwrap_or(i64::MAX), out);
}

macro_rules! unsupported {
    ($($method:ident($ty:ty) $what:literal;)*) => {$(
        fn $method(self, _: $ty) -> Result<(), Error> {
            Err(Error::Unsupported($what))
        }
    )*};
}

impl<'a, 'b> ser::Serializer for &'b mut Encoder<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Blocks<'a, 'b>;
    type SerializeTuple = ser::Impossible<(), Error>;
    type SerializeTupleStruct = ser::Impossible<(), Error>;
    type SerializeTupleVariant = ser::Impossible<(), Error>;
    type SerializeMap = Blocks<'a, 'b>;
    type SerializeStruct = Fields<'a, 'b>;
    type SerializeStructVariant = ser::Impossible<(), Error>;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.out.push(u8::from(value));
        Ok(())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        long(i64::from(value), self.out);
        Ok(())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        long(value, self.out);
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        bytes(value.as_bytes(), self.out);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        bytes(value, self.out);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Error> {
        long(0, self.out);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        long(1, self.out);
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Blocks<'a, 'b>, Error> {
        Blocks::begin(self, len)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Blocks<'a, 'b>, Error> {
        Blocks::begin(self, len)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'a, 'b>, Error> {
        Ok(Fields { encoder: self })
    }

    unsupported! {
        serialize_i8(i8) "an 8-bit integer";
        serialize_i16(i16) "a 16-bit integer";
        serialize_u8(u8) "an unsigned integer";
        serialize_u16(u16) "an unsigned integer";
        serialize_u32(u32) "an unsigned integer";
        serialize_u64(u64) "an unsigned integer";
        serialize_f32(f32) "a float";
        serialize_f64(f64) "a float";
        serialize_char(char) "a character";
        serialize_unit_struct(&'static str) "a unit";
    }

    fn serialize_unit(self) -> Result<(), Error> {
        Err(Error::Unsupported("a unit"))
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), Error> {
        Err(Error::Unsupported("an enum"))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(Error::Unsupported("an enum"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Error> {
        Err(Error::Unsupported("a tuple"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Error> {
        Err(Error::Unsupported("a tuple"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(Error::Unsupported("an enum"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(Error::Unsupported("an enum"))
    }
}

struct Fields<'a, 'b> {
    encoder: &'b mut Encoder<'a>,
}

impl ser::SerializeStruct for Fields<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.encoder)
    }

    fn skip_field(&mut self, _: &'static str) -> Result<(), Error> {
        self.encoder.out.push(0);
        Ok(())
    }

    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

/// An array or a map: one block with its count, and the empty block that ends it.
struct Blocks<'a, 'b> {
    encoder: &'b mut Encoder<'a>,
}

impl<'a, 'b> Blocks<'a, 'b> {
    fn begin(encoder: &'b mut Encoder<'a>, len: Option<usize>) -> Result<Self, Error> {
        let len = len.ok_or(Error::Unsupported("an array of unknown length"))?;
        if len > 0 {
            length(len, encoder.out);
        }
        Ok(Self { encoder })
    }
}

impl ser::SerializeSeq for Blocks<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.encoder)
    }

    fn end(self) -> Result<(), Error> {
        self.encoder.out.push(0);
        Ok(())
    }
}

impl ser::SerializeMap for Blocks<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        key.serialize(&mut *self.encoder)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.encoder)
    }

    fn end(self) -> Result<(), Error> {
        self.encoder.out.push(0);
        Ok(())
    }
}
