//! Runs targets without cargo-fuzz: the corpus first, then what a seeded generator makes of it. It is told no coverage,
//! so it keeps the inputs whose outcome is new, and finds less than libFuzzer; but it runs wherever Rust does.
//!
//! `covet-http-fuzz [--seconds N] [--seed N] [TARGET...]`, in the folder that has `corpus/`.

mod mutate;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, io};

use covet_http_fuzz::{Signature, TARGETS, Target};
use mutate::{Random, mutate};

/// Inputs with a new outcome that are kept beside the corpus.
const MOST_KEPT: usize = 5_000;

fn main() -> ExitCode {
    let (mut seconds, mut seed, mut names) = (10, 1, Vec::new());
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse::<u64>().ok());
        let known = match argument.as_str() {
            "--seconds" => number().map(|number| seconds = number),
            "--seed" => number().map(|number| seed = number),
            name if TARGETS.iter().any(|(known, _)| *known == name) => Some(names.push(argument)),
            _ => None,
        };
        if known.is_none() {
            let known: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            eprintln!(
                "usage: covet-http-fuzz [--seconds N] [--seed N] [TARGET...], targets: {}",
                known.join(" ")
            );
            return ExitCode::from(2);
        }
    }
    let chosen =
        TARGETS.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|wanted| wanted == name));
    for target in chosen {
        match run(target, Duration::from_secs(seconds), seed) {
            Ok(None) => {}
            Ok(Some(path)) => {
                eprintln!("{}: FAILED; the input is in {}", target.0, path.display());
                return ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("{}: {error}", target.0);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Runs one target for this long. Returns where the input is that failed, if one did.
fn run((name, check): &Target, length: Duration, seed: u64) -> io::Result<Option<PathBuf>> {
    let started = Instant::now();
    let mut seeds = corpus(name)?;
    let committed = seeds.len();
    let mut outcomes = HashSet::new();
    for input in &seeds {
        match outcome(*check, input) {
            Some(signature) => outcomes.insert(signature),
            None => return keep(name, input).map(Some),
        };
    }
    let mut random = Random::new(seed);
    let mut runs = committed as u64;
    while started.elapsed() < length {
        for _ in 0..64 {
            let input = mutate(&seeds, &mut random);
            runs += 1;
            match outcome(*check, &input) {
                None => return keep(name, &input).map(Some),
                Some(signature) if seeds.len() < MOST_KEPT && outcomes.insert(signature) => seeds.push(input),
                Some(_) => {}
            }
        }
    }
    let elapsed = started.elapsed().as_secs_f64();
    println!(
        "{name}: {runs} runs in {elapsed:.0} s, {committed} seeds, {} outcomes, seed {seed}: no failure",
        outcomes.len()
    );
    Ok(None)
}

fn outcome(check: fn(&[u8]) -> Signature, input: &[u8]) -> Option<Signature> {
    catch_unwind(AssertUnwindSafe(|| check(input))).ok()
}

/// The target's committed inputs, in the order of their names.
fn corpus(name: &str) -> io::Result<Vec<Vec<u8>>> {
    let mut paths = fs::read_dir(Path::new("corpus").join(name))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    let seeds = paths.iter().map(fs::read).collect::<io::Result<Vec<_>>>()?;
    match seeds.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::NotFound, format!("corpus/{name} is empty"))),
        false => Ok(seeds),
    }
}

fn keep(name: &str, input: &[u8]) -> io::Result<PathBuf> {
    let folder = Path::new("artifacts").join(name);
    fs::create_dir_all(&folder)?;
    let path = folder.join("crash-stable");
    fs::write(&path, input)?;
    Ok(path)
}
