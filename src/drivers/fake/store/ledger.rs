//! The rows of the fake store, and the same rules that the real one has for them.
//!
//! It has no size, so `bytes_max` of a retention means nothing here.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{
    AgentName, AgentRecord, Assignment, Attributes, CauseBy, Change, Cooldown, CooldownKey, FailureRecord, Fingerprint,
    Generation, Halt, Instance, Intent, IntentId, IntentRecord, Issued, LogPosition, Model, Notes, Notification,
    OpenIntent, Outcome, Plan, Reading, ReportId, SubscriptionName, TurnId, TurnRecord, TurnsRecord, Wall,
};
use crate::ports::store::{HistoryQuery, Outgoing, Page, PoolRecord, Retention, StoreError, StoredAnswer};

use super::turn_rows::TurnRows;

/// Of which subscription, window and model, and whose word it is.
type ReadingPlace = (SubscriptionName, &'static str, Option<Model>, Option<AgentName>);

#[derive(Debug, Default)]
pub(super) struct Ledger {
    agents: BTreeMap<AgentName, AgentRows>,
    cooldowns: BTreeMap<CooldownKey, Cooldown>,
    credentials: BTreeMap<SubscriptionName, Fingerprint>,
    readings: BTreeMap<ReadingPlace, Reading>,
    halt: Option<Halt>,
    seen_until: Option<Wall>,
    logs: BTreeMap<AgentName, LogPosition>,
    outbox: Vec<Outgoing>,
    outbox_end: i64,
    targets: BTreeMap<String, i64>,
    notes: BTreeMap<String, Notes>,
    position: i64,
}

/// What names one agent; copied before a batch changes it, so that a refused batch changes nothing.
#[derive(Debug, Clone, Default)]
struct AgentRows {
    attributes: Option<Attributes>,
    assignment: Option<Assignment>,
    generations: BTreeMap<Generation, IssuedRow>,
    intents: BTreeMap<u64, IntentRow>,
    failures: BTreeMap<u64, FailureRow>,
    turns: TurnRows,
}

#[derive(Debug, Clone)]
struct IssuedRow {
    subscription: SubscriptionName,
    at: Wall,
    is_used: bool,
}

#[derive(Debug, Clone)]
struct IntentRow {
    position: i64,
    record: IntentRecord,
    delivered: Option<(Wall, Option<Instance>)>,
}

#[derive(Debug, Clone)]
struct FailureRow {
    position: i64,
    record: FailureRecord,
}

impl Ledger {
    pub(super) fn log_positions(&self) -> Vec<(AgentName, LogPosition)> {
        self.logs.iter().map(|(agent, position)| (agent.clone(), position.clone())).collect()
    }

    /// Writes all of the changes or none.
    pub(super) fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let mut touched = BTreeMap::new();
        let mut position = self.position;
        for change in changes {
            let Some(agent) = agent_of(change) else { continue };
            let rows =
                touched.entry(agent.clone()).or_insert_with(|| self.agents.get(agent).cloned().unwrap_or_default());
            position += 1;
            rows.apply(change, position).ok_or_else(|| StoreError::Conflict { agent: agent.clone() })?;
        }
        self.position = position;
        self.agents.append(&mut touched);
        for change in changes {
            self.apply_shared(change);
        }
        Ok(())
    }

    /// The changes that nothing refuses.
    fn apply_shared(&mut self, change: &Change) {
        match change {
            Change::CooldownSet(cooldown) => {
                if self.cooldowns.get(&cooldown.key).is_none_or(|known| cooldown.supersedes(known)) {
                    self.cooldowns.insert(cooldown.key.clone(), cooldown.clone());
                }
            }
            Change::CooldownLifted(key) => {
                self.cooldowns.remove(key);
            }
            Change::Notified(notification) => self.notify(notification),
            Change::CredentialSeen(subscription, fingerprint) => {
                self.credentials.insert(subscription.clone(), fingerprint.clone());
            }
            Change::ReadingTaken(reading) => {
                let place = (
                    reading.subscription.clone(),
                    reading.window.as_str(),
                    reading.model.clone(),
                    reading.told_by.agent().cloned(),
                );
                if self.readings.get(&place).is_none_or(|known| known.at <= reading.at) {
                    self.readings.insert(place, reading.clone());
                }
            }
            Change::Halted(halt) => {
                self.halt.get_or_insert_with(|| halt.clone());
            }
            Change::HaltLifted(at) => {
                if self.halt.take().is_some() {
                    self.seen_until = self.seen_until.max(Some(*at));
                }
            }
            Change::FailureRecorded(_)
            | Change::FailureCounted { .. }
            | Change::FailureJudged { .. }
            | Change::IntentOpened(_)
            | Change::IntentDelivered { .. }
            | Change::IntentClosed(_)
            | Change::Assigned { .. }
            | Change::AgentSaved(..)
            | Change::TurnBegun { .. }
            | Change::TurnChanged(_)
            | Change::TurnEnded { .. }
            | Change::SessionSaved(..) => {}
            Change::LogRead(agent, position) => {
                self.logs.insert(agent.clone(), position.clone());
            }
        }
    }

    fn notify(&mut self, notification: &Notification) {
        if self.outbox.iter().any(|waiting| waiting.notification.id == notification.id) {
            return;
        }
        self.outbox_end += 1;
        self.outbox.push(Outgoing { position: self.outbox_end, notification: notification.clone() });
    }

    pub(super) fn agent(&self, agent: &AgentName) -> Option<AgentRecord> {
        self.agents.get(agent).and_then(AgentRows::record)
    }

    pub(super) fn pool(&self, now: Wall) -> PoolRecord {
        let open = |rows: &AgentRows| rows.open().map(|row| row.record.intent.to.clone());
        PoolRecord {
            cooldowns: self.cooldowns.values().filter(|cooldown| cooldown.is_cooling(now)).cloned().collect(),
            assignments: self
                .agents
                .iter()
                .filter_map(|(agent, rows)| Some((agent.clone(), rows.assignment.as_ref()?.subscription.clone())))
                .collect(),
            reservations: self.agents.iter().filter_map(|(agent, rows)| Some((agent.clone(), open(rows)?))).collect(),
            credentials: self.credentials.iter().map(|(name, print)| (name.clone(), print.clone())).collect(),
            readings: self.readings.values().cloned().collect(),
            halt: self.halt.clone(),
            seen_until: self.seen_until,
            moves: self.moves(now),
        }
    }

    fn moves(&self, now: Wall) -> Vec<(SubscriptionName, Wall)> {
        let rows = self.agents.values().flat_map(|rows| rows.intents.values());
        let lately = rows.filter(|row| row.record.intent.started_at > now.minus(Duration::from_secs(7 * 86_400)));
        let mut moves: Vec<&IntentRow> = lately
            .filter(|row| {
                let intent = &row.record.intent;
                !intent.cause.by.is_by_operator() && intent.from.as_ref() != Some(&intent.to)
            })
            .collect();
        moves.sort_by_key(|row| (row.record.intent.started_at, row.position));
        let from = moves.len().saturating_sub(1_000);
        moves[from..].iter().map(|row| (row.record.intent.to.clone(), row.record.intent.started_at)).collect()
    }

    pub(super) fn report_ids(&self, agent: &AgentName, since: Wall, limit: u32) -> Vec<ReportId> {
        let Some(rows) = self.agents.get(agent) else { return Vec::new() };
        let mut ids: Vec<_> = rows
            .failures
            .values()
            .rev()
            .filter(|row| row.record.at >= since)
            .filter_map(|row| row.record.report.as_ref().map(|(id, _)| id.clone()))
            .take(count(limit))
            .collect();
        ids.reverse();
        ids
    }

    pub(super) fn answer(&self, agent: &AgentName, id: &ReportId) -> Option<StoredAnswer> {
        self.agents.get(agent)?.failures.values().find_map(|row| {
            let (_, digest) = row.record.report.as_ref().filter(|(reported, _)| reported == id)?;
            Some(StoredAnswer { answer: row.record.answer.as_deref()?.clone(), digest: *digest })
        })
    }

    pub(super) fn intent(&self, id: &IntentId) -> Option<IntentRecord> {
        Some(self.agents.get(&id.agent)?.intents.get(&id.number)?.record.clone())
    }

    pub(super) fn intents(&self, query: &HistoryQuery) -> Page<IntentRecord> {
        let rows = self.agents.values().flat_map(|rows| rows.intents.values());
        page(
            query,
            rows.map(|row| {
                (
                    &row.record.intent.id.agent,
                    row.record.intent.started_at,
                    row.record.intent.id.number,
                    row.position,
                    &row.record,
                )
            }),
        )
    }

    pub(super) fn failures(&self, query: &HistoryQuery) -> Page<FailureRecord> {
        let rows = self.agents.values().flat_map(|rows| rows.failures.values());
        page(
            query,
            rows.map(|row| (&row.record.id.agent, row.record.at, row.record.id.number, row.position, &row.record)),
        )
    }

    pub(super) fn turn(&self, id: &TurnId) -> Option<TurnRecord> {
        Some(self.agents.get(&id.agent)?.turns.get(id.number)?.record.clone())
    }

    pub(super) fn turns(&self, query: &HistoryQuery) -> Page<TurnRecord> {
        let rows = self.agents.values().flat_map(|rows| rows.turns.all());
        page(
            query,
            rows.map(|row| {
                let turn = &row.record.turn;
                (&turn.id.agent, turn.begun_at, turn.id.number, row.position, &row.record)
            }),
        )
    }

    pub(super) fn outgoing(&mut self, target: &str, limit: u32) -> Vec<Outgoing> {
        let taken = *self.targets.entry(target.to_owned()).or_insert(self.outbox_end);
        self.outbox.iter().filter(|waiting| waiting.position > taken).take(count(limit)).cloned().collect()
    }

    pub(super) fn delivered(&mut self, target: &str, position: i64) {
        let taken = self.targets.entry(target.to_owned()).or_insert(position);
        *taken = position.max(*taken);
    }

    pub(super) fn notes(&self, target: &str) -> Notes {
        self.notes.get(target).cloned().unwrap_or_default()
    }

    pub(super) fn noted(&mut self, target: &str, position: i64, notes: Notes) {
        self.delivered(target, position);
        self.notes.insert(target.to_owned(), notes);
    }

    pub(super) fn sweep(&mut self, retention: &Retention) {
        for rows in self.agents.values_mut() {
            rows.forget_answers(retention);
        }
        // Rows go from the oldest to the first that is young enough, and no further.
        let first_young = |rows: &mut dyn Iterator<Item = (i64, Wall)>| {
            rows.filter(|(_, at)| *at >= retention.keep_since).map(|(place, _)| place).min().unwrap_or(i64::MAX)
        };
        let failures = self.agents.values().flat_map(|rows| rows.failures.values());
        let reached = first_young(&mut failures.map(|row| (row.position, row.record.at)));
        let turns = self.agents.values().flat_map(|rows| rows.turns.all());
        let turns_reached = first_young(&mut turns.map(|row| (row.position, row.record.turn.begun_at)));
        for rows in self.agents.values_mut() {
            rows.failures.retain(|_, row| {
                // Text waits for minutes, and is not kept for it.
                let waits = matches!(row.record.outcome, Outcome::Held | Outcome::Ambiguous);
                row.position >= reached || row.record.report.is_some() || waits
            });
            rows.sweep_ended(retention.keep_since);
            rows.turns.sweep(retention, turns_reached);
        }
        self.cooldowns.retain(|_, cooldown| cooldown.until.is_none_or(|until| until >= retention.keep_since));
        let taken = self.targets.values().min().copied().unwrap_or(i64::MAX);
        let in_any_case = retention.undelivered_since.min(retention.keep_since);
        self.outbox.retain(|waiting| {
            let at = waiting.notification.at;
            at >= retention.keep_since || waiting.position > taken && at >= in_any_case
        });
    }
}

