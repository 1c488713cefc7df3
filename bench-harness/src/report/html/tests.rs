use super::*;
use crate::report::sample;

fn sample_page() -> String {
    page(&sample::report())
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = sample_page();
    for reference in
        ["http:", "https:", "//", "src=", "href=", "url(", "@import", "<script", "<link", "<iframe"]
    {
        assert!(!page.contains(reference), "the page holds {reference}");
    }
}

#[test]
fn the_page_is_small() {
    let size = sample_page().len();
    assert!(size < 300_000, "{size} bytes");
}

#[test]
fn text_from_outside_is_escaped() {
    let page = sample_page();
    assert!(page.contains("/tmp/&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("4.93x faster |"), "quotes of the source are there");
}

#[test]
fn every_element_is_closed() {
    let page = sample_page();
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page.as_str();
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("every tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        let void = ["!DOCTYPE", "meta", "br"].contains(&name) || tag.ends_with('/');
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !void {
            open.push(name);
        }
        if name == "style" && !tag.starts_with('/') {
            rest = &rest[rest.find("</style").expect("the style ends")..];
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn it_shows_every_layer_both_colour_schemes_and_both_widths() {
    let page = sample_page();
    for text in
        ["MIS-SPECIFIED", "CONFIRMED", "NOT REPRODUCIBLE HERE", "depth 16", "prefers-color-scheme:dark"]
    {
        assert!(page.contains(text), "{text}");
    }
    assert_eq!(page.matches("class=\"wide\"").count(), page.matches("class=\"narrow\"").count());
}

#[test]
fn the_json_form_names_its_schema_and_its_verdicts() {
    let json = serde_json::to_value(sample::report()).unwrap();
    assert_eq!(json["schema"], "covet-bench.report/1");
    assert_eq!(json["overall"]["verdict"], "mis-specified");
    assert_eq!(json["layers"][1]["judgement"]["verdict"], "not-reproducible-here");
    assert_eq!(json["layers"][1]["reading"]["layer"], "http-loopback");
    assert_eq!(json["layers"][0]["runs"].as_array().unwrap().len(), 7);
    assert!(json["latency"]["clocks"][0]["percentiles"][0]["value_ns"].as_u64().unwrap() > 0);
}
