//! The configurations of nodes and routers, as text.

use super::layout::Layout;
use super::plan::{DomainPlan, NodePlan, Plan, RouterPlan, STATE_CACHE_BYTES, USERS_GROUPS};
use super::tokens::{AUDIENCE, CLIENTS, ISSUER};

fn tokens(layout: &Layout) -> String {
    let clients: Vec<String> =
        CLIENTS.iter().map(|(azp, service)| format!("{azp} = {service:?}")).collect();
    format!(
        "[tokens]\njwks = {:?}\nissuers = [{ISSUER:?}]\naudience = {AUDIENCE:?}\nclients = {{ {} }}\n",
        layout.jwks(),
        clients.join(", ")
    )
}

pub(super) fn node(layout: &Layout, plan: &Plan, domain: &DomainPlan, node: &NodePlan) -> String {
    let seeds: String = plan
        .nodes()
        .filter(|other| other.name != node.name)
        .map(|other| format!("[[seeds]]\nname = {:?}\npeers = \"{}\"\n", other.name, other.peers))
        .collect();
    format!(
        "data_dir = {data:?}\nkeys_dir = {keys:?}\ncluster_key = {cluster:?}\n\
         credentials_dir = {identity:?}\ntrust_dir = {trust:?}\npolicies_dir = {policies:?}\n\
         users_groups = {USERS_GROUPS}\nstate_cache_bytes = {STATE_CACHE_BYTES}\nedge = {edge:?}\n\n\
         [listen]\npeers = \"{peers}\"\nedge = \"{listen}\"\nadmin = \"{admin}\"\n\n{tokens}\n{seeds}",
        data = node.dir.join("data"),
        keys = layout.domain_keys(&node.domain),
        cluster = layout.cluster_key(),
        identity = node.dir.join("identity"),
        trust = layout.trust(),
        policies = layout.policies(),
        edge = domain.router.url(),
        peers = node.peers,
        listen = node.edge,
        admin = node.admin,
        tokens = tokens(layout),
    )
}

pub(super) fn router(layout: &Layout, plan: &Plan, router: &RouterPlan) -> String {
    // The nodes of its own domain first: they are the nearest.
    let (own, others): (Vec<_>, Vec<_>) = plan.nodes().partition(|n| n.domain == router.domain);
    let nodes: String = own
        .into_iter()
        .chain(others)
        .map(|node| {
            format!(
                "[[nodes]]\nname = {:?}\ndomain = {:?}\nregion = {:?}\naddress = \"{}\"\n",
                node.name, node.domain, node.region, node.edge
            )
        })
        .collect();
    let edges: String =
        plan.routers().map(|other| format!("{} = {:?}\n", other.domain, other.url())).collect();
    format!(
        "listen = \"{}\"\nadmin_listen = \"{}\"\nlocation = {:?}\nidentity = {:?}\ntrust = {:?}\n\n\
         {}\n[edges]\n{edges}\n{nodes}",
        router.listen,
        router.admin,
        router.location,
        router.dir.join("identity"),
        layout.trust(),
        tokens(layout),
    )
}
