//! From an async function to one that starts cores.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::Result;

use crate::function::Function;
use crate::options::{Attribute, Options};

const ONE_CORE_TAKES_NOTHING: &str =
    "without `cores` there is no argument to give: take it away, or add `cores = ..` to take the `Core`";

pub(crate) fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    try_main(options, item).unwrap_or_else(|error| {
        let error = error.into_compile_error();
        // Without a main the compiler would complain a second time, about that.
        quote! { #error fn main() {} }
    })
}

pub(crate) fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    try_test(options, item).unwrap_or_else(syn::Error::into_compile_error)
}

fn try_main(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let function: Function = syn::parse2(item)?;
    let options = Options::parse(Attribute::Main, options)?;
    let takes_core = function.takes_core(options.cores.is_some(), ONE_CORE_TAKES_NOTHING)?;
    let (krate, signals) = (options.krate(), options.signals);
    let (name, output, outside, inner) =
        (&function.name, &function.output, function.outside(), function.inner());
    Ok(match &options.cores {
        None => quote! {
            #outside fn #name() #output {
                #inner
                #krate::entry::main_here(#signals, #name())
            }
        },
        Some(cores) => {
            let call = call(&function, takes_core);
            quote! {
                #outside fn #name() -> ::std::process::ExitCode {
                    #inner
                    use #krate::entry::Cores;
                    #krate::entry::main_on_cores(#cores, #signals, #call)
                }
            }
        }
    })
}

fn try_test(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let function: Function = syn::parse2(item)?;
    let options = Options::parse(Attribute::Test, options)?;
    let takes_core = function.takes_core(options.cores.is_some(), ONE_CORE_TAKES_NOTHING)?;
    let (krate, test_clock) = (options.krate(), options.test_clock);
    let (name, output, outside, inner) =
        (&function.name, &function.output, function.outside(), function.inner());
    Ok(match &options.cores {
        None => quote! {
            #[::core::prelude::v1::test]
            #outside fn #name() #output {
                #inner
                #krate::entry::test_here(#test_clock, #name())
            }
        },
        Some(cores) => {
            let call = call(&function, takes_core);
            quote! {
                #[::core::prelude::v1::test]
                #outside fn #name() {
                    #inner
                    use #krate::entry::Cores;
                    #krate::entry::test_on_cores(#cores, #test_clock, #call)
                }
            }
        }
    })
}

/// The factory that a runtime calls on each core. It carries the place of the returned type, so that a type that
/// can't be returned is shown there.
fn call(function: &Function, takes_core: bool) -> TokenStream {
    let name = &function.name;
    let at = function.output_span();
    if takes_core {
        quote_spanned! { at=> #name }
    } else {
        quote_spanned! { at=> |_| #name() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Expand = fn(TokenStream, TokenStream) -> TokenStream;

    fn plain() -> TokenStream {
        quote! { async fn main() {} }
    }

    fn expanded(expand: Expand, options: TokenStream, item: TokenStream) -> String {
        // As the compiler would write it, with the blanks that a token stream prints everywhere taken out.
        expand(options, item).to_string().replace(' ', "")
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases: [(Expand, TokenStream, TokenStream, &str); 25] = [
            (main, quote!(), quote! { fn main() {} }, "the function must be async: write `async fn`"),
            (test, quote!(), quote! { fn name() {} }, "the function must be async"),
            (main, quote!(), quote! { struct Main; }, "this attribute belongs on an `async fn`"),
            (main, quote!(), quote! { async unsafe fn main() {} }, "only `async` may stand before `fn`"),
            (test, quote!(), quote! { const fn name() {} }, "only `async` may stand before `fn`"),
            (main, quote!(), quote! { async fn main(core: Core) {} }, "without `cores` there is no argument"),
            (test, quote!(), quote! { async fn name(n: u8) {} }, "without `cores` there is no argument"),
            (
                main,
                quote!(cores = 2),
                quote! { async fn main(core: Core, more: u8) {} },
                "one argument can be given at most",
            ),
            (main, quote!(cores = 2), quote! { async fn main(self) {} }, "one argument can be given at most"),
            (main, quote!(), quote! { async fn main<T>() {} }, "the function can't be generic"),
            (test, quote!(), quote! { async fn name() where u8: Copy {} }, "the function can't be generic"),
            (
                main,
                quote!(threads = 2),
                plain(),
                "there is no option `threads`: those are `cores`, `signals`",
            ),
            (
                test,
                quote!(signals = true),
                plain(),
                "there is no option `signals`: those are `clock`, `cores` and",
            ),
            (main, quote!(cores), plain(), "`cores` needs a value: `cores = ..`"),
            (main, quote!(cores = 0), plain(), "`cores` takes a number from 1"),
            (main, quote!(cores = "5-2"), plain(), "`cores` takes a number from 1"),
            (main, quote!(cores = "every"), plain(), "`cores` takes a number from 1"),
            (main, quote!(cores = ""), plain(), "`cores` takes a number from 1"),
            (main, quote!(cores = true), plain(), "`cores` takes a number from 1"),
            (main, quote!(signals = "yes"), plain(), "`signals` takes `true` or `false`"),
            (test, quote!(clock = true), plain(), "`clock` takes"),
            (main, quote!(cores = 1, cores = 2), plain(), "`cores` is given twice"),
            (main, quote!(crate = "covet"), plain(), "`crate` takes a path"),
            (main, quote!(cores = {}), plain(), "a literal or a path was expected here"),
            (main, quote!(cores = 1 signals = true), plain(), "expected `,`"),
        ];
        for (expand, options, item, message) in cases {
            let shown = format!("#[..({options})] {item}");
            let output = expand(options, item).to_string();
            assert!(output.contains("compile_error"), "{shown} was taken:\n{output}");
            assert!(output.contains(message), "{shown} should say {message:?}, but says:\n{output}");
        }
    }

    #[test]
    fn a_main_that_failed_is_still_there() {
        let output = expanded(main, quote!(), quote! { fn main() {} });
        assert!(output.ends_with("fnmain(){}"), "{output}");
    }

    #[test]
    fn attributes_visibility_and_output_go_outside() {
        let item = quote! { #[ignore] pub(crate) async fn name() -> Result<(), u8> { body } };
        let output = expanded(test, quote!(), item);
        let start = "#[::core::prelude::v1::test]#[ignore]pub(crate)fnname()->Result<(),u8>{asyncfnname()";
        assert!(output.starts_with(start), "{output}");
        assert!(output.ends_with("::covet_runtime::entry::test_here(false,name())}"), "{output}");
    }

    #[test]
    fn cores_are_passed_on() {
        let taken = quote! { async fn main(core: Core) {} };
        let output = expanded(main, quote!(cores = "0, 2-5", signals = true,), taken.clone());
        assert!(output.contains("main_on_cores(Cores::List(\"0,2-5\"),true,main)"), "{output}");
        let output = expanded(main, quote!(crate = covet::runtime, cores = 3), plain());
        assert!(
            output.contains("covet::runtime::entry::main_on_cores(Cores::Count(3usize),false,|_|main())")
        );
        let output = expanded(test, quote!(cores = 2, clock = "test"), taken);
        assert!(output.contains("test_on_cores(Cores::Count(2usize),true,main)"), "{output}");
    }
}
