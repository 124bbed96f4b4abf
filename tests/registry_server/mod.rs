//! A schema registry in memory, on a free port of this machine: the calls that clients make to register, look up and
//! fetch schemas, with the answers and codes of Confluent's. It can be made to fall silent and to come back.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use apache_avro::Schema;
use apache_avro::schema_compatibility::SchemaCompatibility;
use serde_json::{Value, json};

/// How the registry answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    Well,
    /// Not at all: it takes a connection and hangs up.
    Silent,
    /// Not at all, and it does not hang up either.
    Hanging,
    /// With a status in place of an answer, such as 503.
    Failing(u16),
}

/// A registry that runs until it is dropped.
pub struct RegistryServer {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    mood: Mood,
    ended: bool,
    requests: Vec<String>,
    /// What every request must bring along as `Authorization`, if anything.
    authorization: Option<String>,
    connections: Vec<TcpStream>,
    held: Held,
}

/// What is registered.
#[derive(Default)]
struct Held {
    /// The schemas as they were sent; the id is the place, from 1.
    schemas: Vec<Value>,
    /// The ids of each subject's versions; the version is the place, from 1.
    subjects: BTreeMap<String, Vec<usize>>,
    /// The compatibility level of a subject; the empty name's is everybody's.
    levels: BTreeMap<String, String>,
}

impl RegistryServer {
    /// Starts an empty registry, whose compatibility is `BACKWARD` until it is set.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Mutex::new(Shared {
            mood: Mood::Well,
            ended: false,
            requests: Vec::new(),
            authorization: None,
            connections: Vec::new(),
            held: Held::default(),
        }));
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || accept(&listener, &theirs));
        Self { address, shared, thread: Some(thread) }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes it answer otherwise. Connections that are open are cut, as a restart would.
    pub fn set_mood(&self, mood: Mood) {
        let mut shared = lock(&self.shared);
        shared.mood = mood;
        for connection in shared.connections.drain(..) {
            // The other side may have hung up already.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Makes it refuse whoever does not bring this along as `Authorization`.
    pub fn require(&self, authorization: &str) {
        lock(&self.shared).authorization = Some(authorization.to_owned());
    }

    /// Registers a schema from outside, unless it is there; its id.
    pub fn register(&self, subject: &str, schema: &str) -> u32 {
        let (status, answer) = lock(&self.shared).held.register(subject, &json!({ "schema": schema }));
        assert_eq!(status, 200, "{answer}");
        answer["id"].as_u64().and_then(|id| u32::try_from(id).ok()).expect("an id")
    }

    /// Registers what is not Avro, or refers to other schemas, under the next id.
    pub fn hold(&self, schema: Value) -> u32 {
        let held = &mut lock(&self.shared).held;
        held.schemas.push(schema);
        u32::try_from(held.schemas.len()).expect("few schemas")
    }

    /// Methods and paths of all requests that were understood so far.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.shared).requests.clone()
    }
}

impl Drop for RegistryServer {
    fn drop(&mut self) {
        lock(&self.shared).ended = true;
        self.set_mood(Mood::Silent);
        // One last connection, so that the thread looks up.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the registry did not panic");
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().expect("the registry did not panic")
}

/// Takes connections, each to a thread of its own, because clients keep theirs open.
fn accept(listener: &TcpListener, shared: &Arc<Mutex<Shared>>) {
    for connection in listener.incoming() {
        let Ok(connection) = connection else { continue };
        let mut state = lock(shared);
        if state.ended {
            return;
        }
        if state.mood == Mood::Silent {
            continue;
        }
        state.connections.push(connection.try_clone().expect("a second handle"));
        drop(state);
        let shared = Arc::clone(shared);
        std::thread::spawn(move || converse(&connection, &shared));
    }
}

/// Answers one request after the other until the client, or [`RegistryServer::set_mood`], hangs up.
fn converse(connection: &TcpStream, shared: &Mutex<Shared>) {
    let mut reader = BufReader::new(connection);
    while let Some(request) = read(&mut reader) {
        let mut state = lock(shared);
        if state.mood == Mood::Hanging {
            // The next mood cuts the connection, and so ends the reading of what never comes.
            state.requests.push(format!("{} {}", request.method, request.target));
            continue;
        }
        let (status, answer) = state.answer(&request);
        drop(state);
        let body = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} Registry\r\nContent-Type: application/vnd.schemaregistry.v1+json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let mut writer = connection;
        if writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(body.as_bytes())).is_err() {
            return;
        }
    }
}

