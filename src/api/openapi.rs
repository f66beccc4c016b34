//! What the API is, for programs: the document at `GET /openapi.json`.
//!
//! Shapes come from the types that travel ([`super::v1::wire`]), the rest from the table in `calls`. It describes and
//! must not decide: what a call does stands with its handler, and in words in `docs/api.md`.
//!
//! Tests: `tests/api/openapi.rs`. There the router is held against the document, `docs/openapi.json` against what is
//! generated, and every answer that any test of the API gets against what the document says of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{Response as Answer, ResponseBuilder, ResponsesBuilder};
use utoipa::openapi::schema::{AdditionalProperties, ComponentsBuilder, KnownFormat, Object, OneOf, Schema};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Content, HttpMethod, InfoBuilder, LicenseBuilder, OpenApiBuilder, Paths, Ref, RefOr, Required, SchemaFormat,
    ServerBuilder, Type,
};
use utoipa::{PartialSchema as _, ToSchema};

use super::problem::Code;
use super::v1::wire::Problem;

mod calls;

/// What the proof of being the holder of a turn is called.
const LEASE: &str = "Lease";

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// What the refusals are called that any call can meet, whatever it asks for.
const OTHER: &str = "Other";
const ANYWHERE: &[Code] = &[Code::NotThisAgent, Code::NotFound, Code::MethodNotAllowed, Code::TooManyConnections];

/// The refusals that say when it is worth trying again.
const WITH_RETRY: &[Code] = &[
    Code::AgentSwitching,
    Code::Shed,
    Code::QueueFull,
    Code::AgentExhausted,
    Code::AgentPaused,
    Code::AgentBraked,
    Code::StoreUnavailable,
    Code::PoolUnavailable,
    Code::Busy,
    Code::Stopping,
    Code::TooManyConnections,
];

/// `GET /openapi.json`.
pub(super) async fn described() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(document);
    let mut response = Response::new(Body::from(TEXT.as_str()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

/// The document, as text for people and programs.
fn document() -> String {
    let mut paths = Paths::new();
    let mut schemas = BTreeMap::new();
    keep::<Problem>(&mut schemas);
    for call in calls::all() {
        schemas.extend(call.schemas.clone());
        let (path, method) = (call.path, call.method.clone());
        paths.add_path_operation(path, vec![method], call.operation());
    }
    let schemas = schemas.into_iter().map(|(name, schema)| {
        let schema = if name == Problem::name() { schema } else { whole(schema) };
        (name, schema)
    });
    let license = LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("switchman")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Keeps AI coding agents working. In words: docs/api.md. Answers may grow members, and words of their own; \
             requests refuse members that they do not know. A refusal is a problem document, and its `code` is stable.",
        ))
        .license(Some(license));
    let socket = ServerBuilder::new()
        .url("http://localhost")
        .description(Some("Over the Unix socket `api.socket`; the name of the host is not looked at."));
    let components = ComponentsBuilder::new().schemas_from_iter(schemas).response(OTHER, refusal(ANYWHERE));
    let proof = ApiKeyValue::with_description("Authorization", "`Lease TOKEN`, with the `lease_token` of the turn.");
    let components = components.security_scheme(LEASE, SecurityScheme::ApiKey(ApiKey::Header(proof)));
    let document = OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([socket.build()]))
        .paths(paths)
        .components(Some(components.build()))
        .build();
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

type Schemas = BTreeMap<String, RefOr<Schema>>;

/// Takes note of a type and of all that it is made of.
fn keep<T: ToSchema>(schemas: &mut Schemas) {
    let mut parts = Vec::new();
    T::schemas(&mut parts);
    schemas.extend(parts);
    schemas.insert(T::name().into_owned(), T::schema());
}

/// An answer leaves no member out: one without a value is `null`. A request may, and is told from an answer by refusing
/// what it does not know.
fn whole(schema: RefOr<Schema>) -> RefOr<Schema> {
    let RefOr::T(Schema::Object(mut object)) = schema else { return schema };
    let is_request = object.additional_properties.as_deref() == Some(&AdditionalProperties::FreeForm(false));
    if !is_request {
        object.required = object.properties.keys().cloned().collect();
    }
    RefOr::T(Schema::Object(object))
}

/// One call: what is asked, and everything that can come of it.
struct Call {
    method: HttpMethod,
    path: &'static str,
    /// What generated clients call it.
    id: &'static str,
    summary: &'static str,
    parameters: Vec<Parameter>,
    /// Its name, and whether it has members that must be given.
    body: Option<(Cow<'static, str>, Required)>,
    /// By status: what it means, and the documents that can stand in it.
    answers: BTreeMap<u16, (&'static str, Vec<RefOr<Schema>>)>,
    /// What its answers are written in.
    media: &'static str,
    refusals: BTreeMap<u16, Vec<Code>>,
    schemas: Schemas,
    /// Whether it is for the holder of a turn only.
    is_proved: bool,
}

impl Call {
    fn new(method: HttpMethod, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        let mut call = Self {
            method,
            path,
            id,
            summary,
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            media: JSON,
            refusals: BTreeMap::new(),
            schemas: Schemas::new(),
            is_proved: false,
        };
        for name in path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
            let parameter = parameter.required(Required::True).schema(Some(String::schema()));
            call.parameters.push(parameter.build());
        }
        if path.contains("{agent}") { call.refused(&[Code::AgentNotFound]) } else { call }
    }

    /// A parameter behind the `?`.
    fn asked(mut self, name: &str, what: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query);
        let parameter = parameter.required(Required::False).description(Some(what)).schema(Some(schema));
        self.parameters.push(parameter.build());
        if self.refusals.get(&400).is_none_or(|codes| !codes.contains(&Code::InvalidQuery)) {
            self = self.refused(&[Code::InvalidQuery]);
        }
        self
    }

