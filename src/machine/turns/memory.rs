//! What is remembered after a turn: where a session stands, and which keys were used.
//!
//! Both are bounded, and the oldest makes room. They can be large and change one entry at a time, so copies share what
//! they have in common.

use rpds::RedBlackTreeMapSync;

use crate::domain::{SessionName, TurnKey, TurnsRecord};

/// Where a session stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remembered {
    /// The number of the last turn in it that came off.
    pub last_completed: Option<u64>,
    /// Whether no turn may begin in it any more.
    pub is_closed: bool,
}

/// Which turn a key has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyed {
    /// What identifies the request that it came with.
    pub digest: u64,
    /// The number of the turn.
    pub turn: u64,
}

/// Sessions, the longest untouched first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sessions {
    known: RedBlackTreeMapSync<SessionName, (u64, Remembered)>,
    order: RedBlackTreeMapSync<u64, SessionName>,
    touches: u64,
}

impl Sessions {
    pub(super) fn get(&self, session: &SessionName) -> Remembered {
        self.known.get(session).map(|(_, remembered)| *remembered).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.known.size()
    }

    pub(super) fn save(&mut self, session: SessionName, remembered: Remembered) {
        if let Some((touched, _)) = self.known.get(&session).copied() {
            self.order.remove_mut(&touched);
        }
        self.touches += 1;
        self.order.insert_mut(self.touches, session.clone());
        self.known.insert_mut(session, (self.touches, remembered));
        while self.known.size() > TurnsRecord::SESSIONS_MAX {
            let Some((touched, oldest)) = self.order.first().map(|(at, name)| (*at, name.clone())) else { break };
            self.order.remove_mut(&touched);
            self.known.remove_mut(&oldest);
        }
    }
}

/// Keys, those of the oldest turns first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Keys {
    known: RedBlackTreeMapSync<TurnKey, Keyed>,
    order: RedBlackTreeMapSync<u64, TurnKey>,
}

impl Keys {
    pub(super) fn get(&self, key: &TurnKey) -> Option<Keyed> {
        self.known.get(key).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.known.size()
    }

    pub(super) fn remember(&mut self, key: TurnKey, keyed: Keyed) {
        self.forget(&key);
        self.order.insert_mut(keyed.turn, key.clone());
        self.known.insert_mut(key, keyed);
        while self.known.size() > TurnsRecord::KEYS_MAX {
            let Some(oldest) = self.order.first().map(|(_, key)| key.clone()) else { break };
            self.forget(&oldest);
        }
    }

    pub(super) fn forget(&mut self, key: &TurnKey) {
        if let Some(keyed) = self.get(key) {
            self.order.remove_mut(&keyed.turn);
            self.known.remove_mut(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_untouched_session_makes_room() {
        let mut sessions = Sessions::default();
        let closed = Remembered { last_completed: None, is_closed: true };
        for number in 0..TurnsRecord::SESSIONS_MAX {
            sessions.save(SessionName::from(format!("s{number}")), closed);
        }
        sessions.save(SessionName::from("s0"), closed);
        sessions.save(SessionName::from("one more"), closed);
        assert_eq!(sessions.len(), TurnsRecord::SESSIONS_MAX);
        assert!(sessions.get(&SessionName::from("s0")).is_closed);
        assert!(!sessions.get(&SessionName::from("s1")).is_closed);
    }

    #[test]
    fn a_key_that_is_forgotten_can_be_used_again() {
        let mut keys = Keys::default();
        let key = TurnKey::from("k");
        keys.remember(key.clone(), Keyed { digest: 1, turn: 1 });
        keys.forget(&key);
        assert_eq!((keys.get(&key), keys.len()), (None, 0));
        for turn in 1..=TurnsRecord::KEYS_MAX as u64 + 1 {
            keys.remember(TurnKey::from(turn.to_string()), Keyed { digest: 1, turn });
        }
        assert_eq!((keys.get(&TurnKey::from("1")), keys.len()), (None, TurnsRecord::KEYS_MAX));
    }
}
