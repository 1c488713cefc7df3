//! Making a client.

use std::path::Path;
use std::rc::Rc;

use covet_runtime::net::ConnectOptions;
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::config::Config;
use super::pool::Pool;
use super::{Client, ContentDecoder, Limits, PoolSettings, Proxies, Redirects, Shared, Timeouts};

/// Makes a [`Client`].
#[must_use]
pub struct ClientBuilder {
    pub(super) config: Config,
    pool: PoolSettings,
}

impl ClientBuilder {
    pub(super) fn new() -> ClientBuilder {
        let mut fields = HeaderMap::new();
        fields.insert(ACCEPT, HeaderValue::from_static("*/*"));
        fields.insert(USER_AGENT, HeaderValue::from_static(concat!("covet/", env!("CARGO_PKG_VERSION"))));
        let limits = Limits::default();
        let config = Config {
            timeouts: Timeouts::default(),
            codec_limits: limits.of_codec(),
            limits,
            redirects: Redirects::default(),
            fields,
            connect: ConnectOptions { timeout: None, ..ConnectOptions::default() },
            proxies: Proxies::none(),
            unix_socket: None,
            decoder: None,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            proxy_tls: None,
        };
        ClientBuilder { config, pool: PoolSettings::default() }
    }

    /// How long each part of an exchange may take.
    pub fn timeouts(mut self, timeouts: Timeouts) -> ClientBuilder {
        self.config.timeouts = timeouts;
        self
    }

    /// How much of everything a response may have.
    pub fn limits(mut self, limits: Limits) -> ClientBuilder {
        self.config.codec_limits = limits.of_codec();
        self.config.limits = limits;
        self
    }

    /// Which connections are kept for later requests.
    pub fn pool(mut self, pool: PoolSettings) -> ClientBuilder {
        self.pool = pool;
        self
    }

    /// Which redirects are followed.
    pub fn redirects(mut self, redirects: Redirects) -> ClientBuilder {
        self.config.redirects = redirects;
        self
    }

    /// A field of every request that does not set it itself. `Accept: */*` and a User-Agent are there unless set.
    pub fn default_header(mut self, name: HeaderName, value: HeaderValue) -> ClientBuilder {
        self.config.fields.insert(name, value);
        self
    }

    /// How TCP connections are made: local address, keep-alive probes, resolver. Its time limit is
    /// [`Timeouts::connect`], whatever it says.
    pub fn connect_options(mut self, options: ConnectOptions) -> ClientBuilder {
        self.config.connect = ConnectOptions { timeout: None, ..options };
        self
    }

    /// Which requests go through which proxy. Default: none, whatever the environment says; see
    /// [`Proxies::from_env`].
    pub fn proxies(mut self, proxies: Proxies) -> ClientBuilder {
        self.config.proxies = proxies;
        self
    }

    /// Sends every request over a Unix socket. The URL says what is asked for, and not where; proxies are not used.
    pub fn unix_socket(mut self, path: impl AsRef<Path>) -> ClientBuilder {
        self.config.unix_socket = Some(path.as_ref().into());
        self
    }

    /// What undoes content codings. Default: none, and none is asked for.
    pub fn content_decoder(mut self, decoder: Rc<dyn ContentDecoder>) -> ClientBuilder {
        self.config.decoder = Some(decoder);
        self
    }

    /// Whom https trusts, and what it shows. Default: [`ClientConfig::usual`](crate::tls::ClientConfig::usual), read
    /// when it is first needed.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::tls::ClientConfig) -> ClientBuilder {
        self.config.tls = Some(tls);
        self
    }

    /// Whom https proxies are trusted by, and what they are shown; [`ClientBuilder::tls`] is for servers alone. Default:
    /// [`ClientConfig::usual`](crate::tls::ClientConfig::usual), read when it is first needed.
    #[cfg(feature = "tls")]
    pub fn proxy_tls(mut self, tls: crate::tls::ClientConfig) -> ClientBuilder {
        self.config.proxy_tls = Some(tls);
        self
    }

    /// Makes the client.
    pub fn build(self) -> Client {
        Client {
            shared: Rc::new(Shared {
                config: self.config,
                pool: Pool::new(self.pool),
                #[cfg(feature = "tls")]
                tls: Default::default(),
                #[cfg(feature = "tls")]
                proxy_tls: Default::default(),
            }),
        }
    }
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("timeouts", &self.config.timeouts)
            .field("pool", &self.pool)
            .finish()
    }
}
