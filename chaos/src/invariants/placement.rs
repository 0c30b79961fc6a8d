//! Pinned stays home: no member of a users group outside its domain, no record of one on a foreign disk.
//!
//! The mark that is looked for must first be found at home, or the check is void.

use std::fs;
use std::path::Path;

use bailiwick_tests::cluster::Cluster;

/// Records of the log name their group.
const MARK: &[u8] = b"users-eu-";

/// Who is where they may not be.
pub async fn check(cluster: &Cluster) -> Vec<String> {
    let mut found = match cluster.status("eu").await {
        Ok(status) => status.placement_violations,
        Err(_) => Vec::new(),
    };
    let holds = |node: &String| holds(&cluster.layout().node(node).join("data").join("log"));
    if !cluster.nodes_of("eu").iter().any(holds) {
        found.push("void: the mark of the users groups is not even found at home".into());
    }
    let abroad = cluster.nodes().into_iter().filter(|node| !node.starts_with("eu-"));
    found.extend(abroad.filter(holds).map(|node| format!("{node} has records of users-eu")));
    found
}

fn holds(folder: &Path) -> bool {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.map(|entry| entry.path()).any(|path| {
        fs::read(path).is_ok_and(|bytes| bytes.windows(MARK.len()).any(|found| found == MARK))
    })
}
