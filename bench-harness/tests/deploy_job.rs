//! The Kubernetes Job of bench-harness/deploy: its manifest is one, and its containers' command, run here against an object
//! store that checks signatures, gives bundles that merge exactly.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as loudly as it does")]

mod disturbed;
mod folder;
mod nobody;
mod server;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use disturbed::expect_status;
use folder::Folder;
use nobody::nobody;
use serde_json::Value;
use server::{PATIENCE, Server};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

/// A program that scripts/install-test-tools has installed.
fn tool(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-tools/bin").join(name);
    assert!(path.exists(), "{} is missing: run scripts/install-test-tools", path.display());
    path
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// An S3 on a free port with one user and one bucket, gone when the test is over.
struct Store {
    server: Child,
    url: String,
    key: String,
    secret: String,
}

impl Store {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(tool("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        // The three calls below; every other one needs the signature of a user who may make it.
        command.env("INITIAL_NO_AUTH_ACTION_COUNT", "3");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = command.spawn().unwrap();
        let mut store = Self {
            server,
            url: format!("http://127.0.0.1:{port}"),
            key: String::new(),
            secret: String::new(),
        };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "the object store does not listen");
            std::thread::sleep(Duration::from_millis(100));
        }
        store.identify("Action=CreateUser");
        let policy =
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
        store.identify(&format!("Action=PutUserPolicy&PolicyName=all&PolicyDocument={policy}"));
        let keys = store.identify("Action=CreateAccessKey");
        let between = |tag: &str| {
            let (_, rest) = keys.split_once(&format!("<{tag}>")).unwrap();
            rest.split('<').next().unwrap().to_owned()
        };
        (store.key, store.secret) = (between("AccessKeyId"), between("SecretAccessKey"));
        store
    }

    fn identify(&self, what: &str) -> String {
        let data = format!("{what}&UserName=load&Version=2010-05-08");
        let arguments = [
            "-sS",
            "--fail",
            "--aws-sigv4",
            "aws:amz:us-east-1:iam",
            "--user",
            "a:b",
            "-d",
            &data,
            &self.url,
        ];
        let output = Command::new("curl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    }

    fn make_bucket(&self) {
        let empty = "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let user = format!("{}:{}", self.key, self.secret);
        let url = format!("{}/results", self.url);
        let arguments = [
            "-sS",
            "--fail",
            "--aws-sigv4",
            "aws:amz:us-east-1:s3",
            "--user",
            &user,
            "-H",
            empty,
            "-X",
            "PUT",
            &url,
        ];
        let output = Command::new("curl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The manifest, as the cluster would read it.
fn manifest() -> Value {
    let yaml = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))";
    let file = fs::File::open(deploy().join("kubernetes/job.yaml")).unwrap();
    let output = Command::new(tool("python3")).args(["-c", yaml]).stdin(file).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The manifest's generator of this index as a process, with what differs between a cluster and here.
fn container(manifest: &Value, index: usize, folder: &Path, here: &[(&str, &str)]) -> Command {
    let generator = &manifest["spec"]["template"]["spec"]["containers"][0];
    let words: Vec<&str> =
        generator["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let mut command = Command::new("env");
    command.args(&words).current_dir(folder).env("JOB_COMPLETION_INDEX", index.to_string());
    for variable in generator["env"].as_array().unwrap() {
        command.env(variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap());
    }
    command.env("PATH", path()).envs(here.iter().copied()).stdin(Stdio::null());
    command
}

/// What an image has in /usr/local/bin, and the system's own programs.
fn path() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_covet-bench")).parent().unwrap();
    format!("{}:{}:{}", deploy().display(), program.display(), std::env::var("PATH").unwrap())
}

#[test]
fn the_manifest_is_what_kubernetes_expects() {
    let path = deploy().join("kubernetes/job.yaml");
    let check = |path: &Path| {
        let mut command = Command::new(tool("kubernetes-validate"));
        command.args(["--strict", "-k", "1.30"]).arg(path).output().unwrap()
    };
    let output = check(&path);
    assert!(output.status.success(), "{}", said(&output));
    let folder = Folder::new("manifest");
    let wrong = folder.0.join("job.yaml");
    fs::write(&wrong, text(&path).replace("completionMode", "completionsMode")).unwrap();
    assert!(!check(&wrong).status.success(), "the check finds nothing");
}

/// The files below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn an_image_is_built_of_all_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let ignored = text(&deploy().join("Containerfile.dockerignore"));
    let mut sources = vec![root.join("Cargo.toml"), root.join("Cargo.lock"), deploy().join("indexed-job")];
    let members = ["runtime", "runtime/macros", "http", "router", "bench-harness"];
    members.iter().for_each(|member| files(&root.join(member).join("src"), &mut sources));
    assert!(sources.len() > 200, "{}", sources.len());
    // One of our modules is called target, as is what cargo makes.
    for source in sources {
        let name = source.strip_prefix(root).unwrap();
        for pattern in ignored.lines() {
            let kept = match pattern.strip_prefix("**/") {
                Some(part) => name.components().all(|component| component.as_os_str() != part),
                None => !name.starts_with(pattern),
            };
            assert!(kept, "{} is left out by {pattern}", name.display());
        }
    }
}

#[test]
fn bundles_meet_in_object_storage_and_merge_exactly() {
    let (folder, server, store) = (Folder::new("run"), Server::start(), Store::start());
    store.make_bucket();
    let manifest = manifest();
    assert_eq!(manifest["spec"]["completionMode"], "Indexed");
    let target = format!("http://{}/plaintext", server.address);
    let results = format!("{}/results/first", store.url);
    let here = [
        ("TARGET", target.as_str()),
        ("RESULTS", &results),
        ("OPTIONS", "-c 2 -d 1s --warmup 0 --think 5ms --probes off"),
        ("AWS_ACCESS_KEY_ID", &store.key),
        ("AWS_SECRET_ACCESS_KEY", &store.secret),
    ];
    let pods: Vec<PathBuf> = (0..3).map(|index| folder.0.join(format!("pod-{index}"))).collect();
    let generators: Vec<Child> = pods
        .iter()
        .enumerate()
        .map(|(index, pod)| {
            fs::create_dir(pod).unwrap();
            let mut command = container(&manifest, index, pod, &here);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for generator in generators {
        let output = generator.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains(&format!("{results}/generator-")), "{}", said(&output));
    }

    let collect = |count: &str, into: &str, secret: &str| {
        let mut command = Command::new(deploy().join("indexed-job"));
        command.args(["collect", count, into]).current_dir(&folder.0).env("PATH", path()).envs(here);
        command.env("AWS_SECRET_ACCESS_KEY", secret).output().unwrap()
    };
    let output = collect("3", "result", &store.secret);
    expect_status(&output, 0);
    let mut completed = 0;
    for (index, pod) in pods.iter().enumerate() {
        let (name, taken) = (format!("generator-{index}"), folder.0.join("result.generators"));
        for entry in fs::read_dir(pod.join(&name)).unwrap() {
            let file = entry.unwrap().file_name();
            let (sent, came) = (pod.join(&name).join(&file), taken.join(&name).join(&file));
            assert_eq!(fs::read(sent).unwrap(), fs::read(came).unwrap(), "{name}/{}", file.display());
        }
        let result: Value = serde_json::from_str(&text(&pod.join(&name).join("result.json"))).unwrap();
        assert_eq!(result["runs"][0]["conditions"]["seed"], index as u64 + 1);
        completed += result["runs"][0]["requests"]["completed"].as_u64().unwrap();
    }
    let merged: Value = serde_json::from_str(&text(&folder.0.join("result/result.json"))).unwrap();
    assert_eq!(merged["runs"][0]["requests"]["completed"], completed);
    assert_eq!(merged["runs"][0]["response"]["count"], completed);
    assert_eq!(merged["runs"][0]["conditions"]["connections"], 6);
    assert!(completed > 0);

    let output = collect("4", "more", &store.secret);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("generator-3 is not in"), "{}", said(&output));
    let output = collect("3", "stolen", "a wrong key");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("403"), "{}", said(&output));
}

#[test]
fn what_a_pod_cannot_do_is_told() {
    let (folder, manifest) = (Folder::new("told"), manifest());
    let run = |here: &[(&str, &str)]| {
        let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
        let output = container(&manifest, 0, &folder.0, &[&keys, here].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        said(&output)
    };
    let target = format!("http://{}/", nobody());
    let words = run(&[("TARGET", &target), ("OPTIONS", "-d 1s")]);
    assert!(words.contains("generator-0 has no result: covet-bench exited with 1"), "{words}");
    let words = run(&[("TARGET", &target), ("START_AT", "1000")]);
    assert!(words.contains("s after START_AT"), "{words}");
}
