//! Admission: the only door through which a publish reaches the log.
//!
//! Checks in order: size, kind, then the producer's window (docs/protocol.md, section 5). The room is known by then: its channel has a name, and a
//! room that does not exist is created by the first publish admitted. Nothing here appends; see `stamping`.

use antiphon_protocol::{Code, Producer, ProducerSeq, RecordKind, Seq, Timestamp};

use crate::home::overlay::{Proposal, StagedProducer};
use crate::home::state::ProducerState;
use crate::limits::Limits;
use crate::planted::{Bug, planted};

/// What becomes of a publish.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// It gets the next seq; the producer's previous record in the room has this one.
    Admit {
        /// `None`: it is the producer's first.
        previous: Option<Seq>,
    },
    /// An earlier attempt took effect and is committed; what is known of the producer.
    Duplicate(ProducerState),
    /// The answer depends on what is proposed and not committed: ask again when this is applied.
    Wait(Proposal),
    /// Who may do this depends on a record that only the log has: ask again when it was read.
    Look(Seq),
    /// It is refused; on committed state only.
    Refuse(Code, u64),
}

/// What decides whether a producer that is not known may start; see [`Producer::may_start`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Age {
    /// The newest birth that the partition has forgotten, on committed state: one that is being forgotten is staged as such.
    pub(crate) forgotten: Timestamp,
    /// The time stamped now.
    pub(crate) time: Timestamp,
}

/// What is known of the publisher in the room.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Known {
    /// By the state.
    pub(crate) committed: Option<ProducerState>,
    /// By the overlay.
    pub(crate) staged: Option<StagedProducer>,
}

/// Size and kind.
pub(crate) fn form(
    kind: u8,
    headers_len: u16,
    body_len: u32,
    limits: &Limits,
) -> Result<(), (Code, u64)> {
    if body_len > limits.body_bytes_max {
        return Err((Code::TOO_LARGE, u64::from(limits.body_bytes_max)));
    }
    if u32::from(headers_len) > limits.headers_bytes_max {
        return Err((Code::TOO_LARGE, u64::from(limits.headers_bytes_max)));
    }
    if !RecordKind::from_wire(kind).is_served() {
        return Err((Code::NOT_SUPPORTED, u64::from(kind)));
    }
    Ok(())
}

/// The producer's window: the table of section 5.
pub(crate) fn window(
    known: &Known,
    producer: Producer,
    producer_seq: ProducerSeq,
    age: Age,
) -> Verdict {
    if producer_seq == ProducerSeq(0) {
        return Verdict::Refuse(Code::BAD_FRAME, 0);
    }
    if let Some(state) = known.committed
        && producer_seq <= state.last
        && !planted(Bug::DuplicateAdmitted)
        && !matches!(known.staged, Some(StagedProducer { value: None, .. }))
    {
        return Verdict::Duplicate(state);
    }
    let Some(staged) = known.staged else {
        return decide(known.committed, producer, producer_seq, age);
    };
    match decide(staged.value, producer, producer_seq, age) {
        // A number that follows one on its way: both become durable in that order or not at all.
        Verdict::Admit {
            previous: Some(previous),
        } => Verdict::Admit {
            previous: Some(previous),
        },
        _ => Verdict::Wait(staged.by),
    }
}

