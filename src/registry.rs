//! A client of the schema registry: the few documented REST calls of Confluent's that a processor needs.
//!
//! Calls are rare, a handful at the start and one for each schema id never seen before, so they block, and each has a
//! connection of its own: none can have gone stale in between. Several URLs are one registry; they are tried in
//! turn, from the one that answered last.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use ureq::Agent;
use ureq::http::{Response, header};

/// What the registry speaks.
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// More than any schema, and little enough to hold.
const LONGEST_ANSWER: u64 = 4 << 20;

/// How much of somebody else's words an error repeats.
const LONGEST_MESSAGE: usize = 600;

/// The number a registry gave a schema; it stands in front of each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaId(pub u32);

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A name and a password, or an API key and its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Basic {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither part belongs in a log.
        f.write_str("Basic")
    }
}

/// Why a URL is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlProblem {
    /// There is none.
    None,
    /// It begins with neither `http://` nor `https://`, or names no host.
    Shape,
    /// It contains a name or password.
    Credentials,
    /// It is `https`, and this build has no TLS.
    NoTls,
}

/// Why a schema could not be registered, looked up or fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// No URL answered, or all said that they cannot at present. It may work later.
    Unreachable {
        /// Each URL, and what it said or did.
        tried: Vec<(String, String)>,
    },
    /// The registry understood and refuses; asking again gives the same answer.
    Refused {
        /// What for.
        what: String,
        /// What kind of refusal.
        refusal: Refusal,
        /// The HTTP status.
        status: u16,
        /// The registry's own code.
        code: Option<i64>,
        /// The registry's own words.
        message: String,
    },
    /// The schema refers to others, which this client does not follow.
    References(SchemaId),
    /// The schema is no Avro.
    NotAvro {
        /// Which.
        id: SchemaId,
        /// What it is instead.
        kind: String,
    },
    /// Something answered, and it was no registry's answer.
    NotARegistry {
        /// Who.
        url: String,
        /// What for.
        what: String,
        /// The HTTP status.
        status: u16,
    },
}

/// The kinds of refusal that a caller may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The subject is unknown (40401).
    UnknownSubject,
    /// The subject's version is unknown (40402).
    UnknownVersion,
    /// The schema is unknown, or not one of the subject's (40403).
    UnknownSchema,
    /// The schema is incompatible with the subject's earlier ones (409).
    Incompatible,
    /// The registry does not take it for a schema (422).
    Invalid,
    /// The credentials are missing, wrong or too weak (401, 403).
    Forbidden,
    /// Anything else.
    Other,
}

impl Error {
    /// Whether it may work later, if nothing but time passes.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            // A proxy's page in place of the registry's answer is how a registry behind one looks while it restarts,
            // but also how a wrong URL looks; the latter must not be waited for.
            Self::Unreachable { .. } => true,
            Self::Refused { .. } | Self::References(_) | Self::NotAvro { .. } | Self::NotARegistry { .. } => false,
        }
    }
}

impl fmt::Display for UrlProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "there is no URL; name one, such as `http://registry:8081`",
            Self::Shape => "a registry's URL is like `http://registry:8081` or `https://registry/path`",
            Self::Credentials => "the URL contains a name or password; set them apart, where they are kept secret",
            Self::NoTls => "this build has no TLS; build with `--features tls`, or use `http`",
        })
    }
}

