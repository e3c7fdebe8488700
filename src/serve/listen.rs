//! Connections: how many there are, and how long they may keep silent.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
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

/// How long a connection that is asked to end has before the next one is.
const MAKE_ROOM: Duration = Duration::from_millis(20);

/// Takes connections up until `stop` is done, and goes on until those that are there have ended.
///
/// No more are taken up than `max_connections` at a time. For one more the oldest that is without a
/// request is closed; where all have one, it waits.
pub(super) async fn listen(
    router: Router,
    listener: &TcpListener,
    options: &ServeOptions,
    stop: impl Future<Output = ()>,
) {
    let mut connections = Connections {
        permits: Arc::new(Semaphore::new(options.max_connections.max(1))),
        service: TowerToHyperService::new(router),
        timeout: options.timeout,
        waiting: None,
        known: VecDeque::new(),
    };
    let mut stop = pin!(stop);
    let (alive, mut ended) = mpsc::channel(1);
    loop {
        tokio::select! {
            (stream, permit) = connections.next(listener) => {
                connections.begin(stream, (permit, Some(alive.clone())));
            }
            () = &mut stop => break,
        }
    }
    // Asks all of them to end.
    connections.known.clear();
    drop(alive);
    loop {
        tokio::select! {
            // Who comes now hears that there is no more.
            (stream, permit) = connections.next(listener) => {
                connections.begin(stream, (permit, None));
            }
            _ = ended.recv() => return,
        }
    }
}

/// What a connection holds until its end: its place, and what `listen` waits for.
type Holds = (OwnedSemaphorePermit, Option<mpsc::Sender<()>>);

struct Connections {
    permits: Arc<Semaphore>,
    service: TowerToHyperService<Router>,
    timeout: Duration,
    /// One that has been taken up and waits for room.
    waiting: Option<TcpStream>,
    /// Those that have not been asked to end, the oldest first: once the sender is gone, a connection
    /// ends with the request that it has.
    known: VecDeque<oneshot::Sender<()>>,
}

impl Connections {
    /// The next connection, once there is room for it. Whoever stops waiting for it loses none.
    async fn next(&mut self, listener: &TcpListener) -> (TcpStream, OwnedSemaphorePermit) {
        if self.waiting.is_none() {
            self.waiting = Some(accepted(listener).await);
        }
        let permit = self.room().await;
        match self.waiting.take() {
            Some(stream) => (stream, permit),
            // There is one.
            None => std::future::pending().await,
        }
    }

    /// A place for a connection. What only keeps one must not keep others out.
    async fn room(&mut self) -> OwnedSemaphorePermit {
        self.known.retain(|known| !known.is_closed());
        let mut room = pin!(self.permits.clone().acquire_owned());
        let mut wait = Duration::ZERO;
        loop {
            let found = match self.known.is_empty() {
                true => Ok(room.as_mut().await),
                false => timeout(wait, room.as_mut()).await,
            };
            wait = MAKE_ROOM;
            match found {
                Ok(Ok(permit)) => return permit,
                // It is never closed.
                Ok(Err(_)) => std::future::pending().await,
                Err(_) => drop(self.known.pop_front()),
            }
        }
    }

    /// Serves a connection on a task of its own.
    fn begin(&mut self, stream: TcpStream, holds: Holds) {
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
        let (sender, asked) = oneshot::channel();
        // Who comes while all are to end is asked for nothing more.
        let asked = holds.1.is_some().then_some(asked);
        self.known.extend(asked.is_some().then_some(sender));
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            let ended = match asked {
                Some(asked) => tokio::select! {
                    ended = connection.as_mut() => ended,
                    _ = asked => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                },
                None => connection.await,
            };
            if let Err(error) = ended {
                tracing::debug!("a connection was cut off: {error}");
            }
            drop(holds);
        });
    }
}

/// A connection that has been taken up.
async fn accepted(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                tracing::warn!("a connection cannot be taken up: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
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
