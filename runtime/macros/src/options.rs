//! What stands in the parentheses of an attribute.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Ident, Lit, LitBool, Path, Result, Token};

/// Which attribute the options belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attribute {
    Main,
    Test,
}

/// The options, each given at most once.
pub(crate) struct Options {
    pub(crate) cores: Option<Cores>,
    pub(crate) signals: bool,
    pub(crate) test_clock: bool,
    krate: Option<Path>,
}

/// A choice of cores whose text is known to parse.
pub(crate) enum Cores {
    Count(usize),
    List(String),
}

impl Options {
    pub(crate) fn parse(attribute: Attribute, tokens: TokenStream) -> Result<Options> {
        let given = syn::parse2::<Given>(tokens)?.0;
        let mut options = Options { cores: None, signals: false, test_clock: false, krate: None };
        for (position, option) in given.iter().enumerate() {
            let name = option.name.to_string();
            if given[..position].iter().any(|earlier| earlier.name == option.name) {
                return Err(Error::new_spanned(&option.name, format!("`{name}` is given twice")));
            }
            match (name.as_str(), attribute) {
                ("cores", _) => options.cores = Some(option.cores()?),
                ("signals", Attribute::Main) => options.signals = option.switch()?,
                ("clock", Attribute::Test) => options.test_clock = option.clock()?,
                ("crate", _) => options.krate = Some(option.path()?),
                (_, Attribute::Main) => {
                    return Err(option.unknown("`cores`, `signals` and `crate`"));
                }
                (_, Attribute::Test) => return Err(option.unknown("`clock`, `cores` and `crate`")),
            }
        }
        Ok(options)
    }

    /// The path of `covet_runtime`.
    pub(crate) fn krate(&self) -> TokenStream {
        match &self.krate {
            Some(path) => path.to_token_stream(),
            None => quote! { ::covet_runtime },
        }
    }
}

impl ToTokens for Cores {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(match self {
            Cores::Count(count) => quote! { Cores::Count(#count) },
            Cores::List(list) => quote! { Cores::List(#list) },
        });
    }
}

/// `name = value, ..`
struct Given(Vec<Setting>);

struct Setting {
    name: Ident,
    value: Value,
}

enum Value {
    Literal(Lit),
    Path(Path),
}

impl Parse for Given {
    fn parse(input: ParseStream<'_>) -> Result<Given> {
        let mut given = Vec::new();
        while !input.is_empty() {
            let name = input.call(Ident::parse_any)?;
            if input.is_empty() || input.peek(Token![,]) {
                return Err(Error::new_spanned(&name, format!("`{name}` needs a value: `{name} = ..`")));
            }
            input.parse::<Token![=]>()?;
            let value = if input.peek(Lit) { Value::Literal(input.parse()?) } else { path(input)? };
            given.push(Setting { name, value });
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(Given(given))
    }
}

fn path(input: ParseStream<'_>) -> Result<Value> {
    let at = input.span();
    match input.call(Path::parse_mod_style) {
        Ok(path) => Ok(Value::Path(path)),
        Err(_) => Err(Error::new(at, "a literal or a path was expected here")),
    }
}

impl Setting {
    fn unknown(&self, known: &str) -> Error {
        let name = &self.name;
        Error::new_spanned(name, format!("there is no option `{name}`: those are {known}"))
    }

    fn wrong(&self, wanted: &str) -> Error {
        let message = format!("`{}` takes {wanted}", self.name);
        match &self.value {
            Value::Literal(literal) => Error::new_spanned(literal, message),
            Value::Path(path) => Error::new_spanned(path, message),
        }
    }

    fn switch(&self) -> Result<bool> {
        match &self.value {
            Value::Literal(Lit::Bool(LitBool { value, .. })) => Ok(*value),
            _ => Err(self.wrong("`true` or `false`")),
        }
    }

    fn clock(&self) -> Result<bool> {
        match &self.value {
            Value::Literal(Lit::Str(text)) if text.value() == "test" => Ok(true),
            Value::Literal(Lit::Str(text)) if text.value() == "real" => Ok(false),
            _ => Err(self.wrong("\"test\" or \"real\"")),
        }
    }

    fn path(&self) -> Result<Path> {
        match &self.value {
            Value::Path(path) => Ok(path.clone()),
            Value::Literal(_) => Err(self.wrong("a path, such as `covet::runtime`")),
        }
    }

    fn cores(&self) -> Result<Cores> {
        let wanted = "a number from 1, \"all\", \"physical\" or a list such as \"0,2-5\"";
        match &self.value {
            Value::Literal(Lit::Int(number)) => match number.base10_parse() {
                Ok(count) if count > 0 => Ok(Cores::Count(count)),
                _ => Err(self.wrong(wanted)),
            },
            Value::Literal(Lit::Str(text)) if is_core_list(&text.value()) => Ok(Cores::List(text.value())),
            _ => Err(self.wrong(wanted)),
        }
    }
}

/// Whether `CoreSet` will understand the text; which cores there are is known at run time only.
fn is_core_list(text: &str) -> bool {
    let number = |text: &str| text.trim().parse::<usize>().ok();
    let range = |part: &str| match part.split_once('-') {
        None => number(part).is_some(),
        Some((first, last)) => number(first).zip(number(last)).is_some_and(|(first, last)| first <= last),
    };
    matches!(text.trim(), "all" | "physical") || text.split(',').all(range)
}