struct Request {
    method: String,
    target: String,
    authorization: Option<String>,
    body: String,
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, target, authorization, body: String::from_utf8(body).ok()? })
}

type Answer = (u16, Value);

fn refuse(code: u32, message: &str) -> Answer {
    // Codes are the status, or the status and two digits.
    let status = if code > 999 { code / 100 } else { code };
    (u16::try_from(status).expect("a status"), json!({ "error_code": code, "message": message }))
}

impl Shared {
    fn answer(&mut self, request: &Request) -> Answer {
        self.requests.push(format!("{} {}", request.method, request.target));
        if let Mood::Failing(status) = self.mood {
            return (status, json!({ "error_code": u32::from(status) * 100 + 1, "message": "told to fail" }));
        }
        if self.authorization.is_some() && self.authorization != request.authorization {
            return refuse(401, "Unauthorized");
        }
        let path = request.target.split('?').next().unwrap_or_default();
        let parts: Vec<String> = path.trim_matches('/').split('/').map(unescape).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let body = || serde_json::from_str::<Value>(&request.body).unwrap_or_default();
        let held = &mut self.held;
        match (request.method.as_str(), parts.as_slice()) {
            ("POST", ["subjects", subject, "versions"]) => held.register(subject, &body()),
            ("POST", ["subjects", subject]) => held.look_up(subject, &body()),
            ("GET", ["subjects"]) => (200, held.subjects.keys().cloned().collect()),
            ("GET", ["subjects", subject, "versions"]) => held.versions(subject),
            ("GET", ["subjects", subject, "versions", version]) => held.version(subject, version),
            ("GET", ["schemas", "ids", id]) => held.schema(id),
            ("GET", ["schemas", "types"]) => (200, json!(["AVRO"])),
            ("GET", ["config"]) => (200, json!({ "compatibilityLevel": held.level("") })),
            ("GET", ["config", subject]) => (200, json!({ "compatibilityLevel": held.level(subject) })),
            ("PUT", ["config"]) => held.set_level("", &body()),
            ("PUT", ["config", subject]) => held.set_level(subject, &body()),
            _ => refuse(404, "HTTP 404 Not Found"),
        }
    }
}

impl Held {
    fn register(&mut self, subject: &str, sent: &Value) -> Answer {
        let Some(schema) = parse(sent) else {
            return refuse(42201, "Input schema is an invalid Avro schema");
        };
        if let (200, known) = self.look_up(subject, sent) {
            return (200, json!({ "id": known["id"] }));
        }
        if let Err(problem) = self.follows(subject, &schema) {
            return refuse(409, &problem);
        }
        let id = self.find(sent).unwrap_or_else(|| {
            self.schemas.push(json!({ "schema": sent["schema"] }));
            self.schemas.len()
        });
        self.subjects.entry(subject.to_owned()).or_default().push(id);
        (200, json!({ "id": id }))
    }

    fn look_up(&self, subject: &str, sent: &Value) -> Answer {
        if parse(sent).is_none() {
            return refuse(42201, "Input schema is an invalid Avro schema");
        }
        let Some(versions) = self.subjects.get(subject) else {
            return refuse(40401, &format!("Subject '{subject}' not found."));
        };
        let place = self.find(sent).and_then(|id| versions.iter().position(|known| *known == id));
        place.map_or_else(|| refuse(40403, "Schema not found"), |place| self.described(subject, place))
    }

