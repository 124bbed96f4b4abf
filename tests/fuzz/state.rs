//! The rows of the store. They are our own, but a disk may damage them.

use tollgate::codec::reference::Learned;
use tollgate::codec::state::{self, WriteFormat};
use tollgate::store::keys;

/// Reads a row, and holds that what was read is written and read again as the same. The first byte is the kind of
/// row, as it is of a key.
pub fn check(input: &[u8]) {
    let Some((kind, row)) = input.split_first() else {
        return;
    };
    macro_rules! row {
        ($read:path, |$value:ident| $write:expr) => {
            if let Ok($value) = $read(row) {
                let written = $write;
                match $read(&written) {
                    Ok(read) => assert!($value == read, "a row reads as another when it has been rewritten"),
                    Err(error) => panic!("a row cannot be read when it has been rewritten: {error}"),
                }
            }
        };
    }
    let _ = state::kept_until(row);
    let _ = (keys::parse_month(input), keys::parse_timer(input));
    match *kind {
        keys::CONTACT => row!(state::read_contact, |value| state::write_contact(value.0, &value.1)),
        keys::NUMBER => row!(state::read_number, |value| state::write_number(value.0, &value.1, WriteFormat::Second)),
        keys::NUMBER_MONTH => row!(state::read_month, |value| state::write_month(value)),
        keys::MESSAGE => row!(state::read_message, |value| state::write_message(&value)),
        keys::REQUEST => row!(state::read_request, |value| state::write_request(&value)),
        keys::FACT => row!(Learned::read, |value| value.write()),
        _ => {}
    }
}
