//! The requests, one form per provider and sort of credential.
//!
//! Sources: the public documentation of both APIs (`anthropic-version`, `x-api-key`, the Responses API and its smallest
//! `max_output_tokens`), and public reports of what a plan's long-lived token needs (`anthropic-beta`).

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE};
use ureq::http::{HeaderValue, Request};
use zeroize::Zeroizing;

use crate::domain::{ProbeForm, ProbePlan};

const ANTHROPIC_VERSION: &str = "2023-06-01";
/// Says that the bearer is a token of a plan.
const PLAN_TOKEN_BETA: &str = "oauth-2025-04-20";
/// The API takes no fewer.
const RESPONSES_TOKENS: u32 = 16;

/// The request. The credential stands in one header, which shows itself to nobody.
pub(super) fn request(plan: &ProbePlan, credential: &SecretString) -> Result<Request<Vec<u8>>, &'static str> {
    let model = plan.model.as_str();
    let (path, body) = match plan.form {
        ProbeForm::PlanToken | ProbeForm::AnthropicKey => {
            ("/v1/messages", json!({"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "."}]}))
        }
        ProbeForm::OpenAiKey => (
            "/v1/responses",
            json!({"model": model, "input": ".", "max_output_tokens": RESPONSES_TOKENS, "store": false}),
        ),
    };
    let bearer = || secret(&Zeroizing::new(format!("Bearer {}", credential.expose_secret())));
    let request = Request::post(format!("{}{path}", plan.endpoint)).header(CONTENT_TYPE, "application/json");
    let request = match plan.form {
        ProbeForm::PlanToken => request
            .header(AUTHORIZATION, bearer()?)
            .header("anthropic-version", ANTHROPIC_VERSION)
            .header("anthropic-beta", PLAN_TOKEN_BETA),
        ProbeForm::AnthropicKey => request
            .header("x-api-key", secret(credential.expose_secret())?)
            .header("anthropic-version", ANTHROPIC_VERSION),
        ProbeForm::OpenAiKey => request.header(AUTHORIZATION, bearer()?),
    };
    request
        .body(body.to_string().into_bytes())
        .map_err(|_| "the endpoint or the credential cannot be used in a request")
}

fn secret(text: &str) -> Result<HeaderValue, &'static str> {
    let mut value = HeaderValue::from_str(text).map_err(|_| "the credential cannot stand in a header")?;
    value.set_sensitive(true);
    Ok(value)
}
