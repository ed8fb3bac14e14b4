//! The admin port: what a node tells those who run it, over HTTP on loopback.
//!
//! | path | 200 means |
//! |---|---|
//! | `/metrics` | counters and sizes as of now, in the OpenMetrics text format |
//! | `/livez` | every core thread has turned within a deadline |
//! | `/readyz` | a record was published, synced and received through the node's own port within a deadline |
//!
//! One thread with a runtime of its own: nothing here runs on a core, and a core is asked, never locked (`cells`).

mod canary;
pub(crate) mod cells;
mod metrics;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use antiphon_protocol::NodeId;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::{Mutex, Notify};

use crate::error::StartError;
use crate::guard;
use crate::limits::{ADMIN_CORES_WITHIN, CANARY_KEPT_FOR};
use crate::wake::Sleeper;
use canary::Sung;
use cells::{CoreCell, Counted, LogCells};

/// One core, as the admin thread reaches it.
#[derive(Clone, Debug)]
pub(crate) struct CoreLine {
    pub(crate) cell: Arc<CoreCell>,
    pub(crate) sleeper: Arc<Sleeper>,
}

/// What the admin thread looks at.
#[derive(Debug)]
pub(crate) struct Sights {
    pub(crate) node: NodeId,
    /// Where clients connect.
    pub(crate) clients: SocketAddr,
    pub(crate) cores: Vec<CoreLine>,
    pub(crate) log: Arc<LogCells>,
    pub(crate) started: Instant,
}

/// The running admin thread.
#[derive(Debug)]
pub(crate) struct AdminHandle {
    pub(crate) address: SocketAddr,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Desk {
    sights: Sights,
    /// The newest canary, so that many questions make one record.
    sung: Mutex<Option<(Instant, Sung)>>,
}

/// Binds the port; nothing is answered yet.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind(address).map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => StartError::AddressInUse { address },
        _ => StartError::System {
            what: "the admin port",
            source,
        },
    })?;
    listener.set_nonblocking(true).map_err(system)?;
    Ok(listener)
}

/// Starts the thread.
pub(crate) fn start(listener: TcpListener, sights: Sights) -> Result<AdminHandle, StartError> {
    let address = listener.local_addr().map_err(system)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system)?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener).map_err(system)?
    };
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let desk = Arc::new(Desk {
        sights,
        sung: Mutex::new(None),
    });
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(desk);
    let thread = guard::spawn("admin".to_owned(), move || {
        runtime.block_on(async {
            tokio::select! {
                // Ends only if the port is gone, and then the node serves all the same.
                served = axum::serve(listener, router) => {
                    tracing::warn!(?served, "admin_ended");
                }
                () = stopped.notified() => {}
            }
        });
    })
    .map_err(system)?;
    tracing::info!(%address, "admin_listening");
    Ok(AdminHandle {
        address,
        stop,
        thread: Some(thread),
    })
}

impl AdminHandle {
    /// Ends the thread, whatever it is answering.
    pub(crate) fn end(mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn system(source: std::io::Error) -> StartError {
    StartError::System {
        what: "the admin port",
        source,
    }
}

impl Desk {
    /// What every core counts, as of now; `None` for one that did not answer in time.
    async fn cores(&self) -> Vec<Option<Counted>> {
        let asked: Vec<_> = self
            .sights
            .cores
            .iter()
            .map(|core| {
                let answer = core.cell.ask();
                core.sleeper.wake();
                answer
            })
            .collect();
        let mut told = Vec::with_capacity(asked.len());
        let deadline = tokio::time::Instant::now() + ADMIN_CORES_WITHIN;
        for (answer, core) in asked.into_iter().zip(&self.sights.cores) {
            let answer = tokio::time::timeout_at(deadline, core.cell.answer(answer));
            told.push(answer.await.ok());
        }
        told
    }
}

async fn metrics(State(desk): State<Arc<Desk>>) -> Response {
    let cores = desk.cores().await;
    match metrics::encode(&desk.sights, cores) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn livez(State(desk): State<Arc<Desk>>) -> Response {
    let silent = desk
        .cores()
        .await
        .iter()
        .filter(|core| core.is_none())
        .count();
    if silent == 0 {
        return "ok\n".into_response();
    }
    let told = format!("{silent} core threads did not turn within {ADMIN_CORES_WITHIN:?}\n");
    (StatusCode::SERVICE_UNAVAILABLE, told).into_response()
}

async fn readyz(State(desk): State<Arc<Desk>>) -> Response {
    let mut sung = desk.sung.lock().await;
    let known = sung.take_if(|(at, _)| at.elapsed() < CANARY_KEPT_FOR);
    let (at, canary) = match known {
        Some(known) => known,
        None => (Instant::now(), canary::sing(desk.sights.clients).await),
    };
    let answer = match &canary {
        Ok(took) => format!(
            "ok: published, synced and received in {} us\n",
            took.as_micros()
        )
        .into_response(),
        Err(silence) => (StatusCode::SERVICE_UNAVAILABLE, format!("{silence}\n")).into_response(),
    };
    *sung = Some((at, canary));
    answer
}
