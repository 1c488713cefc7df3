//! Which core gets a new connection.

mod by_cpu;
mod group;
mod load;

use std::fmt;
use std::str::FromStr;

pub(super) use group::Membership;
pub use group::PerCoreListener;
pub(super) use load::Seat;

/// How connections are spread over the cores that listen on one address; see [`PerCoreListener`].
///
/// ```
/// use covet_runtime::net::Steering;
///
/// assert_eq!("by-cpu".parse(), Ok(Steering::ByCpu));
/// assert_eq!(Steering::Balanced.to_string(), "balanced");
/// let error = "even".parse::<Steering>().unwrap_err();
/// assert_eq!(error.to_string(), "the steering is \"even\": write `hash`, `by-cpu` or `balanced`");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Steering {
    /// The kernel picks a core by a hash of both addresses and ports. Even for many clients, and free; a few long-lived
    /// connections may share a core while another idles.
    #[default]
    Hash,
    /// The core whose CPU received the packet takes the connection, by a small program in the kernel
    /// (SO_ATTACH_REUSEPORT_CBPF, socket(7)): the connection's packets, its socket and its task stay in one CPU's caches.
    /// It is only as even as the network card's spreading over CPUs, so it wants receive queues set up to match
    /// (RSS, or RPS in software). Packets of CPUs that are no core's go by the hash.
    ByCpu,
    /// As [`Steering::Hash`], but a core with more open connections than the mean of all cores, by an eighth and one
    /// more, hands a new one over to the core with the fewest. A connection that is handed over costs both cores a
    /// little; afterwards it is like any other. For connections that live long and are few or of unequal weight.
    Balanced,
}

impl FromStr for Steering {
    type Err = ParseSteeringError;

    /// Reads `hash`, `by-cpu` or `balanced`.
    fn from_str(text: &str) -> Result<Steering, ParseSteeringError> {
        [Steering::Hash, Steering::ByCpu, Steering::Balanced]
            .into_iter()
            .find(|steering| steering.to_string() == text)
            .ok_or_else(|| ParseSteeringError(text.to_owned()))
    }
}

impl fmt::Display for Steering {
    /// Writes what [`Steering::from_str`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Steering::Hash => "hash",
            Steering::ByCpu => "by-cpu",
            Steering::Balanced => "balanced",
        })
    }
}

/// A text, which it holds, is no [`Steering`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the steering is {0:?}: write `hash`, `by-cpu` or `balanced`")]
pub struct ParseSteeringError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steerings_are_read_as_they_are_written() {
        for (steering, text) in
            [(Steering::Hash, "hash"), (Steering::ByCpu, "by-cpu"), (Steering::Balanced, "balanced")]
        {
            assert_eq!(steering.to_string(), text);
            assert_eq!(text.parse(), Ok(steering));
        }
        for wrong in ["", "Hash", "by_cpu", "even"] {
            assert!(wrong.parse::<Steering>().unwrap_err().to_string().contains(&format!("{wrong:?}")));
        }
    }
}
