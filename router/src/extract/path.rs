//! The `Path` extractor and its deserialiser.

use std::borrow::Cow;

use covet_http::{PathParams, Request};
use serde::de::value::{BorrowedStrDeserializer, CowStrDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::FromRequest;
use super::decode::percent_decode;
use super::path_error::PathError;
use crate::error::Result;
use crate::state::RouteContext;

/// The parameters of the path, percent-decoded and deserialised.
///
/// `T` is a single value where the route has one parameter, a tuple or sequence in the order of
/// the path, or a struct or map by names. Parameters of prefixes come first.
///
/// Fails with 400 if a value does not have the form of its type, has a malformed escape or is not
/// UTF-8 once decoded; with 500 if `T` does not fit the parameters of the route, which is a mistake
/// in the program.
///
/// ```
/// use covet_router::{Path, Router, test_client::TestClient};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Commit { owner: String, hash: String }
///
/// async fn user(Path(id): Path<u64>) -> String { format!("user {id}") }
/// async fn pair(Path((from, to)): Path<(u32, u32)>) -> String { format!("{from}-{to}") }
/// async fn commit(Path(commit): Path<Commit>) -> String { format!("{} {}", commit.owner, commit.hash) }
///
/// let client = TestClient::new(
///     Router::new()
///         .get("/users/{id}", user)
///         .get("/range/{from}/{to}", pair)
///         .get("/{owner}/commit/{hash}", commit),
/// );
/// assert_eq!(client.get("/users/7").send().text(), "user 7");
/// assert_eq!(client.get("/users/seven").send().status(), 400);
/// assert_eq!(client.get("/range/1/5").send().text(), "1-5");
/// assert_eq!(client.get("/a%20b/commit/9f").send().text(), "a b 9f");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path<T>(pub T);

impl<S, T: DeserializeOwned> FromRequest<S> for Path<T> {
    #[inline]
    async fn from_request(request: &mut Request, _: &RouteContext<S>) -> Result<Self> {
        let parameters = Parameters { params: request.params(), path: request.path() };
        Ok(Self(T::deserialize(parameters)?))
    }
}

/// All parameters of a path.
#[derive(Clone, Copy)]
struct Parameters<'de> {
    params: &'de PathParams,
    path: &'de str,
}

impl<'de> Parameters<'de> {
    /// The names with the raw values.
    fn pairs(self) -> impl Iterator<Item = (&'de str, &'de str)> {
        self.params.iter(self.path)
    }

    #[inline]
    fn single(self) -> Result<Parameter<'de>, PathError> {
        let (name, raw) = self.exactly(1)?.pairs().next().ok_or_else(|| PathError::count(0, 1))?;
        Parameter::new(name, raw)
    }

    fn exactly(self, wanted: usize) -> Result<Self, PathError> {
        let got = self.params.len();
        if got == wanted { Ok(self) } else { Err(PathError::count(got, wanted)) }
    }
}

