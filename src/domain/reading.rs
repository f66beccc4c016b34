//! How far the windows of a subscription are used up, as somebody read it off the provider.

use super::words::words;
use super::{AgentName, Model, SubscriptionName, Wall, Window};

/// A share of a window, in thousandths: 0 is untouched, 1000 is used up. More than that is over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Utilisation(pub u16);

impl Utilisation {
    /// Used up.
    pub const FULL: Self = Self(1000);

    /// From percent; `None` if it is no number between 0 and 1000 percent.
    #[must_use]
    pub fn from_percent(percent: f64) -> Option<Self> {
        let is_sane = percent.is_finite() && (0.0..=1000.0).contains(&percent);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 10,000, as checked")]
        is_sane.then(|| Self((percent * 10.0).round() as u16))
    }

    /// In percent.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 10.0
    }

    /// What is left, in thousandths.
    #[must_use]
    pub const fn headroom(self) -> u16 {
        1000_u16.saturating_sub(self.0)
    }
}

impl std::fmt::Display for Utilisation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_multiple_of(10) { write!(f, "{} %", self.0 / 10) } else { write!(f, "{:.1} %", self.percent()) }
    }
}

words! {
    /// Whose word a reading is.
    pub enum ReadingSource ("source of a reading") {
        /// The agent's own: its log, or its own socket.
        Agent = "agent",
        /// A trusted reporter's, or a person's.
        Reporter = "reporter",
        /// The provider's, to a probe of ours.
        Probe = "probe",
    }
}

/// Who told a reading.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Teller {
    /// This agent: its own word, which holds for itself alone (E7).
    Agent(AgentName),
    /// A trusted reporter, or a person.
    Reporter,
    /// The provider itself, asked by a probe. Trusted.
    Probe,
}

impl Teller {
    /// The agent whose own word it is; `None` for a trusted one.
    #[must_use]
    pub const fn agent(&self) -> Option<&AgentName> {
        match self {
            Self::Agent(agent) => Some(agent),
            Self::Reporter | Self::Probe => None,
        }
    }
}

/// What the provider said of one window of a subscription at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Of which subscription.
    pub subscription: SubscriptionName,
    /// Of which window; `Unknown` speaks of the subscription as a whole.
    pub window: Window,
    /// The one model that the window counts; `None` means all models.
    pub model: Option<Model>,
    /// How far it is used up, if that was said.
    pub utilisation: Option<Utilisation>,
    /// Whether the provider served at that time.
    pub serves: bool,
    /// When the window begins anew, if that was said.
    pub reset_at: Option<Wall>,
    /// When it was read.
    pub at: Wall,
    /// Whose word it is.
    pub told_by: Teller,
}

impl Reading {
    /// Whose word it is.
    #[must_use]
    pub const fn source(&self) -> ReadingSource {
        match self.told_by {
            Teller::Agent(_) => ReadingSource::Agent,
            Teller::Reporter => ReadingSource::Reporter,
            Teller::Probe => ReadingSource::Probe,
        }
    }

    /// How far the window is used up; one that refuses is full, whatever the number says.
    #[must_use]
    pub const fn used(&self) -> Option<Utilisation> {
        if self.serves { self.utilisation } else { Some(Utilisation::FULL) }
    }

    /// Whether it still says something: its window has not begun anew, and it is no older than `age_max`. One from
    /// beyond `now`, after a clock was set back, says nothing.
    #[must_use]
    pub fn is_fresh(&self, now: Wall, age_max: std::time::Duration) -> bool {
        self.at <= now && self.counts_until(age_max) > now
    }

    /// Until when it says something. A refusal that states when it ends holds until then: that nobody has looked since
    /// does not shorten it (E4).
    #[must_use]
    pub fn counts_until(&self, age_max: std::time::Duration) -> Wall {
        let old_at = self.at.plus(age_max);
        match self.reset_at {
            Some(reset) if self.serves => reset.min(old_at),
            Some(reset) => reset,
            None => old_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_kept_to_a_tenth_of_a_percent() {
        assert_eq!(Utilisation::from_percent(42.04), Some(Utilisation(420)));
        assert_eq!(Utilisation::from_percent(100.0), Some(Utilisation::FULL));
        assert_eq!(Utilisation::from_percent(120.0).map(Utilisation::headroom), Some(0));
        for odd in [-0.1, 1000.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Utilisation::from_percent(odd), None);
        }
        assert_eq!((Utilisation(420).to_string(), Utilisation(425).to_string()), ("42 %".into(), "42.5 %".into()));
    }
}
