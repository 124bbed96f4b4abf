//! `tollgate redrive`: what may be typed, and what it comes to.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{KafkaArg, midnight, not_a_date, refuse};
use crate::config::Mistake;
use crate::redrive::{self, Lines, Redriven, Wanted};
use crate::replay::inputs::Supply;
use crate::zones::Zones;

#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 all that were asked for go back, 1 some cannot, 2 something cannot be used.")]
pub(super) struct RedriveArgs {
    /// Records of `wa.dead-letters`, NDJSON or Avro, or the directory a replay wrote its outputs to
    #[arg(value_name = "FILE|DIR")]
    files: Vec<PathBuf>,
    /// The file of events and webhook bodies to write, which `tollgate replay` takes
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only letters with this code, such as `too_late` (repeatable)
    #[arg(long, value_name = "CODE")]
    error: Vec<String>,
    /// Only letters that were read from this topic or file (repeatable)
    #[arg(long, value_name = "NAME")]
    topic: Vec<String>,
    /// Only letters of this day (UTC) and later ones
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Only letters before this day (UTC)
    #[arg(long, value_name = "DATE")]
    until: Option<String>,
    #[command(flatten)]
    kafka: KafkaArg,
    /// With --kafka, write to the topics that the letters came from. Without it, it is only told what would go back
    #[cfg(feature = "kafka")]
    #[arg(long, requires = "kafka")]
    yes: bool,
    /// With --kafka, configuration file of the stream processor
    #[cfg(feature = "kafka")]
    #[arg(long, value_name = "FILE", requires = "kafka")]
    config: Option<PathBuf>,
}

impl RedriveArgs {
    /// Which letters are wanted, if all that was typed can be used.
    fn wanted(&self) -> Result<Wanted, Vec<Mistake>> {
        let (zones, mut mistakes) = (Zones::new(), Vec::new());
        let mut day = |option: &str, text: &Option<String>| {
            let text = text.as_ref()?;
            let at = midnight(&zones, text);
            if at.is_none() {
                mistakes.push(not_a_date(option, text));
            }
            at
        };
        let (from, until) = (day("--from", &self.from), day("--until", &self.until));
        let on_kafka = self.kafka.is_given();
        if self.files.is_empty() && !on_kafka {
            let problem =
                KafkaArg::instead("name files of dead letters, or the directory a replay wrote its outputs to");
            mistakes.push(Mistake::new("redrive", problem));
        }
        if self.out.is_none() && !on_kafka {
            mistakes.push(Mistake::new("--out", KafkaArg::instead("name the file to write")));
        }
        if on_kafka && !self.files.is_empty() && self.out.is_some() {
            mistakes
                .push(Mistake::new("--kafka", "letters and --out are both files; leave one of them out, or --kafka"));
        }
        #[cfg(feature = "kafka")]
        if self.yes && self.out.is_some() {
            mistakes.push(Mistake::new("--yes", "nothing is written to a topic; --out names a file"));
        }
        let wanted = Wanted { errors: self.error.clone(), topics: self.topic.clone(), from, until };
        if mistakes.is_empty() { Ok(wanted) } else { Err(mistakes) }
    }
}

/// Runs the command.
pub(super) fn run(args: &RedriveArgs) -> ExitCode {
    let wanted = match args.wanted() {
        Ok(wanted) => wanted,
        Err(mut mistakes) => {
            mistakes.extend(redrive::files(&args.files).err().unwrap_or_default());
            return refuse(&mistakes);
        }
    };
    #[cfg(feature = "kafka")]
    if args.kafka.is_given() {
        return on_kafka(args, &wanted);
    }
    match redrive::files(&args.files).and_then(|mut letters| to_file(args, &wanted, &mut letters)) {
        Ok(redriven) => told(&redriven),
        Err(mistakes) => refuse(&mistakes),
    }
}

fn to_file(args: &RedriveArgs, wanted: &Wanted, letters: &mut dyn Supply) -> Result<Redriven, Vec<Mistake>> {
    let path = args.out.clone().unwrap_or_default();
    let mut lines = Lines::create(&path).map_err(|mistake| vec![mistake])?;
    let redriven = redrive::run(wanted, letters, &mut lines)?;
    lines.finish().map_err(|mistake| vec![mistake])?;
    Ok(redriven)
}

fn told(redriven: &Redriven) -> ExitCode {
    print!("{redriven}");
    for mistake in &redriven.told {
        eprintln!("error: {mistake}");
    }
    let untold = redriven.refused.saturating_sub(redriven.told.len() as u64);
    if untold > 0 {
        eprintln!("error: {untold} more cannot go back");
    }
    if redriven.refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(feature = "kafka")]
fn on_kafka(args: &RedriveArgs, wanted: &Wanted) -> ExitCode {
    use crate::codec::schema;
    use crate::config::{self, Overrides};
    use crate::operate::Cluster;
    use crate::operate::redrive::Back;
    use crate::stream::Topic;

    let give_back = || {
        let config = config::load(args.config.as_deref(), &Overrides::default(), &Zones::new())?;
        let cluster = Cluster::connect(&config.stream, &[Topic::DeadLetters], super::reading)?;
        let key = config.setup.key;
        let mut letters: Box<dyn Supply> = if args.files.is_empty() {
            Box::new(cluster.records(Topic::DeadLetters, schema::DEAD_LETTER)?)
        } else {
            Box::new(redrive::files(&args.files)?)
        };
        if args.out.is_some() {
            return Ok(told(&to_file(args, wanted, &mut *letters)?));
        }
        // What goes back is known, and told, before any of it does.
        let plan = redrive::run(wanted, &mut *letters, &mut Back::open(&cluster, key.clone(), false)?)?;
        let ended = told(&plan);
        if plan.given_back.is_empty() {
            return Ok(ended);
        }
        let topics = cluster.topics_of_events();
        if !args.yes {
            println!("Nothing is written yet: --yes writes to {topics}.");
            return Ok(ended);
        }
        let mut back = Back::open(&cluster, key, true)?;
        redrive::run(wanted, &mut *letters, &mut back)?;
        println!("{} records were written to {topics}.", back.finish()?);
        Ok(ended)
    };
    give_back().unwrap_or_else(|mistakes: Vec<Mistake>| refuse(&mistakes))
}
