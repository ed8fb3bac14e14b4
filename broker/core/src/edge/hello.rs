//! The handshake: HELLO makes a session of a stranger.

use alloc::boxed::Box;

use antiphon_protocol::limits::ROOM_NAME_BYTES_MAX;
use antiphon_protocol::{
    Code, Device, Features, Hello, Kind, Namespace, Producer, RawFrame, UserName, Welcome,
};

use super::producers;
use super::session::{Granted, Open, Session};
use super::{DECODER_FAILED, Edge, decoding};
use crate::core::{ConnId, CoreEvent, CoreId, Output};
use crate::lane::{Claim, Message, Replace};

/// What this server does beyond the first version's requests.
const SERVED: Features = Features(
    Features::SIGNALS.0
        | Features::CURSORS.0
        | Features::TIMES.0
        | Features::REFS.0
        | Features::DIGESTS.0
        | Features::METADATA.0,
);

impl Edge {
    /// The first frame of a connection. Whatever is wrong with it ends the connection.
    pub(super) fn hello(&mut self, conn: ConnId, frame: RawFrame<'_>) {
        match Kind::from_wire(frame.header.kind) {
            Ok(Kind::Hello) => {}
            Ok(_) => return self.goaway(conn, Code::BAD_STATE, "the first frame must be HELLO"),
            Err(error) => return self.goaway(conn, error.code(), "the first frame must be HELLO"),
        }
        if self.is_held {
            return self.goaway(conn, Code::UNAVAILABLE, "too much is under way");
        }
        let hello = match decoding::hello(frame) {
            Some(Ok(hello)) => hello,
            Some(Err(error)) => return self.goaway(conn, error.code(), ""),
            None => return self.goaway(conn, Code::INTERNAL, DECODER_FAILED),
        };
        let Ok(user) = UserName::try_from(hello.user) else {
            return self.goaway(conn, Code::BAD_FRAME, "");
        };
        if hello.namespace != Namespace(0) {
            return self.goaway(conn, Code::FORBIDDEN, "only namespace 0 is served");
        }
        if hello
            .producer
            .is_some_and(|producer| !producers::is_alive(producer, self.now.wall))
        {
            return self.goaway(conn, Code::PRODUCER_EXPIRED, "start a new session");
        }
        let open = self.open_session(&hello, user);
        self.welcome(conn, frame, &hello, &open);
        self.enter_session(conn, open, hello.producer.is_some());
    }

    fn open_session(&mut self, hello: &Hello<'_>, user: UserName) -> Open {
        let producer = hello.producer.unwrap_or_else(|| self.draw_producer());
        let device = hello
            .device
            .unwrap_or_else(|| Device(self.random.next_u32().max(1)));
        Open::new(Granted {
            user,
            namespace: hello.namespace,
            device,
            producer,
            keepalive_ms: self.keepalive_for(hello.keepalive_ms),
            frame_bytes_max: self.frame_bytes_for(hello.frame_bytes_max),
            features: hello.features & SERVED,
        })
    }

    fn draw_producer(&mut self) -> Producer {
        let random = self.random.next_u32();
        self.settings
            .exchange
            .identities()
            .draw(self.settings.node, self.now.wall, random)
    }

    fn keepalive_for(&self, asked_ms: u32) -> u32 {
        let (least, most) = self.settings.limits.keepalive_range_ms;
        if asked_ms == 0 {
            self.settings.limits.keepalive_ms
        } else {
            asked_ms.clamp(least, most)
        }
    }

    fn frame_bytes_for(&self, asked: u32) -> u32 {
        let served = self.settings.limits.frame_bytes_max;
        if asked == 0 {
            served
        } else {
            asked.min(served)
        }
    }

    fn welcome(&mut self, conn: ConnId, frame: RawFrame<'_>, hello: &Hello<'_>, open: &Open) {
        let limits = &self.settings.limits;
        let welcome = Welcome {
            features: hello.features & SERVED,
            producer: open.producer,
            server_time: self.now.wall,
            node: self.settings.node,
            device: open.device,
            keepalive_ms: open.keepalive_ms,
            frame_bytes_max: open.frame_bytes_max,
            body_bytes_max: limits.body_bytes_max,
            headers_bytes_max: limits.headers_bytes_max,
            in_flight_max: limits.in_flight_max,
            subscriptions_max: limits.subscriptions_max,
            requests_max: limits.requests_max,
            fetch_records_max: limits.fetch_records_max,
            version: hello.version().unwrap_or(1),
            room_bytes_max: ROOM_NAME_BYTES_MAX as u8,
            user: open.user.as_str(),
        };
        self.conns
            .write(conn, |out| welcome.encode(frame.header.id, out));
    }

    fn enter_session(&mut self, conn: ConnId, open: Open, is_named: bool) {
        let Some(claim) = self.conns.get(conn).map(|entry| entry.claim) else {
            return;
        };
        let replace = Replace {
            namespace: open.namespace,
            user: open.user.clone(),
            producer: open.producer,
            claim,
        };
        self.producers.insert(&open, conn.slot, &self.conns);
        if let Some(entry) = self.conns.get_mut(conn) {
            entry.live_bytes_max = open.frame_bytes_max;
            entry.session = Session::Open(Box::new(open));
        }
        self.stats.sessions_opened += 1;
        self.out
            .push_back(Output::Event(CoreEvent::SessionOpened { conn }));
        if is_named {
            let me = self.settings.me;
            self.replace(me, &replace);
            for core in (0..self.settings.map.cores())
                .map(CoreId)
                .filter(|&core| core != me)
            {
                self.send(core, Message::Replace(replace.clone()));
            }
        }
    }

    /// A session took a producer on core `from`: of its connections here, those that were accepted earlier end, and one that was accepted later ends the
    /// one there. Why exactly one stays, tells [`Identities::claim`](crate::identity::Identities::claim).
    pub(crate) fn replace(&mut self, from: CoreId, replace: &Replace) {
        let Replace {
            namespace,
            ref user,
            producer,
            ..
        } = *replace;
        let slots = self.producers.slots(namespace, user, producer, &self.conns);
        let claims = slots
            .iter()
            .filter_map(|&slot| Some(self.conns.in_slot(slot)?.claim));
        let newest = claims.fold(replace.claim, Claim::max);
        for slot in slots {
            let older = self
                .conns
                .in_slot(slot)
                .filter(|conn| conn.claim < newest)
                .map(|conn| conn.id);
            if let Some(conn) = older {
                self.stats.sessions_replaced += 1;
                self.goaway(conn, Code::REPLACED, "the session has a newer connection");
            }
        }
        if newest > replace.claim && from != self.settings.me {
            let claim = newest;
            let answer = Replace {
                claim,
                ..replace.clone()
            };
            self.send(from, Message::Replace(answer));
        }
    }

    /// Frees what a session holds outside its connection.
    pub(super) fn leave_session(&mut self, conn: ConnId, open: &Open) {
        self.producers.remove(open, conn.slot);
        self.digests.forget(conn);
        self.drop_subscriptions(open.subs.as_slice());
    }
}
