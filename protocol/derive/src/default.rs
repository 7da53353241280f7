//! `Default`, by the schema's defaults.

use crate::attributes::Struct;
use proc_macro2::TokenStream;
use quote::quote;

pub(crate) fn body(model: &Struct) -> TokenStream {
    let fields = model.fields.iter().map(|field| {
        let ident = &field.ident;
        let value = field.default_value();
        quote!(#ident: #value)
    });
    let unknown = model.unknown.as_ref().map(|ident| quote!(#ident: Default::default(),));
    quote!(Self { #(#fields,)* #unknown })
}
