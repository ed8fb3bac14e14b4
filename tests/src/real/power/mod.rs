//! `cargo real power-loss`: the broker on a real kernel whose power is cut.
//!
//! SIGKILL of a process leaves the kernel's page cache, and with it everything that was written and never synced. So here broker, clients and
//! *their own kernel* run as processes of ours: User-Mode Linux, with an ext4 file system in a file as its disk. Killing them takes the page cache
//! with them; what the kernel had not yet handed to the disk is gone.
//!
//! ```text
//!   cargo real power-loss                        linux.uml (a process group)
//!   ┌──────────────────────┐   console (a pipe)   ┌──────────────────────────────────┐
//!   │ reads acks, cuts     │ ◀─────────────────── │ init: serve, pub | console       │
//!   │ boots again, judges  │                      │ page cache ──sync──▶ /dev/ubda ──┼──▶ disk.img
//!   └──────────────────────┘                      └──────────────────────────────────┘
//! ```
//! A *disk* lives through several boots. Each boot recovers, reads every room, tells it over the console, then publishes until its power is cut, at a
//! moment from the seed; the last boot of a disk ends in order. All that was told makes one history per disk, for the checkers of docs/history.md.
//!
//! | file | what it has |
//! |---|---|
//! | `command` | the command line, the figure |
//! | `needs` | programs that must be there |
//! | `initrd` | the archive that is the guest's root |
//! | `guest` | its `init`, and the lines that it tells |
//! | `machine` | one boot |
//! | `disk` | a disk's life over its boots |
//! | `account` | the history of a disk |

mod account;
mod command;
mod disk;
mod guest;
mod initrd;
mod machine;
mod needs;

pub(crate) use command::{USAGE, main};
