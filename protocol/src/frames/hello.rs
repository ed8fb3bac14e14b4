//! HELLO: the first frame of a connection.

use alloc::vec::Vec;

use crate::decode::RawFrame;
use crate::error::{DecodeError, Feature};
use crate::extensions::Extensions;
use crate::features::Features;
use crate::frame::Kind;
use crate::ids::{Device, Namespace, Producer, RequestId};
use crate::limits::{
    CLIENT_BYTES_MAX, FRAME_BYTES_MAX_FLOOR, USER_NAME_BYTES_MAX, VERSION_MAX, VERSION_MIN,
};
use crate::names::check_name;
use crate::wire::{Fields, FrameWriter, length_u8};

/// The bytes `A N T P`.
const MAGIC: u32 = 0x5054_4E41;
const FIXED_BYTES: usize = 40;
const AUTH_NONE: u8 = 0;
const AUTH_LAST: u8 = 3;
const EXTENSION_CLIENT: u16 = 2;
const EXTENSION_AUTH: u16 = 3;

/// Who connects, and what it wants (docs/protocol.md, section 3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hello<'a> {
    /// Lowest protocol version the client speaks. 1 <= version_min <= version_max
    pub version_min: u8,
    /// Highest protocol version the client speaks.
    pub version_max: u8,
    /// Optional features the client knows.
    pub features: Features,
    /// The session's own producer after a reconnect; `None`: a new session.
    pub producer: Option<Producer>,
    /// Tenant.
    pub namespace: Namespace,
    /// One of the user's devices; `None`: the server draws one.
    pub device: Option<Device>,
    /// How often the client promises to send something, in ms; 0: the server's default.
    pub keepalive_ms: u32,
    /// Largest `len` the client accepts; 0: the server's default, else >= 8,192.
    pub frame_bytes_max: u32,
    /// The user's name, checked when decoded.
    pub user: &'a str,
    /// Name and version of the client program, at most 64 bytes.
    pub client: Option<&'a str>,
}

impl<'a> Hello<'a> {
    /// A HELLO of `user` that leaves all else to the server.
    #[must_use]
    pub const fn new(user: &'a str) -> Self {
        Hello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            features: Features::NONE,
            producer: None,
            namespace: Namespace(0),
            device: None,
            keepalive_ms: 0,
            frame_bytes_max: 0,
            user,
            client: None,
        }
    }

    /// Highest version that both sides speak, if any.
    #[must_use]
    pub fn version(&self) -> Option<u8> {
        common_version(self.version_min, self.version_max)
    }

    /// Reads a HELLO of which at least one version is served here.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        frame.expect_request(Kind::Hello)?;
        check_versions(frame.body())?;
        let (mut fixed, mut parts) = Fields::fixed::<FIXED_BYTES>(frame.body())?;
        let _magic = fixed.u32()?;
        let (version_min, version_max) = (fixed.u8()?, fixed.u8()?);
        let (auth, user_len) = (fixed.u8()?, fixed.u8()?);
        let mut hello = Hello {
            version_min,
            version_max,
            features: Features(fixed.u64()?),
            producer: Some(Producer(fixed.u64()?)).filter(|producer| producer.0 != 0),
            namespace: Namespace(fixed.u32()?),
            device: Some(Device(fixed.u32()?)).filter(|device| device.0 != 0),
            keepalive_ms: fixed.u32()?,
            frame_bytes_max: fixed.u32()?,
            user: "",
            client: None,
        };
        hello.check_numbers(auth)?;
        hello.user = check_name(parts.bytes(usize::from(user_len))?, USER_NAME_BYTES_MAX)?;
        Extensions::read(parts.rest(), |extension| match extension.tag {
            EXTENSION_CLIENT => {
                hello.client = Some(check_client(extension.value)?);
                Ok(true)
            }
            EXTENSION_AUTH => Err(DecodeError::NotSupported(Feature::Auth)),
            _ => Ok(false),
        })?;
        Ok(hello)
    }

    fn check_numbers(&self, auth: u8) -> Result<(), DecodeError> {
        if auth > AUTH_LAST {
            return Err(DecodeError::BadValue("auth"));
        }
        if auth != AUTH_NONE {
            return Err(DecodeError::NotSupported(Feature::Auth));
        }
        if self.frame_bytes_max != 0 && self.frame_bytes_max < FRAME_BYTES_MAX_FLOOR {
            return Err(DecodeError::BadValue("frame_bytes_max"));
        }
        Ok(())
    }

    /// Appends the frame.
    pub fn encode(&self, id: RequestId, out: &mut Vec<u8>) {
        let bytes = FIXED_BYTES.saturating_add(self.user.len());
        let mut writer = FrameWriter::new(out, Kind::Hello, 0, id, bytes);
        writer.u32(MAGIC).u8(self.version_min).u8(self.version_max);
        writer.u8(AUTH_NONE).u8(length_u8(self.user.as_bytes()));
        writer
            .u64(self.features.0)
            .u64(self.producer.map_or(0, |producer| producer.0));
        writer
            .u32(self.namespace.0)
            .u32(self.device.map_or(0, |device| device.0));
        writer.u32(self.keepalive_ms).u32(self.frame_bytes_max);
        writer.bytes(self.user.as_bytes());
        if let Some(client) = self.client {
            writer.extension(EXTENSION_CLIENT, client.as_bytes());
        }
        writer.finish();
    }
}

/// Checks what is alike in the HELLO of every version. Before all else, even the length of the fixed part, may differ: the answer must be VERSION.
fn check_versions(body: &[u8]) -> Result<(), DecodeError> {
    let mut start = Fields::new(body);
    if start.u32()? != MAGIC {
        return Err(DecodeError::BadValue("magic"));
    }
    let (version_min, version_max) = (start.u8()?, start.u8()?);
    if version_min == 0 || version_min > version_max {
        return Err(DecodeError::BadValue("version"));
    }
    match common_version(version_min, version_max) {
        Some(_) => Ok(()),
        None => Err(DecodeError::Version),
    }
}

fn common_version(version_min: u8, version_max: u8) -> Option<u8> {
    let version = version_max.min(VERSION_MAX);
    (version >= version_min.max(VERSION_MIN)).then_some(version)
}

fn check_client(value: &[u8]) -> Result<&str, DecodeError> {
    if value.len() > CLIENT_BYTES_MAX {
        return Err(DecodeError::BadValue("client"));
    }
    core::str::from_utf8(value).map_err(|_| DecodeError::BadValue("client"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_common_version_is_chosen() {
        let version = |version_min, version_max| {
            Hello {
                version_min,
                version_max,
                ..Hello::new("ann")
            }
            .version()
        };
        assert_eq!(version(1, 1), Some(1));
        assert_eq!(version(1, 200), Some(1));
        assert_eq!(version(2, 200), None);
    }
}
