//! WELCOME: the server's answer to HELLO, with every limit.

use alloc::vec::Vec;

use crate::decode::RawFrame;
use crate::error::DecodeError;
use crate::extensions::Extensions;
use crate::features::Features;
use crate::frame::Kind;
use crate::ids::{Device, NodeId, Producer, RequestId, Timestamp};
use crate::limits::USER_NAME_BYTES_MAX;
use crate::names::check_name;
use crate::wire::{Fields, FrameWriter, length_u8};

const FIXED_BYTES: usize = 72;

/// Who the client is from now on, and what it may do. A client hard-codes none of the limits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Welcome<'a> {
    /// Those of HELLO that the server grants.
    pub features: Features,
    /// The session's producer.
    pub producer: Producer,
    /// The server's clock.
    pub server_time: Timestamp,
    /// This broker.
    pub node: NodeId,
    /// The session's device.
    pub device: Device,
    /// Bytes must arrive at least every 3 x this, in ms, both ways.
    pub keepalive_ms: u32,
    /// Largest `len` either side may send from now on.
    pub frame_bytes_max: u32,
    /// Largest body of a PUBLISH.
    pub body_bytes_max: u32,
    /// Largest headers of a PUBLISH.
    pub headers_bytes_max: u32,
    /// Unanswered PUBLISH frames on this connection.
    pub in_flight_max: u32,
    /// Subscriptions on this connection.
    pub subscriptions_max: u32,
    /// Unanswered SUBSCRIBE, FETCH, CURSOR and METADATA on this connection.
    pub requests_max: u32,
    /// Largest `limit` of FETCH.
    pub fetch_records_max: u32,
    /// The chosen protocol version.
    pub version: u8,
    /// Longest room name, in bytes.
    pub room_bytes_max: u8,
    /// The user, as the server knows it.
    pub user: &'a str,
}

impl<'a> Welcome<'a> {
    /// Reads a WELCOME.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        frame.expect(Kind::Welcome)?;
        let (mut fixed, mut parts) = Fields::fixed::<FIXED_BYTES>(frame.body())?;
        let mut welcome = Welcome {
            features: Features(fixed.u64()?),
            producer: Producer(fixed.u64()?),
            server_time: Timestamp(fixed.u64()?),
            node: NodeId(fixed.u32()?),
            device: Device(fixed.u32()?),
            keepalive_ms: fixed.u32()?,
            frame_bytes_max: fixed.u32()?,
            body_bytes_max: fixed.u32()?,
            headers_bytes_max: fixed.u32()?,
            in_flight_max: fixed.u32()?,
            subscriptions_max: fixed.u32()?,
            requests_max: fixed.u32()?,
            fetch_records_max: fixed.u32()?,
            version: fixed.u8()?,
            room_bytes_max: 0,
            user: "",
        };
        let user_len = fixed.u8()?;
        welcome.room_bytes_max = fixed.u8()?;
        welcome.user = check_name(parts.bytes(usize::from(user_len))?, USER_NAME_BYTES_MAX)?;
        Extensions::check_unknown(parts.rest())?;
        Ok(welcome)
    }

    /// Appends the frame; `id` is that of HELLO.
    pub fn encode(&self, id: RequestId, out: &mut Vec<u8>) {
        let mut writer = FrameWriter::new(
            out,
            Kind::Welcome,
            0,
            id,
            FIXED_BYTES.saturating_add(self.user.len()),
        );
        writer
            .u64(self.features.0)
            .u64(self.producer.0)
            .u64(self.server_time.0);
        writer
            .u32(self.node.0)
            .u32(self.device.0)
            .u32(self.keepalive_ms);
        writer
            .u32(self.frame_bytes_max)
            .u32(self.body_bytes_max)
            .u32(self.headers_bytes_max);
        writer.u32(self.in_flight_max).u32(self.subscriptions_max);
        writer.u32(self.requests_max).u32(self.fetch_records_max);
        writer
            .u8(self.version)
            .u8(length_u8(self.user.as_bytes()))
            .u8(self.room_bytes_max)
            .zeros::<5>();
        writer.bytes(self.user.as_bytes()).finish();
    }
}