/// The agent whose rows a change is about; `None` for rows that belong to no agent.
fn agent_of(change: &Change) -> Option<&AgentName> {
    match change {
        Change::FailureRecorded(failure) => Some(&failure.id.agent),
        Change::FailureCounted { id, .. } | Change::FailureJudged { id, .. } => Some(&id.agent),
        Change::IntentOpened(intent) => Some(&intent.id.agent),
        Change::IntentDelivered { id, .. } => Some(&id.agent),
        Change::IntentClosed(end) => Some(&end.id.agent),
        Change::TurnBegun { turn, .. } | Change::TurnChanged(turn) | Change::TurnEnded { turn, .. } => {
            Some(&turn.id.agent)
        }
        Change::Assigned { agent, .. } | Change::AgentSaved(agent, _) | Change::SessionSaved(agent, _) => Some(agent),
        Change::CooldownSet(_)
        | Change::CooldownLifted(_)
        | Change::Notified(_)
        | Change::CredentialSeen(..)
        | Change::ReadingTaken(_)
        | Change::Halted(_)
        | Change::HaltLifted(_)
        | Change::LogRead(..) => None,
    }
}

fn count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn page<'a, T: Clone + 'a>(
    query: &HistoryQuery,
    rows: impl Iterator<Item = (&'a AgentName, Wall, u64, i64, &'a T)>,
) -> Page<T> {
    let mut found: Vec<(i64, &T)> = rows
        .filter(|(agent, at, ..)| {
            query.agent.as_ref().is_none_or(|wanted| wanted == *agent) && query.since.is_none_or(|since| *at >= since)
        })
        .map(|(_, _, number, position, row)| (if query.agent.is_some() { number.cast_signed() } else { position }, row))
        .filter(|(place, _)| query.before.is_none_or(|before| *place < before))
        .collect();
    found.sort_unstable_by_key(|(place, _)| std::cmp::Reverse(*place));
    let has_more = found.len() > count(query.limit);
    found.truncate(count(query.limit));
    let next = found.last().filter(|_| has_more).map(|(place, _)| *place);
    Page { rows: found.into_iter().map(|(_, row)| row.clone()).collect(), next }
}

