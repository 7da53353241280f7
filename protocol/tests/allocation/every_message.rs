//! Each message in each version, made from the schemas: hostile counts at every array, the smallest
//! elements many times, arrays inside of arrays, noise.

use std::path::Path;

use bytes::Bytes;
use ottla_codegen::Library;
use ottla_codegen::ast::{Base, Field, Message, Type};
use ottla_protocol::messages::convert;
use ottla_protocol::varint::put_uvarint;
use serde_json::{Map, Value, json};

use super::{Random, array_paths, bounded, fillers, least};

/// A message in one version.
pub(crate) struct Every {
    name: String,
    version: i16,
    last: bool,
    /// Every field that the version has, each array with one element.
    bytes: Vec<u8>,
    arrays: Vec<Array>,
}

/// An array of [`Every::bytes`].
struct Array {
    path: String,
    count: Count,
    /// The message that has little else than one element with nothing but defaults, and the
    /// element's place in it.
    least: (Vec<u8>, Count, usize),
    /// The counts of the arrays that it lies in, outermost first.
    around: Vec<Count>,
}

/// Where an array's count stands: one byte in the compact form, or four.
#[derive(Clone, Copy)]
struct Count {
    at: usize,
    compact: bool,
}

impl Count {
    fn end(self) -> usize {
        self.at + if self.compact { 1 } else { 4 }
    }

    fn put(self, out: &mut Vec<u8>, count: u32) {
        if self.compact {
            put_uvarint(out, count.saturating_add(1));
        } else {
            out.extend_from_slice(&count.to_be_bytes());
        }
    }
}

/// The value of a field that has all there is to have.
fn filled(message: &Message, ty: &Type, fields: &[Field], version: i16) -> Value {
    let one = match &ty.base {
        Base::Bool => json!(true),
        Base::Uuid => json!("AAAAAAAAAAAAAAAAAAAAAQ"),
        Base::String => json!("a"),
        Base::Bytes | Base::Records => json!("AAAA"),
        Base::Struct(name) => {
            let common = message.structs.iter().find(|common| common.name.value == *name);
            object(message, common.map_or(fields, |common| &common.fields), version)
        }
        _ => json!(1),
    };
    if ty.array { json!([one]) } else { one }
}

fn object(message: &Message, fields: &[Field], version: i16) -> Value {
    let has = |field: &&Field| field.versions.value.contains(version);
    let entry = |field: &Field| {
        let (first, rest) = field.name.value.split_at(1);
        let value = filled(message, &field.ty.value, &field.fields, version);
        (first.to_lowercase() + rest, value)
    };
    Value::Object(fields.iter().filter(has).map(entry).collect::<Map<_, _>>())
}

/// The array at `path` with this many elements, all alike.
fn repeated(json: &Value, path: &[String], count: usize) -> Value {
    let mut json = json.clone();
    let mut place = &mut json;
    for (at, name) in path.iter().enumerate() {
        place = &mut place[name.as_str()];
        if let Value::Array(elements) = place {
            if at + 1 == path.len() {
                *elements = vec![elements[0].clone(); count];
                break;
            }
            place = &mut elements[0];
        }
    }
    json
}

/// Where the message with `one` element has their count, and the bytes of the element, found by
/// what is different with `two`. `None` inside of a tagged field, whose size is different as well.
fn locate(one: &[u8], two: &[u8]) -> Option<(Count, usize)> {
    let at = one.iter().zip(two).position(|(one, two)| one != two)?;
    let count = match (one[at], two[at]) {
        (2, 3) => Count { at, compact: true },
        (1, 2) if at >= 3 => Count { at: at - 3, compact: false },
        _ => return None,
    };
    let element = two.len() - one.len();
    let whole = at < one.len() && many(one, count, element, 2)? == two;
    whole.then_some((count, element))
}

/// The message with its element so many times.
fn many(one: &[u8], count: Count, element: usize, times: usize) -> Option<Vec<u8>> {
    let body = one.get(count.end()..count.end() + element)?;
    let mut made = one[..count.at].to_vec();
    count.put(&mut made, times as u32);
    made.extend_from_slice(&body.repeat(times));
    made.extend_from_slice(&one[count.end() + element..]);
    Some(made)
}

fn arrays(name: &str, version: i16, json: &Value, bytes: &[u8]) -> Vec<Array> {
    let mut paths = Vec::new();
    array_paths(json, &[], &mut paths);
    let encode = |json: &Value| convert::encode_named(name, version, json);
    let mut found: Vec<Array> = Vec::new();
    for path in paths {
        let two = encode(&repeated(json, &path, 2)).expect("as one");
        let Some((count, element)) = locate(bytes, &two) else { continue };
        // Some fields have no default that can be written: those elements stay as they are.
        let least = match [1, 2].map(|count| encode(&least(json, &path, count))) {
            [Ok(one), Ok(two)] => locate(&one, &two).map(|(at, len)| (one.to_vec(), at, len)),
            _ => None,
        };
        let least = least.unwrap_or_else(|| (bytes.to_vec(), count, element));
        let path = path.join(".");
        let outer = found.iter().filter(|outer| path.starts_with(&format!("{}.", outer.path)));
        let around = outer.map(|outer| outer.count).collect();
        found.push(Array { path, count, least, around });
    }
    found
}

