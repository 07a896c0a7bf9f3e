//! Connections; each has limited time to send the head of a request.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// The pause after accepting a connection failed, for example because no file descriptors are left.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Serves connections until `stopped`, then those that are open until their requests are answered.
pub async fn serve(listener: TcpListener, router: Router, header_timeout: Duration, mut stopped: oneshot::Receiver<()>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(header_timeout);
    let open = GracefulShutdown::new();
    while let Some(accepted) = tokio::select! {
        accepted = listener.accept() => Some(accepted),
        _ = &mut stopped => None,
    } {
        match accepted {
            Ok((stream, _)) => start(&http, stream, &router, &open),
            Err(error) if is_connection_error(&error) => {}
            Err(_) => tokio::time::sleep(ACCEPT_RETRY_DELAY).await,
        }
    }
    drop(listener);
    open.shutdown().await;
}

fn start(http: &http1::Builder, stream: TcpStream, router: &Router, open: &GracefulShutdown) {
    // Only speed depends on it.
    let _ = stream.set_nodelay(true);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
    let connection = open.watch(connection);
    tokio::spawn(async move {
        // A client that violates the protocol or disconnects is not an error of the server.
        let _ = connection.await;
    });
}

/// Whether a connection broke before it was accepted.
fn is_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
