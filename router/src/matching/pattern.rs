//! Path patterns: `/users/{id}`, `/files/{*rest}`.

use std::fmt;
use std::rc::Rc;

use thiserror::Error;

/// A path pattern that has been checked: static text, `{name}` segments and a trailing `{*name}`.
///
/// `{name}` matches one non-empty segment, or the part of a segment beside static text
/// (`/v{major}`); `{*name}` matches the rest of the path, at least one byte. `{{` and `}}` stand
/// for literal braces.
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Rc<str>,
    names: Rc<[Box<str>]>,
    catch_all: bool,
}

/// Why a text is not a [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PatternError {
    /// The pattern does not begin with a slash.
    #[error("the path `{0}` does not begin with `/`")]
    NoLeadingSlash(String),
    /// A brace is not closed, not opened, or encloses no name.
    #[error("the path `{0}` has a parameter without a name or without its closing brace")]
    MalformedParameter(String),
    /// The same name occurs twice, so that neither could be told from the other.
    #[error("the path `{path}` names the parameter `{name}` twice")]
    DuplicateName {
        /// The whole pattern.
        path: String,
        /// The repeated name.
        name: String,
    },
    /// `{*name}` stands before the end of the pattern.
    #[error("the path `{0}` has a catch-all before its end")]
    CatchAllNotLast(String),
    /// A prefix ends with a slash or with a catch-all, so nothing can be appended to it.
    #[error("the prefix `{0}` must be a path without a trailing `/` and without a catch-all")]
    NotAPrefix(String),
}

impl Pattern {
    /// Checks `text` and takes the names of its parameters.
    ///
    /// # Errors
    /// [`PatternError`] names the pattern and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if !text.starts_with('/') {
            return Err(PatternError::NoLeadingSlash(text.to_owned()));
        }
        let mut names: Vec<Box<str>> = Vec::new();
        let mut catch_all = false;
        let malformed = || PatternError::MalformedParameter(text.to_owned());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let brace = &rest[at..];
            if brace.starts_with("{{") || brace.starts_with("}}") {
                rest = &brace[2..];
                continue;
            }
            let inner = brace.strip_prefix('{').ok_or_else(malformed)?;
            let end = inner.find('}').ok_or_else(malformed)?;
            let (name, star) = match inner[..end].strip_prefix('*') {
                Some(name) => (name, true),
                None => (&inner[..end], false),
            };
            if name.is_empty() || name.contains(['{', '/', '*']) {
                return Err(malformed());
            }
            if names.iter().any(|known| **known == *name) {
                return Err(PatternError::DuplicateName { path: text.to_owned(), name: name.to_owned() });
            }
            names.push(name.into());
            rest = &inner[end + 1..];
            if star {
                if !rest.is_empty() {
                    return Err(PatternError::CatchAllNotLast(text.to_owned()));
                }
                catch_all = true;
            }
        }
        Ok(Self { text: text.into(), names: names.into(), catch_all })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the parameters, in the order of the path.
    pub fn names(&self) -> &Rc<[Box<str>]> {
        &self.names
    }

    /// Whether the pattern matches one path only.
    pub fn is_static(&self) -> bool {
        self.names.is_empty()
    }

    /// The one path that a static pattern matches, its escaped braces resolved; `None` otherwise.
    pub fn static_path(&self) -> Option<String> {
        self.is_static().then(|| self.text.replace("{{", "{").replace("}}", "}"))
    }

    /// The text before the last segment, if that segment is one whole parameter and everything
    /// before it is static: `/users/` for `/users/{id}`.
    pub(crate) fn leaf_parent(&self) -> Option<String> {
        let (parent, last) = self.text.split_at(self.text.rfind('/')? + 1);
        let whole = self.names.len() == 1 && last.starts_with('{') && last.ends_with('}');
        let whole = whole && last.len() == self.names[0].len() + 2;
        whole.then(|| parent.replace("{{", "{").replace("}}", "}"))
    }

    /// As [`Pattern::leaf_parent`], where a parameter is part of the segment: `/v/` for `/v/{x}.y`.
    pub(crate) fn partial_parent(&self) -> Option<String> {
        let (parent, last) = self.text.split_at(self.text.rfind('/')? + 1);
        let partial = self.names.len() == 1 && last.contains(&format!("{{{}}}", self.names[0]));
        let partial = partial && last.len() > self.names[0].len() + 2;
        partial.then(|| parent.replace("{{", "{").replace("}}", "}"))
    }

    /// The pattern for `inner` mounted under this prefix; `/` becomes the prefix itself.
    ///
    /// # Errors
    /// [`PatternError::NotAPrefix`] if `self` ends in `/` or in a catch-all,
    /// [`PatternError::DuplicateName`] if both name the same parameter.
    pub fn join(&self, inner: &Pattern) -> Result<Self, PatternError> {
        if self.catch_all || self.text.ends_with('/') {
            return Err(PatternError::NotAPrefix(self.text.to_string()));
        }
        let tail = if &*inner.text == "/" { "" } else { &*inner.text };
        Self::parse(&format!("{}{tail}", self.text))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        Pattern::parse(text).unwrap().names().iter().map(|n| n.to_string()).collect()
    }

    #[test]
    fn names_come_in_path_order() {
        assert_eq!(names("/a/{x}/b/{y}/{*z}"), ["x", "y", "z"]);
        assert_eq!(names("/v{major}"), ["major"]);
        assert!(names("/plain").is_empty());
    }

    #[test]
    fn escaped_braces_are_text() {
        let pattern = Pattern::parse("/a{{b}}").unwrap();
        assert!(pattern.is_static());
        assert_eq!(pattern.static_path().as_deref(), Some("/a{b}"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(Pattern::parse("a"), Err(PatternError::NoLeadingSlash("a".into())));
        assert_eq!(Pattern::parse(""), Err(PatternError::NoLeadingSlash("".into())));
        for text in ["/{", "/{}", "/{*}", "/a}", "/{a", "/{a/b}"] {
            assert_eq!(Pattern::parse(text), Err(PatternError::MalformedParameter(text.into())), "{text}");
        }
        assert_eq!(Pattern::parse("/{*a}/b"), Err(PatternError::CatchAllNotLast("/{*a}/b".into())));
        assert_eq!(
            Pattern::parse("/{a}/{a}"),
            Err(PatternError::DuplicateName { path: "/{a}/{a}".into(), name: "a".into() })
        );
    }

    #[test]
    fn joining_keeps_the_prefix_and_drops_a_lone_slash() {
        let prefix = Pattern::parse("/t/{tenant}").unwrap();
        let join = |inner: &str| prefix.join(&Pattern::parse(inner).unwrap());
        assert_eq!(join("/").unwrap().as_str(), "/t/{tenant}");
        assert_eq!(join("/u/{id}").unwrap().as_str(), "/t/{tenant}/u/{id}");
        assert!(matches!(join("/{tenant}"), Err(PatternError::DuplicateName { .. })));
        for bad in ["/", "/a/", "/{*x}"] {
            let bad = Pattern::parse(bad).unwrap();
            assert!(matches!(bad.join(&prefix), Err(PatternError::NotAPrefix(_))));
        }
    }
}
