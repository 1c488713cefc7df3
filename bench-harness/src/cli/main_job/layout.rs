//! Which cores serve and which generate load.

use crate::load::{allowed_cpus, format_cpus};

/// Connections for each core of the server.
const CONNECTIONS_PER_CORE: usize = 64;

/// The split of the cores that this process may use: the lower half serves, the upper half generates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Layout {
    /// Cores of the server.
    pub(in crate::cli) server: Vec<usize>,
    /// Cores of the generator; empty when there is only one core.
    pub(in crate::cli) generator: Vec<usize>,
}

impl Layout {
    /// The split on this machine.
    pub(in crate::cli) fn here() -> Layout {
        Layout::of(&allowed_cpus())
    }

    /// The split for a server that is given: what is known of its cores and chosen for the generator counts, and the
    /// rest follows. A server on another machine leaves all cores to the generator.
    pub(in crate::cli) fn around(
        server: Option<Vec<usize>>,
        generator: Option<Vec<usize>>,
        local: bool,
    ) -> Layout {
        Layout::split(&allowed_cpus(), server, generator, local)
    }

    fn split(
        allowed: &[usize],
        server: Option<Vec<usize>>,
        generator: Option<Vec<usize>>,
        local: bool,
    ) -> Layout {
        if !local {
            return Layout { server: Vec::new(), generator: generator.unwrap_or_else(|| allowed.to_vec()) };
        }
        let without = |list: &[usize], taken: &[usize]| -> Vec<usize> {
            list.iter().copied().filter(|cpu| !taken.contains(cpu)).collect()
        };
        let halves = Layout::of(allowed);
        let generator = generator.unwrap_or_else(|| match &server {
            // A server that may run anywhere leaves the upper half alone for want of work, or competes for it.
            Some(server) if !without(allowed, server).is_empty() => without(allowed, server),
            _ => halves.generator.clone(),
        });
        let server = match server.map(|server| without(&server, &generator)) {
            Some(server) if !server.is_empty() => server,
            _ => {
                let left = without(allowed, &generator);
                if left.is_empty() { halves.server } else { left }
            }
        };
        Layout { server, generator }
    }

    fn of(cpus: &[usize]) -> Layout {
        let (server, generator) = cpus.split_at((cpus.len() / 2).max(1).min(cpus.len()));
        Layout { server: server.to_vec(), generator: generator.to_vec() }
    }

    /// How many cores both sides have.
    pub(in crate::cli) fn cores(&self) -> usize {
        self.server.len() + self.generator.len()
    }

    /// The cores of both sides.
    pub(in crate::cli) fn all(&self) -> Vec<usize> {
        self.server.iter().chain(&self.generator).copied().collect()
    }

    /// Connections of the generator, over all its cores.
    pub(in crate::cli) fn connections(&self) -> usize {
        CONNECTIONS_PER_CORE * self.server.len().max(1)
    }

    /// The server's cores as a list such as `0,2-5`.
    pub(in crate::cli) fn server_list(&self) -> String {
        format_cpus(&self.server)
    }

    /// The generator's cores as a list.
    pub(in crate::cli) fn generator_list(&self) -> String {
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
    fn a_given_server_keeps_its_cores() {
        let split = |server: Option<&[usize]>, generator: Option<&[usize]>| {
            let list = |cpus: Option<&[usize]>| cpus.map(<[usize]>::to_vec);
            let layout = Layout::split(&[0, 1, 2, 3], list(server), list(generator), true);
            (layout.server, layout.generator)
        };
        assert_eq!(split(None, None), (vec![0, 1], vec![2, 3]));
        assert_eq!(split(Some(&[0, 1, 2]), None), (vec![0, 1, 2], vec![3]));
        assert_eq!(split(Some(&[0, 1, 2, 3]), None), (vec![0, 1], vec![2, 3]));
        assert_eq!(split(None, Some(&[0])), (vec![1, 2, 3], vec![0]));
        assert_eq!(split(Some(&[3]), Some(&[2])), (vec![3], vec![2]));
        let away = Layout::split(&[0, 1], None, None, false);
        assert_eq!((away.server.len(), away.generator), (0, vec![0, 1]));
    }

    #[test]
    fn one_core_serves_and_none_generates() {
        let layout = Layout::of(&[3]);
        assert_eq!((layout.server.as_slice(), layout.generator.len()), (&[3][..], 0));
    }
}
