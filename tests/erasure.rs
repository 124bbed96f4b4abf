//! Whoever is erased is in no row of the state and in no output that is written later, in whatever form; nor in any file
//! of the store, once it is compacted.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod erased;

use std::sync::Arc;

use tollgate::codec::event;
use tollgate::codec::ids::{self, DeploymentKey};
use tollgate::codec::records::{self, Event, Person};
use tollgate::codec::state::{self, WriteFormat};
use tollgate::domain::id::NumberId;
use tollgate::domain::policy::Policy;
use tollgate::domain::rules::Rules;
use tollgate::domain::rules::cards::Cards;
use tollgate::engine::publish::{Publisher, Record};
use tollgate::engine::{Advanced, Engine, Output, Prepared, Rejected, Setup};
use tollgate::store::{Memory, Store, keys};
use tollgate::zones::Zones;

use erased::{
    Forms, accepted, accepted_for_group, asked, erased, freeform, inbound, marketing, names, of, share, status, stop,
};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// The second of a month in which 1,000 deliveries are free, and ours to count where the platform does not say.
const START: i64 = 1_793_577_600_000;

struct Deployment<S> {
    engine: Engine<S>,
    setup: Arc<Setup>,
    publisher: Publisher,
    outputs: Vec<Output>,
    forms: Forms,
}

impl<S: Store> Deployment<S> {
    fn on(store: S) -> Self {
        let setup = Arc::new(Setup {
            policy: Policy { clear_identity: true, ..Policy::default() },
            rules: Rules::default(),
            cards: Cards::default(),
            key: DeploymentKey::new(b"tests name invented people only").expect("long enough"),
            assume_zone: Zones::new().find("UTC"),
            assume_currency: None,
            memory: 1 << 20,
            write_format: WriteFormat::default(),
        });
        let publisher = Publisher::new(Arc::clone(&setup), Zones::new(), "test".into(), true);
        let opened = Engine::open(Arc::clone(&setup), Zones::new(), Arc::default(), store);
        let engine = opened.expect("a store that can be read").0;
        Self { engine, setup, publisher, outputs: Vec::new(), forms: Forms::new() }
    }

    /// What happens arrives at once.
    fn fold(&mut self, record: &Event<'_>) {
        self.fold_at(record.occurred_at, record).expect("it is folded");
    }

    /// Something arrives.
    fn fold_at(&mut self, at: i64, record: &Event<'_>) -> Result<(), Rejected> {
        let event = event::parse(record, &self.setup.key).expect("valid").event.expect("it is for us");
        let arrives = tollgate::domain::time::Timestamp::from_millis(at).expect("in range");
        while self.engine.advance(arrives, usize::MAX, &mut self.outputs).expect("it can be read") != Advanced::Done {
            self.engine.commit(&[]).expect("it can be written");
        }
        let prepared = Prepared::new(event, &self.setup.key);
        self.engine.fold(&prepared, arrives, &mut self.outputs).expect("it can be read")
    }

    /// Time passes, in which other people write.
    fn others(&mut self, from: i64, until: i64) {
        for (person, at) in (from..until).step_by(usize::try_from(6 * HOUR).expect("hours")).enumerate() {
            let other = Person { wa_id: Some(format!("1310555{person:04}").into()), ..Person::default() };
            let message_id = format!("wamid.OTHER{at}").into();
            let message = records::Message { message_id, r#type: "text".into(), ..records::Message::default() };
            self.fold(&Event { message: Some(Box::new(message)), ..of("message", other, at) });
        }
    }

    /// A message goes out, and is delivered some time after.
    fn deliver(&mut self, at: i64, name: usize, after: i64) {
        self.fold(&asked(at, name, freeform()));
        self.fold(&accepted(at + 300, name));
        self.fold(&status(at + 1_000, name, "sent"));
        self.fold(&status(at + after, name, "delivered"));
    }

    fn rows(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.engine.commit(&[]).expect("it can be written");
        self.engine.store().scan(&[], &[], usize::MAX).expect("it can be read")
    }

    /// The outputs since this was last asked, as text.
    fn published(&mut self) -> Vec<String> {
        let published = std::mem::take(&mut self.outputs);
        let text = published.iter().map(|output| {
            match self.publisher.record(output, None) {
                Record::Verdict(record) => serde_json::to_string(&record),
                Record::Charge(_, record) | Record::Billing(record) => serde_json::to_string(&record),
                Record::Window(record) => serde_json::to_string(&record),
                Record::State(record) => serde_json::to_string(&(record.key.as_str(), &record.value)),
                Record::Outcome(record) => serde_json::to_string(&record),
                Record::Usage(record) => serde_json::to_string(&record),
                Record::DeadLetter(record) => serde_json::to_string(&record),
            }
            .expect("a record is JSON")
        });
        text.collect()
    }

    /// What tells of the person: kinds of rows, and outputs since this was last asked.
    fn tells(&mut self) -> String {
        let mut found = String::new();
        for (key, row) in self.rows() {
            if self.forms.in_bytes(&[&key[..], &row].concat()).is_some() {
                found.push(char::from(key[0]));
            }
        }
        for output in self.published() {
            if self.forms.in_bytes(output.as_bytes()).is_some() {
                found.push('o');
            }
        }
        found.chars().collect::<std::collections::BTreeSet<char>>().into_iter().collect()
    }

    /// How outputs call the person in a life of theirs.
    fn called(&self, generation: u32) -> String {
        let number = NumberId::parse(erased::NUMBER).expect("a number");
        ids::hex(self.setup.key.contact(&number, erased::PHONE, generation).0).as_str().to_owned()
    }
}

/// Reports on messages to the person.
fn reports(at: i64, messages: usize) -> impl Iterator<Item = Event<'static>> {
    (0..messages).flat_map(move |name| ["sent", "delivered", "read", "failed"].map(|what| status(at, name, what)))
}

