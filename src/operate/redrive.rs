//! `tollgate redrive --kafka`: letters from the topic of dead letters, and back to the topics of events they came from.
//!
//! What goes back arrives now, so all of it gets `admit_late`. Whoever gives the same letter back twice bills nothing
//! twice: what an event says is known by its content.

use crate::codec::frame;
use crate::codec::ids::DeploymentKey;
use crate::codec::records::DeadLetter;
use crate::codec::schema;
use crate::config::Mistake;
use crate::kafka::asker::{Asked, Asker};
use crate::kafka::span::Again;
use crate::redrive::{self, Target};
use crate::stream::Topic;
use crate::worker::{Decoded, decode};

use super::{Cluster, Known, wrong};

/// The topics of events that letters come from.
pub struct Back<'c> {
    cluster: &'c Cluster,
    known: Known,
    key: DeploymentKey,
    again: Again,
    /// Nothing where it is only looked at what would go back.
    asker: Option<Asker>,
    /// Why brokers or registry could not be asked, so that they are not with every letter.
    failed: Option<String>,
}

/// A record on its way to a topic.
pub struct Returned {
    topic: String,
    record: Asked,
}

impl AsRef<[u8]> for Returned {
    fn as_ref(&self) -> &[u8] {
        &self.record.value
    }
}

impl<'c> Back<'c> {
    /// Gets ready to write, or to look at what would be written.
    ///
    /// # Errors
    /// If that cannot be done.
    pub fn open(cluster: &'c Cluster, key: DeploymentKey, writes: bool) -> Result<Self, Vec<Mistake>> {
        let known = Known::of(schema::EVENT, cluster.registry.clone())?;
        let again = Again::open(&cluster.settings).map_err(|failure| wrong("the brokers")(&failure))?;
        let asker = writes.then(|| cluster.asker()).transpose()?;
        Ok(Self { cluster, known, key, again, asker, failed: None })
    }

    /// Waits until the brokers have everything. Returns how many records they have got.
    ///
    /// # Errors
    /// How many they have not.
    pub fn finish(self) -> Result<u64, Vec<Mistake>> {
        let finished = self.asker.map_or(Ok(0), Asker::finish);
        finished.map_err(|why| wrong("redrive")(&format!("{why}; what is there twice is folded once, so try again")))
    }

    /// Takes note of what could be asked, or why not.
    fn asked<T>(&mut self, answer: Result<T, String>) -> Result<T, String> {
        self.failed = answer.as_ref().err().cloned();
        answer
    }

    /// The topic of events that a letter is about.
    fn topic(&self, letter: &DeadLetter<'_>) -> Result<&'c str, String> {
        if let Some(why) = &self.failed {
            return Err(why.clone());
        }
        let named = letter.original_topic.as_str();
        self.cluster.inputs().map(|(_, name)| name).find(|name| *name == named).ok_or_else(|| {
            format!("`{named}` is no topic of events of this configuration; with --out a file for `tollgate replay` is written")
        })
    }
}

impl Target for Back<'_> {
    type Record = Returned;

    /// Where letters are pointers, the record is read again from where it was.
    fn find(&mut self, letter: &DeadLetter<'_>) -> Result<Vec<u8>, String> {
        let topic = self.topic(letter)?;
        let found = self.again.value(topic, letter.original_partition, letter.original_offset);
        self.asked(found.map_err(|failure| failure.to_string()))?.ok_or_else(|| {
            "the letter has no payload, and retention has removed the record that it is about from its topic; whoever \
             has sent it has to send it again"
                .to_owned()
        })
    }

    fn record(&mut self, letter: &DeadLetter<'_>, payload: &[u8]) -> Result<Returned, String> {
        let topic = self.topic(letter)?.to_owned();
        let learned = self.known.learn(payload);
        self.asked(learned)?;
        let key = match decode(Some(payload), &self.known.writers, &self.key) {
            Decoded::Event(event, _) => event.event.number.as_str().to_owned(),
            Decoded::Letter(problem, _) => return Err(format!("it would be a letter again: {}", problem.detail)),
            Decoded::Schema(id) => return Err(format!("it would be a letter again: {}", frame::Error::UnknownId(id))),
            Decoded::Heartbeat(_) => return Err("it is a heartbeat, which nobody waits for any more".to_owned()),
        };
        let value = redrive::admitted(letter, payload, &self.known.writers)?.into_owned();
        Ok(Returned { topic, record: Asked { partition: self.cluster.partition(Topic::Input(0), &key), key, value } })
    }

    fn take(&mut self, Returned { topic, record }: Returned) -> Result<(), Mistake> {
        let Some(asker) = &mut self.asker else {
            return Ok(());
        };
        asker.write(&topic, &record).map_err(|failure| Mistake::new(format!("topic `{topic}`"), failure.to_string()))
    }
}
