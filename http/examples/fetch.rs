//! A small curl: `fetch [-i] [-X METHOD] [-d BODY] [-H 'NAME: VALUE'] [-k] [-m SECONDS] URL`, through the proxies that the
//! environment names.

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use covet_http::Method;
use covet_http::client::{BuiltInCodings, Client, Proxies};

fn main() -> Result<(), Box<dyn Error>> {
    covet_runtime::block_on(fetch())?
}

async fn fetch() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (mut method, mut body, mut fields, mut seconds, mut url) = (None, None, Vec::new(), None, None);
    let (mut shows_head, mut verifies) = (false, true);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "-i" => shows_head = true,
            "-k" => verifies = false,
            "-X" => method = Some(Method::from_bytes(value()?.as_bytes())?),
            "-d" => body = Some(value()?),
            "-H" => fields.push(value()?),
            "-m" => seconds = Some(value()?.parse()?),
            _ => url = Some(argument),
        }
    }
    let url =
        url.ok_or("usage: fetch [-i] [-X METHOD] [-d BODY] [-H 'NAME: VALUE'] [-k] [-m SECONDS] URL")?;
    #[cfg_attr(not(feature = "tls"), expect(unused_mut, reason = "only TLS changes it"))]
    let mut builder = Client::builder()
        .proxies(Proxies::from_env()?)
        .content_decoder(std::rc::Rc::new(BuiltInCodings::default()));
    #[cfg(feature = "tls")]
    if !verifies {
        let tls = covet_http::tls::ClientConfig::builder().dangerous().accept_any_certificate().build()?;
        builder = builder.tls(tls);
    }
    #[cfg(not(feature = "tls"))]
    if !verifies {
        return Err("-k takes the feature `tls`".into());
    }
    let method = method.unwrap_or(if body.is_some() { Method::POST } else { Method::GET });
    let mut request = builder.build().request(method, url);
    for field in &fields {
        let (name, value) = field.split_once(':').ok_or("a field is NAME: VALUE")?;
        request = request.header(name.trim(), value.trim());
    }
    if let Some(body) = body {
        request = request.body(body);
    }
    if let Some(seconds) = seconds {
        request = request.timeout(Duration::from_secs(seconds));
    }
    let mut response = request.send().await?;
    let mut out = std::io::stdout();
    if shows_head {
        writeln!(out, "{:?} {}", response.version(), response.status())?;
        for (name, value) in response.headers() {
            writeln!(out, "{name}: {}", value.as_bytes().escape_ascii())?;
        }
        writeln!(out)?;
    }
    while let Some(piece) = response.chunk().await? {
        out.write_all(&piece)?;
    }
    Ok(())
}