    fn versions(&self, subject: &str) -> Answer {
        match self.subjects.get(subject) {
            Some(versions) => (200, (1..=versions.len()).collect()),
            None => refuse(40401, &format!("Subject '{subject}' not found.")),
        }
    }

    fn version(&self, subject: &str, version: &str) -> Answer {
        let Some(versions) = self.subjects.get(subject) else {
            return refuse(40401, &format!("Subject '{subject}' not found."));
        };
        let wanted = if version == "latest" { Some(versions.len()) } else { version.parse().ok() };
        match wanted.filter(|version| (1..=versions.len()).contains(version)) {
            Some(version) => self.described(subject, version - 1),
            None => refuse(40402, &format!("Version {version} not found.")),
        }
    }

    fn schema(&self, id: &str) -> Answer {
        let held = id.parse().ok().and_then(|id: usize| self.schemas.get(id.checked_sub(1)?));
        held.map_or_else(|| refuse(40403, &format!("Schema {id} not found")), |schema| (200, schema.clone()))
    }

    fn described(&self, subject: &str, place: usize) -> Answer {
        let id = self.subjects[subject][place];
        let schema = &self.schemas[id - 1]["schema"];
        (200, json!({ "subject": subject, "version": place + 1, "id": id, "schema": schema }))
    }

    /// The id of a schema that says the same, however it is spaced.
    fn find(&self, sent: &Value) -> Option<usize> {
        let meant = |schema: &Value| serde_json::from_str::<Value>(schema["schema"].as_str()?).ok();
        let wanted = meant(sent)?;
        self.schemas.iter().position(|known| meant(known).as_ref() == Some(&wanted)).map(|place| place + 1)
    }

    fn level(&self, subject: &str) -> &str {
        self.levels.get(subject).or_else(|| self.levels.get("")).map_or("BACKWARD", String::as_str)
    }

    fn set_level(&mut self, subject: &str, body: &Value) -> Answer {
        match body["compatibility"].as_str() {
            Some(level) if LEVELS.contains(&level) => {
                self.levels.insert(subject.to_owned(), level.to_owned());
                (200, json!({ "compatibility": level }))
            }
            _ => refuse(42203, "Invalid compatibility level"),
        }
    }

    /// Whether a schema may follow those of a subject.
    fn follows(&self, subject: &str, new: &Schema) -> Result<(), String> {
        let level = self.level(subject);
        let versions = self.subjects.get(subject).map_or(&[][..], Vec::as_slice);
        let newest = if level.ends_with("_TRANSITIVE") { versions.len() } else { versions.len().min(1) };
        for id in versions.iter().rev().take(newest) {
            let old = parse(&self.schemas[id - 1]).expect("only schemas are registered");
            let backward = SchemaCompatibility::can_read(&old, new).is_ok();
            let forward = SchemaCompatibility::can_read(new, &old).is_ok();
            let kept = match level.split('_').next() {
                Some("BACKWARD") => backward,
                Some("FORWARD") => forward,
                Some("FULL") => backward && forward,
                _ => true,
            };
            if !kept {
                return Err(format!(
                    "Schema being registered is incompatible with an earlier schema, id {id}, {level}"
                ));
            }
        }
        Ok(())
    }
}

const LEVELS: [&str; 7] =
    ["NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"];

fn parse(sent: &Value) -> Option<Schema> {
    Schema::parse_str(sent["schema"].as_str()?).ok()
}

/// A segment of a path with `%2F` and the like undone.
fn unescape(segment: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| after.get(..2)).flatten();
        let value = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        (rest, bytes) = match value {
            Some(value) => (&after[2..], [bytes, vec![value]].concat()),
            None => (after, [bytes, vec![*first]].concat()),
        };
    }
    String::from_utf8(bytes).expect("a name is text")
}