impl AgentRows {
    /// `None` is a conflict.
    fn apply(&mut self, change: &Change, position: i64) -> Option<()> {
        match change {
            Change::FailureRecorded(failure) => self.record_failure(failure, position),
            Change::FailureCounted { id, count } => {
                if let Some(row) = self.failures.get_mut(&id.number) {
                    row.record.count = *count;
                }
                Some(())
            }
            Change::FailureJudged { id, outcome, generation, reason, agreed: _ } => {
                if let Some(row) = self.failures.get_mut(&id.number) {
                    row.record.outcome = *outcome;
                    row.record.generation = *generation;
                    row.record.reason = reason.clone().or(row.record.reason.take());
                }
                Some(())
            }
            Change::IntentOpened(intent) => self.open_intent(intent, position),
            Change::IntentDelivered { id, at, before } => {
                let row = self.intents.get_mut(&id.number).filter(|row| row.record.end.is_none())?;
                row.delivered = Some((*at, before.clone()));
                Some(())
            }
            Change::IntentClosed(end) => {
                let row = self.intents.get_mut(&end.id.number).filter(|row| row.record.end.is_none())?;
                row.record.end = Some(end.clone());
                Some(())
            }
            Change::Assigned { assignment, replaces, .. } => {
                let stored = self.assignment.as_ref().map_or(Generation::NONE, |stored| stored.generation);
                if stored != *replaces || assignment.generation <= *replaces {
                    return None;
                }
                self.issue(assignment.generation, &assignment.subscription, assignment.since)?.is_used = true;
                self.assignment = Some(assignment.clone());
                Some(())
            }
            Change::AgentSaved(_, attributes) => {
                self.attributes = Some(attributes.as_ref().clone());
                Some(())
            }
            Change::TurnBegun { turn, waited: _ } => self.turns.begin(turn, position),
            Change::TurnChanged(turn) => self.turns.change(turn, None),
            Change::TurnEnded { turn, ended } => self.turns.change(turn, Some(ended)),
            Change::SessionSaved(_, session) => {
                self.turns.save_session(session, position);
                Some(())
            }
            Change::CooldownSet(_)
            | Change::CooldownLifted(_)
            | Change::Notified(_)
            | Change::CredentialSeen(..)
            | Change::ReadingTaken(_)
            | Change::Halted(_)
            | Change::HaltLifted(_)
            | Change::LogRead(..) => Some(()),
        }
    }

