//! Background work is named, ends when told, and is never lost sight of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bailiwick_net::Supervisor;
use bailiwick_net::supervisor::{TaskEnd, TaskState};

const GRACE: Duration = Duration::from_secs(5);

fn names(tasks: &Supervisor, state: TaskState) -> Vec<String> {
    tasks.rows().into_iter().filter(|row| row.state == state).map(|row| row.name).collect()
}

#[tokio::test(start_paused = true)]
async fn a_task_brings_its_result_and_leaves_no_row() {
    let tasks = Supervisor::new();
    assert_eq!(tasks.spawn("sum", async { 1 + 1 }).join().await, Ok(2));
    assert_eq!(tasks.spawn_blocking("thread", || 3).join().await, Ok(3));
    assert!(tasks.rows().is_empty());
}

#[tokio::test(start_paused = true)]
async fn rows_name_what_runs_and_under_whom() {
    let tasks = Supervisor::new();
    let mesh = tasks.child("mesh");
    let _accept = mesh.spawn_droppable("accept", std::future::pending::<()>());
    let _timer = tasks.spawn_droppable("timer", std::future::pending::<()>());
    assert_eq!(names(&tasks, TaskState::Running), ["timer", "mesh/accept"]);
    assert_eq!(tasks.shutdown(GRACE).await, Vec::<String>::new());
    assert!(tasks.rows().is_empty());
}

#[tokio::test(start_paused = true)]
async fn work_may_end_by_itself_within_the_grace() {
    let tasks = Supervisor::new();
    let (token, done) = (tasks.token(), Arc::new(AtomicBool::new(false)));
    let flag = done.clone();
    tasks.spawn("flush", async move {
        token.cancelled().await;
        tokio::time::sleep(GRACE / 2).await;
        flag.store(true, Ordering::SeqCst);
    });
    assert!(tasks.shutdown(GRACE).await.is_empty());
    assert!(done.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_end_is_aborted_and_named() {
    let tasks = Supervisor::new();
    let child = tasks.child("store");
    let deaf = child.spawn("deaf", std::future::pending::<()>());
    assert_eq!(tasks.shutdown(GRACE).await, ["store/deaf"]);
    assert_eq!(deaf.join().await, Err(TaskEnd::Cancelled));
    assert_eq!(names(&tasks, TaskState::Aborted), ["store/deaf"]);
}

#[tokio::test(start_paused = true)]
async fn a_child_stops_alone() {
    let tasks = Supervisor::new();
    let child = tasks.child("mesh");
    let _theirs = child.spawn_droppable("accept", std::future::pending::<()>());
    let _ours = tasks.spawn_droppable("timer", std::future::pending::<()>());
    child.shutdown(GRACE).await;
    assert_eq!(names(&tasks, TaskState::Running), ["timer"]);
    assert!(!tasks.token().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn an_ordinary_panic_is_kept_in_sight_and_ends_nothing() {
    let tasks = Supervisor::new();
    let panicked = tasks.spawn("frail", async { panic!("by design") });
    assert_eq!(panicked.join().await, Err(TaskEnd::Panicked));
    let blocking = tasks.spawn_blocking("frail thread", || panic!("by design"));
    assert_eq!(blocking.join().await, Err(TaskEnd::Panicked));
    assert_eq!(names(&tasks, TaskState::Panicked), ["frail", "frail thread"]);
    assert!(tokio::time::timeout(GRACE, tasks.fatal()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_critical_panic_and_an_escalation_end_the_process_and_the_first_counts() {
    let tasks = Supervisor::new();
    let child = tasks.child("raft");
    let _ = child.spawn_critical("core", async { panic!("by design") }).join().await;
    child.escalate("storage", "disk full");
    let fatal = tasks.fatal().await;
    assert_eq!((fatal.task.as_str(), fatal.reason.as_str()), ("raft/core", "by design"));

    let tasks = Supervisor::new();
    tasks.child("raft").escalate("storage", "disk full");
    assert_eq!(tasks.fatal().await.to_string(), "raft/storage: disk full");
}