impl std::error::Error for UrlProblem {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { tried } => {
                f.write_str("the schema registry cannot be reached; check that it runs and that the URL is right")?;
                tried.iter().try_for_each(|(url, problem)| write!(f, "; {url}: {problem}"))
            }
            Self::Refused { what, refusal, status, code, message } => {
                let advice = match refusal {
                    Refusal::UnknownSubject | Refusal::UnknownSchema => "register the schema first, or allow it",
                    Refusal::UnknownVersion => "register a version of it first",
                    Refusal::Incompatible => {
                        "the subject holds schemas that this one cannot follow; if they are another application's, \
                         use another topic"
                    }
                    Refusal::Invalid => "the registry does not take this for an Avro schema",
                    Refusal::Forbidden => "check the name and password, and what they may do",
                    Refusal::Other => "see the registry's log",
                };
                write!(f, "the schema registry refuses {what} with status {status}")?;
                if let Some(code) = code {
                    write!(f, ", code {code}")?;
                }
                write!(f, " ({message}); {advice}")
            }
            Self::References(id) => write!(
                f,
                "schema {id} refers to other schemas, which is not supported; register it as one schema that holds them"
            ),
            Self::NotAvro { id, kind } => {
                write!(f, "schema {id} is {kind} and no Avro; write records as Avro or JSON without a registry frame")
            }
            Self::NotARegistry { url, what, status } => {
                write!(f, "{url} answered {what} with status {status} and not as a schema registry does; check the URL")
            }
        }
    }
}

impl std::error::Error for Error {}

/// A schema as it is sent.
#[derive(Serialize)]
struct Sent<'a> {
    schema: &'a str,
}

/// The answer to a schema that was sent.
#[derive(Deserialize)]
struct Known {
    id: u32,
}

/// The answer to an id.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Held {
    schema: String,
    schema_type: Option<String>,
    #[serde(default)]
    references: Option<Vec<serde::de::IgnoredAny>>,
}

/// The answer that is a refusal.
#[derive(Deserialize)]
struct Complaint {
    error_code: i64,
    #[serde(default)]
    message: String,
}

/// The subject of a topic's values, as clients name it unless they are told otherwise.
#[must_use]
pub fn subject(topic: &str) -> String {
    format!("{topic}-value")
}

/// A schema registry.
pub struct Registry {
    agent: Agent,
    urls: Vec<String>,
    /// The place of the URL that answered last.
    first: AtomicUsize,
    authorization: Option<String>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("urls", &self.urls).finish_non_exhaustive()
    }
}

impl Registry {
    /// A client of the registry that has these URLs. A call takes at most `timeout` for each of them.
    ///
    /// # Errors
    /// If there is no URL, or one is of no use.
    pub fn new(urls: &[String], auth: Option<&Basic>, timeout: Duration) -> Result<Self, UrlProblem> {
        let urls = urls.iter().map(|url| checked(url)).collect::<Result<Vec<_>, _>>()?;
        if urls.is_empty() {
            return Err(UrlProblem::None);
        }
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_idle_connections(0)
            // The registry stands beside the brokers, which no HTTP proxy leads to either.
            .proxy(None)
            .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")));
        #[cfg(feature = "tls")]
        let config = config.tls_config(
            ureq::tls::TlsConfig::builder()
                .provider(ureq::tls::TlsProvider::NativeTls)
                .root_certs(ureq::tls::RootCerts::PlatformVerifier)
                .build(),
        );
        let authorization = auth.map(|Basic { name, password }| {
            let pair = BASE64_STANDARD.encode(format!("{name}:{password}"));
            format!("Basic {pair}")
        });
        Ok(Self { agent: config.build().new_agent(), urls, first: AtomicUsize::new(0), authorization })
    }

    /// Registers a schema under a subject, unless it is there already. Either way its id is the answer.
    ///
    /// # Errors
    /// If the registry cannot be reached or refuses.
    pub fn register(&self, subject: &str, schema: &str) -> Result<SchemaId, Error> {
        let path = format!("/subjects/{}/versions", segment(subject));
        let known: Known = self.post(&path, schema, || format!("to register the schema of `{subject}`"))?;
        Ok(SchemaId(known.id))
    }

    /// The id of a schema that is registered under a subject.
    ///
    /// # Errors
    /// If it is not there, or the registry cannot be reached or refuses.
    pub fn look_up(&self, subject: &str, schema: &str) -> Result<SchemaId, Error> {
        let path = format!("/subjects/{}", segment(subject));
        let known: Known = self.post(&path, schema, || format!("to look up the schema of `{subject}`"))?;
        Ok(SchemaId(known.id))
    }