    fn record_failure(&mut self, failure: &FailureRecord, position: i64) -> Option<()> {
        let is_answered = failure.report.as_ref().is_some_and(|(id, _)| {
            self.failures.values().any(|row| row.record.report.as_ref().is_some_and(|(known, _)| known == id))
        });
        if is_answered || self.failures.contains_key(&failure.id.number) {
            return None;
        }
        self.failures.insert(failure.id.number, FailureRow { position, record: failure.clone() });
        Some(())
    }

    fn issue(&mut self, taken: Generation, subscription: &SubscriptionName, at: Wall) -> Option<&mut IssuedRow> {
        let row = self.generations.entry(taken).or_insert_with(|| IssuedRow {
            subscription: subscription.clone(),
            at,
            is_used: false,
        });
        (row.subscription == *subscription).then_some(row)
    }

    fn open(&self) -> Option<&IntentRow> {
        self.intents.values().find(|row| row.record.end.is_none())
    }

    fn open_intent(&mut self, intent: &Intent, position: i64) -> Option<()> {
        self.issue(intent.generation, &intent.to, intent.started_at)?;
        if let Some(open) = self.open()
            && (open.record.intent.id != intent.id || open.delivered.is_some())
        {
            return None;
        }
        match self.intents.get_mut(&intent.id.number) {
            Some(known) if known.record.end.is_some() => return None,
            Some(known) => known.record.intent = intent.clone(),
            None => {
                let record = IntentRecord { intent: intent.clone(), end: None };
                self.intents.insert(intent.id.number, IntentRow { position, record, delivered: None });
            }
        }
        Some(())
    }

