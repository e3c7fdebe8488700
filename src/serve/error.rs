//! What went wrong, as clients of each API read it.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use sharpi_chat::TemplateError;
use sharpi_ir::plain;

use crate::engine::GenerateError;

/// Most bytes of a message.
const MOST: usize = 1000;

/// A refusal or a failure.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
    /// Whether the client speaks Anthropic's API.
    anthropic: bool,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, kind: &'static str, message: impl ToString) -> ApiError {
        let mut message = plain::lines(&message.to_string());
        plain::shorten(&mut message, MOST);
        ApiError {
            status,
            kind,
            message,
            anthropic: false,
        }
    }

    /// What the client can mend.
    pub(super) fn invalid(message: impl ToString) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    pub(super) fn unsupported(message: impl ToString) -> ApiError {
        ApiError::new(StatusCode::NOT_IMPLEMENTED, "not_supported_error", message)
    }

    /// What may work a little later.
    pub(super) fn unavailable(message: impl ToString) -> ApiError {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        ApiError::new(status, "unavailable_error", message)
    }

    pub(super) fn too_large() -> ApiError {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "invalid_request_error",
            "the request is too large",
        )
    }

    /// What went wrong in the program itself, and is noted elsewhere.
    pub(super) fn panicked() -> ApiError {
        ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "the program has failed at this request",
        )
    }

    /// The same for a client that speaks Anthropic's API.
    pub(super) fn for_anthropic(mut self) -> ApiError {
        self.anthropic = true;
        self.kind = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::NOT_FOUND => "not_found_error",
            StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
            status if status.is_client_error() => "invalid_request_error",
            _ => "api_error",
        };
        self
    }

    /// The same with the place of what is wrong: an element of a field.
    pub(super) fn at(mut self, field: &str, index: usize) -> ApiError {
        self.message = format!("{field}[{index}]: {}", self.message);
        self
    }

    /// What is told.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The body.
    pub(super) fn body(&self) -> serde_json::Value {
        match self.anthropic {
            true => json!({
                "type": "error",
                "error": {"type": self.kind, "message": self.message},
            }),
            false => json!({"error": {
                "code": self.status.as_u16(),
                "message": self.message,
                "type": self.kind,
                "param": null,
            }}),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            let seconds = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        if self.status == StatusCode::NOT_IMPLEMENTED {
            // The clients of OpenAI and Anthropic try again whatever is 500 or more.
            let never = HeaderValue::from_static("false");
            response.headers_mut().insert("x-should-retry", never);
        }
        response
    }
}

impl From<GenerateError> for ApiError {
    fn from(error: GenerateError) -> ApiError {
        let (status, kind) = match &error {
            GenerateError::QueueFull(_) => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error"),
            GenerateError::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "unavailable_error"),
            GenerateError::PromptTooLong { .. } => {
                (StatusCode::BAD_REQUEST, "exceed_context_size_error")
            }
            GenerateError::EmptyPrompt
            | GenerateError::UnknownId { .. }
            | GenerateError::TooLarge { .. }
            | GenerateError::NoHead
            | GenerateError::Mask(_)
            // Biases or a form of the answer have excluded all tokens.
            | GenerateError::NoChoice { .. } => (StatusCode::BAD_REQUEST, "invalid_request_error"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        };
        ApiError::new(status, kind, error)
    }
}

impl From<TemplateError> for ApiError {
    fn from(error: TemplateError) -> ApiError {
        ApiError::invalid(error)
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> ApiError {
        let status = rejection.status();
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => ApiError::too_large(),
            // Of wrong types llama-server and OpenAI tell with 400.
            _ => ApiError::invalid(rejection.body_text()),
        }
    }
}
