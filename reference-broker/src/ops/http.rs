//! The HTTP port: two paths, read only.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;

use super::Ops;
use crate::runtime::{TcpListener, TcpStream};

/// More wait until one of them ends: whoever looks needs one or two.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may take for the head of a request, also of its next one.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves until the future is dropped.
pub(crate) async fn serve(listener: TcpListener, ops: Arc<Ops>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("it is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                let ops = Arc::clone(&ops);
                tokio::spawn(async move {
                    converse(stream, &ops).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to ops.listener");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, ops: &Ops) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = answer(ops, request.method(), request.uri().path());
        async { Ok::<_, Infallible>(response) }
    });
    let mut connection = http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE);
    if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection to ops.listener ended");
    }
}

fn answer(ops: &Ops, method: &Method, path: &str) -> Response<Full<Bytes>> {
    let known = matches!(path, "/metrics" | "/health");
    if known && !matches!(*method, Method::GET | Method::HEAD) {
        let mut refusal =
            response(405, TEXT, format!("{method} is not served, GET and HEAD are\n"));
        refusal.headers_mut().insert(ALLOW, "GET, HEAD".parse().expect("it is plain text"));
        return refusal;
    }
    match path {
        "/health" => {
            let health = ops.health();
            response(health.status(), JSON, health.json())
        }
        "/metrics" => match ops.metrics() {
            Ok(text) => response(200, OPEN_METRICS, text),
            Err(_) => response(500, TEXT, "the metrics cannot be written as text\n".into()),
        },
        _ => response(404, TEXT, format!("there is no {path}, but /metrics and /health\n")),
    }
}

fn response(status: u16, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).expect("it is a status");
    let content_type = content_type.parse().expect("it is plain text");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
