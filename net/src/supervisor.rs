//! Background work: named, tracked, cancellable, and never detached. The one place that spawns tasks.

use std::any::Any;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures::FutureExt as _;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tasks that ended badly are remembered, this many of them.
const ENDED_ROWS_MAX: usize = 32;

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// It runs.
    Running,
    /// It panicked.
    Panicked,
    /// It had not ended within the grace of a shutdown.
    Aborted,
}

/// What the status page shows of a task. Tasks that ended in order leave no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    /// Its name, with those of the supervisors above it: `mesh/accept`.
    pub name: String,
    /// Where it is in its life.
    pub state: TaskState,
    /// Since when.
    pub since: SystemTime,
}

/// Why the process must end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{task}: {reason}")]
pub struct Fatal {
    /// The task.
    pub task: String,
    /// What happened.
    pub reason: String,
}

/// A task brought no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TaskEnd {
    /// It was cancelled or aborted.
    #[error("the task was cancelled")]
    Cancelled,
    /// It panicked; the panic has been logged.
    #[error("the task panicked")]
    Panicked,
}

/// A running task. Dropping it leaves the task to the supervisor.
pub struct Task<T>(JoinHandle<Result<T, TaskEnd>>);

impl<T> Task<T> {
    /// Waits for the result.
    ///
    /// # Errors
    /// [`TaskEnd`] when the task panicked or was cancelled.
    pub async fn join(self) -> Result<T, TaskEnd> {
        self.0.await.unwrap_or(Err(TaskEnd::Cancelled))
    }

    /// Ends the task at its next await point.
    pub fn abort(&self) {
        self.0.abort();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// A panic is logged.
    Ordinary,
    /// A panic ends the process.
    Critical,
}

struct Row {
    row: TaskRow,
    abort: Option<AbortHandle>,
}

#[derive(Default)]
struct Table {
    next: u64,
    running: BTreeMap<u64, Row>,
    ended: VecDeque<TaskRow>,
    children: Vec<Supervisor>,
}

struct Inner {
    name: String,
    token: CancellationToken,
    tracker: TaskTracker,
    table: Mutex<Table>,
    fatal: watch::Sender<Option<Fatal>>,
}

/// Starts tasks and answers for them. Clones are the same supervisor.
#[derive(Clone)]
pub struct Supervisor(Arc<Inner>);

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl Supervisor {
    /// The process's supervisor.
    #[must_use]
    pub fn new() -> Self {
        Self::with(String::new(), CancellationToken::new(), watch::Sender::new(None))
    }

    fn with(name: String, token: CancellationToken, fatal: watch::Sender<Option<Fatal>>) -> Self {
        let (tracker, table) = (TaskTracker::new(), Mutex::default());
        Self(Arc::new(Inner { name, token, tracker, table, fatal }))
    }

    /// A supervisor that stops with this one, or before it. Its fatal ends are this one's.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        let child =
            Self::with(self.full_name(name), self.0.token.child_token(), self.0.fatal.clone());
        let mut table = self.table();
        // A child that nobody else holds and that has nothing to do is forgotten.
        table.children.retain(|old| Arc::strong_count(&old.0) > 1 || !old.0.tracker.is_empty());
        table.children.push(child.clone());
        child
    }

