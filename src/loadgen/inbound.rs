//! What people do: write, react, call, click on advertisements, choose what they want to hear, move.
//!
//! What one contact does keeps its order on arrival, and the business acts on a contact only when all of it
//! has arrived. An event that comes late enough to change a decision already made is another test's matter.

use super::arrival::{CallEvent, Client, Provenance, What};
use super::calendar::DAY;
use super::people::{Click, Contact, Ids, Known, Marketing};
use super::traffic::Traffic;

/// A kind of message from a person, in the platform's words.
pub(super) struct Form {
    pub(super) kind: &'static str,
    pub(super) subtype: Option<&'static str>,
    pub(super) error: Option<i32>,
    pub(super) removed: bool,
    /// Whether it refers to an earlier message.
    pub(super) refers: bool,
    /// Whether it opens the service window (rules.md 2.1).
    opens: bool,
    /// Of a thousand messages.
    share: u64,
}

const fn form(kind: &'static str, opens: bool, share: u64) -> Form {
    Form { kind, subtype: None, error: None, removed: false, refers: false, opens, share }
}

const fn sub(kind: &'static str, subtype: &'static str, share: u64) -> Form {
    Form { subtype: Some(subtype), refers: true, ..form(kind, true, share) }
}

const fn unsupported(subtype: Option<&'static str>, error: i32, opens: bool, share: u64) -> Form {
    Form { subtype, error: Some(error), ..form("unsupported", opens, share) }
}

/// The first form is what people write after a click.
#[rustfmt::skip]
pub(super) static FORMS: [Form; 23] = [
    form("text", true, 520),
    form("image", true, 62),
    form("audio", true, 50),
    form("video", true, 20),
    form("document", true, 20),
    form("sticker", true, 15),
    form("location", true, 8),
    form("contacts", true, 6),
    form("order", true, 5),
    sub("interactive", "button_reply", 80),
    sub("interactive", "list_reply", 40),
    sub("interactive", "nfm_reply", 10),
    sub("interactive", "call_permission_reply", 4),
    Form { refers: true, ..form("button", true, 70) },
    Form { refers: true, ..form("reaction", true, 40) },
    Form { refers: true, removed: true, ..form("reaction", false, 15) },
    unsupported(Some("poll_creation"), 131_051, true, 8),
    unsupported(Some("gif"), 131_051, true, 2),
    // Unsupported by name, an edit by type: the type counts.
    unsupported(Some("edit"), 131_051, false, 6),
    unsupported(None, 131_060, true, 3),
    Form { refers: true, ..form("edit", false, 8) },
    Form { refers: true, ..form("revoke", false, 4) },
    // A type that nobody knows yet is a message.
    form("hologram", true, 2),
];

