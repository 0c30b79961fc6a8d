//! Book-Crossing: real people with countries and, for many, ages.

use std::collections::BTreeMap;
use std::path::Path;

use bailiwick_core::ids::{Jurisdiction, Subject};
use bailiwick_proto::v1;

use super::people::Rule;
use super::source::Source;
use super::table::{Column, Form, Row, Table};
use super::{AgeBand, DataError, Dataset, DemoPerson, Fact, places, title};

const EDITORIAL_LENGTH: usize = 60;

struct Known {
    home: Jurisdiction,
    age_band: AgeBand,
}

/// `users.tsv.gz`, `items.tsv.gz` and `ratings.tsv.gz` of a directory. People without a rating are left
/// out: there is nothing they did.
pub(super) fn from_directory(directory: &Path) -> Result<Dataset, DataError> {
    let users = users(Source::file(&directory.join("users.tsv.gz"))?)?;
    let mut dataset = Dataset {
        name: "Book-Crossing",
        credit: "Ziegler, McNee, Konstan and Lausen, Improving Recommendation Lists Through Topic \
                 Diversification, WWW 2005",
        made_up: vec![
            "Consents and switches of the people are made up; countries and ages are their own words.",
            "The editorial list is made up: the books that most people took stand in for an editor's.",
        ],
        items: books(Source::file(&directory.join("items.tsv.gz"))?)?,
        ..Dataset::default()
    };
    ratings(Source::file(&directory.join("ratings.tsv.gz"))?, &users, &mut dataset)?;
    dataset.stand_in_editorial(EDITORIAL_LENGTH);
    Ok(dataset)
}

fn users(source: Source) -> Result<BTreeMap<u64, Known>, DataError> {
    let mut table = Table::open(source, Form::Tabs)?;
    let (user, age) = (table.column("user_id")?, table.column("age")?);
    let (country, region) = (table.column("country")?, table.column("region")?);
    let mut known = BTreeMap::new();
    while let Some(row) = table.next()? {
        let home = places::jurisdiction(row.text(country), row.text(region))
            .map_err(|_| row.refuse(country, "write a country of two letters, or nothing"))?;
        let age_band = age_band(&row, age)?;
        known.insert(row.value(user, "write the user's number")?, Known { home, age_band });
    }
    Ok(known)
}

fn age_band(row: &Row<'_>, column: Column) -> Result<AgeBand, DataError> {
    if row.some(column).is_none() {
        return Ok(AgeBand::Unknown);
    }
    let age: u8 = row.value(column, "write whole years, or nothing")?;
    Ok(match age {
        0..12 => AgeBand::UpTo11,
        12 => AgeBand::Twelve,
        13 => AgeBand::Thirteen,
        14 => AgeBand::Fourteen,
        15 => AgeBand::Fifteen,
        16..18 => AgeBand::SixteenSeventeen,
        18.. => AgeBand::Adult,
    })
}

fn books(source: Source) -> Result<Vec<v1::Item>, DataError> {
    let mut table = Table::open(source, Form::Tabs)?;
    let (isbn, lang, name) = (table.column("isbn")?, table.column("lang")?, table.column("title")?);
    let (author, year) = (table.column("author")?, table.column("year")?);
    let mut items = Vec::new();
    while let Some(row) = table.next()? {
        let text = |column| row.some(column).map(title::printable);
        let year: Option<i16> = row.some(year).and_then(|year| year.parse().ok());
        items.push(v1::Item {
            item: row.text(isbn).to_owned(),
            title: text(name).unwrap_or_else(|| format!("ISBN {}", row.text(isbn))),
            language: text(lang),
            creator: text(author),
            published_at: year.and_then(title::first_day),
            ..v1::Item::default()
        });
    }
    Ok(items)
}

fn ratings(
    source: Source,
    users: &BTreeMap<u64, Known>,
    dataset: &mut Dataset,
) -> Result<(), DataError> {
    let rule = Rule::read()?;
    let mut table = Table::open(source, Form::Tabs)?;
    let (user, isbn, rating) =
        (table.column("user_id")?, table.column("isbn")?, table.column("rating")?);
    let mut numbers: BTreeMap<u64, usize> = BTreeMap::new();
    while let Some(row) = table.next()? {
        let number: u64 = row.value(user, "write the user's number")?;
        let person = match numbers.get(&number) {
            Some(&person) => person,
            None => {
                let known = users
                    .get(&number)
                    .ok_or_else(|| row.refuse(user, "add this user to users.tsv.gz"))?;
                dataset.people.push(person(&rule, number, known, &row, user)?);
                numbers.insert(number, dataset.people.len() - 1);
                dataset.people.len() - 1
            }
        };
        dataset.events.push((person, event(&row, number, row.text(isbn), rating)?));
    }
    Ok(())
}

fn person(
    rule: &Rule,
    number: u64,
    known: &Known,
    row: &Row<'_>,
    column: Column,
) -> Result<DemoPerson, DataError> {
    let subject = Subject::new(format!("bx-{number}"))
        .map_err(|error| row.refuse(column, error.to_string()))?;
    let (consent, toggle) = rule.choices(&number.to_string(), known.age_band)?;
    Ok(DemoPerson {
        subject,
        home: known.home.clone(),
        age_band: known.age_band,
        consent,
        toggle,
        made_up: &[Fact::Consent, Fact::Toggle],
        example: None,
    })
}

/// Ratings of 1 to 10 become 0.5 to 5; 0 (implicit) and nothing (not recovered) become a view.
fn event(row: &Row<'_>, user: u64, isbn: &str, rating: Column) -> Result<v1::Event, DataError> {
    let mend = "write 0 to 10, or nothing";
    let value: u8 = match row.some(rating) {
        Some(_) => row.value(rating, mend)?,
        None => 0,
    };
    let (kind, value) = match value {
        0 => ("view", None),
        1..=10 => ("rate", Some(f64::from(value) / 2.0)),
        _ => return Err(row.refuse(rating, mend)),
    };
    Ok(v1::Event {
        id: format!("bx-{user}-{isbn}"),
        item: isbn.to_owned(),
        kind: kind.to_owned(),
        value,
        ..v1::Event::default()
    })
}
