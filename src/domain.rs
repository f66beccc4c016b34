//! Words of the field: what an agent, a subscription, a generation, a report is.
//!
//! It must not decide, read a clock, touch a file or know a wire format: the arrows of the project all
//! end here, and this module depends on the standard library alone. Every closed set of words is an
//! enum whose spelling (`as_str`, `FromStr`) is the one the API, the store and the logs share.
//!
//! Tests: in each file; `tests/layering.rs` holds the arrows.

pub mod assignment;
pub mod container;
pub mod cooldown;
pub mod credential;
pub mod delivery;
pub mod disposition;
pub mod duration;
pub mod failure;
pub mod generation;
pub mod halt;
pub mod ids;
pub mod intent;
pub mod log;
pub mod moment;
pub mod notice;
pub mod probe;
pub mod reading;
pub mod record;
pub mod report;
pub mod subscription;
pub mod surroundings;
pub mod template;
pub mod tool;
pub mod turn;
pub(crate) mod words;

pub use assignment::{Assignment, Delivered, Instance, RuntimeState, Sighting};
pub use container::{ContainerProblem, FoundContainer, Sought};
pub use cooldown::{Cooldown, CooldownKey, CooldownSource, JUST_PAST, Reach};
pub use credential::CredentialRef;
pub use delivery::{Apply, Format, Reload};
pub use disposition::Disposition;
pub use failure::{FailureKind, Sign, Trust, Window};
pub use generation::Generation;
pub use halt::Halt;
pub use ids::{
    AgentName, FailureId, IntentId, Model, Provider, QuotaIdentity, ReportId, SessionName, SubscriptionName, TurnId,
    TurnKey,
};
pub use intent::{Cause, CauseBy, IntentOutcome, Plan};
pub use log::{ContainerPosition, LogPosition, SourceId, SourcePlace};
pub use moment::{Due, Moment, Steady, Wall};
pub use notice::{Gathered, Message, Notes, Severity, TroubleKey, TroubleNote};
pub use probe::{PROBE_EVERY_MIN, ProbeForm, ProbeOutcome, ProbePlan};
pub use reading::{Reading, ReadingSource, Teller, Utilisation};
pub use record::{
    AgentRecord, Attributes, Change, Deferred, FailureRecord, Intent, IntentEnd, IntentMarks, IntentRecord, Issued,
    Notification, NotifyEvent, OpenIntent, ParkReason, Pause, Rest, Trouble,
};
pub use report::{Answer, AnswerSwitch, Origin, Outcome, Report, Reporter, Stamp};
pub use subscription::{Fingerprint, SubscriptionType};
pub use surroundings::{Facts, Mount, Mounted, Surroundings};
pub use template::{Content, Part, Placeholder, Template};
pub use tool::Tool;
pub use turn::{
    Cancel, Fence, KeyRecord, Lost, SessionRecord, Turn, TurnClass, TurnEnd, TurnEnded, TurnRecord, TurnsRecord,
};
pub use words::UnknownWord;
