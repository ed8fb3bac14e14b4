//! A whole node over real sockets and a real disk: what a client sees, what a hostile one cannot do, and how it ends.

mod admin;
mod beside;
mod child;
mod crowd;
mod damage;
mod ending;
mod fanout;
mod full_disk;
mod hostile;
mod places;
mod quiet;
mod replaced;
mod retention;
mod spine;
mod starting;
mod support;
