//! How a holder proves that it is one: `Authorization: Lease TOKEN`.
//!
//! The token stays a secret from the moment it is read: it is in no error and in no line of a log.

use axum::http::{HeaderMap, header};
use secrecy::SecretString;

use crate::actor::turns::TurnError;
use crate::api::App;
use crate::api::problem::Refusal;

/// What the caller showed.
pub(super) struct Proof {
    /// The token; empty, which proves nothing, if there is none.
    pub(super) token: SecretString,
    /// What is wrong with the header.
    trouble: Option<&'static str>,
}

/// Reads the one header. What has ended is told even to those who prove nothing, so a header that is missing is no
/// refusal yet.
pub(super) fn of(headers: &HeaderMap) -> Proof {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let trouble = |trouble| Proof { token: SecretString::from(""), trouble: Some(trouble) };
    let value = match (given.next(), given.next()) {
        (None, _) => return trouble("there is no header `Authorization`"),
        (Some(_), Some(_)) => return trouble("there are several headers `Authorization`"),
        (Some(value), None) => value.to_str().ok(),
    };
    let parts = value.and_then(|value| value.trim().split_once(' '));
    match parts.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("lease")) {
        Some((_, token)) => Proof { token: SecretString::from(token.trim()), trouble: None },
        None => trouble("the header `Authorization` is not of the form `Lease TOKEN`"),
    }
}

impl Proof {
    /// Why the caller may not do what it asked for.
    pub(super) fn refused(&self, app: &App, error: TurnError) -> Refusal {
        match (error, self.trouble) {
            (TurnError::NotTheHolder(id), Some(trouble)) => super::refusal::not_the_holder(
                &id,
                &format!("{trouble}; its holder sends `Authorization: Lease TOKEN`"),
            ),
            (error, _) => app.turn_refused(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn read(values: &[&'static str]) -> (String, bool) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        let proof = of(&headers);
        (proof.token.expose_secret().to_owned(), proof.trouble.is_none())
    }

    #[test]
    fn one_header_of_the_one_form_is_a_proof() {
        assert_eq!(read(&["Lease abc"]), ("abc".to_owned(), true));
        assert_eq!(read(&["lease  abc "]), ("abc".to_owned(), true));
        for wrong in [&[][..], &["Bearer abc"], &["abc"], &["Lease"], &["Lease abc", "Lease abc"]] {
            assert_eq!(read(wrong), (String::new(), false), "{wrong:?}");
        }
    }
}
