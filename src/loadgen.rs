//! Synthetic traffic with a known right answer.
//!
//! [`generate`] plays the people, the businesses and the platform, and knows from its own plan what every
//! verdict, ledger line and window must be in the end. It shares no rule, no rate and no fold with the
//! product: where the two disagree, one of them has misread the rules.
//!
//! Events come in order of arrival, not of occurrence: statuses late and out of order, events repeated.
//! What it does not make is disorder that changes a decision already made, namely events of one contact
//! overtaking what the business did to that contact.

mod answer;
mod arrival;
mod asks;
mod calendar;
mod countries;
mod delivery;
mod files;
mod inbound;
mod names;
mod people;
mod random;
mod record;
mod rules;
mod sends;
#[cfg(test)]
mod tests;
mod traffic;
mod world;

use std::io;

pub use answer::{Amount, Answer, Category, EntryType, FreeReason, Reason, Total, UnknownReason, Verdict};
pub use calendar::{Calendar, Date};
pub use files::Files;

use crate::codec::records;
use countries::MOST_PEOPLE;

/// What traffic to make. The same settings make the same stream, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many events, repeats included.
    pub events: u64,
    /// Another seed, another stream.
    pub seed: u64,
    /// How many contacts: people, each on one business number. At most 40 million.
    pub contacts: u32,
    /// How many business numbers, spread over five accounts.
    pub numbers: u16,
    /// The start, in milliseconds since the Unix epoch; not before 2025-07-08, so that messages are
    /// charged one by one throughout.
    pub start: i64,
    /// How many days the traffic lasts, at most 366. Arrivals end two minutes after.
    pub days: u32,
    /// Whether some people are known by two ids of which an event may give only one.
    pub aliases: bool,
    /// Whether some people take a new phone number and keep their history.
    pub moves: bool,
    /// How many events in a thousand arrive again.
    pub repeats_per_mille: u16,
    /// How many webhooks in a thousand arrive late; of the others none takes more than two seconds. At 0,
    /// statuses are still not quite in order.
    pub late_per_mille: u16,
    /// The longest an event may take to arrive, in milliseconds: from one minute to six days.
    pub longest_delay: i64,
}

impl Default for Settings {
    /// A million events in 45 days from 2026-09-20: over the change of rules on 2026-10-01 and a month's end.
    fn default() -> Self {
        Self {
            events: 1_000_000,
            seed: 1,
            contacts: 50_000,
            numbers: 8,
            start: 1_789_862_400_000,
            days: 45,
            aliases: true,
            moves: false,
            repeats_per_mille: 20,
            late_per_mille: 25,
            longest_delay: 6 * calendar::DAY,
        }
    }
}

impl Settings {
    fn check(&self) -> io::Result<()> {
        let wrong = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        if self.contacts == 0 || u64::from(self.contacts) > MOST_PEOPLE / 2 {
            wrong("`contacts` must be from 1 to 40,000,000")
        } else if self.numbers == 0 {
            wrong("`numbers` must be at least 1")
        } else if !(1..=366).contains(&self.days) {
            wrong("`days` must be from 1 to 366")
        } else if !(1_751_932_800_000..4_000_000_000_000).contains(&self.start) {
            wrong("`start` must be in milliseconds since the Unix epoch, from 2025-07-08 on")
        } else if self.repeats_per_mille > 1000 || self.late_per_mille > 1000 {
            wrong("`repeats_per_mille` and `late_per_mille` must be at most 1000")
        } else if !(60_000..=6 * calendar::DAY).contains(&self.longest_delay) {
            wrong("`longest_delay` must be from 60,000 (a minute) to 518,400,000 (six days)")
        } else {
            Ok(())
        }
    }
}

/// What is known of the businesses: the records of `wa.accounts` and `wa.templates`.
#[derive(Clone, Debug, PartialEq)]
pub struct References {
    /// Accounts and numbers.
    pub accounts: Vec<records::Account<'static>>,
    /// Templates.
    pub templates: Vec<records::TemplateHistory<'static>>,
}

/// The reference records of a run, which are to be known before its first event.
///
/// # Errors
/// If a setting is not one it can have.
pub fn references(settings: &Settings, calendar: &dyn Calendar) -> io::Result<References> {
    settings.check()?;
    Ok(world::World::new(settings, calendar).references(settings))
}

/// Gives every event to `out`, in order of arrival, and every answer to `answers`, as soon as it is certain.
/// The reference records at the end are those of [`references`].
///
/// # Errors
/// If a setting is not one it can have, or the first error of `out` or `answers`.
pub fn generate(
    settings: &Settings,
    calendar: &dyn Calendar,
    out: &mut dyn FnMut(&records::Event<'_>) -> io::Result<()>,
    answers: &mut dyn FnMut(&Answer) -> io::Result<()>,
) -> io::Result<References> {
    settings.check()?;
    traffic::Traffic::new(settings, calendar, out, answers).run()
}
