//! The lives of a client: its process dies or its session is over, and another one begins.

use std::time::Duration;

use antiphon_client::testing::BareSession;
use antiphon_client::{ClientOptions, Producer, ProducerSeq};

use crate::history::What;

use super::queue::{Event, MILLI, SECOND};
use super::swarm::Role;
use super::world::World;

impl World {
    /// The client's process dies; another one begins after a while.
    pub(crate) fn kill_client(&mut self, number: usize) {
        self.end_session(number);
    }

    pub(crate) fn end_session(&mut self, number: usize) {
        if self.clients[number].app.is_over {
            return;
        }
        self.client_hangs_up(number);
        self.note(number, What::Closed);
        let client = &mut self.clients[number];
        client.app.is_over = true;
        client.is_dialling = false;
        client.attempt += 1;
        let life = client.life;
        let wait = 10 * MILLI + self.dice.apps.waiting(SECOND);
        self.queue.after(
            wait,
            Event::Reborn {
                client: number,
                life,
            },
        );
    }

    pub(crate) fn on_reborn(&mut self, number: usize, life: u64) {
        if self.clients[number].life != life {
            return;
        }
        let seed = self.dice.seeds.next_u64();
        let client = &mut self.clients[number];
        let app = std::mem::take(&mut client.app);
        let unacked = app.open.len() as u64;
        client.life += 1;
        self.last_client += 1;
        client.no = self.last_client;
        // A producer can be kept only by who knows its numbers: all it sent was acked.
        let resumes = client.role.keeps_producer && unacked == 0 && !app.has_doubt;
        let resumed = app.producer.filter(|_| resumes).map(|producer| {
            let numbers: Vec<(String, ProducerSeq)> = app
                .acked
                .iter()
                .map(|(room, number)| (self.choices.rooms[*room].clone(), ProducerSeq(*number)))
                .collect();
            (producer, numbers)
        });
        self.trace.line(self.queue.now(), || {
            format!(
                "client {number}: session {} begins, going on with {resumed:?}",
                client.life
            )
        });
        client.app.last_ticket = app.last_ticket;
        client.app.bodies = app.bodies;
        if resumed.is_some() {
            client.app.acked = app.acked;
        }
        client.session = new_session(&client.role, client.user, resumed, seed);
        if client.raw.is_some() {
            let (role, user) = (client.role.clone(), client.user);
            self.clients[number].raw = Some(self.new_raw(&role, user));
        }
        self.tally.sessions += 1;
        self.tally.unknown += unacked;
        self.begin_client(number);
    }
}

/// A session of this user; with a producer, one that goes on with it.
pub(crate) fn new_session(
    role: &Role,
    user: u32,
    resumed: Option<(Producer, Vec<(String, ProducerSeq)>)>,
    seed: u64,
) -> BareSession {
    let mut options = ClientOptions::new("node-1")
        .user(format!("user-{user}"))
        .keepalive(Duration::from_millis(role.keepalive_ms))
        .connect_deadline(Duration::from_secs(3_600))
        .subscription_bounds(role.subscription_records, 1 << 20);
    if role.keeps_producer {
        options = options.keep_producer();
    }
    if let Some((producer, numbers)) = resumed {
        options = options.producer(producer).producer_seqs(numbers);
    }
    BareSession::new(&options, seed).expect("names of the world are names")
}
