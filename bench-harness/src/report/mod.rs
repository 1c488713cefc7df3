//! Reports: what was measured, under which conditions, and what it means; as text, JSON and a page of HTML.
//!
//! All three are made from one [`Report`], so they cannot disagree. A number is never printed without its conditions,
//! and a percentile only where the data bear it.

pub mod curve;
pub mod environment;
pub mod export;
pub mod heat;
pub mod html;
pub mod model;
pub mod ribbon;
#[cfg(test)]
pub(crate) mod sample;
pub mod svg;
pub mod text;
pub mod write;

pub use crate::quantity;
pub use curve::Curve;
pub use environment::Environment;
pub use model::{Check, Clock, Condition, Latency, LayerResult, Outcome, Percentile, Report, RunResult};
