//! The options that say which server is judged or watched, of all commands that can take any.

use std::net::{Ipv4Addr, TcpListener};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::exit::{Advice, Advise, Exit};
use super::main_job::layout::Layout;
use super::secure::SecureArgs;
use crate::experiment::{ServerCommand, Subject};
use crate::load::{TargetUrl, parse_cpus};
use crate::verdict::judge::Unproven;
use crate::verdict::{Claim, Quantity};

/// Which server, and on which CPUs.
#[derive(Debug, Clone, Args)]
pub struct SubjectArgs {
    /// URL of the server [default: Covet's reference service, started for this]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Shell command that starts the server, anew for each run, at the URL, or at a port of 127.0.0.1 that it is given
    /// as `{port}`; `{cpus}` stands for its CPUs
    #[arg(long, value_name = "COMMAND", value_parser = NonEmptyStringValueParser::new())]
    pub server_cmd: Option<String>,
    /// Process of a server that runs already, for its CPU time and memory [default: who listens on the URL's port here]
    #[arg(long, requires = "url", conflicts_with = "server_cmd")]
    pub pid: Option<u32>,
    /// CPUs of the server, such as 0,2-5 [default: those that its process may use, without the generator's]
    #[arg(long, value_name = "LIST")]
    pub server_cpus: Option<String>,
    /// CPUs of the generator [default: the upper half, or those that the server leaves]
    #[arg(long, value_name = "LIST")]
    pub cpus: Option<String>,
    /// TLS.
    #[command(flatten)]
    pub secure: SecureArgs,
}

/// A server that was chosen.
#[derive(Debug)]
pub struct Chosen {
    /// The server.
    pub subject: Subject,
    /// Its CPUs and the generator's.
    pub(super) layout: Layout,
}

impl SubjectArgs {
    /// The server that the options name; `path` is what is asked of one without a URL.
    ///
    /// # Errors
    /// With the exit status of a usage error when an option makes no sense, and of a runtime error when nothing listens
    /// at the URL.
    pub fn choose(&self, path: &str) -> anyhow::Result<Chosen> {
        let given_cpus = list("--server-cpus", &self.server_cpus)?;
        let generator_cpus = list("--cpus", &self.cpus)?;
        let subject = match (&self.url, &self.server_cmd) {
            (None, None) => {
                Subject::Reference { path: path.to_owned(), cpus: Vec::new(), arguments: Vec::new() }
            }
            (None, Some(command)) => {
                if !command.contains("{port}") {
                    return Err(Advice::error(
                        Exit::Usage,
                        "--server-cmd without a --url must say where it listens",
                        "Add --url, or write {port} in the command where its port stands",
                    ));
                }
                let port = free_port().advise("there is no free port on 127.0.0.1", "Give a --url")?;
                let url = TargetUrl::parse(&format!("http://127.0.0.1:{port}{path}"))?;
                let command = command.replace("{port}", &port.to_string());
                Subject::Command { server: ServerCommand { command, cpus: None }, url }
            }
            (Some(url), Some(command)) => {
                let url = parse(url)?;
                let command = command.replace("{port}", &url.port().to_string());
                Subject::Command { server: ServerCommand { command, cpus: None }, url }
            }
            (Some(url), None) => Subject::running(parse(url)?, self.pid)?,
        };
        let known = match &subject {
            Subject::Running { .. } => subject.cpus(),
            _ => None,
        };
        let layout = Layout::around(given_cpus.or(known), generator_cpus, subject.is_local());
        Ok(Chosen { subject: subject.on(&layout.server), layout })
    }
}

impl Chosen {
    /// Confines a server that is started here to as many cores as a claim states, and says in what it differs from the
    /// claim still: notes for the reader, and what a result under such conditions does not prove.
    pub(super) fn serve_as(&mut self, claim: &Claim) -> (Vec<String>, Unproven) {
        let (mut notes, mut unproven) = (Vec::new(), Unproven::default());
        if let Some(stated) = claim.stated.cores.map(|cores| cores as usize) {
            let running = matches!(self.subject, Subject::Running { .. });
            if self.layout.server.len() > stated && !running {
                self.layout.server.truncate(stated);
                self.subject = self.subject.clone().on(&self.layout.server);
            }
            let had = self.layout.server.len();
            let differs = |has: &str| {
                format!("The claim is of {stated} core(s) of the server, and this one has {has}.")
            };
            // A core more serves more, and takes memory of its own.
            let easier = (had > stated) != (claim.quantity == Quantity::Memory);
            match had {
                0 => notes.push(differs("cores that are not known")),
                had if had == stated => {}
                had if easier => unproven.good.push(differs(&had.to_string())),
                had => unproven.bad.push(differs(&had.to_string())),
            }
        }
        let stated = claim.stated.protocol.as_ref().map(|name| name.to_ascii_lowercase());
        match (stated, self.subject.is_secure()) {
            (Some(name), false) if name == "https" => unproven.good.push(
                "The claim is of HTTPS, and this server is loaded in the clear: give its https URL."
                    .to_owned(),
            ),
            (Some(name), true) if name == "http" => unproven.bad.push(
                "The claim is of HTTP in the clear, and this server is loaded over TLS: give its http URL."
                    .to_owned(),
            ),
            _ => {}
        }
        notes.extend(unproven.good.iter().chain(&unproven.bad).cloned());
        (notes, unproven)
    }
}

fn parse(url: &str) -> anyhow::Result<TargetUrl> {
    TargetUrl::parse(url).advise_usage("--url cannot be loaded", "Write http://host:port/path")
}

fn list(option: &str, text: &Option<String>) -> anyhow::Result<Option<Vec<usize>>> {
    let parsed = text.as_deref().map(parse_cpus).transpose();
    parsed.advise_usage(format!("{option} cannot be used"), "Write CPUs such as 0,2-5")
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen() -> Chosen {
        let arguments = SubjectArgs::default_for_tests();
        let mut chosen = arguments.choose("/json").expect("the reference service needs nothing");
        chosen.layout.server = vec![0, 1, 2];
        chosen
    }

    impl SubjectArgs {
        fn default_for_tests() -> SubjectArgs {
            use clap::Parser;
            #[derive(Debug, Parser)]
            struct Line {
                #[command(flatten)]
                subject: SubjectArgs,
            }
            Line::parse_from(["x"]).subject
        }
    }

    #[test]
    fn a_server_gets_as_many_cores_as_the_claim_is_of() {
        let claim = |cores: Option<u32>| {
            let text = include_str!("../../../claims/rate-50k.toml");
            let mut claim = Claim::parse("claims/rate-50k.toml", text).expect("a claim of the repository");
            claim.stated.cores = cores;
            claim
        };
        let mut one = chosen();
        assert_eq!(one.serve_as(&claim(Some(1))), (Vec::new(), Unproven::default()));
        assert_eq!((one.layout.server.clone(), one.subject.cpus()), (vec![0], Some(vec![0])));
        assert_eq!(chosen().serve_as(&claim(None)).0, Vec::<String>::new());
        assert_eq!(chosen().serve_as(&claim(Some(3))).0, Vec::<String>::new());
        let (notes, unproven) = chosen().serve_as(&claim(Some(8)));
        assert_eq!(notes, ["The claim is of 8 core(s) of the server, and this one has 3."]);
        assert_eq!((unproven.good.len(), unproven.bad), (0, notes));
    }
}
