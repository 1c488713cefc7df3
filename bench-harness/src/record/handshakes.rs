//! The TLS handshakes of a run.

use std::time::Duration;

use covet_http::tls::{ConnectionInfo, Version};
use serde::Serialize;

use super::Hist;

/// What connections agreed on, and how many did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Agreed {
    /// `TLS 1.2` or `TLS 1.3`.
    pub version: &'static str,
    /// The cipher suite, such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher_suite: &'static str,
    /// Full handshakes.
    pub full: u64,
    /// Handshakes that resumed an earlier session.
    pub resumed: u64,
}

/// All handshakes, those before the window included.
#[derive(Debug, Clone)]
pub struct Handshakes {
    /// Whether the server's certificate had to be good.
    pub verified: bool,
    /// By what was agreed on, the first first.
    pub agreed: Vec<Agreed>,
    /// Time from the attempt to connect to the end of the handshake.
    pub times: Hist,
}

impl Handshakes {
    pub(crate) fn new(verified: bool) -> Self {
        Self { verified, agreed: Vec::new(), times: Hist::new() }
    }

    /// Counts a handshake that took this long, with the connecting before it.
    pub(crate) fn add(&mut self, info: &ConnectionInfo, time: Duration) {
        self.times.record(time, 1);
        self.count(Agreed {
            version: if info.version() == Version::Tls12 { "TLS 1.2" } else { "TLS 1.3" },
            cipher_suite: info.cipher_suite().unwrap_or("unknown"),
            full: u64::from(!info.is_resumed()),
            resumed: u64::from(info.is_resumed()),
        });
    }

    fn count(&mut self, more: Agreed) {
        let same =
            |known: &&mut Agreed| (known.version, known.cipher_suite) == (more.version, more.cipher_suite);
        match self.agreed.iter_mut().find(same) {
            Some(known) => {
                known.full += more.full;
                known.resumed += more.resumed;
            }
            None => self.agreed.push(more),
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.times.add(&other.times);
        for agreed in &other.agreed {
            self.count(agreed.clone());
        }
    }

    /// Full handshakes, whatever was agreed on.
    pub fn full(&self) -> u64 {
        self.agreed.iter().map(|agreed| agreed.full).sum()
    }

    /// Handshakes that resumed a session, whatever was agreed on.
    pub fn resumed(&self) -> u64 {
        self.agreed.iter().map(|agreed| agreed.resumed).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_agreed_on_alike_is_counted_together() {
        let agreed = |version, full, resumed| Agreed { version, cipher_suite: "A", full, resumed };
        let mut all = Handshakes::new(true);
        all.count(agreed("TLS 1.3", 1, 0));
        let mut others = Handshakes::new(true);
        others.count(agreed("TLS 1.2", 2, 0));
        others.count(agreed("TLS 1.3", 0, 3));
        all.merge(&others);
        assert_eq!(all.agreed, [agreed("TLS 1.3", 1, 3), agreed("TLS 1.2", 2, 0)]);
        assert_eq!((all.full(), all.resumed()), (3, 3));
    }
}
