//! Which partition a key belongs to, as Kafka's clients decide it. Ours are chosen by murmur2, as the Java client does.

/// How the producers of the inputs choose the partition of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partitioner {
    /// The Java client's default, and librdkafka's `murmur2` and `murmur2_random`.
    #[default]
    Murmur2,
    /// librdkafka's default `consistent_random`, and its `consistent`.
    Crc32,
    /// Sarama's default, and librdkafka's `fnv1a` and `fnv1a_random`.
    Fnv1a,
}

impl Partitioner {
    /// The partition of a key among `count`.
    #[must_use]
    pub fn partition(self, key: &[u8], count: u32) -> u32 {
        match self {
            Self::Murmur2 => partition(key, count),
            Self::Crc32 => crc32fast::hash(key) % count.max(1),
            // As signed numbers, whose sign is dropped: that is how it began, and is kept for the keys' sake.
            Self::Fnv1a => fnv1a(key).cast_signed().unsigned_abs() % count.max(1),
        }
    }

    /// How producers are told to choose so.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Murmur2 => "`partitioner=murmur2_random` in the producer (the Java client's default)",
            Self::Crc32 => "`partitioner=consistent_random` in the producer (librdkafka's default)",
            Self::Fnv1a => "`partitioner=fnv1a_random` in the producer (Sarama's default)",
        }
    }
}

/// The partition of a key among `count`, as the Java client's default partitioner and librdkafka's
/// `murmur2_random` choose it.
#[must_use]
pub fn partition(key: &[u8], count: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % count.max(1)
}

/// The 32-bit hash of Kafka's `Utils.murmur2`.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let mut hash = SEED ^ bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let word = word.iter().rev().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let mixed = word.wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ (mixed ^ mixed >> 24).wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    hash ^ hash >> 15
}

/// The 32-bit hash of Fowler, Noll and Vo, in its variant 1a.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of every catalogue of checksums, and what zlib makes of nothing.
    #[test]
    fn checksums_are_those_of_zlib() {
        let checksum = |key| Partitioner::Crc32.partition(key, u32::MAX);
        assert_eq!((checksum(b"123456789"), checksum(b"")), (0xcbf4_3926, 0));
    }

    /// The values of `unittest_fnv1a` in librdkafka, which come from Sarama.
    #[test]
    fn numbers_of_sarama_lose_their_sign() {
        for (key, hash) in [
            ("kafka", 0x0d33_c4e1),
            ("giberish123456789", 0x77a5_8295),
            ("1234", 0x023b_dd03),
            ("PreAmbleWillBeRemoved,ThePrePartThatIs", 0x65cb_d69c),
            ("", 0x7ee3_623b),
        ] {
            assert_eq!(Partitioner::Fnv1a.partition(key.as_bytes(), u32::MAX), hash, "{key}");
        }
    }

    #[test]
    fn a_key_has_one_partition_by_each_way_of_choosing() {
        let all = [Partitioner::Murmur2, Partitioner::Crc32, Partitioner::Fnv1a];
        for partitioner in all {
            assert!((0..100_u32).all(|key| partitioner.partition(&key.to_be_bytes(), 8) < 8), "{partitioner:?}");
            assert_eq!(partitioner.partition(b"a key", 0), 0, "no partitions are no reason to panic");
        }
        let of = |key: &str| all.map(|partitioner| partitioner.partition(key.as_bytes(), 1_000));
        let [murmur2, crc32, fnv1a] = of("107310000000001");
        assert!(murmur2 != crc32 && crc32 != fnv1a && fnv1a != murmur2);
    }

    /// The values of `UtilsTest.testMurmur2` in Apache Kafka.
    #[test]
    fn hashes_are_those_of_the_java_client() {
        for (key, hash) in [
            ("21", -973932308_i32),
            ("foobar", -790332482),
            ("a-little-bit-long-string", -985981536),
            ("a-little-bit-longer-string", -1486304829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            ("abc", 479470107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }
}
