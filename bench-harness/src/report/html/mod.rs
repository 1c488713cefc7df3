//! The report as one page of HTML that needs nothing else: no script, no font, no image from elsewhere.

mod sections;

use super::Report;
use super::svg::escape;

pub(super) const STYLE: &str = include_str!("style.css");

/// The page.
pub fn page(report: &Report) -> String {
    let body = [
        sections::head(report),
        sections::layers(report),
        sections::latency(report),
        sections::details(report),
        sections::claim(report),
        sections::environment(report),
    ];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}: {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
        escape(&report.claim.name),
        escape(report.overall.verdict.label()),
        body.concat()
    )
}

#[cfg(test)]
mod tests;