    /// When the newest intents of a plan and certain causes began.
    fn begun(&self, plan: Plan, causes: &[CauseBy]) -> Vec<Wall> {
        let intents = self.intents.values().rev().map(|row| &row.record.intent);
        let counted = intents.filter(|intent| intent.plan == plan && causes.contains(&intent.cause.by));
        newest(counted.map(|intent| intent.started_at), AgentRecord::BUDGET_MAX)
    }

    fn record(&self) -> Option<AgentRecord> {
        let turns = self.turns.load(self.begun(Plan::Fence, &[CauseBy::Turn]));
        Some(AgentRecord {
            attributes: self.attributes.clone().or_else(|| self.implied_attributes(&turns))?,
            assignment: self.assignment.clone(),
            issued: newest(
                self.generations.iter().rev().map(|(generation, row)| Issued {
                    generation: *generation,
                    subscription: row.subscription.clone(),
                    is_used: row.is_used,
                }),
                AgentRecord::ISSUED_MAX,
            ),
            open: self.open().map(|row| OpenIntent {
                intent: row.record.intent.clone(),
                delivered: row.delivered.clone(),
                cut_off: self.turns.cut_off_by(&row.record.intent.id),
            }),
            budget: self.begun(
                Plan::Switch,
                &[CauseBy::Failure, CauseBy::Wake, CauseBy::Turn, CauseBy::Proactive, CauseBy::Failback],
            ),
            deferred: self
                .failures
                .values()
                .filter(|row| row.record.outcome.is_deferred())
                .take(AgentRecord::DEFERRED_MAX)
                .map(|row| row.record.clone().deferred())
                .collect(),
            last: self.intents.values().rev().find(|row| row.record.end.is_some()).map(|row| row.record.clone()),
            turns,
        })
    }

    fn implied_attributes(&self, turns: &TurnsRecord) -> Option<Attributes> {
        let issued = self.generations.keys().next_back().copied().unwrap_or(Generation::NONE);
        let failures = self.failures.keys().next_back().copied().unwrap_or(0);
        let intents = self.intents.keys().next_back().copied().unwrap_or(0);
        let is_known = issued != Generation::NONE || failures > 0 || intents > 0 || *turns != TurnsRecord::default();
        is_known.then(|| Attributes::fresh(issued, failures, intents))
    }

    fn forget_answers(&mut self, retention: &Retention) {
        let mut kept = 0;
        for row in self.failures.values_mut().rev().filter(|row| row.record.report.is_some()) {
            kept += 1;
            if row.record.at < retention.answers_since || kept > retention.answers_max {
                row.record.report = None;
                row.record.answer = None;
            }
        }
    }

    fn sweep_ended(&mut self, before: Wall) {
        let newest_ended = self.intents.values().rev().find(|row| row.record.end.is_some());
        let newest_ended = newest_ended.map_or(0, |row| row.record.intent.id.number);
        self.intents.retain(|number, row| {
            *number >= newest_ended || row.record.end.as_ref().is_none_or(|end| end.finished_at >= before)
        });
        if let Some(assignment) = &self.assignment {
            let kept = u64::try_from(AgentRecord::ISSUED_MAX).unwrap_or(u64::MAX);
            let oldest = assignment.generation.0.saturating_sub(kept);
            self.generations.retain(|generation, row| generation.0 > oldest || row.at >= before);
        }
    }
}

/// The first `max` of what comes newest first, oldest first.
pub(super) fn newest<T>(newest_first: impl Iterator<Item = T>, max: usize) -> Vec<T> {
    let mut found: Vec<T> = newest_first.take(max).collect();
    found.reverse();
    found
}
