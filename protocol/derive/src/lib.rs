//! `#[derive(Message)]`: unrolls the nom parser and the encoder of one message or nested struct,
//! and its `Default`.
//!
//! The attributes say what the schema says:
//!
//! ```text
//! #[wire(versions = 3..=13, flexible = 9..)]        on the struct; `flexible` if any is
//! #[wire(versions = 3.., nullable = 3.., default = null)]              on a field
//! #[wire(versions = 10.., tag = 0, tagged = 10.., ignorable)]
//! #[wire(versions = 1.., flexible = none)]          keeps the classic length in flexible versions
//! #[wire(versions = 0.., json = "isr")]             a JSON name of its own
//! #[wire(unknown)]                                  where unknown tagged fields are kept
//! ```
//!
//! A field without `default` has its type's zero; a nullable one (an `Option`) without `default =
//! null` has `Some` of it.

mod attributes;
mod decode;
mod default;
mod encode;
mod json;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, parse_macro_input};

/// See the crate's documentation.
#[proc_macro_derive(Message, attributes(wire))]
pub fn derive_message(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let model = attributes::Struct::parse(input)?;
    let name = &model.name;
    let text = name.to_string();
    let get = decode::body(&model);
    let put = encode::body(&model);
    let default = default::body(&model);
    let low = model.versions.low;
    let high = model.versions.high.unwrap_or(i16::MAX);
    let json = json::implementation(&model);
    Ok(quote! {
        impl ::ottla_protocol::wire::Wire for #name {
            fn get<'a>(
                i: &'a [u8],
                cx: ::ottla_protocol::wire::Cx<'_>,
            ) -> ::ottla_protocol::error::Parsed<'a, Self> {
                #get
            }

            fn put(
                &self,
                out: &mut ::ottla_protocol::Encoder,
                cx: ::ottla_protocol::wire::PutCx,
            ) -> ::ottla_protocol::wire::Put {
                #put
            }

            fn is_zero(&self) -> bool {
                *self == Self::default()
            }

            fn get_opt<'a>(
                i: &'a [u8],
                cx: ::ottla_protocol::wire::Cx<'_>,
                tagged: bool,
            ) -> ::ottla_protocol::error::Parsed<'a, Option<Self>> {
                ::ottla_protocol::wire::derive::get_struct_opt(i, cx, tagged)
            }

            fn put_opt(
                value: Option<&Self>,
                out: &mut ::ottla_protocol::Encoder,
                cx: ::ottla_protocol::wire::PutCx,
                tagged: bool,
            ) -> ::ottla_protocol::wire::Put {
                ::ottla_protocol::wire::derive::put_struct_opt(value, out, cx, tagged)
            }
        }

        impl ::ottla_protocol::Message for #name {
            const NAME: &'static str = #text;
            const VERSIONS: ::core::ops::RangeInclusive<i16> = #low..=#high;
        }

        impl Default for #name {
            fn default() -> Self {
                #default
            }
        }

        #json
    })
}
