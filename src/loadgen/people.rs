//! Who the contacts are, and what the generator remembers of each.
//!
//! A contact is a person on one business number. Everything that is fixed about one follows from its index,
//! so only what happens to it takes memory.

use std::fmt::Write as _;

use super::calendar::{DAY, HOUR};
use super::countries::{COUNTRIES, Country};
use super::random::{mix, scale};

/// How a person can be known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// By the phone number, always.
    Phone,
    /// By the phone number, and by a scoped id once an event has named both.
    PhoneFirst,
    /// By a scoped id, always.
    User,
    /// By a scoped id, and by the phone number once an event has named both.
    UserFirst,
}

/// What is fixed about a contact.
#[derive(Clone, Copy)]
pub(super) struct Person {
    pub(super) country: &'static Country,
    pub(super) known: Known,
    /// Whether the scoped id has a parent, which is then given with it.
    pub(super) has_parent: bool,
    id: u64,
    scatter: u64,
}

impl Person {
    /// The contact at place `place` of the number that is `number`th of `numbers`. One person in four writes
    /// to every number, under the same phone number: the window of one must not open another's.
    pub(super) fn new(number: usize, numbers: usize, place: u32, home: Option<(usize, u64)>) -> Self {
        let place = u64::from(place);
        let shared = mix(place ^ 0x5EED).is_multiple_of(4);
        let id = if shared { 2 * place } else { 2 * (place * numbers as u64 + number as u64) + 1 };
        let scatter = mix(mix(id) ^ number as u64);
        let country = match home {
            Some((home, share)) if !shared && scale(mix(id ^ 0xF00D), 100) < share => &COUNTRIES[home],
            _ => anywhere(mix(id ^ 0xBEEF)),
        };
        let known = match scatter % 20 {
            0..9 => Known::Phone,
            9..15 => Known::PhoneFirst,
            15..17 => Known::User,
            _ => Known::UserFirst,
        };
        Self { country, known, has_parent: mix(scatter).is_multiple_of(8), id, scatter }
    }

    /// Writes the phone number, the one before (`moved` false) or after the person took a new one.
    pub(super) fn write_phone(&self, moved: bool, text: &mut String) {
        let room = 10_u64.pow(self.country.digits);
        let prefixes = self.country.prefixes[usize::from(moved)];
        text.clear();
        text.push_str(prefixes[(self.id / room) as usize % prefixes.len()]);
        write_number(text, self.id % room, self.country.digits as usize);
    }

    /// Writes the business-scoped id, which changes with the phone number.
    pub(super) fn write_user(&self, moved: bool, text: &mut String) {
        text.clear();
        let _ = write!(text, "{}.{:020}", self.country.iso, mix(self.scatter ^ u64::from(moved)));
    }

    /// Writes the parent of the scoped id, which stays.
    pub(super) fn write_parent(&self, text: &mut String) {
        text.clear();
        let _ = write!(text, "{}.ENT.{:020}", self.country.iso, mix(!self.scatter));
    }
}

fn write_number(text: &mut String, number: u64, width: usize) {
    let _ = write!(text, "{number:0width$}");
}

fn anywhere(chance: u64) -> &'static Country {
    let mut left = scale(chance, COUNTRIES.iter().map(|country| country.share).sum());
    for country in &COUNTRIES {
        if left < country.share {
            return country;
        }
        left -= country.share;
    }
    &COUNTRIES[0]
}

/// The ids an event gives of its person, and whether they are those after a change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) phone: bool,
    pub(super) user: bool,
    pub(super) moved: bool,
}

/// Whether a person takes marketing, and who knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Marketing {
    Welcome,
    /// Stopped in WhatsApp's settings, and the business has been told.
    Stopped,
    /// Stopped in WhatsApp's settings, and the business will learn it from a message that fails.
    StoppedUnheard,
    /// Withdrawn with the business itself. The platform does not know.
    Withdrawn,
}

/// What became of a click on an advertisement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Click {
    /// There is none, it was answered in time, or the service window has closed on it.
    Gone,
    /// It can open a free entry point and has not been answered.
    Waits,
    /// It was answered too late, and the service window has been open ever since.
    AnsweredLate,
}

/// What has happened to a contact.
#[derive(Clone, Copy)]
pub(super) struct Contact {
    /// When the person last did something that opens the service window; 0 for never.
    pub(super) spoke_at: i64,
    /// When anything last happened.
    pub(super) last_at: i64,
    /// Nothing may happen before this, so that the order of what happened is beyond doubt.
    pub(super) busy_until: i64,
    /// When all that has happened will have arrived. The business does not act before.
    pub(super) held_until: i64,
    /// The last click on an advertisement; 0 for none.
    pub(super) clicked_at: i64,
    /// When the last free entry point opened; 0 for none.
    pub(super) entry_from: i64,
    /// When the last message of the business was sent; 0 for none.
    pub(super) sent_at: i64,
    /// The last message of the business, for reactions and replies to it; 0 for none.
    pub(super) last_message: u64,
    pub(super) click: Click,
    /// Whether the person refused all that the business starts.
    pub(super) refuses_all: bool,
    pub(super) marketing: Marketing,
    /// Whether an event has named both of the person's ids.
    pub(super) linked: bool,
    /// Whether the ids have changed.
    pub(super) moved: bool,
}

impl Contact {
    pub(super) const NEW: Self = Self {
        spoke_at: 0,
        last_at: 0,
        busy_until: 0,
        held_until: 0,
        clicked_at: 0,
        entry_from: 0,
        sent_at: 0,
        last_message: 0,
        click: Click::Gone,
        refuses_all: false,
        marketing: Marketing::Welcome,
        linked: false,
        moved: false,
    };

    /// The end of the service window, which is outside it: 24 hours after the person last wrote or called.
    pub(super) const fn window_ends(&self) -> i64 {
        if self.spoke_at == 0 { 0 } else { self.spoke_at + DAY }
    }

    pub(super) const fn window_open(&self, at: i64) -> bool {
        at < self.window_ends()
    }

    /// The end of the last free entry point: 72 hours after the answer that opened it.
    pub(super) const fn entry_ends(&self) -> i64 {
        if self.entry_from == 0 { 0 } else { self.entry_from + 72 * HOUR }
    }

    pub(super) const fn entry_open(&self, at: i64) -> bool {
        self.entry_from <= at && at < self.entry_ends()
    }

    /// Whether a message sent at `at` would answer the click in time: within 24 hours of it, and from
    /// `in_window_from` (2026-09-28 local) on as long as the service window has stayed open.
    pub(super) const fn click_answerable(&self, at: i64, in_window_from: i64) -> bool {
        let in_time = if at < in_window_from { at < self.clicked_at + DAY } else { self.window_open(at) };
        matches!(self.click, Click::Waits) && in_time
    }

    /// Whether the click of this window was due before the rule about it changed, and was not answered then.
    /// Whether the rule that came after would still have it answered, the rules do not say.
    pub(super) const fn click_missed(&self, at: i64, in_window_from: i64) -> bool {
        let due = self.clicked_at + DAY;
        !matches!(self.click, Click::Gone) && self.window_open(at) && due <= at && due <= in_window_from
    }

    /// What is known of the person, if it may all be told.
    pub(super) const fn ids(&self, person: &Person) -> Ids {
        let (phone, user) = match person.known {
            Known::Phone => (true, false),
            Known::User => (false, true),
            Known::PhoneFirst => (true, self.linked),
            Known::UserFirst => (self.linked, true),
        };
        Ids { phone, user, moved: self.moved }
    }
}
