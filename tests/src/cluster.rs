//! A cluster of `bailiwick dev`, on free ports, under a folder of its own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use bailiwick::client::Client;
use bailiwick::dev::{Layout, Place, TokenArgs, Tokens};
use bailiwick_core::ids::Subject;
use bailiwick_core::policy::AgeBand;
use bailiwick_proto::v1;

/// Starting may take this long; a crowded machine is slow, a broken cluster is slower.
const PATIENCE: Duration = Duration::from_secs(180);

/// Runs the cluster and outlives the tests by a moment: when they are gone, however they ended, its
/// standard input closes; then it stops the cluster and takes its folder away.
const KEEPER: &str = r#"
dir=$1; shift
"$@" 2>"$dir/err.txt" & dev=$!
echo $dev >"$dir/dev.pid"
exec >/dev/null
read -r _
kill -TERM $dev
(sleep 20; kill -KILL $dev) & 
wait $dev
[ -n "$BAILIWICK_TESTS_KEEP" ] || rm -rf "$dir"
"#;

/// How the cluster runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All nodes and routers in one process.
    Together,
    /// Every node and router as a process of its own, none started again by itself.
    Processes,
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) binary: PathBuf,
    dir: PathBuf,
    state: PathBuf,
    pub(crate) places: Vec<Place>,
    // Held for their standard inputs: what they run ends when these are closed.
    _keeper: Child,
    pub(crate) revived: Mutex<Vec<ChildStdin>>,
}

impl Cluster {
    /// Starts a cluster without data and waits until all of it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn start(binary: &str, mode: Mode) -> Self {
        let dir = scratch();
        let state = dir.join("state");
        Self::start_in(Path::new(binary), mode, dir, state, &[], Vec::new())
    }

    /// The same over a state that is kept elsewhere, and outlives the cluster. `settings` are variables of
    /// the environment: those of nodes begin with `BAILIWICK_NODE_`.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    #[must_use]
    pub fn start_on(binary: &Path, mode: Mode, state: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start_in(binary, mode, scratch(), state.to_owned(), settings, Vec::new())
    }

    /// The same with every node and router as a process, each domain's at a place of its own.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    #[must_use]
    pub fn start_at(
        binary: &Path,
        places: Vec<Place>,
        state: &Path,
        settings: &[(&str, &str)],
    ) -> Self {
        Self::start_in(binary, Mode::Processes, scratch(), state.to_owned(), settings, places)
    }

    fn start_in(
        binary: &Path,
        mode: Mode,
        dir: PathBuf,
        state: PathBuf,
        settings: &[(&str, &str)],
        places: Vec<Place>,
    ) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "keeper"]).arg(&dir).arg(binary).args(["dev", "--dir"]);
        command.arg(&state).args(["--base-port", "0", "--data", "none"]);
        command.envs(settings.iter().copied());
        if mode == Mode::Processes {
            command.args(["--processes", "--no-restart"]);
        }
        for place in &places {
            command.args(["--place", &place.to_string()]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut keeper = command.spawn().unwrap();
        let lines = lines_of(&mut keeper);
        await_ready(&lines, &dir);
        Self {
            binary: binary.into(),
            dir,
            state,
            places,
            _keeper: keeper,
            revived: Mutex::default(),
        }
    }

    /// Where the state is kept.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.state.clone()
    }

    /// The file with the number of the process that runs all of it.
    pub(crate) fn pid_file(&self) -> PathBuf {
        self.dir.join("dev.pid")
    }

    /// The layout of the state.
    #[must_use]
    pub fn layout(&self) -> Layout {
        Layout::new(&self.state())
    }

    /// The public address of a domain's router.
    ///
    /// # Panics
    /// When its configuration can't be read.
    #[must_use]
    pub fn url(&self, domain: &str) -> String {
        let config = config(&self.layout().router(domain).join("router.toml"));
        format!("http://{}", config["listen"].as_str().unwrap())
    }

    /// The operators' address of a node.
    ///
    /// # Panics
    /// When its configuration can't be read.
    #[must_use]
    pub fn node_admin(&self, node: &str) -> String {
        let config = config(&self.node_config(node));
        format!("http://{}", config["listen"]["admin"].as_str().unwrap())
    }

    pub(crate) fn node_config(&self, node: &str) -> PathBuf {
        self.layout().node(node).join("node.toml")
    }

    /// The names of all nodes, in order.
    ///
    /// # Panics
    /// When the folder can't be read.
    #[must_use]
    pub fn nodes(&self) -> Vec<String> {
        let entries = fs::read_dir(self.state().join("nodes")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The nodes of a domain.
    #[must_use]
    pub fn nodes_of(&self, domain: &str) -> Vec<String> {
        let mut nodes = self.nodes();
        nodes.retain(|name| name.starts_with(&format!("{domain}-")));
        nodes
    }

    /// Asks a domain's router without a token.
    ///
    /// # Panics
    /// When the address is not well-formed.
    #[must_use]
    pub fn anyone(&self, domain: &str) -> Client {
        Client::new(&self.url(domain)).unwrap()
    }

    /// Asks a domain's router as the operator.
    ///
    /// # Panics
    /// When no token can be made.
    #[must_use]
    pub fn operator(&self, domain: &str) -> Client {
        let scope = "items:write policy:read cluster:admin recommend";
        let token =
            self.token(&TokenArgs { scope: scope.into(), ..self.asking("operator", "EU-DE") });
        self.anyone(domain).with_token(&token).unwrap()
    }

    /// What a token of an adult is asked for with; change what differs.
    ///
    /// # Panics
    /// When the subject or the home is not well-formed.
    #[must_use]
    pub fn asking(&self, subject: &str, home: &str) -> TokenArgs {
        TokenArgs {
            sub: Subject::new(subject).unwrap(),
            home: home.parse().unwrap(),
            age: AgeBand::Adult,
            scope: "recommend events person".into(),
            client: "demo".into(),
            child: None,
            life: 3600,
            dir: self.state(),
        }
    }

    /// A token.
    ///
    /// # Panics
    /// When it can't be signed.
    #[must_use]
    pub fn token(&self, args: &TokenArgs) -> String {
        Tokens::open(&self.layout()).unwrap().mint(args).unwrap()
    }

    /// The cluster's state, as a domain's router tells it.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub async fn status(&self, domain: &str) -> Result<v1::ClusterStatus, String> {
        let client = self.operator(domain).with_deadline(Duration::from_secs(2));
        client.get("/v1/cluster").await.map_err(|error| error.to_string())
    }

    /// The node that leads a group, as the nodes themselves say on their operators' ports: of several that
    /// say so, the one in the latest term.
    ///
    /// # Errors
    /// That none does.
    pub async fn leads(&self, group: &str) -> Result<String, String> {
        let nodes = self.nodes();
        let asked = nodes.iter().map(|node| self.term_led(node, group));
        let terms = futures::future::join_all(asked).await;
        let leaders = terms.into_iter().zip(nodes).filter_map(|(term, node)| Some((term?, node)));
        leaders.max().map(|(_, node)| node).ok_or_else(|| format!("nobody leads {group}"))
    }

    /// The term in which a node leads a group; none when it does not lead, or does not answer.
    async fn term_led(&self, node: &str, group: &str) -> Option<u64> {
        let numbers = self.numbers(node).await?;
        let leads = numbers.of_group("raft_leads", group)? == 1;
        leads.then(|| numbers.of_group("raft_term", group)).flatten()
    }

    /// What a node tells of itself in numbers; none when it does not answer.
    pub async fn numbers(&self, node: &str) -> Option<Numbers> {
        let client = Client::new(&self.node_admin(node)).ok()?;
        let client = client.with_deadline(Duration::from_millis(500));
        let raw = client.send(http::Method::GET, "/metrics", bytes::Bytes::new()).await.ok()?;
        String::from_utf8(raw.body.to_vec()).ok().map(Numbers)
    }

    /// The leader of a group, as a domain's router tells it.
    ///
    /// # Errors
    /// Why it is not known, in words.
    pub async fn leader(&self, domain: &str, group: &str) -> Result<String, String> {
        let status = self.status(domain).await?;
        let found = status.groups.into_iter().find(|found| found.group == group);
        let found = found.ok_or_else(|| format!("there is no group {group}"))?;
        found.leader.ok_or_else(|| format!("{group} has no leader"))
    }
}

