//! Every delivery is looked at: is it the next one of its stream at its subscriber?
//!
//! A [`Verifier`] knows which streams each connection must hear, and how far it has heard them. At the end, [`Verifier::finish`]
//! compares with what was published, so a loss at the very end is found, too.

use serde::{Deserialize, Serialize};

use crate::limits::HOLES_MAX;
use crate::stamp::{Stamp, Stream};

/// What was wrong with the deliveries of a run. All zero but `delivered`: nothing.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Verdict {
    /// Deliveries, good or bad.
    pub delivered: u64,
    /// Due and never delivered.
    pub lost: u64,
    /// Delivered again.
    pub duplicated: u64,
    /// Delivered behind a later one of their stream.
    pub reordered: u64,
    /// Delivered to a connection that never asked for them.
    pub stray: u64,
    /// Bodies that are not as they were sent.
    pub corrupted: u64,
    /// Publishes or requests that were refused, and gaps that were told.
    pub refused: u64,
    /// Acks of nothing that was waiting for one.
    pub acked_again: u64,
    /// Publishes whose ack never came.
    pub unacked: u64,
}

impl Verdict {
    /// Whether the system did what it must.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let expected = Verdict {
            delivered: self.delivered,
            ..Verdict::default()
        };
        *self == expected
    }
}

/// The deliveries of a run, as far as they have come.
#[derive(Debug, Default)]
pub struct Verifier {
    /// By connection.
    readers: Vec<Reader>,
    verdict: Verdict,
}

/// What one connection hears. Streams ascend.
#[derive(Debug, Default)]
struct Reader {
    heard: Vec<Heard>,
}

/// One stream at one subscriber.
#[derive(Debug)]
struct Heard {
    stream: Stream,
    /// The number that comes next; all below it came or stand in `holes`. 0: whichever comes first.
    next: u64,
    /// Numbers that were jumped over, as ranges with exclusive ends, ascending.
    holes: Vec<(u64, u64)>,
}

impl Verifier {
    /// From now on `connection` must hear `stream`, from number 1.
    pub fn expect(&mut self, connection: u32, stream: Stream) {
        self.expect_from(connection, stream, 1);
    }

    /// The same from whichever number comes first, if one does: it asked while others were publishing.
    pub fn expect_from_any(&mut self, connection: u32, stream: Stream) {
        self.expect_from(connection, stream, 0);
    }

    /// Nothing that `connection` must hear is due any more: it is gone.
    pub fn forget(&mut self, connection: u32) {
        if let Some(reader) = self.readers.get_mut(connection as usize) {
            reader.heard.clear();
        }
    }

    /// How many deliveries are still missing at the ends of the streams; `published` as for [`Verifier::finish`].
    #[must_use]
    pub fn behind(&self, published: &[u64]) -> u64 {
        let heard = self.readers.iter().flat_map(|reader| &reader.heard);
        heard.map(|heard| heard.missing(published)).sum()
    }

    /// A body outside of deliveries is not as it was sent.
    pub fn corrupt(&mut self) {
        self.verdict.corrupted += 1;
    }

    /// The same from a later number.
    pub fn expect_from(&mut self, connection: u32, stream: Stream, next: u64) {
        let at = connection as usize;
        if self.readers.len() <= at {
            self.readers.resize_with(at + 1, Reader::default);
        }
        let heard = &mut self.readers[at].heard;
        let place = heard.partition_point(|heard| heard.stream < stream);
        heard.insert(
            place,
            Heard {
                stream,
                next,
                holes: Vec::new(),
            },
        );
    }

    /// Looks at a delivery; its stamp, if it has a lawful one.
    #[inline]
    pub fn deliver(&mut self, connection: u32, body: &[u8]) -> Option<Stamp> {
        self.verdict.delivered += 1;
        let Some(stamp) = Stamp::read(body) else {
            self.verdict.corrupted += 1;
            return None;
        };
        let reader = self.readers.get_mut(connection as usize);
        let Some(heard) = reader.and_then(|reader| reader.find(stamp.stream)) else {
            self.verdict.stray += 1;
            return None;
        };
        if stamp.number == heard.next {
            heard.next += 1;
        } else {
            heard.out_of_turn(stamp.number, &mut self.verdict);
        }
        Some(stamp)
    }

    /// Something was refused.
    pub fn refuse(&mut self) {
        self.verdict.refused += 1;
    }

    /// Acks came that nobody waited for, or did not come.
    pub fn count_acks(&mut self, again: u64, never: u64) {
        self.verdict.acked_again += again;
        self.verdict.unacked += never;
    }

    /// What came so far; losses are those that something later overtook.
    #[must_use]
    pub fn so_far(&self) -> Verdict {
        self.verdict
    }

    /// Compares with what was published: `published` is, by stream, the last number.
    #[must_use]
    pub fn finish(mut self, published: &[u64]) -> Verdict {
        for heard in self.readers.iter().flat_map(|reader| &reader.heard) {
            self.verdict.lost += heard.missing(published);
            // From nowhere: numbers that nobody published.
            self.verdict.corrupted += heard.next.saturating_sub(heard.last(published) + 1);
        }
        self.verdict
    }
}

