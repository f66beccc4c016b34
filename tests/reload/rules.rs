//! Rules of the user's: what a daemon recognises that has read them.

use serde_json::{Value, json};

use crate::setup::Setup;
use crate::site::Site;
use crate::{changed, holds, text};

const RULE: &str = r#"
[[rule]]
id = "acme.quota"
when = { json = { "acme" = "out" } }
kind = "overload"
note = "the gateway is busy"
"#;

async fn kind(site: &Site) -> Value {
    let evidence = json!({ "evidence": { "text": "{\"acme\":\"out\"}" } });
    site.report("one", &evidence).await.body["kind"].clone()
}

#[tokio::test]
async fn a_rule_holds_from_when_it_is_read_until_it_goes() {
    let setup = Setup::new(&["a"], &["one"]);
    let mut site = Site::new(setup.clone());
    site.start().await;
    site.serving("one").await;
    assert_eq!(kind(&site).await, "unknown");
    holds(&site, &(text(&site, &setup) + RULE)).await;
    assert_eq!(kind(&site).await, "overload");
    // It is there from the beginning as well.
    site.stop().await;
    site.start().await;
    site.serving("one").await;
    assert_eq!(kind(&site).await, "overload");
    changed(&site, &setup).await;
    assert_eq!(kind(&site).await, "unknown");
    assert_eq!(site.starts("one").len(), 2, "nobody is restarted for a rule");
}
