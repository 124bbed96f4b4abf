//! What a scraper and an orchestrator ask: `/metrics`, `/livez`, `/readyz`, `/startupz`.
//!
//! The probes answer 200 or 503, and say why in the body. The server has a thread of its own, so that a probe is
//! answered while every worker waits for a broker.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

use crate::health::{Health, Report};
use crate::metrics::Metrics;

/// How long a request that has begun may take once the server is to stop.
const PATIENCE: Duration = Duration::from_secs(2);

/// A server that runs until it is stopped or dropped.
pub struct Served {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// Serves metrics and probes at an address such as `0.0.0.0:9464`; port 0 takes a free one.
///
/// # Errors
/// If the address is none, or cannot be listened at.
pub fn serve(address: impl ToSocketAddrs, metrics: Arc<Metrics>, health: Arc<Health>) -> io::Result<Served> {
    // Bound here, so that a port that is taken is the caller's error and not a line in a log.
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let (stop, stopped) = watch::channel(false);
    let router = Router::new()
        .route("/metrics", get(scrape))
        .route("/livez", get(async |State(asked): State<Asked>| answer(&asked.health.live())))
        .route("/readyz", get(async |State(asked): State<Asked>| answer(&asked.health.ready())))
        .route("/startupz", get(async |State(asked): State<Asked>| answer(&asked.health.started())))
        .with_state(Asked { metrics, health });
    let thread = std::thread::Builder::new().name("http".to_owned()).spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let server = axum::serve(listener, router).with_graceful_shutdown(asked_to_stop(stopped.clone()));
            tokio::select! {
                ended = server => ended,
                // Somebody who never ends a request must not keep the process from ending.
                () = async { asked_to_stop(stopped).await; tokio::time::sleep(PATIENCE).await } => Ok(()),
            }
        })
    })?;
    Ok(Served { address, stop, thread: Some(thread) })
}

impl Served {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops: what was asked is answered, and nothing more is taken.
    ///
    /// # Errors
    /// What ended the server before.
    pub fn stop(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        self.stop.send_replace(true);
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(ended)) => ended,
            Some(Err(_)) => Err(io::Error::other("the server of metrics and probes panicked; its message is above")),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Whoever wants to know how it ended calls `stop`.
        let _ = self.end();
    }
}

/// What requests are answered from.
#[derive(Clone)]
struct Asked {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

async fn scrape(State(asked): State<Asked>) -> Response {
    match asked.metrics.render() {
        Ok(text) => ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics cannot be written: {error}\n")).into_response()
        }
    }
}

fn answer(report: &Report) -> Response {
    let status = if report.is_well() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, report.to_string()).into_response()
}

/// Waits until it is asked to stop, or until nobody is left to ask.
async fn asked_to_stop(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is as good as being asked.
    let _ = stopped.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;
    use crate::health::Limits;

    fn served() -> (Served, Arc<Health>) {
        let metrics = Arc::new(Metrics::new("test").expect("names differ"));
        let health = Arc::new(Health::new(Arc::clone(&metrics), Limits::default()));
        (serve("127.0.0.1:0", metrics, Arc::clone(&health)).expect("a free port"), health)
    }

    /// The status, and all that came.
    fn get(served: &Served, path: &str) -> (u16, String) {
        let mut connection = TcpStream::connect(served.address()).expect("it listens");
        write!(connection, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sent");
        let mut text = String::new();
        connection.read_to_string(&mut text).expect("an answer");
        (text[9..12].parse().expect("a status"), text)
    }

    #[test]
    fn probes_say_yes_or_no_and_why() {
        let (served, health) = served();
        let (status, text) = get(&served, "/readyz");
        assert!(status == 503 && text.ends_with("the brokers or the group may be slow\n"), "{text}");
        assert_eq!(get(&served, "/startupz").0, 503);
        health.joined();
        for path in ["/livez", "/readyz", "/startupz"] {
            let (status, text) = get(&served, path);
            assert!(status == 200 && text.ends_with("\r\n\r\nok\n"), "{path}: {text}");
        }
        assert_eq!(get(&served, "/").0, 404);
    }

    #[test]
    fn metrics_come_as_prometheus_reads_them() {
        let (served, _) = served();
        let (status, text) = get(&served, "/metrics");
        assert_eq!(status, 200);
        assert!(text.contains("content-type: text/plain; version=0.0.4"), "{text}");
        assert!(text.contains("tollgate_build_info{version=\"test\"} 1"), "{text}");
    }

    #[test]
    fn a_stopped_server_is_gone_and_an_idle_client_does_not_hold_it_up() {
        let (served, _) = served();
        let address = served.address();
        let _idle = TcpStream::connect(address).expect("it listens");
        served.stop().expect("it ran until now");
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn a_port_that_is_taken_is_told_at_once() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let metrics = Arc::new(Metrics::new("test").expect("names differ"));
        let health = Arc::new(Health::new(Arc::clone(&metrics), Limits::default()));
        let error = serve(taken.local_addr().expect("an address"), metrics, health).err().expect("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
