#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ottla_protocol_fuzz::targets::legacy_set(data));
