//! CRC-32C (Castagnoli), the checksum of magic 2. Magic 0 and 1, gzip and librdkafka's partitioner
//! use CRC-32 (IEEE), which is another polynomial.
//!
//! With `std` the machine's instructions are asked for at run time (`crc-fast`); without, tables do
//! the work, eight bytes at a time.

#[cfg(feature = "std")]
use crc_fast::{CrcAlgorithm, checksum};

/// The CRC-32C of `bytes`.
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    // A 32-bit algorithm of crc-fast answers in the low half of its u64.
    #[cfg(feature = "std")]
    return checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32;
    #[cfg(not(feature = "std"))]
    return tables::checksum(&tables::CASTAGNOLI, bytes);
}

/// The CRC-32 (IEEE) of `bytes`.
#[inline]
pub fn crc32(bytes: &[u8]) -> u32 {
    #[cfg(feature = "std")]
    return checksum(CrcAlgorithm::Crc32IsoHdlc, bytes) as u32;
    #[cfg(not(feature = "std"))]
    return tables::checksum(&tables::IEEE, bytes);
}

/// Both polynomials without any instruction of their own.
#[cfg(any(not(feature = "std"), test))]
mod tables {
    /// What a byte becomes that is followed by 0 to 7 others.
    type Tables = [[u32; 256]; 8];

    pub(super) static CASTAGNOLI: Tables = tables(0x82f6_3b78);
    pub(super) static IEEE: Tables = tables(0xedb8_8320);

    /// `polynomial` has its lowest bit first, as both CRCs have.
    const fn tables(polynomial: u32) -> Tables {
        let mut tables = [[0; 256]; 8];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ polynomial };
                bit += 1;
            }
            tables[0][byte] = crc;
            byte += 1;
        }
        let mut depth = 1;
        while depth < 8 {
            let mut byte = 0;
            while byte < 256 {
                let before: u32 = tables[depth - 1][byte];
                tables[depth][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
                byte += 1;
            }
            depth += 1;
        }
        tables
    }

    pub(super) fn checksum(tables: &Tables, bytes: &[u8]) -> u32 {
        let (eights, rest) = bytes.as_chunks::<8>();
        let mut crc = !0;
        for eight in eights {
            let mixed = u64::from_le_bytes(*eight) ^ u64::from(crc);
            let each = mixed.to_le_bytes().into_iter().enumerate();
            crc = each.fold(0, |crc, (at, byte)| crc ^ tables[7 - at][usize::from(byte)]);
        }
        for byte in rest {
            crc = (crc >> 8) ^ tables[0][usize::from(crc as u8 ^ byte)];
        }
        !crc
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn the_two_polynomials_are_not_mixed_up() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn tables_and_instructions_agree_at_every_length() {
        let bytes: Vec<u8> = (0..600u32).map(|at| ((at * at) >> 3) as u8).collect();
        for start in 0..9 {
            for end in start..bytes.len() {
                let part = &bytes[start..end];
                assert_eq!(tables::checksum(&tables::CASTAGNOLI, part), crc32c(part), "{end}");
                assert_eq!(tables::checksum(&tables::IEEE, part), crc32(part), "{end}");
            }
        }
    }
}
