use std::fs;
use std::time::Duration;

use super::sample::{bundle, hist, of, place, run};
use super::*;
use crate::record::Hist;

#[test]
fn what_is_written_is_read() {
    let bundle = bundle("whole", &[(4000, 1_000_000), (4100, 990_000)]);
    assert_eq!(bundle.runs.len(), 2);
    assert_eq!(bundle.manifest.files.len(), 3, "{:?}", bundle.manifest.files);
    assert_eq!(bundle.manifest.conditions["connections"], 8);
    let log = bundle.log(2, "response").unwrap().unwrap();
    let mut sum = Hist::new();
    log.iter().for_each(|interval| sum.add(&interval.hist));
    assert_eq!(*sum, *bundle.runs[1].response.histogram().unwrap().unwrap());
    assert!(bundle.log(3, "response").unwrap().is_none());
    assert!(bundle.manifest.environment.contains_key("kernel"));
    fs::remove_dir_all(bundle.folder).unwrap();
}

#[test]
fn a_folder_that_exists_is_refused() {
    let folder = place("exists");
    fs::create_dir(&folder).unwrap();
    let error = BundleWriter::create(&folder).unwrap_err();
    assert!(matches!(error, BundleError::Exists(_)), "{error}");
    let error = Bundle::read(&folder).unwrap_err();
    assert!(matches!(error, BundleError::NotABundle(_)), "{error}");
    fs::remove_dir(&folder).unwrap();
    assert!(matches!(Bundle::read(&folder).unwrap_err(), BundleError::Io { .. }));
}

#[test]
fn a_changed_file_is_damaged() {
    let bundle = bundle("changed", &[(4000, 1_000_000)]);
    for name in ["run-1.response.hlog", "result.json"] {
        let path = bundle.folder.join(name);
        let before = fs::read(&path).unwrap();
        fs::write(&path, [before.as_slice(), b" "].concat()).unwrap();
        let error = Bundle::read(&bundle.folder).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("SHA-256"), "{error}");
        fs::write(&path, before).unwrap();
    }
    fs::remove_file(bundle.folder.join("result.json")).unwrap();
    assert!(matches!(Bundle::read(&bundle.folder).unwrap_err(), BundleError::Io { .. }));
    fs::write(bundle.folder.join("manifest.json"), "{}").unwrap();
    assert!(matches!(Bundle::read(&bundle.folder).unwrap_err(), BundleError::Damaged { .. }));
    fs::remove_dir_all(bundle.folder).unwrap();
}

#[test]
fn a_manifest_cannot_name_files_elsewhere() {
    let bundle = bundle("elsewhere", &[(4000, 1_000_000)]);
    let path = bundle.folder.join("manifest.json");
    let text = fs::read_to_string(&path).unwrap().replace("run-1.response.hlog", "../../etc/passwd");
    fs::write(&path, text).unwrap();
    let error = Bundle::read(&bundle.folder).unwrap_err().to_string();
    assert!(error.contains("outside the bundle"), "{error}");
    fs::remove_dir_all(bundle.folder).unwrap();
}

#[test]
fn what_cannot_be_written_leaves_no_bundle() {
    let folder = place("in-the-way");
    let mut writer = BundleWriter::create(&folder).unwrap();
    fs::write(folder.join("run-1.lateness.hlog"), "in the way").unwrap();
    let mut logs = writer.logs(1);
    logs.add("response", 0, Duration::ZERO, Duration::from_secs(1), &hist(10, 1_000));
    logs.add("lateness", 0, Duration::ZERO, Duration::from_secs(1), &hist(10, 1_000));
    assert!(matches!(logs.finish().unwrap_err(), BundleError::Io { doing: "create", .. }));
    writer.add(Default::default());
    fs::write(folder.join("result.json"), "in the way").unwrap();
    let error = writer.finish(vec![run(100, 1_000)]).unwrap_err();
    assert!(matches!(error, BundleError::Io { .. }), "{error}");
    assert!(matches!(Bundle::read(&folder).unwrap_err(), BundleError::NotABundle(_)));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn generators_merge_exactly() {
    let (a, b) = (bundle("a", &[(4000, 1_000_000)]), bundle("b", &[(2000, 3_000_000)]));
    let folder = place("merged");
    let (runs, hash) = merge(&[a.clone(), b.clone()], BundleWriter::create(&folder).unwrap()).unwrap();
    assert_eq!(hash.len(), 64);
    let merged = Bundle::read(&folder).unwrap();
    assert_eq!(merged.runs.len(), 1);
    assert_eq!(merged.runs[0].rate, Some(6000.0));
    assert_eq!(merged.runs[0].count("completed"), 6000);
    assert_eq!(merged.runs[0].conditions["connections"], 16);
    assert_eq!(runs[0].bytes["in"], 600_000);
    let mut both = a.runs[0].response.histogram().unwrap().unwrap();
    both.add(&b.runs[0].response.histogram().unwrap().unwrap());
    assert_eq!(*merged.runs[0].response.histogram().unwrap().unwrap(), *both);
    let tags: Vec<String> =
        merged.log(1, "response").unwrap().unwrap().into_iter().filter_map(|interval| interval.tag).collect();
    assert_eq!(tags, ["worker-0", "worker-1", "worker-2", "worker-3"]);
    assert_eq!(merged.runs[0].other["intervals"][0]["completed"], 6000);
    for folder in [folder, a.folder, b.folder] {
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn merging_does_not_mix_what_differs() {
    let (a, mut b) = (bundle("c", &[(4000, 1_000_000)]), bundle("d", &[(2000, 3_000_000)]));
    let folder = place("refused");
    b.runs[0].conditions.insert("pipeline".to_owned(), 16.into());
    let error = merge(&[a.clone(), b.clone()], BundleWriter::create(&folder).unwrap()).unwrap_err();
    assert!(error.to_string().ends_with("pipeline"), "{error}");
    assert!(!folder.exists(), "what nothing was written to is removed");
    b.runs.push(b.runs[0].clone());
    let error = merge(&[a.clone(), b.clone()], BundleWriter::create(&folder).unwrap()).unwrap_err();
    assert!(matches!(error, MergeError::Repeats(..)), "{error}");
    for folder in [a.folder, b.folder] {
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn repeats_are_put_together_with_an_interval() {
    let (a, b) = (bundle("e", &[(4000, 1_000_000)]), bundle("f", &[(4100, 1_010_000), (3900, 990_000)]));
    let folder = place("joined");
    join(&[a.clone(), b.clone()], BundleWriter::create(&folder).unwrap()).unwrap();
    let joined = Bundle::read(&folder).unwrap();
    assert_eq!(joined.runs.iter().filter_map(|run| run.rate).collect::<Vec<_>>(), [4000.0, 4100.0, 3900.0]);
    assert_eq!(joined.log(3, "response").unwrap().unwrap().len(), 2);
    let text = fs::read_to_string(folder.join("result.json")).unwrap();
    let result: ResultDocument = serde_json::from_str(&text).unwrap();
    let rate = result.summary.unwrap().rate.unwrap();
    assert!(rate.lower < 3999.0 && rate.upper > 4001.0 && rate.runs == 3, "{rate:?}");
    for folder in [folder, a.folder, b.folder] {
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn fields_of_later_versions_are_kept() {
    let mut value = serde_json::to_value(of(100, &hist(100, 1_000))).unwrap();
    value["tomorrow"] = serde_json::json!({ "a": 1 });
    let run: RunDocument = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(run.other["tomorrow"]["a"], 1);
    assert_eq!(serde_json::to_value(&run).unwrap(), value);
}
