//! What each option of wrk, wrk2, oha, hey and ab is here.

use super::Tool;

/// How an option of a tool is said here.
pub(super) enum Meaning {
    /// This option, with the tool's value.
    Same(&'static str),
    /// This option, with a whole number that may have a suffix such as `1k`.
    Whole(&'static str),
    /// This option, with the tool's value, in seconds where it has no unit.
    Seconds(&'static str),
    /// As [`Meaning::Seconds`], for a timeout: 0 is none.
    Timeout,
    /// These words, and the option has no value.
    Words(&'static [&'static str]),
    /// Nothing: it changes what is printed, or how.
    Nothing,
    /// Nothing, and its value neither.
    NothingWithValue,
    /// As many generator threads as there are CPUs for, at most.
    Threads,
    /// A field of this name.
    Field(&'static str),
    /// `USER:PASSWORD`, in the field that Basic authentication has.
    Basic,
    /// A file with the body, sent by this method.
    BodyBy(&'static str),
    /// A rate for each connection.
    RatePerConnection,
    /// `HOST:PORT:HOST:PORT`, of which the second pair is where to connect to.
    ConnectTo,
    /// Nothing where the value is this one, and otherwise refused for this reason.
    Only(&'static str, &'static str),
    /// It cannot be done, for this reason.
    Refused(&'static str),
}

use Meaning::{
    Basic, BodyBy, ConnectTo, Field, Nothing, NothingWithValue, Only, RatePerConnection, Refused, Same,
    Seconds, Threads, Timeout, Whole, Words,
};

/// What closes a connection after each request.
pub(super) const CLOSE: &[&str] = &["--requests-per-connection", "1"];
const HTTP1: &str = "the generator speaks HTTP/1.1";
const LUA: &str = "scripts in Lua are not run: say what they do with --urls, --template and --body-lines";
const PROXY: &str = "proxies are not spoken to: load the proxy itself with --connect-to HOST:PORT";
const RANDOM_URLS: &str =
    "patterns are not known: write --template with fields such as {{hex:16}} in the URL";
const REDIRECT: &str = "redirections are not followed: load what they lead to";
const SIGNED: &str = "requests are not signed";
const ASIDE: &str = "nothing is loaded by it: ask the tool itself";
const ADDRESS: &str = "write the address into the URL, or --connect-to HOST:PORT";

impl Tool {
    /// What an option means; `None` where the tool has no such option.
    pub(super) fn meaning(self, option: &str) -> Option<Meaning> {
        match (self, option) {
            (_, "-c" | "--connections") => Some(Whole("-c")),
            (_, "-H" | "--header") => Some(Same("-H")),
            (Self::Wrk, _) => of_wrk(option),
            (Self::Oha, _) => of_oha(option),
            (Self::Hey, _) => of_hey(option),
            (Self::Ab, _) => of_ab(option),
        }
    }
}

fn of_wrk(option: &str) -> Option<Meaning> {
    Some(match option {
        "-t" | "--threads" => Threads,
        "-d" | "--duration" => Seconds("-d"),
        "-R" | "--rate" => Same("-R"),
        "-T" | "--timeout" => Timeout,
        "-s" | "--script" => Refused(LUA),
        "-v" | "--version" | "-h" | "--help" => Refused(ASIDE),
        "-L" | "--latency" | "-U" | "--u_latency" | "-B" | "--batch_latency" => Nothing,
        _ => return None,
    })
}

fn of_oha(option: &str) -> Option<Meaning> {
    Some(match option {
        "-n" => Same("-n"),
        "-z" => Seconds("-d"),
        "-q" => Same("-R"),
        "-m" | "--method" => Same("-X"),
        "-d" => Same("--body"),
        "-D" => Same("--body-file"),
        "-Z" => Same("--body-lines"),
        "-T" => Field("Content-Type"),
        "-A" => Field("Accept"),
        "--host" => Field("Host"),
        "-a" => Basic,
        "-t" => Timeout,
        "--disable-keepalive" => Words(CLOSE),
        "--unix-socket" => Same("--unix-socket"),
        "--connect-to" => ConnectTo,
        "--insecure" => Words(&["--insecure"]),
        "--cacert" => Same("--cacert"),
        "--cert" => Same("--cert"),
        "--key" => Same("--key"),
        "--worker-threads" => Threads,
        "--output-format" => Same("--output-format"),
        "--no-tui" | "--latency-correction" | "--no-color" | "--stats-success-breakdown" => Nothing,
        "-w" | "--wait-ongoing-requests-after-deadline" | "--disable-compression" | "--no-pre-lookup" => {
            Nothing
        }
        "-p" | "--fps" | "-u" | "--time-unit" | "--connect-timeout" => NothingWithValue,
        "-r" | "--redirect" => Only("0", REDIRECT),
        "--http-version" => Only("1.1", HTTP1),
        "--http2" => Refused(HTTP1),
        "-x" | "--proxy" | "--proxy-header" | "--proxy-http-version" | "--proxy-http2" => Refused(PROXY),
        "--rand-regex-url" | "--max-repeat" | "--dump-urls" => Refused(RANDOM_URLS),
        "--urls-from-file" => Refused("write --urls FILE, and one of its URLs as the URL"),
        "--burst-delay" | "--burst-rate" => Refused("write -R RATE --arrivals bursty:COUNT"),
        "-F" | "--form" => Refused("forms are not written: give the whole body with --body-file"),
        "--aws-session" | "--aws-sigv4" => Refused(SIGNED),
        "--ipv4" | "--ipv6" => Refused(ADDRESS),
        "--db-url" => Refused("there is no database: --out DIR keeps the run as a bundle"),
        "-o" | "--output" => Refused("standard output has the result: lead it into a file"),
        "-h" | "--help" | "-V" | "--version" => Refused(ASIDE),
        "--debug" => Refused("single requests are for curl -v"),
        _ => return None,
    })
}

fn of_hey(option: &str) -> Option<Meaning> {
    Some(match option {
        "-n" => Same("-n"),
        "-z" => Seconds("-d"),
        "-q" => RatePerConnection,
        "-m" => Same("-X"),
        "-d" => Same("--body"),
        "-D" => Same("--body-file"),
        "-T" => Field("Content-Type"),
        "-A" => Field("Accept"),
        "-host" => Field("Host"),
        "-a" => Basic,
        "-t" => Timeout,
        "-disable-keepalive" => Words(CLOSE),
        "-disable-compression" | "-disable-redirects" => Nothing,
        "-cpus" => Threads,
        "-o" => NothingWithValue,
        "-x" => Refused(PROXY),
        "-h2" => Refused(HTTP1),
        "-h" | "-help" => Refused(ASIDE),
        _ => return None,
    })
}

fn of_ab(option: &str) -> Option<Meaning> {
    Some(match option {
        "-n" => Same("-n"),
        "-t" => Seconds("-d"),
        "-s" => Timeout,
        "-m" => Same("-X"),
        "-p" => BodyBy("POST"),
        "-u" => BodyBy("PUT"),
        "-T" => Field("Content-Type"),
        "-C" => Field("Cookie"),
        "-A" => Basic,
        "-B" => Same("--bind"),
        "-i" => Words(&["-X", "HEAD"]),
        "-k" | "-q" | "-r" | "-l" | "-d" | "-S" | "-w" => Nothing,
        "-v" | "-g" | "-e" | "-x" | "-y" | "-z" => NothingWithValue,
        "-P" | "-X" => Refused(PROXY),
        "-b" => Refused("the kernel sizes the buffers of sockets"),
        "-I" => Refused("TLS always names the server: --sni NAME names another"),
        "-Z" => Refused("TLS negotiates its ciphers: --tls-max 1.2 and --tls-min 1.3 narrow them down"),
        "-f" => Refused("write --tls-min and --tls-max, each 1.2 or 1.3"),
        "-h" | "-V" => Refused(ASIDE),
        "-E" => Refused("write --cert FILE --key FILE"),
        _ => return None,
    })
}