    /// Cancelled when the work should end.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.0.token.clone()
    }

    /// Starts a task that ends by itself once [`Self::token`] is cancelled; it is aborted only when the
    /// grace of the shutdown is over.
    pub fn spawn<F>(&self, name: impl Into<Cow<'static, str>>, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.start(name.into(), Weight::Ordinary, future)
    }

    /// Starts a task whose panic ends the process, see [`Self::fatal`].
    pub fn spawn_critical<F>(
        &self,
        name: impl Into<Cow<'static, str>>,
        future: F,
    ) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.start(name.into(), Weight::Critical, future)
    }

    /// Starts a task that may be dropped at any await point: it is, once the token is cancelled.
    pub fn spawn_droppable<F>(
        &self,
        name: impl Into<Cow<'static, str>>,
        future: F,
    ) -> Task<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let token = self.token();
        self.start(
            name.into(),
            Weight::Ordinary,
            async move { token.run_until_cancelled(future).await },
        )
    }

    /// Runs blocking work on a thread of its own. It can't be aborted, so it should be short or look at
    /// the token; a shutdown waits for it only as long as its grace lasts.
    pub fn spawn_blocking<T, F>(&self, name: impl Into<Cow<'static, str>>, work: F) -> Task<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let id = self.enter(&name.into());
        let guard = Guard { supervisor: self.clone(), id, weight: Weight::Ordinary };
        Task(self.0.tracker.spawn_blocking(move || {
            let ended = std::panic::catch_unwind(AssertUnwindSafe(work));
            guard.leave(ended)
        }))
    }

    /// Ends the process for a reason other than a panic, a storage error for example.
    pub fn escalate(&self, task: &str, reason: impl Into<String>) {
        let fatal = Fatal { task: self.full_name(task), reason: reason.into() };
        tracing::error!(task = %fatal.task, reason = %fatal.reason, "fatal");
        // The first reason is the one to look into.
        self.0.fatal.send_if_modified(|slot| match slot {
            Some(_) => false,
            None => {
                *slot = Some(fatal);
                true
            }
        });
    }

    /// Waits for the first reason to end the process: a critical task's panic, or an escalation.
    pub async fn fatal(&self) -> Fatal {
        let mut fatal = self.0.fatal.subscribe();
        let reason = fatal.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        // The sender lives in this supervisor, so the channel never closes first.
        reason.unwrap_or_else(|| Fatal { task: self.0.name.clone(), reason: "lost".into() })
    }

    /// The tasks of this supervisor and of its children: running ones, and those that ended badly.
    #[must_use]
    pub fn rows(&self) -> Vec<TaskRow> {
        let table = self.table();
        let running = table.running.values().map(|row| row.row.clone());
        let mut rows: Vec<TaskRow> = running.chain(table.ended.iter().cloned()).collect();
        let children = table.children.clone();
        drop(table);
        rows.extend(children.iter().flat_map(Self::rows));
        rows
    }

    /// Stops: cancels the token, waits up to `grace` for this supervisor's tasks and its children's,
    /// aborts the rest and returns their names.
    pub async fn shutdown(&self, grace: Duration) -> Vec<String> {
        self.0.token.cancel();
        let family = self.family();
        for member in &family {
            member.0.tracker.close();
        }
        let ended = futures::future::join_all(family.iter().map(|s| s.0.tracker.wait()));
        if tokio::time::timeout(grace, ended).await.is_ok() {
            return Vec::new();
        }
        family.iter().flat_map(Self::abort_all).collect()
    }

    fn family(&self) -> Vec<Self> {
        let children = self.table().children.clone();
        std::iter::once(self.clone()).chain(children.iter().flat_map(Self::family)).collect()
    }

    fn abort_all(&self) -> Vec<String> {
        let mut table = self.table();
        let mut names = Vec::new();
        for mut row in std::mem::take(&mut table.running).into_values() {
            if let Some(abort) = row.abort.take() {
                abort.abort();
            }
            names.push(row.row.name.clone());
            remember(&mut table.ended, row.row, TaskState::Aborted);
        }
        names
    }

    fn start<F>(&self, name: Cow<'static, str>, weight: Weight, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let id = self.enter(&name);
        let guard = Guard { supervisor: self.clone(), id, weight };
        let tracked = self.0.tracker.track_future(async move {
            let ended = AssertUnwindSafe(future).catch_unwind().await;
            guard.leave(ended)
        });
        // The one place that may: what it starts is named, tracked and ended in `shutdown`.
        #[allow(clippy::disallowed_methods)]
        let handle = tokio::spawn(tracked);
        if let Some(row) = self.table().running.get_mut(&id) {
            row.abort = Some(handle.abort_handle());
        }
        Task(handle)
    }

    fn enter(&self, name: &str) -> u64 {
        let row = TaskRow {
            name: self.full_name(name),
            state: TaskState::Running,
            since: SystemTime::now(),
        };
        let mut table = self.table();
        let id = table.next;
        table.next += 1;
        table.running.insert(id, Row { row, abort: None });
        id
    }

    fn full_name(&self, name: &str) -> String {
        if self.0.name.is_empty() { name.to_owned() } else { format!("{}/{name}", self.0.name) }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remember(ended: &mut VecDeque<TaskRow>, row: TaskRow, state: TaskState) {
    ended.push_back(TaskRow { state, since: SystemTime::now(), ..row });
    if ended.len() > ENDED_ROWS_MAX {
        ended.pop_front();
    }
}

/// Strikes a task's row out, however the task ends: by itself, by a panic, or dropped.
struct Guard {
    supervisor: Supervisor,
    id: u64,
    weight: Weight,
}

impl Guard {
    fn leave<T>(self, ended: Result<T, Box<dyn Any + Send>>) -> Result<T, TaskEnd> {
        ended.map_err(|panic| {
            self.panicked(&panic_text(&*panic));
            TaskEnd::Panicked
        })
    }

    fn panicked(&self, reason: &str) {
        let mut table = self.supervisor.table();
        let Some(Row { row, .. }) = table.running.remove(&self.id) else { return };
        let name = row.name.clone();
        remember(&mut table.ended, row, TaskState::Panicked);
        drop(table);
        tracing::error!(task = %name, reason, "a task panicked");
        if self.weight == Weight::Critical {
            let fatal = Fatal { task: name, reason: reason.to_owned() };
            self.supervisor.0.fatal.send_if_modified(|slot| {
                let first = slot.is_none();
                slot.get_or_insert(fatal);
                first
            });
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.supervisor.table().running.remove(&self.id);
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}