/// The text of a node's `/metrics`.
#[derive(Debug, Clone)]
pub struct Numbers(String);

impl Numbers {
    /// A gauge of a group; none when it is not told.
    #[must_use]
    pub fn of_group(&self, name: &str, group: &str) -> Option<u64> {
        self.of(name, "group", group)
    }

    /// A number with one label; none when it is not told.
    #[must_use]
    pub fn of(&self, name: &str, label: &str, value: &str) -> Option<u64> {
        let start = format!("bailiwick_{name}{{{label}=\"{value}\"}} ");
        self.0.lines().find_map(|line| line.strip_prefix(&start))?.parse().ok()
    }
}

fn scratch() -> PathBuf {
    tempfile::Builder::new().prefix("bailiwick-tests-").tempdir().unwrap().keep()
}

fn config(path: &Path) -> toml::Table {
    fs::read_to_string(path).unwrap().parse().unwrap()
}

/// The lines of a process's standard output; the channel ends with it.
fn lines_of(process: &mut Child) -> Receiver<String> {
    let (to, lines) = channel();
    let out = process.stdout.take().unwrap();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            // Whoever listened may be gone; the pipe is emptied all the same.
            let _ = to.send(line);
        }
    });
    lines
}

fn await_ready(lines: &Receiver<String>, dir: &Path) {
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) if line.starts_with("ready after") => {
                println!("cluster: {line}");
                return;
            }
            Ok(_) => {}
            Err(end) => {
                let why = match end {
                    RecvTimeoutError::Timeout => "is not ready yet",
                    RecvTimeoutError::Disconnected => "ended",
                };
                let said = fs::read_to_string(dir.join("err.txt")).unwrap_or_default();
                panic!("the cluster {why}: {said}");
            }
        }
    }
}
