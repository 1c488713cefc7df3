//! X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host, as proxies write them; no standard has them.

use std::borrow::Cow;

use super::node::Node;
use super::{Hop, Hops, host, scheme, values};
use crate::Request;

pub(super) fn hops(request: &Request) -> Hops<'_> {
    let mut hops: Hops<'_> = list(request, "x-forwarded-for")
        .map(|text| Hop { node: Node::parse(text), ..Hop::default() })
        .collect();
    let schemes = list(request, "x-forwarded-proto").map(scheme);
    place(&mut hops, schemes, |hop, scheme| hop.scheme = scheme);
    let hosts = list(request, "x-forwarded-host").map(|text| host(Cow::Borrowed(text)));
    place(&mut hops, hosts, |hop, host| hop.host = host);
    hops
}

fn list<'r>(request: &'r Request, name: &'static str) -> impl Iterator<Item = &'r [u8]> {
    let values = values(request, name);
    values.flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

/// Gives each hop its own where every proxy has added one. Where not, the last counts, which the nearest proxy has let
/// through: it is what all of them agree on.
fn place<'r, T>(hops: &mut Hops<'r>, items: impl Iterator<Item = T>, set: impl Fn(&mut Hop<'r>, T)) {
    let mut items: Vec<T> = items.collect();
    if items.len() == hops.len() {
        hops.iter_mut().zip(items).for_each(|(hop, item)| set(hop, item));
    } else if let (Some(hop), Some(item)) = (hops.last_mut(), items.pop()) {
        set(hop, item);
    }
}
