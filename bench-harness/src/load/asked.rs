//! What a run asks for beside its URL and method, told so that two that ask for different things differ.

use std::fs;

use aws_lc_rs::digest::{Context, SHA256};

use super::{Body, LoadPlan, RequestOptions, Target};
use crate::digest::hex;

/// How many bytes of the digest tell two loads apart.
const DIGEST: usize = 6;

/// In words: how many fields, what body, which mix, and a digest of all of it. Nothing where the URL and the method say it
/// all.
pub(super) fn asked(plan: &LoadPlan) -> Option<String> {
    let RequestOptions { fields, body, template, .. } = &plan.request;
    let mut words = Vec::new();
    if plan.mix.is_empty() {
        match fields.len() {
            0 => {}
            1 => words.push("1 field".to_owned()),
            count => words.push(format!("{count} fields")),
        }
        match body {
            Body::Bytes(bytes) if bytes.is_empty() => {}
            Body::Bytes(bytes) => words.push(format!("a body of {} bytes", bytes.len())),
            Body::Lines(_) => words.push("bodies of a file".to_owned()),
        }
        words.extend(template.then(|| "filled in anew".to_owned()));
    } else {
        let what = if plan.scenario { "a session of" } else { "a mix of" };
        words.push(format!("{what} {}", plan.mix.len()));
    }
    if words.is_empty() {
        return None;
    }
    let mut digest = Digest(Context::new(&SHA256));
    if plan.mix.is_empty() {
        digest.request(&plan.request);
    } else {
        plan.mix.iter().for_each(|target| digest.target(target));
    }
    let digest = digest.0.finish();
    Some(format!("{} ({})", words.join(", "), hex(&digest.as_ref()[..DIGEST])))
}

/// A digest of parts, each of which is told from the next.
struct Digest(Context);

impl Digest {
    fn part(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn target(&mut self, target: &Target) {
        self.part(&target.weight.to_le_bytes());
        self.part(target.url.target().as_bytes());
        self.part(format!("{:?}", target.extract).as_bytes());
        self.request(&target.request);
    }

    fn request(&mut self, request: &RequestOptions) {
        self.part(request.method.as_str().as_bytes());
        self.part(&[u8::from(request.template)]);
        self.part(&(request.fields.len() as u64).to_le_bytes());
        for (name, value) in &request.fields {
            self.part(name.as_bytes());
            self.part(value.as_bytes());
        }
        match &request.body {
            Body::Bytes(bytes) => self.part(bytes),
            // Where it cannot be read, there is no run.
            Body::Lines(path) => self.part(&fs::read(path).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::load::TargetUrl;

    #[test]
    fn what_is_asked_for_differs_where_its_parts_do() {
        let plain = LoadPlan::closed(TargetUrl::parse("http://h/a").unwrap(), vec![0]);
        assert_eq!(asked(&plain), None);
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let requests = [
            RequestOptions { fields: vec![field("a", "bc")], ..RequestOptions::default() },
            RequestOptions { fields: vec![field("ab", "c")], ..RequestOptions::default() },
            RequestOptions { fields: vec![field("a", ""), field("bc", "")], ..RequestOptions::default() },
            RequestOptions { body: b"abc".to_vec().into(), ..RequestOptions::default() },
            RequestOptions { body: b"abd".to_vec().into(), ..RequestOptions::default() },
            RequestOptions { template: true, ..RequestOptions::default() },
        ];
        let alone = requests.iter().map(|request| LoadPlan { request: request.clone(), ..plain.clone() });
        let target = |path: &str, weight, request: &RequestOptions| Target {
            weight,
            url: plain.url.at(path).unwrap(),
            request: request.clone(),
            extract: Vec::new(),
        };
        let mixes = [
            vec![target("/a", 1.0, &requests[0]), target("/b", 1.0, &requests[0])],
            vec![target("/b", 1.0, &requests[0]), target("/a", 1.0, &requests[0])],
            vec![target("/a", 2.0, &requests[0]), target("/b", 1.0, &requests[0])],
            vec![target("/a", 1.0, &requests[1]), target("/b", 1.0, &requests[0])],
        ];
        let mixed = mixes.into_iter().map(|mix| LoadPlan { mix, ..plain.clone() });
        let plans: Vec<LoadPlan> = alone.chain(mixed).collect();
        let told: HashSet<Option<String>> = plans.iter().map(asked).collect();
        assert_eq!(told.len(), plans.len(), "{told:?}");
        assert!(asked(&plans[3]).unwrap().starts_with("a body of 3 bytes ("));
        assert!(asked(&plans[6]).unwrap().starts_with("a mix of 2 ("));
        assert_eq!(asked(&plans[0]), asked(&plans[0].clone()), "the same is told alike");
    }
}
