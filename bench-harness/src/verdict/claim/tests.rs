use super::*;
use proptest::prelude::*;

const COVETPY: &str = include_str!("../../../../claims/covetpy.toml");

fn reading(layer: Layer, depth: Option<usize>) -> Reading {
    Reading { layer, depth, quantile: None }
}

#[test]
fn the_claim_that_started_this_is_read_whole() {
    let claim = Claim::parse("claims/covetpy.toml", COVETPY).unwrap();
    assert_eq!(claim.value, 784_921.0);
    assert_eq!(claim.taken(), Some(reading(Layer::RouteMatch, None)));
    assert_eq!(
        claim.readings(),
        vec![
            reading(Layer::RouteMatch, None),
            reading(Layer::HttpLoopback, Some(1)),
            reading(Layer::HttpLoopback, Some(16)),
        ]
    );
    assert_eq!(claim.stated.connections, None);
    assert!((claim.threshold() - 745_674.95).abs() < 1e-6);
}

#[test]
fn mistakes_are_named_with_file_place_and_key() {
    let cases = [
        ("value = 784921", "value = \"many\"", "x.toml, line 5 (key `value`): invalid type: string \"many\""),
        ("value = 784921", "value = 0", "x.toml, line 5, key `value`: 0 is not a rate above zero"),
        ("value = 784921", "value = -3.5", "x.toml, line 5, key `value`: -3.5 is not a rate above zero"),
        ("value = 784921", "value = nan", "x.toml, line 5, key `value`: NaN is not a rate above zero"),
        ("value = 784921", "valeu = 784921", "(key `valeu`): unknown field `valeu`"),
        ("value = 784921", "", "x.toml: missing field `value`"),
        ("tolerance = 0.05", "tolerance = 5", "key `tolerance`: 5 is not a share from 0 to below 1"),
        ("schema = 1", "schema = 9", "key `schema`: 9 is not a known version, this build reads 1"),
        ("layer = \"route-match\"", "layer = \"kernel\"", "(key `layer`): unknown variant `kernel`"),
        ("depth = 16", "depth = 0", "key `read_as[1].depth`: 0 is not between 1 and 1024"),
        ("depth = 1\n", "", "line 32, key `read_as[0].depth`: an HTTP layer needs a depth"),
        (
            "layer = \"route-match\"",
            "layer = \"route-match\"\ndepth = 2",
            "`taken_in.depth`: only HTTP layers",
        ),
        ("document = ", "# document = ", "x.toml, line 10: missing field `document`"),
        ("[taken_in]", "[taken_in", "x.toml, line 23: unclosed table"),
    ];
    for (from, to, expected) in cases {
        let text = COVETPY.replacen(from, to, 1);
        assert_ne!(text, COVETPY, "the case replaces something: {from}");
        let error = Claim::parse("x.toml", &text).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        assert!(message.contains("x.toml") && !message.contains('\n'), "{message:?}");
        assert!(!error.remedy().is_empty());
    }
}

const LATENCY: &str = include_str!("../../../../claims/latency-10ms.toml");
const MEMORY: &str = include_str!("../../../../claims/memory-500mb.toml");

#[test]
fn contradictions_are_named() {
    let cases = [
        (LATENCY, "unit = \"ms\"", "unit = \"MB\"", "`unit`: `MB` is no unit of latency: write ms or us"),
        (
            LATENCY,
            "layer = \"http-loopback\"\ndepth = 1",
            "layer = \"route-match\"",
            "measured over HTTP only",
        ),
        (LATENCY, "quantile = 0.5", "quantile = 50", "`read_as[0].quantile`: 50 is not between 0 and 1"),
        (LATENCY, "quantile = 0.5\n", "", "`read_as[0].quantile`: a latency needs one"),
        (LATENCY, "[stated]", "[stated]\nquantile = 0.9", "states 0.9, and no `read_as` has it"),
        (LATENCY, "[stated]", "[stated]\nprotocol = \"WebSocket\"", "`WebSocket` cannot be measured"),
        (LATENCY, "[stated]", "[stated]\ndepth = 16", "states 16, and no `read_as` has it"),
        (LATENCY, "[stated]", "[stated]\nrate = 0", "`stated.rate`: 0 is not a rate above zero"),
        (LATENCY, "[stated]", "[stated]\ncores = 0", "`stated.cores`: 0 serves nobody"),
        (MEMORY, "[stated]", "[measure]\nconnections = 64\n[stated]", "64, but the source states 10000"),
        (MEMORY, "connections = 10000", "", "memory is that of a number of connections"),
        (MEMORY, "depth = 1", "depth = 16", "`read_as[0].depth`: memory is that of connections with one"),
        (MEMORY, "depth = 1", "depth = 1\nquantile = 0.5", "only a latency has one"),
        (MEMORY, "[stated]", "[measure]\nrate = 5\n[stated]", "not measured at a given rate"),
        (COVETPY, "[stated]", "[measure]\npath = \"json\"\n[stated]", "`json` does not begin with a slash"),
        (
            COVETPY,
            "value = 784921",
            "quantity = \"errors\"\nvalue = 1",
            "`unit`: `requests per second` is no",
        ),
    ];
    for (text, from, to, expected) in cases {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "the case replaces something: {from}");
        let message = Claim::parse("x.toml", &changed).unwrap_err().to_string();
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
}

#[test]
fn every_claim_of_the_folder_is_whole_and_quotes_nothing_that_it_has_not_seen() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../claims");
    let mut claimed = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let claim = Claim::load(&entry.unwrap().path()).unwrap();
        assert!(claim.taken_in.is_some() || claim.source.quotes.is_empty(), "{}", claim.name);
        assert!(!claim.words().is_empty());
        claimed.push((claim.quantity, claim.value, claim.unit.clone()));
    }
    let audit = [
        (Quantity::Rate, &[784_921.0, 50_000.0, 100_000.0, 200_000.0][..], "requests per second"),
        (Quantity::Latency, &[10.0, 5.0], "ms"),
        (Quantity::Memory, &[500.0, 200.0], "MB"),
        (Quantity::Errors, &[1.0], "%"),
    ];
    for (quantity, values, unit) in audit {
        for &value in values {
            assert!(
                claimed.contains(&(quantity, value, unit.to_owned())),
                "{value} {unit} is not in {claimed:?}"
            );
        }
    }
}

#[test]
fn thresholds_lie_on_the_worse_side() {
    let latency = Claim::parse("x.toml", LATENCY).unwrap();
    assert!((latency.figure() - 0.010).abs() < 1e-12 && (latency.threshold() - 0.0105).abs() < 1e-9);
    assert_eq!(latency.words(), "at most 10.0 ms");
    let memory = Claim::parse("x.toml", MEMORY).unwrap();
    assert_eq!((memory.figure(), memory.connections()), (500e6, Some(10_000)));
}

#[test]
fn a_missing_file_is_named() {
    let error = Claim::load(Path::new("/nonexistent/claim.toml")).unwrap_err();
    assert_eq!(error.to_string(), "claim file /nonexistent/claim.toml cannot be read");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(cut in 0..COVETPY.len(), junk in "[\\PC\n]{0,40}") {
        let cut = (0..=cut).rev().find(|&at| COVETPY.is_char_boundary(at)).unwrap();
        let text = format!("{}{junk}{}", &COVETPY[..cut], &COVETPY[cut..]);
        if let Err(error) = Claim::parse("x.toml", &text) {
            prop_assert!(error.to_string().starts_with("claim file x.toml"));
        }
    }
}
