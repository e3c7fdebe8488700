//! The functions that chat templates expect beside Jinja's.

use minijinja::{Environment, Error, ErrorKind};

/// What a template says through `raise_exception`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Raised(pub(super) String);

/// Adds `raise_exception` and `strftime_now`.
pub(super) fn add(env: &mut Environment<'_>, unix_time: i64) {
    env.add_function("raise_exception", |message: String| {
        let error = Error::new(ErrorKind::InvalidOperation, "raised by the template");
        Err::<(), _>(error.with_source(Raised(message)))
    });
    env.add_function("strftime_now", move |format: &str| {
        let now = jiff::Timestamp::from_second(unix_time);
        let text = now.and_then(|now| jiff::fmt::strtime::format(format, now));
        text.map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
    });
}
