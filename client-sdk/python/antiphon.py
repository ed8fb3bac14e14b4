"""A client of the Antiphon broker in plain Python, after docs/protocol.md.

    client = Client(("127.0.0.1", 7411), "ann")
    receipt = client.publish("lobby", b"hello")          # durable when it returns, stored once
    lobby = client.subscribe("lobby", last=10)           # every record checked, resumed over lost connections
    print(lobby.next(timeout=5).body, lobby.position)
    records, gaps = client.history("lobby", LATEST, 0, 100)

It has no thread of its own: a client that is not called for three keepalives is taken for dead by the broker, and
connects again with the next call. Every call has a deadline.
"""

import random
import socket
import struct
import time
from collections import deque, namedtuple

from sums import crc32c, xxh3_64

HELLO, WELCOME, PING, PONG, GOAWAY, OK, ERROR = 1, 2, 3, 4, 5, 7, 8
PUBLISH, PUBACK, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, RECORD, GAP, FETCH, PAGE = 10, 11, 12, 13, 14, 15, 16, 18, 23
LATEST, BEFORE, AFTER = 0, 1, 2
RETRY, MOVED, LIMIT, INTERNAL = 0, 1, 3, 7
OUT_OF_ORDER, PRODUCER_CONFLICT, PRODUCER_EXPIRED = 9, 10, 11
USUAL_CLASS = {1: 5, 2: 5, 3: 5, 4: 3, 5: 6, 6: 2, 7: 2, 8: 4, 9: 0, 10: 4, 11: 6, 12: 4, 13: 0, 14: 0, 15: 0, 16: 1,
               17: 5, 18: 5, 19: 5, 20: 0, 21: 0, 22: 6, 23: 6, 24: 7}
PRODUCER_AGE_MS = 6 * 24 * 3600 * 1000
QUEUE_MAX = 10_000  # records held for a subscription that is not read; beyond it is unsubscribed, and resumed when read

Receipt = namedtuple("Receipt", "seq link time duplicate")
Record = namedtuple("Record", "room_id seq count time producer producer_seq device kind codec sender headers body link erased")
Gap = namedtuple("Gap", "room_id first last link reason")


class Lost(Exception):
    """The connection is gone; the client makes another one."""


class Violation(Lost):
    """The broker sent what cannot be: the connection is of no use any more."""


class Refused(Exception):
    """The broker refused, for good."""

    def __init__(self, code, class_, hint=0, text="", retry_after=0.0):
        super().__init__(f"code {code}, class {class_}, hint {hint}: {text}")
        self.code, self.class_, self.hint, self.retry_after = code, class_, hint, retry_after


class Unknown(Exception):
    """The message was stored once or not at all, and nobody can say which."""


def frame(kind, id_, payload):
    return struct.pack("<IBBHQ", len(payload), kind, 0, 0, id_) + payload


def hello(id_, user, producer=0, device=0):
    fixed = struct.pack("<IBBBBQQIIII", 0x50544E41, 1, 1, 0, len(user), 0, producer, 0, device, 0, 0)
    return frame(HELLO, id_, fixed + user)


def publish(id_, room, producer, producer_seq, body, headers=b"", kind=0, codec=0):
    fixed = struct.pack("<QQQIHBBBBBBIQ", 0, producer, producer_seq, len(body), len(headers), len(room), kind, codec,
                        0, 0, 0, 0, 0)
    return frame(PUBLISH, id_, fixed + room + headers + body)


def reference(seq):
    """The header `ref`: the record of the same room that this one is about."""
    return struct.pack("<HHQ", 3, 8, seq)


def subscribe(id_, room, start, position=0, link=0):
    return frame(SUBSCRIBE, id_, struct.pack("<QQQIBBBB", 0, position, link, 0, start, 0, len(room), 0) + room)


def fetch(id_, room, range_, position, limit):
    return frame(FETCH, id_, struct.pack("<QQIBBBBQ", 0, position, limit, range_, 0, len(room), 0, 0) + room)


