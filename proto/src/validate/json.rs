//! JSON into messages: one object, no field that is not known, the fault's path in the refusal.

use bailiwick_core::kind::Kind;
use serde::de::DeserializeOwned;

use super::Checked;
use crate::failure::Failure;

/// Reads one message from JSON.
///
/// # Errors
/// An invalid [`Failure`] with the path of the field at fault: an unknown one, one of the wrong type,
/// or the place where the text breaks off.
pub fn read_json<T: DeserializeOwned>(text: &[u8]) -> Checked<T> {
    // serde would take an array's entries for a message's fields in order.
    if text.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Failure::new(Kind::Invalid, "a JSON object is due"));
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    let found = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let mut failure = Failure::new(Kind::Invalid, error.inner().to_string());
        // `.` is the whole message, `?` a place that has no name yet.
        failure.field = (path != "." && !path.ends_with('?')).then_some(path);
        failure
    })?;
    let whole = json.end();
    whole.map_err(|error| Failure::new(Kind::Invalid, error.to_string()))?;
    Ok(found)
}
