//! Connections: how many there are, and how long they may keep silent.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;

use super::app::ServeOptions;

/// Wait after the system could not give a connection, mostly for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a client may take for a request's head, and may keep a connection without a request: who
/// only connects must not keep others out for long.
const HEAD: Duration = Duration::from_secs(10);
/// Most headers of a request.
const MOST_HEADERS: usize = 64;
/// Most bytes of a request's headers.
const MOST_HEADER_BYTES: usize = 64 << 10;

/// Takes connections up until `stop` is done, and goes on until those that are there have ended.
///
/// No more are taken up than `max_connections` at a time; who comes then waits in the system's queue.
pub(super) async fn listen(
    router: Router,
    listener: TcpListener,
    options: &ServeOptions,
    stop: impl Future<Output = ()>,
) {
    let connections = Connections {
        listener,
        permits: Arc::new(Semaphore::new(options.max_connections.max(1))),
        service: TowerToHyperService::new(router),
        timeout: options.timeout,
    };
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            (stream, permit) = connections.next() => {
                connections.begin(stream, permit, Some(graceful.watcher()));
            }
            () = &mut stop => break,
        }
    }
    let mut ended = pin!(graceful.shutdown());
    loop {
        tokio::select! {
            // Who comes now hears that there is no more.
            (stream, permit) = connections.next() => connections.begin(stream, permit, None),
            () = &mut ended => return,
        }
    }
}

struct Connections {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    service: TowerToHyperService<Router>,
    timeout: Duration,
}

impl Connections {
    /// The next connection for which there is room.
    async fn next(&self) -> (TcpStream, OwnedSemaphorePermit) {
        loop {
            let Ok(permit) = self.permits.clone().acquire_owned().await else {
                // It is never closed.
                return std::future::pending().await;
            };
            match self.listener.accept().await {
                Ok((stream, _)) => return (stream, permit),
                Err(error) if is_of_connection(&error) => {}
                Err(error) => {
                    tracing::warn!("a connection cannot be taken up: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Serves a connection on a task of its own.
    fn begin(&self, stream: TcpStream, permit: OwnedSemaphorePermit, watcher: Option<Watcher>) {
        // Tokens are small and have to go at once. A connection that is gone fails later.
        stream.set_nodelay(true).ok();
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.timeout));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // It counts from the last answer on, so it is for idle connections too.
            .header_read_timeout(self.timeout.min(HEAD))
            .max_headers(MOST_HEADERS)
            .max_buf_size(MOST_HEADER_BYTES)
            .serve_connection(TokioIo::new(Box::pin(stream)), self.service.clone());
        tokio::spawn(async move {
            let ended = match watcher {
                Some(watcher) => watcher.watch(connection).await,
                None => connection.await,
            };
            if let Err(error) = ended {
                tracing::debug!("a connection was cut off: {error}");
            }
            drop(permit);
        });
    }
}

/// Whether it failed through the one connection alone.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
