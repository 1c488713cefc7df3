//! Covet's instrument: load, clocks, records, statistics, verdicts and reports.
//!
//! The binary `covet-bench` is a thin shell over this library, so that every part of a measurement can be
//! tested without starting a process.

pub mod bundle;
pub mod cli;
pub mod clock;
pub mod compare;
mod digest;
pub mod experiment;
pub mod load;
pub mod locust;
pub mod quantity;
mod read_some;
mod realtime;
pub mod record;
pub mod report;
pub mod stats;
pub mod target;
pub mod verdict;

/// The examples of the README, compiled with the documentation tests so that they cannot rot.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The examples of the guide to loading, likewise.
#[cfg(doctest)]
#[doc = include_str!("../../docs/bench/load.md")]
struct LoadGuide;
