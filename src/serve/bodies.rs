//! Requests as they come in: bounded in time and size, each and all together.

use std::sync::Arc;

use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::access;
use super::app::{App, ServeOptions};
use super::error::ApiError;

/// Bodies of the largest size for which there is memory at a time.
const LARGEST: usize = 16;
/// Bodies up to this size never wait for memory: all connections together hold no more of them than a
/// few of the largest.
const SMALL: u64 = 64 << 10;
/// Bytes that are counted as one.
const UNIT: u64 = 1 << 10;

/// Memory for bodies that are not small.
#[derive(Clone)]
pub(super) struct Bodies(Arc<Semaphore>);

impl Bodies {
    pub(super) fn new(options: &ServeOptions) -> Bodies {
        let units = units(options.max_body as u64).saturating_mul(LARGEST as u32);
        Bodies(Arc::new(Semaphore::new(units as usize)))
    }

    /// Waits until there is memory for a body of so many bytes.
    async fn room(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        if bytes <= SMALL {
            return None;
        }
        let room = self.0.clone().acquire_many_owned(units(bytes));
        room.await.ok()
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX / LARGEST as u32)
}

/// A body, and the memory that is set aside for it until nobody has it any more.
struct Held {
    bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a request whole in the time and up to the size allowed, before anything is done for it.
pub(super) async fn read(State(app): State<App>, request: Request, next: Next) -> Response {
    let anthropic = access::is_anthropic(&request);
    let (mut parts, body) = request.into_parts();
    // `curl -d` calls JSON a form, and llama-server does not mind. A page of another origin must not
    // get around its browser's asking first.
    if !parts.headers.contains_key(header::ORIGIN) {
        let json = HeaderValue::from_static("application/json");
        parts.headers.insert(header::CONTENT_TYPE, json);
    }
    let (size, max) = (body.size_hint(), app.options.max_body as u64);
    // Who says beforehand that it is too much need not send it.
    if size.lower() > max {
        return last(ApiError::too_large(), anthropic);
    }
    let head = parts.clone();
    let whole = async {
        // Who does not say how much there is may send as much as is allowed.
        let room = app.bodies.room(size.upper().unwrap_or(max)).await;
        let bytes = Bytes::from_request(Request::from_parts(head, body), &()).await;
        bytes.map(|bytes| Bytes::from_owner(Held { bytes, _room: room }))
    };
    let refused = match timeout(app.options.timeout, whole).await {
        Ok(Ok(bytes)) => return next.run(Request::from_parts(parts, bytes.into())).await,
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => ApiError::too_large(),
        Ok(Err(error)) => ApiError::invalid(error.body_text()),
        Err(_) => ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "invalid_request_error",
            "the request did not come in time",
        ),
    };
    last(refused, anthropic)
}

/// The last answer of a connection: what is left of the request is not read.
fn last(error: ApiError, anthropic: bool) -> Response {
    let mut response = access::told(error, anthropic);
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_bodies_wait_for_memory_until_others_are_let_go() {
        let options = ServeOptions::default();
        let max = options.max_body as u64;
        let bodies = Bodies::new(&options);
        let mut rooms = Vec::new();
        for _ in 0..LARGEST {
            rooms.push(bodies.room(max).await.expect("room"));
        }
        assert!(bodies.room(SMALL).await.is_none());
        let mut next = std::pin::pin!(bodies.room(SMALL + 1));
        let soon = std::time::Duration::from_millis(20);
        assert!(timeout(soon, &mut next).await.is_err());
        let room = rooms.pop();
        let held = Bytes::from_owner(Held {
            bytes: Bytes::new(),
            _room: room,
        });
        assert!(timeout(soon, &mut next).await.is_err());
        drop(held);
        assert!(next.await.is_some());
    }
}