macro_rules! forward_to_single {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PathError> {
            self.single()?.$method(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Parameters<'de> {
    type Error = PathError;

    forward_to_single! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string
        deserialize_bytes deserialize_byte_buf deserialize_identifier deserialize_option
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PathError> {
        if self.params.len() == 1 {
            self.single()?.deserialize_any(visitor)
        } else {
            self.deserialize_map(visitor)
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PathError> {
        visitor.visit_unit()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PathError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &str, visitor: V) -> Result<V::Value, PathError> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &str, visitor: V) -> Result<V::Value, PathError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PathError> {
        visitor.visit_seq(Cursor::new(self.pairs()))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, PathError> {
        visitor.visit_seq(Cursor::new(self.exactly(len)?.pairs()))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, PathError> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PathError> {
        visitor.visit_map(Cursor::new(self.pairs()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &str,
        _: &[&str],
        visitor: V,
    ) -> Result<V::Value, PathError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, PathError> {
        self.single()?.deserialize_enum(name, variants, visitor)
    }
}

/// Walks over the parameters for sequences and maps.
struct Cursor<'de, I> {
    rest: I,
    current: Option<(&'de str, &'de str)>,
}

impl<I> Cursor<'_, I> {
    fn new(rest: I) -> Self {
        Self { rest, current: None }
    }
}

impl<'de, I: Iterator<Item = (&'de str, &'de str)>> SeqAccess<'de> for Cursor<'de, I> {
    type Error = PathError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, PathError> {
        let Some((name, raw)) = self.rest.next() else { return Ok(None) };
        seed.deserialize(Parameter::new(name, raw)?).map(Some)
    }
}

impl<'de, I: Iterator<Item = (&'de str, &'de str)>> MapAccess<'de> for Cursor<'de, I> {
    type Error = PathError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, PathError> {
        self.current = self.rest.next();
        let Some((name, _)) = self.current else { return Ok(None) };
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, PathError> {
        let (name, raw) = self.current.expect("a map asks for a value only after its key");
        seed.deserialize(Parameter::new(name, raw)?)
    }
}

/// One decoded parameter.
struct Parameter<'de> {
    name: &'de str,
    text: Cow<'de, str>,
}

impl<'de> Parameter<'de> {
    #[inline]
    fn new(name: &'de str, raw: &'de str) -> Result<Self, PathError> {
        let text = percent_decode(raw).map_err(|error| PathError::Value(error.to_string()).of(name))?;
        Ok(Self { name, text })
    }

    fn into_cow(self) -> CowStrDeserializer<'de, PathError> {
        self.text.into_deserializer()
    }
}

macro_rules! parse {
    ($($method:ident $visit:ident $type:ty,)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PathError> {
            let Ok(value) = self.text.parse::<$type>() else {
                return Err(PathError::Value(concat!("is not a valid ", stringify!($type)).into()).of(self.name));
            };
            visitor.$visit(value).map_err(|error: PathError| error.of(self.name))
        }
    )*};
}

impl<'de> Deserializer<'de> for Parameter<'de> {
    type Error = PathError;

    parse! {
        deserialize_bool visit_bool bool,
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_i128 visit_i128 i128,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_u128 visit_u128 u128,
        deserialize_f32 visit_f32 f32,
        deserialize_f64 visit_f64 f64,
        deserialize_char visit_char char,
    }

    forward_to_deserialize_any! { str string bytes byte_buf identifier }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PathError> {
        let name = self.name;
        self.into_cow().deserialize_any(visitor).map_err(|error| error.of(name))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PathError> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PathError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &str, visitor: V) -> Result<V::Value, PathError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, PathError> {
        let name = self.name;
        visitor.visit_enum(Variant(self.into_cow())).map_err(|error| error.of(name))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, _: V) -> Result<V::Value, PathError> {
        Err(PathError::unsupported("a unit"))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &str, _: V) -> Result<V::Value, PathError> {
        Err(PathError::unsupported("a unit struct"))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, _: V) -> Result<V::Value, PathError> {
        Err(PathError::unsupported("a sequence"))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, PathError> {
        Err(PathError::unsupported("a tuple"))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &str,
        _: usize,
        _: V,
    ) -> Result<V::Value, PathError> {
        Err(PathError::unsupported("a tuple struct"))
    }

    fn deserialize_map<V: Visitor<'de>>(self, _: V) -> Result<V::Value, PathError> {
        Err(PathError::unsupported("a map"))
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _: &str, _: &[&str], _: V) -> Result<V::Value, PathError> {
        Err(PathError::unsupported("a struct"))
    }
}

/// The name of an enum's variant; a variant that holds data does not fit one path parameter.
struct Variant<'de>(CowStrDeserializer<'de, PathError>);

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = PathError;
    type Variant = <CowStrDeserializer<'de, PathError> as EnumAccess<'de>>::Variant;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self::Variant), PathError> {
        self.0.variant_seed(seed)
    }
}
