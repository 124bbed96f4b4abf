//! Whoever is erased is in no row of the state and in no output that is written later, in whatever form.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use tollgate::codec::event;
use tollgate::codec::ids::DeploymentKey;
use tollgate::codec::records::{Content, Event, Message, Person, SendAccepted, SendRequested, Status};
use tollgate::codec::state::WriteFormat;
use tollgate::domain::policy::Policy;
use tollgate::domain::rules::Rules;
use tollgate::domain::rules::cards::Cards;
use tollgate::engine::publish::{Publisher, Record};
use tollgate::engine::{Advanced, Engine, Output, Prepared, Setup};
use tollgate::store::{Memory, Store};
use tollgate::zones::Zones;

const DAY: i64 = 86_400_000;
const START: i64 = 1_793_577_600_000;
const PHONE: &str = "12025550150";
const SCOPED: &str = "US.13491208655302741918";
/// What a message's id is made of besides: the number, as the platform encodes it.
const ENCODED: &str = "HBgLMTIwMjU1NTAxNTAV";

struct Deployment {
    engine: Engine<Memory>,
    key: DeploymentKey,
    publisher: Publisher,
    outputs: Vec<Output>,
}

impl Deployment {
    fn new() -> Self {
        let key = DeploymentKey::new(b"tests name invented people only").expect("long enough");
        let setup = Arc::new(Setup {
            policy: Policy { clear_identity: true, ..Policy::default() },
            rules: Rules::default(),
            cards: Cards::default(),
            key: key.clone(),
            assume_zone: Zones::new().find("UTC"),
            assume_currency: None,
            memory: 1 << 20,
            write_format: WriteFormat::default(),
        });
        let opened = Engine::open(Arc::clone(&setup), Zones::new(), Arc::default(), Memory::default());
        let publisher = Publisher::new(setup, Zones::new(), "test".into(), true);
        Self { engine: opened.expect("memory can be read").0, key, publisher, outputs: Vec::new() }
    }

    fn fold(&mut self, kind: &'static str, at: i64, change: impl FnOnce(&mut Event<'static>)) {
        let contact = Some(Person { wa_id: Some(PHONE.into()), user_id: Some(SCOPED.into()), parent_user_id: None });
        let mut record = Event {
            kind: kind.into(),
            phone_number_id: "P1".into(),
            occurred_at: START + at,
            provenance: "live".into(),
            contact,
            ..Event::default()
        };
        change(&mut record);
        let event = event::parse(&record, &self.key).expect("valid").event.expect("it is for us");
        let arrives = event.occurred_at;
        while self.engine.advance(arrives, usize::MAX, &mut self.outputs).expect("memory can be read") != Advanced::Done
        {
            self.engine.commit(&[]).expect("memory can be written");
        }
        let prepared = Prepared::new(event, &self.key);
        self.engine.fold(&prepared, arrives, &mut self.outputs).expect("memory can be read").expect("it is folded");
    }

    fn send(&mut self, at: i64, name: usize) {
        self.fold("send_requested", at, |event| {
            event.send_requested = Some(Box::new(SendRequested {
                request_id: format!("ask-{name}").into(),
                content: Content { kind: "freeform".into(), ..Content::default() },
                ..SendRequested::default()
            }));
        });
        self.fold("send_accepted", at, |event| {
            event.send_accepted = Some(Box::new(SendAccepted {
                request_id: Some(format!("ask-{name}").into()),
                message_id: message(name).into(),
                ..SendAccepted::default()
            }));
        });
    }

    fn report(&mut self, at: i64, name: usize) {
        self.fold("status", at, |event| {
            event.status = Some(Box::new(Status {
                message_id: Some(message(name).into()),
                status: "delivered".into(),
                ..Status::default()
            }));
        });
    }

    fn write(&mut self, at: i64, name: &str) {
        let message_id = format!("wamid.{ENCODED}{name}").into();
        self.fold("message", at, |event| {
            event.message = Some(Box::new(Message { message_id, r#type: "text".into(), ..Message::default() }));
        });
    }

    /// Every row, and every output since this was last asked, as bytes.
    fn everything(&mut self) -> Vec<Vec<u8>> {
        self.engine.commit(&[]).expect("memory can be written");
        let rows = self.engine.store().scan(&[], &[], usize::MAX).expect("memory can be read");
        let mut bytes: Vec<Vec<u8>> = rows.into_iter().map(|(key, row)| [key, row].concat()).collect();
        for output in std::mem::take(&mut self.outputs) {
            let text = match self.publisher.record(&output, None) {
                Record::Verdict(record) => serde_json::to_vec(&record),
                Record::Charge(_, record) | Record::Billing(record) => serde_json::to_vec(&record),
                Record::Window(record) => serde_json::to_vec(&record),
                Record::State(record) => serde_json::to_vec(&record.value),
                Record::Outcome(record) => serde_json::to_vec(&record),
                Record::Usage(record) => serde_json::to_vec(&record),
                Record::DeadLetter(record) => serde_json::to_vec(&record),
            };
            bytes.push(text.expect("a record is JSON"));
        }
        bytes
    }
}

fn message(name: usize) -> String {
    format!("wamid.{ENCODED}{name}")
}

/// How many rows and outputs hold a form of the person's names.
fn tell_of(bytes: &[Vec<u8>]) -> usize {
    let forms = [PHONE, SCOPED, ENCODED];
    let holds =
        |row: &&Vec<u8>| forms.iter().any(|form| row.windows(form.len()).any(|window| window == form.as_bytes()));
    bytes.iter().filter(holds).count()
}

#[test]
fn nothing_tells_of_whom_was_erased() {
    let mut deployment = Deployment::new();
    deployment.write(0, "in");
    for name in 0..5 {
        deployment.send(1_000, name);
    }
    deployment.report(2_000, 0);
    deployment.report(DAY, 1);
    assert!(tell_of(&deployment.everything()) > 10, "or the test looks for the wrong things");
    deployment.fold("contact_erased", 2 * DAY, |_| {});
    assert_eq!(tell_of(&deployment.everything()), 0, "by the erasure itself");
    // All of this is late, or about what was before.
    for name in 0..7 {
        deployment.report(2 * DAY + 5_000, name);
    }
    deployment.fold("contact_erased", 2 * DAY, |_| {});
    deployment.fold("message", 2 * DAY + 10_000, |event| {
        event.occurred_at = START + DAY;
        event.message =
            Some(Box::new(Message { message_id: message(9).into(), r#type: "text".into(), ..Message::default() }));
    });
    let everything = deployment.everything();
    assert_eq!(tell_of(&everything), 0, "by what came after");
    // Time passes over deadlines that were set before.
    deployment.fold("contact_erased", 40 * DAY, |event| {
        event.contact = Some(Person { wa_id: Some("13105550199".into()), ..Person::default() });
    });
    assert_eq!(tell_of(&deployment.everything()), 0, "by time alone");
}
