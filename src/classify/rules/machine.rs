//! Killed processes and lost connections: words of kernels, runtimes and network stacks. They never move an agent.

use crate::classify::rule::Rule;
use crate::domain::FailureKind as Kind;

const V8: &str = "https://nodejs.org/api/cli.html#--max-old-space-sizesize-in-mib";
const KERNEL: &str = "https://docs.kernel.org/admin-guide/mm/concepts.html#oom-killer";
const NODE: &str = "https://nodejs.org/api/errors.html#common-system-errors";

pub(super) fn rules() -> Vec<Rule> {
    let line = |id, source: &str, pattern: &str| Rule::sentence(id, &[], pattern).source(source);
    vec![
        line("machine.heap", V8, r".*(?:javascript heap out of memory|near heap limit|allocation failure; |v8::internal::heap).*")
            .means(Kind::Killed, "a runtime was out of memory"),
        line("machine.oom", KERNEL, r".*(?:invoked oom-killer|killed process \d+|out of memory: kill|cgroup oom kill).*")
            .means(Kind::Killed, "the kernel killed a process for want of memory"),
        line("machine.exit_137", KERNEL, r"(?:exited with (?:code|exit code) (?:137|143)|.*\bexited \((?:137|143)\).*|oomkilled:.*)")
            .means(Kind::Killed, "a process was killed"),
        line(
            "machine.network",
            NODE,
            r".{0,200}(?:econnreset|econnrefused|etimedout|enotfound|eai_again|ehostunreach|epipe\b|fetch failed|socket connection was closed|socket hang up|error sending request for url|unable to connect\b|connection error|request timed out|connectex:|dial tcp).*",
        )
        .means(Kind::Network, "a connection failed"),
        line("machine.stream", NODE, r"stream disconnected before completion(?:: )?(?:error sending request.*|transport error.*|stream closed.*|idle timeout.*)?")
            .means(Kind::Network, "a connection failed"),
    ]
}
