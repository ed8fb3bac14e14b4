//! What every driver does with its session, whatever it sleeps on: commands in, answers out, and the steps left to take.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_protocol::UserName;

use crate::driver::answer::Answer;
use crate::driver::completion::Completions;
use crate::driver::shared::{Post, Shared};
use crate::error::{ClientError, Misuse};
use crate::losses::Losses;
use crate::options::ClientOptions;
use crate::session::{Command, Event, Input, Mono, Output, Session};

/// Told once: greeted, or why never.
pub(crate) type Opening = Arc<Answer<Result<(), ClientError>>>;

/// What only the owner of the socket can do.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Connect to this address; answer with `Connected` or `ConnectFailed`.
    Connect(String),
    /// Drop the connection at hand, or the attempt.
    Disconnect,
}

/// Owns the session and the clock.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) shared: Arc<Shared>,
    session: Session,
    completions: Completions,
    opening: Opening,
    started: Instant,
    steps: VecDeque<Step>,
    /// As told to the application.
    losses: Losses,
    posts: Vec<Post>,
    is_over: bool,
}

/// A session for these options, and where its greeting will be told.
///
/// # Errors
/// The options hold names that are none, or the system has no randomness.
pub(crate) fn session(options: &ClientOptions) -> Result<(Session, Opening), ClientError> {
    let user = UserName::try_from(options.user.as_str())
        .map_err(|_| Misuse::UserName(options.user.clone()))?;
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|_| ClientError::System(io::ErrorKind::Unsupported))?;
    let session = Session::new(options, user, u64::from_le_bytes(seed))?;
    Ok((session, Arc::new(Answer::new())))
}

impl Engine {
    pub(crate) fn new(shared: Arc<Shared>, session: Session, opening: Opening) -> Engine {
        Engine {
            shared,
            session,
            completions: Completions::default(),
            opening,
            started: Instant::now(),
            steps: VecDeque::new(),
            losses: Losses::default(),
            posts: Vec::new(),
            is_over: false,
        }
    }

    /// The session is over: nothing is left to do.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// How long one attempt to connect may take.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.shared.options.connect_timeout
    }

    /// Gives one input to the session and tells everybody what came of it; what is left are [`Engine::next_step`]s.
    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.session.handle(input, self.now());
        self.drain();
    }

    /// Takes all that was posted; false: nothing was, and the next post rings.
    pub(crate) fn take_posts(&mut self) -> bool {
        let mut posts = std::mem::take(&mut self.posts);
        let is_posted = self.shared.take_posts(&mut posts);
        for post in posts.drain(..) {
            self.on_post(post);
        }
        self.posts = posts;
        is_posted
    }

    /// The next thing to do with the socket.
    pub(crate) fn next_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// Bytes for the socket.
    pub(crate) fn unsent(&self) -> &[u8] {
        self.session.unsent()
    }

    /// The socket took this many of them.
    pub(crate) fn advance(&mut self, count: usize) {
        self.session.advance(count, self.now());
        self.drain();
    }

    /// How long the session can be left alone: a millisecond more than to its deadline, so that this is over when the sleep
    /// is and is not looked at twice. `None`: for ever.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let at = self.session.next_deadline()?;
        Some(Duration::from_millis(at.since(self.now()) + 1))
    }

    /// Ends everything: whoever waits for something is told why.
    pub(crate) fn close(&mut self, reason: &ClientError, unacked: u32) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        self.steps.push_back(Step::Disconnect);
        self.opening.complete(Err(reason.clone()));
        self.completions.close(reason, unacked);
        for post in self.shared.set_closed(reason.clone()) {
            if let Some((_, completion)) = post.completion {
                completion.close(reason, unacked);
            }
        }
    }

    fn now(&self) -> Mono {
        Mono(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn on_post(&mut self, post: Post) {
        if let Command::Cancel { ticket } | Command::Unsubscribe { ticket } = post.command {
            self.completions.forget(ticket);
        }
        if let Some((ticket, completion)) = post.completion {
            self.completions.insert(ticket, completion);
        }
        if !self.is_over {
            self.input(Input::Command(post.command));
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll() {
            match output {
                Output::Connect(address) => self.steps.push_back(Step::Connect(address)),
                Output::Disconnect => self.steps.push_back(Step::Disconnect),
                Output::Event(event) => self.on_event(event),
            }
        }
        let losses = self.session.losses();
        if losses != self.losses {
            self.losses = losses;
            self.shared.set_losses(losses);
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Welcomed(welcomed) => {
                self.shared.set_welcomed(welcomed);
                self.opening.complete(Ok(()));
            }
            Event::SignalRefused(rejection) => self.shared.count_refusal(rejection),
            Event::Released { messages, bytes } => self.shared.release(messages, bytes),
            Event::Closed { reason, unacked } => self.close(&reason, unacked),
            other => self.completions.tell(other),
        }
    }
}

impl Drop for Engine {
    /// Also when the driver panics or its runtime ends: nobody may wait for ever.
    fn drop(&mut self) {
        self.close(&ClientError::Closed, 0);
    }
}
