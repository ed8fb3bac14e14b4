//! What can go wrong in a world, by name: chosen per seed, counted, and left out by `shrink`.

use std::fmt;

/// Whose service a fault costs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cost {
    /// All clients of a node.
    Node,
    /// One client.
    Client,
    /// All go on, if slowly.
    Nobody,
}

/// One kind of trouble.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Fault {
    /// The broker's process is killed; the page cache survives.
    Kill,
    /// Power is lost, and all that was written reached the disk.
    PowerKept,
    /// Power is lost, and nothing unsynced reached the disk.
    PowerLost,
    /// Power is lost, and each unsynced sector is old or new.
    PowerMixed,
    /// Power is lost in the middle of what the log thread writes.
    CrashInFlush,
    /// Power is lost while the log is opened.
    CrashInOpen,
    /// The broker is stopped in order and started again.
    Drain,
    /// The broker's process stands still for a while.
    Pause,
    /// One core thread does not run for a while.
    SlowCore,
    /// A sync fails, and what it should have made durable is lost without a trace.
    SyncFails,
    /// A write fails half way.
    WriteFails,
    /// The disk has no space left, for a while.
    DiskFull,
    /// Writes and syncs are slow for a while.
    SlowDisk,
    /// Reads are slow for a while.
    SlowReads,
    /// The broker's wall clock jumps forwards.
    WallForward,
    /// The broker's wall clock jumps back.
    WallBack,
    /// A connection is reset.
    Reset,
    /// One direction of a connection goes nowhere, and nobody is told.
    HalfOpen,
    /// Both directions go nowhere.
    Blackhole,
    /// One direction stands still for a while.
    Clog,
    /// Bytes come one at a time from now on.
    Dribble,
    /// Nobody can connect for a while.
    Refuse,
    /// A client's thread stands still for a while.
    ClientPause,
    /// A client's application takes no deliveries for a while.
    ClientStall,
    /// A client dies and comes back as another session.
    ClientKill,
    /// A bit of what is durable flips.
    Rot,
    /// A page of what is durable cannot be read any more.
    BadPage,
    /// A file becomes shorter.
    Shorten,
    /// A file is gone.
    Remove,
}

impl Fault {
    /// All of them.
    pub(crate) const ALL: [Fault; 29] = [
        Fault::Kill,
        Fault::PowerKept,
        Fault::PowerLost,
        Fault::PowerMixed,
        Fault::CrashInFlush,
        Fault::CrashInOpen,
        Fault::Drain,
        Fault::Pause,
        Fault::SlowCore,
        Fault::SyncFails,
        Fault::WriteFails,
        Fault::DiskFull,
        Fault::SlowDisk,
        Fault::SlowReads,
        Fault::WallForward,
        Fault::WallBack,
        Fault::Reset,
        Fault::HalfOpen,
        Fault::Blackhole,
        Fault::Clog,
        Fault::Dribble,
        Fault::Refuse,
        Fault::ClientPause,
        Fault::ClientStall,
        Fault::ClientKill,
        Fault::Rot,
        Fault::BadPage,
        Fault::Shorten,
        Fault::Remove,
    ];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::Kill => "kill",
            Fault::PowerKept => "power-kept",
            Fault::PowerLost => "power-lost",
            Fault::PowerMixed => "power-mixed",
            Fault::CrashInFlush => "crash-in-flush",
            Fault::CrashInOpen => "crash-in-open",
            Fault::Drain => "drain",
            Fault::Pause => "pause",
            Fault::SlowCore => "slow-core",
            Fault::SyncFails => "sync-fails",
            Fault::WriteFails => "write-fails",
            Fault::DiskFull => "disk-full",
            Fault::SlowDisk => "slow-disk",
            Fault::SlowReads => "slow-reads",
            Fault::WallForward => "wall-forward",
            Fault::WallBack => "wall-back",
            Fault::Reset => "reset",
            Fault::HalfOpen => "half-open",
            Fault::Blackhole => "blackhole",
            Fault::Clog => "clog",
            Fault::Dribble => "dribble",
            Fault::Refuse => "refuse",
            Fault::ClientPause => "client-pause",
            Fault::ClientStall => "client-stall",
            Fault::ClientKill => "client-kill",
            Fault::Rot => "rot",
            Fault::BadPage => "bad-page",
            Fault::Shorten => "shorten",
            Fault::Remove => "remove",
        }
    }

    /// The fault of that name.
    pub(crate) fn named(name: &str) -> Option<Fault> {
        Fault::ALL.into_iter().find(|fault| fault.name() == name)
    }

    /// How often it happens, compared with the others.
    pub(crate) fn weight(self) -> u64 {
        match self {
            // Each costs the world seconds of service.
            Fault::Kill
            | Fault::PowerKept
            | Fault::PowerLost
            | Fault::PowerMixed
            | Fault::CrashInFlush
            | Fault::CrashInOpen
            | Fault::Drain
            | Fault::SyncFails
            | Fault::WriteFails
            | Fault::DiskFull
            | Fault::Rot
            | Fault::BadPage
            | Fault::Shorten
            | Fault::Remove => 2,
            Fault::Pause | Fault::Blackhole | Fault::HalfOpen | Fault::ClientKill => 4,
            Fault::Refuse | Fault::ClientPause => 6,
            Fault::SlowDisk
            | Fault::SlowReads
            | Fault::WallForward
            | Fault::WallBack
            | Fault::ClientStall => 10,
            // Each byte by itself is an event or more.
            Fault::Dribble => 10,
            Fault::SlowCore | Fault::Reset | Fault::Clog => 40,
        }
    }

    /// Whose service it costs, for seconds.
    pub(crate) fn cost(self) -> Cost {
        match self {
            Fault::Pause | Fault::Refuse => Cost::Node,
            fault if fault.destroys() => Cost::Nobody,
            fault if fault.weight() <= 2 => Cost::Node,
            Fault::Reset
            | Fault::HalfOpen
            | Fault::Blackhole
            | Fault::ClientPause
            | Fault::ClientKill => Cost::Client,
            _ => Cost::Nobody,
        }
    }

    /// Whether something durable is lost by it, so that the broker may lose, and say so, what it acked.
    pub(crate) fn destroys(self) -> bool {
        matches!(
            self,
            Fault::Rot | Fault::BadPage | Fault::Shorten | Fault::Remove
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
