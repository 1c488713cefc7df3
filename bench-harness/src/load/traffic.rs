//! What a run sends: one request over and over, or a mix of several.

use bytes::Bytes;
use covet_http::Method;

use super::extract::Extraction;
use super::plan::LoadPlan;
use super::request::{Body, RequestError, render_template};
use super::template::Template;
use super::{LoadError, RequestOptions, TargetUrl};
use crate::clock::Random;

/// One kind of request in a mix.
#[derive(Debug, Clone)]
pub struct Target {
    /// How often it is sent in relation to the others; above zero.
    pub weight: f64,
    /// What to ask for; on the server of the plan's own URL.
    pub url: TargetUrl,
    /// How to ask.
    pub request: RequestOptions,
    /// In a scenario: what to take out of the answer, for the steps after this one.
    pub extract: Vec<Extraction>,
}

/// The requests of a run, ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Traffic {
    kinds: Vec<Kind>,
    /// The weights of the kinds up to each one, over their sum.
    cumulative: Vec<f64>,
    /// The one request, where nothing changes.
    fixed: Option<Bytes>,
    method: Method,
    /// What a connection of WebSocket begins with, but for the fields that ask for it.
    handshake: Option<Template>,
    /// Whether the kinds are the steps of a session, in order.
    scenario: bool,
    /// How many values a session takes out of its answers.
    values: usize,
}

#[derive(Debug, Clone)]
struct Kind {
    head: Template,
    body: Template,
    /// Whether answers to it may be expected to have one length.
    same_length: bool,
    /// What to take out of the answer, each with its place among the values.
    extract: Vec<(usize, Extraction)>,
}

impl Traffic {
    pub(super) fn new(plan: &LoadPlan) -> Result<Self, LoadError> {
        let own =
            Target { weight: 1.0, url: plan.url.clone(), request: plan.request.clone(), extract: Vec::new() };
        let targets = if plan.mix.is_empty() { std::slice::from_ref(&own) } else { &plan.mix[..] };
        let method = targets[0].request.method.clone();
        if targets.len() > usize::from(u16::MAX) + 1 {
            return Err(RequestError::Kinds(targets.len()).into());
        }
        let mut names: Vec<String> = Vec::new();
        let mut kinds = Vec::with_capacity(targets.len());
        let (mut cumulative, mut sum) = (Vec::with_capacity(targets.len()), 0.0);
        for target in targets {
            if (target.request.method == Method::HEAD) != (method == Method::HEAD) {
                return Err(RequestError::MixedHead.into());
            }
            if !target.url.same_server(&plan.url) {
                return Err(RequestError::OtherServer { url: target.url.to_string() }.into());
            }
            if !(target.weight > 0.0 && target.weight.is_finite()) {
                return Err(RequestError::Weight { url: target.url.to_string() }.into());
            }
            let (mut head, body) = render_template(&target.url, &target.request, &names)?;
            if plan.url.is_web_socket() {
                // A request is a message.
                head = Template::literal(Vec::new());
            }
            let same_length = head.is_constant() && body.is_constant();
            let mut extract = Vec::with_capacity(target.extract.len());
            for extraction in &target.extract {
                let known = names.iter().position(|name| *name == extraction.name);
                let place = known.unwrap_or_else(|| {
                    names.push(extraction.name.clone());
                    names.len() - 1
                });
                extract.push((place, extraction.clone()));
            }
            kinds.push(Kind { head, body, same_length, extract });
            sum += target.weight;
            cumulative.push(sum);
        }
        for share in &mut cumulative {
            *share /= sum;
        }
        let (scenario, values) = (plan.scenario, names.len());
        let handshake = plan.url.is_web_socket().then(|| handshake(plan)).transpose()?;
        let mut traffic = Self { kinds, cumulative, fixed: None, method, handshake, scenario, values };
        if traffic.kinds.len() == 1 && traffic.kinds[0].same_length && !plan.scenario {
            let mut bytes = Vec::new();
            traffic.append(&mut bytes, 0, 0, &mut Random::new(0, 0), &mut Vec::new(), &[]);
            traffic.fixed = Some(bytes.into());
        }
        Ok(traffic)
    }

    /// The request, where it is always the same.
    pub(super) fn fixed(&self) -> Option<&Bytes> {
        self.fixed.as_ref()
    }

    /// Whether connections speak WebSocket.
    pub(super) fn is_web_socket(&self) -> bool {
        self.handshake.is_some()
    }

    /// Appends what a connection of WebSocket begins with, but for the fields that ask for it and the end.
    pub(super) fn append_handshake(&self, out: &mut Vec<u8>, random: &mut Random) {
        if let Some(handshake) = &self.handshake {
            handshake.render(out, 0, 0, random, &[]);
            // The empty line that ends the head.
            out.truncate(out.len() - 2);
        }
    }

    /// The method, as far as the framing of responses depends on it.
    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    /// How many kinds of requests there are.
    pub(super) fn kinds(&self) -> usize {
        self.kinds.len()
    }

    /// Whether the answers to a kind may be expected to be of one length.
    pub(super) fn same_length(&self, kind: u16) -> bool {
        self.kinds[usize::from(kind)].same_length
    }

    /// Whether the kinds are the steps of a session.
    pub(super) fn is_scenario(&self) -> bool {
        self.scenario
    }

    /// How many values a session takes out of its answers.
    pub(super) fn values(&self) -> usize {
        self.values
    }

    /// What to take out of the answers to a kind.
    pub(super) fn extract(&self, kind: u16) -> &[(usize, Extraction)] {
        &self.kinds[usize::from(kind)].extract
    }

