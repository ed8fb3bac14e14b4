//! The first frames of a peering: who, whom, which cluster, which session.

use alloc::vec::Vec;

use crate::decode::RawFrame;
use crate::error::DecodeError;
use crate::extensions::Extensions;
use crate::ids::{NodeId, RequestId};
use crate::limits::{PEER_VERSION_MAX, PEER_VERSION_MIN};
use crate::peer::ids::{ClusterId, DirectoryId, Life, Session};
use crate::peer::kind::PeerKind;
use crate::wire::{Fields, FrameWriter};

/// The bytes `A N T C`.
const MAGIC: u32 = 0x4354_4E41;
const HELLO_BYTES: usize = 88;
const WELCOME_BYTES: usize = 48;
const REFUSED_BYTES: usize = 16;

/// First frame of a peering, from the node that dials.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerHello {
    /// Lowest version of the peer protocol spoken. 1 <= version_min <= version_max
    pub version_min: u8,
    /// Highest version spoken.
    pub version_max: u8,
    /// How many partitions the cluster has; they are the same everywhere.
    pub partitions: u16,
    /// Who dials. Not 0.
    pub from: NodeId,
    /// Who is meant to answer. Not 0, not `from`.
    pub to: NodeId,
    /// Forms of entries that the dialer knows: entries of a higher level are not to be sent to it.
    pub level: u32,
    /// The cluster of both.
    pub cluster: ClusterId,
    /// What the dialer's disk is: a node that comes back on an empty disk has forgotten its votes and is another one.
    pub directory: DirectoryId,
    /// The dialer's process.
    pub life: Life,
    /// This connection, among those of that life.
    pub session: Session,
    /// xxh3_64 of the voters that the dialer was started with, ascending, each as u32 le.
    pub voters_digest: u64,
    /// Largest `len` that the dialer accepts.
    pub frame_bytes_max: u32,
}

impl PeerHello {
    /// Reads a PEER_HELLO of which at least one version is spoken here.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong; [`DecodeError::Version`] whatever else a later version may have changed.
    pub fn decode(frame: RawFrame<'_>) -> Result<PeerHello, DecodeError> {
        PeerKind::Hello.expect(frame)?;
        let mut start = Fields::new(frame.body());
        if start.u32()? != MAGIC {
            return Err(DecodeError::BadValue("magic"));
        }
        let (version_min, version_max) = (start.u8()?, start.u8()?);
        if version_min == 0 || version_min > version_max {
            return Err(DecodeError::BadValue("version"));
        }
        if common_version(version_min, version_max).is_none() {
            return Err(DecodeError::Version);
        }
        let (mut fixed, parts) = Fields::fixed::<HELLO_BYTES>(frame.body())?;
        fixed.skip::<6>()?;
        let partitions = fixed.u16()?;
        let (from, to) = (NodeId(fixed.u32()?), NodeId(fixed.u32()?));
        let level = fixed.u32()?;
        fixed.zeros::<4>()?;
        let hello = PeerHello {
            version_min,
            version_max,
            partitions,
            from,
            to,
            level,
            cluster: ClusterId(fixed.take().map(u128::from_le_bytes)?),
            directory: DirectoryId(fixed.take().map(u128::from_le_bytes)?),
            life: Life(fixed.u64()?),
            session: Session(fixed.u64()?),
            voters_digest: fixed.u64()?,
            frame_bytes_max: fixed.u32()?,
        };
        fixed.zeros::<4>()?;
        hello.check()?;
        Extensions::check_unknown(parts.rest())?;
        Ok(hello)
    }

    fn check(&self) -> Result<(), DecodeError> {
        let wrong = [
            (self.partitions == 0, "partitions"),
            (self.from.0 == 0, "from"),
            (self.to.0 == 0 || self.to == self.from, "to"),
            (self.cluster.0 == 0, "cluster"),
            (self.directory.0 == 0, "directory"),
            (self.life.0 == 0, "life"),
            (self.session.0 == 0, "session"),
        ];
        match wrong.iter().find(|(is_wrong, _)| *is_wrong) {
            Some((_, field)) => Err(DecodeError::BadValue(field)),
            None => Ok(()),
        }
    }

    /// Highest version that both sides speak, if any.
    #[must_use]
    pub fn version(&self) -> Option<u8> {
        common_version(self.version_min, self.version_max)
    }

    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let kind = PeerKind::Hello.wire();
        let mut writer = FrameWriter::numbered(out, kind, 0, RequestId::PUSH, HELLO_BYTES);
        writer.u32(MAGIC).u8(self.version_min).u8(self.version_max);
        writer.u16(self.partitions).u32(self.from.0).u32(self.to.0);
        writer.u32(self.level).zeros::<4>();
        writer
            .bytes(&self.cluster.0.to_le_bytes())
            .bytes(&self.directory.0.to_le_bytes());
        writer.u64(self.life.0).u64(self.session.0);
        writer
            .u64(self.voters_digest)
            .u32(self.frame_bytes_max)
            .zeros::<4>()
            .finish();
    }
}

