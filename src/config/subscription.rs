//! `[[subscription]]`: a paid account with one credential.

use std::collections::BTreeMap;
use std::ops::Range;

use super::path::{self, Expansion};
use super::problem::Findings;
use super::reader::{Field, Placed, Section};
use super::{command, keys, name, probe, secret};
use crate::domain::{
    CredentialRef, ProbePlan, Provider, QuotaIdentity, SubscriptionName, SubscriptionType, Utilisation, Window,
};
use crate::machine::policy::Terms;

/// A paid account with one credential.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Its name.
    pub name: SubscriptionName,
    /// Who sells it.
    pub provider: Provider,
    /// What sort of credential it has.
    pub kind: SubscriptionType,
    /// Where its credential is kept.
    pub credential: CredentialRef,
    /// At most so many agents at once.
    pub agents_max: u32,
    /// What the provider counts against.
    pub quota: QuotaIdentity,
    /// On what terms it is picked.
    pub terms: Terms,
    /// How its provider is asked about it; `None` if it is not.
    pub probe: Option<ProbePlan>,
    /// Where the credential stands in the config.
    pub(super) credential_at: Range<usize>,
}

/// What could be read of one, for the checks across sections.
pub(super) struct Draft {
    pub(super) name: Option<Placed<String>>,
    pub(super) provider: Option<String>,
    pub(super) subscription: Option<Subscription>,
    pub(super) terms_at: TermsAt,
}

/// Where keys of its terms stand, if they do.
#[derive(Debug, Default)]
pub(super) struct TermsAt {
    pub(super) priority: Option<Range<usize>>,
    pub(super) metered: Option<Range<usize>>,
    pub(super) models: Option<Range<usize>>,
}

/// Keys that stand for more than what is understood today: none.
pub(super) const LATER: &[&str] = &[];

impl Draft {
    /// What is known of one that is whole.
    pub(super) fn of(subscription: &Subscription) -> Self {
        let name = Placed { value: subscription.name.as_str().to_owned(), at: 0..0 };
        let provider = Some(subscription.provider.as_str().to_owned());
        Self { name: Some(name), provider, subscription: Some(subscription.clone()), terms_at: TermsAt::default() }
    }
}

/// Providers that a tool of this version has for its own.
pub(super) const PROVIDERS: &[&str] = &["anthropic", "openai", "google"];
const AGENTS_MAX: u32 = 8;
const PRIORITY: u32 = 1;
/// Refresh tokens are good once: of two agents on one login, one is soon without.
const LOGIN_AGENTS_MAX: u32 = 1;
const CREDENTIAL_EXAMPLE: &str = "{ file = \"/etc/switchman/credentials/NAME\" }, never the secret itself";

pub(super) fn read(mut section: Section<'_>, with: Expansion<'_>) -> Draft {
    let findings = section.findings();
    let name = name::read(&mut section, "name", "\"max-a\"");
    if let Field::Good(name) = &name {
        section.title = format!("[[subscription]] \"{}\"", name.value);
    }
    let provider = section.text("provider", "\"anthropic\"").and_then(|text| read_provider(&text, findings));
    if provider.is_absent() {
        section.missing("provider", "write provider = \"anthropic\", \"openai\", \"google\" or a name of your own");
    }
    let kind = section.word::<SubscriptionType>("type");
    let credential = section.section("credential", &[], CREDENTIAL_EXAMPLE, true);
    if credential.is_absent() {
        section.missing("credential", "add credential = { file = \"/etc/switchman/credentials/NAME\" }");
    }
    let credential = credential.and_then(|table| read_reference("credential", CREDENTIAL_EXAMPLE, table.value, with));
    let agents_max = section.number("agents_max", 1..=10_000);
    let quota = name::read(&mut section, "quota_identity", "\"org-1\"");
    let (terms, terms_at) = read_terms(&mut section);
    let probe = probe::read(&mut section);
    let title = section.title.clone();
    section.finish(true);

    let name = name.placed();
    let provider = provider.good();
    let kind = match kind {
        Field::Good(kind) => Some(kind.value),
        Field::Absent if provider.as_deref() == Some("anthropic") => Some(SubscriptionType::SetupToken),
        Field::Absent => Some(SubscriptionType::ApiKey),
        Field::Bad => None,
    };
    let credential = credential.placed();
    let agents_max = if kind == Some(SubscriptionType::Login) {
        if let Some(credential) = &credential {
            check_login(&title, credential, &agents_max, findings);
        }
        LOGIN_AGENTS_MAX
    } else {
        agents_max.unwrap_or(AGENTS_MAX)
    };
    let subscription = match (&name, &provider, kind, credential) {
        (Some(name), Some(provider), Some(kind), Some(credential)) => Some(Subscription {
            name: SubscriptionName::new(name.value.as_str()),
            provider: Provider::new(provider.as_str()),
            kind,
            credential: credential.value,
            agents_max,
            quota: QuotaIdentity::new(quota.unwrap_or(name.value.clone())),
            terms,
            probe: probe.and_then(|probe| probe.plan(&title, &name.value, provider, kind, findings)),
            credential_at: credential.at,
        }),
        _ => None,
    };
    Draft { name, provider, subscription, terms_at }
}

