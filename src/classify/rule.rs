//! A rule: what a sign of a failure looks like, and what it means. The same for those that are built in and for the
//! user's own.
//!
//! | looks at | which is | tested by |
//! |---|---|---|
//! | [`When::Record`] | a line that is one JSON object of the tool's own | members, by their paths from its top |
//! | [`When::Answer`] | what a provider answered: status, headers, error body | status, names and words of the error |
//! | [`When::Exception`] | an exception of a provider's library | its class |
//! | [`When::Sentence`] | a line of text, whatever leads up to its sentence peeled off | a pattern from its beginning |
//!
//! A rule looks at nothing else; who asks which rules is in `classifier.rs`.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::evidence::RuleId;
use super::pattern::Pattern;
pub use super::peel::Exception;
use crate::domain::{FailureKind, Model, Tool, Trust, Window};

/// Which tools a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tools {
    /// Every one.
    All,
    /// These; an agent whose tool is `custom`, or not known, counts as each of them.
    Of(Vec<Tool>),
}

impl Tools {
    /// Whether it is about what runs in the agent.
    #[must_use]
    pub fn include(&self, tool: Option<Tool>) -> bool {
        match (self, tool) {
            (Self::All, _) | (Self::Of(_), None | Some(Tool::Custom)) => true,
            (Self::Of(tools), Some(tool)) => tools.contains(&tool),
        }
    }
}

/// A path of member names from the top of a JSON document; a number is a place in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<String>);

impl Path {
    /// From its written form, with dots: `rate_limit_info.status`.
    #[must_use]
    pub fn new(dotted: &str) -> Self {
        Self(dotted.split('.').map(str::to_owned).collect())
    }

    /// What stands there.
    #[must_use]
    pub fn of<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(document, |value, name| match value {
            Value::Object(members) => members.get(name),
            Value::Array(items) => items.get(name.parse::<usize>().ok()?),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        })
    }

    /// The same from the member of this name down, if it leads through that.
    pub(super) fn below(&self, name: &str) -> Option<Self> {
        let (first, rest) = self.0.split_first()?;
        (first == name && !rest.is_empty()).then(|| Self(rest.to_vec()))
    }

    /// The name nearest to the member itself that is written in a document.
    pub(super) fn last(&self) -> Option<&str> {
        self.0.iter().rev().map(String::as_str).find(|name| name.parse::<usize>().is_err())
    }

    /// As it is written.
    #[must_use]
    pub fn dotted(&self) -> String {
        self.0.join(".")
    }
}

/// What a member must be.
#[derive(Debug, Clone)]
pub enum Test {
    /// One of these values. A number also agrees with its text.
    OneOf(Vec<Value>),
    /// A text in which this is found.
    Matches(Pattern),
    /// There, and not null.
    Present,
    /// Not there, or null.
    Absent,
}

impl Test {
    fn holds(&self, value: Option<&Value>) -> bool {
        let value = value.filter(|value| !value.is_null());
        match (self, value) {
            (Self::Absent, value) => value.is_none(),
            (Self::Present, value) => value.is_some(),
            (Self::OneOf(values), Some(value)) => values.iter().any(|wanted| agrees(wanted, value)),
            (Self::Matches(pattern), Some(Value::String(text))) => pattern.is_match(text),
            (Self::OneOf(_) | Self::Matches(_), _) => false,
        }
    }
}

fn agrees(wanted: &Value, value: &Value) -> bool {
    match (wanted, value) {
        (Value::Number(number), Value::String(text)) | (Value::String(text), Value::Number(number)) => {
            number.to_string() == *text
        }
        _ => wanted == value,
    }
}

/// What a sign looks like.
#[derive(Debug, Clone)]
pub enum When {
    /// A record of the tool's own in which all of these hold.
    Record(Vec<(Path, Test)>),
    /// A provider's answer.
    Answer(Asked),
    /// A sentence that matches from its beginning to its end. Letters in either case.
    Sentence(Pattern),
    /// An exception of a provider's library, whose words no rule understands.
    Exception(Exception),
}

impl When {
    /// Whether it is a record like this.
    #[must_use]
    pub fn is_record(&self, record: &Value) -> bool {
        match self {
            Self::Record(members) => members.iter().all(|(path, test)| test.holds(path.of(record))),
            Self::Answer(_) | Self::Sentence(_) | Self::Exception(_) => false,
        }
    }
}

/// What an answer must have. What is empty is not asked for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// One of these statuses.
    pub status: Vec<RangeInclusive<u16>>,
    /// Whether an answer whose status is not known will do as well.
    pub or_no_status: bool,
    /// A header of this name with one of these values.
    pub header: Option<(String, Vec<String>)>,
    /// Type, code or status of the error is one of these, in lower case.
    pub names: Vec<String>,
    /// Its words contain one of these, in lower case. With names: one of the two is enough.
    pub words: Vec<String>,
    /// Its words match.
    pub says: Option<Pattern>,
}

