//! What the application of a raw client does: it follows, signals, moves cursors, and publishes where nobody else did.

use antiphon_protocol as wire;
use antiphon_protocol::{CursorPosition, Timestamp};

use super::app::Sub;
use super::client::Client;
use super::world::World;

/// Its cursors.
pub(crate) const CURSORS: [&str; 2] = ["cursor-1", "cursor-2"];

impl World {
    /// A raw client was heard: it follows its rooms once it was greeted, and is over with its connection.
    pub(crate) fn raw_heard(&mut self, number: usize) {
        let client = &mut self.clients[number];
        let Some(raw) = &client.raw else { return };
        if raw.is_over() {
            self.end_session(number);
            return;
        }
        if raw.is_open() && raw.rooms.is_empty() {
            for room in client.role.follows.clone() {
                self.raw_follows(number, room);
            }
        }
        let now_ms = self.client_ms();
        while let Some(name) = self.clients[number]
            .raw
            .as_mut()
            .and_then(|raw| raw.due_again(now_ms))
        {
            let mut rooms = self.choices.rooms.iter();
            if let Some(room) = rooms.position(|room| *room == name) {
                self.raw_follows(number, room);
            }
        }
        let names = &self.choices.rooms;
        self.clients[number].note_raw_positions(names);
    }

    fn raw_follows(&mut self, number: usize, room: usize) {
        let apps = &mut self.dice.apps;
        let cursor = CURSORS[apps.place(CURSORS.len())];
        let start = match apps.below(4) {
            0 => wire::Start::Live,
            1 => wire::Start::Last(apps.below(30)),
            2 => wire::Start::Time(Timestamp(self.time_near(number))),
            _ => wire::Start::Cursor(cursor),
        };
        let name = &self.choices.rooms[room];
        if let Some(raw) = &mut self.clients[number].raw {
            raw.subscribe(name, start);
        }
    }

    /// A time of which a room may have records.
    pub(crate) fn time_near(&mut self, _client: usize) -> u64 {
        let now = self.nodes[0].now(self.queue.now()).wall.0;
        (now + 2_000).saturating_sub(self.dice.apps.below(60_000))
    }

    pub(crate) fn raw_acts(&mut self, number: usize) {
        let now_ms = self.client_ms();
        let rooms = self.choices.rooms.len();
        let room = self.dice.apps.place(rooms);
        let deed = self.dice.apps.below(16);
        let name = self.choices.rooms[room].clone();
        let is_open = self.clients[number]
            .raw
            .as_ref()
            .is_some_and(super::raw::Raw::is_open);
        if !is_open {
            return;
        }
        match deed {
            0 if self.clients[number].role.follows.contains(&room) => {
                self.raw_follows(number, room);
            }
            0..=3 => self.raw_moves_cursor(number, &name),
            4..=5 => {
                let bodies = &mut self.clients[number].app.bodies;
                *bodies += 1;
                let body = format!("{number} next {bodies}");
                if let Some(raw) = &mut self.clients[number].raw
                    && raw.publish_next(&name, body.as_bytes())
                {
                    self.tally.publishes += 1;
                }
            }
            _ => {
                let keyed = self.dice.apps.below(6).saturating_sub(3);
                let burst = 1 + self.dice.apps.below(8);
                for _ in 0..burst {
                    if let Some(raw) = &mut self.clients[number].raw {
                        raw.signal(&name, keyed as u32, now_ms);
                    }
                }
            }
        }
        let names = &self.choices.rooms;
        self.clients[number].note_raw_positions(names);
    }

    fn raw_moves_cursor(&mut self, number: usize, name: &str) {
        let cursor = CURSORS[self.dice.apps.place(CURSORS.len())];
        let is_sync = self.dice.apps.one_in(2);
        let only_asks = self.dice.apps.one_in(3);
        let Some(raw) = &mut self.clients[number].raw else {
            return;
        };
        let Some((position, _)) = raw.rooms.get(name).and_then(|room| room.last) else {
            return;
        };
        let position = if only_asks {
            CursorPosition::default()
        } else {
            position
        };
        raw.cursor(name, cursor, position, is_sync);
    }
}

impl Client {
    /// How far the streams of a raw client have come, where the world looks for that.
    fn note_raw_positions(&mut self, names: &[String]) {
        let Some(raw) = &self.raw else { return };
        for (number, name) in names.iter().enumerate() {
            let Some(at) = raw.position(name) else {
                self.app.subs.remove(&(number as u64));
                continue;
            };
            let sub = self.app.subs.entry(number as u64).or_insert_with(|| Sub {
                room: number,
                at: None,
                position: None,
                waiting: std::collections::VecDeque::new(),
                is_announced: true,
            });
            sub.at = at;
        }
    }
}
