//! What deliveries and credentials say about each other: whether a file of this format can carry them, and that no
//! credential is overwritten by another.
//!
//! Tests: `every_check_of_a_delivery_has_a_case` in `tests`.

use std::ops::Range;

use super::agent;
use super::delivery::{Delivery, FileDelivery};
use super::problem::Findings;
use super::reader::Placed;
use super::subscription::Subscription;
use crate::domain::credential::misfit;
use crate::domain::{CredentialRef, Format, SubscriptionType, Tool};

/// Complains about an agent whose delivery cannot carry what it may run on.
pub(super) fn check(draft: &agent::Draft, allowed: &[&Subscription], all: &[&Subscription], findings: &Findings) {
    let (Some(tool), Some(Placed { value: delivery, at })) = (draft.tool, &draft.delivery) else { return };
    // What stands in the defaults is said of each agent.
    let at = if at.start >= draft.at.start { at } else { &draft.at };
    match delivery {
        Delivery::Nothing => {}
        Delivery::Env(_) => {
            for login in allowed.iter().filter(|one| one.kind == SubscriptionType::Login) {
                let what = format!(
                    "{} may run on \"{}\", a login, which is a document that its tool rewrites",
                    draft.title, login.name
                );
                findings.error(at, what, "deliver it into a `file`, or leave it out of `subscriptions`");
            }
        }
        Delivery::File(file) => {
            formats(&draft.title, tool, file, at, allowed, findings);
            sources(&draft.title, file, at, all, findings);
        }
    }
}

fn formats(
    title: &str,
    tool: Tool,
    file: &FileDelivery,
    at: &Range<usize>,
    allowed: &[&Subscription],
    findings: &Findings,
) {
    if file.format == Format::ClaudeCredentials && !matches!(tool, Tool::ClaudeCode | Tool::Custom) {
        let what = format!("{title} runs {tool}, and format \"claude-credentials\" is read by Claude Code");
        findings.error(at, what, "write format = \"raw\" or \"dotenv\"");
        return;
    }
    for subscription in allowed {
        if let Some(why) = misfit(file.format, tool, subscription.provider.as_str(), subscription.kind) {
            let what = format!("{title} may run on \"{}\", but {why}", subscription.name);
            let hint = "choose another `format`, or leave the subscription out of `subscriptions`";
            findings.error(at, what, hint);
        }
        if subscription.kind == SubscriptionType::Login && file.mode & 0o200 == 0 {
            let what = format!(
                "{title} may run on \"{}\", a login, and `mode` keeps the tool from renewing it",
                subscription.name
            );
            findings.error(at, what, "write mode = \"0600\"");
        }
    }
}

/// A file that a credential is read from is overwritten by whatever is delivered into it.
fn sources(title: &str, file: &FileDelivery, at: &Range<usize>, all: &[&Subscription], findings: &Findings) {
    let is_source = |one: &&&Subscription| matches!(&one.credential, CredentialRef::File(path) if *path == file.path);
    if let Some(subscription) = all.iter().find(is_source) {
        let what = format!(
            "{title} is delivered to {}, where the credential of \"{}\" is kept",
            file.path.display(),
            subscription.name
        );
        findings.error(at, what, "deliver to a file of its own: a switch would overwrite the credential");
    }
}
