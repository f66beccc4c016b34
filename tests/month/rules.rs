//! What must hold all month, kept in books of its own: what the agents were told, when they were moved, who found
//! nobody. Whatever is wrong is written down with the history of the agent that shows it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use switchman::domain::{AgentName, Cooldown, FailureKind, Halt, Intent, Reach, SubscriptionName, Window};
use switchman::machine::agent::{AgentState, Phase};
use switchman::machine::invariant;
use switchman::machine::policy::{Policy, Strategy};
use switchman::machine::pool::{AgentView, Ranking};
use switchman::machine::timer::Timer;

use crate::ours::{number_of, since_start, view, wall};
use crate::pool::Pool;
use crate::provider::{DAY, HOUR, MINUTE, Ms, SECOND};
use crate::scenario::{AGENTS_MAX, QUOTAS, SUBSCRIPTIONS};
use crate::stage::{Failure, Stage, Wake};

/// How long an agent may find nobody although there is somebody: its jitter, and half a minute.
const MAY_WAIT: Ms = 30 * SECOND + 30 * SECOND;

/// So many lines of history go with what is wrong.
const HISTORY: usize = 24;

/// So many of them are kept.
const WRONGS_MAX: usize = 40;

/// What is known about one agent.
#[derive(Debug, Default)]
struct Book {
    /// When its own switches began.
    switches: VecDeque<Ms>,
    /// Until when it was told that it cannot be served, by quota.
    told: BTreeMap<usize, Ms>,
    history: VecDeque<(Ms, String)>,
    /// Since when there is somebody for it, while it found nobody.
    could_since: Option<Ms>,
}

/// The books.
#[derive(Debug)]
pub(crate) struct Rules {
    strategy: Strategy,
    books: BTreeMap<usize, Book>,
    /// What was found wrong, each with its history.
    pub(crate) wrongs: Vec<String>,
    seen: BTreeSet<(&'static str, usize)>,
    counted: BTreeMap<&'static str, u64>,
    /// What everything was halted for.
    pub(crate) halts: Vec<Vec<SubscriptionName>>,
}

/// `3d 04:05:06.789`
pub(crate) fn clock(at: Ms) -> String {
    let (s, ms) = (at / SECOND, at % SECOND);
    format!("{}d {:02}:{:02}:{:02}.{ms:03}", at / DAY, s / 3600 % 24, s / 60 % 60, s % 60)
}

impl Rules {
    pub(crate) fn under(strategy: Strategy) -> Self {
        Self {
            strategy,
            books: BTreeMap::new(),
            wrongs: Vec::new(),
            seen: BTreeSet::new(),
            counted: BTreeMap::new(),
            halts: Vec::new(),
        }
    }

    fn note(&mut self, now: Ms, agent: usize, what: String) {
        let history = &mut self.books.entry(agent).or_default().history;
        if history.back().is_some_and(|(_, last)| *last == what) {
            return;
        }
        history.push_back((now, what));
        if history.len() > HISTORY {
            history.pop_front();
        }
    }

    /// Something is wrong.
    pub(crate) fn wrong(&mut self, now: Ms, agent: usize, what: impl std::fmt::Display) {
        self.breaks("machine", now, agent, what);
    }

    fn breaks(&mut self, rule: &'static str, now: Ms, agent: usize, what: impl std::fmt::Display) {
        *self.counted.entry(rule).or_default() += 1;
        // One of each kind and agent shows it.
        if self.wrongs.len() < WRONGS_MAX && self.seen.insert((rule, agent)) {
            let history = self.books.get(&agent).map(|book| &book.history).into_iter().flatten();
            let lines: Vec<String> = history.map(|(at, what)| format!("    {} {what}", clock(*at))).collect();
            self.wrongs.push(format!("{rule}: w{agent} at {}: {what}\n{}", clock(now), lines.join("\n")));
        }
    }

    /// How often each rule was broken.
    pub(crate) fn broken(&self) -> &BTreeMap<&'static str, u64> {
        &self.counted
    }

