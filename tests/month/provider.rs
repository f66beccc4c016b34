//! The provider as it really is: what each quota has left, when its windows reopen, who is banned, when it is down.
//!
//! What it *says* about that is another matter: a stated reset may be missing, too early, too late or nonsense, as
//! users of such subscriptions report it. A window opens with its first use. Nothing here knows who decides.

use switchman::domain::{FailureKind, Window};

use crate::chance::Chance;

/// Milliseconds since the month began.
pub(crate) type Ms = u64;

pub(crate) const SECOND: Ms = 1000;
pub(crate) const MINUTE: Ms = 60 * SECOND;
pub(crate) const HOUR: Ms = 60 * MINUTE;
pub(crate) const DAY: Ms = 24 * HOUR;

/// What an account of this size may use: milliseconds of one agent's work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) five_hour: Ms,
    pub(crate) weekly: Ms,
}

/// Why a request was not served, as the provider words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: FailureKind,
    pub(crate) window: Window,
    /// What it says about when the window reopens.
    pub(crate) reset_at: Option<Ms>,
}

impl Refusal {
    pub(crate) fn of(kind: FailureKind) -> Self {
        Self { kind, window: Window::Unknown, reset_at: None }
    }
}

/// One window of one quota.
#[derive(Debug, Clone)]
struct Allowance {
    window: Window,
    length: Ms,
    size: Ms,
    used: Ms,
    /// When it really ends, and what is said about that.
    open: Option<(Ms, Option<Ms>)>,
    /// How often it was opened.
    opened: u64,
}

#[derive(Debug, Clone)]
struct Quota {
    number: u64,
    windows: [Allowance; 2],
}

/// All accounts.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    seed: u64,
    quotas: Vec<Quota>,
    /// The quota behind each subscription.
    of: Vec<usize>,
    banned: Vec<bool>,
    pub(crate) is_down: bool,
}

impl Provider {
    pub(crate) fn new(seed: u64, sizes: &[Size], of: &[usize]) -> Self {
        let quota = |(number, size): (u64, &Size)| Quota {
            number,
            windows: [
                Allowance::new(Window::FiveHour, 5 * HOUR, size.five_hour),
                Allowance::new(Window::Weekly, 7 * DAY, size.weekly),
            ],
        };
        let quotas = (0..).zip(sizes).map(quota).collect();
        Self { seed, quotas, of: of.to_vec(), banned: vec![false; of.len()], is_down: false }
    }

    /// Asks a subscription to do work; when it is used up by that, the answer says when that really ends.
    pub(crate) fn request(&mut self, subscription: usize, work: Ms, now: Ms) -> Result<Option<Ms>, Refusal> {
        if self.is_down {
            return Err(Refusal::of(FailureKind::Overload));
        }
        if self.banned[subscription] {
            return Err(Refusal::of(FailureKind::Banned));
        }
        let (seed, quota) = (self.seed, &mut self.quotas[self.of[subscription]]);
        // Of several windows that are used up the provider names the longest.
        if let Some(used_up) = quota.windows.iter().rev().find(|window| window.is_used_up(now)) {
            let reset_at = used_up.open.and_then(|(_, stated)| stated);
            return Err(Refusal { kind: FailureKind::RateLimit, window: used_up.window, reset_at });
        }
        for window in &mut quota.windows {
            window.open(seed, quota.number, now);
            window.used += work;
        }
        Ok(quota
            .windows
            .iter()
            .filter(|window| window.is_used_up(now))
            .filter_map(|window| window.open)
            .map(|o| o.0)
            .max())
    }

    /// Whether it would serve now, were the provider not down.
    pub(crate) fn has_quota(&self, subscription: usize, now: Ms) -> bool {
        let quota = &self.quotas[self.of[subscription]];
        !self.banned[subscription] && !quota.windows.iter().any(|window| window.is_used_up(now))
    }

    /// Which subscriptions would serve now, were the provider not down, as bits.
    pub(crate) fn with_quota(&self, now: Ms) -> u32 {
        (0..self.of.len()).filter(|number| self.has_quota(*number, now)).fold(0, |mask, number| mask | 1 << number)
    }

    /// What an answer says of a window: how far it is used up in thousandths, and when it is said to end.
    pub(crate) fn reads(&self, subscription: usize, window: Window) -> Option<(u16, Option<Ms>)> {
        let quota = &self.quotas[self.of[subscription]];
        let window = quota.windows.iter().find(|known| known.window == window)?;
        let used = u16::try_from((window.used * 1000 / window.size).min(1000)).ok()?;
        window.open.map(|(_, stated)| (used, stated))
    }

    pub(crate) fn ban(&mut self, subscription: usize, is_banned: bool) {
        self.banned[subscription] = is_banned;
    }

    /// Subscriptions that are not in use: the first request opens their window.
    pub(crate) fn is_fresh(&self, subscription: usize, now: Ms) -> bool {
        let [five_hour, _] = &self.quotas[self.of[subscription]].windows;
        five_hour.open.is_none_or(|(ends, _)| ends <= now) || five_hour.used * 20 < five_hour.size
    }
}

impl Allowance {
    fn new(window: Window, length: Ms, size: Ms) -> Self {
        Self { window, length, size, used: 0, open: None, opened: 0 }
    }

    fn is_used_up(&self, now: Ms) -> bool {
        self.open.is_some_and(|(ends, _)| ends > now) && self.used >= self.size
    }

    fn open(&mut self, seed: u64, quota: u64, now: Ms) {
        if self.open.is_some_and(|(ends, _)| ends > now) {
            return;
        }
        let is_weekly = u64::from(self.window == Window::Weekly);
        let mut chance = Chance::of(seed, "window", &[quota, is_weekly, self.opened]);
        let announced = now + self.length;
        let ends = match chance.between(0, 99) {
            // The provider gives everybody a new window for an apology, or a window shrinks.
            0..10 => now + chance.between(self.length / 7, self.length),
            10..18 => announced + chance.between(MINUTE, 40 * MINUTE),
            _ => announced,
        };
        let stated = match chance.between(0, 99) {
            0..15 => None,
            // Far too late: the weekly end for the short window, and a month's for the long one.
            15..20 => Some(if is_weekly == 1 { now + 18 * DAY } else { now + 156 * HOUR }),
            // Too early, even long past.
            20..26 => Some(announced.saturating_sub(chance.between(HOUR, self.length - HOUR))),
            // Read in another time zone.
            26..30 => Some(announced + HOUR),
            _ => Some(announced / MINUTE * MINUTE),
        };
        self.open = Some((ends, stated));
        self.opened += 1;
        self.used = 0;
    }
}
