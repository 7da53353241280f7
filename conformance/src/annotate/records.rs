//! What a `records` field holds: batches, opened as far as they can be read. A batch that cannot be
//! is told with the error of `ottla-protocol`, and what stands behind the field is read all the
//! same.

use super::sheet::{Read, Sheet};
use super::value::{bytes, counted, time};
use ottla_protocol::Bytes;
use ottla_protocol::records::{
    Attributes, BATCH_HEADER_LEN, BatchIter, Compression, ControlType, Decompressor, RecordBatch,
    TimestampType,
};

/// The fields in front of a batch's records, and their widths.
const HEADER: [(&str, &str, usize); 13] = [
    ("base_offset", "int64", 8),
    ("batch_length", "int32", 4),
    ("partition_leader_epoch", "int32", 4),
    ("magic", "int8", 1),
    ("crc", "uint32", 4),
    ("attributes", "int16", 2),
    ("last_offset_delta", "int32", 4),
    ("base_timestamp", "int64", 8),
    ("max_timestamp", "int64", 8),
    ("producer_id", "int64", 8),
    ("producer_epoch", "int16", 2),
    ("base_sequence", "int32", 4),
    ("records_count", "int32", 4),
];
/// Where the magic stands, in batches and in what was before them.
const MAGIC_AT: usize = 16;
/// More than this is not decompressed for being shown, in bytes.
const OPENED_MAX: usize = 4 << 20;

/// What a batch's header says of its records.
#[derive(Default)]
struct Base {
    offset: i64,
    timestamp: i64,
    count: i64,
    attributes: Attributes,
}

impl Sheet {
    /// Batches in the next `len` bytes, all of which become lines.
    pub(super) fn batches(&mut self, len: usize) {
        self.within(len, |sheet| {
            let mut index = 0;
            while sheet.left() > 0 {
                let name = format!("batches[{index}]");
                sheet.heading(&name, "");
                sheet.below(&name, Self::batch);
                index += 1;
            }
        });
    }

    fn batch(&mut self) {
        let rest = self.rest();
        let mut iter = BatchIter::new(rest.clone());
        match iter.next() {
            Some(Ok(batch)) => {
                self.within(batch.header().size_in_bytes(), |sheet| sheet.whole_batch(&batch));
            }
            Some(Err(_)) if matches!(rest.get(MAGIC_AT), Some(0 | 1)) => {
                let size = i32::from_be_bytes(rest[8..12].try_into().expect("four bytes"));
                let len = usize::try_from(size).map_or(usize::MAX, |size| size + 12);
                self.within(len.min(rest.len()), |sheet| {
                    if let Err(stop) = sheet.old_message(rest[MAGIC_AT]) {
                        sheet.broken(stop.reason);
                    }
                });
            }
            Some(Err(error)) => {
                let _ = self.batch_header(None); // what is wrong is known
                self.broken(error.to_string());
            }
            None => self.cut_batch(&rest),
        }
    }

    /// A batch of which the end is missing.
    fn cut_batch(&mut self, rest: &Bytes) {
        let whole = rest.get(8..12).map_or(0, |length| {
            let length = i32::from_be_bytes(length.try_into().expect("four bytes"));
            i64::from(length) + 12
        });
        if let Ok(base) = self.batch_header(None)
            && base.attributes.compression_code() == Compression::None.code()
        {
            let _ = self.records(&base); // that they end early is what is told below
        }
        let (there, left) = (rest.len(), rest.len() - BATCH_HEADER_LEN.min(rest.len()));
        let what = if whole == 0 {
            format!("the beginning of a batch, {there} bytes")
        } else {
            format!("a batch of {whole} bytes, of which {there} are here ({left} of records)")
        };
        self.heading("", what);
        self.unread("the records as far as they are here");
    }

