//! A record that shows that the node works: published, synced and received as a client's is.
//!
//! It goes through the acceptor, a core, the room's channel, the log and back; whatever of these stands still, it stays away.
//! The room is `antiphon.canary`: one record of some 150 bytes each time somebody asks, at most one a second.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use antiphon_protocol::{
    Ack, Code, Features, Hello, Namespace, Producer, ProducerSeq, Publish, RecordKind, RequestId,
    RoomRef, Seq, ServerFrame, Start, Subscribe, next_frame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::limits::{CANARY_FRAME_BYTES_MAX, CANARY_WITHIN};

/// The room and the user of canaries.
const CANARY: &str = "antiphon.canary";

/// How long it took.
pub(crate) type Sung = Result<Duration, Silence>;

/// Why there was no canary.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Silence {
    /// The node did not answer in time.
    #[error("no canary within {CANARY_WITHIN:?}: {0} was waited for")]
    Late(&'static str),
    /// The connection ended or brought nonsense.
    #[error("the canary's connection ended: {0} was waited for")]
    Lost(&'static str),
    /// The node refused it.
    #[error("the canary was refused: {0}")]
    Refused(Code),
}

/// What the canary waits for, in order.
struct Singer {
    stream: TcpStream,
    unread: Vec<u8>,
    waits_for: &'static str,
}

/// Publishes a record and waits for its ack and its delivery.
pub(crate) async fn sing(address: SocketAddr) -> Sung {
    let began = Instant::now();
    let Ok(connected) = tokio::time::timeout(CANARY_WITHIN, TcpStream::connect(address)).await
    else {
        return Err(Silence::Late("a connection"));
    };
    let mut singer = Singer {
        stream: connected.map_err(|_| Silence::Lost("a connection"))?,
        unread: Vec::new(),
        waits_for: "WELCOME",
    };
    let left = CANARY_WITHIN.saturating_sub(began.elapsed());
    match tokio::time::timeout(left, singer.sing()).await {
        Ok(sung) => sung.map(|()| began.elapsed()),
        Err(_) => Err(Silence::Late(singer.waits_for)),
    }
}

impl Singer {
    async fn sing(&mut self) -> Result<(), Silence> {
        let mut bytes = Vec::new();
        let hello = Hello {
            version_min: 1,
            version_max: 1,
            features: Features::NONE,
            producer: None,
            namespace: Namespace(0),
            device: None,
            keepalive_ms: 0,
            frame_bytes_max: 0,
            user: CANARY,
            client: Some("readyz"),
        };
        hello.encode(RequestId(1), &mut bytes);
        Subscribe::new(RoomRef::Name(CANARY), Start::Live).encode(RequestId(2), &mut bytes);
        self.send(&bytes).await?;
        let mut producer = Producer(0);
        let mut is_subscribed = false;
        while producer == Producer(0) || !is_subscribed {
            let whole = self.frame().await?;
            match decode(&whole)? {
                ServerFrame::Welcome(welcome) => producer = welcome.producer,
                ServerFrame::Subscribed(_) => is_subscribed = true,
                ServerFrame::Error(error) => return Err(Silence::Refused(error.code)),
                ServerFrame::Goaway(goaway) => return Err(Silence::Refused(goaway.code)),
                _ => {}
            }
            self.waits_for = "SUBSCRIBED";
        }
        bytes.clear();
        let publish = Publish {
            room: RoomRef::Name(CANARY),
            producer,
            producer_seq: ProducerSeq(1),
            kind: RecordKind::MESSAGE,
            codec: 0,
            ack: Ack::Committed,
            expect_seq: Seq(0),
            headers: &[],
            body: b"canary",
        };
        publish.encode(RequestId(3), &mut bytes);
        self.send(&bytes).await?;
        self.waits_for = "the ack and the record";
        let (mut is_acked, mut is_received) = (false, false);
        while !is_acked || !is_received {
            let whole = self.frame().await?;
            match decode(&whole)? {
                ServerFrame::Puback(_) => is_acked = true,
                ServerFrame::Record(record) => is_received |= record.producer() == producer,
                ServerFrame::Error(error) => return Err(Silence::Refused(error.code)),
                ServerFrame::Goaway(goaway) => return Err(Silence::Refused(goaway.code)),
                _ => {}
            }
        }
        Ok(())
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Silence> {
        let sent = self.stream.write_all(bytes).await;
        sent.map_err(|_| Silence::Lost(self.waits_for))
    }

    /// The bytes of the next frame.
    async fn frame(&mut self) -> Result<Vec<u8>, Silence> {
        loop {
            let next = next_frame(&self.unread, CANARY_FRAME_BYTES_MAX)
                .map_err(|_| Silence::Lost(self.waits_for))?;
            if let Some(frame) = next {
                let length = frame.whole.len();
                return Ok(self.unread.drain(..length).collect());
            }
            let read = self.stream.read_buf(&mut self.unread).await;
            if read.unwrap_or(0) == 0 {
                return Err(Silence::Lost(self.waits_for));
            }
        }
    }
}

fn decode(whole: &[u8]) -> Result<ServerFrame<'_>, Silence> {
    let raw = next_frame(whole, CANARY_FRAME_BYTES_MAX).ok().flatten();
    raw.and_then(|raw| ServerFrame::decode(raw).ok())
        .ok_or(Silence::Lost("a frame that can be read"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn sung(address: SocketAddr) -> Sung {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(sing(address))
    }

    #[test]
    fn a_node_that_is_not_there_hangs_up_or_says_nothing_is_not_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let silence = sung(address).expect_err("nobody accepts");
        assert!(matches!(silence, Silence::Late("WELCOME")), "{silence}");

        let hangs_up = std::thread::spawn(move || {
            // The one that was not accepted above, then the next.
            for _ in 0..2 {
                drop(listener.accept());
            }
        });
        let silence = sung(address).expect_err("hung up");
        assert!(matches!(silence, Silence::Lost("WELCOME")), "{silence}");
        hangs_up.join().expect("no panic");
        let silence = sung(address).expect_err("nobody listens");
        assert!(
            matches!(silence, Silence::Lost("a connection")),
            "{silence}"
        );
    }
}