impl Reader {
    #[inline]
    fn find(&mut self, stream: Stream) -> Option<&mut Heard> {
        // Most connections hear one stream, or a few.
        let at = match self.heard.as_slice() {
            [_] => 0,
            several => several.partition_point(|heard| heard.stream < stream),
        };
        let heard = self.heard.get_mut(at)?;
        (heard.stream == stream).then_some(heard)
    }
}

impl Heard {
    /// The last number that was published of the stream.
    fn last(&self, published: &[u64]) -> u64 {
        let last = published.get(self.stream.0 as usize);
        last.copied().unwrap_or_default()
    }

    /// How many did not come behind the last one that did.
    fn missing(&self, published: &[u64]) -> u64 {
        match self.next {
            0 => 0,
            next => (self.last(published) + 1).saturating_sub(next),
        }
    }

    /// A number that is not the next one: it jumped ahead, comes late, or comes again.
    #[cold]
    fn out_of_turn(&mut self, number: u64, verdict: &mut Verdict) {
        if self.next == 0 {
            self.next = number + 1;
            return;
        }
        if number > self.next {
            verdict.lost += number - self.next;
            if self.holes.len() < HOLES_MAX {
                self.holes.push((self.next, number));
            }
            self.next = number + 1;
            return;
        }
        let hole = self
            .holes
            .iter()
            .position(|&(from, to)| (from..to).contains(&number));
        let Some(at) = hole else {
            verdict.duplicated += 1;
            return;
        };
        verdict.lost -= 1;
        verdict.reordered += 1;
        let (from, to) = self.holes.remove(at);
        let around = [(from, number), (number + 1, to)];
        let left = around.into_iter().filter(|(from, to)| from < to);
        self.holes.splice(at..at, left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Nanos;

    /// What one subscriber that heard these numbers of a stream, of which `last` were published, comes to.
    fn heard(numbers: &[u64], last: u64) -> Verdict {
        let mut verifier = Verifier::default();
        verifier.expect(0, Stream(0));
        for &number in numbers {
            verifier.deliver(0, &body(0, number));
        }
        verifier.finish(&[last])
    }

    fn body(stream: u32, number: u64) -> [u8; 64] {
        let mut body = [0; 64];
        let stamp = Stamp {
            stream: Stream(stream),
            number,
            intended: Nanos(0),
        };
        stamp.write(&mut body);
        body
    }

    fn verdict(delivered: u64, lost: u64, duplicated: u64, reordered: u64) -> Verdict {
        Verdict {
            delivered,
            lost,
            duplicated,
            reordered,
            ..Verdict::default()
        }
    }

    #[test]
    fn each_once_in_order_is_clean() {
        assert!(heard(&[1, 2, 3], 3).is_clean());
    }

    #[test]
    fn losses_in_the_middle_and_at_the_end_are_counted() {
        assert_eq!(heard(&[1, 4], 6), verdict(2, 4, 0, 0));
        assert_eq!(heard(&[], 2), verdict(0, 2, 0, 0));
    }

    #[test]
    fn a_second_delivery_is_a_duplicate_wherever_it_comes() {
        assert_eq!(heard(&[1, 1, 2], 2), verdict(3, 0, 1, 0));
        assert_eq!(heard(&[1, 2, 3, 1], 3), verdict(4, 0, 1, 0));
    }

    #[test]
    fn a_late_one_is_reordered_and_not_lost() {
        assert_eq!(heard(&[1, 3, 2, 4], 4), verdict(4, 0, 0, 1));
        assert_eq!(heard(&[5, 3, 3], 5), verdict(3, 3, 1, 1));
    }

    #[test]
    fn who_comes_while_others_publish_hears_them_from_some_message_on_without_a_gap() {
        let mut verifier = Verifier::default();
        (0..3).for_each(|stream| verifier.expect_from_any(0, Stream(stream)));
        for (stream, number) in [(0, 7), (0, 8), (1, 4), (1, 6)] {
            verifier.deliver(0, &body(stream, number));
        }
        assert_eq!(verifier.behind(&[9, 6, 5]), 1);
        let found = verifier.finish(&[9, 6, 5]);
        assert_eq!((found.lost, found.corrupted), (2, 0));
    }

    #[test]
    fn nothing_is_due_to_who_has_left() {
        let mut verifier = Verifier::default();
        verifier.expect(0, Stream(0));
        verifier.forget(0);
        assert_eq!((verifier.behind(&[3]), verifier.finish(&[3]).lost), (0, 0));
    }

    #[test]
    fn what_nobody_asked_for_or_published_is_counted() {
        let mut verifier = Verifier::default();
        verifier.expect(1, Stream(0));
        verifier.expect(1, Stream(5));
        assert_eq!(verifier.deliver(0, &body(0, 1)), None);
        assert_eq!(verifier.deliver(1, &body(3, 1)), None);
        verifier.deliver(1, b"not ours");
        verifier.deliver(1, &body(5, 1));
        let found = verifier.finish(&[0, 0, 0, 0, 0, 0]);
        assert_eq!((found.stray, found.corrupted, found.lost), (2, 2, 0));
    }
}
