//! Rules about Kafka's releases: what a schema says of earlier ones has to be of something that
//! they had. S10, S11, S28, S29, S35, S36.

use super::fields::{Context, is_same};
use crate::ast::{
    Base, Before, Bound, Field, Former, Kind, Lifetime, Literal, Message, Schema, Spanned, Was,
};
use crate::diagnostic::{Diagnostic, Span};
use crate::export::{KINDS, name_in, versions_in};
use crate::library::{Found, Library, snake_case};
use crate::range::Range;
use crate::release::Release;
use std::collections::BTreeMap;
use std::mem::discriminant;

/// The versions of a message in each release that has some.
pub(super) struct Life(Vec<(Release, Range)>);

impl Life {
    pub(super) fn of(found: Found<'_>) -> Self {
        let lifetimes = found.api.map_or(&found.message.lifetimes, |api| &api.lifetimes);
        Self::new(found.message.versions.value, lifetimes)
    }

    fn new(versions: Range, lifetimes: &[Lifetime]) -> Self {
        let in_release = |release: &Release| {
            versions_in(versions, lifetimes, Some(*release)).map(|range| (*release, range))
        };
        Self(Release::ALL.iter().filter_map(in_release).collect())
    }

    /// The releases, of those that count, that have one of the versions.
    fn with(&self, versions: Range, counts: impl Fn(Release) -> bool) -> Vec<Release> {
        let has = |(release, valid): &&(Release, Range)| {
            counts(*release) && valid.intersect(versions).is_some()
        };
        self.0.iter().filter(has).map(|(release, _)| *release).collect()
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        self.0.iter().any(|(release, _)| other.0.iter().any(|(same, _)| same == release))
    }
}

/// What is around the fields of a struct.
#[derive(Clone, Copy)]
pub(super) struct Around {
    /// The versions that have it.
    pub(super) versions: Range,
    pub(super) in_array: bool,
    /// The first release that has it, where its version is there.
    pub(super) since: Release,
}

/// The fields that earlier releases lacked, and the first release with each.
pub(super) fn absences(message: &Message) -> Vec<(&Field, Release)> {
    let absent = message.before.iter().filter(|before| before.was.value == Was::Absent);
    let field = |before: &Before| Some((*place(message, before)?.last()?, before.release.value));
    absent.filter_map(field).collect()
}

/// The first release that has the field.
pub(super) fn since(absences: &[(&Field, Release)], field: &Field) -> Release {
    let of_field = absences.iter().filter(|(other, _)| std::ptr::eq(*other, field));
    of_field.map(|(_, release)| *release).max().unwrap_or(Release::ALL[0])
}

/// The field that `before` names, and those around it.
fn place<'m>(message: &'m Message, before: &Before) -> Option<Vec<&'m Field>> {
    let mut fields = &*message.fields;
    let found = before.path.value.iter().map(|name| {
        let field = fields.iter().find(|field| field.name.value == *name)?;
        fields = message.members(field);
        Some(field)
    });
    found.collect()
}

/// S10: of the fields of a struct, a former name is another, and was in use. S11: in no release two
/// of them have one name.
pub(super) fn check_siblings(context: &mut Context<'_>, fields: &[Field], around: Around) {
    for (index, field) in fields.iter().enumerate() {
        let Some((former, renamed)) = &field.former else { continue };
        let there = |field: &Field| {
            let since = since(&context.absences, field).max(around.since);
            let versions = field.versions.value.intersect(around.versions);
            let before = |release| since <= release && release < renamed.value;
            versions.map_or_else(Vec::new, |versions| context.life.with(versions, before))
        };
        let releases = there(field);
        let clash = fields.iter().enumerate().find_map(|(at, other)| {
            let shared = there(other).into_iter().find(|release| {
                let name =
                    |of: &Field| snake_case(name_in(&of.name, of.former.as_ref(), Some(*release)));
                releases.contains(release) && name(other) == name(field)
            });
            let is_told = other.former.is_some() && at > index;
            shared.filter(|_| at != index && !is_told).map(|release| (release, other))
        });
        let fault = former_fault(&field.name, (former, renamed), !releases.is_empty());
        if let Some((span, text)) = fault {
            context.find("S10", span, text);
        } else if let Some((release, other)) = clash {
            let text = format!("in {release} `{}` has this name", other.name.value);
            context.find("S11", former.span, text);
        }
    }
}

