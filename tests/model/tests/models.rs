//! What is written passes every model, and every planted mistake is found.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use antiphon_model::{MISTAKES, Model, VARIANTS};

fn model(variant: &str, name: &str) -> Model {
    let (_, models) = VARIANTS
        .iter()
        .find(|(known, _)| *known == variant)
        .expect("a variant of that name");
    let model = models.iter().find(|model| model.name == name);
    *model.expect("a model of that name")
}

/// Whether the model finds something. In a thread of its own: a model that was left by a panic leaves traces.
fn finds(model: Model) -> bool {
    let run = move || catch_unwind(AssertUnwindSafe(model.run)).is_err();
    thread::spawn(run).join().expect("the panic was caught")
}

fn holds(name: &str) {
    let count = (model("as_written", name).run)();
    println!("{name}: {count} interleavings");
    assert!(count > 1, "nothing happened at once");
    for mistake in MISTAKES.iter().filter(|mistake| mistake.model == name) {
        assert!(
            finds(model(mistake.name, name)),
            "the model {name} does not find the mistake {}",
            mistake.name
        );
    }
}

#[test]
fn no_push_is_slept_through() {
    holds("sleeping");
}

#[test]
fn no_full_lane_is_forgotten() {
    holds("lanes");
}

#[test]
fn no_place_that_comes_back_is_slept_through() {
    holds("places");
}

#[test]
fn no_batch_in_a_room_channel_is_forgotten() {
    holds("channels");
}

#[test]
fn no_claim_and_no_producer_is_given_twice() {
    holds("identities");
}

#[test]
fn a_version_of_who_leads_tells_all_that_it_stands_for() {
    holds("leading");
}

#[test]
fn every_mistake_has_a_model() {
    for mistake in MISTAKES {
        assert!(
            VARIANTS[0]
                .1
                .iter()
                .any(|model| model.name == mistake.model),
            "{}",
            mistake.name
        );
    }
}
