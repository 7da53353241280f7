//! The records' values: lines of one length, with the redundancy of application logs.

use crate::Failure;
use std::fs;
use std::path::Path;

/// Distinct values in a file; drivers take them in turn.
const LINES: usize = 10_000;

/// Writes `LINES` lines of exactly `size` bytes each (without the line end).
pub(crate) fn write(path: &Path, size: usize) -> Result<(), Failure> {
    let mut text = Vec::with_capacity(LINES * (size + 1));
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for line in 0..LINES {
        let start = text.len();
        while text.len() - start < size {
            // xorshift: the same file in every run.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let item = format!(
                "{{\"id\":{},\"user\":\"u{}\",\"ok\":true,\"ms\":{}}},",
                line * 7919,
                state % 50_000,
                state >> 32 & 0x3ff
            );
            text.extend_from_slice(item.as_bytes());
        }
        text.truncate(start + size);
        text.push(b'\n');
    }
    fs::write(path, text)?;
    Ok(())
}

/// The lines of such a file.
pub(crate) fn read(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let text =
        fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let lines: Vec<_> = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    if lines.is_empty() {
        Err(format!("{} has no lines", path.display()).into())
    } else {
        Ok(lines)
    }
}