/// What is wrong with a former name by itself.
fn former_fault(
    name: &Spanned<String>,
    (former, release): (&Spanned<String>, &Spanned<Release>),
    was_there: bool,
) -> Option<(Span, String)> {
    if let Some(text) = too_early(release.value) {
        Some((release.span, text))
    } else if former.value == name.value {
        Some((former.span, format!("`{}` is its name today: a former one is another", name.value)))
    } else if !was_there {
        Some((release.span, format!("no release before {} has `{}`", release.value, name.value)))
    } else {
        None
    }
}

fn too_early(release: Release) -> Option<String> {
    (release == Release::ALL[0]).then(|| format!("no release before {release} is described"))
}

/// An API or record by its names.
struct Named<'a> {
    found: Found<'a>,
    name: &'a Spanned<String>,
    former: Option<&'a Former>,
    life: Life,
}

impl<'a> Named<'a> {
    fn of(found: Found<'a>) -> Self {
        let (name, former) = match found.api {
            Some(api) => (&api.name, &api.former),
            None => (&found.message.name, &found.message.former),
        };
        Self { found, name, former: former.as_ref(), life: Life::of(found) }
    }

    /// Its former name, if that was its name in a release.
    fn renamed_after(&self, release: Release) -> Option<&'a Spanned<String>> {
        self.former.filter(|(_, renamed)| release < renamed.value).map(|(former, _)| former)
    }

    /// Whether in a release both were one: the versions of a coordinator's key were records of
    /// types of their own later.
    fn was_one_with(&self, other: &Self, release: Release) -> bool {
        let (one, other) = (self.found.message, other.found.message);
        let keys = [one, other].iter().all(|message| message.kind == Kind::CoordinatorKey);
        let form = |of: &Message| {
            let fields = of.fields.iter();
            fields.map(|field| (field.name.value.clone(), field.ty.value.clone())).collect()
        };
        let forms: [Vec<_>; 2] = [form(one), form(other)];
        let number = |of: &Message| of.number.as_ref().map(|number| number.value);
        release < KINDS && keys && number(one) != number(other) && forms[0] == forms[1]
    }
}

/// S29: the former name of an API or record is another, and was in use; in no release two of them
/// have one name, but for the versions of one.
pub(super) fn check_names(library: &Library, findings: &mut Vec<Diagnostic>) {
    // An API is told of once.
    let found = library.messages().into_iter();
    let found = found.filter(|found| found.message.kind != Kind::Response);
    let all: Vec<Named<'_>> = found.map(Named::of).collect();
    for Named { found, name, former, life } in &all {
        let Some((text, renamed)) = former else { continue };
        let was_there = life.0.iter().any(|(release, _)| *release < renamed.value);
        if let Some((span, text)) = former_fault(name, (text, renamed), was_there) {
            findings.push(found.schema.finding("S29", span, text));
        }
    }
    let mut clashes = Release::ALL.iter().filter_map(|release| name_clash(&all, *release));
    findings.extend(clashes.next());
}

/// The first of two that have one name in a release, and not today.
fn name_clash(all: &[Named<'_>], release: Release) -> Option<Diagnostic> {
    let mut names: BTreeMap<(bool, &str), &Named<'_>> = BTreeMap::new();
    for one in all.iter().filter(|one| one.life.0.iter().any(|(other, _)| *other == release)) {
        let then = name_in(one.name, one.former, Some(release));
        let place = (one.found.api.is_some(), then);
        let Some(other) = names.insert(place, one) else { continue };
        let both = [(one, other), (other, one)];
        let renamed =
            both.iter().find_map(|(of, other)| Some((of, of.renamed_after(release)?, other)));
        if let Some((of, former, other)) = renamed
            && !of.was_one_with(other, release)
        {
            let text = format!("in {release} `{}` has this name", other.name.value);
            return Some(of.found.schema.finding("S29", former.span, text));
        }
    }
    None
}

/// S28: lifetimes are about versions of the message, and say something: no release is before the
/// first, a version comes, goes and becomes stable once and in this order, only the last one of a
/// release is unstable, and what a release has is a range.
pub(super) fn check_lifetimes(
    schema: &Schema,
    lifetimes: &[Lifetime],
    versions: Range,
    findings: &mut Vec<Diagnostic>,
) {
    let mut find = |span, text: String| findings.push(schema.finding("S28", span, text));
    for (index, lifetime) in lifetimes.iter().enumerate() {
        let Lifetime { release, versions: of, .. } = lifetime;
        if !of.value.within(versions) {
            find(of.span, format!("the versions are {versions}: a lifetime is of some of them"));
        } else if let Some(text) = too_early(release.value) {
            find(release.span, text);
        } else if let Some(version) = told_before(lifetime, &lifetimes[..index]) {
            find(
                of.span,
                format!("version {version} has a `{}` above already", word(lifetime.bound)),
            );
        } else if let Some(text) = contradiction(lifetime, lifetimes, versions) {
            find(release.span, text);
        }
    }
    let hole = Release::ALL.iter().find_map(|release| hole(versions, lifetimes, *release));
    if let Some((span, text)) = hole {
        find(span, text);
    }
}

fn word(bound: Bound) -> &'static str {
    match bound {
        Bound::Since => "since",
        Bound::Until => "until",
        Bound::UnstableUntil => "unstable … until",
    }
}

