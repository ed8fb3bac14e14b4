//! Blind mutations from a seed, for `cargo test`: no coverage, always the same.

use antiphon_log::testing::Random;

/// Numbers at which code tends to change its mind.
const EDGES: [u8; 10] = [0, 1, 2, 7, 8, 16, 0x7F, 0x80, 0xFE, 0xFF];

/// Longest mutated input, in bytes.
const BYTES_MAX: usize = 4 * 1024;

/// Makes inputs out of inputs.
#[derive(Debug)]
pub struct Mutator {
    random: Random,
}

impl Mutator {
    /// The same seed makes the same inputs.
    #[must_use]
    pub fn new(seed: u64) -> Mutator {
        Mutator {
            random: Random::new(seed),
        }
    }

    /// `input`, changed in a few places; at times a part of `other` is put in.
    #[must_use]
    pub fn mutate(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..1 + self.below(4) {
            self.change(&mut bytes, other);
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len() + 1);
        let count = self.below(bytes.len() - at + 1).min(1 + self.below(32));
        match self.below(8) {
            0 => bytes.insert(at, self.byte()),
            1 => drop(bytes.drain(at..at + count)),
            2 => {
                let copy = bytes[at..at + count].to_vec();
                let to = self.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            3 if !other.is_empty() => {
                let from = self.below(other.len());
                let part = &other[from..(from + 1 + self.below(64)).min(other.len())];
                bytes.splice(at..at + count, part.iter().copied());
            }
            4 if at + 4 <= bytes.len() => {
                let place = &mut bytes[at..at + 4];
                let number = u32::from_le_bytes(place.try_into().expect("four bytes"));
                let near = number
                    .wrapping_add(self.random.below(9) as u32)
                    .wrapping_sub(4);
                place.copy_from_slice(&near.to_le_bytes());
            }
            _ if at < bytes.len() => match self.below(3) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = EDGES[self.below(EDGES.len())],
                _ => bytes[at] = self.byte(),
            },
            _ => bytes.push(self.byte()),
        }
    }

    fn byte(&mut self) -> u8 {
        self.random.next_u64() as u8
    }

    fn below(&mut self, end: usize) -> usize {
        self.random.below(end as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_inputs_and_another_seed_others() {
        let run = |seed| {
            let mut mutator = Mutator::new(seed);
            let inputs =
                (0..200).map(|_| mutator.mutate(b"some input of a target", b"and another"));
            inputs.collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        assert!(run(1).iter().any(|input| input.len() > 22));
        assert!(run(1).iter().any(|input| input.len() < 22));
    }
}