    /// `wait`: how long the caller waits for the end of a switch.
    fn waits(self) -> Self {
        self.asked("wait", "Seconds to wait for the end of the switch.", number(0, Some(600)))
    }

    /// For the holder of a turn only, who proves it.
    fn proved(mut self) -> Self {
        self.is_proved = true;
        self.refused(&[Code::NotTheHolder])
    }

    fn body<T: ToSchema>(mut self) -> Self {
        keep::<T>(&mut self.schemas);
        let has_required = matches!(T::schema(), RefOr::T(Schema::Object(object)) if !object.required.is_empty());
        let is_required = if has_required { Required::True } else { Required::False };
        self.body = Some((T::name(), is_required));
        self.refused(&[Code::MalformedJson, Code::RequestTimeout, Code::BodyTooLarge, Code::InvalidBody])
    }

    /// What it answers.
    fn answers<T: ToSchema>(mut self, status: u16, what: &'static str) -> Self {
        self.answers.insert(status, (what, Vec::new()));
        self.or_answers::<T>(status)
    }

    /// Another document that can stand in an answer of this status.
    fn or_answers<T: ToSchema>(mut self, status: u16) -> Self {
        keep::<T>(&mut self.schemas);
        let shown = Ref::from_schema_name(T::name()).into();
        if let Some((_, documents)) = self.answers.get_mut(&status) {
            documents.push(shown);
        }
        self
    }

    /// The same for what is no document of ours.
    fn answers_with(mut self, media: &'static str, what: &'static str, schema: impl Into<RefOr<Schema>>) -> Self {
        self.media = media;
        self.answers.insert(200, (what, vec![schema.into()]));
        self
    }

    fn refused(mut self, codes: &[Code]) -> Self {
        for code in codes {
            self = self.refused_as(code.status(), *code);
        }
        self
    }

    /// Refused with another status than the code usually has.
    fn refused_as(mut self, status: u16, code: Code) -> Self {
        self.refusals.entry(status).or_default().push(code);
        self
    }

    fn operation(self) -> Operation {
        let mut responses = ResponsesBuilder::new();
        for (status, (what, shown)) in &self.answers {
            let schema = match shown.as_slice() {
                [one] => one.clone(),
                several => Schema::OneOf(several.iter().cloned().fold(OneOf::new(), push)).into(),
            };
            let answer = ResponseBuilder::new().description(*what).content(self.media, Content::new(Some(schema)));
            responses = responses.response(status.to_string(), answer);
        }
        for (status, codes) in &self.refusals {
            responses = responses.response(status.to_string(), refusal(codes));
        }
        responses = responses.response("default", Ref::from_response_name(OTHER));
        let body = self.body.map(|(name, is_required)| {
            let content = Content::new(Some(Ref::from_schema_name(name)));
            RequestBodyBuilder::new().content(JSON, content).required(Some(is_required)).build()
        });
        let lease = self.is_proved.then(|| [SecurityRequirement::new(LEASE, Vec::<String>::new())]);
        OperationBuilder::new()
            .securities(lease)
            .operation_id(Some(self.id))
            .summary(Some(self.summary))
            .parameters(Some(self.parameters))
            .request_body(body)
            .responses(responses.build())
            .build()
    }
}

fn push(mut all: OneOf, one: RefOr<Schema>) -> OneOf {
    all.items.push(one);
    all
}

/// The answer of one status: its codes in short, a line each.
fn refusal(codes: &[Code]) -> Answer {
    let lines: Vec<_> = codes.iter().map(|code| format!("- `{}`: {}", code.as_str(), code.title())).collect();
    let answer = problem(lines.join("\n"));
    if codes.iter().any(|code| WITH_RETRY.contains(code)) {
        let retry = HeaderBuilder::new().schema(number(0, None)).description(Some("Seconds, as in the document."));
        return answer.header("Retry-After", retry.build()).build();
    }
    answer.build()
}

fn problem(what: String) -> ResponseBuilder {
    let content = Content::new(Some(Ref::from_schema_name(Problem::name())));
    ResponseBuilder::new().description(what).content(PROBLEM, content)
}

/// A whole number within bounds.
fn number(low: u32, high: Option<u32>) -> Object {
    Object::builder()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(low))
        .maximum(high)
        .build()
}