fn read_terms(section: &mut Section<'_>) -> (Terms, TermsAt) {
    let priority = section.number("priority", 0..=1_000);
    let is_metered = section.flag("metered");
    let is_reserve = section.flag("reserve");
    let ceilings = section.section("max_utilization", &[], "{ five_hour = 90, weekly = 95 }", false);
    let ceilings = ceilings.good().map(read_ceilings);
    let models = section.texts("models", "[\"opus\"]").and_then(|models| name::models(&models, section.findings()));
    let terms_at = TermsAt { priority: place(&priority), metered: place(&is_metered), models: place(&models) };
    let terms = Terms {
        priority: priority.unwrap_or(PRIORITY),
        is_metered: is_metered.unwrap_or(false),
        is_reserve: is_reserve.unwrap_or(false),
        ceilings: ceilings.unwrap_or_default(),
        models: models.unwrap_or(Vec::new()),
    };
    (terms, terms_at)
}

fn place<T>(field: &Field<T>) -> Option<Range<usize>> {
    match field {
        Field::Good(placed) => Some(placed.at.clone()),
        Field::Absent | Field::Bad => None,
    }
}

/// In percent of a window.
fn read_ceilings(mut section: Section<'_>) -> BTreeMap<Window, Utilisation> {
    let windows = [("five_hour", Window::FiveHour), ("weekly", Window::Weekly), ("model", Window::Model)];
    let read = windows.map(|(key, window)| (window, section.number(key, 1..=100).good()));
    section.finish(false);
    let ceiling = |(window, percent): (Window, Option<u32>)| {
        let percent = u16::try_from(percent?).ok()?;
        Some((window, Utilisation(percent.saturating_mul(10))))
    };
    read.into_iter().filter_map(ceiling).collect()
}

/// A login is rewritten by the one tool that uses it, so its newest version has to be put back where it is kept.
fn check_login(title: &str, credential: &Placed<CredentialRef>, agents_max: &Field<u32>, findings: &Findings) {
    if !matches!(credential.value, CredentialRef::File(_)) {
        let what = format!("{title} is a login, and its credential is no file");
        let hint = "write credential = { file = \"…\" }: what the tool renews is put back into it";
        findings.error(&credential.at, what, hint);
    }
    if let Field::Good(Placed { value, at }) = agents_max
        && *value > LOGIN_AGENTS_MAX
    {
        let what = format!("{title} is a login, which one agent at a time can use: `agents_max` is 1");
        findings.warning(at, what, "remove `agents_max`");
    }
}

fn read_provider(text: &Placed<String>, findings: &Findings) -> Option<String> {
    let provider = name::checked(text, "provider", findings)?;
    if !PROVIDERS.contains(&provider.as_str())
        && let Some(near) = keys::nearest(&provider, PROVIDERS)
    {
        let what = format!("provider \"{provider}\" is a name of your own, very close to \"{near}\"");
        findings.warning(&text.at, what, format!("did you mean \"{near}\"?"));
    }
    Some(provider)
}

/// Where a secret is; `called` is the key of the table.
pub(super) fn read_reference(
    called: &str,
    example: &str,
    mut section: Section<'_>,
    with: Expansion<'_>,
) -> Option<CredentialRef> {
    let findings = section.findings();
    let at = section.at.clone();
    let file = section.text("file", "\"/etc/switchman/credentials/NAME\"").and_then(|text| {
        let path = path::read_file(&text, &format!("{called}.file"), with, findings);
        if path.is_none() {
            findings.hide(&text.at);
        }
        path.map(CredentialRef::File)
    });
    let env = section.text("env", "\"NAME\"").and_then(|text| {
        let is_reference = name::is_variable(&text.value) && !secret::is_credential(&text.value);
        reference(
            is_reference,
            &text,
            &format!("{called}.env"),
            "name a variable: letters, digits, underscores",
            findings,
        )
        .map(CredentialRef::Env)
    });
    let systemd = section.text("systemd", "\"NAME\"").and_then(|text| {
        let is_reference = name::is_plain(&text.value) && !secret::is_credential(&text.value);
        reference(is_reference, &text, &format!("{called}.systemd"), "name a credential of LoadCredential=", findings)
            .map(CredentialRef::Systemd)
    });
    let command =
        command::read(&mut section, "command", &format!("{called}.command"), "[\"pass\", \"show\", \"max-a\"]")
            .and_then(|command| Some(CredentialRef::Command(command::argv(command))));
    section.finish(true);
    let mut forms = [file, env, systemd, command].into_iter().filter(|form| !form.is_absent());
    match (forms.next(), forms.next()) {
        (Some(form), None) => form.good(),
        (None, _) => {
            findings.error(&at, format!("`{called}` refers to nothing"), format!("write {called} = {example}"));
            None
        }
        (Some(_), Some(_)) => {
            findings.error(
                &at,
                format!("`{called}` has more than one reference"),
                "keep one of file, env, systemd, command",
            );
            None
        }
    }
}

/// A name that stands for a secret, or a complaint that does not repeat what may be the secret.
fn reference(is_reference: bool, text: &Placed<String>, key: &str, hint: &str, findings: &Findings) -> Option<String> {
    if is_reference {
        return Some(text.value.clone());
    }
    findings.hide(&text.at);
    findings.error(&text.at, format!("`{key}` is not a name"), format!("{hint}; never the secret itself"));
    None
}
