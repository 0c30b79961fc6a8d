//! What is printed once the cluster answers.

use std::time::Duration;

use bailiwick_core::policy::AgeBand;

use super::error::DevError;
use super::layout::Layout;
use super::load::{Example, Loaded};
use super::plan::{Plan, RouterPlan};
use super::println;
use super::tokens::Tokens;

/// People for whom a whole command is shown.
const COMMANDS: usize = 3;

pub(super) fn banner(
    layout: &Layout,
    plan: &Plan,
    tokens: &Tokens,
    took: Duration,
) -> Result<(), DevError> {
    println(&format!("\nready after {:.1} s", took.as_secs_f64()));
    for router in plan.routers() {
        let (location, url) = (&router.location, router.url());
        println(&format!("  {location:<6} {url}   admin http://{}", router.admin));
    }
    let loaded = Loaded::read(layout).unwrap_or_default();
    if !loaded.data.is_empty() {
        println(&format!("\ndata: {} ({})", loaded.data, loaded.credit));
        loaded.made_up.iter().for_each(|text| println(&format!("  {text}")));
    }
    for (at, example) in loaded.examples.iter().enumerate() {
        show(plan, tokens, example, at < COMMANDS)?;
    }
    println(
        "\nmore tokens: bailiwick dev token --sub alice --home EU-DE; Ctrl-C stops the cluster",
    );
    Ok(())
}

fn show(plan: &Plan, tokens: &Tokens, example: &Example, command: bool) -> Result<(), DevError> {
    let age = example.age_band.parse::<AgeBand>().unwrap_or(AgeBand::Unknown);
    let token = tokens.person(&example.subject, &example.home, age)?;
    println(&format!("\n# {} ({})", example.who, example.home));
    match nearest(plan, example).filter(|_| command) {
        Some(router) => {
            let gpc = if example.home.as_str() == "US-CA" { " -H 'Sec-GPC: 1'" } else { "" };
            println(&format!(
                "curl -s {}/v1/recommendations{gpc} -H 'Authorization: Bearer {token}' -d '{{\"limit\": 5}}'",
                router.url()
            ));
        }
        None => println(&token),
    }
    Ok(())
}

/// The router whose location shares the most with the person's home.
fn nearest<'a>(plan: &'a Plan, example: &Example) -> Option<&'a RouterPlan> {
    let shares = |router: &&RouterPlan| {
        example.home.prefixes().any(|place| {
            router.location == place || router.location.starts_with(&format!("{place}-"))
        })
    };
    plan.routers().find(shares)
}
