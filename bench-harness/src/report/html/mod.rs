//! Pages of HTML that need nothing else: no script, no font, no image from elsewhere.

pub(crate) mod facts;
pub(crate) mod parts;
pub(crate) mod plots;
pub mod run;
mod seconds;
mod sections;

use super::Report;

pub(super) const STYLE: &str = include_str!("style.css");

/// The page of a report.
pub fn page(report: &Report) -> String {
    let body = [
        sections::head(report),
        sections::layers(report),
        sections::latency(report),
        sections::details(report),
        sections::claim(report),
        sections::environment(report),
    ];
    let title = format!("{}: {}", report.claim.name, report.overall.verdict.label());
    parts::document(&title, &body.concat())
}

#[cfg(test)]
mod tests;
