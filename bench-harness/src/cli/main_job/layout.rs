//! Which cores serve and which generate load.

use crate::load::{allowed_cpus, format_cpus};

/// Connections for each core of the server.
const CONNECTIONS_PER_CORE: usize = 64;

/// The split of the cores that this process may use: the lower half serves, the upper half generates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Cores of the server.
    pub(super) server: Vec<usize>,
    /// Cores of the generator; empty when there is only one core.
    pub(super) generator: Vec<usize>,
}

impl Layout {
    /// The split on this machine.
    pub(super) fn here() -> Layout {
        Layout::of(&allowed_cpus())
    }

    fn of(cpus: &[usize]) -> Layout {
        let (server, generator) = cpus.split_at((cpus.len() / 2).max(1).min(cpus.len()));
        Layout { server: server.to_vec(), generator: generator.to_vec() }
    }

    /// How many cores both sides have.
    pub(super) fn cores(&self) -> usize {
        self.server.len() + self.generator.len()
    }

    /// The cores of both sides.
    pub(super) fn all(&self) -> Vec<usize> {
        self.server.iter().chain(&self.generator).copied().collect()
    }

    /// Connections of the generator, over all its cores.
    pub(super) fn connections(&self) -> usize {
        CONNECTIONS_PER_CORE * self.server.len().max(1)
    }

    /// The server's cores as a list such as `0,2-5`.
    pub(super) fn server_list(&self) -> String {
        format_cpus(&self.server)
    }

    /// The generator's cores as a list.
    pub(super) fn generator_list(&self) -> String {
        format_cpus(&self.generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_half_serves() {
        let layout = Layout::of(&[0, 1]);
        assert_eq!((layout.server.as_slice(), layout.generator.as_slice()), (&[0][..], &[1][..]));
        let layout = Layout::of(&[2, 4, 6, 8, 10]);
        assert_eq!((layout.server.as_slice(), layout.generator.as_slice()), (&[2, 4][..], &[6, 8, 10][..]));
        assert_eq!(layout.connections(), 128);
    }

    #[test]
    fn one_core_serves_and_none_generates() {
        let layout = Layout::of(&[3]);
        assert_eq!((layout.server.as_slice(), layout.generator.len()), (&[3][..], 0));
    }
}
