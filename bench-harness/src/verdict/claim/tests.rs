use super::*;
use proptest::prelude::*;

const COVETPY: &str = include_str!("../../../../claims/covetpy.toml");

#[test]
fn the_claim_that_started_this_is_read_whole() {
    let claim = Claim::parse("claims/covetpy.toml", COVETPY).unwrap();
    assert_eq!(claim.value, 784_921.0);
    assert_eq!(claim.taken(), Reading { layer: Layer::RouteMatch, depth: None });
    assert_eq!(
        claim.readings(),
        vec![
            Reading { layer: Layer::RouteMatch, depth: None },
            Reading { layer: Layer::HttpLoopback, depth: Some(1) },
            Reading { layer: Layer::HttpLoopback, depth: Some(16) },
        ]
    );
    assert_eq!(claim.stated.connections, None);
    assert!((claim.threshold() - 745_674.95).abs() < 1e-6);
}

#[test]
fn mistakes_are_named_with_file_place_and_key() {
    let cases = [
        ("value = 784921", "value = \"many\"", "x.toml, line 5 (key `value`): invalid type: string \"many\""),
        ("value = 784921", "value = 0", "x.toml, key `value`: 0 is not a rate above zero"),
        ("value = 784921", "value = -3.5", "x.toml, key `value`: -3.5 is not a rate above zero"),
        ("value = 784921", "value = nan", "x.toml, key `value`: NaN is not a rate above zero"),
        ("value = 784921", "valeu = 784921", "(key `valeu`): unknown field `valeu`"),
        ("value = 784921", "", "missing field `value`"),
        ("tolerance = 0.05", "tolerance = 5", "key `tolerance`: 5 is not a share from 0 to below 1"),
        ("schema = 1", "schema = 9", "key `schema`: 9 is not a known version, this build reads 1"),
        ("layer = \"route-match\"", "layer = \"kernel\"", "(key `layer`): unknown variant `kernel`"),
        ("depth = 16", "depth = 0", "key `read_as[1].depth`: 0 is not between 1 and 1024"),
        ("depth = 1\n", "", "key `read_as[0].depth`: an HTTP layer needs a depth"),
        (
            "layer = \"route-match\"",
            "layer = \"route-match\"\ndepth = 2",
            "`taken_in.depth`: only HTTP layers",
        ),
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
