//! Peer servers: the same small contract on other frameworks, measured beside Covet's reference service.
//!
//! Their sources are the workspace in `bench-harness/peers`, which has a lock file of its own. Each is built by
//! itself, so that one that does not build hides none of the others and no feature leaks between them.

pub mod build;
pub mod contest;
pub mod mode;
pub mod pace;
pub mod table;

use std::path::{Path, PathBuf};

/// A peer server in the peers' workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its name on the command line and in tables.
    pub name: &'static str,
    /// What it is built on, and how.
    pub about: &'static str,
}

impl Peer {
    /// The name of its package and of its executable.
    pub fn package(&self) -> String {
        format!("peer-{}", self.name)
    }
}

/// Every peer, in the order in which they are built: quick ones first.
pub const ALL: [Peer; 8] = [
    Peer { name: "hyper", about: "hyper 1, one current-thread tokio runtime per core" },
    Peer { name: "axum", about: "axum 0.8, one current-thread tokio runtime per core" },
    Peer { name: "axum-mt", about: "axum 0.8, axum::serve on the multi-thread tokio runtime" },
    Peer { name: "monoio", about: "monoio 0.2 on io_uring, a loop over httparse written by hand" },
    Peer { name: "glommio", about: "glommio 0.9 on io_uring, a loop over httparse written by hand" },
    Peer { name: "compio", about: "compio 0.19 on io_uring, a loop over httparse written by hand" },
    Peer { name: "actix-web", about: "actix-web 4 with its own accepting thread" },
    Peer { name: "ntex", about: "ntex 3 on its own io_uring driver" },
];

/// The peers of the given names, in the order of [`ALL`]; all of them for no names.
///
/// # Errors
/// The first name that no peer has.
pub fn select(names: &[String]) -> Result<Vec<Peer>, String> {
    let known = |name: &&String| ALL.iter().any(|peer| peer.name == name.as_str());
    match names.iter().find(|name| !known(name)) {
        Some(unknown) => Err(unknown.clone()),
        None if names.is_empty() => Ok(ALL.to_vec()),
        None => Ok(ALL.into_iter().filter(|peer| names.iter().any(|name| name == peer.name)).collect()),
    }
}

/// Where the peers' sources are: beside the sources that this program was built from.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_has_a_package_in_the_workspace() {
        for peer in ALL {
            let manifest = workspace().join(peer.name).join("Cargo.toml");
            let text = std::fs::read_to_string(&manifest).expect("a manifest for every peer");
            assert!(text.contains(&format!("name = \"{}\"", peer.package())), "{}", manifest.display());
        }
    }

    #[test]
    fn an_unknown_name_is_said() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(select(&names(&["axum", "nginx"])), Err("nginx".to_owned()));
        let two = select(&names(&["ntex", "axum"])).expect("both exist");
        assert_eq!(two.iter().map(|peer| peer.name).collect::<Vec<_>>(), ["axum", "ntex"]);
        assert_eq!(select(&[]).expect("all").len(), ALL.len());
    }
}
