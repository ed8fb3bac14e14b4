//! Which line may be published next: a room's order is the file's order, and everything else runs side by side.
//!
//! Two publishes over two connections can overtake each other. So when the user changes within a room, the next line waits until
//! all lines before it are acked. Lines of one user in one room go out without waiting: one connection keeps its order, and the
//! broker admits a producer's numbers only in order. Rooms do not wait for each other.
//!
//! Nothing here does I/O: lines come in by [`Schedule::offer`], publishes go out by [`Schedule::poll`], acks come back by [`Schedule::acked`].

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use antiphon_protocol::ProducerSeq;

use crate::chat_line::{At, ChatLine};

/// A user of the file, as a small number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct UserKey(u32);

/// A room of the file, as a small number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct RoomKey(u32);

/// A line that may go now.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Due {
    pub(crate) user: UserKey,
    pub(crate) room: RoomKey,
    /// The k-th line of this user in this room has number k, in every run.
    pub(crate) producer_seq: ProducerSeq,
    pub(crate) at: At,
    pub(crate) text: String,
}

#[derive(Debug, Default)]
pub(crate) struct Schedule {
    users: Names,
    rooms: Names,
    /// The last number given, by user and room.
    numbers: HashMap<(UserKey, RoomKey), ProducerSeq>,
    /// Rooms with lines that wait or fly; no others.
    queues: HashMap<RoomKey, Queue>,
    /// Rooms whose first line may go now, each at most once.
    ready: VecDeque<RoomKey>,
    waiting: usize,
    flying: usize,
}

/// The lines of one room that are not acked yet.
#[derive(Debug)]
struct Queue {
    waiting: VecDeque<Due>,
    /// Whose lines are unacked now: one user's, or nobody's.
    flying_user: UserKey,
    flying: usize,
    is_ready: bool,
}

impl Schedule {
    /// Takes the file's next line.
    pub(crate) fn offer(&mut self, line: ChatLine) {
        let user = UserKey(self.users.key(&line.user));
        let room = RoomKey(self.rooms.key(&line.room));
        let number = self.numbers.entry((user, room)).or_insert(ProducerSeq(0));
        number.0 += 1;
        let due = Due {
            user,
            room,
            producer_seq: *number,
            at: line.at,
            text: line.text,
        };
        let queue = self.queues.entry(room).or_insert_with(|| Queue::new(user));
        queue.waiting.push_back(due);
        self.waiting += 1;
        self.mark_ready(room);
    }

    /// Whose line [`Self::poll`] would give; `None`: nothing may go before an ack.
    pub(crate) fn next_user(&self) -> Option<UserKey> {
        let queue = self.queues.get(self.ready.front()?)?;
        queue.waiting.front().map(|due| due.user)
    }

    /// How many rooms have a line that may go now.
    pub(crate) fn ready_rooms(&self) -> usize {
        self.ready.len()
    }

    /// Lets the other ready rooms go first.
    pub(crate) fn postpone(&mut self) {
        if let Some(room) = self.ready.pop_front() {
            self.ready.push_back(room);
        }
    }

    /// The next line to publish. It counts as unacked from now on.
    pub(crate) fn poll(&mut self) -> Option<Due> {
        let room = self.ready.pop_front()?;
        let queue = self.queues.get_mut(&room)?;
        queue.is_ready = false;
        let due = queue.waiting.pop_front()?;
        assert!(
            queue.flying == 0 || queue.flying_user == due.user,
            "INV-CLI-2: lines of two users of one room are never unacked at once"
        );
        queue.flying_user = due.user;
        queue.flying += 1;
        self.waiting -= 1;
        self.flying += 1;
        self.mark_ready(room);
        Some(due)
    }

    /// A line of this room has been acked.
    pub(crate) fn acked(&mut self, room: RoomKey) {
        let Some(queue) = self.queues.get_mut(&room) else {
            return;
        };
        assert!(queue.flying > 0, "INV-CLI-3: no more acks than publishes");
        queue.flying -= 1;
        self.flying -= 1;
        if queue.flying == 0 && queue.waiting.is_empty() {
            self.queues.remove(&room);
            return;
        }
        self.mark_ready(room);
    }

    /// Lines taken and not yet acked.
    pub(crate) fn open_lines(&self) -> usize {
        self.waiting + self.flying
    }

    pub(crate) fn user_name(&self, user: UserKey) -> &Arc<str> {
        &self.users.names[user.0 as usize]
    }

    pub(crate) fn room_name(&self, room: RoomKey) -> &Arc<str> {
        &self.rooms.names[room.0 as usize]
    }

    fn mark_ready(&mut self, room: RoomKey) {
        let Some(queue) = self.queues.get_mut(&room) else {
            return;
        };
        let Some(first) = queue.waiting.front() else {
            return;
        };
        let may_go = queue.flying == 0 || queue.flying_user == first.user;
        if may_go && !queue.is_ready {
            queue.is_ready = true;
            self.ready.push_back(room);
        }
    }
}

