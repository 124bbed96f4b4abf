//! Inputs near those of a corpus: for `cargo test`, which has neither time nor coverage to go far.

use std::path::{Path, PathBuf};

/// How many mutated inputs a target is given at most.
const ROUNDS: usize = 1_500;

/// How many bytes it is given in all, because large inputs take longer.
const BYTES: usize = 1 << 20;

/// The folder of a target's files.
pub fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/__fuzz__").join(target)
}

/// Runs a target over mutations of its corpus. They are the same in every run, so that a failure comes again.
pub fn run(target: &str, check: impl Fn(&[u8])) {
    let files = std::fs::read_dir(folder(target).join("corpus")).expect("a corpus");
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    let corpus: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).expect("a file")).collect();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut given = 0;
    for round in 0..ROUNDS {
        let mut input = corpus[round % corpus.len()].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut input, &corpus[random.below(corpus.len())], &mut random);
        }
        given += input.len();
        if given > BYTES {
            break;
        }
        check(&input);
    }
}

/// Numbers that look random and are always the same (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % bound.max(1)
    }
}

/// Bytes that mean much in one of the formats.
const TELLING: [u8; 12] = [0, 1, 2, 0x7f, 0x80, 0xff, b'"', b'{', b'}', b'-', b'9', b'\n'];

fn mutate(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(input.len());
    let end = (at + 1 + random.below(16)).min(input.len());
    match random.below(6) {
        0 if !input.is_empty() => input[at] ^= 1 << random.below(8),
        1 if !input.is_empty() => input[at] = TELLING[random.below(TELLING.len())],
        2 => drop(input.drain(at.min(end)..end)),
        3 => {
            let copy = input[at.min(end)..end].to_vec();
            input.splice(at..at, copy);
        }
        4 => input.truncate(at),
        _ => {
            let from = random.below(other.len());
            let until = (from + random.below(64)).min(other.len());
            input.splice(at..at, other[from..until].iter().copied());
        }
    }
}
