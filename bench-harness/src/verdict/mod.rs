//! Claims about speed, latency, memory and errors, and what measurements make of them.
//!
//! A claim has a [`quantity`] and a layer. A rate of route matches in process and a rate of HTTP requests over a socket
//! are different quantities, and a figure of one says nothing about the other; so each layer is judged for itself
//! ([`judge::layer`]) and the claim as a whole ([`judge::overall`]) is mis-specified where it was taken in one layer and
//! read in another.

pub mod claim;
pub mod feasibility;
pub mod judge;
pub mod layer;
pub mod quantity;
pub mod threshold;

use serde::Serialize;

pub use claim::{Claim, ClaimError};
pub use feasibility::{Feasibility, Traffic};
pub use judge::{Evidence, Judgement, Limit};
pub use layer::{Layer, Reading};
pub use quantity::Quantity;

use crate::cli::Exit;

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The whole interval lies on the claimed side of the figure, its tolerance counted.
    Confirmed,
    /// The whole interval lies on the other side, and the server was the limit.
    Refuted,
    /// The interval does not decide, or nothing shows that the server was the limit.
    Inconclusive,
    /// The claim was taken in another layer than it is read in, or leaves open what decides it.
    MisSpecified,
    /// Even a server that does nothing could not reach the claim on this hardware, or a limit of it is in the way.
    NotReproducibleHere,
    /// A guard failed, so the measurement proves nothing.
    Invalid,
}

impl Verdict {
    /// The word that is printed.
    pub fn label(self) -> &'static str {
        match self {
            Verdict::Confirmed => "CONFIRMED",
            Verdict::Refuted => "REFUTED",
            Verdict::Inconclusive => "INCONCLUSIVE",
            Verdict::MisSpecified => "MIS-SPECIFIED",
            Verdict::NotReproducibleHere => "NOT REPRODUCIBLE HERE",
            Verdict::Invalid => "INVALID",
        }
    }

    /// The exit status of a command whose purpose is this verdict.
    pub fn exit(self) -> Exit {
        match self {
            Verdict::Confirmed => Exit::Success,
            Verdict::Refuted => Exit::Refuted,
            Verdict::Inconclusive => Exit::Inconclusive,
            Verdict::MisSpecified => Exit::MisSpecified,
            Verdict::NotReproducibleHere => Exit::NotReproducibleHere,
            Verdict::Invalid => Exit::Invalid,
        }
    }
}
