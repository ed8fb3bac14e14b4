//! What a session tells its application.

use antiphon_client::testing::Told;
use antiphon_client::{ClientError, Delivery, PublishError, Receipt, Start, SubscribeError};

use super::queue::SECOND;
use super::world::World;

impl World {
    pub(crate) fn client_told(&mut self, number: usize, told: Told) {
        let now = self.queue.now();
        match told {
            Told::Connect(_) | Told::Disconnect => {}
            Told::Welcomed(producer) => {
                self.trace
                    .line(now, || format!("client {number}: welcomed as {producer:?}"));
                let app = &mut self.clients[number].app;
                if app.producer.is_some_and(|before| before != producer) {
                    app.acked.clear();
                }
                app.producer = Some(producer);
            }
            Told::ConnectionFailed(error) => {
                self.tally.connection_failed(&error);
                self.trace.line(now, || {
                    format!("client {number}: connection failed: {error}")
                });
                if let ClientError::Protocol(violation) = &error {
                    use antiphon_client::Violation;
                    let is_silence = matches!(violation, Violation::Silent | Violation::NoWelcome);
                    if !is_silence && !self.trouble.has_destroyed() {
                        self.fail(format!(
                            "client {number}: the broker broke the protocol: {violation}"
                        ));
                    }
                }
            }
            Told::Published(ticket, result) => self.app_published(number, ticket, result),
            Told::Released { messages, .. } => {
                let app = &mut self.clients[number].app;
                match app.held.checked_sub(messages) {
                    Some(held) => app.held = held,
                    None => self.fail(format!(
                        "client {number}: more places given back than taken"
                    )),
                }
            }
            Told::Done(..)
            | Told::ProducerSeq(..)
            | Told::Checked(..)
            | Told::CursorAnswered(..)
            | Told::ClusterTold(..)
            | Told::SignalRefused(_) => {}
            Told::Subscribed(ticket, _, position) => {
                if let Some(sub) = self.clients[number].app.subs.get_mut(&ticket) {
                    sub.at = Some(position.seq);
                    sub.position = Some(position);
                    sub.is_announced = true;
                }
            }
            Told::SubscriptionOver(ticket, error) => {
                self.app_subscription_over(number, ticket, &error);
            }
            Told::Delivered(ticket, delivery, bytes) => {
                self.app_delivered(number, ticket, &delivery, bytes);
            }
            Told::Fetched(ticket, result) => {
                self.clients[number].app.fetches.remove(&ticket);
                self.tally.fetched(&result);
                if let Err(error) = result {
                    self.app_fetch_failed(number, &error);
                }
            }
            Told::Closed { reason, .. } => {
                self.trace
                    .line(now, || format!("client {number}: closed: {reason}"));
                self.tally.closed(&reason);
                self.end_session(number);
            }
        }
    }

    pub(crate) fn app_fetch_failed(&mut self, number: usize, error: &ClientError) {
        if let ClientError::Protocol(violation) = error
            && !self.trouble.has_destroyed()
        {
            self.fail(format!(
                "client {number}: a fetch broke the protocol: {violation}"
            ));
        }
    }

    pub(crate) fn app_published(
        &mut self,
        number: usize,
        ticket: u64,
        result: Result<Receipt, PublishError>,
    ) {
        let now = self.queue.now();
        let app = &mut self.clients[number].app;
        self.trace.mix(ticket);
        let Some((room, since)) = app.open.remove(&ticket) else {
            self.fail(format!("client {number}: publish {ticket} ended twice"));
            return;
        };
        match result {
            Ok(receipt) => {
                self.trace.mix(receipt.seq.0 ^ receipt.link.0);
                let acked = app.acked.entry(room).or_default();
                *acked = (*acked).max(receipt.producer_seq.0);
                self.tally.acked += 1;
                self.tally.ack_us += now - since;
            }
            Err(error) => {
                self.trace.line(now, || {
                    format!("client {number}: publish {ticket}: {error}")
                });
                self.clients[number].app.has_doubt = true;
                self.tally.publish_error(&error);
                if let PublishError::ProducerConflict(_) = error {
                    self.fail(format!("client {number}: publish {ticket}: {error}"));
                }
            }
        }
    }

    pub(crate) fn app_subscription_over(
        &mut self,
        number: usize,
        ticket: u64,
        error: &SubscribeError,
    ) {
        let now = self.queue.now();
        self.trace.line(now, || {
            format!("client {number}: subscription {ticket}: {error}")
        });
        self.tally.subscribe_error(error);
        let may_lose = self.trouble.has_destroyed();
        let client = &mut self.clients[number];
        let Some(sub) = client.app.subs.remove(&ticket) else {
            return;
        };
        client
            .app
            .again
            .push_back((now + SECOND, sub.room, Start::Beginning));
        let is_wrong = matches!(
            error,
            SubscribeError::Protocol(_)
                | SubscribeError::Diverged { .. }
                | SubscribeError::Misuse(_)
        );
        if is_wrong && !may_lose {
            self.fail(format!(
                "client {number}: subscription {ticket} of room {}: {error}",
                sub.room
            ));
        }
    }

    pub(crate) fn app_delivered(
        &mut self,
        number: usize,
        ticket: u64,
        delivery: &Delivery,
        bytes: u64,
    ) {
        self.tally.deliveries += 1;
        let Some(position) = delivery.position() else {
            self.fail(format!("client {number}: nobody asked for {delivery:?}"));
            return;
        };
        self.trace.mix(position.link.0);
        let role = &self.clients[number].role;
        let hurries = self.is_calm && !role.stays_slow;
        let takes_all = role.takes == 0 || hurries;
        let may_gap = self.trouble.has_destroyed();
        let Some(sub) = self.clients[number].app.subs.get_mut(&ticket) else {
            return;
        };
        sub.waiting.push_back(bytes);
        sub.at = Some(position.seq);
        sub.position = Some(position);
        if let Delivery::Gap(gap) = delivery {
            self.tally.gaps += 1;
            if !may_gap {
                self.fail(format!("client {number}: a gap out of nothing: {gap:?}"));
                return;
            }
        }
        if takes_all && (hurries || self.dice.apps.one_in(4)) {
            self.app_takes(number);
        }
    }
}
