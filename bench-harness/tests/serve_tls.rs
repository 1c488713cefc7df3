//! `covet-bench serve` over TLS, its reload and its redirect, asked by curl.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};

const COVET_BENCH: &str = env!("CARGO_BIN_EXE_covet-bench");

struct Served {
    child: Child,
    said: Vec<String>,
}

impl Served {
    /// Starts it on free ports and waits for this many lines.
    fn start(lines: usize, args: &[&str]) -> Served {
        let mut child = Command::new(COVET_BENCH)
            .args(["serve", "--listen", "127.0.0.1:0", "--cores", "0"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let said = stdout.lines().take(lines).map(|line| line.expect("it is text")).collect();
        Served { child, said }
    }

    /// The port after the last colon of the words up to ` on core` or the line's end.
    fn port(&self, line: usize) -> &str {
        let line = self.said[line].split(" on core").next().unwrap_or_default();
        let line = line.split(" to HTTPS").next().unwrap_or_default();
        line.rsplit(':').next().unwrap_or_default()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn curl(args: &[&str]) -> String {
    let output =
        Command::new("curl").args(["-sS", "--max-time", "30"]).args(args).output().expect("curl runs");
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}

/// A folder that is removed when the test ends.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A new certificate for localhost and its key, in these files.
fn issue(chain: &Path, key: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("it can be made");
    std::fs::write(chain, made.cert.pem()).expect("it is written");
    std::fs::write(key, made.signing_key.serialize_pem()).expect("it is written");
}

#[test]
fn a_certificate_is_made_on_the_spot_and_http_sent_to_it() {
    let served = Served::start(3, &["--tls-self-signed", "--redirect", "127.0.0.1:0"]);
    assert!(served.said[0].starts_with("listening on https://127.0.0.1:"), "{:?}", served.said);
    assert!(served.said[2].starts_with("certificate for development, SHA-256 "), "{:?}", served.said);
    let plain = format!("http://127.0.0.1:{}/user/7?x", served.port(1));
    let said = curl(&["-i", &plain]);
    assert!(said.starts_with("HTTP/1.1 308 "), "{said}");
    let there = format!("location: https://127.0.0.1:{}/user/7?x", served.port(0));
    assert!(said.to_ascii_lowercase().contains(&there), "{said}");
    assert_eq!(curl(&["-k", "-L", &plain]), "7");
}

#[test]
fn a_hangup_reads_the_files_again() {
    let scratch = Scratch(std::env::temp_dir().join(format!("covet-bench-tls-{}", std::process::id())));
    std::fs::create_dir_all(&scratch.0).expect("a folder for the test");
    let (chain, key) = (scratch.0.join("chain.pem"), scratch.0.join("key.pem"));
    issue(&chain, &key);
    let (chain_name, key_name) = (chain.to_str().expect("UTF-8"), key.to_str().expect("UTF-8"));
    let mut served = Served::start(1, &["--tls", chain_name, key_name]);
    let mut complaints = BufReader::new(served.child.stderr.take().expect("it is piped"));
    let resolve = format!("localhost:{}:127.0.0.1", served.port(0));
    let url = format!("https://localhost:{}/plaintext", served.port(0));
    let get = || curl(&["--cacert", chain_name, "--resolve", &resolve, &url]);
    assert_eq!(get(), "Hello, World!");
    let hang_up = |served: &Served, complaints: &mut BufReader<_>| {
        let process = Pid::from_child(&served.child);
        rustix::process::kill_process(process, Signal::HUP).expect("the server runs");
        loop {
            let mut line = String::new();
            assert_ne!(complaints.read_line(&mut line).expect("it is text"), 0, "it has ended");
            if line.starts_with("certificates ") {
                return line;
            }
        }
    };
    let old = std::fs::read(&chain).expect("it is there");
    std::fs::write(&chain, "nothing").expect("it is written");
    let said = hang_up(&served, &mut complaints);
    assert!(said.contains("the old ones are served on") && said.contains("chain.pem"), "{said}");
    std::fs::write(&chain, &old).expect("it is written");
    assert_eq!(get(), "Hello, World!");
    issue(&chain, &key);
    // Only the new certificate is trusted here, and it is not shown yet.
    assert!(get().contains("curl: (60)"), "the old certificate is still shown");
    assert_eq!(hang_up(&served, &mut complaints), "certificates reloaded\n");
    assert_eq!(get(), "Hello, World!");
}

#[test]
fn bad_files_end_the_start_with_one_line() {
    let mut served = Served::start(0, &["--tls", "/nonexistent/chain.pem", "/nonexistent/key.pem"]);
    let mut said = String::new();
    let mut stderr = served.child.stderr.take().expect("it is piped");
    stderr.read_to_string(&mut said).expect("it is text");
    assert_eq!(served.child.wait().expect("it ends").code(), Some(1));
    assert!(said.starts_with("covet-bench: can't read certificate /nonexistent/chain.pem: "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}
