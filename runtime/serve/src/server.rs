//! The server: its threads, from start to shutdown.

use super::settings::{Service, Settings};
use super::state::State;
use super::{accept, routes, scheduler};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The time that active requests have to complete after the server was asked to stop.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// A server whose decoders are ready.
pub struct Server {
    state: Arc<State>,
}

impl Server {
    /// Starts the thread that owns the decoders.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub fn new(service: Service, settings: Settings) -> io::Result<Self> {
        let Service { name, language, decoders, embed } = service;
        let state =
            Arc::new(State::new(name, language, decoders.first().map(|decoder| decoder.context_length()), embed, settings));
        state.metrics.set_slots(decoders.len());
        scheduler::start(decoders, &state)?;
        Ok(Self { state })
    }

    /// Answers requests until `shutdown`. Then no new requests are accepted, and active ones have some seconds to complete.
    pub async fn run(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = oneshot::channel::<()>();
        let router = routes::router(Arc::clone(&self.state));
        let server = accept::serve(listener, router, self.state.settings.header_timeout, stopped);
        let stopping = async {
            shutdown.await;
            self.state.queue.close();
            let _ = stop.send(());
            tokio::time::sleep(SHUTDOWN_TIMEOUT).await;
        };
        tokio::select! {
            () = server => {}
            () = stopping => {}
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.queue.close();
    }
}
