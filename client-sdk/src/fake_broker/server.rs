//! The model behind a real socket, so that the driver can be tested whole.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::fake_broker::Broker;

/// A broker on a port of its own; ends with its last handle.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
    is_over: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Inner {
    broker: Broker,
    streams: BTreeMap<u64, TcpStream>,
    /// Publishes are received and not looked at.
    is_holding: bool,
    /// Connections are accepted and closed at once.
    is_refusing: bool,
}

impl Server {
    pub(crate) fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let inner = Inner {
            broker: Broker::new(5),
            streams: BTreeMap::new(),
            is_holding: false,
            is_refusing: false,
        };
        let server = Server {
            address,
            inner: Arc::new(Mutex::new(inner)),
            is_over: Arc::new(AtomicBool::new(false)),
        };
        let (inner, is_over) = (Arc::clone(&server.inner), Arc::clone(&server.is_over));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let inner = Arc::clone(&inner);
                std::thread::spawn(move || serve(&inner, stream));
            }
        });
        server
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Looks at or changes the broker, and sends what follows from it.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut Broker) -> T) -> T {
        let mut inner = self.inner.lock();
        let result = change(&mut inner.broker);
        inner.work();
        result
    }

    /// Publishes wait from now on, or no longer.
    pub(crate) fn hold(&self, is_holding: bool) {
        let mut inner = self.inner.lock();
        inner.is_holding = is_holding;
        inner.work();
    }

    /// Every connection is cut; new ones are, too, until told otherwise.
    pub(crate) fn refuse(&self, is_refusing: bool) {
        self.inner.lock().is_refusing = is_refusing;
        if is_refusing {
            self.cut();
        }
    }

    /// Every connection is cut, without a goodbye.
    pub(crate) fn cut(&self) {
        let mut inner = self.inner.lock();
        for (connection, stream) in std::mem::take(&mut inner.streams) {
            let _ = stream.shutdown(Shutdown::Both);
            inner.broker.disconnect(connection);
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.inner.lock().streams.len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.cut();
        let _ = TcpStream::connect(self.address);
    }
}

impl Inner {
    /// Admits what waits and sends what there is.
    fn work(&mut self) {
        while !self.is_holding && self.broker.step() {}
        let mut ended = Vec::new();
        for (connection, stream) in &mut self.streams {
            match self.broker.send(*connection) {
                Some(bytes) if stream.write_all(&bytes).is_ok() => {}
                _ => ended.push(*connection),
            }
        }
        for connection in ended {
            if let Some(stream) = self.streams.remove(&connection) {
                let _ = stream.shutdown(Shutdown::Both);
            }
            self.broker.disconnect(connection);
        }
    }
}

fn serve(inner: &Mutex<Inner>, mut stream: TcpStream) {
    let connection = {
        let mut inner = inner.lock();
        let Ok(writer) = stream.try_clone() else {
            return;
        };
        if inner.is_refusing {
            return;
        }
        let connection = inner.broker.connect();
        inner.streams.insert(connection, writer);
        connection
    };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = stream.read(&mut buffer).unwrap_or(0);
        let mut inner = inner.lock();
        if count == 0 {
            inner.streams.remove(&connection);
            inner.broker.disconnect(connection);
            return;
        }
        inner.broker.receive(connection, &buffer[..count]);
        inner.work();
        // What was closed (GOAWAY) is closed behind its last bytes.
        inner.work();
    }
}
