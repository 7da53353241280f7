//! Random values of any message, and random harm to bytes; the same in every run.

use crate::codec::{Data, Field, Message, Struct, Type, zero};

/// A small generator (xorshift).
pub(crate) struct Random {
    state: u64,
    /// Whether all is null that can be.
    nulls: bool,
}

impl Random {
    /// One that begins with the seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, nulls: false }
    }

    /// The same, and all is null that can be.
    pub(crate) fn with_nulls(seed: u64) -> Self {
        Self { nulls: true, ..Self::new(seed) }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// A number below n.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() >> 11) as usize % n.max(1)
    }

    /// True once in n times.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// A value that the version can carry.
    pub(crate) fn message(&mut self, message: &Message, version: i16) -> Struct {
        let flexible = message.flexible.contains(version);
        self.members(&message.fields, version, flexible)
    }

    fn members(&mut self, fields: &[Field], version: i16, flexible: bool) -> Struct {
        let mut value = Struct::default();
        for field in fields {
            let tagged = field.tag_in(version).is_some();
            let absent = !field.versions.contains(version);
            let nullable = !absent && field.nullable.contains(version);
            value.fields.push(if nullable && (self.nulls || self.one_in(4)) {
                Data::Null
            } else if absent
                || tagged && self.one_in(3)
                || self.one_in(8) && field.default != Data::Null
            {
                field.default.clone()
            } else {
                self.value(&field.ty, version, flexible)
            });
        }
        if flexible && self.one_in(4) {
            value.unknown = self.unknown(fields, version);
        }
        value
    }

    fn unknown(&mut self, fields: &[Field], version: i16) -> Vec<(u32, Vec<u8>)> {
        // Also a number that another version knows.
        let others: Vec<u32> = fields
            .iter()
            .filter(|field| field.tag_in(version).is_none())
            .filter_map(|field| field.tag.map(|(number, _)| number))
            .collect();
        let count = if self.one_in(10) { 12 } else { 1 + self.below(2) };
        let mut tags: Vec<(u32, Vec<u8>)> = (0..count)
            .map(|_| {
                let known_elsewhere = !others.is_empty() && self.one_in(2);
                let tag = if known_elsewhere {
                    self.pick(&others)
                } else {
                    self.pick(&[100, 127, 128, 10_000, 16_384, u32::MAX])
                };
                (tag, self.bytes())
            })
            .collect();
        tags.sort_by_key(|(tag, _)| *tag);
        tags
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = self.pick(&[0, 1, 2, 5, 16, 126, 127, 128]);
        (0..len).map(|_| self.next() as u8).collect()
    }

    fn value(&mut self, ty: &Type, version: i16, flexible: bool) -> Data {
        match ty {
            Type::Bool => Data::Bool(self.one_in(2)),
            Type::Int { bytes, signed } => Data::Int(self.int(*bytes, *signed)),
            Type::Float64 => {
                let edges = [1.5, -0.25, f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, f64::NAN];
                Data::Float(self.pick(&edges).to_bits())
            }
            Type::Uuid if self.one_in(4) => zero(ty),
            Type::Uuid => {
                let half = |random: &mut Self| random.next().to_be_bytes();
                let both = [half(self), half(self)].concat();
                Data::Uuid(both.try_into().expect("twice 8 bytes"))
            }
            Type::String => Data::Text(self.text()),
            Type::Bytes | Type::Records => Data::Bytes(self.bytes()),
            Type::Array(element) => {
                let small = matches!(**element, Type::Int { .. });
                let many = small && self.one_in(30);
                let count = if many { self.pick(&[126, 127, 128]) } else { self.below(3) };
                Data::Array((0..count).map(|_| self.value(element, version, flexible)).collect())
            }
            Type::Struct(fields) => Data::Struct(self.members(fields, version, flexible)),
        }
    }

    fn int(&mut self, bytes: usize, signed: bool) -> i64 {
        let any = self.next() as i64 >> (64 - 8 * bytes);
        let edge = self.pick(&[0, 1, -1, 0x7f, 0x80, i64::MIN, i64::MAX, any, any]);
        let shift = 64 - 8 * bytes as u32;
        match (edge, signed) {
            (i64::MIN | i64::MAX, true) => edge >> shift,
            (_, true) => edge << shift >> shift,
            (_, false) => ((edge as u64) << shift >> shift) as i64,
        }
    }

    fn text(&mut self) -> String {
        if self.one_in(500) {
            return "x".repeat(32_767);
        }
        match self.below(6) {
            0 => String::new(),
            1 => "näive ✓ \u{10ffff}".to_owned(),
            2 => {
                let len = self.pick(&[126, 127, 128]);
                "k".repeat(len)
            }
            _ => format!("s{}", self.below(1000)),
        }
    }

    /// Harms bytes as a broken peer may: one or two small changes.
    pub(crate) fn corrupt(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(2) {
            if bytes.is_empty() {
                bytes.push(self.next() as u8);
            }
            let at = self.below(bytes.len());
            match self.below(10) {
                0..=3 => bytes[at] ^= 1 << self.below(8),
                4 => bytes[at] = self.next() as u8,
                5 => bytes[at] = self.pick(&[0, 1, 2, 0x7f, 0x80, 0xff]),
                6 => drop(bytes.remove(at)),
                7 => bytes.insert(at, self.pick(&[0, 1, 2, 0x80, 0xff])),
                8 => {
                    let wide: i32 = self.pick(&[-1, -2, 0, 1, i32::MAX, i32::MIN, 0x8000]);
                    let end = (at + 4).min(bytes.len());
                    bytes[at..end].copy_from_slice(&wide.to_be_bytes()[4 - (end - at)..]);
                }
                _ => bytes.push(self.next() as u8),
            }
        }
    }
}