/// What a sign means.
#[derive(Debug, Clone)]
pub struct Says {
    /// What went wrong; `None`: nothing, and no other rule is asked.
    pub kind: Option<FailureKind>,
    /// The window it is about.
    pub scope: Scope,
    /// When it ends.
    pub reset: ResetIn,
    /// The one model it is about, where the rule knows it.
    pub model: Option<Model>,
    /// Where the words are that may know better: they are asked first.
    pub words: Option<Path>,
    /// How far it is believed.
    pub trust: Trust,
    /// Why, in words, after "because".
    pub reason: String,
}

/// Where the window is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// It is always this one.
    Is(Window),
    /// A member has its name, as the provider calls it.
    Member(Path),
    /// In the headers: which of them says that it is used up.
    Headers,
    /// In the words.
    Words,
}

/// Where the reset is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResetIn {
    /// None is stated.
    Nowhere,
    /// A member: a time, as a number or a text.
    At(Path),
    /// A member: seconds from the event on.
    After(Path),
    /// In the headers, or in the error's own members.
    Headers,
    /// In the words.
    Words,
    /// What a named group of the sentence's pattern holds.
    Group(String),
}

/// A rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name.
    pub id: RuleId,
    /// Which tools it is about.
    pub tools: Tools,
    /// What the sign looks like.
    pub when: When,
    /// What it means.
    pub says: Says,
    /// Where the wording is known from: a public address.
    pub source: String,
}

impl Rule {
    fn new(id: &'static str, tools: &[Tool], when: When, trust: Trust) -> Self {
        let tools = if tools.is_empty() { Tools::All } else { Tools::Of(tools.to_vec()) };
        let says = Says {
            kind: None,
            scope: Scope::Is(Window::Unknown),
            reset: ResetIn::Nowhere,
            model: None,
            words: None,
            trust,
            reason: String::new(),
        };
        Self { id: id.into(), tools, when, says, source: String::new() }
    }

    /// About a record of a tool's own. No tools: of any.
    pub(super) fn record(id: &'static str, tools: &[Tool], members: &[(&str, &str)]) -> Self {
        let members = members.iter().map(|(path, wanted)| (Path::new(path), test(wanted))).collect();
        Self::new(id, tools, When::Record(members), Trust::Structured)
    }

    /// About a provider's answer.
    pub(super) fn answer(id: &'static str, asked: Asked) -> Self {
        Self::new(id, &[], When::Answer(asked), Trust::Structured)
    }

    /// About a sentence. No tools: of any.
    pub(super) fn sentence(id: &'static str, tools: &[Tool], pattern: &str) -> Self {
        Self::new(id, tools, When::Sentence(Pattern::of_ours(pattern)), Trust::Text)
    }

    /// About an exception whose words say nothing more.
    pub(super) fn exception(id: &'static str, exception: Exception) -> Self {
        Self::new(id, &[], When::Exception(exception), Trust::Text)
    }

    /// What it means, and why.
    pub(super) fn means(mut self, kind: FailureKind, reason: &str) -> Self {
        (self.says.kind, self.says.reason) = (Some(kind), reason.to_owned());
        self
    }

    /// It says nothing, and nobody else is asked.
    pub(super) fn means_nothing(mut self, reason: &str) -> Self {
        (self.says.kind, self.says.reason) = (None, reason.to_owned());
        self
    }

    pub(super) fn scope(mut self, scope: Scope) -> Self {
        self.says.scope = scope;
        self
    }

    pub(super) fn reset(mut self, reset: ResetIn) -> Self {
        self.says.reset = reset;
        self
    }

    /// Its words are asked first, and have the reset.
    pub(super) fn words(mut self, path: &str) -> Self {
        self.says.words = Some(Path::new(path));
        if self.says.reset == ResetIn::Nowhere {
            self.says.reset = ResetIn::Words;
        }
        self
    }

    pub(super) fn source(mut self, source: &str) -> Self {
        source.clone_into(&mut self.source);
        self
    }
}

/// The short form that built-in rules are written in: `a|b` is one of, `*` is there, `-` is not, `true` is a truth.
fn test(wanted: &str) -> Test {
    let value = |text: &str| match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => text.parse::<u64>().map_or_else(|_| Value::String(text.to_owned()), Value::from),
    };
    match wanted {
        "*" => Test::Present,
        "-" => Test::Absent,
        _ => Test::OneOf(wanted.split('|').map(value).collect()),
    }
}