    /// An agent's failure is told: until when it knows that it cannot be served.
    pub(crate) fn failed(&mut self, now: Ms, failure: &Failure) {
        let refusal = &failure.refusal;
        self.note(
            now,
            failure.agent,
            format!(
                "told: {} on {} at {}, {} reset {}",
                refusal.kind,
                SUBSCRIPTIONS[failure.on],
                clock(failure.at),
                refusal.window,
                refusal.reset_at.map_or_else(|| "not stated".to_owned(), clock),
            ),
        );
        if refusal.kind != FailureKind::RateLimit {
            return;
        }
        let longest = match refusal.window {
            Window::FiveHour => 5 * HOUR + 30 * MINUTE,
            _ => 7 * DAY + 12 * HOUR,
        };
        let told = &mut self.books.entry(failure.agent).or_default().told;
        let known = told.get(&QUOTAS[failure.on]).copied().filter(|until| *until > now);
        let until = match (refusal.reset_at, known) {
            (Some(reset), _) if reset > now && reset <= now + longest => reset,
            (Some(reset), _) if reset <= now && now - reset <= 10 * MINUTE => now + MINUTE,
            (None, Some(known)) => known,
            (Some(_) | None, _) => now + 2 * HOUR,
        };
        told.insert(QUOTAS[failure.on], known.unwrap_or(0).max(until));
    }

    /// An operator has lifted what was known about a subscription.
    pub(crate) fn cleared(&mut self, number: usize) {
        for book in self.books.values_mut() {
            book.told.remove(&QUOTAS[number]);
        }
    }

    /// A reading has ended a cooldown: whoever it held for may go back.
    pub(crate) fn proved(&mut self, now: Ms, agent: usize, number: usize, row: &Cooldown) {
        match &row.key.reach {
            Reach::All => self.cleared(number),
            Reach::Agent(name) => {
                let told: usize = name.as_str()[1..].parse().expect("a name of ours");
                self.books.entry(told).or_default().told.remove(&QUOTAS[number]);
            }
        }
        self.note(now, agent, format!("serves on {}: it cools no more", SUBSCRIPTIONS[number]));
    }

    /// The pool was asked, and has answered: deterministic, and the least loaded of those that can be picked.
    pub(crate) fn picked(&mut self, now: Ms, view: &AgentView, ranking: &Ranking) {
        let agent: usize = view.agent.as_str()[1..].parse().expect("a name of ours");
        if let Some(halt) = &ranking.halt {
            return self.note(
                now,
                agent,
                format!("halted since {}: {:?}", clock(since_start(halt.since)), halt.subscriptions),
            );
        }
        let Some(pick) = ranking.first() else {
            return self.note(
                now,
                agent,
                format!("nobody; the first comes back {:?}", ranking.earliest.map(since_start).map(clock)),
            );
        };
        let best = &ranking.candidates[0];
        let is_kept = view.current.as_ref() == Some(pick);
        let better = ranking.candidates.iter().find(|other| {
            other.ineligible.is_none() && other.is_suspect == best.is_suspect && other.agents < best.agents
        });
        if let (Some(better), false, Strategy::LeastAssigned) = (better, is_kept, self.strategy) {
            let what =
                format!("{pick} with {} agents was picked, {} has {}", best.agents, better.subscription, better.agents);
            self.breaks("spread", now, agent, what);
        }
        if best.agents >= AGENTS_MAX && !is_kept {
            self.breaks("agents_max", now, agent, format!("{pick} has {} agents already", best.agents));
        }
    }

    /// Everything is halted: only for bans that nobody has seen yet.
    pub(crate) fn halts(&mut self, now: Ms, halt: &Halt) {
        if self.halts.contains(&halt.subscriptions) {
            self.breaks("halt", now, 0, format!("again for {:?}", halt.subscriptions));
        }
        self.halts.push(halt.subscriptions.clone());
    }

    /// A switch begins.
    pub(crate) fn switches(&mut self, now: Ms, agent: usize, intent: &Intent, is_own: bool, pool: &Pool) {
        let from = intent.from.as_ref().map_or("nothing", |from| from.as_str());
        self.note(
            now,
            agent,
            format!("switch {} from {from} to {} by {}", intent.id.number, intent.to, intent.cause.by),
        );
        if !is_own {
            return;
        }
        let to = number_of(&intent.to);
        let book = self.books.entry(agent).or_default();
        book.switches.push_back(now);
        while book.switches.front().is_some_and(|at| at + HOUR <= now) {
            book.switches.pop_front();
        }
        let (switches, told) = (book.switches.len(), book.told.get(&QUOTAS[to]).copied());
        if switches > 6 {
            self.breaks("budget", now, agent, format!("{switches} switches within an hour"));
        }
        // A limit that ends a minute later than what was known says nothing new.
        if let Some(until) = told.filter(|until| *until > now + MINUTE) {
            self.breaks(
                "ping-pong",
                now,
                agent,
                format!("moved to {}, told to wait until {}", intent.to, clock(until)),
            );
        }
        if let Some(row) = pool.cooling_for_all(&intent.to, wall(now)) {
            self.breaks("cooling", now, agent, format!("moved to {}, which cools: {row:?}", intent.to));
        }
    }

