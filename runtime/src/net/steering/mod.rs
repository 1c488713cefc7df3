//! Which core gets a new connection.

mod by_cpu;
mod group;
mod load;

pub(super) use group::Membership;
pub use group::PerCoreListener;
pub(super) use load::Seat;

/// How connections are spread over the cores that listen on one address; see [`PerCoreListener`].
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
