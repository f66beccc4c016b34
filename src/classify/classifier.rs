//! The rules in force, and the two ways to ask them: about the evidence of one failure, and about one line of a log.
//!
//! ```text
//! line ─► prefilter ─► one JSON object? ──► records of the tool ──► error body of a provider ─┐
//!          no word:                  │      top-level members only     (its names decide)     ├─► what it says
//!          nothing                   └no──► peeled sentence ─────────► body inside, status ───┘
//! ```
//!
//! The first rule that holds decides. A record's own words are asked before its name: what the tool says of the answer is
//! nearer to the fact than what it calls it.

use serde_json::Value;

use super::context::Context;
use super::evidence::{Evidence, RuleId, Verdict};
use super::http::{self, Answer};
use super::peel::{Peeled, peel};
use super::prefilter::{self, Prefilter};
use super::rule::{Rule, When};
use super::ruling::ruling;
use super::said::{Said, Shape};
use super::{document, exit, readings, reset_time, rules, shape};
use crate::domain::{FailureKind, Trust, Window};

/// Of the lines of a text that may say something, so many are judged, the last ones: a text with more is not a report but a
/// log, and to judge a line takes a thousand times as long as to pass over it.
const TELLING_MAX: usize = 32;

/// Recognises failures: by the rules that are built in, and by those of the user.
#[derive(Debug)]
pub struct Classifier {
    records: Vec<Rule>,
    answers: Vec<Rule>,
    exceptions: Vec<Rule>,
    sentences: Vec<Rule>,
    /// The user's own about lines: they are held against the line as it stands, before anything else is.
    lines: Vec<Rule>,
    prefilter: Prefilter,
}

impl Default for Classifier {
    fn default() -> Self {
        Self::with(Vec::new(), &[])
    }
}

impl Classifier {
    /// The built-in rules, those of the user before them. One that has the name of a built-in one stands in its place;
    /// those named in `silenced` are left out.
    #[must_use]
    pub fn with(own: Vec<Rule>, silenced: &[RuleId]) -> Self {
        let prefilter = Prefilter::new(own.iter().map(needle));
        let lines = own.iter().filter(|rule| matches!(rule.when, When::Sentence(_))).cloned().collect();
        let mut rules: Vec<Rule> = rules::built_in();
        rules.retain(|rule| !silenced.contains(&rule.id));
        let mut first = Vec::new();
        for rule in own {
            // Several built-in rules may share a name, one for each form.
            match rules.iter().position(|built_in| built_in.id == rule.id) {
                Some(place) => {
                    rules.retain(|built_in| built_in.id != rule.id);
                    rules.insert(place.min(rules.len()), rule);
                }
                None => first.push(rule),
            }
        }
        first.extend(rules);
        let (records, rest): (Vec<_>, Vec<_>) =
            first.into_iter().partition(|rule| matches!(rule.when, When::Record(_)));
        let (answers, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|rule| matches!(rule.when, When::Answer(_)));
        let (exceptions, sentences) = rest.into_iter().partition(|rule| matches!(rule.when, When::Exception(_)));
        Self { records, answers, exceptions, sentences, lines, prefilter }
    }

    /// Every rule that is built in, in the order in which they are asked.
    #[must_use]
    pub fn built_in() -> Vec<Rule> {
        rules::built_in()
    }

