use std::time::Duration;

use super::*;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + millis).expect("an instant")
}

fn names() -> Names {
    Names {
        inputs: vec!["wa.events".into()],
        outputs: vec!["wa.verdicts".into(), "wa.windows".into()],
        changelogs: vec!["contacts".into()],
        recycled: vec!["lost"],
    }
}

fn metrics() -> Metrics {
    Metrics::new("1.2.3").expect("names differ")
}

/// The value of a series as the text says it, by its name and labels.
fn value(metrics: &Metrics, series: &str) -> Option<f64> {
    let text = metrics.render().expect("text");
    let line = text.lines().find(|line| line.rsplit_once(' ').is_some_and(|(name, _)| name == series));
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok())
}

#[test]
fn a_tally_counts_when_its_transaction_is_committed() {
    let metrics = metrics();
    let worker = metrics.worker(&names());
    let mut tally = worker.tally();
    let fill = |tally: &mut Tally| {
        tally.consumed(0, 3);
        tally.published(1, 2);
        tally.changed(0, 5);
        tally.folded(at(0), at(700));
        tally.folded(at(900), at(700));
        tally.dead_letter("not_json");
        tally.dead_letter("not_json");
        tally.answered(Answer::Unknown, Reason::Malformed, Some(at(0)));
        tally.answered(Answer::Allowed, Reason::TemplateApproved, Some(at(990)));
    };
    fill(&mut tally);
    tally.aborted();
    drop(tally);
    let mut tally = worker.tally();
    fill(&mut tally);
    drop(tally);
    let mut tally = worker.tally();
    assert_eq!(value(&metrics, "tollgate_record_lateness_seconds_count"), Some(0.0));
    fill(&mut tally);
    tally.committed(at(1000));
    tally.committed(at(2000));
    for (series, expected) in [
        ("tollgate_records_consumed_total{topic=\"wa.events\"}", 3.0),
        ("tollgate_outputs_total{topic=\"wa.verdicts\"}", 0.0),
        ("tollgate_outputs_total{topic=\"wa.windows\"}", 2.0),
        ("tollgate_changelog_records_total{changelog=\"contacts\"}", 5.0),
        ("tollgate_events_folded_total", 2.0),
        ("tollgate_dead_letters_total{code=\"not_json\"}", 2.0),
        ("tollgate_verdicts_total{reason=\"malformed\",verdict=\"unknown\"}", 1.0),
        ("tollgate_verdicts_total{reason=\"template_approved\",verdict=\"allowed\"}", 1.0),
        ("tollgate_verdicts_total{reason=\"opted_out\",verdict=\"blocked\"}", 0.0),
        ("tollgate_record_lateness_seconds_count", 2.0),
        ("tollgate_record_lateness_seconds_sum", 0.7),
        ("tollgate_verdict_latency_seconds_count", 2.0),
        ("tollgate_verdict_latency_seconds_sum", 1.01),
        ("tollgate_build_info{version=\"1.2.3\"}", 1.0),
    ] {
        let value = value(&metrics, series).expect(series);
        assert!((value - expected).abs() < 1e-9, "{series} is {value}");
    }
}

#[test]
fn what_a_worker_measures_is_there_from_the_start() {
    let metrics = metrics();
    let worker = metrics.worker(&names());
    for series in [
        "tollgate_transactions_total{outcome=\"unknown\"}",
        "tollgate_producer_recycled_total{why=\"lost\"}",
        "tollgate_blocked_seconds_total",
    ] {
        assert_eq!(value(&metrics, series), Some(0.0), "{series}");
    }
    worker.transaction(Outcome::Unknown);
    worker.producer_recycled("lost");
    worker.spent(Activity::Blocked, Duration::from_millis(500));
    let millis = Duration::from_millis;
    worker.commit_took(millis(100), CommitTimes { drain: millis(1), offsets: millis(2), commit: millis(4) });
    for (series, expected) in [
        ("tollgate_transactions_total{outcome=\"unknown\"}", 1.0),
        ("tollgate_producer_recycled_total{why=\"lost\"}", 1.0),
        ("tollgate_blocked_seconds_total", 0.5),
        ("tollgate_transaction_seconds_sum", 0.1),
        ("tollgate_commit_seconds_sum", 0.007),
        ("tollgate_commit_step_seconds_sum{step=\"commit\"}", 0.004),
    ] {
        assert_eq!(value(&metrics, series), Some(expected), "{series}");
    }
}

#[test]
fn a_partition_has_series_while_it_is_assigned() {
    let metrics = metrics();
    let inputs = names().inputs;
    let state = "tollgate_task_state{partition=\"3\",stage=\"conversation\"}";
    let lag = "tollgate_consumer_lag_records{partition=\"3\",topic=\"wa.events\"}";
    let task = metrics.task(Stage::Conversation, 3, &inputs);
    assert_eq!((task.state(), value(&metrics, state)), (State::Restoring, Some(0.0)));
    task.set_state(State::Paused);
    task.set_lag(0, 17);
    assert_eq!((value(&metrics, state), value(&metrics, lag)), (Some(2.0), Some(17.0)));
    // The partition comes back before the old task is gone.
    let again = metrics.task(Stage::Conversation, 3, &inputs);
    again.set_state(State::Running);
    drop(task);
    assert_eq!(value(&metrics, state), Some(1.0));
    assert_eq!(metrics.tasks().len(), 1);
    drop(again);
    assert_eq!((value(&metrics, state), value(&metrics, lag)), (None, None));
    assert!(metrics.tasks().is_empty());
}

