//! CRC-32C (Castagnoli), the checksum of magic 2. Magic 0 and 1, gzip and librdkafka's partitioner
//! use CRC-32 (IEEE), which is another polynomial.

use crc_fast::CrcAlgorithm;

/// The CRC-32C of `bytes`.
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    // A 32-bit algorithm of crc-fast answers in the low half of its u64.
    crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn is_castagnoli_and_not_ieee() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
    }
}
