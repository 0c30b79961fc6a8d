//! MovieLens latest-small: real films and ratings, people who are a number.

use std::collections::BTreeMap;
use std::path::Path;

use bailiwick_core::ids::Subject;
use bailiwick_proto::v1;

use super::people::Rule;
use super::source::Source;
use super::table::{Form, Row, Table};
use super::{DataError, Dataset, title};

const MOVIES: &[u8] = include_bytes!("../../../deploy/demo/movies.tsv.gz");
const RATINGS: &[u8] = include_bytes!("../../../deploy/demo/ratings.tsv.gz");
const EDITORIAL: &[u8] = include_bytes!("../../../deploy/demo/editorial.tsv");

/// The copy inside this program.
pub(super) fn embedded() -> Result<Dataset, DataError> {
    load(
        Source::embedded("deploy/demo/movies.tsv.gz", MOVIES)?,
        Source::embedded("deploy/demo/ratings.tsv.gz", RATINGS)?,
    )
}

/// `movies.tsv.gz` and `ratings.tsv.gz` of a directory.
pub(super) fn from_directory(directory: &Path) -> Result<Dataset, DataError> {
    load(
        Source::file(&directory.join("movies.tsv.gz"))?,
        Source::file(&directory.join("ratings.tsv.gz"))?,
    )
}

fn load(movies: Source, ratings: Source) -> Result<Dataset, DataError> {
    let mut dataset = Dataset {
        name: "MovieLens latest-small",
        credit: "Harper and Konstan, The MovieLens Datasets, ACM TiiS 5(4), 2015; for research, not \
                 for commerce: see deploy/demo/README.md",
        made_up: vec![
            "Homes, ages, consents and switches of the people are made up: MovieLens does not know them.",
        ],
        items: films(movies)?,
        ..Dataset::default()
    };
    read_ratings(ratings, &mut dataset)?;
    Ok(dataset)
}

fn films(source: Source) -> Result<Vec<v1::Item>, DataError> {
    let ranks = editorial()?;
    let mut table = Table::open(source, Form::Tabs)?;
    let (id, name, genres) =
        (table.column("movieId")?, table.column("title")?, table.column("genres")?);
    let mut items = Vec::new();
    while let Some(row) = table.next()? {
        let film: u64 = row.value(id, "write the film's number")?;
        let (title, year) = title::read(row.text(name));
        items.push(v1::Item {
            item: film.to_string(),
            title,
            category: categories(row.text(genres)),
            published_at: year.and_then(title::first_day),
            editorial_rank: ranks.get(&film).copied(),
            ..v1::Item::default()
        });
    }
    Ok(items)
}

fn categories(genres: &str) -> Vec<String> {
    genres.split('|').filter(|g| !g.is_empty() && !g.starts_with('(')).map(str::to_owned).collect()
}

fn editorial() -> Result<BTreeMap<u64, u32>, DataError> {
    let mut table =
        Table::open(Source::embedded("deploy/demo/editorial.tsv", EDITORIAL)?, Form::Tabs)?;
    let (rank, film) = (table.column("rank")?, table.column("movieId")?);
    let mut ranks = BTreeMap::new();
    while let Some(row) = table.next()? {
        ranks.insert(
            row.value(film, "write the film's number")?,
            row.value(rank, "write 1, 2, ...")?,
        );
    }
    Ok(ranks)
}

fn read_ratings(source: Source, dataset: &mut Dataset) -> Result<(), DataError> {
    let rule = Rule::read()?;
    let mut table = Table::open(source, Form::Tabs)?;
    let (user, film) = (table.column("userId")?, table.column("movieId")?);
    let (rating, time) = (table.column("rating")?, table.column("timestamp")?);
    let mut known: BTreeMap<u64, usize> = BTreeMap::new();
    while let Some(row) = table.next()? {
        let number: u64 = row.value(user, "write the user's number")?;
        let person = match known.get(&number) {
            Some(&person) => person,
            None => {
                let subject = Subject::new(format!("ml-{number}"))
                    .map_err(|error| row.refuse(user, error.to_string()))?;
                dataset.people.push(rule.person(&number.to_string(), subject, Some(number))?);
                let person = dataset.people.len() - 1;
                known.insert(number, person);
                person
            }
        };
        let film: u64 = row.value(film, "write the film's number")?;
        let value: f64 = row.value(rating, "write a number from 0.5 to 5")?;
        if !(0.5..=super::dataset::RATE_MAX).contains(&value) {
            return Err(row.refuse(rating, "write a number from 0.5 to 5"));
        }
        let event = v1::Event {
            id: format!("ml-{number}-{film}"),
            item: film.to_string(),
            kind: "rate".to_owned(),
            value: Some(value),
            at: Some(moment(&row, time)?),
            ..v1::Event::default()
        };
        dataset.events.push((person, event));
    }
    Ok(())
}

fn moment(row: &Row<'_>, column: super::table::Column) -> Result<String, DataError> {
    let mend = "write seconds since 1970";
    let seconds: i64 = row.value(column, mend)?;
    let moment = jiff::Timestamp::from_second(seconds).map_err(|_| row.refuse(column, mend))?;
    Ok(moment.to_string())
}
