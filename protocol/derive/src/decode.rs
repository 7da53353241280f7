//! The reader: one nom parser after the other, in schema order.

use crate::attributes::{Field, Struct, Test};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

pub(crate) fn body(model: &Struct) -> TokenStream {
    let flexible = model.is_flexible().choose(quote!(true), quote!(false));
    let fields = model.fields.iter().map(|field| untagged(model, field));
    let tags = tags(model);
    let names = model.fields.iter().map(|field| &field.ident);
    let unknown = model.unknown.as_ref().map(|ident| quote!(#ident: unknown_tags,));
    quote! {
        let cx = ::ottla_protocol::wire::Cx { flexible: #flexible, ..cx };
        #(#fields)*
        #tags
        Ok((i, Self { #(#names,)* #unknown }))
    }
}

/// `let (i, field) = ...;`
fn untagged(model: &Struct, field: &Field) -> TokenStream {
    let ident = &field.ident;
    let name = field.text();
    let value = value(model, field, false);
    let default = field.default_value();
    let mutable = field.tag.is_some().then(|| quote!(mut));
    let ty = &field.ty;
    let read = quote!(::ottla_protocol::wire::derive::field(#name, #value)?);
    match field.untagged(model.versions) {
        Test::Always => quote!(let (i, #mutable #ident): (&[u8], #ty) = #read;),
        Test::Never => quote!(let #mutable #ident: #ty = #default;),
        test @ Test::If(_) => {
            let choice = test.choose(read, quote!((i, #default)));
            quote!(let (i, #mutable #ident): (&[u8], #ty) = #choice;)
        }
    }
}

/// The parser's call, an expression of type `Parsed<FieldType>`.
fn value(model: &Struct, field: &Field, tagged: bool) -> TokenStream {
    let cx = if field.classic {
        quote!(::ottla_protocol::wire::Cx { flexible: false, ..cx })
    } else {
        quote!(cx)
    };
    let Some(inner) = &field.inner else {
        let ty = &field.ty;
        return quote!(<#ty as ::ottla_protocol::wire::Wire>::get(i, #cx));
    };
    let nullable = quote!(<#inner as ::ottla_protocol::wire::Wire>::get_opt(i, #cx, #tagged));
    let required = quote!(::ottla_protocol::wire::derive::get_some::<#inner>(i, #cx));
    match field.nullable {
        Some(range) => range.test(model.versions).choose(nullable, required),
        None => required,
    }
}

fn tags(model: &Struct) -> TokenStream {
    let Some(_) = &model.unknown else { return quote!() };
    let known: Vec<_> = model.fields.iter().filter(|field| field.tag.is_some()).collect();
    let read = if known.is_empty() {
        quote!(::ottla_protocol::wire::derive::get_unknown_tags(i, cx)?)
    } else {
        let arms = known.iter().map(|field| arm(model, field));
        quote! {
            ::ottla_protocol::wire::derive::get_tags(i, cx, &mut |tag, data| {
                match tag {
                    #(#arms)*
                    _ => return Ok(false),
                }
                Ok(true)
            })?
        }
    };
    let none = quote!((i, ::ottla_protocol::wire::UnknownTags::default()));
    let choice = model.is_flexible().choose(read, none);
    quote!(let (i, unknown_tags) = #choice;)
}

fn arm(model: &Struct, field: &Field) -> TokenStream {
    let (tag, tagged) = field.tag.expect("only tagged fields are asked for");
    let ident = &field.ident;
    let name = field.text();
    let value = value(model, field, true);
    let guard = match tagged.test(model.versions) {
        Test::Always => None,
        Test::If(test) => Some(quote!(if #test)),
        Test::Never => Some(quote!(if false)),
    };
    let data = format_ident!("data");
    quote! {
        #tag #guard => {
            #ident = ::ottla_protocol::wire::derive::get_tagged(#name, #data, |i| #value)?;
        }
    }
}
