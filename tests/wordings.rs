//! Wordings that no row of the corpus has, composed by us from the grammar of the tools: what is known must not be only the
//! lines that were seen.

use std::sync::LazyLock;

use switchman::classify::{Classifier, Context, Verdict};
use switchman::domain::{FailureKind as Kind, Wall, Window};

static BUILT_IN: LazyLock<Classifier> = LazyLock::new(Classifier::default);

/// 2026-11-20 12:00:00 UTC.
const NOW: Wall = Wall(1_795_176_000_000);

fn said(line: &str) -> Option<Verdict> {
    BUILT_IN.line(line.as_bytes(), &Context::new(None, NOW)).failure
}

#[test]
fn limits_in_other_words_are_limits() {
    let lines = [
        ("You've reached your usage limit. Your limit will reset at 3pm.", Window::Unknown),
        ("You've hit your Sonnet limit · resets Nov 24, 9am (Europe/Rome)", Window::Model),
        ("Weekly limit reached ∙ resets Nov 27 at 3am", Window::Weekly),
        ("Claude Max usage limit reached. Your limit will reset at 1am (Asia/Tokyo).", Window::Unknown),
        ("\u{1b}[31m⎿  5-hour limit reached ∙ resets 2pm\u{1b}[0m", Window::FiveHour),
        (
            "You've hit your usage limit for GPT-5.3-Codex. Switch to another model now, or try again at 3:04 PM.",
            Window::Model,
        ),
        (
            "■ You’ve hit your usage limit. Visit https://chatgpt.com/codex/settings/usage to purchase more credits or try again at Nov 24th, 2026 8:10 AM.",
            Window::Unknown,
        ),
        (
            "You've reached your 5-hour message limit. Upgrade to Pro or try again in 3 hours 2 minutes.",
            Window::FiveHour,
        ),
        (
            "unexpected status 429 Too Many Requests: {\"error\":{\"type\":\"usage_limit_reached\",\"resets_in_seconds\":3600}}",
            Window::Unknown,
        ),
        (
            "stream disconnected before completion: Rate limit reached for gpt-5 in organization org-x on tokens per min (TPM): Limit 30000, Used 29000. Please try again in 6.6s.",
            Window::Requests,
        ),
        ("✕ [API Error: Resource has been exhausted (e.g. check quota).]", Window::Unknown),
        ("TerminalQuotaError: You have exhausted your daily quota on this model.", Window::Model),
        (
            "Quota exceeded for quota metric 'Gemini 2.5 Pro Requests' and limit 'Requests per day per user'.",
            Window::Model,
        ),
        ("Usage limit reached for gemini-2.5-pro. Access resets at 3:00 PM PST.", Window::Model),
        (
            "AI_APICallError: Usage limit reached for 5 hour. Your limit will reset at 2026-11-20 15:27:05",
            Window::FiveHour,
        ),
        ("AI_APICallError: The usage limit has been reached", Window::Unknown),
        (
            "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
            Window::Unknown,
        ),
        (
            "Error running remote compact task: You've hit your usage limit. Upgrade to Pro or try again at 3:04 PM.",
            Window::Unknown,
        ),
        ("Your workspace has hit its usage limit. Ask your admin.", Window::Unknown),
        ("Quota limit reached for model gemini-3-pro", Window::Model),
        ("Resource exhausted. Please try again later.", Window::Unknown),
        (
            "[API Error: {\"error\":{\"code\":429,\"message\":\"You exceeded your current quota, please check your plan and billing details.\",\"status\":\"RESOURCE_EXHAUSTED\"}}]",
            Window::Unknown,
        ),
        ("anthropic.RateLimitError: Error code: 429", Window::Unknown),
        ("You've used all of your included usage · resets 3pm", Window::Unknown),
        ("Qwen OAuth quota exceeded: Your free daily quota has been reached.", Window::Unknown),
        ("You have exceeded your premium request allowance. Please wait until it resets.", Window::Unknown),
        ("The API provider has rate limited you. Try again later or check your quotas.", Window::Unknown),
        (
            "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":429,\"result\":\"You've hit your weekly limit · resets 4pm (UTC)\"}",
            Window::Weekly,
        ),
        (
            "{\"type\":\"event_msg\",\"payload\":{\"type\":\"error\",\"message\":\"You've hit your usage limit. Try again later.\",\"codex_error_info\":\"usage_limit_exceeded\"}}",
            Window::Unknown,
        ),
        (
            "{\"type\":\"error\",\"error\":{\"name\":\"APIError\",\"data\":{\"message\":\"Your weekly limit has been reached\",\"statusCode\":429}}}",
            Window::Weekly,
        ),
    ];
    for (line, window) in lines {
        let verdict = said(line).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(
            (verdict.kind, verdict.window, verdict.moves()),
            (Kind::RateLimit, window, true),
            "{line}: {verdict:?}"
        );
    }
}