def record(whole, link_before):
    """Reads and checks the RECORD frame `whole`; `link_before` of None is not known, and then the link is taken as it is."""
    length, kind, flags, reserved, id_ = struct.unpack_from("<IBBHQ", whole)
    if len(whole) < 100 or len(whole) != length + 16 or (kind, flags, reserved, id_) != (RECORD, 0, 0, 0):
        raise Violation("not a record")
    crc, state = struct.unpack_from("<IB", whole, 16)
    link, room_id, seq, count, time_, producer, producer_seq = struct.unpack_from("<7Q", whole, 24)
    _, device, body_len, headers_len, sender_len, record_kind, codec = struct.unpack_from("<IIIHBBB", whole, 80)
    headers_at = 100 + sender_len
    end = headers_at + headers_len + body_len
    if not 1 <= sender_len <= 64 or (end + 7) // 8 * 8 != len(whole) or any(whole[end:]):
        raise Violation("a record whose parts are not its whole")
    if crc32c(whole[20:end]) != crc:
        raise Violation(f"record {seq} does not match its crc")
    erased = bool(state & 1)
    if link_before is not None and not erased and xxh3_64(link_before.to_bytes(8, "little") + whole[32:end]) != link:
        raise Violation(f"record {seq} does not follow from the one before it")
    sender, headers = whole[100:headers_at], whole[headers_at:headers_at + headers_len]
    return Record(room_id, seq, count, time_, producer, producer_seq, device, record_kind, codec, sender, headers,
                  whole[headers_at + headers_len:end], link, erased)


def gap(payload):
    return Gap(*struct.unpack_from("<QQQQB", payload))


class Chain:
    """Where a reader of one room is: the next thing must begin at `seq + 1` and follow from `link`."""

    def __init__(self, room_id, seq, link):
        self.room_id, self.seq, self.link = room_id, seq, link

    def take(self, kind, whole):
        item = record(whole, self.link) if kind == RECORD else gap(whole[16:])
        first, last = (item.seq, item.seq) if kind == RECORD else (item.first, item.last)
        if (item.room_id, first) != (self.room_id, self.seq + 1) or last < first:
            raise Violation(f"{first} of room {item.room_id} came when {self.seq + 1} of {self.room_id} was next")
        self.seq, self.link = last, item.link or None
        return item


class Subscription:
    """A room, followed. `position` is (seq, link) behind what `next` returned: give it to `subscribe(after=...)`."""

    def __init__(self, client, room, start):
        self.client, self.room, self.start = client, room, start
        self.position = start[1:] if start[0] == 1 else None
        self.chain = self.error = None
        self.asked, self.is_waiting = 0, True
        self.queue, self.strikes, self.not_before = deque(), 0, 0.0

    def next(self, timeout):
        """The next Record or Gap; None: none came in time. Raises Refused when the subscription is over."""
        until = time.monotonic() + timeout
        while not self.queue:
            if self.error:
                raise self.error
            if not self.client._turn(until):
                return None
        item = self.queue.popleft()
        self.position = (item.seq if isinstance(item, Record) else item.last, item.link)
        return item

    def close(self):
        self.client.subscriptions.pop(self.room, None)
        self.client._try_send(frame(UNSUBSCRIBE, self.client._next_id(), struct.pack("<QHB5x", 0, 0, len(self.room)) + self.room))

    def _ask(self, id_):
        """The SUBSCRIBE with which it goes on: behind what it has queued, else behind what was read, else as at first."""
        self.asked, self.is_waiting = id_, True
        if self.chain:
            return subscribe(id_, self.room, 1, self.chain.seq, self.chain.link or 0)
        return subscribe(id_, self.room, *self.start)

    def _on_subscribed(self, payload):
        room_id, head, _, _, _, _, next_seq, link = struct.unpack_from("<8Q", payload)
        self.not_before, self.is_waiting = 0.0, False
        if room_id == 0:
            if self.chain:
                self.error = Refused(12, 4, head, "the room that was read is no more")
            return
        if self.chain and (next_seq != self.chain.seq + 1 or link not in (0, self.chain.link or link)):
            raise Violation("a subscription goes on elsewhere than asked")
        self.chain = Chain(room_id, next_seq - 1, link or None)
        if self.position is None:
            self.position = (next_seq - 1, link)


