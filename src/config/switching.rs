//! `[switching]`: when an agent is moved, and how often.

use std::ops::Range;
use std::time::Duration;

use super::reader::{Field, Section};
use crate::domain::duration;
use crate::domain::words::words;
pub use crate::machine::policy::Strategy;
use crate::machine::policy::{Budget, CooldownMax, PoolSettings, VoluntaryMoves};

words! {
    /// When an agent goes back to a subscription that is preferred.
    pub enum Failback ("failback") {
        /// It does not, by itself.
        Never = "never",
        /// While nobody works on it.
        Idle = "idle",
    }
}

/// When an agent is moved, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switching {
    /// False: record and report, never act.
    pub enabled: bool,
    /// How a subscription is chosen.
    pub strategy: Strategy,
    /// The cooldown of a limit that states no reset.
    pub cooldown: Duration,
    /// The longest that a cooldown may last.
    pub cooldown_max: CooldownMax,
    /// A reset nearer than this is waited for.
    pub wait_out: Duration,
    /// For so long after a switch a report that names nothing is ambiguous.
    pub settle: Duration,
    /// How many switches an agent may make on its own.
    pub budget: Budget,
    /// At most so many agents are restarted at once.
    pub restarts_in_parallel: u32,
    /// The pause between two restarts that begin.
    pub splay: Duration,
    /// The pause between two agents that come back to a subscription whose cooldown has ended.
    pub ramp: Duration,
    /// An older reading of a window says nothing.
    pub reading_max_age: Duration,
    /// Moves away from a subscription that is nearly used up; `None` is off.
    pub proactive: Option<Proactive>,
    /// Moves back to a subscription that is preferred.
    pub failback: Failback,
    /// Moves onto metered subscriptions that may be made unasked, all agents together; `None` allows none.
    pub metered: Option<Budget>,
    /// The most that a wake-up is spread by.
    pub jitter: Duration,
    /// How long a restarted agent may take to become ready.
    pub ready_timeout: Duration,
}

/// Moves away from a subscription that is nearly used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proactive {
    /// Not before an agent has been for so long where it is.
    pub dwell: Duration,
    /// The other one must have as many points of a window more left.
    pub better_by: u32,
}

impl Switching {
    /// What the pool needs to know of it.
    #[must_use]
    pub fn pool_settings(&self) -> PoolSettings {
        let default = PoolSettings::default();
        let points = self.proactive.and_then(|proactive| u16::try_from(proactive.better_by).ok());
        PoolSettings {
            strategy: self.strategy,
            ramp: self.ramp,
            reading_max_age: self.reading_max_age,
            better_by: points.map_or(default.better_by, |points| points.saturating_mul(10)),
            metered: self.metered,
        }
    }

    /// What an agent needs to know of moves that no failure asks for.
    #[must_use]
    pub fn voluntary_moves(&self) -> VoluntaryMoves {
        VoluntaryMoves {
            are_proactive: self.proactive.is_some(),
            fail_back: self.failback == Failback::Idle,
            dwell: self.proactive.map_or(VoluntaryMoves::default().dwell, |proactive| proactive.dwell),
        }
    }
}

/// Where keys stand that other sections may make useless.
#[derive(Debug, Default)]
pub(super) struct SwitchingAt {
    pub(super) failback: Option<Range<usize>>,
}

pub(super) const LATER: &[&str] = &[];

/// What `metered = {}` allows.
const METERED: Budget = Budget { switches: 4, per: Duration::from_secs(86_400) };

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

impl Default for Switching {
    fn default() -> Self {
        Self {
            enabled: true,
            strategy: Strategy::LeastAssigned,
            cooldown: HOUR * 2,
            cooldown_max: CooldownMax { five_hour: MINUTE * 330, weekly: HOUR * 180, other: DAY },
            wait_out: MINUTE * 2,
            settle: MINUTE,
            budget: Budget { switches: 6, per: HOUR },
            restarts_in_parallel: 8,
            splay: Duration::ZERO,
            ramp: SECOND * 5,
            reading_max_age: MINUTE * 30,
            proactive: None,
            failback: Failback::Never,
            metered: None,
            jitter: SECOND * 30,
            ready_timeout: MINUTE,
        }
    }
}