    /// The words of which one stands in everything that a built-in rule can recognise, as they are looked for.
    #[must_use]
    pub fn needles() -> Vec<&'static str> {
        prefilter::NEEDLES.concat()
    }

    /// What the evidence of one failure says.
    #[must_use]
    pub fn evidence(&self, evidence: &Evidence, context: &Context) -> Verdict {
        if let Some(verdict) = exit::killed(evidence) {
            return verdict;
        }
        let answer = Answer::of(evidence);
        let answered = answer.is_there().then(|| self.judge(&answer, context)).flatten();
        if let Some(verdict) = answered.as_ref().filter(|verdict| !is_bare(verdict)) {
            return verdict.clone();
        }
        let text = evidence.text.as_deref().unwrap_or_default();
        let told = self.text(text, context);
        // A bare status is less than what the tool made of it, and more than words that anybody may have written.
        let is_better = |told: &Verdict| answered.is_none() || (told.kind != FailureKind::Unknown && !told.is_hearsay);
        let told = told.filter(is_better);
        if let Some(verdict) = told.or(answered) {
            return verdict;
        }
        Verdict::of(FailureKind::Unknown, "unknown", "nothing in the evidence is understood")
    }

    /// What one line of an agent's output says.
    #[must_use]
    pub fn line(&self, line: &[u8], context: &Context) -> Said {
        let line = line.trim_ascii();
        if self.prefilter.may_tell(line) { self.likely_line(line, context) } else { Said::default() }
    }

    /// The first line of a text of whole lines, from this place on, that may say anything at all; most of a log is passed
    /// over at the speed of memory.
    #[must_use]
    pub fn next_likely_line(&self, text: &[u8], from: usize) -> Option<std::ops::Range<usize>> {
        self.prefilter.next_line(text, from)
    }

    /// What a line says that may say something.
    #[must_use]
    pub fn likely_line(&self, line: &[u8], context: &Context) -> Said {
        let line = line.trim_ascii();
        if line.starts_with(b"{") && line.ends_with(b"}") {
            return document::read(line).map(|document| self.record(&document, context)).unwrap_or_default();
        }
        let text = String::from_utf8_lossy(line);
        if let Some(rule) = self.own_line(&text, context) {
            return Said { failure: by_line(rule, &text, context), ..Said::default() };
        }
        let failure = self.sentence(&text, context).filter(|verdict| verdict.kind != FailureKind::Unknown);
        let unclassified = failure.is_none().then(|| shape::of_a_limit(&text)).flatten();
        Said { failure, unclassified, ..Said::default() }
    }

    /// What a record of the tool's output says.
    fn record(&self, record: &Value, context: &Context) -> Said {
        let failure = self.of_record(record, context);
        let readings = readings::of_record(record, context);
        match failure {
            Some(verdict) if verdict.kind == FailureKind::Unknown => {
                let unclassified = shape_of_words(record);
                Said { failure: None, readings, unclassified }
            }
            failure => Said { failure, readings, unclassified: None },
        }
    }

    /// What the lines of a text say, of several the one that says most, the later one of equals.
    fn text(&self, text: &str, context: &Context) -> Option<Verdict> {
        let may_tell = |line: &&str| self.prefilter.may_tell_or_excuse(line.as_bytes());
        let lines = text.lines().map(str::trim).filter(may_tell);
        let mut last: Vec<&str> = lines.rev().take(TELLING_MAX).collect();
        last.reverse();
        let said = last.into_iter().filter_map(|line| {
            let whole = line.starts_with('{') && line.ends_with('}');
            match document::read(line.as_bytes()).filter(|_| whole) {
                Some(document) => self.of_record(&document, context),
                None => match self.own_line(line, context) {
                    Some(rule) => by_line(rule, line, context),
                    None => self.sentence(line, context),
                },
            }
        });
        let said: Vec<Verdict> = said.collect();
        // Whatever else it printed: a killed process is no sign of its subscription.
        let killed = said.iter().position(|verdict| verdict.kind == FailureKind::Killed && !verdict.is_hearsay);
        match killed {
            Some(killed) => said.into_iter().nth(killed),
            None => said.into_iter().max_by_key(|verdict| (weight(verdict), verdict.reset_at)),
        }
    }

    fn of_record(&self, record: &Value, context: &Context) -> Option<Verdict> {
        let is_about = |rule: &&Rule| rule.tools.include(context.tool) && rule.when.is_record(record);
        if let Some(rule) = self.records.iter().find(is_about) {
            let kind = rule.says.kind?;
            return Some(self.by_record(rule, kind, record, context));
        }
        // The body of an answer, as it is. Anybody may have printed it.
        if !is_error_body(record) {
            return None;
        }
        let answer = Answer::of_document(None, record);
        let told = self.words(answer.words(), true, context).filter(|told| told.kind != FailureKind::Unknown);
        let judged = self.judge(&answer, context);
        let verdict = judged.filter(|verdict| !is_bare(verdict)).or(told)?;
        Some(Verdict { trust: Trust::Text, ..verdict })
    }

    fn by_record(&self, rule: &Rule, kind: FailureKind, record: &Value, context: &Context) -> Verdict {
        let says = &rule.says;
        let words = says.words.as_ref().and_then(|path| path.of(record)).map(words_of).unwrap_or_default();
        let base = ruling(rule, kind, &words, None, Some(record), context);
        // A result may be the model's own prose: its words are a provider's only where the tool says that a call has failed.
        let is_result = record.get("type").and_then(Value::as_str) == Some("result");
        let is_of_a_call = !is_result || record.get("api_error_status").is_some_and(|status| !status.is_null());
        match self.words(&words, is_of_a_call, context) {
            Some(told) if told.kind != FailureKind::Unknown => {
                let Verdict { kind, window, model, reset_at, reason, .. } = told;
                let is_wider = base.window != Window::Unknown && window == Window::Unknown;
                let (window, model) = if is_wider { (base.window, base.model.clone()) } else { (window, model) };
                Verdict { kind, window, model, reset_at: base.reset_at.or(reset_at), reason, ..base }
            }
            _ => base,
        }
    }

    /// What words say that are known to be the tool's own.
    fn words(&self, words: &str, is_of_a_call: bool, context: &Context) -> Option<Verdict> {
        let lines = words.lines().map(str::trim).filter(|line| !line.is_empty()).take(8);
        lines
            .filter_map(|line| {
                let peeled = peel(line)?;
                let peeled = Peeled { is_api: peeled.is_api || is_of_a_call, ..peeled };
                self.peeled(&peeled, context)
            })
            .max_by_key(weight)
    }

    /// What a line of text says, as a line of its own.
    fn sentence(&self, line: &str, context: &Context) -> Option<Verdict> {
        let told = peel(line).and_then(|peeled| self.peeled(&peeled, context));
        let verdict = told.or_else(|| {
            let answer = http::fragment(line)?;
            let verdict = self.judge(&answer, context).filter(|verdict| !is_bare(verdict))?;
            Some(Verdict { is_hearsay: true, ..verdict })
        })?;
        // What a line says is never more than text, unless an operator's rule says so.
        let is_own = self.is_trusted(&verdict.rule);
        Some(Verdict { trust: if is_own { verdict.trust } else { Trust::Text }, ..verdict })
    }

    /// The user's rule about a line as it stands.
    fn own_line(&self, line: &str, context: &Context) -> Option<&Rule> {
        self.lines.iter().find(|rule| match &rule.when {
            When::Sentence(pattern) => rule.tools.include(context.tool) && pattern.is_match(line),
            When::Record(_) | When::Answer(_) | When::Exception(_) => false,
        })
    }

    fn is_trusted(&self, id: &RuleId) -> bool {
        self.sentences.iter().any(|rule| rule.id == *id && rule.says.trust == Trust::Structured)
    }

    fn peeled(&self, peeled: &Peeled<'_>, context: &Context) -> Option<Verdict> {
        let heard = |verdict: Verdict| Verdict { is_hearsay: peeled.is_hearsay, ..verdict };
        let mut bare = None;
        if let Some(verdict) = self.body_inside(peeled, context) {
            if !is_bare(&verdict) {
                return Some(heard(verdict));
            }
            bare = Some(verdict);
        }
        let by_sentence = |text: &str| {
            let matches = |rule: &&Rule| match &rule.when {
                When::Sentence(pattern) => rule.tools.include(context.tool) && pattern.is_match(text),
                When::Record(_) | When::Answer(_) | When::Exception(_) => false,
            };
            self.sentences.iter().find(matches)
        };
        if let Some(rule) = by_sentence(&peeled.sentence).or_else(|| by_sentence(&peeled.whole)) {
            let verdict = ruling(rule, rule.says.kind?, &peeled.whole, None, None, context);
            return Some(heard(verdict));
        }
        if peeled.is_api {
            let answer = Answer::new(peeled.status, &peeled.sentence);
            match self.judge(&answer, context) {
                Some(verdict) if !is_bare(&verdict) => return Some(heard(verdict)),
                judged => bare = bare.or(judged),
            }
        }
        let named = peeled.exception.and_then(|exception| {
            let is_so = |rule: &&Rule| matches!(rule.when, When::Exception(named) if named == exception);
            let rule = self.exceptions.iter().find(is_so)?;
            Some(ruling(rule, rule.says.kind?, &peeled.sentence, None, None, context))
        });
        named.or(bare).map(heard)
    }

    /// What the error body says that stands in a line.
    fn body_inside(&self, peeled: &Peeled<'_>, context: &Context) -> Option<Verdict> {
        let at = peeled.sentence.find('{')?;
        let is_announced = peeled.is_api || peeled.is_error;
        if !is_announced {
            return None;
        }
        let body = &peeled.sentence[at..];
        let (answer, rest) = match document::leading(body) {
            Some((document, rest)) => (Answer::of_document(peeled.status, &document), rest),
            None => (Answer::new(peeled.status, body), ""),
        };
        let verdict = self.judge(&answer, context)?;
        let reset_at = verdict.reset_at.or_else(|| Some(reset_time::in_words(rest, verdict.window, context)?.at));
        Some(Verdict { reset_at, ..verdict })
    }

    /// What an answer says, by the first rule that it agrees with.
    fn judge(&self, answer: &Answer, context: &Context) -> Option<Verdict> {
        let agrees = |rule: &&Rule| match &rule.when {
            When::Answer(asked) => rule.tools.include(context.tool) && answer.has(asked),
            When::Record(_) | When::Sentence(_) | When::Exception(_) => false,
        };
        let rule = self.answers.iter().find(agrees)?;
        Some(ruling(rule, rule.says.kind?, answer.words(), Some(answer), None, context))
    }
}

