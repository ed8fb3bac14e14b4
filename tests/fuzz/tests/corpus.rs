//! Every target over its kept corpus, and over seeded mutations of it. The engine itself runs by command: docs/fuzzing.md.

use std::panic::{AssertUnwindSafe, catch_unwind};

use antiphon_fuzz::{Mutator, TARGETS, Target, kept, seeds, target};

/// All inputs together stay below this, in bytes: they are in every clone of the repository.
const CORPUS_BYTES_MAX: usize = 1024 * 1024;

/// Runs an input; a panic tells how to get it again.
fn run(target: &Target, input: &[u8], what: &str) {
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    if outcome.is_err() {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("target {}: {what} breaks a promise: {hex}", target.name);
    }
}

fn corpus_and_mutations(name: &str) {
    let target = target(name).expect("a target of that name");
    for (label, input) in seeds(name) {
        run(target, &input, &label);
    }
    let kept = kept(name);
    assert!(!kept.is_empty(), "a target without corpus tests nothing");
    for input in &kept {
        run(target, &input.bytes, &input.name);
    }
    let mut mutator = Mutator::new(1);
    for number in 0..target.mutations {
        let input = &kept[number % kept.len()];
        let other = &kept[(number / kept.len() + number * 7) % kept.len()];
        let mutated = mutator.mutate(&input.bytes, &other.bytes);
        run(
            target,
            &mutated,
            &format!("mutation {number} of {}", input.name),
        );
    }
}

#[test]
fn any_stream_of_frames_is_cut_decoded_and_said_again() {
    corpus_and_mutations("frames");
}

#[test]
fn any_transcript_of_clients_is_answered_by_what_is_durable() {
    corpus_and_mutations("transcript");
}

#[test]
fn any_rot_of_a_log_is_answered_and_forgets_nothing_that_is_left() {
    corpus_and_mutations("segments");
}

#[test]
fn a_client_survives_whatever_a_broker_says() {
    corpus_and_mutations("session");
}

#[test]
fn any_configuration_file_is_taken_or_refused_in_words() {
    corpus_and_mutations("config");
}

#[test]
fn a_partition_goes_on_from_any_checkpoint_that_it_takes() {
    corpus_and_mutations("checkpoint");
}

#[test]
fn every_target_has_a_corpus_and_all_of_them_are_small() {
    let bytes = |target: &Target| {
        kept(target.name)
            .iter()
            .map(|kept| kept.bytes.len())
            .sum::<usize>()
    };
    assert!(TARGETS.iter().map(bytes).sum::<usize>() < CORPUS_BYTES_MAX);
    for target in TARGETS {
        assert!(
            kept(target.name)
                .iter()
                .all(|kept| kept.bytes.len() <= target.bytes_max),
            "{}",
            target.name
        );
    }
}