impl Queue {
    fn new(user: UserKey) -> Self {
        Self {
            waiting: VecDeque::new(),
            flying_user: user,
            flying: 0,
            is_ready: false,
        }
    }
}

/// Names, numbered in the order in which they came.
#[derive(Debug, Default)]
struct Names {
    keys: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl Names {
    fn key(&mut self, name: &str) -> u32 {
        if let Some(key) = self.keys.get(name) {
            return *key;
        }
        let key = u32::try_from(self.names.len())
            .expect("a file of 4 billion different names fills the disk first");
        let name: Arc<str> = name.into();
        self.keys.insert(Arc::clone(&name), key);
        self.names.push(name);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(room: &str, user: &str, text: &str) -> ChatLine {
        ChatLine {
            at: At(0),
            room: room.into(),
            user: user.into(),
            text: text.into(),
        }
    }

    fn schedule(lines: &[(&str, &str, &str)]) -> Schedule {
        let mut schedule = Schedule::default();
        for (room, user, text) in lines {
            schedule.offer(line(room, user, text));
        }
        schedule
    }

    fn drain(schedule: &mut Schedule) -> Vec<Due> {
        std::iter::from_fn(|| schedule.poll()).collect()
    }

    fn texts(due: &[Due]) -> Vec<&str> {
        due.iter().map(|due| due.text.as_str()).collect()
    }

    #[test]
    fn one_users_run_goes_out_without_waiting_and_the_next_user_waits_for_all_of_it() {
        let mut schedule = schedule(&[
            ("r", "ann", "1"),
            ("r", "ann", "2"),
            ("r", "bob", "3"),
            ("r", "bob", "4"),
        ]);
        let first = drain(&mut schedule);
        assert_eq!(texts(&first), ["1", "2"]);
        schedule.acked(first[0].room);
        assert_eq!(schedule.poll(), None, "one line of ann is still unacked");
        schedule.acked(first[0].room);
        assert_eq!(texts(&drain(&mut schedule)), ["3", "4"]);
    }

    #[test]
    fn a_line_that_comes_while_its_users_run_flies_joins_it() {
        let mut schedule = schedule(&[("r", "ann", "1")]);
        assert_eq!(texts(&drain(&mut schedule)), ["1"]);
        schedule.offer(line("r", "ann", "2"));
        assert_eq!(texts(&drain(&mut schedule)), ["2"]);
        schedule.offer(line("r", "bob", "3"));
        assert_eq!(schedule.poll(), None);
    }

    #[test]
    fn rooms_do_not_wait_for_each_other() {
        let mut schedule = schedule(&[
            ("r", "ann", "1"),
            ("r", "bob", "2"),
            ("s", "bob", "3"),
            ("s", "ann", "4"),
        ]);
        assert_eq!(texts(&drain(&mut schedule)), ["1", "3"]);
    }

    #[test]
    fn numbers_count_a_users_lines_in_each_room() {
        let mut schedule = schedule(&[
            ("r", "ann", ""),
            ("s", "ann", ""),
            ("r", "ann", ""),
            ("s", "bob", ""),
        ]);
        let mut numbers = Vec::new();
        while let Some(due) = schedule.poll() {
            schedule.acked(due.room);
            let names = (
                schedule.room_name(due.room).to_string(),
                schedule.user_name(due.user).to_string(),
            );
            numbers.push((names.0, names.1, due.producer_seq.0));
        }
        numbers.sort();
        let expected = [
            ("r", "ann", 1),
            ("r", "ann", 2),
            ("s", "ann", 1),
            ("s", "bob", 1),
        ];
        assert_eq!(
            numbers,
            expected.map(|(room, user, number)| (room.to_string(), user.to_string(), number))
        );
        assert_eq!(schedule.open_lines(), 0);
    }

    #[test]
    fn a_postponed_room_comes_after_the_others_and_loses_nothing() {
        let mut schedule = schedule(&[("r", "ann", "1"), ("r", "ann", "2"), ("s", "bob", "3")]);
        assert_eq!(schedule.ready_rooms(), 2);
        schedule.postpone();
        assert_eq!(texts(&drain(&mut schedule)), ["3", "1", "2"]);
        schedule.postpone();
        assert_eq!(schedule.ready_rooms(), 0);
    }

    #[test]
    fn next_user_tells_whose_line_poll_gives() {
        let mut schedule = schedule(&[("r", "ann", "1"), ("s", "bob", "2")]);
        while let Some(user) = schedule.next_user() {
            assert_eq!(schedule.poll().map(|due| due.user), Some(user));
        }
        assert_eq!(schedule.poll(), None);
    }
}