impl Traffic<'_> {
    /// A message, a reaction, or the first words after a click on an advertisement.
    pub(super) fn person_writes(&mut self, index: u32, now: i64) {
        let at = now / 1000 * 1000;
        let contact = self.contacts[index as usize];
        let may_click = contact.click != Click::Waits
            && !contact.entry_open(at)
            && (contact.clicked_at == 0 || at - contact.clicked_at >= 5 * DAY);
        let clicked = may_click && self.random.per_mille(15);
        let form = if clicked { 0 } else { self.draw_form() };
        let client = self.draw_client(clicked);
        let refers = FORMS[usize::from(form)].refers;
        let about = match contact.last_message {
            _ if !refers => None,
            // About something from before the stream began.
            0 => Some(self.name()),
            last => Some(last),
        };
        let message = self.name();
        let what = What::Said { message, form, about, client, clicked, provenance: Provenance::Live };
        self.happen(index, what, at);
        let contact = &mut self.contacts[index as usize];
        if FORMS[usize::from(form)].opens {
            contact.opens_window(at);
        }
        if clicked {
            contact.clicked_at = at;
            let on_phone = !matches!(client, Some(Client::Web | Client::Desktop));
            contact.click = if on_phone { Click::Waits } else { Click::Gone };
        }
    }

    fn draw_form(&mut self) -> u8 {
        let mut left = self.random.below(FORMS.iter().map(|form| form.share).sum());
        for (place, form) in (0..).zip(&FORMS) {
            if left < form.share {
                return place;
            }
            left -= form.share;
        }
        0
    }

    /// No webhook tells the app, so mostly it is not known.
    fn draw_client(&mut self, clicked: bool) -> Option<Client> {
        match self.random.below(20) {
            0..3 => Some(Client::Android),
            3..5 => Some(Client::Ios),
            5 if clicked => Some(Client::Web),
            6 if clicked => Some(Client::Desktop),
            _ => None,
        }
    }

    /// The person calls: that opens the window, answered or not.
    pub(super) fn person_calls(&mut self, index: u32, now: i64) {
        let at = now / 1000 * 1000;
        let call = self.name();
        self.happen(index, What::Called { call, event: CallEvent::Connect, by_person: true }, at);
        self.contacts[index as usize].opens_window(at);
        if self.random.per_mille(500) {
            let ends = at + 5000 + self.random.seconds(55);
            self.happen_later(index, What::Called { call, event: CallEvent::Terminate, by_person: true }, ends);
        }
    }

    /// The business calls: that opens the window when the person accepts.
    pub(super) fn business_calls(&mut self, index: u32, now: i64) {
        let at = now / 1000 * 1000;
        let call = self.name();
        let accepts = self.random.per_mille(600);
        let last = if accepts { CallEvent::Accepted } else { CallEvent::Rejected };
        let decided = at + 3000 + self.random.seconds(20);
        for (event, at) in [(CallEvent::Connect, at), (CallEvent::Ringing, at + 1000), (last, decided)] {
            self.happen_later(index, What::Called { call, event, by_person: false }, at);
        }
        if accepts {
            self.contacts[index as usize].opens_window(decided);
        }
    }

    /// The person stops marketing in WhatsApp's settings, or takes it again.
    pub(super) fn person_chooses(&mut self, index: u32, now: i64) {
        let at = now / 1000 * 1000;
        let unheard = self.random.per_mille(300);
        let stop = match self.contacts[index as usize].marketing {
            // What the business has recorded itself is not mixed with what the platform knows.
            Marketing::Withdrawn => return,
            Marketing::Welcome => true,
            Marketing::Stopped | Marketing::StoppedUnheard => false,
        };
        if stop && unheard {
            self.contacts[index as usize].marketing = Marketing::StoppedUnheard;
            return;
        }
        self.happen(index, What::Preference { stop }, at);
        self.contacts[index as usize].marketing = if stop { Marketing::Stopped } else { Marketing::Welcome };
    }

    /// The business records that the person agreed or refused.
    pub(super) fn person_consents(&mut self, index: u32, now: i64) {
        let contact = self.contacts[index as usize];
        let refuses = self.random.per_mille(250);
        let about_all = self.random.per_mille(400);
        // Whoever refused a scope can only give that scope back, so that scopes never contradict.
        let (all, given) = match (contact.refuses_all, contact.marketing) {
            (true, _) => (true, true),
            (false, Marketing::Withdrawn) => (false, true),
            (false, Marketing::Welcome) => (about_all, !refuses),
            (false, Marketing::Stopped | Marketing::StoppedUnheard) => (true, !refuses),
        };
        self.happen_now(index, What::Consent { all, given }, now);
        let contact = &mut self.contacts[index as usize];
        match (all, given) {
            (true, given) => contact.refuses_all = !given,
            (false, false) => contact.marketing = Marketing::Withdrawn,
            (false, true) => contact.marketing = Marketing::Welcome,
        }
    }

    /// The person takes another phone number, once, or only another phone.
    pub(super) fn person_moves(&mut self, index: u32, now: i64) {
        let contact = self.contacts[index as usize];
        if contact.last_at == 0 {
            return;
        }
        let ids_change = self.settings.moves && !contact.moved && self.random.per_mille(700);
        let ids = contact.ids(&self.world.person(index));
        let at = now / 1000 * 1000;
        let received_at = self.received_at(index, at);
        self.plan_as(index, ids, What::Moved { ids_change }, at, received_at);
        self.note(index, at, received_at);
        self.contacts[index as usize].moved |= ids_change;
    }

    /// The business writes from the phone app. That is no window's and no ledger's business.
    pub(super) fn business_writes_by_hand(&mut self, index: u32, now: i64) {
        // Whether it answers a click nobody says, so it does not happen then.
        if self.contacts[index as usize].click != Click::Waits {
            let message = self.name();
            let provenance = Provenance::PhoneApp;
            let what = What::Said { message, form: 0, about: None, client: None, clicked: false, provenance };
            let received_at = now + self.random.millis(1000);
            self.plan(index, what, now / 1000 * 1000, received_at);
        }
    }

    /// An import brings a message of some days ago. It opens no window.
    pub(super) fn history_comes(&mut self, index: u32, now: i64) {
        let message = self.name();
        let provenance = Provenance::History;
        let what = What::Said { message, form: 0, about: None, client: None, clicked: false, provenance };
        let age = self.random.millis((5 * DAY).min(self.settings.longest_delay));
        self.plan(index, what, (now - age) / 1000 * 1000, now);
    }

    /// Plans what the contact does at `at`, named as the platform happens to name it.
    fn happen(&mut self, index: u32, what: What, at: i64) {
        let received_at = self.received_at(index, at);
        let ids = self.ids_told(index);
        self.plan_as(index, ids, what, at, received_at);
        self.note(index, at, received_at);
    }

    /// The same for the next of a chain of events, which arrives soon after the one before.
    fn happen_later(&mut self, index: u32, what: What, at: i64) {
        let held_until = self.contacts[index as usize].held_until;
        let received_at = (at + 200 + self.random.millis(1000)).max(held_until + 1);
        self.plan(index, what, at, received_at);
        self.note(index, at, received_at);
    }

    /// The same for what the business itself writes down: it arrives at once.
    fn happen_now(&mut self, index: u32, what: What, now: i64) {
        let at = self.moment_before(index, now);
        self.plan(index, what, at, now);
        self.note(index, at, now);
    }

    /// A moment before `now`, and after all that has happened to the contact.
    pub(super) fn moment_before(&mut self, index: u32, now: i64) -> i64 {
        (now - self.random.millis(250)).max(self.contacts[index as usize].busy_until)
    }

    /// When what the contact does at `at` arrives. Whoever is active is seldom late, or the business would
    /// hardly ever know where it stands; and nothing arrives after the window would have closed without it,
    /// for then the product would have to take back that it closed.
    fn received_at(&mut self, index: u32, at: i64) -> i64 {
        let contact = self.contacts[index as usize];
        let quiet = if contact.last_at == 0 { i64::MAX } else { at - contact.last_at };
        let received_at = at + self.delay().min(quiet.max(2000));
        let in_time = if contact.window_open(at) { received_at.min(contact.window_ends() - 1) } else { received_at };
        in_time.max(contact.held_until)
    }

    /// Notes that something happened at `at` and arrives at `received_at`.
    pub(super) fn note(&mut self, index: u32, at: i64, received_at: i64) {
        let contact = &mut self.contacts[index as usize];
        contact.last_at = at;
        contact.busy_until = at / 1000 * 1000 + 1000;
        contact.held_until = contact.held_until.max(received_at);
    }

    /// The ids in what comes from the person: mostly all, now and then one of two; and sometimes the first
    /// event that names both.
    fn ids_told(&mut self, index: u32) -> Ids {
        let person = self.world.person(index);
        let may_link = matches!(person.known, Known::PhoneFirst | Known::UserFirst);
        let links = may_link && !self.contacts[index as usize].linked && self.random.per_mille(500);
        if links {
            self.contacts[index as usize].linked = true;
            return self.contacts[index as usize].ids(&person);
        }
        self.ids_chosen(index)
    }

    /// All ids that are known, or one of two.
    pub(super) fn ids_chosen(&mut self, index: u32) -> Ids {
        let ids = self.contacts[index as usize].ids(&self.world.person(index));
        if !(self.settings.aliases && ids.phone && ids.user) {
            return ids;
        }
        match self.random.below(5) {
            0 => Ids { user: false, ..ids },
            1 => Ids { phone: false, ..ids },
            _ => ids,
        }
    }
}

impl Contact {
    /// The person wrote or called. A click that the window has closed on since is no longer to be answered.
    const fn opens_window(&mut self, at: i64) {
        if !self.window_open(at) {
            self.click = Click::Gone;
        }
        self.spoke_at = at;
    }
}