#[test]
fn refused_logins_and_empty_accounts_are_known_in_other_words() {
    let lines = [
        ("Invalid API key · Please run /login", Kind::Auth),
        ("Invalid API key · Fix external API key", Kind::Auth),
        (
            "Please run /login · API Error: 401 {\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"OAuth token has expired.\"}}",
            Kind::Auth,
        ),
        (
            "Failed to authenticate. API Error: 401 {\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"x\"}}",
            Kind::Auth,
        ),
        (
            "API Error: 401 OAuth token has expired. Please obtain a new token or refresh your existing token.",
            Kind::Auth,
        ),
        (
            "unexpected status 401 Unauthorized: Missing bearer or basic authentication in header, url: https://api.openai.com/v1/responses",
            Kind::Auth,
        ),
        (
            "ERROR: Your access token could not be refreshed because your refresh token was already used. Please log out and sign in again.",
            Kind::Auth,
        ),
        ("Your authentication token has been invalidated. Please try signing in again.", Kind::Auth),
        ("Provided authentication token is expired. Please try signing in again.", Kind::Auth),
        (
            "litellm.AuthenticationError: AnthropicException - {\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"invalid x-api-key\"}}",
            Kind::Auth,
        ),
        ("AI_LoadAPIKeyError: Anthropic API key is missing. Pass it using the 'apiKey' parameter.", Kind::Auth),
        ("✕ [API Error: API key expired. Please renew the API key.]", Kind::Auth),
        (
            "{\"type\":\"assistant\",\"error\":\"authentication_failed\",\"message\":{\"model\":\"<synthetic>\",\"content\":[{\"type\":\"text\",\"text\":\"Please run /login\"}]}}",
            Kind::Auth,
        ),
        (
            "Your organization does not have access to Claude. Please login again or contact your administrator.",
            Kind::Banned,
        ),
        (
            "API Error: 403 {\"type\":\"error\",\"error\":{\"type\":\"permission_error\",\"message\":\"This organization has been disabled.\"}}",
            Kind::Banned,
        ),
        (
            "litellm.BadRequestError: AnthropicException - {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Your credit balance is too low to access the Anthropic API.\"}}",
            Kind::Billing,
        ),
        (
            "litellm.RateLimitError: OpenAIException - Error code: 429 - {'error': {'message': 'You exceeded your current quota', 'type': 'insufficient_quota'}}",
            Kind::Billing,
        ),
        ("Your workspace is out of credits. Add credits to continue.", Kind::Billing),
        ("You've reached your monthly spend limit", Kind::Billing),
        ("Spending cap reached · resets Dec 1", Kind::Billing),
        ("API Error: 401 Invalid bearer token", Kind::Auth),
        ("API Error: 401 invalid x-api-key", Kind::Auth),
        ("API Error: 401", Kind::Auth),
        ("Missing API key · Run /login", Kind::Auth),
        ("Please set an Auth method in your /home/u/.gemini/settings.json or specify GEMINI_API_KEY", Kind::Auth),
        ("Failed to login. Message: the request was refused", Kind::Auth),
        ("The API provider is not able to authenticate you. Check your API key.", Kind::Auth),
        ("Your ChatGPT session has expired. Please sign in again.", Kind::Auth),
        ("Not logged in · Please run /login", Kind::Auth),
        ("Your account has been disabled after an automatic review of your recent activities.", Kind::Banned),
        ("API Error: 403 Your account has been disabled.", Kind::Banned),
        ("Your organization has been disabled. Please contact support.", Kind::Banned),
        (
            "[API Error: This service has been disabled in this account for violation of Terms of Service.]",
            Kind::Banned,
        ),
        ("API Error: 402 Payment Required", Kind::Billing),
        ("Free usage exceeded, add credits", Kind::Billing),
        ("No payment method. Add a payment method here: https://opencode.ai/billing", Kind::Billing),
        (
            "Error: Your workspace has reached its monthly spending limit of $20. Manage your limits here.",
            Kind::Billing,
        ),
        (
            "429 {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"Extra usage is required for long context requests.\"}}",
            Kind::Entitlement,
        ),
        ("Key limit exceeded (monthly limit). Manage it using https://openrouter.ai/settings/keys", Kind::Billing),
        ("API Error: Extra usage is required for 1M context · run /extra-usage to enable", Kind::Entitlement),
    ];
    let is_so = |verdict: &Verdict, kind| (verdict.kind, verdict.moves()) == (kind, true);
    let wrong = lines.iter().filter(|(line, kind)| !said(line).is_some_and(|verdict| is_so(&verdict, *kind)));
    let wrong: Vec<String> = wrong.map(|(line, kind)| format!("{kind} {line}: {:?}", said(line))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn warnings_other_services_and_talk_move_nobody() {
    let lines = [
        "Approaching usage limit · resets at 7pm",
        "Approaching Opus usage limit",
        "You've used 85% of your weekly limit · resets Nov 24",
        "You're now using extra usage",
        "Now using extra usage · your weekly limit resets Nov 24",
        "Rate limits refreshed: 5h 12% used, weekly 40% used, resets 3pm",
        "API rate limit exceeded for user ID 1234567. If you reach out for help, please include the request ID.",
        "gh: API rate limit exceeded for installation (HTTP 403)",
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
        "Error response from daemon: toomanyrequests: You have reached your pull rate limit.",
        "npm error code E429",
        "Too Many Requests",
        "429 Too Many Requests",
        "401 Unauthorized",
        "HTTP/1.1 401 Unauthorized",
        "curl: (22) The requested URL returned error: 401",
        "error: 401 Unauthorized from https://registry.example.org/",
        "remote: Invalid username or password. fatal: Authentication failed for 'https://example.org/x.git/'",
        "fatal: Authentication failed for 'https://example.org/x.git/'",
        "psql: error: FATAL: password authentication failed for user \"app\"",
        "Permission denied (publickey).",
        "Error: connect ECONNREFUSED 127.0.0.1:5432",
        "ulimit: open files: cannot modify limit: Operation not permitted",
        "memory limit reached, restarting worker",
        "Disk quota exceeded",
        "rsync: write failed: Disk quota exceeded (122)",
        "The retry limit has been reached for job 17",
        "I hit the usage limit yesterday, so this log stops there",
        "You've hit the nail on the head: the limit is in the loop",
        "Your limit of 100 rows is exceeded in the test below",
        "  File \"limits.py\", line 3, in test_rate_limit_exceeded",
        "test rate_limit_exceeded ... ok",
        "FAILED tests/test_limits.py::test_quota_exceeded - assert 1 == 2",
        "{\"message\":\"Missing token\",\"error\":\"Unauthorized\",\"statusCode\":401}",
        "{\"name\":\"UnauthorizedError\",\"status\":401,\"message\":\"No authorization token was found\"}",
        "{\"level\":\"error\",\"error\":\"rate limit exceeded for tenant 7\",\"msg\":\"x\"}",
        "{\"time\":1,\"error\":{\"type\":\"AuthError\",\"message\":\"invalid api key for tenant\"},\"msg\":\"x\"}",
        "{\"type\":\"result\",\"subtype\":\"error_max_turns\",\"is_error\":true,\"result\":\"Tests fail: the fixture expects 'invalid api key'\"}",
        "redis.exceptions.AuthenticationError: Client sent AUTH, but no password is set",
        "stripe.error.AuthenticationError: No API key provided.",
        "stripe.error.RateLimitError: Too many requests",
        "docker.errors.APIError: 401 Client Error: Unauthorized",
        "gitlab.exceptions.GitlabHttpError: 401: 401 Unauthorized",
        "smtplib.SMTPAuthenticationError: (535, b'5.7.8 Username and Password not accepted')",
        "Error from server (Unauthorized): the token has expired",
        "Error: Insufficient funds",
        "ValueError: Insufficient funds",
        "Error: Credit limit exceeded",
        "Budget limit exceeded",
        "Missing Stripe API key, payments are off",
        "Google Maps API key is missing",
        "Session expired",
        "Error: Not logged in. Run 'wrangler login'",
        "You've exceeded the maximum upload size limit",
        "You've hit the max file size limit. Use a smaller file.",
        "You have exceeded your disk quota.",
        "You are over the character limit.",
        "You have hit your head limit, to be honest",
        "You are at 80 percent of your weekly limit",
        "You have reached your storage limit.",
        "Token limit exceeded",
        "Free tier limit reached. Upgrade to add more projects.",
        "User limit reached",
        "API Error: Request rejected (429) · this may be a temporary capacity issue",
        "⚡ Automatically switching from gemini-2.5-pro to gemini-2.5-flash for faster responses for the remainder of this session.",
        "API Error (529 {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}) · Retrying in 4 seconds… (attempt 3/10)",
        "{\"type\":\"system\",\"subtype\":\"api_retry\",\"attempt\":1,\"error_status\":429,\"error\":\"rate_limit\"}",
        "{\"type\":\"error\",\"message\":\"Reconnecting... 1/5\"}",
        "{\"type\":\"rate_limit_event\",\"rate_limit_info\":{\"status\":\"allowed_warning\",\"resetsAt\":1795180000,\"rateLimitType\":\"seven_day\"}}",
    ];
    let moved: Vec<String> = lines
        .iter()
        .filter_map(|line| said(line).filter(Verdict::moves).map(|verdict| format!("{} {line}", verdict.rule)))
        .collect();
    assert_eq!(moved, Vec::<String>::new());
}
