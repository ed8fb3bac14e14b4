"""Checks the client against the golden vectors and a live broker: check.py VECTORS HOST PORT.

Whoever starts it may kill and cut the broker: it writes what it wants done as a line (restart, cut), and reads a line when it is.
"""

import json
import struct
import sys
from pathlib import Path

import antiphon
from antiphon import AFTER, BEFORE, LATEST, Client, Record, Refused
from sums import crc32c, xxh3_64


def vectors(folder, name):
    return json.loads((Path(folder) / name).read_text())["vectors"]


def number(value):
    return int(value, 16) if isinstance(value, str) else value


def check_vectors(folder):
    for vector in vectors(folder, "sums.json"):
        if vector["of"] == "slot":
            key = struct.pack("<I", vector["namespace"]) + b"\0" + vector["name"].encode()
            assert xxh3_64(key) >> 52 == vector["slot"], vector
        elif vector["of"] == "room_id":
            assert xxh3_64(struct.pack("<Q", number(vector["room_id"]))) == number(vector["link_0"]), vector
    for vector in vectors(folder, "records.json"):
        record, fields = antiphon.record(bytes.fromhex(vector["hex"]), number(vector["link_before"])), vector["fields"]
        for name in ("room_id", "seq", "count", "time", "producer", "producer_seq", "device", "codec", "link", "erased"):
            assert getattr(record, name) == number(fields[name]), (vector["name"], name)
        assert (record.sender.decode(), record.headers.hex(), record.body.hex()) == (
            fields["sender"], fields["headers"], fields["body"])
        broken = bytearray.fromhex(vector["hex"])
        broken[100] ^= 1
        try:
            antiphon.record(bytes(broken), None)
            raise AssertionError("a broken record was taken")
        except antiphon.Violation:
            pass
    frames = {vector["name"]: vector["hex"] for vector in vectors(folder, "client.json")}
    written = {
        "hello": antiphon.hello(1, b"ann"),
        "publish": antiphon.publish(3, b"lobby", 0x66DF2A63CBAABCDE, 1, b"Hello!"),
        "subscribe-live": antiphon.subscribe(5, b"lobby", 0),
        "fetch-latest": antiphon.fetch(11, b"lobby", LATEST, 0, 50),
    }
    for name, bytes_ in written.items():
        assert bytes_.hex() == frames[name], name


def want(what):
    print(what, flush=True)
    assert sys.stdin.readline().strip() == "done"


def refused(code, call):
    try:
        call()
    except Refused as error:
        assert error.code == code, error
        return
    raise AssertionError(f"not refused with {code}")


def check_live(address):
    ann, bob = Client(address, "ann"), Client(address, "bob")
    refused(5, lambda: ann.history("python", LATEST, 0, 1))
    room = bob.subscribe("python")  # does not exist yet
    # Every branch of the sums: a link covers 76 bytes and what is in the body.
    bodies = [bytes([size % 251]) * size for size in [*range(0, 260), 1000, 2048, 5000, 40_000]]
    for seq, body in enumerate(bodies, 1):
        assert ann.publish("python", body).seq == seq
    for seq, body in enumerate(bodies, 1):
        record = room.next(timeout=30)
        assert (record.seq, record.body, record.sender) == (seq, body, b"ann")

    for n, fault in enumerate(["cut", "restart", "cut", "restart"]):
        before = ann.publish("python", b"before %d" % n)
        want(fault)
        after = ann.publish("python", b"after %d" % n)
        assert after.seq == before.seq + 1
        assert [room.next(timeout=30).body for _ in range(2)] == [b"before %d" % n, b"after %d" % n]
    head = len(bodies) + 8
    assert room.position == (head, after.link)

    # The same number and bytes once more: the first receipt.
    ann.numbers[b"python"] -= 1
    again = ann.publish("python", b"after 3")
    assert (again.seq, again.link, again.duplicate) == (head, after.link, True)

    late = Client(address, "bob")
    records, gaps = late.history("python", LATEST, 0, 10)
    assert ([record.seq for record in records], gaps) == (list(range(head - 9, head + 1)), [])
    assert [record.seq for record in late.history("python", BEFORE, 4, 2)[0]] == [2, 3]
    assert [record.seq for record in late.history("python", AFTER, 0, 3)[0]] == [1, 2, 3]
    resumed = late.subscribe("python", after=(records[4].seq, records[4].link))
    assert resumed.next(timeout=30) == records[5]
    other = Client(address, "bob")
    refused(12, lambda: other.subscribe("python", after=(records[4].seq, records[4].link ^ 1)))
    last = other.subscribe("python", last=1).next(timeout=30)
    assert isinstance(last, Record) and last == records[-1]
    assert room.next(timeout=0.05) is None

    # Records are edited and taken back by who sent them: once that is acked, nobody reads the body, and the links go on.
    assert ann.edit("python", head, b"so it was").seq == head + 1
    refused(6, lambda: late.redact("python", head))
    assert ann.redact("python", head).seq == head + 2
    refused(5, lambda: ann.redact("python", head))
    want("restart")
    erased, edit, redact = late.history("python", LATEST, 0, 3)[0]
    assert (erased.erased, erased.body, erased.link) == (True, b"", after.link)
    assert (edit.kind, edit.body, edit.headers) == (1, b"so it was", antiphon.reference(head))
    assert (redact.kind, redact.erased) == (2, False)
    assert [room.next(timeout=30).kind for _ in range(2)] == [1, 2]
    for client in (ann, bob, late, other):
        client.close()
    print(f"checked {head + 2}", flush=True)


if __name__ == "__main__":
    check_vectors(sys.argv[1])
    check_live((sys.argv[2], int(sys.argv[3])))