    /// The Avro schema that an id stands for.
    ///
    /// # Errors
    /// If there is none, it is no Avro or refers to other schemas, or the registry cannot be reached or refuses.
    pub fn schema(&self, id: SchemaId) -> Result<String, Error> {
        let path = format!("/schemas/ids/{id}");
        let held: Held = self.ask(&path, None, || format!("to give the schema with id {id}"))?;
        match held.schema_type {
            Some(kind) if kind != "AVRO" => return Err(Error::NotAvro { id, kind: shortened(&kind) }),
            Some(_) | None => {}
        }
        if held.references.is_some_and(|references| !references.is_empty()) {
            return Err(Error::References(id));
        }
        Ok(held.schema)
    }

    fn post<T: for<'a> Deserialize<'a>>(
        &self,
        path: &str,
        schema: &str,
        what: impl Fn() -> String,
    ) -> Result<T, Error> {
        // Text always becomes JSON; if it ever did not, the registry would refuse the empty body.
        let body = serde_json::to_string(&Sent { schema }).unwrap_or_default();
        self.ask(path, Some(&body), what)
    }

    /// Asks one URL after the other, until one answers.
    fn ask<T: for<'a> Deserialize<'a>>(
        &self,
        path: &str,
        body: Option<&str>,
        what: impl Fn() -> String,
    ) -> Result<T, Error> {
        let first = self.first.load(Ordering::Relaxed);
        let mut tried = Vec::new();
        for step in 0..self.urls.len() {
            let place = (first + step) % self.urls.len();
            let url = &self.urls[place];
            match self.call(url, path, body) {
                Err(problem) => tried.push((url.clone(), problem)),
                Ok((status, text)) => {
                    self.first.store(place, Ordering::Relaxed);
                    return understood(url, status, &text, what);
                }
            }
        }
        Err(Error::Unreachable { tried })
    }

    /// One request to one URL. An error is one that another URL, or another time, may not have.
    fn call(&self, url: &str, path: &str, body: Option<&str>) -> Result<(u16, String), String> {
        let url = format!("{url}{path}");
        let accepted = "application/vnd.schemaregistry.v1+json, application/json";
        let answer = match body {
            None => {
                let mut request = self.agent.get(&url).header(header::ACCEPT, accepted);
                if let Some(authorization) = &self.authorization {
                    request = request.header(header::AUTHORIZATION, authorization);
                }
                request.call()
            }
            Some(body) => {
                let mut request =
                    self.agent.post(&url).header(header::ACCEPT, accepted).header(header::CONTENT_TYPE, CONTENT_TYPE);
                if let Some(authorization) = &self.authorization {
                    request = request.header(header::AUTHORIZATION, authorization);
                }
                request.send(body)
            }
        };
        let mut answer: Response<ureq::Body> = answer.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().with_config().limit(LONGEST_ANSWER).read_to_string();
        // 429 asks for patience; the 500s are a registry, or what stands before it, in trouble of its own.
        if status == 429 || status >= 500 {
            let said = text.map(|text| complaint(&text).map_or_else(String::new, |complaint| complaint.message));
            return Err(format!("status {status} {}", shortened(&said.unwrap_or_default())).trim_end().to_owned());
        }
        Ok((status, text.map_err(|error| error.to_string())?))
    }
}

/// What an answer means.
fn understood<T: for<'a> Deserialize<'a>>(
    url: &str,
    status: u16,
    text: &str,
    what: impl Fn() -> String,
) -> Result<T, Error> {
    if (200..300).contains(&status) {
        return serde_json::from_str(text).map_err(|_| Error::NotARegistry {
            url: url.to_owned(),
            what: what(),
            status,
        });
    }
    let complaint = complaint(text);
    let refusal = match (status, complaint.as_ref().map(|complaint| complaint.error_code)) {
        (_, Some(40401)) => Refusal::UnknownSubject,
        (_, Some(40402)) => Refusal::UnknownVersion,
        (_, Some(40403)) => Refusal::UnknownSchema,
        (409, _) => Refusal::Incompatible,
        (422, _) => Refusal::Invalid,
        // Credentials are often checked by something that stands before the registry and speaks its own language.
        (401 | 403, _) => Refusal::Forbidden,
        (_, Some(_)) => Refusal::Other,
        (_, None) => return Err(Error::NotARegistry { url: url.to_owned(), what: what(), status }),
    };
    let code = complaint.as_ref().map(|complaint| complaint.error_code);
    let message = complaint.map_or_else(String::new, |complaint| shortened(&complaint.message));
    Err(Error::Refused { what: what(), refusal, status, code, message })
}

