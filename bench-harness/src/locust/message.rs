//! Locust's messages: an array of type, data and the worker's name, in MessagePack.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::stats::{ErrorReport, Report};

/// What a master says, as far as it concerns a worker.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FromMaster {
    /// The worker is known.
    Ack,
    /// So many users are wanted from now on.
    Spawn(Spawn),
    /// The test is over.
    Stop,
    /// The worker is to end.
    Quit,
    /// The master is there.
    Heartbeat,
    /// The connection is to be made anew.
    Reconnect,
    /// Something that a worker without Python code has nothing to do for.
    Other,
}

/// The data of a `spawn` message.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Spawn {
    /// When the master sent it, in seconds since 1970.
    pub(super) timestamp: f64,
    /// How many users of each class are to run on this worker.
    pub(super) user_classes_count: BTreeMap<String, u64>,
    /// The host of the master's web page or command line.
    #[serde(default)]
    pub(super) host: Option<String>,
    /// Seconds that users have to end what they do.
    #[serde(default)]
    pub(super) stop_timeout: Option<f64>,
}

/// Why bytes are no message.
#[derive(Debug, Error)]
#[error("the master sent what is no message of Locust's")]
pub struct MessageError(#[from] rmp_serde::decode::Error);

impl FromMaster {
    /// Reads a message.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let (kind, IgnoredAny, IgnoredAny): (String, _, _) = rmp_serde::from_slice(bytes)?;
        Ok(match kind.as_str() {
            "ack" => Self::Ack,
            "spawn" => Self::Spawn(data(bytes)?),
            "stop" => Self::Stop,
            "quit" => Self::Quit,
            "heartbeat" => Self::Heartbeat,
            "reconnect" => Self::Reconnect,
            _ => Self::Other,
        })
    }
}

fn data<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, MessageError> {
    let (IgnoredAny, data, IgnoredAny) = rmp_serde::from_slice(bytes)?;
    Ok(data)
}

/// The version that a worker gives which is not written in Python: the master compares no version then.
pub(super) const NO_VERSION: i8 = -1;

/// The data of a `heartbeat` message.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Heartbeat {
    pub(super) state: &'static str,
    /// Percent of a CPU.
    pub(super) current_cpu_usage: f64,
    /// Bytes.
    pub(super) current_memory_usage: u64,
}

/// How many users run, in `spawning_complete` and `stats` messages.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Users {
    pub(super) user_classes_count: BTreeMap<String, u64>,
    pub(super) user_count: u64,
}

/// The data of a `stats` message.
#[derive(Debug, Serialize)]
pub(super) struct Stats {
    pub(super) stats: Vec<Report>,
    pub(super) stats_total: Report,
    pub(super) errors: BTreeMap<String, ErrorReport>,
    pub(super) user_classes_count: BTreeMap<String, u64>,
    pub(super) user_count: u64,
}

/// The data of an `exception` message.
#[derive(Debug, Serialize)]
pub(super) struct Exception<'a> {
    pub(super) msg: &'a str,
    pub(super) traceback: &'a str,
}

/// A message to the master.
pub(super) fn to_master(kind: &str, data: impl Serialize, worker: &str) -> Vec<u8> {
    rmp_serde::to_vec_named(&(kind, data, worker)).expect("numbers, text and maps can be written to memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spawn_message_of_python_is_read() {
        // msgpack.dumps(("spawn", {"timestamp": 1.5, "user_classes_count": {"A": 3, "B": 0}, "host": None,
        //   "stop_timeout": 2, "parsed_options": {"x": [1, None], 7: b"y"}}, "w"))
        let bytes = b"\x93\xa5spawn\x85\xa9timestamp\xcb?\xf8\x00\x00\x00\x00\x00\x00\xb2user_classes_count\
            \x82\xa1A\x03\xa1B\x00\xa4host\xc0\xacstop_timeout\x02\xaeparsed_options\x82\xa1x\x92\x01\xc0\x07\
            \xc4\x01y\xa1w";
        let classes = BTreeMap::from([("A".to_owned(), 3), ("B".to_owned(), 0)]);
        let spawn =
            Spawn { timestamp: 1.5, user_classes_count: classes, host: None, stop_timeout: Some(2.0) };
        assert_eq!(FromMaster::parse(bytes).unwrap(), FromMaster::Spawn(spawn));
    }

    #[test]
    fn other_messages_are_passed_over_and_what_is_none_is_refused() {
        let other = to_master("update_user_class", BTreeMap::from([("a", 1)]), "w");
        assert_eq!(FromMaster::parse(&other).unwrap(), FromMaster::Other);
        assert_eq!(FromMaster::parse(&to_master("quit", (), "w")).unwrap(), FromMaster::Quit);
        assert!(FromMaster::parse(b"\x93\xa5spawn\xc0\xa1w").is_err());
        assert!(FromMaster::parse(b"GET / HTTP/1.1").is_err());
    }
}
