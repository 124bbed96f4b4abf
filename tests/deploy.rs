//! What is deployed with Docker, checked without it: the services of `deploy/compose.yaml` find each other, and the
//! image has all that its build asks for. One part of that is said in several files, which nothing but this holds together.

#![cfg(feature = "kafka")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use tollgate::config::{self, Config, Overrides};
use tollgate::kafka::Names;
use tollgate::kafka::topics::wanted;
use tollgate::registry::Registry;
use tollgate::zones::Zones;

fn repository() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

fn text(name: &str) -> String {
    std::fs::read_to_string(repository().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The part of `compose.yaml` about one service.
fn service(name: &str) -> String {
    let compose = text("deploy/compose.yaml");
    let services = compose.split("\nservices:").nth(1).expect("services");
    let from = services.split(&format!("\n  {name}:\n")).nth(1).expect("the service");
    from.lines().take_while(|line| line.starts_with("    ") || line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The configuration as the container has it: in a directory with the rate cards, and with a key.
fn in_container() -> Config {
    let etc = tempfile::tempdir().expect("a directory");
    let cards = etc.path().join("rate-cards");
    std::fs::create_dir(&cards).expect("a directory in it");
    for card in std::fs::read_dir(repository().join("examples/rate-cards")).expect("rate cards") {
        let card = card.expect("an entry");
        std::fs::copy(card.path(), cards.join(card.file_name())).expect("copied");
    }
    let file = etc.path().join("tollgate.toml");
    let key = "[deployment]\nkey = \"compose.yaml takes it from outside\"\n";
    std::fs::write(&file, text("deploy/compose.toml") + key).expect("written");
    let loaded = config::load(Some(&file), &Overrides::default(), &Zones::new());
    loaded.unwrap_or_else(|mistakes| panic!("deploy/compose.toml: {mistakes:?}"))
}

#[test]
fn the_services_of_compose_find_each_other() {
    let shared = text("deploy/compose.yaml").split("\nservices:\n").next().expect("a head").to_owned();
    for line in [
        "- ./compose.toml:/etc/tollgate/tollgate.toml:ro",
        "- ../examples/rate-cards:/etc/tollgate/rate-cards:ro",
        "- state:/var/lib/tollgate",
        // A container has another host's name each time, and would wait for the session of its predecessor.
        "TOLLGATE_KAFKA_INSTANCE: tollgate-0",
    ] {
        assert!(shared.contains(line), "compose.yaml says `{line}` of every service of ours");
    }
    let config = in_container();

    // The brokers. What the environment of this test says comes before the file, so the file is read as it is.
    let file: toml::Table = toml::from_str(&text("deploy/compose.toml")).expect("TOML");
    let bootstrap = file["kafka"]["bootstrap"].as_str().expect("an address");
    assert_eq!(bootstrap, "kafka:19092");
    let advertised = format!("KAFKA_ADVERTISED_LISTENERS: INSIDE://{bootstrap},");
    assert!(service("kafka").contains(&advertised), "the broker is known to the other services by `{bootstrap}`");

    // The registry, by its port inside.
    let registry = config.stream.registry.as_ref().expect("compose.yaml has a registry");
    assert_eq!(registry.urls, ["http://registry:8080/apis/ccompat/v7"]);
    assert!(Registry::new(&registry.urls, None, std::time::Duration::from_secs(1)).is_ok());
    assert!(service("registry").contains(":8080\""), "that port is the registry's");

    // The metrics: Prometheus comes from another container.
    assert_eq!(config.stream.listen.as_deref(), Some("0.0.0.0:9464"));
    assert!(text("deploy/prometheus.yml").contains("targets: [\"tollgate:9464\"]"));
    assert!(service("tollgate").contains("\"127.0.0.1:9464:9464\""), "no other machine may ask");

    // The state, where the image's user may write.
    assert_eq!(config.stream.directory, Path::new("/var/lib/tollgate/state"));
    let image = text("deploy/Dockerfile");
    assert!(image.contains("--home-dir /var/lib/tollgate --create-home tollgate") && image.contains("USER tollgate"));
}

#[test]
fn topics_are_made_for_the_one_broker_of_compose() {
    let topics = service("topics");
    assert!(topics.contains("\"--create\", \"--replication\", \"1\""), "one broker holds one copy:\n{topics}");
    // A letter, and a record in it, that the broker has no room for would end every worker.
    let largest = service("kafka").lines().find_map(|line| {
        let value = line.trim().strip_prefix("KAFKA_MESSAGE_MAX_BYTES: ")?;
        value.trim_matches('"').parse::<u64>().ok()
    });
    assert!(largest > Some(1 << 20), "{largest:?}");
    assert_eq!(wanted(&Names::new(in_container().stream.topics)).len(), 13, "every topic is looked after");
}

/// The files that the ignore file lets into the image's build. Each of its lines lets one file or directory in.
fn context() -> Vec<PathBuf> {
    let ignore = text("deploy/Dockerfile.dockerignore");
    let mut lines = ignore.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(lines.next(), Some("*"), "nothing comes in by itself");
    lines.map(|line| line.strip_prefix('!').expect("all others let something in").into()).collect()
}

#[test]
fn the_image_is_built_from_all_that_its_build_reads() {
    let context = context();
    let is_there =
        |path: &Path| repository().join(path).exists() && context.iter().any(|let_in| path.starts_with(let_in));
    for path in &context {
        assert!(repository().join(path).exists(), "{} is let in and does not exist", path.display());
    }
    // Cargo refuses a manifest that names a target without a path, where it does not find the file.
    let manifest: toml::Table = toml::from_str(&text("Cargo.toml")).expect("TOML");
    for (kind, folder) in [("test", "tests"), ("bench", "benches"), ("bin", "src/bin"), ("example", "examples")] {
        for target in manifest.get(kind).and_then(toml::Value::as_array).into_iter().flatten() {
            let name = target["name"].as_str().expect("a target has a name");
            let files = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/main.rs")];
            let found = target.get("path").is_some() || files.iter().any(|file| is_there(Path::new(file)));
            assert!(found, "the {kind} `{name}` needs a `path`: the image is built without {folder}");
        }
    }
    // What is compiled in.
    let mut sources = vec![repository().join("src")];
    let mut compiled_in = 0;
    while let Some(path) = sources.pop() {
        if path.is_dir() {
            sources.extend(std::fs::read_dir(&path).expect("sources").map(|entry| entry.expect("an entry").path()));
            continue;
        }
        // Tests are not built there.
        if path.ends_with("tests.rs") {
            continue;
        }
        let code = std::fs::read_to_string(&path).expect("a source is text");
        let code = code.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for (at, call) in code.match_indices("include_str!(\"") {
            let file = code[at + call.len()..].split('"').next().expect("a name");
            let mut place = path.parent().expect("a file is in a directory").to_owned();
            for part in Path::new(file).components() {
                match part {
                    std::path::Component::ParentDir => assert!(place.pop()),
                    part => place.push(part),
                }
            }
            let place = place.strip_prefix(repository()).expect("a file of the repository");
            assert!(is_there(place), "{} is compiled in, and the image's build does not get it", place.display());
            compiled_in += 1;
        }
    }
    assert!(compiled_in > 2, "only {compiled_in} files are compiled in");
    assert!(is_there(Path::new("schemas/event.avsc")), "schemas are compiled in by a macro");
}
