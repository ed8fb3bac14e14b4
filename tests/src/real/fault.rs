//! What goes wrong, by name.

use std::fmt;

use super::means::Means;
use crate::sim::random::Random;

macro_rules! faults {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal, $weight:literal;)*) => {
        /// A disturbance of a run.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Fault {
            $($(#[doc = $doc])* $name,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Fault] = &[$(Fault::$name),*];

            /// Its name in histories, figures and on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Fault::$name => $text,)*
                }
            }

            /// How often it is drawn, compared with the others.
            fn weight(self) -> u64 {
                match self {
                    $(Fault::$name => $weight,)*
                }
            }
        }
    };
}

faults! {
    /// Some connections end with RST.
    Reset = "reset", 4;
    /// Some connections end with FIN.
    Finish = "finish", 3;
    /// Some connections end with RST in the middle of a frame.
    CutInFrame = "cut-in-frame", 5;
    /// Bytes are late.
    Delay = "delay", 3;
    /// Bytes trickle.
    Throttle = "throttle", 2;
    /// Bytes come one by one.
    Dribble = "dribble", 2;
    /// Connections fall silent without an end.
    HalfOpen = "half-open", 3;
    /// Nothing is taken: windows close.
    ZeroWindow = "zero-window", 2;
    /// New connections are reset.
    Refuse = "refuse", 2;
    /// A client's process dies and comes back with its identity.
    ClientCrash = "client-crash", 4;
    /// SIGKILL, and a start.
    Kill = "kill", 4;
    /// SIGSTOP, and SIGCONT after a while.
    Pause = "pause", 2;
    /// SIGTERM, and a start.
    Restart = "restart", 2;
    /// Every sync takes long.
    SlowSync = "slow-sync", 1;
    /// A sync fails with EIO: the broker ends, and is started again.
    SyncError = "sync-error", 2;
    /// SIGKILL right at a write to the log.
    WriteKill = "write-kill", 2;
    /// The file system is full for a while.
    DiskFull = "disk-full", 2;
}

impl Fault {
    /// The fault of that name.
    pub fn named(name: &str) -> Option<Fault> {
        let all = Fault::ALL.iter().copied();
        all.into_iter().find(|fault| fault.name() == name)
    }

    /// What a run needs for it.
    pub fn needs(self) -> Option<Means> {
        match self {
            Fault::SlowSync | Fault::SyncError | Fault::WriteKill => Some(Means::Strace),
            Fault::DiskFull => Some(Means::Mount),
            _ => None,
        }
    }

    /// One of the list, by weight; the list is not empty.
    pub(crate) fn draw(faults: &[Fault], dice: &mut Random) -> Fault {
        let sum = faults.iter().map(|fault| fault.weight()).sum();
        let mut left = dice.below(sum);
        for fault in faults {
            match left.checked_sub(fault.weight()) {
                Some(rest) => left = rest,
                None => return *fault,
            }
        }
        faults[0]
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Faults that belong together: one short run of each is a test.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// What networks do.
    Network,
    /// What happens to processes.
    Processes,
    /// What system calls answer; needs strace.
    Calls,
    /// What disks do; needs a mount.
    Disk,
    /// All that can be had here.
    All,
}

impl Family {
    /// Its faults.
    pub fn faults(self) -> Vec<Fault> {
        let is_in = |fault: &Fault| match self {
            Family::All => true,
            Family::Network => *fault <= Fault::Refuse,
            Family::Processes => (Fault::ClientCrash..=Fault::Restart).contains(fault),
            Family::Calls => fault.needs() == Some(Means::Strace),
            Family::Disk => fault.needs() == Some(Means::Mount),
        };
        Fault::ALL.iter().copied().filter(is_in).collect()
    }

    /// The family of that name.
    pub fn named(name: &str) -> Option<Family> {
        Some(match name {
            "network" => Family::Network,
            "processes" => Family::Processes,
            "calls" => Family::Calls,
            "disk" => Family::Disk,
            "all" => Family::All,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_in_one_family_and_has_a_name_of_its_own() {
        let families = [
            Family::Network,
            Family::Processes,
            Family::Calls,
            Family::Disk,
        ];
        let mut of_families: Vec<Fault> =
            families.iter().flat_map(|family| family.faults()).collect();
        of_families.sort_unstable();
        assert_eq!(of_families, Fault::ALL);
        for fault in Fault::ALL {
            assert_eq!(Fault::named(fault.name()), Some(*fault));
        }
    }

    #[test]
    fn each_fault_is_drawn_sooner_or_later() {
        let mut dice = Random::new(1);
        let mut left = Fault::ALL.to_vec();
        for _ in 0..2_000 {
            let drawn = Fault::draw(Fault::ALL, &mut dice);
            left.retain(|fault| *fault != drawn);
        }
        assert_eq!(left, []);
    }
}
