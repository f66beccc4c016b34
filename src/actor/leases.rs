//! Lease tokens: how the holder of a turn proves that it is the holder.
//!
//! A token is a keyed digest of the turn, so that none is stored: whoever asks again with the same key gets the same one,
//! also after a restart of the daemon, and a copy of the database holds no turn. The key is the state directory's own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::Sha256;

use crate::domain::{Turn, Wall};

/// Makes tokens, and knows them again.
pub struct Leases(SecretBox<[u8; 32]>);

impl Leases {
    /// Tokens under this key.
    #[must_use]
    pub fn new(key: &SecretBox<[u8; 32]>) -> Self {
        Self(SecretBox::new(Box::new(*key.expose_secret())))
    }

    /// The token of a turn.
    #[must_use]
    pub fn token(&self, turn: &Turn) -> SecretString {
        let digest = self.digest(turn).finalize().into_bytes();
        SecretString::from(URL_SAFE_NO_PAD.encode(digest))
    }

    /// Whether this is the token of a turn. Takes as long whatever is wrong with it.
    #[must_use]
    pub fn proves(&self, turn: &Turn, token: &SecretString) -> bool {
        let given = URL_SAFE_NO_PAD.decode(token.expose_secret()).unwrap_or_default();
        self.digest(turn).verify_slice(&given).is_ok()
    }

    /// Over its identity and the moment it was granted: the number alone would come again with a new database.
    fn digest(&self, turn: &Turn) -> Hmac<Sha256> {
        let Wall(begun_at) = turn.begun_at;
        let mut digest = keyed(self.0.expose_secret());
        digest.update(turn.id.to_string().as_bytes());
        digest.update(b"\0");
        digest.update(&begun_at.to_le_bytes());
        digest
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "the construction takes a key of any length")]
    Hmac::new_from_slice(key).expect("a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AgentName, Generation, SessionName, SubscriptionName, TurnClass, TurnId};

    fn turn(number: u64, at: i64) -> Turn {
        Turn {
            id: TurnId { agent: AgentName::from("a"), number },
            session: SessionName::from("s"),
            class: TurnClass::Interactive,
            holder: "h".to_owned(),
            subscription: SubscriptionName::from("max-a"),
            generation: Generation(1),
            begun_at: Wall(at),
            key: None,
            life: None,
            is_taken: false,
            until: Wall(at),
            cancel: None,
            has_failed: false,
            lost: None,
        }
    }

    #[test]
    fn a_token_is_good_for_one_turn_under_one_key() {
        let leases = Leases::new(&SecretBox::new(Box::new([7; 32])));
        let token = leases.token(&turn(1, 5));
        assert!(leases.proves(&turn(1, 5), &token));
        assert!(!leases.proves(&turn(2, 5), &token));
        assert!(!leases.proves(&turn(1, 6), &token));
        assert!(!leases.proves(&turn(1, 5), &SecretString::from("")));
        assert!(!leases.proves(&turn(1, 5), &SecretString::from("not a token at all")));
        assert!(!Leases::new(&SecretBox::new(Box::new([8; 32]))).proves(&turn(1, 5), &token));
    }
}