    fn append(
        &self,
        out: &mut Vec<u8>,
        kind: u16,
        sequence: u64,
        random: &mut Random,
        body: &mut Vec<u8>,
        values: &[Vec<u8>],
    ) {
        let kind = &self.kinds[usize::from(kind)];
        body.clear();
        kind.body.render(body, sequence, 0, random, values);
        kind.head.render(out, sequence, body.len(), random, values);
        out.extend_from_slice(body);
    }
}

/// The head of the request that asks for WebSocket: it has the fields of the plan, and no body.
fn handshake(plan: &LoadPlan) -> Result<Template, RequestError> {
    let request = RequestOptions { body: Vec::new().into(), ..plan.request.clone() };
    Ok(render_template(&plan.url, &request, &[])?.0)
}

/// One core's requests in a row.
#[derive(Debug)]
pub(super) struct Source {
    random: Random,
    next: u64,
    step: u64,
    body: Vec<u8>,
}

impl Source {
    pub(super) fn new(seed: u64, core: usize, cores: usize) -> Self {
        // Apart from the schedule's stream of the same seed.
        Self {
            random: Random::new(!seed, core as u64),
            next: core as u64,
            step: cores as u64,
            body: Vec::new(),
        }
    }

    /// The requests of a stream that is none of the cores'; their sequence begins where no core's comes.
    pub(super) fn apart(seed: u64, stream: u64) -> Self {
        Self { random: Random::new(!seed, stream), next: stream, step: 1, body: Vec::new() }
    }

    /// Appends the next request, and returns its kind.
    pub(super) fn append(&mut self, traffic: &Traffic, out: &mut Vec<u8>) -> u16 {
        let kind = match traffic.kinds.len() {
            1 => 0,
            kinds => {
                let drawn = self.random.unit();
                traffic.cumulative.partition_point(|&share| share <= drawn).min(kinds - 1) as u16
            }
        };
        self.append_kind(traffic, kind, &[], out);
        kind
    }

    /// Appends a request of this kind, with what the session has taken out of its answers.
    pub(super) fn append_kind(
        &mut self,
        traffic: &Traffic,
        kind: u16,
        values: &[Vec<u8>],
        out: &mut Vec<u8>,
    ) {
        traffic.append(out, kind, self.next, &mut self.random, &mut self.body, values);
        self.next += self.step;
    }
}

/// The template of a body.
pub(super) fn body_template(body: &Body, expand: bool, values: &[String]) -> Result<Template, RequestError> {
    Ok(match body {
        Body::Bytes(bytes) if expand => Template::parse(bytes, values).map_err(RequestError::from)?,
        Body::Bytes(bytes) => Template::literal(bytes.clone()),
        Body::Lines(path) => Template::lines(path)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(weight: f64, path: &str) -> Target {
        let url = TargetUrl::parse(&format!("http://h:81{path}")).unwrap();
        let request = RequestOptions { template: true, ..RequestOptions::default() };
        Target { weight, url, request, extract: Vec::new() }
    }

    fn plan(mix: Vec<Target>) -> LoadPlan {
        let url = TargetUrl::parse("http://h:81/").unwrap();
        LoadPlan { mix, ..LoadPlan::closed(url, vec![0]) }
    }

    #[test]
    fn kinds_come_by_their_weights() {
        let traffic = Traffic::new(&plan(vec![target(1.0, "/a"), target(3.0, "/b")])).unwrap();
        let mut source = Source::new(1, 0, 1);
        let mut out = Vec::new();
        let second = (0..20_000).filter(|_| source.append(&traffic, &mut out) == 1).count();
        assert!((14_700..15_300).contains(&second), "{second}");
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("GET /b HTTP/1.1\r\n").count(), second);
    }

    #[test]
    fn sequences_of_cores_never_meet() {
        let traffic = Traffic::new(&plan(vec![target(1.0, "/{{seq}}")])).unwrap();
        assert!(traffic.fixed().is_none() && !traffic.same_length(0));
        let paths = |core| {
            let mut source = Source::new(1, core, 2);
            let mut out = Vec::new();
            for _ in 0..3 {
                source.append(&traffic, &mut out);
            }
            let text = String::from_utf8(out).unwrap();
            text.lines()
                .filter_map(|line| line.strip_prefix("GET /")?.split(' ').next()?.parse().ok())
                .collect()
        };
        let (first, second): (Vec<u64>, Vec<u64>) = (paths(0), paths(1));
        assert_eq!((first, second), (vec![0, 2, 4], vec![1, 3, 5]));
    }

    #[test]
    fn a_varying_body_has_its_length_in_the_head() {
        let mut one = target(1.0, "/");
        one.request.method = Method::POST;
        one.request.body = Body::Bytes(b"{{seq}}".to_vec().into());
        let traffic = Traffic::new(&plan(vec![one])).unwrap();
        let mut source = Source { next: 98, ..Source::new(1, 0, 1) };
        let mut out = Vec::new();
        for _ in 0..3 {
            source.append(&traffic, &mut out);
        }
        let text = String::from_utf8(out).unwrap();
        for end in
            ["Content-Length: 2\r\n\r\n98", "Content-Length: 2\r\n\r\n99", "Content-Length: 3\r\n\r\n100"]
        {
            assert!(text.contains(end), "{text}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let mut head = target(1.0, "/");
        head.request.method = Method::HEAD;
        let refused = |mix| Traffic::new(&plan(mix)).unwrap_err().to_string();
        assert!(refused(vec![target(1.0, "/"), head]).contains("HEAD"));
        assert!(refused(vec![target(0.0, "/")]).contains("weight"));
        let mut other = target(1.0, "/");
        other.url = TargetUrl::parse("http://h:82/").unwrap();
        assert!(refused(vec![other]).contains("http://h:82/"));
    }
}
