//! What is done to processes and disks, and how it is made good again.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bailiwick::client::Client;
use bailiwick::dev::Place;
use bailiwick_core::ids::ClusterName;
use bailiwick_net::pki::{self, Life};
use bailiwick_net::{Identity, Role};

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
    /// Asks it to end in order.
    Terminate,
}

fn send(pid: &str, signal: Signal) {
    let flag = match signal {
        Signal::Kill => "-KILL",
        Signal::Stop => "-STOP",
        Signal::Continue => "-CONT",
        Signal::Terminate => "-TERM",
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

/// A disk of a node that can be full or read-only.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Leaves no byte free.
    ///
    /// # Panics
    /// When the disk fails in another way than by being full.
    pub fn fill(&self) {
        let mut file = File::create(self.path.join("filler")).unwrap();
        let page = vec![1; 4096];
        while let Ok(written) = file.write(&page) {
            assert!(written > 0);
        }
    }

    /// Makes room again.
    ///
    /// # Panics
    /// When the disk was not filled.
    pub fn clear(&self) {
        fs::remove_file(self.path.join("filler")).unwrap();
    }

    /// From here on nothing can be written, or it can again. Nobody may have a file of it open.
    ///
    /// # Panics
    /// When the system refuses.
    pub async fn set_read_only(&self, read_only: bool) {
        let how = if read_only { "remount,ro" } else { "remount,rw" };
        // The kernel lets go of a killed process's files a little after the process is gone.
        eventually("the disk is mounted anew", BACK, || async {
            let done = system("mount", &["-o".as_ref(), how.as_ref(), self.path.as_os_str()]);
            if done { Ok(()) } else { Err(how.to_owned()) }
        })
        .await;
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        system("umount", &["-l".as_ref(), self.path.as_os_str()]);
    }
}

fn system(program: &str, arguments: &[&OsStr]) -> bool {
    Command::new(program).args(arguments).status().is_ok_and(|status| status.success())
}

impl Cluster {
    /// Ends a node and moves its data to a small disk of its own; none where this process may not mount.
    ///
    /// # Panics
    /// When files can't be copied.
    pub async fn to_small_disk(&self, node: &str) -> Option<SmallDisk> {
        self.kill(node).await;
        let path = self.layout().node(node).join("data");
        let aside = path.with_extension("aside");
        fs::rename(&path, &aside).unwrap();
        fs::create_dir(&path).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=64m,mode=700", "tmpfs"].map(OsStr::new);
        let mounted = system("mount", &[options.as_slice(), &[path.as_os_str()]].concat());
        if mounted {
            let all = aside.join(".");
            assert!(system("cp", &["-a".as_ref(), all.as_os_str(), path.as_os_str()]));
            fs::remove_dir_all(&aside).unwrap();
        } else {
            fs::remove_dir(&path).unwrap();
            fs::rename(&aside, &path).unwrap();
        }
        self.revive(node);
        self.ready(node).await;
        mounted.then_some(SmallDisk { path })
    }

    /// Ends a node and moves its data back from its small disk.
    ///
    /// # Panics
    /// When files can't be copied.
    pub async fn from_small_disk(&self, node: &str, disk: SmallDisk) {
        self.kill(node).await;
        let (path, aside) = (disk.path.clone(), disk.path.with_extension("aside"));
        assert!(system("cp", &["-a".as_ref(), path.as_os_str(), aside.as_os_str()]));
        drop(disk);
        fs::remove_dir(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
        self.revive(node);
        self.ready(node).await;
    }

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
        self.ends(node, Signal::Kill).await;
    }

    /// Asks a node's process to end in order, and waits until it is gone.
    pub async fn stop(&self, node: &str) {
        self.ends(node, Signal::Terminate).await;
    }

    async fn ends(&self, node: &str, signal: Signal) {
        self.signal(node, signal);
        eventually("a process is gone", BACK, || async {
            if self.runs(node) { Err(format!("{node} runs")) } else { Ok(()) }
        })
        .await;
    }

    /// Gives a node a new key and certificate, which it reads when it starts.
    ///
    /// # Panics
    /// When it can't be issued.
    pub fn renew_certificate(&self, node: &str) {
        let (region, _) = node.rsplit_once('-').unwrap();
        let (domain, _) = region.split_once('-').unwrap();
        let own = self.layout().node(node).join("identity");
        let (fresh, old) = (own.with_extension("new"), own.with_extension("old"));
        let identity = Identity {
            cluster: self.cluster_name(),
            domain: domain.parse().unwrap(),
            region: region.parse().unwrap(),
            role: Role::Node,
            name: node.parse().unwrap(),
        };
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        pki::issue(&self.layout().pki(), &identity, &names, &fresh, Life::default()).unwrap();
        fs::rename(&own, &old).unwrap();
        fs::rename(&fresh, &own).unwrap();
        fs::remove_dir_all(&old).unwrap();
    }

    fn cluster_name(&self) -> ClusterName {
        let trust = fs::read_to_string(self.layout().trust().join("trust.toml")).unwrap();
        let trust: toml::Table = trust.parse().unwrap();
        trust["cluster"].as_str().unwrap().parse().unwrap()
    }

    /// Starts a node's process again.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn revive(&self, node: &str) {
        self.revive_with(node, &[]);
    }

    /// Starts a node's process again with a wall clock that is `seconds` ahead.
    ///
    /// # Panics
    /// When there is no C compiler, or the node can't be started.
    pub fn revive_ahead(&self, node: &str, seconds: i64) {
        let (source, library) =
            (self.state().with_extension("clock.c"), self.state().with_extension("clock.so"));
        fs::write(&source, include_str!("clock.c")).unwrap();
        let arguments = ["-shared", "-fPIC", "-O1", "-o"].map(OsStr::new);
        let files = [library.as_os_str(), source.as_os_str()];
        assert!(system("cc", &[arguments.as_slice(), &files].concat()));
        let ahead = seconds.to_string();
        let library = library.display().to_string();
        self.revive_with(node, &[("LD_PRELOAD", &library), ("CLOCK_OFF_S", &ahead)]);
    }

    fn revive_with(&self, node: &str, variables: &[(&str, &str)]) {
        let dir = self.layout().node(node);
        let log = File::options().create(true).append(true).open(dir.join("log.txt")).unwrap();
        let domain = node.split('-').next().unwrap_or_default();
        let mut command = Place::command(Place::of(&self.places, domain), &self.binary);
        command.arg("node").arg("--config").arg(self.node_config(node)).arg("--with-parent");
        command.envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.process_group(0).spawn().unwrap();
        fs::write(dir.join("pid"), child.id().to_string()).unwrap();
        self.revived.lock().unwrap().push(child.stdin.take().unwrap());
        // Whoever ends is waited for, or it would seem to run.
        std::thread::spawn(move || child.wait());
    }

    /// Waits until a node says that it is ready; returns how long that took.
    pub async fn ready(&self, node: &str) -> Duration {
        let what = format!("{node} is ready");
        eventually(&what, BACK, || self.readiness(node)).await.1
    }

    /// Whether a node says that it is ready.
    ///
    /// # Errors
    /// What it waits for, in its own words, or that it does not answer.
    ///
    /// # Panics
    /// When the address in its configuration is none.
    pub async fn readiness(&self, node: &str) -> Result<(), String> {
        let client = Client::new(&self.node_admin(node)).unwrap();
        let client = client.with_deadline(Duration::from_secs(2));
        match client.send(http::Method::GET, "/readyz", bytes::Bytes::new()).await {
            Ok(raw) if raw.status.is_success() => Ok(()),
            Ok(raw) => Err(String::from_utf8_lossy(&raw.body).into_owned()),
            Err(error) => Err(error.to_string()),
        }
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
