//! tokio-postgres over our streams, against a real server.
//!
//! `cargo test -p covet-ecosystem --test postgres -- --ignored` where PostgreSQL is installed (Debian: `apt-get install
//! postgresql`). The test starts a server of its own in a new directory and stops it.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use covet_runtime::net::TcpStream;
use covet_runtime::{Runtime, compat, spawn, time};
use futures_util::TryStreamExt as _;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt};
use tokio_postgres::{Config, NoTls};

/// A server of our own; it ends with this value.
struct Server {
    process: Child,
    home: PathBuf,
    port: u16,
    _reserved: OwnedFd,
}

fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let newest = versions.map(|version| version.unwrap().path()).max().expect("a version of PostgreSQL");
    newest.join("bin")
}

/// PostgreSQL refuses to run as root; there it runs as its own user.
fn command(program: &Path) -> Command {
    if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

impl Server {
    fn start() -> Server {
        let home = std::env::temp_dir().join(format!("covet-postgres-{}", std::process::id()));
        std::fs::create_dir(&home).unwrap();
        if rustix::process::geteuid().is_root() {
            assert!(Command::new("chown").arg("postgres:").arg(&home).status().unwrap().success());
        }
        let data = home.join("data");
        let made = command(&binaries().join("initdb"))
            .args(["--auth=trust", "--username=covet", "--no-sync", "--pgdata"])
            .arg(&data)
            .current_dir(&home)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        // Bound here meanwhile, so that nobody else is given it; who sets SO_REUSEADDR can all the same (socket(7)).
        let reserved = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        sockopt::set_socket_reuseaddr(&reserved, true).unwrap();
        bind(&reserved, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let port = SocketAddr::try_from(getsockname(&reserved).unwrap()).unwrap().port();
        let process = command(&binaries().join("postgres"))
            .args(["-F", "-h", "127.0.0.1", "-p", &port.to_string(), "-k", "", "-D"])
            .arg(&data)
            .current_dir(&home)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Server { process, home, port, _reserved: reserved }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        // SIGINT is PostgreSQL's fast shutdown.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

async fn connect(config: &Config, port: u16) -> tokio_postgres::Client {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Ok(stream) = TcpStream::connect(([127, 0, 0, 1], port).into()).await
            && let Ok((client, connection)) = config.connect_raw(stream, NoTls).await
        {
            spawn(async move { connection.await.unwrap() }).detach();
            return client;
        }
        assert!(Instant::now() < end, "the server did not come up");
        time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
#[ignore = "needs PostgreSQL"]
fn queries_and_transactions_and_copies() {
    let server = Server::start();
    let port = server.port;
    let tokio = compat::tokio::helper().unwrap();
    Runtime::builder()
        .beside_tokio(tokio.handle())
        .block_on(async move {
            let mut config = Config::new();
            config.user("covet").dbname("postgres");
            let mut client = connect(&config, port).await;
            client.batch_execute("create table visits (id bigint primary key, name text)").await.unwrap();
            let change = client.transaction().await.unwrap();
            for id in 0..100i64 {
                change
                    .execute("insert into visits values ($1, $2)", &[&id, &format!("visitor {id}")])
                    .await
                    .unwrap();
            }
            change.commit().await.unwrap();
            let undone = client.transaction().await.unwrap();
            undone.execute("delete from visits", &[]).await.unwrap();
            drop(undone);
            // Many at once on one connection, which pipelines them.
            let client = std::rc::Rc::new(client);
            let mut all = Vec::new();
            for id in 0..50i64 {
                let client = client.clone();
                all.push(spawn(async move {
                    let row =
                        client.query_one("select name from visits where id = $1", &[&id]).await.unwrap();
                    row.get::<_, String>(0)
                }));
            }
            for (id, one) in all.into_iter().enumerate() {
                assert_eq!(one.await.unwrap(), format!("visitor {id}"));
            }
            let row = client.query_one("select count(*) from visits", &[]).await.unwrap();
            assert_eq!(row.get::<_, i64>(0), 100, "the deletion was rolled back");
            let copied: Vec<_> = client
                .copy_out("copy (select repeat('x', 1000) from generate_series(1, 2000)) to stdout")
                .await
                .unwrap()
                .try_collect()
                .await
                .unwrap();
            assert_eq!(copied.iter().map(|part| part.len()).sum::<usize>(), 2_000 * 1_001);
            let wrong = client.query("select nothing from nowhere", &[]).await.unwrap_err();
            assert!(wrong.as_db_error().is_some());
        })
        .unwrap();
}
