//! A room of the model: records, and the state of every producer.

use std::collections::BTreeMap;

use antiphon_protocol::{
    Code, Count, Device, Link, Producer, ProducerSeq, Publish, RecordFields, RecordKind, RoomId,
    RoomRef, Seq, Timestamp, append_record, publish_digest,
};

/// A PUBLISH that outlives its buffer; the room by name or by number.
#[derive(Clone, Debug)]
pub(crate) struct OwnedPublish {
    pub(crate) room: Result<String, RoomId>,
    pub(crate) producer: Producer,
    pub(crate) producer_seq: ProducerSeq,
    kind: RecordKind,
    codec: u8,
    headers: Vec<u8>,
    body: Vec<u8>,
}

impl From<&Publish<'_>> for OwnedPublish {
    fn from(publish: &Publish<'_>) -> OwnedPublish {
        OwnedPublish {
            room: match publish.room {
                RoomRef::Name(name) => Ok(name.to_owned()),
                RoomRef::Id(id) => Err(id),
            },
            producer: publish.producer,
            producer_seq: publish.producer_seq,
            kind: publish.kind,
            codec: publish.codec,
            headers: publish.headers.to_vec(),
            body: publish.body.to_vec(),
        }
    }
}

/// What became of a publish.
#[derive(Debug)]
pub(crate) enum Admission {
    Stored {
        seq: Seq,
        link: Link,
        duplicate: bool,
    },
    Refused(Code, u64),
}

/// One record as it is sent, and what is asked about it.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) frame: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) link: Link,
}

/// A room with at least one record.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) id: RoomId,
    pub(crate) records: Vec<Stored>,
    /// Records below are gone.
    pub(crate) first_kept: Seq,
    producers: BTreeMap<(String, Producer), Vec<(Seq, u32)>>,
}

impl Room {
    pub(crate) fn new(id: RoomId) -> Room {
        Room {
            id,
            records: Vec::new(),
            first_kept: Seq(1),
            producers: BTreeMap::new(),
        }
    }

    pub(crate) fn head(&self) -> Seq {
        Seq(self.records.len() as u64)
    }

    /// The link of a record; of seq 0 the room's start.
    pub(crate) fn link(&self, seq: Seq) -> Link {
        match seq.0 {
            0 => Link::start(self.id),
            n => self.records[n as usize - 1].link,
        }
    }

    pub(crate) fn bodies(&self) -> Vec<String> {
        self.records
            .iter()
            .map(|record| String::from_utf8_lossy(&record.body).into_owned())
            .collect()
    }

    /// The state of a producer has been idle for too long.
    pub(crate) fn forget(&mut self, producer: Producer) {
        self.producers.retain(|(_, known), _| *known != producer);
    }

    pub(crate) fn last_number(&self, user: &str, producer: Producer) -> ProducerSeq {
        let known = self.producers.get(&(user.to_owned(), producer));
        ProducerSeq(known.map_or(0, Vec::len) as u64)
    }

    /// The table of docs/protocol.md, section 5.
    pub(crate) fn admit(
        &mut self,
        user: &str,
        publish: &OwnedPublish,
        time: Timestamp,
        is_young: bool,
    ) -> Admission {
        let digest = publish_digest(publish.kind, publish.codec, &publish.headers, &publish.body);
        let key = (user.to_owned(), publish.producer);
        let number = publish.producer_seq.0;
        let last = self.producers.get(&key).map(Vec::len).unwrap_or_default() as u64;
        if last == 0 && !is_young {
            return Admission::Refused(Code::PRODUCER_EXPIRED, 0);
        }
        if number > last + 1 || number == 0 {
            return Admission::Refused(Code::OUT_OF_ORDER, last);
        }
        if number == last + 1 {
            let seq = self.append(user, publish, time);
            self.producers.entry(key).or_default().push((seq, digest));
            return Admission::Stored {
                seq,
                link: self.link(seq),
                duplicate: false,
            };
        }
        let (seq, known) = self.producers[&key][number as usize - 1];
        if known != digest {
            return Admission::Refused(Code::PRODUCER_CONFLICT, 0);
        }
        Admission::Stored {
            seq,
            link: self.link(seq),
            duplicate: true,
        }
    }

    /// A record of somebody else.
    pub(crate) fn append_foreign(&mut self, time: Timestamp, body: &[u8]) -> Seq {
        let publish = OwnedPublish {
            room: Err(self.id),
            producer: Producer::new(time, 1),
            producer_seq: ProducerSeq(1),
            kind: RecordKind::MESSAGE,
            codec: 0,
            headers: Vec::new(),
            body: body.to_vec(),
        };
        self.append("somebody", &publish, time)
    }

    fn append(&mut self, user: &str, publish: &OwnedPublish, time: Timestamp) -> Seq {
        let seq = self.head().next();
        let fields = RecordFields {
            room_id: self.id,
            seq,
            count: Count(seq.0),
            time,
            producer: publish.producer,
            producer_seq: publish.producer_seq,
            back: 0,
            device: Device(7),
            kind: publish.kind,
            codec: publish.codec,
            record_flags: 0,
            sender: user.as_bytes(),
            headers: &publish.headers,
            body: &publish.body,
        };
        let mut frame = Vec::new();
        let link = append_record(&mut frame, &fields, self.link(self.head()));
        self.records.push(Stored {
            frame,
            body: publish.body.clone(),
            link,
        });
        seq
    }
}