    fn whole_batch(&mut self, batch: &RecordBatch) {
        let Ok(base) = self.batch_header(Some(batch)) else {
            return self.unread("less than a batch's header");
        };
        if let Err(error) = batch.header().compression() {
            return self.broken(error.to_string());
        }
        let opened = batch.records(&mut Decompressor::with_limit(OPENED_MAX));
        let first_error = || match &opened {
            Ok(records) => records.iter().find_map(Result::err).map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        let is_plain = base.attributes.compression_code() == Compression::None.code();
        if is_plain || base.count <= 0 {
            let read = self.records(&base);
            return match (first_error(), read) {
                (Some(error), _) => self.broken(error),
                (None, Err(stop)) => self.broken(stop.reason),
                (None, Ok(())) => self.unread("behind the last record"),
            };
        }
        let start = self.at;
        let payload = self.rest();
        let codec = Compression::from_code(base.attributes.compression_code());
        let codec = codec.map_or("unknown codec", Compression::name);
        self.at += payload.len();
        let line = self.field("records", "bytes", start, counted(payload.len(), "byte"));
        line.note = codec.to_owned();
        match &opened {
            Ok(records) => {
                line.note = format!("{codec}, {} when opened", records.data().len());
                let mut inner = self.opened(records.data().clone());
                if let Err(stop) = inner.records(&base) {
                    inner.broken(first_error().unwrap_or(stop.reason));
                }
                inner.unread("behind the last record");
                self.lines.append(&mut inner.lines);
            }
            Err(error) => self.broken(error.to_string()),
        }
    }

    fn batch_header(&mut self, batch: Option<&RecordBatch>) -> Read<Base> {
        let mut base = Base::default();
        for (name, ty, width) in HEADER {
            let start = self.at;
            let mut value = self.int(width)?;
            match name {
                "base_offset" => base.offset = value,
                "base_timestamp" => base.timestamp = value,
                "attributes" => base.attributes = Attributes(value as i16),
                "records_count" => base.count = value,
                "crc" => value &= 0xffff_ffff,
                _ => {}
            }
            let note = match (name, batch) {
                ("crc", Some(batch)) => match batch.verify_crc() {
                    Ok(()) => "right".to_owned(),
                    Err(error) => format!("WRONG: {error}"),
                },
                ("crc", None) => "not checked".to_owned(),
                ("attributes", _) => attributes(base.attributes),
                ("base_timestamp" | "max_timestamp", _) => time(value),
                ("magic", _) if value != 2 => "not known".to_owned(),
                ("producer_id" | "producer_epoch" | "base_sequence", _) if value == -1 => {
                    "none".to_owned()
                }
                _ => String::new(),
            };
            let shown = if name == "crc" { format!("{value:#010x}") } else { value.to_string() };
            self.field(name, ty, start, shown).note = note;
            if name == "magic" && value != 2 {
                return self.stop("not a batch of magic 2");
            }
        }
        Ok(base)
    }

    fn records(&mut self, base: &Base) -> Read {
        let Ok(count) = usize::try_from(base.count) else {
            return self.stop(format!("record count is {}", base.count));
        };
        self.elements(count, |sheet, index| {
            let name = format!("records[{index}]");
            sheet.heading(&name, "");
            sheet.below(&name, |sheet| sheet.record(base))
        })
    }

    fn record(&mut self, base: &Base) -> Read {
        let start = self.at;
        let Ok(len) = usize::try_from(self.varint()?) else {
            return self.stop("the length of a record is negative");
        };
        self.field("length", "varint", start, len.to_string());
        self.within(len, |sheet| {
            let start = sheet.at;
            let attributes = sheet.int(1)?;
            sheet.field("attributes", "int8", start, attributes.to_string());
            let start = sheet.at;
            let delta = sheet.varlong()?;
            let timestamp = base.timestamp.wrapping_add(delta);
            let line = sheet.field("timestamp_delta", "varlong", start, delta.to_string());
            if base.attributes.timestamp_type() == TimestampType::CreateTime {
                line.note = time(timestamp);
            }
            let start = sheet.at;
            let delta = sheet.varint()?;
            let offset = base.offset.wrapping_add(i64::from(delta));
            sheet.field("offset_delta", "varint", start, delta.to_string()).note =
                format!("offset {offset}");
            let key = sheet.short("key")?;
            if base.attributes.is_control() {
                sheet.control(key.as_ref());
            }
            sheet.short("value")?;
            sheet.headers()?;
            match sheet.left() {
                0 => Ok(()),
                left => sheet.stop(format!("{left} bytes are left over in the record")),
            }
        })
    }

    /// Says what a control record is.
    fn control(&mut self, key: Option<&Bytes>) {
        if let (Ok(control), Some(line)) =
            (ControlType::from_key(key.map(|key| &key[..])), self.lines.last_mut())
        {
            control.name().clone_into(&mut line.note);
        }
    }

    /// Bytes behind a varint; a negative one is null.
    fn short(&mut self, name: &str) -> Read<Option<Bytes>> {
        let start = self.at;
        let Ok(len) = usize::try_from(self.varint()?) else {
            self.field(name, "bytes", start, "null");
            return Ok(None);
        };
        let taken = self.take(len)?;
        self.field(name, "bytes", start, bytes(&taken));
        Ok(Some(taken))
    }

    fn headers(&mut self) -> Read {
        let start = self.at;
        let Ok(count) = usize::try_from(self.varint()?) else {
            return self.stop("the count of a record's headers is negative");
        };
        self.field("headers", "varint", start, counted(count, "header"));
        self.elements(count, |sheet, index| {
            let name = format!("headers[{index}]");
            sheet.below(&name, |sheet| {
                sheet.short("key")?;
                sheet.short("value").map(drop)
            })
        })
    }

    /// A message of magic 0 or 1, which stand one after the other where batches would.
    fn old_message(&mut self, magic: u8) -> Read {
        let fields: &[(&str, &str, usize)] = &[
            ("offset", "int64", 8),
            ("message_size", "int32", 4),
            ("crc", "uint32", 4),
            ("magic", "int8", 1),
            ("attributes", "int8", 1),
            ("timestamp", "int64", 8),
        ];
        let fields = if magic == 0 { &fields[..5] } else { fields };
        let mut is_plain = true;
        for (name, ty, width) in fields {
            let start = self.at;
            let mut value = self.int(*width)?;
            let mut note = String::new();
            match *name {
                "crc" => value &= 0xffff_ffff,
                "timestamp" => note = time(value),
                "magic" => note = "a message of before Kafka 0.11, not a batch".to_owned(),
                "attributes" if value & 7 != 0 => {
                    let codec = Compression::from_code((value & 7) as i16);
                    note = codec.map_or("unknown codec", Compression::name).to_owned();
                    is_plain = false;
                }
                _ => {}
            }
            self.field(name, ty, start, value.to_string()).note = note;
        }
        for name in ["key", "value"] {
            let start = self.at;
            let Ok(len) = usize::try_from(self.int(4)?) else {
                self.field(name, "bytes", start, "null");
                continue;
            };
            let taken = self.take(len)?;
            let shown = if is_plain { bytes(&taken) } else { counted(taken.len(), "byte") };
            self.field(name, "bytes", start, shown);
        }
        self.unread("behind the value");
        Ok(())
    }
}

/// The batch's attribute bits, in words.
fn attributes(bits: Attributes) -> String {
    let codec = Compression::from_code(bits.compression_code());
    let mut words = vec![codec.map_or("unknown codec", Compression::name)];
    words.push(match bits.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    });
    let flags = [
        (bits.is_transactional(), "transactional"),
        (bits.is_control(), "control"),
        (bits.has_delete_horizon(), "delete horizon"),
    ];
    words.extend(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, word)| *word));
    words.join(", ")
}
