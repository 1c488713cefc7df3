//! Two services of one program, measured in turns: is the second one slower?
//!
//!     cargo run --release -p covet-bench --example two_services
//!
//! Both answer with a list as JSON. One writes it anew for each request, the other has it ready. Prints the second over the
//! first, metric by metric, and exits with 97 where a run was invalid. Takes about half a minute.

use std::process::ExitCode;
use std::rc::Rc;

use covet_bench::experiment::Bench;
use covet_http::server::{Config, serve};
use covet_router::{Json, Router};

async fn written() -> Json<Vec<u32>> {
    Json((0..1000).collect())
}

fn main() -> anyhow::Result<ExitCode> {
    let outcome = Bench::new("/list").compare(
        |listener| serve(listener, Rc::new(Router::new().get("/list", written)), Config::default()),
        |listener| {
            let ready = Rc::new(format!("{:?}", (0..1000).collect::<Vec<u32>>()));
            let show = move || {
                let ready = ready.clone();
                async move { String::clone(&ready) }
            };
            serve(listener, Rc::new(Router::new().get("/list", show)), Config::default())
        },
    )?;
    print!("{outcome}");
    Ok(if outcome.pairs.is_valid() { ExitCode::SUCCESS } else { ExitCode::from(97) })
}
