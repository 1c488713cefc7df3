//! How a server is loaded in one run of a contest.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Connections and pipelining depth, written `c64` (64 connections, one request at a time each), `p64` (64
/// connections, 16 requests in flight on each) or `p64x8` (8 in flight).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mode {
    /// Connections.
    pub connections: usize,
    /// Requests in flight on each.
    pub depth: usize,
}

const DEPTH: usize = 16;
const CONNECTIONS_MAX: usize = 100_000;
const DEPTH_MAX: usize = 1024;

/// A text that is no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no mode: write c64, p64 or p64x8, with up to 100000 connections and a depth up to 1024")]
pub struct ModeError(String);

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        parse(text).ok_or_else(|| ModeError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Mode> {
    let mode = match (text.strip_prefix('c'), text.strip_prefix('p')) {
        (Some(connections), _) => Mode { connections: connections.parse().ok()?, depth: 1 },
        (_, Some(rest)) => match rest.split_once('x') {
            Some((connections, depth)) => {
                Mode { connections: connections.parse().ok()?, depth: depth.parse().ok()? }
            }
            None => Mode { connections: rest.parse().ok()?, depth: DEPTH },
        },
        _ => return None,
    };
    let valid = (1..=CONNECTIONS_MAX).contains(&mode.connections) && (1..=DEPTH_MAX).contains(&mode.depth);
    valid.then_some(mode)
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match (self.connections, self.depth) {
            (connections, 1) => format!("c{connections}"),
            (connections, DEPTH) => format!("p{connections}"),
            (connections, depth) => format!("p{connections}x{depth}"),
        };
        f.pad(&text)
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in ["", "c", "c0", "p64x0", "x64", "c64x2", "p64x", "c-1", "p1000000"] {
            let error = text.parse::<Mode>().expect_err(text);
            assert!(error.to_string().starts_with(&format!("{text:?}")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(connections in 1..=CONNECTIONS_MAX, depth in 1..=DEPTH_MAX) {
            let mode = Mode { connections, depth };
            prop_assert_eq!(mode.to_string().parse(), Ok(mode));
        }
    }
}