class Client:
    """A session with a broker, over as many connections as it takes. `deadline` bounds every call, in seconds."""

    def __init__(self, address, user, deadline=30.0):
        self.address, self.user, self.deadline = address, user.encode(), deadline
        self.producer = self.device = self.last_id = self.failures = self.connections = 0
        self.numbers, self.subscriptions, self.answers, self.socket = {}, {}, {}, None
        self.not_before, self.terminal = 0.0, None
        self._open(self._until())

    def publish(self, room, body, headers=b"", kind=0, codec=0):
        """Publishes once, whatever happens to connections; returns when the record is durable."""
        until, name, sent_on = self._until(), room.encode(), set()
        if time.time() * 1000 - (self.producer >> 22) > PRODUCER_AGE_MS:
            self._new_producer()
        number = producer = None
        while True:
            try:
                self._open(until)
                if producer != self.producer:
                    if sent_on:
                        raise Unknown("its producer was no longer accepted")
                    number, producer = self.numbers.get(name, 0) + 1, self.producer
                id_ = self._next_id()
                self._send(publish(id_, name, self.producer, number, body, headers, kind, codec))
                sent_on.add(self.connections)
                answer = self._answer(id_, until)
            except Lost:
                continue
            except (TimeoutError, Refused) as error:
                if not sent_on:
                    raise
                self._new_producer()  # the number is bound to this message, whose fate is not known
                raise Unknown(str(error)) from error
            if isinstance(answer, Receipt):
                self.numbers[name] = number
                return answer
            forgotten = answer.code == PRODUCER_EXPIRED or (answer.code == OUT_OF_ORDER and answer.hint < number - 1)
            if forgotten and len(sent_on) == 1:
                self._new_producer()
                sent_on = set()
            elif not forgotten and answer.class_ in (RETRY, MOVED, LIMIT, INTERNAL):
                self._wait(answer.retry_after, until)
                if answer.class_ == MOVED:
                    self._drop()
            else:
                if forgotten or len(sent_on) > 1 or answer.code == PRODUCER_CONFLICT:
                    self._new_producer()
                if len(sent_on) > 1 and answer.code != PRODUCER_CONFLICT:
                    raise Unknown(str(answer))
                raise answer

    def edit(self, room, seq, body):
        """Says anew what this user said as record `seq`."""
        return self.publish(room, body, reference(seq), kind=1)

    def redact(self, room, seq, reason=b""):
        """Takes record `seq` of this user back: from then on it is read with `erased` set and no body."""
        return self.publish(room, reason, reference(seq), kind=2)

    def subscribe(self, room, after=None, last=None):
        """Follows a room: live, behind a position (seq, link), or with its last records first."""
        name = room.encode()
        if name in self.subscriptions:
            raise ValueError("one subscription per room and client")
        start = (1, *after) if after is not None else (2, last) if last is not None else (0,)
        subscription, until = Subscription(self, name, start), self._until()
        self.subscriptions[name] = subscription
        self._try_send(subscription._ask(self._next_id()))
        while subscription.is_waiting and not subscription.error:
            if not self._turn(until):
                self.subscriptions.pop(name)
                raise TimeoutError("no answer to SUBSCRIBE")
        if subscription.error:
            raise self.subscriptions.pop(name).error
        return subscription

    def history(self, room, range_, position, limit):
        """Records and gaps of a room's past: the `limit` LATEST ones, or those right BEFORE or AFTER a seq."""
        until = self._until()
        while True:
            try:
                self._open(until)
                id_ = self._next_id()
                self._send(fetch(id_, room.encode(), range_, position, limit))
                answer = self._answer(id_, until)
            except Lost:
                continue
            if not isinstance(answer, Refused):
                return answer
            if answer.class_ not in (RETRY, MOVED, LIMIT, INTERNAL):
                raise answer
            self._wait(answer.retry_after, until)

    def close(self):
        self._drop()
        self.terminal = Refused(21, 0, text="closed by its owner")

    # -- connections --------------------------------------------------------------------------------------------------

    def _until(self):
        return time.monotonic() + self.deadline

    def _next_id(self):
        self.last_id += 1
        return self.last_id

    def _new_producer(self):
        self._drop()
        self.producer, self.numbers = 0, {}

    def _drop(self):
        if self.socket:
            self.socket.close()
        self.socket = None
        self.answers.clear()

    def _wait(self, at_least, until):
        """Pauses at random below a bound that doubles from 100 ms to 10 s, and no shorter than asked."""
        pause = max(at_least, random.uniform(0, min(0.1 * 2 ** self.failures, 10.0)))
        self.failures = min(self.failures + 1, 10)
        if time.monotonic() + pause > until:
            raise TimeoutError("the deadline comes before the next attempt")
        time.sleep(pause)

    def _open(self, until):
        """Makes sure that there is a connection: HELLO and the subscriptions, each behind its position."""
        while not self.socket:
            if self.terminal:
                raise self.terminal
            if self.failures or time.monotonic() < self.not_before:
                self._wait(self.not_before - time.monotonic(), until)
            if time.monotonic() > until:
                raise TimeoutError("no connection in time")
            self.failures += 1
            try:
                self.socket = socket.create_connection(self.address, timeout=5)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.input, self.silence, self.keepalive, self.limit = bytearray(), time.monotonic(), 5.0, 8192
                self.connections += 1
                id_ = self._next_id()
                self._send(hello(id_, self.user, self.producer, self.device))
                kind, got, whole = self._frame(time.monotonic() + 5)
                if kind == GOAWAY:
                    self._on_goaway(whole[16:])
                if (kind, got) != (WELCOME, id_):
                    raise Violation("no WELCOME")
                _, self.producer, _, _, self.device, keepalive, self.limit = struct.unpack_from("<QQQIIII", whole, 16)
                self.keepalive, self.failures = keepalive / 1000, 0
                for subscription in self.subscriptions.values():
                    if not subscription.error and not subscription.not_before:
                        self._send(subscription._ask(self._next_id()))
            except Refused as refused:
                if refused.code != PRODUCER_EXPIRED:
                    raise
                self._new_producer()
            except (Lost, OSError):
                self._drop()

    def _send(self, bytes_):
        try:
            self.socket.settimeout(max(3 * self.keepalive, 5))
            self.socket.sendall(bytes_)
        except OSError as error:
            self._drop()
            raise Lost(str(error)) from error

    def _try_send(self, bytes_):
        """Sends what a new connection would repeat by itself."""
        try:
            if self.socket:
                self._send(bytes_)
        except Lost:
            pass

    def _frame(self, until):
        """The next frame as (kind, id, all its bytes); None: none came in time."""
        while True:
            if len(self.input) >= 16:
                length, kind, _, reserved, id_ = struct.unpack_from("<IBBHQ", self.input)
                if length > self.limit or reserved:
                    raise Violation("the stream is broken")
                if len(self.input) >= 16 + length:
                    whole = bytes(self.input[:16 + length])
                    del self.input[:16 + length]
                    return kind, id_, whole
            now = time.monotonic()
            if now - self.silence > 3 * self.keepalive:
                raise Lost("silent for three keepalives")
            if now >= until:
                return None
            self.socket.settimeout(min(until - now, self.keepalive))
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                if time.monotonic() < until:
                    self._send(frame(PING, 0, bytes(8)))
                continue
            except OSError as error:
                raise Lost(str(error)) from error
            if not data:
                raise Lost("closed by the broker")
            self.input += data
            self.silence = time.monotonic()

    # -- frames -------------------------------------------------------------------------------------------------------

    def _answer(self, id_, until):
        """Waits for the answer to a request on this connection."""
        self.answers[id_] = None
        connection = self.connections
        while self.answers.get(id_) is None or isinstance(self.answers[id_], list):
            if not self._turn(until):
                self.answers.pop(id_, None)
                raise TimeoutError("no answer in time")
            if connection != self.connections or not self.socket:
                raise Lost("lost with its connection")
        return self.answers.pop(id_)

    def _turn(self, until):
        """Takes one frame, connecting first if need be; False: none came in time."""
        try:
            self._open(until)
        except TimeoutError:
            return False
        try:
            for subscription in self.subscriptions.values():
                self._resume(subscription)
            got = self._frame(until)
            if got:
                self._on_frame(*got)
            return bool(got)
        except (Lost, struct.error):
            self._drop()
            return True

    def _resume(self, subscription):
        """A subscription that was paused, or ended for now, asks again when it is its turn."""
        if subscription.not_before and not subscription.queue and time.monotonic() >= subscription.not_before:
            subscription.not_before = 0.0
            self._send(subscription._ask(self._next_id()))

    def _on_frame(self, kind, id_, whole):
        payload = whole[16:]
        if kind in (RECORD, GAP):
            self._on_delivery(kind, whole)
        elif kind == PUBACK:
            for n in range(struct.unpack_from("<I", payload)[0]):
                request, _, _, seq, link, time_, flags = struct.unpack_from("<6QB", payload, 8 + 56 * n)
                if request in self.answers:
                    self.answers[request] = Receipt(seq, link, time_, bool(flags & 1))
        elif kind == PAGE:
            self._on_page(id_, whole)
        elif kind == SUBSCRIBED:
            for subscription in [s for s in self.subscriptions.values() if s.asked == id_]:
                subscription._on_subscribed(payload)
        elif kind == ERROR:
            self._on_error(id_, payload)
        elif kind == PING:
            self._send(frame(PONG, id_, payload[:8] + bytes(32)))
        elif kind == UNSUBSCRIBE:
            room_id, code, room_len = struct.unpack_from("<QHB", payload)
            self._on_ended(room_id, payload[16:16 + room_len], Refused(code, USUAL_CLASS.get(code, INTERNAL)))
        elif kind == GOAWAY:
            self._on_goaway(payload)

    def _on_delivery(self, kind, whole):
        room_id = struct.unpack_from("<Q", whole, 32 if kind == RECORD else 16)[0]
        for subscription in self.subscriptions.values():
            if not subscription.chain or subscription.chain.room_id != room_id:
                continue
            if subscription.not_before or subscription.is_waiting:  # the end of what it asked for before
                continue
            try:
                subscription.queue.append(subscription.chain.take(kind, whole))
                subscription.strikes = 0
            except Violation as violation:
                subscription.strikes += 1
                if subscription.strikes > 1:
                    subscription.error = Refused(23, 6, text=str(violation))
                raise
            if len(subscription.queue) >= QUEUE_MAX:
                subscription.not_before = time.monotonic()
                self._send(frame(UNSUBSCRIBE, self._next_id(), struct.pack("<QH6x", room_id, 0)))

    def _on_page(self, id_, whole):
        if id_ not in self.answers:
            return
        room_id, link, _, _, count, length, _ = struct.unpack_from("<QQQQIIQ", whole, 16)
        if self.answers[id_] is None:
            self.answers[id_] = [[], [], None]
        records, gaps, chain = self.answers[id_]
        at = 64
        for _ in range(count):
            size, kind = struct.unpack_from("<IB", whole, at)
            one = whole[at:at + 16 + size]
            if chain is None:
                seq = struct.unpack_from("<Q", one, 40 if kind == RECORD else 24)[0]
                chain = Chain(room_id, seq - 1, link or None)
            item = chain.take(kind, one)
            (records if kind == RECORD else gaps).append(item)
            at += 16 + size
        if at != 64 + length:
            raise Violation("a page whose records are not its length")
        self.answers[id_][2] = chain
        if whole[5] & 1:
            self.answers[id_] = (records, gaps)

    def _on_error(self, id_, payload):
        code, class_, retry_after, hint, size = struct.unpack_from("<HBxIQH", payload)
        refused = Refused(code, class_, hint, payload[20:20 + size].decode(errors="replace"), retry_after / 1000)
        if id_ in self.answers:
            self.answers[id_] = refused
        for subscription in [s for s in self.subscriptions.values() if s.asked == id_]:
            self._on_ended(None, subscription.room, refused)

    def _on_ended(self, room_id, name, refused):
        for subscription in self.subscriptions.values():
            if subscription.room == name or (room_id and subscription.chain and subscription.chain.room_id == room_id):
                if refused.class_ in (RETRY, MOVED, LIMIT, INTERNAL):
                    subscription.not_before = time.monotonic() + max(refused.retry_after, random.uniform(0.05, 0.2))
                else:
                    subscription.error = refused

    def _on_goaway(self, payload):
        code, class_, retry_after, size = struct.unpack_from("<HBxIH", payload)
        refused = Refused(code, class_, text=payload[12:12 + size].decode(errors="replace"))
        self.not_before = time.monotonic() + retry_after / 1000
        if class_ == 2 and code != PRODUCER_EXPIRED:
            self.terminal = refused
        if class_ == 2:
            raise refused
        raise Lost(str(refused))
