//! The event that has a person erased, as `tollgate erase` writes it.

use crate::codec::frame::{self, Framing};
use crate::codec::records::{Event, Person};
use crate::codec::schema;
use crate::config::Mistake;
use crate::domain::id::{NumberId, ParentUserId, ScopedUserId, WaId};
use crate::zones;

/// The event that has a person erased. `names` holds a name on each line; `at` is an instant in UTC.
///
/// # Errors
/// All that is wrong with what was given, without repeating a name.
pub fn event<'a>(number: &'a str, names: &'a str, at: &str) -> Result<Event<'a>, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    if let Err(invalid) = NumberId::parse(number) {
        mistakes.push(Mistake::new("--number", invalid.to_string()));
    }
    let occurred_at = zones::parse_instant(at);
    if occurred_at.is_none() {
        mistakes.push(Mistake::new("--at", format!("`{at}` is no instant; write `2026-11-02T09:30:00Z`")));
    }
    let mut person = Person::default();
    for (line, name) in (1..).zip(names.lines()).map(|(line, name)| (line, name.trim().trim_start_matches('+'))) {
        if name.is_empty() {
            continue;
        }
        let place = if ParentUserId::parse(name).is_ok() && name.get(2..).is_some_and(|rest| rest.starts_with(".ENT."))
        {
            &mut person.parent_user_id
        } else if ScopedUserId::parse(name).is_ok() {
            &mut person.user_id
        } else if WaId::parse(name).is_ok() {
            &mut person.wa_id
        } else {
            let problem = "it is neither a phone number (7 to 15 digits) nor a scoped id (`US.123`) nor its parent";
            mistakes.push(Mistake::new(format!("names, line {line}"), problem));
            continue;
        };
        if place.replace(name.into()).is_some() {
            let problem = "it is the second of its kind; write an event for each";
            mistakes.push(Mistake::new(format!("names, line {line}"), problem));
        }
    }
    if person == Person::default() && mistakes.is_empty() {
        mistakes.push(Mistake::new("names", "there is none: write at least one name of the person's"));
    }
    let (Some(at), true) = (occurred_at, mistakes.is_empty()) else {
        return Err(mistakes);
    };
    Ok(Event {
        kind: "contact_erased".into(),
        phone_number_id: number.into(),
        occurred_at: at.millis(),
        provenance: "live".into(),
        contact: Some(person),
        ..Event::default()
    })
}

/// The line of an event in a file.
///
/// # Errors
/// If the event cannot be encoded, which none of ours cannot.
pub fn line(event: &Event<'_>) -> Result<Vec<u8>, Vec<Mistake>> {
    let mut line = Vec::new();
    frame::write(event, schema::EVENT, Framing::Json, &mut line)
        .map_err(|error| vec![Mistake::new("erase", error.to_string())])?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use crate::codec::ids::DeploymentKey;
    use crate::domain::event::Happening;

    #[test]
    fn what_is_written_is_read_as_an_erasure() {
        let event = event("P1", "+12025550150\nUS.1\n\nUS.ENT.1\n", "2026-11-02T09:30:00Z").expect("valid");
        let line = line(&event).expect("a line");
        let record = frame::from_json(line.trim_ascii_end()).expect("a record");
        let key = DeploymentKey::new(b"tests name invented people only").expect("long enough");
        let event = codec::event::parse(&record, &key).expect("valid").event.expect("it is for us");
        assert_eq!(event.happening, Happening::ContactErased);
        assert_eq!(event.contact.map(|contact| contact.names().count()), Some(3));
    }

    #[test]
    fn all_mistakes_are_told_and_no_name() {
        let mistakes = event("", "12025550150\n13105550199\nsomebody\n", "today").expect_err("nothing is right");
        let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 4, "{told:?}");
        assert!(!told.iter().any(|told| told.contains("555") || told.contains("somebody")), "{told:?}");
        assert!(event("P1", "\n", "2026-11-02T09:30:00Z").is_err(), "somebody must be named");
    }
}
