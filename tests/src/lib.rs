//! A small harness for tests of the whole system: real processes, real sockets, a real disk, and `kill -9`.
//!
//! | file | what it gives |
//! |---|---|
//! | `history` | what clients, brokers and the world did, as one list of events |
//! | `checkers` | which promises such a history breaks |
//! | `binary` | the path of the `antiphon` binary, built if need be |
//! | `broker` | a broker in its own process: start, kill, stop |
//! | `port` | a port that nobody takes while its broker is down |
//! | `command` | the `antiphon` command, run to its end |
//! | `proxy` | a TCP proxy that cuts, delays, chokes, dribbles and falls silent, on command |
//! | `real` | the broker's binary and the SDK under faults from a seed, judged by the checkers |
//! | `chat` | a chat file by rooms, and how two of them differ |
//! | `mutants` | are bugs that are planted noticed |
//! | `world` | broker, command and folder, for one test |
//! | `kill_replay` | replay a file while the broker is killed again and again, then compare |

mod audit;
pub mod binary;
pub mod broker;
pub mod chat;
pub mod checkers;
pub mod command;
pub mod history;
pub mod kill_replay;
mod mutants;
pub mod port;
pub mod proxy;
pub mod real;
pub mod sim;
pub mod world;
