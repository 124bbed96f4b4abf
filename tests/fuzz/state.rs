//! The rows of the store. They are our own, but a disk may damage them.

use tollgate::codec::reference::Learned;
use tollgate::codec::state::{self, WriteFormat, ledger};
use tollgate::store::keys;

/// Reads a row, and holds that what was read is written and read again as the same. The first byte is the kind of
/// row, as it is of a key.
pub fn check(input: &[u8]) {
    let Some((kind, row)) = input.split_first() else {
        return;
    };
    macro_rules! row {
        ($read:path, |$value:ident, $written:ident| $write:expr) => {
            if let Ok($value) = $read(row) {
                let mut $written = Vec::new();
                $write;
                match $read(&$written) {
                    Ok(read) => assert!($value == read, "a row reads as another when it has been rewritten"),
                    Err(error) => panic!("a row cannot be read when it has been rewritten: {error}"),
                }
            }
        };
    }
    let _ = state::kept_until(row);
    let _ = (keys::parse_month(input), keys::parse_timer(input));
    match *kind {
        keys::CONTACT => row!(state::read_contact_row, |value, row| state::write_contact_row(&value, &mut row)),
        keys::ALIAS => row!(state::read_alias, |value, row| state::write_alias(&value, &mut row)),
        keys::NUMBER => row!(state::read_number, |value, row| {
            state::write_number(value.0, &value.1, WriteFormat::Second, &mut row);
        }),
        keys::NUMBER_MONTH => row!(state::read_month, |value, row| state::write_month(&value, &mut row)),
        keys::MESSAGE => row!(state::read_message, |value, row| state::write_message(&value, &mut row)),
        keys::REQUEST => row!(state::read_request, |value, row| state::write_request(&value, &mut row)),
        keys::SPEND => row!(ledger::read_spend, |value, row| {
            ledger::write_spend(&value.0, &value.1, &value.2, &mut row);
        }),
        keys::NOTICES => row!(ledger::read_notices, |value, row| ledger::write_notices(&value.0, &value.1, &mut row)),
        keys::FACT => row!(Learned::read, |value, row| row.extend(value.write())),
        _ => {}
    }
}
