//! Sentences about a limit, the way every tool says them.

use super::TAIL;
use crate::classify::rule::{ResetIn, Rule, Scope};
use crate::domain::FailureKind;

const CLAUDE: &str = "https://github.com/anthropics/claude-code/issues/8620";
const CODEX: &str = "https://github.com/openai/codex/issues/4068";
const GLM: &str = "https://github.com/router-for-me/CLIProxyAPI/issues/5915";

/// Up to five words that say which limit, where the sentence has begun already.
const WHICH: &str = r"(?:[\w.'+\-\[\]/]+ ){0,5}?";

/// The same where they begin it: only words that name a limit, or any line that ends in "limit reached" would do.
const NAMED: &str = concat!(
    r"(?:(?:(?:claude|anthropic|codex|chatgpt|openai|gemini|google|copilot|cursor|grok|kimi|glm|qwen|opencode)(?:'s)?(?: (?:ai|code|cli|pro|max|team))?",
    r"|opus|sonnet|haiku|fable|rate|usage|session|hourly|daily|weekly|monthly|annual|[57]-(?:hour|day)|five[\- ]hour|5h|7d|seven-day|plan|account|subscription|organi[sz]ation(?:'s)?|org(?:'s)?|workspace|team|model|message|messages|request|requests|premium|free|prompt|chat|all-models|key|oauth|current|total|overall|extra|individual|shared|[a-z]+-\d[\w.\-]*) ){0,5}?",
);

pub(super) fn rules() -> Vec<Rule> {
    let says = "the line says that a limit is reached";
    let limit = |rule: Rule| rule.means(FailureKind::RateLimit, says).scope(Scope::Words).reset(ResetIn::Words);
    vec![
        // A limit on money is not a window of a plan.
        Rule::sentence(
            "limit.spending",
            &[],
            &format!(
                r"(?:(?:you(?:'ve| have)?|your (?:workspace|organi[sz]ation|account|team|plan) has) (?:hit|reached|exceeded) (?:your |the |its )?{WHICH}(?:spend(?:ing)?|budget|credit)|(?:your |the )?{NAMED}spend(?:ing)?) (?:cap|limit|threshold)(?: of \$?[\d.,]+)?(?: (?:has been |is |was )?(?:reached|exceeded|hit))?(?: set .{{1,60}})?{TAIL}"
            ),
        )
        .means(FailureKind::Billing, "the line says that a spending limit is reached")
        .source("https://github.com/openai/codex/blob/main/codex-rs/protocol/src/error.rs"),
        limit(Rule::sentence(
            "limit.you_hit",
            &[],
            &format!(
                r"(?:sorry, )?you(?:'ve|'re| have| are)? (?:\([\w.\-]+\) )?(?:have )?(?:now |already |just )?(?:hit|reached|exceeded|used up|used all of|exhausted|run out of|out of) (?:your |the |a |all (?:of )?your )?{WHICH}(?:limits?|quota|extra usage|usage|allowance|requests|messages)(?: of requests with [\w. \-]{{1,40}}| of [\w ]{{1,30}}| for (?:this |the )?[\w.\- ]{{1,40}}| on [\w.\- ]{{1,40}}| with [\w.\- ]{{1,40}}| that restricts the number of .{{0,160}})?{TAIL}"
            ),
        ))
        .source(CLAUDE),
        limit(Rule::sentence(
            "limit.rate_limited",
            &[],
            &format!(
                r"(?:sorry, )?(?:you(?:'ve| have)(?: been)?|provider|request(?: rejected)?(?: \(429\))?|api|server)? ?[·:]? ?rate[\- ]limit(?:ed| (?:has been )?(?:exceeded|reached|hit)| (?:reached|exceeded) for [\w.\-]+.{{0,200}})(?: for [\w.\-]+.{{0,200}})?{TAIL}"
            ),
        ))
        .source("https://github.com/github/copilot-cli/issues/1130"),
        limit(Rule::sentence(
            "limit.reached",
            &[],
            &format!(
                r"(?:the |your |this )?{NAMED}(?:quota limit|limit|quota|allowance)s? (?:has been |have been |is |was |for [\w.\- ]{{1,40}} )?(?:reached|exceeded|exhausted|hit|used up|depleted)(?: (?:for|on|with) (?:the |this |all )?(?:opus|sonnet|pro|flash|haiku|model|gemini|gpt|claude|codex|o\d|\d+[ \-]?(?:hours?|days?|h|d)\b)[\w.\-]*(?: [\w.\-]+)?)?{TAIL}"
            ),
        ))
        .source(CLAUDE),
        limit(Rule::sentence(
            "limit.reset_told",
            &[],
            r"(?:your|the) (?:[\w\-]+ ){0,3}?(?:limit|quota)s? (?:is|will be|will|gets|has been) (?:automatically )?re-?sets?\b.{0,20}\b(?:on|at|in)\b.*\d.*",
        ))
        .source(CODEX),
        limit(Rule::sentence(
            "limit.agent_reached",
            &[],
            &format!(r"(?:the|your) (?:agent|model|account|assistant|subscription|workspace|organi[sz]ation|team|plan) has (?:hit|reached|exceeded) (?:its|the|your) {WHICH}(?:limit|quota)(?: and can't respond right now)?{TAIL}"),
        ))
        .source("https://github.com/Abilityai/trinity/issues/792"),
        // Written out in other languages by apps that are localised.
        limit(Rule::sentence(
            "limit.localised",
            &[],
            r"(?:voc[eê] (?:atingiu|excedeu)|(?:has|ha) (?:alcanzado|superado)|alcanzaste|vous avez (?:atteint|d[eé]pass[eé])|(?:sie haben|du hast) .{0,40}(?:erreicht|[uü]berschritten|ausgesch[oö]pft)|hai (?:raggiunto|superato)|您?已(?:达到|達到|用完|超过)|已达到|達到)(?:.{0,60})(?:limite|l[ií]mite|limit|上限|额度|限额|使用量|erreicht|ausgesch).*",
        ))
        .source(GLM),
        limit(Rule::sentence(
            "limit.localised_ja",
            &[],
            r".{0,30}(?:使用制限|利用制限|使用量の上限|利用上限)(?:に達し|を超え).*",
        ))
        .source(GLM),
    ]
}