#[test]
fn stalls_only_grow_even_when_the_store_is_opened_again() {
    let metrics = metrics();
    let task = metrics.task(Stage::Ledger, 0, &[]);
    for millis in [500, 700, 200] {
        task.set_rocksdb(RocksDb { write_stall: Duration::from_millis(millis), ..RocksDb::default() });
    }
    let stalls = value(&metrics, "tollgate_rocksdb_write_stall_seconds_total{partition=\"0\",stage=\"ledger\"}");
    assert!(stalls.is_some_and(|stalls| (stalls - 0.9).abs() < 1e-9), "{stalls:?}");
}

#[test]
fn lookups_are_counted_by_where_and_whether_something_was_there() {
    let metrics = metrics();
    let task = metrics.task(Stage::Conversation, 0, &[]);
    for (memtable, block_cache) in [((10, 4), (7, 3)), ((12, 4), (8, 3)), ((1, 1), (1, 0))] {
        task.set_rocksdb(RocksDb { estimated_rows: 40, memtable, block_cache, ..RocksDb::default() });
    }
    let lookups = |cache: &str, outcome: &str| {
        let labels = format!("cache=\"{cache}\",outcome=\"{outcome}\",partition=\"0\",stage=\"conversation\"");
        value(&metrics, &format!("tollgate_rocksdb_lookups_total{{{labels}}}"))
    };
    assert_eq!((lookups("memtable", "hit"), lookups("memtable", "miss")), (Some(13.0), Some(5.0)));
    assert_eq!((lookups("block_cache", "hit"), lookups("block_cache", "miss")), (Some(9.0), Some(3.0)));
    drop(task);
    assert_eq!(lookups("memtable", "hit"), None, "the partition is somebody else's");
}

/// All families, each with at least one series.
fn families() -> Vec<prometheus::proto::MetricFamily> {
    let metrics = metrics();
    let worker = metrics.worker(&names());
    let mut tally = worker.tally();
    tally.dead_letter("not_json");
    tally.committed(at(0));
    let task = metrics.task(Stage::Conversation, 0, &names().inputs);
    task.set_lag(0, 0);
    metrics.reference_learned("wa.accounts", 1);
    metrics.reference_watermark(at(0));
    let families = metrics.registry.gather();
    drop(task);
    families
}

#[test]
fn every_metric_has_our_name_a_unit_and_a_help_text() {
    let families = families();
    let ours: Vec<_> = families.iter().filter(|family| !family.name().starts_with("process_")).collect();
    assert!(ours.len() > 35, "only {} metrics", ours.len());
    for family in ours {
        let name = family.name();
        assert!(name.starts_with("tollgate_") && family.help().ends_with('.'), "{name}: {}", family.help());
        let unit = ["_total", "_seconds", "_bytes", "_records", "_rows", "_ratio", "_state", "_info", "_errors"];
        assert!(unit.iter().any(|unit| name.ends_with(unit)), "{name} has no unit");
    }
}

/// The rows `| name | type | labels | …` that the documentation must have.
fn rows() -> Vec<String> {
    let families = families();
    let row = |family: &prometheus::proto::MetricFamily| {
        let labels = family.get_metric()[0].get_label().iter();
        let mut labels: Vec<String> = labels.map(|label| format!("`{}`", label.name())).collect();
        labels.sort_unstable();
        let kind = format!("{:?}", family.get_field_type()).to_lowercase();
        format!("| `{}` | {kind} | {} |", family.name(), labels.join(", "))
    };
    families.iter().map(row).collect()
}

#[test]
fn the_documentation_has_every_metric_and_no_other() {
    let text = include_str!("../../docs/metrics.md");
    let documented: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
    let mut wanted = rows();
    for row in &wanted {
        let found = documented.iter().filter(|line| line.starts_with(row.as_str())).count();
        assert_eq!(found, 1, "docs/metrics.md needs one row that begins with {row}");
    }
    // What the system tells of a process is there on Linux alone.
    wanted.retain(|row| !row.contains("`process_"));
    let ours: Vec<_> = documented.iter().filter(|line| !line.contains("`process_")).collect();
    assert_eq!(ours.len(), wanted.len(), "docs/metrics.md has a row of a metric that is none");
}

#[test]
fn alerts_speak_of_metrics_that_there_are() {
    let families = families();
    let text = include_str!("../../deploy/alerts.yml");
    let mut spoken = 0;
    for (at, _) in text.match_indices("tollgate_") {
        let end = text[at..].find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let name = &text[at..at + end.unwrap_or(text.len() - at)];
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
        let known = families.iter().any(|family| family.name() == of_histogram.unwrap_or(name));
        assert!(known, "deploy/alerts.yml speaks of `{name}`");
        spoken += 1;
    }
    assert!(spoken > 10, "only {spoken}");
}
