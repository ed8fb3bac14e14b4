//! Scripts drawn from a fixed seed: some write only, some rot in a few places.

use antiphon_log::testing::Random;

const SCRIPTS: u64 = 24;

pub(super) fn seeds() -> Vec<(String, Vec<u8>)> {
    (0..SCRIPTS).map(script).collect()
}

fn script(number: u64) -> (String, Vec<u8>) {
    let mut random = Random::new(number);
    let steps = 8 + random.below(50) as u8;
    let mut input = vec![number as u8, steps];
    // A step has two bytes at most; what writing leaves over is rot.
    let rots = 8 * (number as usize % 4);
    for _ in 0..usize::from(steps) * 2 + rots {
        input.push(random.next_u64() as u8);
    }
    (format!("{number}"), input)
}
