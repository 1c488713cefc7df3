//! Sessions in a file: requests that follow one another, with values taken out of the answers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use covet_http::Method;
use serde::Deserialize;

use super::exit::{Advice, Advise, Exit};
use crate::load::{Body, Extraction, RequestOptions, Target, TargetUrl};

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    step: Vec<Step>,
}

/// One request of a session.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// The path and query; on the server of the command line's URL.
    path: String,
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    /// Names of values, and where they are in the answer.
    #[serde(default)]
    extract: BTreeMap<String, String>,
}

/// Reads the steps of a scenario, with what the command line says of every request.
///
/// # Errors
/// With the exit status of a usage error.
pub fn read(path: &Path, url: &TargetUrl, request: &RequestOptions) -> anyhow::Result<Vec<Target>> {
    let text = fs::read_to_string(path).advise_usage(
        format!("the scenario {} cannot be read", path.display()),
        "Check its name and rights",
    )?;
    parse(&text, url, request).map_err(|error| {
        Advice::error(
            Exit::Usage,
            format!("the scenario {}: {error:#}", path.display()),
            "See docs/bench/load.md",
        )
    })
}

fn parse(text: &str, url: &TargetUrl, request: &RequestOptions) -> anyhow::Result<Vec<Target>> {
    let scenario: Scenario = toml::from_str(text)?;
    anyhow::ensure!(!scenario.step.is_empty(), "it has no step");
    scenario
        .step
        .into_iter()
        .enumerate()
        .map(|(number, step)| {
            step.target(url, request).map_err(|error| error.context(format!("step {}", number + 1)))
        })
        .collect()
}

impl Step {
    fn target(self, url: &TargetUrl, request: &RequestOptions) -> anyhow::Result<Target> {
        let extract = self
            .extract
            .iter()
            .map(|(name, place)| Ok(Extraction::parse(name, place)?))
            .collect::<anyhow::Result<_>>()?;
        let body = Body::from(self.body.into_bytes());
        let method = match &self.method {
            Some(name) => Method::from_bytes(name.as_bytes())?,
            None => body.usual_method(),
        };
        let fields = request.fields.iter().cloned().chain(self.headers).collect();
        Ok(Target {
            weight: 1.0,
            url: url.at(&self.path)?,
            request: RequestOptions { method, fields, body, template: true },
            extract,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Vec<Target>> {
        parse(text, &TargetUrl::parse("http://h:81/x").unwrap(), &RequestOptions::default())
    }

    #[test]
    fn steps_are_requests_in_order() {
        let steps = read(
            "[[step]]\npath = \"/login\"\nbody = \"u={{seq}}\"\nextract = { token = \"json:/t\" }\n\
             [[step]]\npath = \"/me\"\nheaders = { Authorization = \"Bearer {{value:token}}\" }\n",
        )
        .unwrap();
        assert_eq!(steps[0].url.to_string(), "http://h:81/login");
        assert_eq!(steps[0].extract[0].name, "token");
        assert_eq!((&steps[0].request.method, &steps[1].request.method), (&Method::POST, &Method::GET));
        assert_eq!(steps[1].request.fields[0].1, "Bearer {{value:token}}");
    }

    #[test]
    fn mistakes_name_their_step() {
        let error = |text: &str| format!("{:#}", read(text).unwrap_err());
        assert!(error("step = []").contains("no step"));
        assert!(error("[[step]]\npath = \"/\"\nverb = \"GET\"").contains("verb"));
        assert!(
            error("[[step]]\npath = \"/\"\n[[step]]\npath = \"/\"\nextract = { a = \"b\" }")
                .contains("step 2")
        );
        assert!(error("[[step]]\npath = \"no slash\"").contains("step 1"));
        assert!(error("[[step]]\npath = \"/\"\nmethod = \"A B\"").contains("step 1"));
    }
}
