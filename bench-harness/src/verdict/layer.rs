//! Where in the stack a rate is taken.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::report::quantity::percentile;

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

impl Layer {
    /// Whether requests go over a socket.
    pub fn is_http(self) -> bool {
        matches!(self, Layer::HttpLoopback | Layer::HttpNetwork)
    }
}

/// A layer and, for HTTP, how many requests are in flight on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reading {
    /// The layer.
    pub layer: Layer,
    /// Pipelining depth, where the layer has one.
    pub depth: Option<usize>,
    /// The quantile of a latency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantile: Option<f64>,
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.layer.fmt(f)?;
        if let Some(depth) = self.depth {
            write!(f, ", depth {depth}")?;
        }
        match self.quantile {
            Some(q) => write!(f, ", {}", percentile(q)),
            None => Ok(()),
        }
    }
}
