//! The rules that are built in, by tool: data, each with the public source of its wording.
//!
//! The order is the rule: the first that holds decides. Wordings change with every version of a tool, so a pattern is the
//! grammar of a sentence and not the sentence itself; what it must not be is the middle of somebody else's.
//!
//! | file | is about |
//! |---|---|
//! | `answers.rs` | what providers answer: status, headers, bodies; shared by all tools |
//! | `limits.rs` | sentences about a limit, the way every tool says them |
//! | `claude_code.rs`, `codex.rs`, `gemini_cli.rs`, `opencode.rs`, `aider.rs` | the records and sentences of one tool |
//! | `others.rs` | other agents, proxies and wrappers that stand in agents' logs |
//! | `machine.rs` | killed processes and lost connections: never a mover |

mod aider;
mod answers;
mod claude_code;
mod codex;
mod gemini_cli;
mod limits;
mod machine;
mod opencode;
mod others;

use super::rule::Rule;

/// All of them, in their order.
pub(super) fn built_in() -> Vec<Rule> {
    [
        others::foreign(),
        machine::rules(),
        answers::rules(),
        claude_code::rules(),
        codex::rules(),
        gemini_cli::rules(),
        opencode::rules(),
        aider::rules(),
        others::rules(),
        limits::rules(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What may follow a sentence that says it all: nothing, when it ends, or what to do about it. Anything else means that the
/// words were part of another sentence.
const TAIL: &str = concat!(
    r#"(?:\||[ .,:;!·∙•|\-–—(]*"#,
    r"(?:(?:your |the |this |its? |it )?(?:limits?|quota|usage|access|session limit|weekly limit)?,? ?(?:will |is |are )?(?:be )?(?:automatically )?(?:re-?sets?|reset|refresh(?:es|ed)?|renews?|available again)\b",
    r"|/[a-z]|https?:|or\b|try\b|please\b|upgrade\b|visit\b|to\b|switch|wait\b|send\b|add\b|purchase\b|buy\b|view\b|contact\b|ask\b|run\b|check\b|get\b|learn\b|use\b|turn\b|login\b|log in\b|sign in\b|you (?:can|will)\b|see\b|start\b|for (?:more|details|additional)\b|more\b|set\b|consider\b|retry|increase\b|manage\b|go to\b|enable\b|request\b|resets?\b|too many requests|stop and wait|what do you want",
    r"|your (?:[a-z]+ ){0,3}(?:quota|limit|usage)\b|access\b|\d{9,}|(?:in|at|until|after) \d|\(request id|for (?:this|the) billing|$).*)?"
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::rule::When;

    #[test]
    fn every_rule_has_a_public_source_and_a_pattern_that_can_be_made() {
        for rule in built_in() {
            assert!(rule.source.starts_with("https://"), "{}", rule.id);
            assert!(rule.says.kind.is_none() || !rule.says.reason.is_empty(), "{}", rule.id);
            if let When::Sentence(pattern) = &rule.when {
                assert!(pattern.is_sound(), "{}", rule.id);
            }
        }
    }
}
