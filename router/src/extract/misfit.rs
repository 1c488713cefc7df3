//! Where in a document, a form or a query the value stands that does not fit its type.

use std::fmt::Display;

use serde::de::{DeserializeOwned, Deserializer};
use serde_path_to_error::Segment;

/// `error` after the path to the value it is about, in backticks.
///
/// The formats' own errors do not know the path. To keep it costs time with every value, so what failed is read once
/// more for it, from `again`.
pub(super) fn explain<'de, T, D>(error: impl Display, again: D) -> String
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    let Err(misfit) = serde_path_to_error::deserialize::<D, T>(again) else { return error.to_string() };
    // What breaks off before the first name has a path of one step, which is not known.
    let mut steps = misfit.path().iter();
    match (steps.next(), steps.next()) {
        (None, _) | (Some(Segment::Unknown), None) => error.to_string(),
        _ => format!("`{}`: {error}", misfit.path()),
    }
}
