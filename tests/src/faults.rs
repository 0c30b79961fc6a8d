//! What is done to processes and disks, and how it is made good again.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bailiwick::client::Client;

use crate::cluster::Cluster;
use crate::wait::eventually;

/// A node may take this long to come back, peers and disk willing.
const BACK: Duration = Duration::from_secs(120);

/// What a process can be sent.
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    /// Ends it without a chance to do anything.
    Kill,
    /// Halts it: it holds its ports and says nothing.
    Stop,
    /// Lets it go on.
    Continue,
}

fn send(pid: &str, signal: Signal) {
    let flag = match signal {
        Signal::Kill => "-KILL",
        Signal::Stop => "-STOP",
        Signal::Continue => "-CONT",
    };
    let line = format!("kill {flag} {pid}");
    Command::new("sh").args(["-c", &line]).stderr(Stdio::null()).status().unwrap();
}

/// The letter that the kernel has for what a process does; none when there is no such process.
fn state_of(pid: &str) -> Option<char> {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).ok()?;
    // The name, in brackets, may hold anything.
    stat.rsplit(')').next()?.trim_start().chars().next()
}

impl Cluster {
    fn pid(&self, node: &str) -> String {
        let text = fs::read_to_string(self.layout().node(node).join("pid")).unwrap();
        text.trim().to_owned()
    }

    /// Sends a signal to a node.
    ///
    /// # Panics
    /// When signals can't be sent at all.
    pub fn signal(&self, node: &str, signal: Signal) {
        send(&self.pid(node), signal);
    }

    /// Halts everything at one moment, where all runs in one process.
    ///
    /// # Panics
    /// When it does not halt.
    pub async fn freeze(&self) {
        let pid = self.whole();
        send(&pid, Signal::Stop);
        eventually("the cluster halts", BACK, || async {
            let state = state_of(&pid);
            if state == Some('T') { Ok(()) } else { Err(format!("{state:?}")) }
        })
        .await;
    }

    /// Ends everything at one moment, where all runs in one process, and waits until it is gone.
    pub async fn die(&self) {
        let pid = self.whole();
        send(&pid, Signal::Kill);
        eventually("the cluster is gone", BACK, || async {
            // Its keeper may not have waited for it yet, but its files are closed by then.
            let state = state_of(&pid);
            if matches!(state, None | Some('Z')) { Ok(()) } else { Err(format!("{state:?}")) }
        })
        .await;
    }

    fn whole(&self) -> String {
        fs::read_to_string(self.pid_file()).unwrap().trim().to_owned()
    }

    /// Whether a node's process is there. One that has ended but has not been waited for still counts: some
    /// of its threads may hold its ports.
    #[must_use]
    pub fn runs(&self, node: &str) -> bool {
        Path::new("/proc").join(self.pid(node)).exists()
    }

    /// Ends a node's process as the kernel's memory killer would, and waits until it is gone.
    pub async fn kill(&self, node: &str) {
        self.signal(node, Signal::Kill);
        eventually("a killed process is gone", BACK, || async {
            if self.runs(node) { Err(format!("{node} runs")) } else { Ok(()) }
        })
        .await;
    }

    /// Starts a node's process again.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn revive(&self, node: &str) {
        let dir = self.layout().node(node);
        let log = File::options().create(true).append(true).open(dir.join("log.txt")).unwrap();
        let mut command = Command::new(&self.binary);
        command.arg("node").arg("--config").arg(self.node_config(node)).arg("--with-parent");
        command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.process_group(0).spawn().unwrap();
        fs::write(dir.join("pid"), child.id().to_string()).unwrap();
        self.revived.lock().unwrap().push(child.stdin.take().unwrap());
        // Whoever ends is waited for, or it would seem to run.
        std::thread::spawn(move || child.wait());
    }

    /// Waits until a node says that it is ready; returns how long that took.
    pub async fn ready(&self, node: &str) -> Duration {
        let client = Client::new(&self.node_admin(node)).unwrap();
        let client = client.with_deadline(Duration::from_secs(2));
        let what = format!("{node} is ready");
        let look = || async {
            match client.send(http::Method::GET, "/readyz", bytes::Bytes::new()).await {
                Ok(raw) if raw.status.is_success() => Ok(()),
                Ok(raw) => Err(String::from_utf8_lossy(&raw.body).into_owned()),
                Err(error) => Err(error.to_string()),
            }
        };
        eventually(&what, BACK, look).await.1
    }

    /// Makes everything run and be ready, whatever was done before.
    pub async fn heal(&self) {
        for node in self.nodes() {
            self.signal(&node, Signal::Continue);
            if !self.runs(&node) {
                self.revive(&node);
            }
        }
        for node in self.nodes() {
            self.ready(&node).await;
        }
    }

    /// What a node has written of itself, for the words of a failure.
    #[must_use]
    pub fn last_words(&self, node: &str) -> String {
        let log = fs::read_to_string(self.layout().node(node).join("log.txt")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}
