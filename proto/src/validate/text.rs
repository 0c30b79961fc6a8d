//! Texts and times.

use bailiwick_core::ids::UnixMillis;
use bailiwick_core::limits;

use super::Checked;
use crate::failure::Failure;

/// Bytes of a revision or a log id.
const OPAQUE_BYTES_MAX: usize = 512;
/// Bytes of a receipt: its blocks ride in it, [`limits::BLOCKS_MAX`] ids at the most.
pub(super) const RECEIPT_BYTES_MAX: usize = limits::BODY_BYTES_MAX / 2;
const SHOWN_CHARS: usize = 40;

/// A category, language, creator or key.
pub(super) fn label(path: &str, text: String) -> Checked<String> {
    bounded(path, text, limits::CATEGORY_BYTES_MAX)
}

/// A value that only its maker can read.
pub(super) fn opaque(path: &str, text: String) -> Checked<String> {
    bounded(path, text, OPAQUE_BYTES_MAX)
}

/// A text that is there, within `max` bytes and without control characters.
pub(super) fn bounded(path: &str, text: String, max: usize) -> Checked<String> {
    if text.is_empty() {
        return Err(Failure::invalid(path, format!("{path} is empty")));
    }
    optional_text(path, text, max)
}

/// The same, which may be empty.
pub(super) fn optional_text(path: &str, text: String, max: usize) -> Checked<String> {
    if text.len() > max {
        let words = format!("{path} has {} bytes, at most {max} are allowed", text.len());
        return Err(Failure::invalid(path, words));
    }
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, _)) => {
            Err(Failure::invalid(path, format!("{path} has a control character at byte {at}")))
        }
        None => Ok(text),
    }
}

/// An RFC 3339 moment.
pub(super) fn timestamp(path: &str, text: &str) -> Checked<UnixMillis> {
    match text.parse::<jiff::Timestamp>() {
        Ok(moment) => Ok(UnixMillis(moment.as_millisecond())),
        Err(_) => {
            let found = short(text);
            let words =
                format!("{path} is `{found}`, RFC 3339 such as 2026-11-22T10:00:00Z is due");
            Err(Failure::invalid(path, words))
        }
    }
}

/// The start of a text, fit to be shown in a message.
pub(super) fn short(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect()
}
