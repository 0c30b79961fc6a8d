//! What an officer should know, though it refuses nothing.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::error::{Note, Warning};
use super::layer::Layer;
use crate::policy::file::PackFile;
use crate::policy::order::Order as _;

fn about(file: &PackFile, note: Note) -> Warning {
    Warning { pack: file.pack.clone(), version: file.version, note }
}

/// Warnings that don't depend on the day.
pub(super) fn timeless(layer: &Layer) -> BTreeSet<Warning> {
    let files = layer.files.values().flatten().filter(|file| file.review_by.is_none());
    let mut found: BTreeSet<Warning> = files.map(|file| about(file, Note::NoReview)).collect();
    for flats in layer.by_stretch() {
        for (i, one) in flats.iter().enumerate() {
            let Some(leaf) = one.chain.first() else { continue };
            let uncovered = one.uncovered();
            if !uncovered.is_empty() {
                found.insert(about(leaf, Note::NoMechanism { domains: uncovered.to_string() }));
            }
            let days = one.policy.fields().decision_log_days;
            for other in flats.iter().skip(i + 1) {
                let met = days.meet(&other.policy.fields().decision_log_days);
                if met.is_empty() {
                    let (other, days) = (other.pack.clone(), met.min);
                    found.insert(about(leaf, Note::LogDays { other, days }));
                }
            }
        }
    }
    found
}

/// Warnings about one pack on a day.
pub(super) fn on(file: &PackFile, day: Date) -> Vec<Warning> {
    let mut found = Vec::new();
    if let (Some(due), Some(expires)) = (file.review_by, file.expires_on()) {
        let expires_text = expires.to_string();
        if expires <= day {
            found.push(about(file, Note::Expired { expires: expires_text }));
        } else if due < day {
            let due = due.to_string();
            found.push(about(file, Note::ReviewDue { due, expires: expires_text }));
        }
    }
    for transfer in file.transfers.iter().filter(|transfer| !transfer.holds_on(day)) {
        if let Some(last) = transfer.valid_until {
            let (mechanism, domains) = (transfer.mechanism.to_string(), transfer.to.to_string());
            let ended = last.to_string();
            found.push(about(file, Note::MechanismEnded { mechanism, domains, ended }));
        }
    }
    found
}
