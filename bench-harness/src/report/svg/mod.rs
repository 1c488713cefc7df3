//! Charts as inline SVG: no script, no font and no file from elsewhere, and the same bytes for the same data.
//!
//! Colours come from the page's style sheet by class, so one chart serves light and dark.

mod axis;
pub mod heat;
pub mod latency;
pub mod rates;
pub mod shift;
pub mod time;

use std::fmt::Write;

/// The size of a chart in its own units; the page scales it to the width that it has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

/// The size of a chart on a desk.
pub const WIDE: Size = Size { width: 860.0, height: 400.0 };
/// The size of a chart in a hand.
pub const NARROW: Size = Size { width: 358.0, height: 320.0 };

/// Text with what means something in HTML replaced; fit for content and for quoted attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A chart as a file of its own, with the page's style sheet inside it.
pub fn standalone(chart: &str) -> String {
    let style = format!("<style>{}svg{{background:var(--card)}}</style>", super::html::STYLE);
    let head = "<svg xmlns=\"http://www.w3.org/2000/svg\" ";
    match chart.strip_prefix("<svg ").and_then(|rest| rest.split_once('>')) {
        Some((attributes, content)) => format!("{head}{attributes}>\n{style}\n{content}\n"),
        None => chart.to_owned(),
    }
}

/// Where the data lie inside a chart.
#[derive(Debug, Clone, Copy)]
struct Plot {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

/// Begins a chart that a screen reader announces as `label`.
fn open(size: Size, label: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {:.0} {:.0}\" role=\"img\" aria-label=\"{}\">",
        size.width,
        size.height,
        escape(label)
    )
}

fn line(out: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let _ = write!(
        out,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    );
}

/// `anchor` is start, middle or end.
fn text(out: &mut String, class: &str, at: (f64, f64), anchor: &str, content: &str) {
    let _ = write!(
        out,
        "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
        at.0,
        at.1,
        escape(content)
    );
}

/// A dot that names its value when pointed at.
fn dot(out: &mut String, class: &str, at: (f64, f64), radius: f64, title: &str) {
    let _ = write!(
        out,
        "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius}\"><title>{}</title></circle>",
        at.0,
        at.1,
        escape(title)
    );
}

fn path(out: &mut String, class: &str, points: impl Iterator<Item = (f64, f64)>) {
    let mut data = String::new();
    for (i, (x, y)) in points.enumerate() {
        let _ = write!(data, "{}{x:.1} {y:.1}", if i == 0 { "M" } else { "L" });
    }
    if !data.is_empty() {
        let _ = write!(out, "<path class=\"{class}\" d=\"{data}\"/>");
    }
}

/// What lies between two lines that have their points at the same places; nothing without two points.
fn area(out: &mut String, class: &str, upper: &[(f64, f64)], lower: &[(f64, f64)]) {
    if upper.len() < 2 {
        return;
    }
    let mut data = String::new();
    for (i, (x, y)) in upper.iter().chain(lower.iter().rev()).enumerate() {
        let _ = write!(data, "{}{x:.1} {y:.1}", if i == 0 { "M" } else { "L" });
    }
    let _ = write!(out, "<path class=\"{class}\" d=\"{data}Z\"/>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_of_its_own_has_its_namespace_and_style() {
        let file = standalone(&format!("{}<path d=\"M0 0\"/></svg>", open(WIDE, "a > b")));
        assert!(
            file.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 860 400\""),
            "{file}"
        );
        assert!(file.contains("aria-label=\"a &gt; b\">\n<style>:root{"), "{file}");
        assert!(file.ends_with("</style>\n<path d=\"M0 0\"/></svg>\n"), "{file}");
        // What would end the style sheet, or the file's being XML.
        assert!(!super::super::html::STYLE.contains(['<', '&']));
    }

    #[test]
    fn nothing_escapes_the_escape() {
        assert_eq!(escape("a<b>&\"'é"), "a&lt;b&gt;&amp;&quot;&#39;é");
        let mut out = open(WIDE, "\"><script>");
        text(&mut out, "tick", (1.0, 2.0), "end", "</text><script>");
        dot(&mut out, "run", (1.0, 2.0), 3.0, "<script>");
        assert!(!out.contains("<script"), "{out}");
    }
}
