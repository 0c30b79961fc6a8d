//! Data sets to run a cluster on: items, people, and what the people did.

mod bookcrossing;
mod dataset;
mod deal;
mod error;
mod eval;
mod events_file;
mod examples;
mod movielens;
mod people;
mod places;
mod shared;
mod source;
mod table;
mod title;
mod words;

pub use dataset::{Dataset, DemoPerson, Fact, is_liking};
pub use error::DataError;
pub use eval::{Figures, Split, evaluate};
pub(crate) use eval::{ndcg, recall};
pub use shared::shared_data;
pub use words::{AgeBand, Consent, Toggle};

use std::path::Path;

/// Which data set to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// MovieLens latest-small: the copy inside this program, or the one in a directory.
    MovieLens,
    /// Book-Crossing, from a directory.
    BookCrossing,
    /// Any table or NDJSON file of user, item, value, time.
    Events(std::path::PathBuf),
}

impl std::str::FromStr for Choice {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        match text.split_once(':') {
            None if text == "movielens" => Ok(Self::MovieLens),
            None if text == "bookcrossing" => Ok(Self::BookCrossing),
            Some(("events", file)) if !file.is_empty() => Ok(Self::Events(file.into())),
            _ => Err(DataError::Choice { found: text.chars().take(80).collect() }),
        }
    }
}

/// Loads a data set. `path` is the directory of `movielens` and `bookcrossing`.
///
/// # Errors
/// [`DataError`], naming file, line and how to mend it.
pub fn load(choice: &Choice, path: Option<&Path>) -> Result<Dataset, DataError> {
    let mut dataset = match (choice, path) {
        (Choice::MovieLens, None) => movielens::embedded(),
        (Choice::MovieLens, Some(directory)) => movielens::from_directory(directory),
        (Choice::BookCrossing, Some(directory)) => bookcrossing::from_directory(directory),
        (Choice::BookCrossing, None) => Err(DataError::NoPath),
        (Choice::Events(file), _) => events_file::load(file),
    }?;
    if dataset.people.iter().all(|person| person.example.is_none()) {
        examples::choose(&mut dataset);
    }
    Ok(dataset)
}

#[cfg(test)]
mod tests;
