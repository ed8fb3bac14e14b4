//! PUBLISH: a record to be.

use alloc::vec::Vec;

use crate::codes::RecordKind;
use crate::decode::RawFrame;
use crate::digest::publish_digest;
use crate::error::{DecodeError, Feature};
use crate::extensions::Extensions;
use crate::frame::Kind;
use crate::headers::Headers;
use crate::ids::{Producer, ProducerSeq, RequestId, Seq};
use crate::names::RoomRef;
use crate::wire::{Fields, FrameWriter, length_u16, length_u32};

const FIXED_BYTES: usize = 48;

/// What is answered on success.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Ack {
    /// PUBACK, once the record is durable.
    #[default]
    Committed = 0,
    /// Nothing.
    None = 1,
}

/// One record for a room, numbered by its producer so that a retry takes no second effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Publish<'a> {
    /// Where to.
    pub room: RoomRef<'a>,
    /// The session's.
    pub producer: Producer,
    /// Dense from 1 per (producer, room).
    pub producer_seq: ProducerSeq,
    /// What it is; a served one when decoded.
    pub kind: RecordKind,
    /// Of the body; opaque to the server.
    pub codec: u8,
    /// What is answered.
    pub ack: Ack,
    /// The seq that it must get; 0: any.
    pub expect_seq: Seq,
    /// Header list, checked when decoded; with `ref` if the kind refers to another record.
    pub headers: &'a [u8],
    /// Anything; its limit is told in WELCOME and checked by the session.
    pub body: &'a [u8],
}

impl<'a> Publish<'a> {
    /// Reads a PUBLISH.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    #[inline]
    pub fn decode(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        frame.expect_request(Kind::Publish)?;
        let (mut fixed, mut parts) = Fields::fixed::<FIXED_BYTES>(frame.body())?;
        let room_id = fixed.u64()?;
        let producer = Producer(fixed.u64()?);
        let producer_seq = ProducerSeq(fixed.u64()?);
        let (body_len, headers_len, room_len) = (fixed.u32()?, fixed.u16()?, fixed.u8()?);
        let (kind, codec) = (RecordKind::from_wire(fixed.u8()?), fixed.u8()?);
        let (ack, record_flags) = (fixed.u8()?, fixed.u8()?);
        fixed.zeros::<5>()?;
        let expect_seq = Seq(fixed.u64()?);

        let room = parts.bytes(usize::from(room_len))?;
        let headers = parts.bytes(usize::from(headers_len))?;
        let body = parts.bytes(body_len as usize)?;
        Extensions::check_unknown(parts.rest())?;
        let room = RoomRef::decode(room_id, room)?;
        if producer.0 == 0 {
            return Err(DecodeError::BadValue("producer"));
        }
        if producer_seq.0 == 0 {
            return Err(DecodeError::BadValue("producer_seq"));
        }
        let ack = match ack {
            0 => Ack::Committed,
            1 => Ack::None,
            _ => return Err(DecodeError::BadValue("ack")),
        };
        if !kind.is_served() {
            return Err(DecodeError::NotSupported(Feature::RecordKind));
        }
        if record_flags != 0 {
            return Err(DecodeError::NotSupported(Feature::RecordFlags));
        }
        Headers::check(headers)?;
        if kind.refers() && Headers::new(headers).reference().is_none() {
            return Err(DecodeError::BadValue("ref"));
        }
        Ok(Publish {
            room,
            producer,
            producer_seq,
            kind,
            codec,
            ack,
            expect_seq,
            headers,
            body,
        })
    }

    /// Appends the frame.
    pub fn encode(&self, id: RequestId, out: &mut Vec<u8>) {
        let (room_id, room_len, room) = self.room.fields();
        let parts = room
            .len()
            .saturating_add(self.headers.len())
            .saturating_add(self.body.len());
        let mut writer =
            FrameWriter::new(out, Kind::Publish, 0, id, FIXED_BYTES.saturating_add(parts));
        writer
            .u64(room_id)
            .u64(self.producer.0)
            .u64(self.producer_seq.0);
        writer
            .u32(length_u32(self.body))
            .u16(length_u16(self.headers))
            .u8(room_len);
        writer
            .u8(self.kind.wire())
            .u8(self.codec)
            .u8(self.ack as u8)
            .zeros::<6>();
        writer.u64(self.expect_seq.0);
        writer
            .bytes(room)
            .bytes(self.headers)
            .bytes(self.body)
            .finish();
    }

    /// By which a retry is told from another message under the same number.
    #[must_use]
    pub fn digest(&self) -> u32 {
        publish_digest(self.kind, self.codec, self.headers, self.body)
    }
}