    /// A cooldown is set: it has an end within bounds, or is one that somebody else ends.
    pub(crate) fn cools(&mut self, now: Ms, row: &Cooldown, is_by_shadowed: bool) {
        let (longest, agent) = (7 * DAY + 12 * HOUR, row.failure.as_ref().map_or("w0", |id| id.agent.as_str()));
        let agent: usize = agent[1..].parse().expect("a name of ours");
        self.note(
            now,
            agent,
            format!("cools {} until {:?} ({})", row.subscription, row.until.map(since_start).map(clock), row.kind),
        );
        if is_by_shadowed && row.kind == FailureKind::Auth {
            self.breaks(
                "shadowed",
                now,
                agent,
                format!("blames {} although its own key is the trouble", row.subscription),
            );
        }
        let is_ended_by_others = matches!(row.kind, FailureKind::Auth | FailureKind::Banned);
        match row.until {
            Some(until) if until > wall(now + longest) => {
                self.breaks("cooldown", now, agent, format!("ends in {} h", (since_start(until) - now) / HOUR));
            }
            None if !is_ended_by_others => self.breaks("cooldown", now, agent, "never ends".to_owned()),
            Some(_) | None => {}
        }
    }

    /// An agent rests, or not: nobody is forgotten.
    pub(crate) fn rests(&mut self, now: Ms, agent: usize, state: &AgentState, policy: &Policy) {
        for broken in invariant::broken(state, policy) {
            self.breaks("invariant", now, agent, format!("{} is broken", broken.id()));
        }
        let phase = match &state.phase {
            Phase::Serving if state.trouble.is_some() => "waits",
            phase => phase.as_str(),
        };
        let on = state.subscription().map_or("nothing", |on| on.as_str());
        let wakes = state.wake_at(crate::ours::moment(now)).map(since_start);
        let is_waiting = matches!(phase, "waits" | "exhausted");
        if is_waiting {
            self.note(
                now,
                agent,
                format!("{phase} on {on}, wakes {}", wakes.map_or_else(|| "never".to_owned(), clock)),
            );
        } else {
            self.note(now, agent, format!("{phase} on {on}"));
        }
        let is_held = state.pause.is_some() || state.pin.is_some() || state.sighting.is_none();
        if is_waiting && wakes.is_none() && !is_held {
            self.breaks("forgotten", now, agent, format!("{phase}, and nothing wakes it"));
        }
    }

    /// Whether an agent that found nobody could have found somebody by now.
    pub(crate) fn eligible(
        &mut self,
        world: &mut Stage,
        pool: &Pool,
        agent: usize,
        state: &AgentState,
        policy: &Policy,
    ) {
        let is_braked = state.timers.get(Timer::Brake).is_some();
        let is_exhausted = matches!(state.phase, Phase::Exhausted { .. })
            && !is_braked
            && state.pause.is_none()
            && pool.halt().is_none();
        let known = self.books.get(&agent).and_then(|book| book.could_since);
        if !is_exhausted {
            if known.is_some() {
                self.books.entry(agent).or_default().could_since = None;
            }
            return;
        }
        let now = world.now;
        let could = pool.explain(&view(state, policy), wall(now)).first().cloned();
        match (known, could) {
            (None, None) => {}
            (None, Some(_)) => {
                self.books.entry(agent).or_default().could_since = Some(now);
                world.wake(now + MAY_WAIT + 1, Wake::Check { agent });
            }
            (Some(_), None) => {
                self.books.entry(agent).or_default().could_since = None;
            }
            (Some(since), Some(pick)) if now > since + MAY_WAIT => {
                let what = format!("has found nobody for {} s although {pick} is eligible", (now - since) / SECOND);
                self.breaks("exhausted", now, agent, what);
            }
            (Some(_), Some(_)) => {}
        }
    }

    /// The month is over: what still cools has an end, and nobody else's quarantine is left.
    pub(crate) fn end(&mut self, rows: &[Cooldown]) {
        for row in rows.iter().filter(|row| row.is_quarantine()) {
            let agent = row.failure.as_ref().map_or_else(|| AgentName::from("w0"), |id| id.agent.clone());
            let agent: usize = agent.as_str()[1..].parse().expect("a name of ours");
            let what = format!("{} is still quarantined after {} at the end", row.subscription, row.kind);
            self.breaks("cooldown", since_start(row.since), agent, what);
        }
    }
}
