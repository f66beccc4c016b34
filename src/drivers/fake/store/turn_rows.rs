//! The fake's rows of turns and sessions, of one agent.
//!
//! It must refuse what the real store refuses: a number that is not higher than all before it, a second turn of a
//! session, a change of a turn that has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::{
    IntentId, KeyRecord, SessionName, SessionRecord, Turn, TurnEnd, TurnEnded, TurnRecord, TurnsRecord, Wall,
};
use crate::ports::store::Retention;

/// Rows are shared, since all rows of an agent are copied for each batch.
#[derive(Debug, Clone, Default)]
pub(super) struct TurnRows {
    turns: BTreeMap<u64, Arc<TurnRow>>,
    active: BTreeSet<u64>,
    /// With the place of each, which grows whenever it is saved.
    sessions: BTreeMap<SessionName, (i64, SessionRecord)>,
}

#[derive(Debug, Clone)]
pub(super) struct TurnRow {
    pub(super) position: i64,
    pub(super) record: TurnRecord,
}

impl TurnRows {
    /// `None` is a conflict, here and below.
    pub(super) fn begin(&mut self, turn: &Turn, position: i64) -> Option<()> {
        let is_busy = self.active().any(|active| active.session == turn.session);
        if is_busy || self.issued() >= turn.id.number {
            return None;
        }
        let record = TurnRecord { turn: turn.clone(), ended: None };
        self.turns.insert(turn.id.number, Arc::new(TurnRow { position, record }));
        self.active.insert(turn.id.number);
        Some(())
    }

    pub(super) fn change(&mut self, turn: &Turn, ended: Option<&TurnEnded>) -> Option<()> {
        if !self.active.contains(&turn.id.number) {
            return None;
        }
        let known = &mut Arc::make_mut(self.turns.get_mut(&turn.id.number)?).record;
        known.turn = Turn {
            session: known.turn.session.clone(),
            begun_at: known.turn.begun_at,
            key: known.turn.key.clone(),
            ..turn.clone()
        };
        known.ended = ended.cloned();
        if ended.is_some() {
            self.active.remove(&turn.id.number);
        }
        Some(())
    }

    /// How many turns an intent has cut off.
    pub(super) fn cut_off_by(&self, id: &IntentId) -> u32 {
        let is_its = |row: &&Arc<TurnRow>| row.record.ended.as_ref().and_then(|ended| ended.by.as_ref()) == Some(id);
        u32::try_from(self.turns.values().filter(is_its).count()).unwrap_or(u32::MAX)
    }

    pub(super) fn save_session(&mut self, session: &SessionRecord, position: i64) {
        self.sessions.insert(session.session.clone(), (position, session.clone()));
    }

    pub(super) fn get(&self, number: u64) -> Option<&TurnRow> {
        self.turns.get(&number).map(AsRef::as_ref)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &TurnRow> {
        self.turns.values().map(AsRef::as_ref)
    }

    fn issued(&self) -> u64 {
        self.turns.keys().next_back().copied().unwrap_or(0)
    }

    fn active(&self) -> impl Iterator<Item = &Turn> {
        self.active.iter().filter_map(|number| Some(&self.get(*number)?.record.turn))
    }

    pub(super) fn load(&self, fences: Vec<Wall>) -> TurnsRecord {
        let keyed = self.turns.values().rev().map(|row| &row.record).filter_map(|record| {
            let has_lapsed = record.ended.as_ref().is_some_and(|ended| ended.end == TurnEnd::Lapsed);
            let (key, digest) = record.turn.key.clone().filter(|_| !has_lapsed)?;
            Some(KeyRecord { key, digest, turn: record.turn.id.number })
        });
        let mut sessions: Vec<_> = self.sessions.values().collect();
        sessions.sort_unstable_by_key(|(position, _)| std::cmp::Reverse(*position));
        TurnsRecord {
            issued: self.issued(),
            active: self.active().cloned().collect(),
            sessions: super::ledger::newest(
                sessions.into_iter().map(|(_, session)| session.clone()),
                TurnsRecord::SESSIONS_MAX,
            ),
            keys: super::ledger::newest(keyed, TurnsRecord::KEYS_MAX),
            fences,
        }
    }

    /// Turns before this position may be old enough to go.
    pub(super) fn sweep(&mut self, retention: &Retention, reached: i64) {
        let newest = self.issued();
        self.turns.retain(|number, row| {
            let TurnRecord { turn, ended } = &row.record;
            let has_gone = ended.as_ref().is_some_and(|ended| ended.at < retention.keep_since)
                && (turn.key.is_none() || turn.begun_at < retention.answers_since);
            row.position >= reached || *number == newest || !has_gone
        });
        let over = self.sessions.len().saturating_sub(TurnsRecord::SESSIONS_MAX);
        let mut places: Vec<i64> = self.sessions.values().map(|(position, _)| *position).collect();
        places.sort_unstable();
        if let Some(oldest) = places.get(over) {
            self.sessions.retain(|_, (position, _)| *position >= *oldest);
        }
    }
}
