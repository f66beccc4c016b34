//! What stands behind the `?` of a request.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use axum::http::Uri;

use super::problem::{Code, Refusal};

/// The longest that a caller may wait for a switch, in seconds.
const WAIT_MAX_S: u64 = 600;

/// The parameters of a request: known ones, each at most once.
pub(super) struct Query<'a>(Vec<(&'static str, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Reads the parameters; refuses one that is not among `known`.
    pub(super) fn of(uri: &'a Uri, known: &[&'static str]) -> Result<Self, Refusal> {
        let mut parameters: Vec<(&'static str, Cow<'a, str>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            let Some(name) = known.iter().copied().find(|known| *known == name) else {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(Refusal::new(Code::InvalidQuery, format!("a parameter is not known: known are {known}")));
            };
            if parameters.iter().any(|(other, _)| *other == name) {
                return Err(Refusal::new(Code::InvalidQuery, format!("`{name}` comes twice")).at(name));
            }
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    /// A parameter as it stands.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }

    /// A parameter that is read as something; `form` says what it must be.
    pub(super) fn read<T: FromStr>(&self, name: &'static str, form: &str) -> Result<Option<T>, Refusal> {
        let read = |text: &str| text.parse().map_err(|_| refuse(name, form));
        self.get(name).map(read).transpose()
    }

    /// `wait`: how long the caller waits for the end of a switch.
    pub(super) fn wait(&self) -> Result<Duration, Refusal> {
        const FORM: &str = "a whole number of seconds, 0 to 600";
        let seconds: u64 = self.read("wait", FORM)?.unwrap_or(0);
        if seconds > WAIT_MAX_S { Err(refuse("wait", FORM)) } else { Ok(Duration::from_secs(seconds)) }
    }
}

pub(super) fn refuse(name: &'static str, form: &str) -> Refusal {
    Refusal::new(Code::InvalidQuery, format!("`{name}` must be {form}")).at(name)
}
