//! The JSON form, under the feature `json` of `ottla-protocol`.

use crate::attributes::Struct;
use proc_macro2::TokenStream;
use quote::quote;

pub(crate) fn implementation(model: &Struct) -> TokenStream {
    let name = &model.name;
    let writes = model.fields.iter().map(|field| {
        let ident = &field.ident;
        let json = &field.json;
        let write = quote!(
            ::ottla_protocol::wire::json::put_json(&mut object, #json, &self.#ident, cx)?;
        );
        let write = match field.tag {
            None => write,
            // A tagged field that has its default is left out, as on the wire.
            Some((_, tagged)) => {
                let is_default = field.is_default();
                let unless_default = quote!(if !(#is_default) { #write });
                tagged.test(model.versions).choose(unless_default, write.clone())
            }
        };
        field.versions.test(model.versions).choose(write, quote!())
    });
    let takes = model.fields.iter().map(|field| {
        let ident = &field.ident;
        let json = &field.json;
        let default = field.default_value();
        let take = match &field.alias {
            None => quote!(fields.take(#json, || #default)?),
            Some(alias) => quote!(fields.take_either(#json, #alias, || #default)?),
        };
        let value = field.versions.test(model.versions).choose(take, default);
        quote!(#ident: #value)
    });
    let known = model.fields.iter().map(|field| &field.json);
    let unknown = model.unknown.as_ref().map(|ident| quote!(#ident: Default::default(),));
    quote! {
        #[cfg(feature = "json")]
        impl ::ottla_protocol::wire::json::Json for #name {
            #[allow(unused_mut)]
            fn json(
                &self,
                cx: ::ottla_protocol::wire::PutCx,
            ) -> Result<::ottla_protocol::wire::json::JsonValue, ::ottla_protocol::EncodeError> {
                let mut object = ::ottla_protocol::wire::json::object();
                #(#writes)*
                Ok(object.into())
            }

            #[allow(unused_mut)]
            fn parse_json(
                value: &::ottla_protocol::wire::json::JsonValue,
                cx: ::ottla_protocol::wire::PutCx,
            ) -> Result<Self, ::ottla_protocol::EncodeError> {
                let mut fields = ::ottla_protocol::wire::json::Fields::new(value, cx)?;
                let parsed = Self { #(#takes,)* #unknown };
                fields.finish(&[#(#known),*])?;
                Ok(parsed)
            }
        }
    }
}
