//! The attributes of a struct and of its fields.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::ParseStream;
use syn::{Data, DeriveInput, Expr, Fields, Ident, LitInt, LitStr, RangeLimits, Token, Type};

/// Versions from `low` to `high`; without `high` there is no end.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Range {
    pub(crate) low: i16,
    pub(crate) high: Option<i16>,
}

impl Range {
    /// Whether every version of `other` is one of these.
    fn covers(self, other: Self) -> bool {
        self.low <= other.low
            && match (self.high, other.high) {
                (None, _) => true,
                (Some(high), Some(inner)) => high >= inner,
                (Some(_), None) => false,
            }
    }

    fn overlaps(self, other: Self) -> bool {
        self.high.is_none_or(|high| high >= other.low)
            && other.high.is_none_or(|high| high >= self.low)
    }

    /// The test whether `cx.version` is one of these, given that it is one of `within`.
    pub(crate) fn test(self, within: Self) -> Test {
        if self.covers(within) {
            return Test::Always;
        }
        if !self.overlaps(within) {
            return Test::Never;
        }
        let low = self.low;
        let above = (low > within.low).then(|| quote!(cx.version >= #low));
        let below = self
            .high
            .filter(|high| within.high.is_none_or(|end| *high < end))
            .map(|high| quote!(cx.version <= #high));
        Test::If(match (above, below) {
            (Some(_), Some(_)) if self.high == Some(low) => quote!(cx.version == #low),
            (Some(above), Some(below)) => quote!(#above && #below),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => unreachable!("a range that neither covers nor misses has an edge"),
        })
    }
}

/// When a piece of code runs.
pub(crate) enum Test {
    Always,
    Never,
    If(TokenStream),
}

impl Test {
    /// `yes` where the test holds, `no` elsewhere.
    pub(crate) fn choose(&self, yes: TokenStream, no: TokenStream) -> TokenStream {
        match self {
            Self::Always => yes,
            Self::Never => no,
            Self::If(test) => quote!(if #test { #yes } else { #no }),
        }
    }
}

pub(crate) enum Default {
    Zero,
    Null,
    Value(Expr),
}

pub(crate) struct Field {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    /// `T` of `Option<T>`.
    pub(crate) inner: Option<Type>,
    pub(crate) versions: Range,
    pub(crate) nullable: Option<Range>,
    pub(crate) default: Default,
    pub(crate) tag: Option<(u32, Range)>,
    pub(crate) ignorable: bool,
    pub(crate) classic: bool,
    pub(crate) json: String,
    /// Another name that is read in JSON.
    pub(crate) alias: Option<String>,
}

impl Field {
    pub(crate) fn text(&self) -> String {
        let text = self.ident.to_string();
        text.strip_prefix("r#").unwrap_or(&text).to_owned()
    }

    /// The versions in which the field stands at its place, not among the tagged ones.
    pub(crate) fn untagged(&self, within: Range) -> Test {
        match self.tag {
            None => self.versions.test(within),
            // A field is tagged from some version on; before it, it may stand at its place.
            Some((_, tagged)) if tagged.low > self.versions.low => {
                Range { low: self.versions.low, high: Some(tagged.low - 1) }.test(within)
            }
            Some(_) => Test::Never,
        }
    }

    /// The field's default as an expression.
    pub(crate) fn default_value(&self) -> TokenStream {
        let ty = &self.ty;
        match (&self.default, &self.inner) {
            (Default::Null, _) => quote!(None),
            (Default::Zero, Some(_)) => quote!(Some(Default::default())),
            (Default::Zero, None) => quote!(<#ty as Default>::default()),
            (Default::Value(value), Some(_)) => {
                let value = owned(value);
                quote!(Some(#value))
            }
            (Default::Value(value), None) => owned(value),
        }
    }

    /// The test whether `self.field` has its default.
    pub(crate) fn is_default(&self) -> TokenStream {
        let ident = &self.ident;
        match (&self.default, &self.inner) {
            (Default::Null, _) => quote!(self.#ident.is_none()),
            (Default::Zero, Some(_)) => {
                quote!(self.#ident.as_ref().is_some_and(::ottla_protocol::wire::Wire::is_zero))
            }
            (Default::Zero, None) => quote!(::ottla_protocol::wire::Wire::is_zero(&self.#ident)),
            (Default::Value(_), _) => {
                let value = self.default_value();
                quote!(self.#ident == #value)
            }
        }
    }
}

/// A literal as the field's type has it.
fn owned(value: &Expr) -> TokenStream {
    match value {
        Expr::Lit(literal) if matches!(literal.lit, syn::Lit::Str(_)) => quote!(#value.to_owned()),
        _ => quote!(#value),
    }
}

pub(crate) struct Struct {
    pub(crate) name: Ident,
    pub(crate) versions: Range,
    pub(crate) flexible: Option<Range>,
    pub(crate) fields: Vec<Field>,
    pub(crate) unknown: Option<Ident>,
}

#[derive(std::default::Default)]
struct Attributes {
    versions: Option<Range>,
    flexible: Option<Range>,
    classic: bool,
    nullable: Option<Range>,
    default: Option<Default>,
    tag: Option<u32>,
    tagged: Option<Range>,
    ignorable: bool,
    json: Option<String>,
    alias: Option<String>,
    unknown: bool,
}

impl Attributes {
    fn parse(attrs: &[syn::Attribute]) -> syn::Result<Self> {
        let mut found = Self::default();
        for attr in attrs.iter().filter(|attr| attr.path().is_ident("wire")) {
            attr.parse_nested_meta(|meta| {
                let name = meta.path.require_ident()?.to_string();
                match name.as_str() {
                    "ignorable" => found.ignorable = true,
                    "unknown" => found.unknown = true,
                    "versions" => found.versions = Some(range(meta.value()?)?),
                    "nullable" => found.nullable = Some(range(meta.value()?)?),
                    "tagged" => found.tagged = Some(range(meta.value()?)?),
                    "flexible" => {
                        let value = meta.value()?;
                        if value.peek(Ident) && value.fork().parse::<Ident>()? == "none" {
                            value.parse::<Ident>()?;
                            found.classic = true;
                        } else {
                            found.flexible = Some(range(value)?);
                        }
                    }
                    "tag" => found.tag = Some(meta.value()?.parse::<LitInt>()?.base10_parse()?),
                    "json" => found.json = Some(meta.value()?.parse::<LitStr>()?.value()),
                    "alias" => found.alias = Some(meta.value()?.parse::<LitStr>()?.value()),
                    "default" => found.default = Some(default(meta.value()?)?),
                    _ => return Err(meta.error("no such attribute of a message")),
                }
                Ok(())
            })?;
        }
        Ok(found)
    }
}

fn default(value: ParseStream<'_>) -> syn::Result<Default> {
    if value.peek(Ident) && value.fork().parse::<Ident>()? == "null" {
        value.parse::<Ident>()?;
        return Ok(Default::Null);
    }
    Ok(Default::Value(value.parse()?))
}

fn range(value: ParseStream<'_>) -> syn::Result<Range> {
    let low: LitInt = value.parse()?;
    let limits: RangeLimits = value.parse()?;
    let high = if value.is_empty() || value.peek(Token![,]) {
        None
    } else {
        Some(value.parse::<LitInt>()?.base10_parse()?)
    };
    if matches!(limits, RangeLimits::HalfOpen(_)) && high.is_some() {
        return Err(value.error("version ranges are written A.. or A..=B"));
    }
    Ok(Range { low: low.base10_parse()?, high })
}

impl Struct {
    pub(crate) fn parse(input: &DeriveInput) -> syn::Result<Self> {
        let attributes = Attributes::parse(&input.attrs)?;
        let Data::Struct(data) = &input.data else {
            return Err(syn::Error::new_spanned(input, "a message is a struct"));
        };
        let Fields::Named(named) = &data.fields else {
            return Err(syn::Error::new_spanned(input, "a message has named fields"));
        };
        let mut fields = Vec::new();
        let mut unknown = None;
        for field in &named.named {
            let ident = field.ident.clone().expect("named fields have names");
            let attributes = Attributes::parse(&field.attrs)?;
            if attributes.unknown {
                unknown = Some(ident);
                continue;
            }
            fields.push(Field::new(ident, field, attributes)?);
        }
        let versions = attributes.versions.unwrap_or(Range { low: 0, high: None });
        if attributes.flexible.is_some() && unknown.is_none() {
            let message = "a message with flexible versions needs an #[wire(unknown)] field";
            return Err(syn::Error::new_spanned(input, message));
        }
        Ok(Self {
            name: input.ident.clone(),
            versions,
            flexible: attributes.flexible,
            fields,
            unknown,
        })
    }

    /// When a version is flexible.
    pub(crate) fn is_flexible(&self) -> Test {
        self.flexible.map_or(Test::Never, |flexible| flexible.test(self.versions))
    }
}

impl Field {
    fn new(ident: Ident, field: &syn::Field, attributes: Attributes) -> syn::Result<Self> {
        let versions = attributes
            .versions
            .ok_or_else(|| syn::Error::new_spanned(field, "versions = A.. is missing"))?;
        let inner = option_of(&field.ty);
        let tag = match (attributes.tag, attributes.tagged) {
            (Some(tag), Some(tagged)) => Some((tag, tagged)),
            (None, None) => None,
            _ => return Err(syn::Error::new_spanned(field, "tag and tagged come together")),
        };
        let text = ident.to_string();
        let json =
            attributes.json.unwrap_or_else(|| camel_case(text.strip_prefix("r#").unwrap_or(&text)));
        Ok(Self {
            ident,
            ty: field.ty.clone(),
            inner,
            versions,
            nullable: attributes.nullable,
            default: attributes.default.unwrap_or(Default::Zero),
            tag,
            ignorable: attributes.ignorable,
            classic: attributes.classic,
            json,
            alias: attributes.alias,
        })
    }
}

fn option_of(ty: &Type) -> Option<Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    if last.ident != "Option" {
        return None;
    }
    syn::parse2(arguments.args.first()?.to_token_stream()).ok()
}

fn camel_case(snake: &str) -> String {
    let mut out = String::new();
    let mut upper = false;
    for letter in snake.chars() {
        if letter == '_' {
            upper = true;
        } else if upper {
            out.extend(letter.to_uppercase());
            upper = false;
        } else {
            out.push(letter);
        }
    }
    out
}
