//! `/openapi.json`: all endpoints, what they take and what they answer.

mod answers;
mod requests;

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa::ToSchema;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterIn, PathItem};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ComponentsBuilder, ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    InfoBuilder, OpenApi, OpenApiBuilder, PathsBuilder, Ref, RefOr, Required, Schema,
};

use super::{chat, completions, engine, messages, responses, tokens};
pub(super) use requests::ChatMessage;

/// The name of the way in which a client shows its key.
const KEY: &str = "key";

/// An endpoint.
struct Endpoint {
    path: &'static str,
    /// Other paths for the same.
    aliases: &'static [&'static str],
    about: &'static str,
    /// What is sent; nothing is where nothing is asked.
    asks: Option<Named>,
    gives: Named,
    /// The kind of text that `gives` is.
    media: &'static str,
    /// Whether the answer can come as a stream of events.
    streams: bool,
    open: bool,
}

/// A type with all that it refers to.
#[derive(Clone)]
struct Named {
    name: String,
    schemas: Vec<(String, RefOr<Schema>)>,
}

fn named<T: ToSchema>() -> Named {
    let name = T::name().into_owned();
    let mut schemas = vec![(name.clone(), T::schema())];
    T::schemas(&mut schemas);
    Named { name, schemas }
}

impl Named {
    fn reference(&self) -> Ref {
        Ref::from_schema_name(&self.name)
    }
}

impl Endpoint {
    fn get<Gives: ToSchema>(path: &'static str, about: &'static str) -> Endpoint {
        Endpoint {
            path,
            aliases: &[],
            about,
            asks: None,
            gives: named::<Gives>(),
            media: "application/json",
            streams: false,
            open: false,
        }
    }

    fn post<Asks: ToSchema, Gives: ToSchema>(path: &'static str, about: &'static str) -> Endpoint {
        Endpoint {
            asks: Some(named::<Asks>()),
            ..Endpoint::get::<Gives>(path, about)
        }
    }

    fn also(self, aliases: &'static [&'static str]) -> Endpoint {
        Endpoint { aliases, ..self }
    }

    fn streams(self) -> Endpoint {
        let streams = true;
        Endpoint { streams, ..self }
    }

    fn without_key(self) -> Endpoint {
        let open = true;
        Endpoint { open, ..self }
    }

    fn text(self, media: &'static str) -> Endpoint {
        Endpoint { media, ..self }
    }
}

fn endpoints() -> Vec<Endpoint> {
    use answers::*;
    vec![
        Endpoint::post::<chat::Asked, Completion>(
            "/v1/chat/completions",
            "Answers a conversation, as OpenAI's API",
        )
        .also(&["/chat/completions"])
        .streams(),
        Endpoint::post::<responses::Asked, ResponseObject>(
            "/v1/responses",
            "Answers a conversation, as OpenAI's newer API",
        )
        .also(&["/responses"])
        .streams(),
        Endpoint::post::<completions::Asked, TextCompletion>(
            "/v1/completions",
            "Continues a prompt as it stands, as OpenAI's API",
        )
        .streams(),
        Endpoint::post::<completions::Asked, OwnCompletion>(
            "/completion",
            "Continues a prompt as it stands, as llama-server's API",
        )
        .also(&["/completions"])
        .streams(),
        Endpoint::post::<messages::Asked, MessageObject>(
            "/v1/messages",
            "Answers a conversation, as Anthropic's API",
        )
        .streams(),
        Endpoint::post::<messages::Asked, TokenCount>(
            "/v1/messages/count_tokens",
            "Counts the tokens of a conversation, as Anthropic's API",
        ),
        Endpoint::post::<tokens::Tokenize, Tokens>("/tokenize", "Ids of a text"),
        Endpoint::post::<tokens::Detokenize, Detokenized>("/detokenize", "The text of ids"),
        Endpoint::post::<tokens::Turns, Templated>(
            "/apply-template",
            "The prompt that the template makes of a conversation",
        ),
        Endpoint::get::<Health>("/health", "Whether requests are taken")
            .also(&["/v1/health"])
            .without_key(),
        Endpoint::get::<Models>("/v1/models", "The model that is served")
            .also(&["/models"])
            .without_key(),
        Endpoint::get::<ModelObject>("/v1/models/{model}", "A model by its name").without_key(),
        Endpoint::get::<Props>("/props", "How the server was started"),
        Endpoint::get::<Vec<Slot>>("/slots", "What each request does that runs"),
        Endpoint::get::<engine::EngineReport>("/v1/engine", "What the engine does and has done"),
        Endpoint::get::<engine::StepsReport>(
            "/v1/engine/steps",
            "The graph's steps with the time that they take",
        ),
        Endpoint::get::<String>("/metrics", "Counters for Prometheus").text("text/plain"),
        Endpoint::get::<Document>("/openapi.json", "This document").without_key(),
    ]
}

/// Why a request may fail, by status.
const FAILURES: [(u16, &str); 9] = [
    (400, "The request is wrong; the message says where"),
    (401, "No key was shown, or a wrong one"),
    (404, "There is no such thing"),
    (408, "The request did not come in time"),
    (413, "The request is too large"),
    (429, "Too many wait; `Retry-After` says when to come again"),
    (500, "The program has failed"),
    (501, "The request is for what is not done here"),
    (503, "The server is being stopped"),
];