fn decide(
    state: Option<ProducerState>,
    producer: Producer,
    producer_seq: ProducerSeq,
    age: Age,
) -> Verdict {
    let Some(state) = state else {
        return match producer_seq {
            _ if !producer.may_start(age.forgotten, age.time) => {
                Verdict::Refuse(Code::PRODUCER_EXPIRED, 0)
            }
            ProducerSeq(1) => Verdict::Admit { previous: None },
            _ => Verdict::Refuse(Code::OUT_OF_ORDER, 0),
        };
    };
    if producer_seq <= state.last && !planted(Bug::DuplicateAdmitted) {
        Verdict::Duplicate(state)
    } else if producer_seq == state.last.next()
        || planted(Bug::DuplicateAdmitted) && producer_seq == state.last
    {
        Verdict::Admit {
            previous: Some(state.seq),
        }
    } else {
        Verdict::Refuse(Code::OUT_OF_ORDER, state.last.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::overlay::Staged;

    const DAY_MS: u64 = 24 * 3_600 * 1_000;
    const NOW: Timestamp = Timestamp(100 * DAY_MS);

    fn state(last: u64, seq: u64) -> ProducerState {
        ProducerState {
            last: ProducerSeq(last),
            seq: Seq(seq),
            time: NOW,
        }
    }

    /// Producers born three weeks ago have been forgotten.
    const AGE: Age = Age {
        forgotten: Timestamp(NOW.0 - 21 * DAY_MS),
        time: NOW,
    };

    fn young() -> Producer {
        Producer::new(Timestamp(AGE.forgotten.0 + 1), 1)
    }

    fn old() -> Producer {
        Producer::new(AGE.forgotten, 1)
    }

    fn unborn() -> Producer {
        Producer::new(Timestamp(NOW.0 + 7 * DAY_MS + 1), 1)
    }

    fn on_committed(
        state: Option<ProducerState>,
        producer: Producer,
        producer_seq: u64,
    ) -> Verdict {
        window(
            &Known {
                committed: state,
                staged: None,
            },
            producer,
            ProducerSeq(producer_seq),
            AGE,
        )
    }

    #[test]
    fn the_table_of_section_5_holds_on_committed_state() {
        assert_eq!(
            on_committed(None, young(), 1),
            Verdict::Admit { previous: None }
        );
        assert_eq!(
            on_committed(None, young(), 2),
            Verdict::Refuse(Code::OUT_OF_ORDER, 0)
        );
        for refused in [old(), unborn()] {
            for producer_seq in [1, 9] {
                assert_eq!(
                    on_committed(None, refused, producer_seq),
                    Verdict::Refuse(Code::PRODUCER_EXPIRED, 0)
                );
            }
        }
        let known = state(5, 40);
        assert_eq!(
            on_committed(Some(known), old(), 6),
            Verdict::Admit {
                previous: Some(Seq(40))
            }
        );
        assert_eq!(
            on_committed(Some(known), old(), 5),
            Verdict::Duplicate(known)
        );
        assert_eq!(
            on_committed(Some(known), old(), 1),
            Verdict::Duplicate(known)
        );
        assert_eq!(
            on_committed(Some(known), old(), 7),
            Verdict::Refuse(Code::OUT_OF_ORDER, 5)
        );
        assert_eq!(
            on_committed(Some(known), old(), 0),
            Verdict::Refuse(Code::BAD_FRAME, 0)
        );
    }

    #[test]
    fn whatever_depends_on_the_overlay_waits_but_the_next_number() {
        let staged = |value| {
            Some(Staged {
                value,
                by: Proposal(3),
            })
        };
        let known = Known {
            committed: Some(state(5, 40)),
            staged: staged(Some(state(7, 44))),
        };
        let ask =
            |known: Known, producer_seq| window(&known, young(), ProducerSeq(producer_seq), AGE);
        assert_eq!(
            ask(known, 8),
            Verdict::Admit {
                previous: Some(Seq(44))
            }
        );
        assert_eq!(ask(known, 7), Verdict::Wait(Proposal(3)));
        assert_eq!(ask(known, 9), Verdict::Wait(Proposal(3)));
        assert_eq!(
            ask(known, 5),
            Verdict::Duplicate(state(5, 40)),
            "committed: the answer does not depend on the overlay"
        );
        let leaving = Known {
            committed: Some(state(5, 40)),
            staged: staged(None),
        };
        for producer_seq in [1, 5, 6] {
            assert_eq!(ask(leaving, producer_seq), Verdict::Wait(Proposal(3)));
        }
    }

    #[test]
    fn sizes_and_kinds_are_checked_first() {
        let limits = Limits::default();
        assert_eq!(form(0, 4_096, 256 * 1024, &limits), Ok(()));
        assert_eq!(form(255, 0, 0, &limits), Ok(()));
        assert_eq!(
            form(0, 0, 256 * 1024 + 1, &limits),
            Err((Code::TOO_LARGE, 256 * 1024))
        );
        assert_eq!(form(0, 4_097, 0, &limits), Err((Code::TOO_LARGE, 4_096)));
        assert_eq!(form(33, 0, 0, &limits), Err((Code::NOT_SUPPORTED, 33)));
    }
}
