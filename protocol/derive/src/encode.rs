//! The writer: the fields in schema order, then the tagged section.

use crate::attributes::{Field, Struct, Test};
use proc_macro2::TokenStream;
use quote::quote;

pub(crate) fn body(model: &Struct) -> TokenStream {
    let flexible = model.is_flexible().choose(quote!(true), quote!(false));
    let fields = model.fields.iter().map(|field| untagged(model, field));
    let tags = tags(model);
    quote! {
        let cx = ::ottla_protocol::wire::PutCx { flexible: #flexible, ..cx };
        #(#fields)*
        #tags
        Ok(())
    }
}

fn untagged(model: &Struct, field: &Field) -> TokenStream {
    let name = field.text();
    let value = value(model, field, false);
    let write = quote!(::ottla_protocol::wire::derive::put_field(#name, #value)?;);
    let place = field.untagged(model.versions).choose(write, quote!());
    let refusal = refusal(model, field);
    quote!(#place #refusal)
}

/// A field that the version does not have must have its default, unless it is ignorable.
fn refusal(model: &Struct, field: &Field) -> TokenStream {
    if field.ignorable {
        return quote!();
    }
    let name = field.text();
    let is_default = field.is_default();
    let check = quote! {
        if !(#is_default) {
            return Err(::ottla_protocol::wire::derive::absent_but_set(#name, cx.version));
        }
    };
    field.versions.test(model.versions).choose(quote!(), check)
}

/// The writer's call, an expression of type `Put`.
fn value(model: &Struct, field: &Field, tagged: bool) -> TokenStream {
    let ident = &field.ident;
    let cx = if field.classic {
        quote!(::ottla_protocol::wire::PutCx { flexible: false, ..cx })
    } else {
        quote!(cx)
    };
    if field.inner.is_none() {
        return quote!(::ottla_protocol::wire::Wire::put(&self.#ident, out, #cx));
    }
    let nullable = quote!(
        ::ottla_protocol::wire::Wire::put_opt(self.#ident.as_ref(), out, #cx, #tagged)
    );
    let required = quote!(
        ::ottla_protocol::wire::derive::put_some(self.#ident.as_ref(), out, #cx)
    );
    match field.nullable {
        Some(range) => range.test(model.versions).choose(nullable, required),
        None => required,
    }
}

fn tags(model: &Struct) -> TokenStream {
    let Some(unknown) = &model.unknown else { return quote!() };
    let mut known: Vec<_> =
        model.fields.iter().filter_map(|field| field.tag.map(|tag| (tag, field))).collect();
    known.sort_by_key(|((tag, _), _)| *tag);
    if known.is_empty() {
        let write = quote!(::ottla_protocol::wire::derive::put_unknown_tags(&self.#unknown, out)?;);
        return model.is_flexible().choose(write, quote!());
    }
    let writes = known.iter().map(|((tag, tagged), field)| {
        let name = field.text();
        let value = value(model, field, true);
        let is_default = field.is_default();
        let write = quote! {
            if !(#is_default) {
                tags.put(#name, #tag, |out| #value)?;
            }
        };
        match tagged.test(model.versions) {
            Test::Never => quote!(),
            test => test.choose(write, quote!()),
        }
    });
    let write = quote! {
        let mut tags = ::ottla_protocol::wire::derive::TagWriter::new();
        #(#writes)*
        tags.finish(out, &self.#unknown)?;
    };
    model.is_flexible().choose(write, quote!())
}