/// What a rule about lines makes of one; `None` if it is to mean nothing.
fn by_line(rule: &Rule, line: &str, context: &Context) -> Option<Verdict> {
    Some(ruling(rule, rule.says.kind?, line, None, None, context))
}

/// A word that stands in everything that a rule of the user's can be about; `None` if no word does.
fn needle(rule: &Rule) -> Option<&str> {
    match &rule.when {
        When::Record(members) => members.first().and_then(|(path, _)| path.last()),
        // Answers are never looked for in a log by themselves.
        When::Answer(_) | When::Exception(_) => Some("\u{0}switchman\u{0}"),
        When::Sentence(_) => None,
    }
}

/// Whether it rests on a status alone, so that anything more telling goes before it.
fn is_bare(verdict: &Verdict) -> bool {
    verdict.rule.as_str().starts_with("http.bare.")
}

/// How much a verdict says, among several about one failure.
fn weight(verdict: &Verdict) -> (bool, bool, bool, bool) {
    let is_known = verdict.kind != FailureKind::Unknown;
    (is_known && !verdict.is_hearsay, verdict.moves(), verdict.window != Window::Unknown, verdict.reset_at.is_some())
}

/// Members that errors of providers have at their top.
const OF_AN_ERROR: &[&str] =
    &["type", "error", "request_id", "requestId", "code", "message", "status", "param", "name", "data", "user_id"];

/// Whether an object is an error of a provider and nothing besides: an application's own log, or its answer to somebody else,
/// has members of its own.
fn is_error_body(document: &Value) -> bool {
    let Some(members) = document.as_object() else { return false };
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    if !members.keys().all(|name| OF_AN_ERROR.contains(&name.as_str())) {
        return false;
    }
    let has_error = members.get("error").is_some_and(Value::is_object);
    match text("type") {
        Some(kind) => (kind == "error" && has_error) || kind.ends_with("_error"),
        None => {
            has_error
                || (text("code").is_some() && text("message").is_some())
                || text("name").is_some_and(|name| name.ends_with("Error") && members.contains_key("data"))
        }
    }
}

/// The text of a member: a string, or the texts of a list of blocks.
fn words_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<_> = blocks.iter().filter_map(|block| block.get("text")?.as_str()).collect();
            texts.join("\n")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

/// What an error looks like that no rule understands.
fn shape_of_words(record: &Value) -> Option<Shape> {
    let paths = ["error.message", "result", "message.content", "payload.message", "error.data.message"];
    let words = paths.iter().find_map(|path| super::rule::Path::new(path).of(record)).map(words_of)?;
    shape::of_an_error(&words)
}
