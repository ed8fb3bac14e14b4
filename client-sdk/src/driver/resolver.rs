//! From the text of an address to numbers, without a driver that waits for it.
//!
//! A resolver of the system may take many seconds and cannot be interrupted; meanwhile the driver has acks to hand out and
//! deadlines to keep. So a name is looked up elsewhere (a thread, or the runtime's pool for such work), and the driver's bell
//! rings when it is known.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::task::Waker;

use crate::driver::answer::Answer;
use crate::limits::LOOKUPS;

/// What a name stands for.
pub(crate) type Addresses = io::Result<Vec<SocketAddr>>;

/// Work that may block.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Looks names up, each at most once at a time.
#[derive(Debug)]
pub(crate) struct Resolver {
    /// under_way.len() <= LOOKUPS
    under_way: HashMap<String, Arc<Answer<Addresses>>>,
    bell: Waker,
    /// Has a job done somewhere where it may block.
    start: fn(Job) -> io::Result<()>,
    look_up: fn(&str) -> Addresses,
}

/// How far a lookup is.
#[derive(Debug)]
pub(crate) enum Lookup {
    /// Done.
    Known(Addresses),
    /// Under way; ask again when the bell has rung.
    Pending,
}

impl Resolver {
    pub(crate) fn new(bell: Waker, start: fn(Job) -> io::Result<()>) -> Resolver {
        Resolver {
            under_way: HashMap::new(),
            bell,
            start,
            look_up: |address| Ok(address.to_socket_addrs()?.collect()),
        }
    }

    /// What `address` (`host:port`) stands for. Numbers are known at once; a lookup that was given up and is asked for again
    /// goes on where it was, so that a resolver that hangs holds one thread and not one per attempt.
    pub(crate) fn poll(&mut self, address: &str) -> Lookup {
        if let Ok(number) = address.parse() {
            return Lookup::Known(Ok(vec![number]));
        }
        if let Some(lookup) = self.under_way.get(address) {
            return match lookup.try_take() {
                Some(addresses) => {
                    self.under_way.remove(address);
                    Lookup::Known(addresses)
                }
                None => Lookup::Pending,
            };
        }
        if self.under_way.len() >= LOOKUPS {
            return Lookup::Known(Err(io::ErrorKind::ResourceBusy.into()));
        }
        match self.begin(address) {
            Ok(()) => Lookup::Pending,
            Err(error) => Lookup::Known(Err(error)),
        }
    }

    fn begin(&mut self, address: &str) -> io::Result<()> {
        let answer = Arc::new(Answer::new());
        let (told, name, look_up) = (Arc::clone(&answer), address.to_owned(), self.look_up);
        let bell = self.bell.clone();
        (self.start)(Box::new(move || {
            told.complete(look_up(&name));
            bell.wake();
        }))?;
        self.under_way.insert(address.to_owned(), answer);
        Ok(())
    }
}

/// Does a job on a thread of its own.
pub(crate) fn on_a_thread(job: Job) -> io::Result<()> {
    std::thread::Builder::new()
        .name("antiphon-resolve".into())
        .spawn(job)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{self, Sender};
    use std::task::Wake;
    use std::time::Duration;

    use super::*;

    struct Bell(Mutex<Sender<()>>);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            let _ = self.0.lock().unwrap().send(());
        }
    }

    fn resolver() -> (Resolver, mpsc::Receiver<()>) {
        let (ring, rung) = mpsc::channel();
        let bell = Arc::new(Bell(Mutex::new(ring)));
        (Resolver::new(bell.into(), on_a_thread), rung)
    }

    fn known(lookup: Lookup) -> Addresses {
        match lookup {
            Lookup::Known(addresses) => addresses,
            Lookup::Pending => panic!("still under way"),
        }
    }

    #[test]
    fn numbers_are_known_at_once_and_names_when_the_bell_rings() {
        let (mut resolver, rung) = resolver();
        let number: SocketAddr = "127.0.0.1:7411".parse().unwrap();
        assert_eq!(known(resolver.poll("127.0.0.1:7411")).unwrap(), [number]);
        assert!(matches!(resolver.poll("localhost:7411"), Lookup::Pending));
        rung.recv_timeout(Duration::from_secs(20)).expect("rings");
        let addresses = known(resolver.poll("localhost:7411")).unwrap();
        assert!(
            addresses
                .iter()
                .all(|address| address.ip().is_loopback() && address.port() == 7411)
        );
        assert!(resolver.under_way.is_empty());
    }

    #[test]
    fn a_resolver_that_hangs_holds_one_thread_per_name_and_few_names() {
        static GATE: Mutex<()> = Mutex::new(());
        let closed = GATE.lock().unwrap();
        let (mut resolver, rung) = resolver();
        resolver.look_up = |_| {
            drop(GATE.lock());
            Err(io::ErrorKind::NotFound.into())
        };
        for _ in 0..100 {
            assert!(matches!(resolver.poll("a:1"), Lookup::Pending));
        }
        assert_eq!(resolver.under_way.len(), 1);
        for n in 1..LOOKUPS {
            assert!(matches!(resolver.poll(&format!("a:{n}x")), Lookup::Pending));
        }
        let error = known(resolver.poll("b:1")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        drop(closed);
        for _ in 0..LOOKUPS {
            rung.recv_timeout(Duration::from_secs(20)).expect("rings");
        }
        let error = known(resolver.poll("a:1")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
