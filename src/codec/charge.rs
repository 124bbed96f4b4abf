//! Records of `tollgate.charges`: what the conversation stage decided, on its way to the stage that prices it.
//!
//! The topic is internal. A record is a version, what the price depends on in the form of the store, and the
//! line of the ledger without its price in the single-object framing, so that schemas may evolve under it.

use super::frame::{self, Framer, Writers};
use super::records::BillingEntry;
use super::text::Text;
use super::{avro, state};
use crate::domain::billing::Line;
use crate::domain::id::{AccountId, InvalidId, NumberId, PortfolioId};
use crate::domain::ledger::Scope;
use crate::domain::ledger::reach::PersonKey;
use crate::domain::ledger::usage::Person;

/// The version without anybody who was reached.
const NOBODY: u8 = 1;

/// The version with somebody who was reached, whose key follows: of the portfolio, or of the number.
const VERSION: u8 = 2;

/// A charge, as read.
#[derive(Debug)]
pub struct Charged<'a> {
    /// What its price depends on.
    pub line: Line,
    /// Who was reached, where that counts towards a messaging limit.
    pub person: Option<Person>,
    /// The line of the ledger without its price.
    pub entry: BillingEntry<'a>,
}

/// Why a charge cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    /// A newer version of Tollgate wrote it.
    Newer(u8),
    /// It ends too early.
    Truncated,
    /// What the price depends on cannot be read.
    Line(state::Error),
    /// The line of the ledger cannot be read.
    Entry(frame::Error),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Newer(version) => {
                write!(f, "the charge has format {version}, and this version of Tollgate reads up to {VERSION}")
            }
            Self::Truncated => f.write_str("the charge ends too early"),
            Self::Line(error) => error.fmt(f),
            Self::Entry(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// Whether a newer version wrote the charge: then it must wait for one that can read it.
    #[must_use]
    pub const fn is_newer(&self) -> bool {
        matches!(
            self,
            Self::Newer(_) | Self::Line(state::Error::Newer(_)) | Self::Entry(frame::Error::UnknownFingerprint(_))
        )
    }
}

/// Appends a charge. `framer` is that of the ledger's lines in the single-object framing.
///
/// # Errors
/// If the line cannot be encoded, which no line of ours cannot.
pub fn write(
    line: &Line,
    person: Option<Person>,
    entry: &BillingEntry<'_>,
    framer: &Framer,
    out: &mut Vec<u8>,
) -> Result<(), avro::Error> {
    match person {
        None => out.push(NOBODY),
        Some(Person { key, of_portfolio }) => {
            out.push(VERSION);
            out.push(u8::from(of_portfolio));
            out.extend_from_slice(&key.0);
        }
    }
    let start = out.len();
    out.extend_from_slice(&[0; 2]);
    state::write_charged(line, out);
    let length = u16::try_from(out.len() - start - 2).map_err(|_| avro::Error::Unsupported("a charge of 64 KiB"))?;
    out[start..start + 2].copy_from_slice(&length.to_be_bytes());
    framer.write(entry, out)
}

/// Reads a charge.
///
/// # Errors
/// What keeps it from being read.
pub fn read<'a>(bytes: &'a [u8], writers: &Writers) -> Result<Charged<'a>, Error> {
    let (version, rest) = bytes.split_first().ok_or(Error::Truncated)?;
    let (person, rest) = match *version {
        NOBODY => (None, rest),
        VERSION => {
            let (of_portfolio, rest) = rest.split_first().ok_or(Error::Truncated)?;
            let (key, rest) = rest.split_first_chunk::<16>().ok_or(Error::Truncated)?;
            (Some(Person { key: PersonKey(*key), of_portfolio: *of_portfolio != 0 }), rest)
        }
        newer => return Err(Error::Newer(newer)),
    };
    let (length, rest) = rest.split_first_chunk::<2>().ok_or(Error::Truncated)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (line, entry) = rest.split_at_checked(length).ok_or(Error::Truncated)?;
    let line = state::read_charged(line).map_err(Error::Line)?;
    Ok(Charged { line, person, entry: writers.read(entry).map_err(Error::Entry)? })
}

/// Whose a line is: the number, the account if it is known, and whose counts it adds to.
///
/// # Errors
/// If an id is none, which none of ours is.
pub fn whose(entry: &BillingEntry<'_>) -> Result<(NumberId, Option<AccountId>, Scope), InvalidId> {
    let number = NumberId::parse(entry.phone_number_id.as_ref().map_or("", Text::as_str))?;
    let account = entry.account_id.as_ref().map(|id| AccountId::parse(id.as_str())).transpose()?;
    let portfolio = entry.portfolio_id.as_ref().map(|id| PortfolioId::parse(id.as_str())).transpose()?;
    let scope = Scope::of(portfolio.as_ref(), account.as_ref(), &number);
    Ok((number, account, scope))
}
