//! Where in the stack a rate is taken.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A layer of the stack, from a function call to a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Looking up a method and a path in a route table, in process.
    RouteMatch,
    /// A whole request and response in process, without a socket.
    InProcess,
    /// HTTP over a TCP socket on one machine.
    HttpLoopback,
    /// HTTP between machines.
    HttpNetwork,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layer::RouteMatch => "route match in process",
            Layer::InProcess => "request in process",
            Layer::HttpLoopback => "HTTP over loopback",
            Layer::HttpNetwork => "HTTP over a network",
        })
    }
}

/// A layer and, for HTTP, how many requests are in flight on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// The layer.
    pub layer: Layer,
    /// Pipelining depth, where the layer has one.
    pub depth: Option<usize>,
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.depth {
            Some(depth) => write!(f, "{}, depth {depth}", self.layer),
            None => self.layer.fmt(f),
        }
    }
}