/// All messages in all of their versions.
pub(crate) fn every() -> Vec<Every> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let library = Library::read(&folder).expect("the schemas are there").expect("and are right");
    let mut all = Vec::new();
    for found in library.messages() {
        let name = &found.message.name.value;
        let range = found.message.versions.value;
        let last = range.last.unwrap_or(range.first);
        for version in range.first..=last {
            let json = object(found.message, &found.message.fields, version);
            let bytes = convert::encode_named(name, version, &json)
                .unwrap_or_else(|error| panic!("{name} v{version}: {error}"))
                .to_vec();
            let arrays = arrays(name, version, &json, &bytes);
            let last = version == last;
            all.push(Every { name: name.clone(), version, last, bytes, arrays });
        }
    }
    let names = all.iter().map(|every| every.name.as_str());
    let missing: Vec<_> =
        convert::NAMES.iter().filter(|name| !names.clone().any(|found| found == **name)).collect();
    assert!(missing.is_empty(), "no schema of {missing:?}");
    all
}

impl Every {
    fn check(&self, what: &str, bytes: Vec<u8>) -> f64 {
        let bytes = Bytes::from(bytes);
        bounded(&format!("{} v{} {what}", self.name, self.version), bytes.len(), || {
            drop(convert::check_named(&self.name, self.version, &bytes));
        })
    }

    /// Counts that are not honest, in front of nothing, a little, and a lot.
    fn hostile_counts(&self, random: &mut Random) {
        for array in &self.arrays {
            for count in [i32::MAX as u32 - 1, 1 << 20, 4000, 300] {
                let mut bytes = self.bytes[..array.count.at].to_vec();
                array.count.put(&mut bytes, count);
                let patterns = fillers([0, 60, 3000][random.below(3)]);
                bytes.extend_from_slice(&patterns[random.below(patterns.len())]);
                self.check(&array.path, bytes);
            }
        }
    }

    /// The array and all around it claim as many elements as bytes could follow.
    fn nested_counts(&self) {
        for array in self.arrays.iter().filter(|array| !array.around.is_empty()) {
            for pattern in fillers(3000) {
                let (mut bytes, mut done) = (Vec::new(), 0);
                for count in array.around.iter().chain([&array.count]) {
                    bytes.extend_from_slice(&self.bytes[done..count.at]);
                    count.put(&mut bytes, 2900);
                    done = count.end();
                }
                bytes.extend_from_slice(&pattern);
                self.check(&array.path, bytes);
            }
        }
    }

    /// Good bytes: the smallest element over and over, which takes most memory for its bytes.
    fn many_elements(&self) -> f64 {
        let mut worst = 0f64;
        for array in &self.arrays {
            let (one, count, element) = &array.least;
            // The 64 KiB that are free are little beside the bytes of the last version; those
            // before it differ in a few fields only.
            let len = if self.last { 24 << 10 } else { 1 << 10 };
            let bytes = many(one, *count, *element, len / element).expect("as twice");
            worst = worst.max(self.check(&array.path, bytes));
        }
        worst
    }

    fn noise(&self, random: &mut Random) {
        for _ in 0..8 {
            let len = random.below(400);
            let byte = |random: &mut Random| {
                [0, 1, 2, 3, 0x7f, 0x80, 0xff, random.next() as u8][random.below(8)]
            };
            let bytes = (0..len).map(|_| byte(random)).collect();
            self.check("noise", bytes);
            let mut bytes = self.bytes.clone();
            for _ in 0..1 + random.below(4) {
                if let Some(at) = random.below(bytes.len() + 1).checked_sub(1) {
                    bytes[at] = byte(random);
                }
            }
            bytes.truncate(random.below(bytes.len() * 4 + 1));
            self.check("damage", bytes);
        }
    }
}

#[test]
fn hostile_counts_at_every_array() {
    let mut random = Random(0x0771_a000_0000_0005);
    let every = every();
    for message in &every {
        message.hostile_counts(&mut random);
        message.nested_counts();
    }
    let arrays: usize = every.iter().map(|message| message.arrays.len()).sum();
    println!("{arrays} arrays in {} versions of messages", every.len());
    assert!(every.len() > 800 && arrays > 1000, "{arrays} arrays in {} versions", every.len());
}

#[test]
fn many_elements_in_every_array() {
    let worst = every().iter().map(Every::many_elements).fold(0.0, f64::max);
    println!("at most {worst:.1} times the input");
}

#[test]
fn noise_as_every_message() {
    let mut random = Random(0x0771_a000_0000_0006);
    for message in every() {
        message.noise(&mut random);
    }
}