/// A version of which an earlier line says the same.
fn told_before(lifetime: &Lifetime, above: &[Lifetime]) -> Option<i16> {
    let same = above.iter().filter(|other| other.bound == lifetime.bound);
    let mut shared =
        same.filter_map(|other| other.versions.value.intersect(lifetime.versions.value));
    shared.next().map(|versions| versions.first)
}

/// What another line, or this one, makes impossible.
fn contradiction(lifetime: &Lifetime, all: &[Lifetime], versions: Range) -> Option<String> {
    let Lifetime { bound, release: Spanned { value: release, .. }, versions: of } = lifetime;
    let others = all.iter().filter(|other| other.versions.value.intersect(of.value).is_some());
    let at = |wanted: Bound| {
        let of_bound = others.clone().filter(move |other| other.bound == wanted);
        of_bound.map(|other| other.release.value)
    };
    if *bound != Bound::Since && at(Bound::Since).any(|since| since >= *release) {
        return Some("this version came with this release or a later one".to_owned());
    }
    if *bound != Bound::UnstableUntil {
        return None;
    }
    if let Some(gone) = at(Bound::Until).find(|until| until < release) {
        return Some(format!("this version is gone in {gone} already"));
    }
    let version = of.value.first;
    Release::ALL.iter().filter(|before| *before < release).find_map(|before| {
        let valid = versions_in(versions, all, Some(*before))?;
        let is_inside = valid.contains(version) && valid.last != Some(version);
        is_inside
            .then(|| format!("in {before} version {version} is not the last, {valid} are there"))
    })
}

/// A version that a release lacks between two that it has, and the line that says so.
fn hole(versions: Range, lifetimes: &[Lifetime], release: Release) -> Option<(Span, String)> {
    // Between these places, what a release has does not change.
    let mut places = vec![versions.first, versions.last?];
    for range in lifetimes.iter().map(|lifetime| lifetime.versions.value) {
        let last = range.last.unwrap_or(range.first);
        let near = [range.first.saturating_sub(1), range.first, last, last.saturating_add(1)];
        places.extend(near.into_iter().filter(|version| versions.contains(*version)));
    }
    places.sort_unstable();
    let excludes = |version: i16| {
        let mut of_version = lifetimes.iter().filter(|life| life.versions.value.contains(version));
        of_version.find(|life| !life.allows(release))
    };
    let is_there = |version: &&i16| excludes(**version).is_none();
    let first = places.iter().find(is_there)?;
    let last = places.iter().rfind(is_there)?;
    let missing =
        places.iter().find(|version| first < *version && *version < last && !is_there(version))?;
    let text = format!(
        "{release} has versions {first} and {last} and not {missing}: versions come at the end and \
         go from the beginning"
    );
    Some((excludes(*missing)?.versions.span, text))
}

/// S35: `before` is of a field of the message, and of a later release than the first. S36: it says
/// what can have been, and was otherwise.
pub(super) fn check_before(context: &mut Context<'_>) {
    let message = context.message;
    for (index, before) in message.before.iter().enumerate() {
        if let Some(text) = too_early(before.release.value) {
            context.find("S35", before.release.span, text);
        } else if let Some(place) = place(message, before) {
            if let Some((span, text)) = impossible(context, index, &place) {
                context.find("S36", span, text);
            }
        } else {
            let (path, of) = (before.path.value.join("."), &message.name.value);
            context.find("S35", before.path.span, format!("`{of}` has no field `{path}`"));
        }
    }
}

