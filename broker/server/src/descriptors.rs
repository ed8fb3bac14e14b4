//! How many descriptors there are, and so how many connections.

use rlimit::Resource;

use crate::limits::DESCRIPTORS_RESERVED;

/// Connections the node takes at a time, and why that many.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ConnectionsMax {
    /// At least 1.
    pub(crate) connections: u32,
    /// What the configuration asked for, if the descriptors allow less.
    pub(crate) cut_from: Option<u32>,
}

/// Raises the descriptor limit as far as this user may; returns what it is then.
///
/// A limit that cannot be raised, or be read, is no reason not to start: the acceptor bears running out.
pub(crate) fn raise() -> u64 {
    let raised = rlimit::increase_nofile_limit(u64::MAX).ok();
    let now = || {
        rlimit::getrlimit(Resource::NOFILE)
            .ok()
            .map(|(soft, _)| soft)
    };
    raised.or_else(now).unwrap_or(1_024)
}

/// `configured` (0: as many as possible) fitted into `descriptors`.
pub(crate) fn connections_max(configured: u32, descriptors: u64) -> ConnectionsMax {
    let possible = descriptors.saturating_sub(DESCRIPTORS_RESERVED).max(1);
    let possible = u32::try_from(possible).unwrap_or(u32::MAX);
    match configured {
        0 => ConnectionsMax {
            connections: possible,
            cut_from: None,
        },
        wanted if wanted > possible => ConnectionsMax {
            connections: possible,
            cut_from: Some(wanted),
        },
        wanted => ConnectionsMax {
            connections: wanted,
            cut_from: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_the_reserve_alone() {
        let all = ConnectionsMax {
            connections: 20_000 - 128,
            cut_from: None,
        };
        assert_eq!(connections_max(0, 20_000), all);
        assert_eq!(
            connections_max(500, 20_000),
            ConnectionsMax {
                connections: 500,
                cut_from: None
            }
        );
        let cut = ConnectionsMax {
            connections: 20_000 - 128,
            cut_from: Some(50_000),
        };
        assert_eq!(connections_max(50_000, 20_000), cut);
        assert_eq!(
            connections_max(0, 16),
            ConnectionsMax {
                connections: 1,
                cut_from: None
            }
        );
        assert_eq!(
            connections_max(0, u64::MAX),
            ConnectionsMax {
                connections: u32::MAX,
                cut_from: None
            }
        );
    }

    #[test]
    fn the_limit_is_raised_to_the_hard_one() {
        let raised = raise();
        let (soft, _) = rlimit::getrlimit(Resource::NOFILE).expect("a limit");
        assert_eq!(raised, soft);
        assert!(raised >= 1_024);
    }
}
