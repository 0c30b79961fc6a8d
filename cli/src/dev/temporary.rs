//! A cluster of real parts in a folder that goes with it: for evaluations.

use std::time::Duration;

use super::args::RunArgs;
use super::error::DevError;
use super::layout::Layout;
use super::plan::{self, Plan};
use super::threads::{self, Threads};
use super::tokens::Tokens;
use super::{spinner, wait};

/// It stops within about this time.
const GRACE: Duration = Duration::from_secs(8);

/// A running cluster without data, on free ports.
pub struct Temporary {
    plan: Plan,
    tokens: Tokens,
    threads: Threads,
    _dir: tempfile::TempDir,
}

impl Temporary {
    /// Starts the nodes and routers of `bailiwick dev`, and waits until they are ready.
    ///
    /// # Errors
    /// [`DevError`].
    pub async fn start() -> Result<Self, DevError> {
        let made = tempfile::Builder::new().prefix("bailiwick-").tempdir();
        let dir = made.map_err(DevError::io("create a folder in", &std::env::temp_dir()))?;
        let layout = Layout::new(&dir.path().join("state"));
        let args = RunArgs {
            dir: dir.path().join("state"),
            fresh: false,
            processes: false,
            no_restart: false,
            places: Vec::new(),
            base_port: 0,
            data: "none".into(),
            path: None,
            people: 0,
        };
        let plan = plan::prepare(&layout, &args)?;
        let progress = spinner("starting nodes and routers");
        let threads = threads::start(&plan).await?;
        let tokens = Tokens::open(&layout)?;
        wait::ready(&plan, &progress).await?;
        progress.finish_and_clear();
        Ok(Self { plan, tokens, threads, _dir: dir })
    }

    /// What runs where.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Makes tokens that it believes.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Stops all of it.
    pub async fn stop(self) {
        self.threads.stop(GRACE).await;
    }
}