/// Why a line that begins with `before` says nothing, or what cannot have been.
fn impossible(context: &mut Context<'_>, index: usize, place: &[&Field]) -> Option<(Span, String)> {
    let message = context.message;
    let Before { release, path, was } = &message.before[index];
    let (field, written) = (*place.last()?, path.value.join("."));
    let same_path = |other: &&Before| other.path.value == path.value;
    let is_again = |other: &Before| discriminant(&other.was.value) == discriminant(&was.value);
    if message.before[..index].iter().filter(same_path).any(is_again) {
        return Some((was.span, format!("a line above says this of `{written}` already")));
    }
    // Fields around it that were absent, and itself where this line is about something else.
    let around = message.before.iter().enumerate().filter(|(at, other)| {
        *at != index && other.was.value == Was::Absent && path.value.starts_with(&other.path.value)
    });
    let since = around.map(|(_, other)| other.release.value).max().unwrap_or(Release::ALL[0]);
    let mut versions = Some(message.versions.value);
    for field in place {
        versions = versions.and_then(|around| field.versions.value.intersect(around));
    }
    // No version at all is S5's to tell.
    let versions = versions?;
    if context.life.with(versions, |one| release.value <= one).is_empty() {
        let text =
            format!("no release from {} on has `{written}`: it was so always", release.value);
        return Some((release.span, text));
    }
    let earlier = context.life.with(versions, |one| since <= one && one < release.value);
    let Some(latest) = earlier.last() else {
        let text = format!("no release before {} has `{written}`", release.value);
        return Some((release.span, text));
    };
    if is_so_today(field, &was.value) {
        return Some((was.span, format!("`{written}` is so today: say what was otherwise")));
    }
    let is_struct = |base: &Base| matches!(base, Base::Struct(_));
    if let Was::Type(former) = &was.value
        && (is_struct(&former.base) || is_struct(&field.ty.value.base))
    {
        return Some((was.span, "the type of a struct's field stays what it is".to_owned()));
    }
    let in_array = place.len() > 1 && place[place.len() - 2].ty.value.array;
    let of_field = message.before.iter().filter(same_path);
    let effective: Vec<&Before> = of_field.filter(|other| *latest < other.release.value).collect();
    let without =
        effective.iter().copied().filter(|other| !std::ptr::eq(*other, &message.before[index]));
    let without = former(field, without);
    let fault = first_fault(context, &former(field, effective.iter().copied()), in_array)?;
    let is_new = first_fault(context, &without, in_array).as_ref() != Some(&fault);
    is_new.then_some((was.span, fault))
}

/// The field with what was otherwise.
fn former<'b>(field: &Field, before: impl Iterator<Item = &'b Before>) -> Field {
    let mut former = field.clone();
    for Before { was: Spanned { value, span }, .. } in before {
        match value {
            Was::Absent => {}
            Was::Type(ty) => former.ty.value = ty.clone(),
            Was::Default(default) => {
                former.default = Some(Spanned { value: default.clone(), span: *span });
            }
            Was::Ignorable(is) => former.ignorable = *is,
            Was::Key(is) => former.key = is.then_some(*span),
            Was::Entity(entity) => {
                former.entity = entity.clone().map(|value| Spanned { value, span: *span });
            }
        }
    }
    former
}

/// What the rules about a field by itself say first.
fn first_fault(context: &mut Context<'_>, field: &Field, in_array: bool) -> Option<String> {
    let told = std::mem::take(&mut context.findings);
    context.form(field, in_array);
    let found = std::mem::replace(&mut context.findings, told);
    found.into_iter().next().map(|finding| finding.message)
}

fn is_so_today(field: &Field, was: &Was) -> bool {
    match was {
        Was::Absent => false,
        Was::Type(ty) => *ty == field.ty.value,
        Was::Default(default) => match &field.default {
            Some(today) => is_same(default, &today.value),
            None => !field.ty.value.array && is_zero(default),
        },
        Was::Ignorable(is) => *is == field.ignorable,
        Was::Key(is) => *is == field.key.is_some(),
        Was::Entity(entity) => *entity == field.entity.as_ref().map(|entity| entity.value.clone()),
    }
}

/// Whether it is what a field has without a default.
fn is_zero(literal: &Literal) -> bool {
    match literal {
        Literal::Int(value, _) => *value == 0,
        Literal::Bool(value) => !value,
        Literal::Float(written) => written.parse() == Ok(0.0),
        Literal::String(text) => text.is_empty(),
        Literal::Null => false,
    }
}
