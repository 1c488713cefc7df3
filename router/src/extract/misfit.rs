//! Where in a document, a form or a query the value stands that does not fit its type.

use std::fmt::Display;

use serde::de::{DeserializeOwned, Deserializer};

/// `error` after the path to the value it is about, in backticks.
///
/// The formats' own errors do not know the path. To keep it costs time with every value, so what failed is read once
/// more for it, from `again`.
pub(super) fn explain<'de, T, D>(error: impl Display, again: D) -> String
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    match serde_path_to_error::deserialize::<D, T>(again) {
        Err(misfit) if misfit.path().iter().len() > 0 => format!("`{}`: {error}", misfit.path()),
        _ => error.to_string(),
    }
}
