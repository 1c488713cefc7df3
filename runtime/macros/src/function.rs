//! The function that an attribute was put on, as far as the attribute needs to understand it.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Error, Generics, Result, ReturnType, Token, Visibility};

/// `async fn name(argument) -> Output { .. }`.
///
/// Arguments and body stay as they were written: whatever is wrong in them is for the compiler to say, at its own
/// place.
pub(crate) struct Function {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    pub(crate) name: Ident,
    arguments: Group,
    pub(crate) output: ReturnType,
    body: Group,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Function> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        if input.peek(Token![const]) || input.peek(Token![unsafe]) || input.peek(Token![extern]) {
            return Err(input.error("only `async` may stand before `fn` here"));
        }
        let asynchronous: Option<Token![async]> = input.parse()?;
        if input.peek(Token![unsafe]) || input.peek(Token![extern]) {
            return Err(input.error("only `async` may stand before `fn` here"));
        }
        let keyword: Token![fn] = match input.parse() {
            Ok(keyword) => keyword,
            Err(error) => return Err(Error::new(error.span(), "this attribute belongs on an `async fn`")),
        };
        if asynchronous.is_none() {
            let message = "the function must be async: write `async fn`, or leave the attribute away";
            return Err(Error::new_spanned(keyword, message));
        }
        let name = input.parse()?;
        let generics: Generics = input.parse()?;
        let arguments = group(input, "the arguments in parentheses were expected here")?;
        let output = input.parse()?;
        let bounds: Option<Token![where]> = input.parse()?;
        if bounds.is_some() || !generics.params.is_empty() {
            let message = "the function can't be generic: nobody is there to choose the types";
            return Err(Error::new_spanned(&name, message));
        }
        let body = group(input, "the body in braces was expected here")?;
        Ok(Function { attributes, visibility, name, arguments, output, body })
    }
}

fn group(input: ParseStream<'_>, otherwise: &str) -> Result<Group> {
    match input.parse()? {
        TokenTree::Group(group) => Ok(group),
        other => Err(Error::new(other.span(), otherwise)),
    }
}

impl Function {
    /// Whether there is an argument.
    ///
    /// # Errors
    /// More than one, or `self`, or one where none can be given, for which `otherwise` is the message.
    pub(crate) fn takes_core(&self, allowed: bool, otherwise: &str) -> Result<bool> {
        let tokens: Vec<TokenTree> = self.arguments.stream().into_iter().collect();
        let Some(first) = tokens.first() else { return Ok(false) };
        let at = first.span();
        if !allowed {
            return Err(Error::new(at, otherwise));
        }
        let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',');
        let annotated =
            tokens.iter().any(|token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ':'));
        let commas = tokens.iter().take(tokens.len() - 1).filter(|token| is_comma(token)).count();
        if commas > 0 || !annotated {
            return Err(Error::new(at, "one argument can be given at most: the `Core` that this runs on"));
        }
        Ok(true)
    }

    /// The function as it was written, without its attributes: a call of its name makes the future.
    pub(crate) fn inner(&self) -> TokenStream {
        let Function { name, arguments, output, body, .. } = self;
        quote! { async fn #name #arguments #output #body }
    }

    /// What stands before the name of the function that replaces it: attributes, visibility.
    pub(crate) fn outside(&self) -> TokenStream {
        let attributes = &self.attributes;
        let visibility = &self.visibility;
        quote! { #(#attributes)* #visibility }
    }

    /// Where to point at when the types do not fit: the type that is returned, or the name.
    pub(crate) fn output_span(&self) -> Span {
        match self.output.to_token_stream().into_iter().last() {
            Some(token) => token.span(),
            None => self.name.span(),
        }
    }
}