#[test]
fn nothing_tells_of_whom_was_erased() {
    let mut deployment = Deployment::on(Memory::default());
    deployment.fold(&inbound(START, 100));
    for name in 0..5 {
        deployment.fold(&asked(START + 1_000, name, freeform()));
        deployment.fold(&accepted(START + 1_000, name));
    }
    deployment.fold(&status(START + 2_000, 0, "delivered"));
    deployment.fold(&status(START + DAY, 1, "delivered"));
    assert_eq!(deployment.tells(), "cmow", "or the test looks for the wrong things");
    let by_one_name = Person { user_id: Some(erased::SCOPED.into()), ..Person::default() };
    deployment.fold(&erased(by_one_name.clone(), START + 2 * DAY));
    assert_eq!(deployment.tells(), "", "by the erasure itself");
    // All of this is late, or about what was before.
    for event in reports(START + 2 * DAY + 5_000, 7) {
        deployment.fold(&event);
    }
    deployment.fold(&erased(by_one_name, START + 2 * DAY));
    for event in [inbound(START + DAY, 101), accepted(START + DAY, 8), asked(START + DAY, 9, freeform())] {
        assert_eq!(deployment.fold_at(START + 2 * DAY + 10_000, &event), Ok(()));
    }
    assert_eq!(deployment.tells(), "", "by what came after");
    // Time passes over deadlines that were set before.
    deployment.others(START + 3 * DAY, START + 40 * DAY);
    assert_eq!(deployment.tells(), "", "by time alone");
}

#[test]
fn messages_that_were_settled_long_before_are_reached() {
    for days in [8, 16, 30, 43, 50, 59, 70] {
        let mut deployment = Deployment::on(Memory::default());
        deployment.fold(&inbound(START, 100));
        deployment.deliver(START + 1_000, 0, 2_000);
        // This one is never heard of again, the next is delivered days after it was sent, and the last reported weeks after.
        deployment.fold(&asked(START + 4_000, 1, freeform()));
        deployment.fold(&accepted(START + 4_000, 1));
        deployment.deliver(START + 5_000, 2, 9 * DAY);
        let event = Event { admit_late: true, ..status(START + 6_000, 3, "delivered") };
        deployment.fold_at(START + 25 * DAY, &event).expect("it is folded");
        let until = START + (25 + days) * DAY;
        deployment.others(START + 25 * DAY, until);
        let before = deployment.tells();
        assert!(before.contains('m') && before.contains('w'), "{days}: {before}: or nothing is to be erased");
        deployment.fold(&erased(names(), until));
        assert_eq!(deployment.tells(), "", "{days}");
    }
}

#[test]
fn messages_of_which_little_was_heard_are_reached() {
    let mut deployment = Deployment::on(Memory::default());
    deployment.fold(&inbound(START, 100));
    // The platform refused it; nobody knew whom it went to; it was read, and nothing else.
    deployment.fold(&status(START + 1_000, 0, "failed"));
    deployment.fold(&Event { contact: None, ..status(START + 2_000, 1, "sent") });
    deployment.fold(&status(START + 3_000, 1, "delivered"));
    deployment.fold(&status(START + 4_000, 2, "read"));
    deployment.others(START + 5 * DAY, START + 30 * DAY);
    assert!(deployment.tells().contains('w'));
    deployment.fold(&erased(names(), START + 30 * DAY));
    assert_eq!(deployment.tells(), "");
}

#[test]
fn what_is_known_of_nobody_goes_by_age() {
    let mut deployment = Deployment::on(Memory::default());
    deployment.fold(&Event { contact: None, ..status(START, 0, "sent") });
    let rows = deployment.rows();
    let (_, row) = rows.iter().find(|(key, _)| key[0] == keys::MESSAGE).expect("it is held");
    let until = state::kept_until(row).expect("it goes some day").millis();
    assert!((START + 37 * DAY..=START + 74 * DAY).contains(&until), "{until}");
}

