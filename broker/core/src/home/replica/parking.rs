//! Messages to other replicas: those that may leave, and those that wait for a sync.
//!
//! A follower's word is binding: an ack says that entries are durable here, a vote that no other one will be given in its term. So whatever a replica
//! that does not lead has to say waits until its ready, and with it all readies before, are synced.

use alloc::collections::VecDeque;

use antiphon_protocol::NodeId;
use antiphon_protocol::peer::Message;

/// To whom, and what.
type Letter = (NodeId, Message);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Parking {
    /// May leave, oldest first.
    free: VecDeque<Letter>,
    /// With the ready that each waits for, ascending.
    parked: VecDeque<(u64, Letter)>,
}

impl Parking {
    /// These may leave now.
    pub(super) fn leave(&mut self, letters: impl Iterator<Item = Letter>) {
        self.free.extend(letters);
    }

    /// These may leave when ready `number` is persisted.
    pub(super) fn park(&mut self, number: u64, letters: impl Iterator<Item = Letter>) {
        let newest = self.parked.back().map_or(0, |(newest, _)| *newest);
        assert!(
            newest <= number,
            "INV-HOME-52: messages are parked in ready order"
        );
        self.parked.extend(letters.map(|letter| (number, letter)));
    }

    /// Ready `number` is persisted, and all before it.
    pub(super) fn release(&mut self, number: u64) {
        while self
            .parked
            .front()
            .is_some_and(|(waits_for, _)| *waits_for <= number)
        {
            let Some((_, letter)) = self.parked.pop_front() else {
                break;
            };
            self.free.push_back(letter);
        }
    }

    /// The next one that may leave.
    pub(super) fn poll(&mut self) -> Option<Letter> {
        self.free.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use antiphon_protocol::peer::Term;

    use super::*;

    fn letter(term: u64) -> Letter {
        (NodeId(2), Message::TimeoutNow { term: Term(term) })
    }

    #[test]
    fn what_is_parked_leaves_with_its_ready_and_not_before() {
        let mut parking = Parking::default();
        parking.park(3, [letter(3)].into_iter());
        parking.park(5, [letter(5), letter(6)].into_iter());
        parking.release(2);
        assert_eq!(parking.poll(), None);
        parking.leave([letter(9)].into_iter());
        parking.release(4);
        assert_eq!(parking.poll(), Some(letter(9)));
        assert_eq!((parking.poll(), parking.poll()), (Some(letter(3)), None));
        parking.release(5);
        assert_eq!(
            (parking.poll(), parking.poll()),
            (Some(letter(5)), Some(letter(6)))
        );
    }
}
