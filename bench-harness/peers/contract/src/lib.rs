//! What every peer shares, so that servers differ only in the framework under measurement.
//!
//! The command line (`--port P --cores N`), the listening socket, pinning from CPU 0 upwards, and the values
//! that the routes answer with. Runtimes that bring no HTTP server use [`engine`], a plain loop over `httparse`.

#[cfg(feature = "engine")]
pub mod engine;
mod place;
mod socket;

pub use place::{each_core, pin, pin_next};
pub use socket::listener;

use serde::Serialize;

/// The body of `GET /plaintext`.
pub const HELLO: &str = "Hello, World!";

/// The value that every peer sends as `Server`, the length of Covet's own, so that answers weigh the same.
pub const SERVER: &str = "covet";

/// The longest request body that a peer accepts, in bytes.
pub const BODY_LIMIT: usize = 2 * 1024 * 1024;

/// The value that `GET /json` serialises for each request.
#[derive(Serialize)]
pub struct Message {
    /// The text to send.
    pub message: &'static str,
}

impl Message {
    /// The message of the contract.
    pub const fn hello() -> Self {
        Self { message: HELLO }
    }
}

/// The command line of a peer.
#[derive(Clone, Copy, Debug)]
pub struct Arguments {
    /// The port on 127.0.0.1.
    pub port: u16,
    /// How many cores serve, from CPU 0 upwards.
    pub cores: usize,
}

impl Arguments {
    /// Reads the process's arguments; prints the usage and exits with 2 when they make no sense.
    pub fn from_process() -> Self {
        Self::parse(std::env::args().skip(1)).unwrap_or_else(|message| {
            eprintln!("{message}\nusage: --port P --cores N");
            std::process::exit(2)
        })
    }

    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self { port: 8080, cores: 1 };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
            let wrong = |_| format!("{name} wants a number, not {value:?}");
            match name.as_str() {
                "--port" => parsed.port = value.parse().map_err(wrong)?,
                "--cores" => parsed.cores = value.parse::<usize>().map_err(wrong)?.max(1),
                _ => return Err(format!("no option {name}")),
            }
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn arguments_are_read_in_any_order() {
        let parsed = parse("--cores 3 --port 7000").expect("a valid line");
        assert_eq!((parsed.port, parsed.cores), (7000, 3));
    }

    #[test]
    fn a_bad_number_names_the_option() {
        assert!(parse("--port http").expect_err("not a number").contains("--port"));
        assert!(parse("--core 1").expect_err("unknown").contains("--core"));
        assert!(parse("--port").expect_err("no value").contains("--port"));
    }
}