#[test]
fn recipients_within_groups_are_reached_and_not_brought_back() {
    let by_phone = || Person { wa_id: Some(erased::PHONE.into()), ..Person::default() };
    let by_id = || Person { user_id: Some(erased::SCOPED.into()), ..Person::default() };
    let other = || Person { wa_id: Some("13105550199".into()), ..Person::default() };
    for is_contact in [false, true] {
        let mut deployment = Deployment::on(Memory::default());
        if is_contact {
            deployment.fold(&inbound(START - HOUR, 100));
        }
        for name in 0..4 {
            deployment.fold(&accepted_for_group(START, name));
        }
        // One was delivered to them and one was not, and of one the platform says what it costs long after.
        for (name, recipient, what) in
            [(0, by_phone(), "delivered"), (1, by_phone(), "sent"), (2, by_id(), "read"), (3, other(), "delivered")]
        {
            deployment.fold(&share(START + 1_000, name, recipient, what));
        }
        let erased_at = START + 20 * DAY;
        deployment.others(START + DAY, erased_at);
        let before = deployment.tells();
        assert!(before.contains('w') && before.contains('m'), "{before}");
        deployment.fold(&erased(names(), erased_at));
        assert_eq!(deployment.tells(), "", "a contact: {is_contact}");
        // They are not brought back by what went out before, nor by what nobody knows when it went out.
        for name in 0..5 {
            for recipient in [by_phone(), by_id()] {
                deployment.fold(&share(erased_at + HOUR, name, recipient, "delivered"));
            }
        }
        assert_eq!(deployment.published(), Vec::<String>::new(), "a contact: {is_contact}");
        assert_eq!(deployment.tells(), "", "a contact: {is_contact}");
        // Time passes over the day by which the platform gives up.
        deployment.others(erased_at + DAY, erased_at + 20 * DAY);
        assert_eq!(deployment.tells(), "", "a contact: {is_contact}");
        // Others of the group still count, and so does what goes to them if they are in it still.
        let at = erased_at + 20 * DAY;
        deployment.fold(&accepted_for_group(at, 6));
        for recipient in [by_phone(), other()] {
            deployment.fold(&share(at + 1_000, 6, recipient, "delivered"));
        }
        assert_eq!(deployment.published().iter().filter(|output| output.contains("\"participant_key\":\"")).count(), 4);
        deployment.fold(&erased(names(), at + HOUR));
        assert_eq!(deployment.tells(), "", "once more, a contact: {is_contact}");
    }
}

#[test]
fn what_is_forgotten_by_age_is_taken_out_of_the_changelog_too() {
    let mut deployment = Deployment::on(Memory::default());
    deployment.deliver(START, 0, 2_000);
    deployment.others(START, START + 50 * DAY);
    let row = |(key, row): (Vec<u8>, Vec<u8>)| (key[0] == keys::MESSAGE).then_some((key, row));
    let (key, row) = deployment.rows().into_iter().find_map(row).expect("it is in the store until that is compacted");
    assert!(state::kept_until(&row).is_some_and(|until| until.millis() < START + 50 * DAY));
    deployment.fold(&erased(names(), START + 50 * DAY));
    let changes = deployment.engine.changes(&[]);
    let deleted = changes.changes().any(|(changed, value)| changed == key && value.is_none());
    assert!(deleted, "the changelog may hold it some days longer");
}

#[test]
fn what_comes_too_late_after_an_erasure_is_no_dead_letter() {
    let mut deployment = Deployment::on(Memory::default());
    deployment.fold(&inbound(START, 100));
    assert_ne!(deployment.tells(), "");
    deployment.fold(&erased(names(), START + 2 * HOUR));
    let now = START + 30 * DAY;
    assert_eq!(deployment.fold_at(now, &inbound(START + HOUR, 101)), Ok(()));
    assert_eq!(deployment.fold_at(now, &status(START + 2 * DAY, 5, "read")), Ok(()), "it brings nobody back");
    assert_eq!(
        deployment.fold_at(now, &inbound(START + 2 * DAY, 102)),
        Err(Rejected::TooLate),
        "they were back by then"
    );
    let other = Person { wa_id: Some("13105550199".into()), ..Person::default() };
    let other = Event { contact: Some(other), ..inbound(START + HOUR, 103) };
    assert_eq!(deployment.fold_at(now, &other), Err(Rejected::TooLate));
    assert_eq!(deployment.tells(), "");
}