fn operation(endpoint: &Endpoint, path: &str) -> OperationBuilder {
    let id = path.trim_matches(['/', '}']).replace(['/', '-', '.'], "_");
    let content = ContentBuilder::new().schema(Some(content_of(endpoint)));
    let mut answer = ResponseBuilder::new()
        .description("The answer")
        .content(endpoint.media, content.build());
    if endpoint.streams {
        let events = ObjectBuilder::new().schema_type(Type::String);
        let about = "With `stream`: server-sent events";
        let events = events.description(Some(about));
        let events = ContentBuilder::new().schema(Some(events.build()));
        answer = answer.content("text/event-stream", events.build());
    }
    let mut operation = OperationBuilder::new()
        .operation_id(Some(id.replace('{', "")))
        .summary(Some(endpoint.about))
        .response("200", answer.build());
    if let Some(asks) = &endpoint.asks {
        let content = ContentBuilder::new().schema(Some(asks.reference()));
        let body = RequestBodyBuilder::new()
            .content("application/json", content.build())
            .required(Some(Required::True));
        operation = operation.request_body(Some(body.build()));
    }
    for parameter in parameters(path) {
        operation = operation.parameter(parameter);
    }
    let error = match path.starts_with("/v1/messages") {
        true => "AnthropicFailure",
        false => "Failure",
    };
    for (status, about) in FAILURES {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(error)));
        let told = ResponseBuilder::new().description(about);
        let told = told.content("application/json", content.build());
        operation = operation.response(status.to_string(), told.build());
    }
    match endpoint.open {
        true => operation.security(SecurityRequirement::default()),
        false => operation,
    }
}

/// What an answer is: a text and a list have no name of their own.
fn content_of(endpoint: &Endpoint) -> RefOr<Schema> {
    match (endpoint.path, endpoint.gives.schemas.first()) {
        ("/slots" | "/metrics", Some((_, schema))) => schema.clone(),
        ("/completion", _) => {
            let one = endpoint.gives.reference();
            let several = one.clone().to_array_builder();
            let either = utoipa::openapi::schema::OneOfBuilder::new();
            Schema::from(either.item(one).item(several).build()).into()
        }
        _ => endpoint.gives.reference().into(),
    }
}

fn parameters(path: &str) -> Vec<Parameter> {
    let text = || Some(ObjectBuilder::new().schema_type(Type::String).build());
    if path.ends_with("{model}") {
        let model = utoipa::openapi::path::ParameterBuilder::new()
            .name("model")
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(text());
        return vec![model.build()];
    }
    if path == "/slots" {
        let fails = utoipa::openapi::path::ParameterBuilder::new()
            .name("fail_on_no_slot")
            .parameter_in(ParameterIn::Query)
            .description(Some("503 while all are taken"))
            .schema(text());
        return vec![fails.build()];
    }
    Vec::new()
}

/// The whole document.
pub(super) fn document() -> OpenApi {
    let mut paths = PathsBuilder::new();
    let mut components = ComponentsBuilder::new();
    let failures = [
        named::<answers::Failure>(),
        named::<answers::AnthropicFailure>(),
    ];
    let mut types: Vec<Named> = failures.into();
    for endpoint in endpoints() {
        let method = match endpoint.asks {
            Some(_) => HttpMethod::Post,
            None => HttpMethod::Get,
        };
        for path in [endpoint.path].iter().chain(endpoint.aliases) {
            let operation = operation(&endpoint, path).build();
            paths = paths.path(*path, PathItem::new(method.clone(), operation));
        }
        types.extend(endpoint.asks);
        types.push(endpoint.gives);
    }
    for (name, schema) in types.into_iter().flat_map(|one| one.schemas) {
        components = components.schema(name, schema);
    }
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components = components.security_scheme(KEY, bearer);
    let info = InfoBuilder::new()
        .title("sharpi-compile")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(env!("CARGO_PKG_DESCRIPTION")));
    OpenApiBuilder::new()
        .info(info.build())
        .paths(paths.build())
        .components(Some(components.build()))
        .security(Some([SecurityRequirement::new::<_, [&str; 0], _>(KEY, [])]))
        .build()
}

/// Answers with the document.
pub(super) async fn openapi() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_json().unwrap_or_default());
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Paths of the router, as its source names them.
    fn routes() -> BTreeSet<String> {
        let source = include_str!("../mod.rs");
        let routes = source.split(".route(").skip(1);
        let paths = routes.filter_map(|rest| rest.split('"').nth(1));
        paths.map(String::from).collect()
    }

    #[test]
    fn every_route_is_in_the_document_and_the_other_way_round() {
        let document = document();
        let told: BTreeSet<String> = document.paths.paths.keys().cloned().collect();
        assert_eq!(told, routes());
    }

    #[test]
    fn all_that_is_referred_to_is_there() {
        let text = document().to_json().unwrap();
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        let references = text.split("\"#/components/schemas/").skip(1);
        let mut count = 0;
        for reference in references {
            let name = reference.split('"').next().unwrap_or_default();
            assert!(parsed["components"]["schemas"][name].is_object(), "{name}");
            count += 1;
        }
        assert!(count > 20, "{count}");
    }
}