pub(super) fn read(section: Field<Section<'_>>) -> (Switching, SwitchingAt) {
    let default = Switching::default();
    let Some(mut section) = section.good() else { return (default, SwitchingAt::default()) };
    let findings = section.findings();
    let enabled = section.flag("enabled").unwrap_or(default.enabled);
    let strategy = section.word::<Strategy>("strategy");
    let cooldown = section.duration("cooldown", SECOND..=DAY * 40);
    let cooldown_max = read_cooldown_max(section.section("cooldown_max", &[], "{ other = \"24h\" }", false));
    if let Field::Good(cooldown) = &cooldown
        && cooldown.value > cooldown_max.other
    {
        let what = format!(
            "`cooldown` is {}, longer than `cooldown_max.other`, which is {}",
            duration::format(cooldown.value),
            duration::format(cooldown_max.other)
        );
        findings.error(&cooldown.at, what, "shorten the one or lengthen the other");
    }
    let wait_out = section.duration("wait_out", Duration::ZERO..=DAY);
    if let Field::Good(wait_out) = &wait_out
        && wait_out.value >= cooldown_max.five_hour
    {
        let what = format!(
            "`wait_out` is {}, not shorter than `cooldown_max.five_hour`, which is {}: no five-hour limit would ever \
             move an agent",
            duration::format(wait_out.value),
            duration::format(cooldown_max.five_hour)
        );
        findings.error(&wait_out.at, what, "a few minutes are usual");
    }
    let settle = section.duration("settle", Duration::ZERO..=HOUR);
    let budget = read_budget(section.section("budget", &[], "{ switches = 6, per = \"1h\" }", false));
    let restarts_in_parallel = section.number("restarts_in_parallel", 1..=1_000);
    let splay = section.duration("splay", Duration::ZERO..=HOUR);
    let ramp = section.duration("ramp", Duration::ZERO..=HOUR);
    let reading_max_age = section.duration("reading_max_age", MINUTE..=DAY);
    let proactive = section.section("proactive", &[], "{ dwell = \"45m\", better_by = 15 }", false);
    let proactive = proactive.good().map(read_proactive);
    if let (Field::Good(_), Some((_, Field::Good(second)))) = (&reading_max_age, &proactive) {
        let what = "`reading_max_age` stands in [switching] and in `proactive`";
        findings.error(&second.at, what, "keep the one in [switching], which holds for both");
    }
    let (proactive, own_age) = proactive.unzip();
    let reading_max_age = reading_max_age.or(own_age.unwrap_or(Field::Absent));
    let failback = section.word::<Failback>("failback");
    let at = SwitchingAt { failback: Some(section.key_at("failback")).filter(|_| !failback.is_absent()) };
    let metered = section.section("metered", &[], "{ switches = 4, per = \"1d\" }", false);
    let metered = metered.good().map(|section| read_moves(section, METERED));
    let jitter = section.duration("jitter", Duration::ZERO..=HOUR);
    let ready_timeout = section.duration("ready_timeout", SECOND..=HOUR);
    section.finish(false);
    let switching = Switching {
        enabled,
        strategy: strategy.unwrap_or(default.strategy),
        cooldown: cooldown.unwrap_or(default.cooldown),
        cooldown_max,
        wait_out: wait_out.unwrap_or(default.wait_out),
        settle: settle.unwrap_or(default.settle),
        budget,
        restarts_in_parallel: restarts_in_parallel.unwrap_or(default.restarts_in_parallel),
        splay: splay.unwrap_or(default.splay),
        ramp: ramp.unwrap_or(default.ramp),
        reading_max_age: reading_max_age.unwrap_or(default.reading_max_age),
        proactive,
        failback: failback.unwrap_or(default.failback),
        metered,
        jitter: jitter.unwrap_or(default.jitter),
        ready_timeout: ready_timeout.unwrap_or(default.ready_timeout),
    };
    (switching, at)
}

fn read_cooldown_max(section: Field<Section<'_>>) -> CooldownMax {
    let default = Switching::default().cooldown_max;
    let Some(mut section) = section.good() else { return default };
    let findings = section.findings();
    let five_hour = section.duration("five_hour", MINUTE..=DAY);
    let weekly = section.duration("weekly", MINUTE..=DAY * 40);
    let other = section.duration("other", SECOND..=DAY * 40);
    let at = section.at.clone();
    section.finish(false);
    let max = CooldownMax {
        five_hour: five_hour.unwrap_or(default.five_hour),
        weekly: weekly.unwrap_or(default.weekly),
        other: other.unwrap_or(default.other),
    };
    if max.weekly < max.five_hour {
        let what = format!(
            "`cooldown_max.weekly` is {}, shorter than `cooldown_max.five_hour`, which is {}",
            duration::format(max.weekly),
            duration::format(max.five_hour)
        );
        findings.error(&at, what, "a weekly window outlasts a five-hour one");
    }
    max
}

fn read_budget(section: Field<Section<'_>>) -> Budget {
    let default = Switching::default().budget;
    section.good().map_or(default, |section| read_moves(section, default))
}

/// So many moves in any span of this length.
fn read_moves(mut section: Section<'_>, default: Budget) -> Budget {
    // More than the store reads back at a start would be forgotten by a restart.
    let most = u32::try_from(crate::domain::AgentRecord::BUDGET_MAX).unwrap_or(u32::MAX);
    let switches = section.number("switches", 1..=most);
    let per = section.duration("per", SECOND..=DAY * 7);
    section.finish(false);
    Budget { switches: switches.unwrap_or(default.switches), per: per.unwrap_or(default.per) }
}

/// With how old a reading may be, which holds for more than these moves.
fn read_proactive(mut section: Section<'_>) -> (Proactive, Field<Duration>) {
    let dwell = section.duration("dwell", Duration::ZERO..=DAY * 7);
    let better_by = section.number("better_by", 1..=100);
    let reading_max_age = section.duration("reading_max_age", MINUTE..=DAY);
    section.finish(false);
    let dwell = dwell.unwrap_or(VoluntaryMoves::default().dwell);
    (Proactive { dwell, better_by: better_by.unwrap_or(15) }, reading_max_age)
}