fn complaint(text: &str) -> Option<Complaint> {
    serde_json::from_str(text).ok()
}

/// At most so much of a text, on one line.
fn shortened(text: &str) -> String {
    let mut short: String =
        text.chars().take(LONGEST_MESSAGE).map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// A URL that can be asked, without a slash at its end.
fn checked(url: &str) -> Result<String, UrlProblem> {
    let url = url.trim().trim_end_matches('/');
    let (secure, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => return Err(UrlProblem::Shape),
    };
    let host = rest.split('/').next().unwrap_or_default();
    if host.contains('@') {
        return Err(UrlProblem::Credentials);
    }
    if host.is_empty() || rest.contains(['?', '#']) || url.parse::<ureq::http::Uri>().is_err() {
        return Err(UrlProblem::Shape);
    }
    if secure && !cfg!(feature = "tls") {
        return Err(UrlProblem::NoTls);
    }
    Ok(url.to_owned())
}

/// A name as one segment of a path: everything but letters, digits and `-._~` is escaped.
fn segment(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            _ => {
                escaped.push('%');
                escaped.push(char::from(DIGITS[usize::from(byte >> 4)]));
                escaped.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
    escaped
}

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_that_can_be_asked_are_taken() {
        let new = |urls: &[&str]| {
            let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
            Registry::new(&urls, None, Duration::from_secs(1)).map(|registry| registry.urls)
        };
        assert_eq!(new(&[]), Err(UrlProblem::None));
        assert_eq!(
            new(&[" http://a:8081/ ", "http://b/path/"]),
            Ok(vec!["http://a:8081".into(), "http://b/path".into()])
        );
        for url in ["registry:8081", "http://", "http:///x", "ftp://a", "http://a b", "http://a/?x=1", ""] {
            assert_eq!(new(&[url]), Err(UrlProblem::Shape), "{url}");
        }
        assert_eq!(new(&["http://name:secret@a:8081"]), Err(UrlProblem::Credentials));
        let secure = new(&["https://a"]);
        assert_eq!(secure, if cfg!(feature = "tls") { Ok(vec!["https://a".into()]) } else { Err(UrlProblem::NoTls) });
    }

    #[test]
    fn answers_are_understood_by_their_codes_first() {
        let ask = |status, text| understood::<Known>("http://a", status, text, || "to x".into()).map(|known| known.id);
        let refusal = |status, text| match ask(status, text) {
            Err(Error::Refused { refusal, .. }) => Some(refusal),
            _ => None,
        };
        assert_eq!(ask(200, r#"{"id": 7, "version": 2}"#), Ok(7));
        assert_eq!(refusal(404, r#"{"error_code": 40402, "message": "x"}"#), Some(Refusal::UnknownVersion));
        assert_eq!(refusal(422, r#"{"error_code": 42201, "message": "x"}"#), Some(Refusal::Invalid));
        assert_eq!(refusal(409, r#"{"error_code": 40901}"#), Some(Refusal::Incompatible));
        assert_eq!(refusal(418, r#"{"error_code": 41800}"#), Some(Refusal::Other));
        assert_eq!(refusal(403, "<html>"), Some(Refusal::Forbidden));
        assert!(matches!(ask(404, "<html>"), Err(Error::NotARegistry { status: 404, .. })));
        assert!(matches!(ask(200, "<html>"), Err(Error::NotARegistry { status: 200, .. })));
    }

    #[test]
    fn what_others_say_is_repeated_in_part_and_on_one_line() {
        assert_eq!(shortened("a\nb"), "a b");
        assert_eq!(shortened(&"x".repeat(5000)).chars().count(), LONGEST_MESSAGE + 1);
    }
}
