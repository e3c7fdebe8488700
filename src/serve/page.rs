//! The page at `/`: files that are part of the program. It uses the endpoints as any client does.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::app::App;

/// Nothing but what this server has itself; no script or style stands within the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
struct File {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const ICON: &str = "image/svg+xml";

macro_rules! file {
    ($path:literal, $kind:ident, $file:literal) => {
        File {
            path: $path,
            kind: $kind,
            text: include_str!(concat!("page/", $file)),
        }
    };
}

const FILES: &[File] = &[
    file!("/", HTML, "index.html"),
    file!("/page/colours.css", CSS, "colours.css"),
    file!("/page/page.css", CSS, "page.css"),
    file!("/page/chat.css", CSS, "chat.css"),
    file!("/page/panel.css", CSS, "panel.css"),
    file!("/page/steps.css", CSS, "steps.css"),
    file!("/page/icon.svg", ICON, "icon.svg"),
    file!("/page/main.js", SCRIPT, "main.js"),
    file!("/page/kinds.js", SCRIPT, "kinds.js"),
    file!("/page/lanes.js", SCRIPT, "lanes.js"),
    file!("/page/api.js", SCRIPT, "api.js"),
    file!("/page/bars.js", SCRIPT, "bars.js"),
    file!("/page/chat.js", SCRIPT, "chat.js"),
    file!("/page/conversations.js", SCRIPT, "conversations.js"),
    file!("/page/dom.js", SCRIPT, "dom.js"),
    file!("/page/drawers.js", SCRIPT, "drawers.js"),
    file!("/page/markdown.js", SCRIPT, "markdown.js"),
    file!("/page/message.js", SCRIPT, "message.js"),
    file!("/page/panel.js", SCRIPT, "panel.js"),
    file!("/page/settings.js", SCRIPT, "settings.js"),
    file!("/page/steps.js", SCRIPT, "steps.js"),
    file!("/page/theme.js", SCRIPT, "theme.js"),
    file!("/page/themes.js", SCRIPT, "themes.js"),
];

/// A route for each file.
pub(super) fn router() -> Router<App> {
    FILES.iter().fold(Router::new(), |router, file| {
        let tag = file.tag();
        let answer = move |headers: HeaderMap| async move { file.answer(&headers, &tag) };
        router.route(file.path, get(answer))
    })
}

impl File {
    /// What tells this text from others, as HTTP writes it.
    fn tag(&self) -> String {
        let hash = blake3::hash(self.text.as_bytes()).to_hex();
        format!("\"{}\"", &hash[..32])
    }

    fn answer(&self, asked: &HeaderMap, tag: &str) -> Response {
        let headers = [
            (header::ETAG, tag),
            // Kept, but asked for again: a newer program may have another page.
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
        ];
        let known = asked.get(header::IF_NONE_MATCH);
        let known = known.and_then(|tags| tags.to_str().ok()).unwrap_or("");
        if known.split(',').any(|known| known.trim() == tag) {
            return (StatusCode::NOT_MODIFIED, own(headers)).into_response();
        }
        let kind = [(header::CONTENT_TYPE, self.kind)];
        (own(headers), kind, self.text).into_response()
    }
}

/// Values as responses have them.
fn own<const N: usize>(headers: [(HeaderName, &str); N]) -> [(HeaderName, String); N] {
    headers.map(|(name, value)| (name, value.to_string()))
}
