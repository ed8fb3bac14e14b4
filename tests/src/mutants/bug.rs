//! The planted bugs of all crates, by name.

use antiphon_client::planted::Bug as SdkBug;
use antiphon_core::planted::Bug as CoreBug;
use antiphon_log::planted::Bug as LogBug;

use crate::sim::Stress;

/// One of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bug {
    Log(LogBug),
    Core(CoreBug),
    Sdk(SdkBug),
}

impl Bug {
    /// All of them, log first.
    pub(crate) fn all() -> Vec<Bug> {
        let log = LogBug::ALL.iter().copied().map(Bug::Log);
        let core = CoreBug::ALL.iter().copied().map(Bug::Core);
        let sdk = SdkBug::ALL.iter().copied().map(Bug::Sdk);
        log.chain(core).chain(sdk).collect()
    }

    /// As in `tests/mutants.txt`: `log-skip-sync`.
    pub(crate) fn name(self) -> String {
        let (owner, bug) = match self {
            Bug::Log(bug) => ("log", format!("{bug:?}")),
            Bug::Core(bug) => ("core", format!("{bug:?}")),
            Bug::Sdk(bug) => ("sdk", format!("{bug:?}")),
        };
        let mut name = owner.to_owned();
        for letter in bug.chars() {
            if letter.is_ascii_uppercase() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    /// The worlds in which it is searched; `None`: those of the swarm, where most bugs show.
    pub(crate) fn stress(self) -> Option<Stress> {
        match self {
            Bug::Log(LogBug::MarkAhead | LogBug::WriteOverTear) => Some(Stress::Tails),
            Bug::Log(LogBug::CutAtDamage)
            | Bug::Core(CoreBug::GapUntold | CoreBug::GapEndOffByOne) => Some(Stress::Rot),
            Bug::Core(CoreBug::DirtyLost) => Some(Stress::Lanes),
            Bug::Core(CoreBug::LiveTooEarly) => Some(Stress::Behind),
            Bug::Core(CoreBug::OverlayKept) => Some(Stress::Narrow),
            Bug::Core(CoreBug::StaleConnection | CoreBug::ParkedForgotten) => Some(Stress::Churn),
            Bug::Core(CoreBug::ExpireEarly) => Some(Stress::Idle),
            Bug::Core(CoreBug::HotDropsEarly) => Some(Stress::Swell),
            _ => None,
        }
    }
}

/// The names of all bugs, in order.
pub(crate) fn names() -> Vec<String> {
    Bug::all().into_iter().map(Bug::name).collect()
}

/// Makes this the only active bug of the process; `None`: the product is as it should be.
pub(crate) fn plant(bug: Option<Bug>) {
    antiphon_log::planted::plant(None);
    antiphon_core::planted::plant(None);
    antiphon_client::planted::plant(None);
    match bug {
        None => {}
        Some(Bug::Log(bug)) => antiphon_log::planted::plant(Some(bug)),
        Some(Bug::Core(bug)) => antiphon_core::planted::plant(Some(bug)),
        Some(Bug::Sdk(bug)) => antiphon_client::planted::plant(Some(bug)),
    }
}
