//! Answers every request with 13 bytes: `hello [--port P] [--cores N]`.

use std::rc::Rc;

use covet_http::{ContentType, Response, server, service_fn};
use covet_runtime::net::TcpListener;
use covet_runtime::{CoreSet, Runtime};

const PLAIN: ContentType = ContentType::new("text/plain");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let option = |name: &str| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name);
        arguments.nth(1)
    };
    let port: u16 = option("--port").map_or(Ok(8080), |port| port.parse())?;
    let cores: usize = option("--cores").map_or(Ok(1), |cores| cores.parse())?;
    let runtime = Runtime::builder().cores(CoreSet::count(cores)).handle_signals(true).start(
        move |_core| async move {
            match TcpListener::bind(([127, 0, 0, 1], port).into()) {
                Ok(listener) => {
                    let service = service_fn(|_request| async {
                        Response::new("Hello, World!").with_content_type(PLAIN)
                    });
                    server::serve(listener, Rc::new(service), server::Config::default()).await;
                }
                Err(error) => eprintln!("hello: {error}"),
            }
        },
    )?;
    runtime.join()?;
    Ok(())
}