/// What every store must show: nothing is left after the erasure, reports bring nobody back, refusals hold, and who comes
/// back is somebody else.
fn comes_back_as_somebody_new<S: Store>(deployment: &mut Deployment<S>, at: i64) {
    for event in reports(at, 8) {
        deployment.fold(&event);
    }
    assert_eq!(deployment.tells(), "", "reports bring nobody back");
    deployment.fold(&asked(at + HOUR, 50, marketing()));
    let published = deployment.published();
    let verdict = published.iter().find(|output| output.contains("\"verdict\":")).expect("an answer");
    assert!(verdict.contains("\"blocked\"") && verdict.contains("\"marketing_opted_out\""), "{verdict}");
    assert!(verdict.contains(&deployment.called(1)) && !verdict.contains(&deployment.called(0)), "{verdict}");
    deployment.fold(&inbound(at + 2 * HOUR, 51));
    let published = deployment.published();
    let window = published.iter().find(|output| output.contains("\"opened\"")).expect("a window opens");
    assert!(window.contains(&deployment.called(1)) && !window.contains(&deployment.called(0)), "{window}");
}

#[test]
fn a_refusal_holds_and_who_comes_back_is_somebody_new() {
    let mut deployment = Deployment::on(Memory::default());
    deployment.fold(&inbound(START, 100));
    deployment.fold(&stop(START + HOUR));
    deployment.deliver(START + 2 * HOUR, 0, 2_000);
    assert!(deployment.published().iter().any(|output| output.contains(&deployment.called(0))));
    deployment.fold(&erased(names(), START + 3 * HOUR));
    comes_back_as_somebody_new(&mut deployment, START + 2 * DAY);
}

/// On RocksDB, down to the bytes of its files.
#[cfg(feature = "rocksdb")]
mod on_disk {
    use std::path::Path;

    use rocksdb::{DB, IteratorMode, Options};
    use tollgate::store::Rocks;

    use super::*;
    use crate::erased::in_files;

    const MEMORY: usize = 16 << 20;

    /// Holds that files hold the rows that anybody sees and nothing besides: neither what was written over nor what was
    /// deleted. Blocks of files are compressed, so that their bytes alone prove nothing.
    fn assert_holds_rows_alone(directory: &Path) {
        let store = DB::open_for_read_only(&Options::default(), directory, false).expect("a store that nobody uses");
        let rows = store.iterator(IteratorMode::Start).inspect(|row| assert!(row.is_ok(), "it can be read")).count();
        let files = store.live_files().expect("they can be listed");
        let entries: u64 = files.iter().map(|file| file.num_entries).sum();
        let deletions: u64 = files.iter().map(|file| file.num_deletions).sum();
        assert_eq!((entries, deletions), (rows as u64, 0));
        assert!(rows > 100, "{rows}");
    }

    #[test]
    fn no_byte_is_left_after_compaction_and_nobody_comes_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut deployment = Deployment::on(Rocks::open(directory.path(), MEMORY).expect("a new store"));
        deployment.fold(&inbound(START, 100));
        deployment.fold(&stop(START + HOUR));
        for name in 0..4 {
            deployment.deliver(START + 2 * HOUR, name, 2_000 + 2 * DAY * i64::try_from(name).expect("few"));
        }
        deployment.others(START + 10 * DAY, START + 20 * DAY);
        assert_eq!(deployment.tells(), "cmow");
        assert!(in_files(directory.path(), &deployment.forms).is_some(), "in the log of what is in no file yet");
        // What was written before the last weeks is deep down, and the rest is not.
        deployment.engine.store().compact().expect("the disk has room");
        deployment.others(START + 20 * DAY, START + 40 * DAY);
        deployment.deliver(START + 39 * DAY, 4, 2_000);
        let erased_at = START + 40 * DAY;
        let stays = deployment.tells();
        assert!(stays.contains('c') && stays.contains('m') && stays.contains('w'), "{stays}");

        deployment.fold(&erased(names(), erased_at));
        assert_eq!(deployment.tells(), "");
        deployment.others(erased_at, erased_at + DAY);
        let mut store = deployment.engine.into_store();
        store.compact().expect("the disk has room");
        drop(store);
        assert_eq!(in_files(directory.path(), &deployment.forms), None);
        assert_holds_rows_alone(directory.path());

        store = Rocks::open(directory.path(), MEMORY).expect("the same store");
        let mut deployment = Deployment::on(store);
        assert_eq!(deployment.tells(), "");
        comes_back_as_somebody_new(&mut deployment, erased_at + 2 * DAY);
        // What came in vain has left nothing, either.
        let again = erased_at + 3 * DAY;
        deployment.fold(&erased(names(), again));
        deployment.others(again, again + DAY);
        assert_eq!(deployment.tells().trim_end_matches('o'), "");
        deployment.engine.into_store().compact().expect("the disk has room");
        assert_eq!(in_files(directory.path(), &deployment.forms), None);
        assert_holds_rows_alone(directory.path());
    }
}