/// Digest of the ids of all voters, ascending, as PEER_HELLO has it.
#[must_use]
pub fn voters_digest(ascending: &[NodeId]) -> u64 {
    let bytes: Vec<u8> = ascending
        .iter()
        .flat_map(|node| node.0.to_le_bytes())
        .collect();
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

fn common_version(version_min: u8, version_max: u8) -> Option<u8> {
    let version = version_max.min(PEER_VERSION_MAX);
    (version >= version_min.max(PEER_VERSION_MIN)).then_some(version)
}

/// The acceptor is who was meant, and takes messages of this session from here on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerWelcome {
    /// The version chosen.
    pub version: u8,
    /// Forms of entries that the acceptor knows.
    pub level: u32,
    /// That of the PEER_HELLO.
    pub session: Session,
    /// The acceptor's process.
    pub life: Life,
    /// What the acceptor's disk is.
    pub directory: DirectoryId,
    /// Largest `len` that the acceptor accepts.
    pub frame_bytes_max: u32,
}

impl PeerWelcome {
    /// Reads a PEER_WELCOME.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'_>) -> Result<PeerWelcome, DecodeError> {
        PeerKind::Welcome.expect(frame)?;
        let (mut fixed, parts) = Fields::fixed::<WELCOME_BYTES>(frame.body())?;
        let version = fixed.u8()?;
        fixed.zeros::<3>()?;
        let welcome = PeerWelcome {
            version,
            level: fixed.u32()?,
            session: Session(fixed.u64()?),
            life: Life(fixed.u64()?),
            directory: DirectoryId(fixed.take().map(u128::from_le_bytes)?),
            frame_bytes_max: fixed.u32()?,
        };
        fixed.zeros::<4>()?;
        let wrong = [
            (
                !(PEER_VERSION_MIN..=PEER_VERSION_MAX).contains(&version),
                "version",
            ),
            (welcome.session.0 == 0, "session"),
            (welcome.life.0 == 0, "life"),
            (welcome.directory.0 == 0, "directory"),
        ];
        if let Some((_, field)) = wrong.iter().find(|(is_wrong, _)| *is_wrong) {
            return Err(DecodeError::BadValue(field));
        }
        Extensions::check_unknown(parts.rest())?;
        Ok(welcome)
    }

    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let kind = PeerKind::Welcome.wire();
        let mut writer = FrameWriter::numbered(out, kind, 0, RequestId::PUSH, WELCOME_BYTES);
        writer.u8(self.version).zeros::<3>().u32(self.level);
        writer.u64(self.session.0).u64(self.life.0);
        writer.bytes(&self.directory.0.to_le_bytes());
        writer.u32(self.frame_bytes_max).zeros::<4>().finish();
    }
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $value:literal,)*) => {
        /// Why a peering was refused or ends. An open set: a later version may name more.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub struct PeerRefusal(pub u16);

        impl PeerRefusal {
            $($(#[$doc])* pub const $name: PeerRefusal = PeerRefusal($value);)*

            /// All that have a name, ascending, with it.
            pub const NAMED: &'static [(PeerRefusal, &'static str)] =
                &[$((PeerRefusal::$name, stringify!($name))),*];
        }
    };
}

refusals! {
    /// The bytes are no frame that is lawful here.
    BAD_FRAME = 1,
    /// No common version. Hint: the highest one spoken.
    VERSION = 2,
    /// The acceptor belongs to another cluster.
    OTHER_CLUSTER = 3,
    /// The dialer is no member that the acceptor knows.
    UNKNOWN_NODE = 4,
    /// The acceptor is another node than was meant. Hint: which one.
    OTHER_NODE = 5,
    /// The dialer's disk is another one than before: what it had acked may be gone.
    OTHER_DIRECTORY = 6,
    /// The two were started with different voters or numbers of partitions.
    OTHER_VOTERS = 7,
    /// A newer session of the same life is known.
    OLD_SESSION = 8,
    /// What TLS proved is not what the frame says.
    IDENTITY = 9,
    /// The node goes down.
    SHUTTING_DOWN = 10,
    /// Too many connections. Try again later.
    BUSY = 11,
}

/// The acceptor refuses, or ends, a peering; the connection closes behind it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerRefused {
    /// Why.
    pub code: PeerRefusal,
    /// Dial again no earlier, in ms.
    pub retry_after_ms: u32,
    /// Per code; 0 if none.
    pub hint: u64,
}

impl PeerRefused {
    /// Reads a PEER_REFUSED.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'_>) -> Result<PeerRefused, DecodeError> {
        PeerKind::Refused.expect(frame)?;
        let (mut fixed, parts) = Fields::fixed::<REFUSED_BYTES>(frame.body())?;
        let code = PeerRefusal(fixed.u16()?);
        fixed.zeros::<2>()?;
        let refused = PeerRefused {
            code,
            retry_after_ms: fixed.u32()?,
            hint: fixed.u64()?,
        };
        Extensions::check_unknown(parts.rest())?;
        Ok(refused)
    }

    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let kind = PeerKind::Refused.wire();
        let mut writer = FrameWriter::numbered(out, kind, 0, RequestId::PUSH, REFUSED_BYTES);
        writer.u16(self.code.0).zeros::<2>();
        writer.u32(self.retry_after_ms).u64(self.hint).finish();
    }
}
