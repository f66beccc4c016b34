//! The rules of a config as the classifier takes them.

use super::{Condition, Does, Find, Meaning, ResetFrom, Rule, Unit, Value, When};
use crate::classify::rule::{self, Asked, Path, ResetIn, Says, Scope, Test, Tools};
use crate::classify::{Classifier, RuleId};
use crate::config::Config;
use crate::domain::{Trust, Window};

impl Config {
    /// What is recognised: by the rules that are built in, and by those of the config.
    #[must_use]
    pub fn classifier(&self) -> Classifier {
        let silenced = |rule: &Rule| (rule.does == Does::Silence).then(|| RuleId::from(rule.id.clone()));
        let silenced: Vec<_> = self.rules.iter().filter_map(silenced).collect();
        let own = |rule: &Rule| match &rule.does {
            Does::Silence => None,
            Does::Find(find) => Some(recognised(rule, find)),
        };
        Classifier::with(self.rules.iter().filter_map(own).collect(), &silenced)
    }
}

fn recognised(rule: &Rule, Find { when, means }: &Find) -> rule::Rule {
    let when = match when {
        When::Json(conditions) => rule::When::Record(conditions.iter().map(member).collect()),
        When::Http { status, says } => rule::When::Answer(Asked {
            status: status.iter().map(|status| *status..=*status).collect(),
            says: says.as_ref().map(|says| says.made().clone()),
            ..Asked::default()
        }),
        When::Line(line) => rule::When::Sentence(line.made().clone()),
    };
    let Rule { id, tools, source, note, .. } = rule;
    rule::Rule {
        id: RuleId::from(id.clone()),
        tools: if tools.is_empty() { Tools::All } else { Tools::Of(tools.clone()) },
        when,
        says: says(means.as_ref(), note.as_deref()),
        source: source.clone().unwrap_or_default(),
    }
}

fn member(Condition { path, is }: &Condition) -> (Path, Test) {
    let test = match is {
        Value::Exactly(value) => Test::OneOf(vec![value.clone()]),
        Value::Matches(pattern) => Test::Matches(pattern.made().clone()),
    };
    (Path::new(&path.join(".")), test)
}

fn says(means: Option<&Meaning>, note: Option<&str>) -> Says {
    let reset = means.and_then(|means| means.reset.as_ref());
    Says {
        kind: means.map(|means| means.kind),
        scope: Scope::Is(means.map_or(Window::Unknown, |means| means.window)),
        reset: match reset {
            None => ResetIn::Nowhere,
            Some(ResetFrom::Json { path, unit: Unit::Epoch }) => ResetIn::At(Path::new(&path.join("."))),
            Some(ResetFrom::Json { path, unit: Unit::Seconds }) => ResetIn::After(Path::new(&path.join("."))),
            Some(ResetFrom::Group(group)) => ResetIn::Group(group.clone()),
            Some(ResetFrom::Headers) => ResetIn::Headers,
        },
        model: means.and_then(|means| means.model.clone()),
        words: None,
        trust: means.map_or(Trust::Text, |means| means.trust),
        reason: note.unwrap_or("a rule of the config says so").to_owned(),
    }
}
