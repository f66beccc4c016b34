//! The month as a document: three policies side by side, and what each line means.

use std::fmt::Write as _;

use switchman::domain::FailureKind;

use crate::measures::Measures;
use crate::provider::{HOUR, Ms};
use crate::scenario::{AGENTS, AGENTS_MAX, DAYS, SUBSCRIPTIONS};

/// What one seed came to: ours, the skip-list, round-robin.
pub(crate) struct Month {
    pub(crate) seed: u64,
    pub(crate) of: [Measures; 3],
}

/// The policies, as they are called everywhere.
pub(crate) const NAMES: [&str; 3] = ["switchman", "skip-list", "round-robin"];

/// Requests that a subscription refuses.
pub(crate) fn refusals(of: &Measures) -> u64 {
    of.refusals(&[FailureKind::RateLimit, FailureKind::Banned])
}

/// Hours with one digit behind the point; whole numbers, so that every machine writes the same.
fn hours(time: Ms) -> String {
    let tenths = (time + HOUR / 20) / (HOUR / 10);
    format!("{}.{}", grouped(tenths / 10), tenths % 10)
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The document about these months; the first one is the one that is drawn.
pub(crate) fn document(months: &[Month]) -> String {
    let first = &months[0];
    let mut text = String::new();
    let days = DAYS;
    let _ = write!(
        text,
        "# A month, simulated\n\n\
         <!-- Written by `UPDATE_DOCS=1 cargo test --test month`; a test holds it against the code. -->\n\n\
         {AGENTS} agents work for {days} days on {} subscriptions. What runs here is the code that decides in production, the\n\
         state machine of each agent and the pool, in a world with a clock of its own. Two policies as they are usually\n\
         written live through the same month, for comparison. Everything follows from a seed (this table: {}); the numbers\n\
         are the same on every machine.\n\n",
        SUBSCRIPTIONS.len(),
        first.seed,
    );
    let _ = write!(text, "| | {} |\n|---|--:|--:|--:|\n", NAMES.join(" | "));
    for (name, value) in LINES {
        let values: Vec<String> = first.of.iter().map(value).collect();
        let _ = writeln!(text, "| {name} | {} |", values.join(" | "));
    }
    text.push_str("\n![Who ran on what, and when subscriptions were used up](month.svg)\n\n");
    text.push_str(
        "The plot shows ten of the agents. Colour is the subscription that an agent is on; a black mark below a row is time in\n\
         which it wanted to work and could not. The band under each panel shows when each subscription could serve\n\
         nobody: pale, it could; full colour, its window was used up or the account was banned. Grey columns are outages\n\
         of the provider. The bands differ, because who works more uses up more.\n\n",
    );
    text.push_str("## Other seeds\n\n");
    text.push_str("| seed | requests refused | | | hours lost that could have been avoided | | |\n|--:|--:|--:|--:|--:|--:|--:|\n");
    let _ = writeln!(text, "| | {} | {} |", NAMES.join(" | "), NAMES.join(" | "));
    for month in months {
        let refused: Vec<String> = month.of.iter().map(|of| grouped(refusals(of))).collect();
        let lost: Vec<String> = month.of.iter().map(|of| hours(of.avoidable())).collect();
        let _ = writeln!(text, "| {} | {} | {} |", month.seed, refused.join(" | "), lost.join(" | "));
    }
    text.push_str(
        "\nThe most expensive thing in these months is a weekly limit that is said to end in 18 days (seeds in which it was: ",
    );
    let beyond: Vec<String> =
        months.iter().filter(|month| month.of[0].beyond > 0).map(|month| month.seed.to_string()).collect();
    let beyond = if beyond.is_empty() { "none".to_owned() } else { beyond.join(", ") };
    let _ = write!(
        text,
        "{beyond}).\nswitchman believes it up to `cooldown_max`, a week and a half day, unless an agent that is still there has \
         success and says so. A\npolicy that believes nothing comes back sooner. In all other months it loses fewer hours than \
         both, and in every month it is refused less often.\n"
    );
    text.push_str(MEANING);
    let _ = write!(text, "{AGENTS_MAX}{MEANING_GOES_ON}");
    text
}

/// A line of the table: what it is called, and what it is of a policy.
type Line = (&'static str, fn(&Measures) -> String);

const LINES: &[Line] = &[
    ("agent-hours wanted", |of| hours(of.wanted)),
    ("agent-hours lost, in all", |of| hours(of.lost)),
    ("of these avoidable", |of| hours(of.avoidable())),
    ("– kept waiting", |of| hours(of.waiting)),
    ("– being restarted", |of| hours(of.restarting)),
    ("requests refused", |of| grouped(refusals(of))),
    ("switches", |of| grouped(of.switches)),
    ("restarts", |of| grouped(of.restarts)),
    ("moves of one agent in a day, median", |of| of.moves_a_day().0.to_string()),
    ("moves of one agent in a day, most", |of| of.moves_a_day().1.to_string()),
    ("moves to one that could not serve", |of| grouped(of.in_vain)),
    ("ping-pongs", |of| grouped(of.ping_pongs)),
    ("worst burst onto a fresh subscription", |of| of.burst.to_string()),
    ("most agents on one subscription", |of| of.agents_most.to_string()),
    ("longest cooldown over restored quota, hours", |of| hours(of.kept_out.0)),
    ("requests with a dead key", |of| grouped(of.refusals(&[FailureKind::Auth]))),
    ("requests into an outage, or a busy provider", |of| grouped(of.refusals(&[FailureKind::Overload]))),
];

const MEANING: &str = "
## What the lines mean

| line | meaning |
|---|---|
| agent-hours wanted | the time in which agents had something to do, summed over them |
| agent-hours lost | the part of it in which they did not work: refused, waiting, restarting, in an outage |
| avoidable | the part of that in which some subscription that the agent may use could have served it, and no dead key or outage stood in the way |
| – kept waiting | it ran on a subscription that refuses, or was told to wait |
| – being restarted | the stop, the start, and the minute in which a restarted agent finds its way back into what it was doing |
| requests refused | requests sent to a subscription whose window was used up or that was banned |
| switches, restarts | moves of agents to another subscription, and restarts for whatever reason |
| moves to one that could not serve | the target was used up or banned at that moment, as nobody had said, or as something wrong had been said |
| ping-pongs | of these, moves back to where the agent had come from |
| worst burst | the most agents that arrived within five minutes on one subscription of which one found it fresh: its window not open, or used to less than a twentieth |
| longest cooldown over restored quota | a limit was remembered for so long after the subscription could serve again: because the provider reopened it early, or had stated a wrong time |
| requests with a dead key | by agents whose own environment held one |

## The world

Seven accounts, three small ones and four large; one of these is a team with two seats, which are two subscriptions with one quota. Each
has a window of five hours that opens with its first use, and a weekly one. In one of ten the provider reopens a window early, and in
one of twelve up to forty minutes late. What it states about the end is right in seven of ten windows; else nothing is stated
(15 %), a time that lies far too late (156 hours, 18 days: 5 %), one that is too early or long past (6 %), or one an hour off (4 %).

Agents work by day, in the evening or through the night, with breaks, and less at weekends; one in five may use only half of the
subscriptions. A turn takes three to nine minutes. A failure is told once or several times within seconds: by a trusted dispatcher,
through the log, or by the agent itself, a third of the agents each. One agent in five asks again every quarter of an hour whatever it
was told. One request in a hundred finds the provider busy. Each answer says how far the windows are used up: trusted dispatchers pass on both
numbers, logs that of the short window.

Four outages of up to 100 minutes answer everything with 5xx. One account is banned in the second week, two within half an hour in the
fourth; an operator replaces each within a day or so, and lets switching go on an hour and a half after it was halted. Three agents get a dead key into their own environment, which an operator
finds within hours.

A restart takes 4 to 12 seconds, and a minute until the agent goes on. The *skip-list* policy leaves a subscription alone for two hours after any
failure that names it, for everybody, and picks the least assigned of the others. The *round-robin* policy goes to the next
subscription on every failure, whatever it was, and waits five minutes after it has tried all of them in vain. Both restart as switchman
does, and drop what is reported during a restart. They know neither generations nor accounts behind subscriptions, and believe no stated
reset.

For switchman the defaults hold, but `agents_max = ";

const MEANING_GOES_ON: &str = "`: agents that have nothing to do keep their place, so the default of 8 would leave too few places
while several subscriptions are used up.

## What must hold

In every month the test asserts of switchman: no agent goes back to what it was told to wait for; no agent makes more switches than its
budget; nobody who found no subscription waits longer than its jitter and half a minute once there is one; every cooldown has an
end; whoever is picked has the fewest agents, and none more than it may; and every agent that cannot work is being moved, has a wake-up time, or is
parked, paused or pinned. An agent with a dead key of its own blames no subscription once it is parked, and everything halts once
for the same bans.

## What is not in it

Turns with leases (agents ask by themselves), restarts of the daemon, restarts that fail, limits of one model, logins that are
renewed, and operators that pin, pause or switch.
";
