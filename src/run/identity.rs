//! Which cluster and which topics a state was made of, kept in a file beside it.
//!
//! A topic that was deleted and made again has its name and other records. A state that is read on from such a
//! changelog would lack rows for ever and nobody would notice, because its positions still agree with the group's.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::Mistake;
use crate::kafka::topics::Identity;

/// The file's name.
const FILE: &str = "identity";

/// The first words of its lines.
const CLUSTER: &str = "cluster";
const TOPIC: &str = "topic";

/// Holds the cluster and the topics against those that the state in a directory was made of, and keeps them for the
/// next time.
///
/// # Errors
/// Which are others, and what to do; or that the file cannot be read or written.
pub fn check(directory: &Path, now: &Identity) -> Result<(), Vec<Mistake>> {
    let place = directory.join(FILE);
    let wrong = |error: std::io::Error| {
        vec![Mistake::new("state.directory", format!("{} cannot be read or written: {error}", place.display()))]
    };
    let then = match std::fs::read_to_string(&place) {
        Ok(text) => read(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Identity::default(),
        Err(error) => return Err(wrong(error)),
    };
    let mistakes = differences(&then, now, directory);
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    // What is not there now, such as an output that was renamed, may come back.
    let mut kept = Identity { cluster: now.cluster.clone(), topics: then.topics.clone() };
    kept.topics.extend(now.topics.clone());
    if kept == then {
        return Ok(());
    }
    let beside = directory.join(format!("{FILE}.new"));
    let written = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&beside, write(&kept)));
    written.and_then(|()| std::fs::rename(&beside, &place)).map_err(wrong)
}

/// What is another than it was.
fn differences(then: &Identity, now: &Identity, directory: &Path) -> Vec<Mistake> {
    let mend = format!(
        "put back what was there; or, if it is meant, stop all members, see to it that positions and changelogs begin \
         anew together, and move {} away",
        directory.display()
    );
    if !then.cluster.is_empty() && then.cluster != now.cluster {
        let problem =
            format!("the state was made of cluster `{}`, and this is `{}`; {mend}", then.cluster, now.cluster);
        return vec![Mistake::new("kafka.bootstrap", problem)];
    }
    let others = now.topics.iter().filter_map(|(name, id)| {
        let before = then.topics.get(name).filter(|before| *before != id)?;
        let problem = format!(
            "it was deleted and made again since the state was made of it: its id was {before}, and is {id}; {mend}"
        );
        Some(Mistake::new(format!("topic `{name}`"), problem))
    });
    others.collect()
}

/// A line that is none of ours says nothing; a later version may have written it.
fn read(text: &str) -> Identity {
    let (mut cluster, mut topics) = (String::new(), BTreeMap::new());
    for line in text.lines() {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            [CLUSTER, id] => (*id).clone_into(&mut cluster),
            [TOPIC, name, id] => {
                topics.insert((*name).to_owned(), (*id).to_owned());
            }
            _ => {}
        }
    }
    Identity { cluster, topics }
}

fn write(identity: &Identity) -> String {
    let topics = identity.topics.iter().map(|(name, id)| format!("{TOPIC} {name} {id}\n"));
    std::iter::once(format!("{CLUSTER} {}\n", identity.cluster)).chain(topics).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(cluster: &str, topics: &[(&str, &str)]) -> Identity {
        let topics = topics.iter().map(|(name, id)| ((*name).to_owned(), (*id).to_owned())).collect();
        Identity { cluster: cluster.to_owned(), topics }
    }

    fn told(directory: &Path, now: &Identity) -> Vec<String> {
        check(directory, now).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_state_is_not_read_on_from_topics_that_only_have_the_names_of_those_it_was_made_of() {
        let place = tempfile::tempdir().expect("a directory");
        let directory = place.path().join("state");
        let first = identity("c1", &[("wa.events", "a1"), ("tollgate.charges", "b1")]);
        assert_eq!(told(&directory, &first), [""; 0]);
        assert_eq!(told(&directory, &first), [""; 0], "it is what it was");
        let more = identity("c1", &[("wa.events", "a1"), ("wa.more", "d1")]);
        assert_eq!(told(&directory, &more), [""; 0], "a topic more, and one that is not there now");
        let again = identity("c1", &[("wa.events", "a1"), ("tollgate.charges", "b2"), ("wa.more", "d1")]);
        let why = told(&directory, &again);
        assert!(why.len() == 1 && why[0].contains("`tollgate.charges`") && why[0].contains("b1"), "{why:?}");
        assert_eq!(told(&directory, &again), why, "asking twice is no consent");
        let elsewhere = identity("c2", &[("wa.events", "a1")]);
        let why = told(&directory, &elsewhere);
        assert!(why.len() == 1 && why[0].contains("cluster `c1`"), "{why:?}");
        assert_eq!(told(&directory, &first), [""; 0], "put back, it goes on");
    }
}
