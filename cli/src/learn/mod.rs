//! `bailiwick learn`: begins a run of learning on a cluster, waits for it, and shows how it goes.

mod args;
mod error;
mod show;

pub use args::{Command, LearnArgs, StartArgs, Target};
pub use error::LearnError;

use std::time::Duration;

use bailiwick_core::kind::Kind;
use bailiwick_proto::v1;
use tokio::time::{Instant, sleep};

use crate::client::{Client, ClientError};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// A cluster that can't be asked for this long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// All nodes that answer have the model within this time, or something is wrong with them.
const SERVED_WITHIN: Duration = Duration::from_secs(300);
const PATH: &str = "/v1/learning";

/// Does what the arguments say.
///
/// # Errors
/// [`LearnError`] with how to mend it.
#[allow(clippy::print_stdout)] // what a command is for goes to standard output
pub async fn command(args: LearnArgs) -> Result<(), LearnError> {
    let (target, status) = match args.command {
        Some(Command::Status(target)) => {
            let status = target.client()?.get(PATH).await?;
            (target, status)
        }
        Some(Command::Rollback(target)) => {
            let request = v1::RollBackModelRequest {};
            let client = target.client()?;
            let status = client.post("/v1/learning/rollback", &request).await?;
            (target, served(&client, status).await?)
        }
        None => {
            let start = args.start.ok_or(LearnError::NoTarget)?;
            let target = start.target();
            let client = target.client()?;
            let status = run(&client, &start.request(), |line| eprintln!("{line}")).await?;
            (target, status)
        }
    };
    match target.json {
        true => println!("{}", serde_json::to_string(&status).unwrap_or_default()),
        false => print!("{}", show::status(&status)),
    }
    Ok(())
}

/// Begins a run, or joins the one under way, and waits until every node that answers serves what came of it.
/// `say` hears how far it is.
///
/// # Errors
/// [`LearnError::Failed`] when the run fails, or what the cluster answers.
pub async fn run(
    client: &Client,
    request: &v1::StartLearningRequest,
    mut say: impl FnMut(&str),
) -> Result<v1::LearningStatus, LearnError> {
    let begun: Result<v1::LearningStatus, ClientError> = client.post(PATH, request).await;
    match begun {
        Ok(_) => {}
        Err(error) if error.kind() == Kind::Refused && is_running(client).await => {
            say("a run is under way; waiting for it");
        }
        // It may have begun: what is there tells.
        Err(error) if error.kind() == Kind::Uncertain => {}
        Err(error) => return Err(error.into()),
    }
    let (mut said, mut heard) = (String::new(), Instant::now());
    loop {
        match client.get::<v1::LearningStatus>(PATH).await {
            Ok(status) => {
                heard = Instant::now();
                let run = status.run.clone().unwrap_or_default();
                let line = show::progress(&run);
                if line != said {
                    say(&line);
                    said = line;
                }
                match run.phase.as_str() {
                    "done" => return served(client, status).await,
                    "failed" => return Err(LearnError::Failed(run.why.unwrap_or_default())),
                    _ => {}
                }
            }
            Err(error) if heard.elapsed() > SILENCE_MAX => return Err(error.into()),
            Err(_) => {}
        }
        sleep(EVERY).await;
    }
}

async fn is_running(client: &Client) -> bool {
    let status: Result<v1::LearningStatus, ClientError> = client.get(PATH).await;
    status.is_ok_and(|status| status.run.is_some_and(|run| run.phase == "running"))
}

/// Waits until every node that answers serves the active model.
async fn served(
    client: &Client,
    mut status: v1::LearningStatus,
) -> Result<v1::LearningStatus, LearnError> {
    let began = Instant::now();
    loop {
        let active = status.active.as_ref().map(|model| model.sha256.clone());
        if active.is_some() && status.nodes.iter().all(|node| node.sha256 == active) {
            return Ok(status);
        }
        if began.elapsed() > SERVED_WITHIN {
            return Ok(status);
        }
        sleep(EVERY).await;
        if let Ok(fresh) = client.get(PATH).await {
            status = fresh;
        }
    }
}
