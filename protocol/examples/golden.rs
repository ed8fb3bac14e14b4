//! Writes the files of protocol/vectors. Needed only when a vector is added: bytes of those that are there never change.

#[path = "../tests/golden/mod.rs"]
mod golden;

use antiphon_protocol::{ClientFrame, Link, Record, ServerFrame, next_frame};
use golden::cases::{self, Case};
use golden::{describe, peer, refused, sums, to_hex, word};
use serde_json::{Value, json};

fn main() -> std::io::Result<()> {
    write(
        "client.json",
        "frames from a client",
        cases::client().iter().map(client).collect(),
    )?;
    write(
        "server.json",
        "frames from a server",
        cases::server().iter().map(server).collect(),
    )?;
    write(
        "records.json",
        "the records of one room, in order",
        records(),
    )?;
    let refusals = refused::client().iter().map(refusal).collect();
    write(
        "refused-client.json",
        "frames that a server refuses",
        refusals,
    )?;
    let refusals = refused::server().iter().map(refusal).collect();
    write(
        "refused-server.json",
        "frames that a client cannot understand",
        refusals,
    )?;
    write(
        "accepted.json",
        "frames that mean what others mean",
        accepted(),
    )?;
    write(
        "streams.json",
        "bytes of a stream, cut into frames",
        streams(),
    )?;
    write("sums.json", "hashes and packed numbers", sums::all())?;
    let session = word(peer::SESSION.0);
    let accepted = peer::accepted()
        .iter()
        .map(|(name, bytes)| json!({"name": name, "session": session, "hex": to_hex(bytes)}))
        .collect();
    write("peer.json", "frames between nodes", accepted)?;
    let refused = peer::refusals()
        .iter()
        .map(|(name, why, bytes)| {
            json!({"name": name, "session": session, "why": why, "hex": to_hex(bytes)})
        })
        .collect();
    write(
        "refused-peer.json",
        "frames between nodes that are refused",
        refused,
    )
}

/// One vector a line, so that a change shows as what it is.
fn write(name: &str, about: &str, vectors: Vec<Value>) -> std::io::Result<()> {
    let lines: Vec<String> = vectors.iter().map(|vector| format!("  {vector}")).collect();
    let about = json!(about);
    let text = format!(
        "{{\"about\": {about}, \"vectors\": [\n{}\n]}}\n",
        lines.join(",\n")
    );
    std::fs::write(golden::path(name), text)
}

fn client(case: &Case) -> Value {
    let raw = next_frame(&case.frame, u32::MAX).unwrap().unwrap();
    let fields = describe::client(&ClientFrame::decode(raw).unwrap());
    frame(case, fields)
}

fn server(case: &Case) -> Value {
    let raw = next_frame(&case.frame, u32::MAX).unwrap().unwrap();
    let fields = describe::server(&ServerFrame::decode(raw).unwrap());
    frame(case, fields)
}

fn frame(case: &Case, fields: Value) -> Value {
    let header = next_frame(&case.frame, u32::MAX).unwrap().unwrap().header;
    json!({
        "name": case.name,
        "kind": header.kind,
        "id": word(header.id.0),
        "fields": fields,
        "hex": to_hex(&case.frame),
    })
}

fn records() -> Vec<Value> {
    let mut before = Link::start(cases::room());
    let mut vectors = Vec::new();
    for case in cases::lobby() {
        let record = Record::parse(&case.frame).unwrap();
        if record.is_erased() {
            before = Link::start(cases::room());
        }
        vectors.push(json!({
            "name": case.name,
            "link_before": word(before.0),
            "fields": describe::record(&record),
            "hex": to_hex(&case.frame),
        }));
        before = record.link();
    }
    vectors
}

fn refusal(refused: &refused::Refused) -> Value {
    json!({
        "name": refused.name,
        "code": refused.code.name(),
        "hint": refused.hint,
        "hex": to_hex(&refused.frame),
    })
}

fn accepted() -> Vec<Value> {
    let one = |from: &'static str| {
        move |accepted: refused::Accepted| {
            json!({
                "name": accepted.name,
                "from": from,
                "same_as": accepted.same_as,
                "hex": to_hex(&accepted.frame),
            })
        }
    };
    let client = refused::accepted(true).into_iter().map(one("client"));
    client
        .chain(refused::accepted(false).into_iter().map(one("server")))
        .collect()
}

fn streams() -> Vec<Value> {
    let frames = cases::client();
    let ping = &frames
        .iter()
        .find(|case| case.name == "ping")
        .unwrap()
        .frame;
    let hello = &frames
        .iter()
        .find(|case| case.name == "hello")
        .unwrap()
        .frame;
    let both = [hello.as_slice(), ping].concat();
    let header = |len: u32, reserved: u16| {
        let mut header = [0; 16];
        header[..4].copy_from_slice(&len.to_le_bytes());
        header[4] = 3;
        header[6..8].copy_from_slice(&reserved.to_le_bytes());
        header.to_vec()
    };
    let stream = |name: &str, len_max: u32, bytes: &[u8], frames: &[usize], then: &str| {
        json!({
            "name": name,
            "len_max": len_max,
            "frames": frames,
            "then": then,
            "hex": to_hex(bytes),
        })
    };
    let (first, all) = (hello.len(), [hello.len(), ping.len()]);
    vec![
        stream("nothing", 8_192, b"", &[], "end"),
        stream("half a header", 8_192, &hello[..15], &[], "more"),
        stream("a header", 8_192, &hello[..16], &[], "more"),
        stream(
            "a frame and one byte",
            8_192,
            &both[..=first],
            &[first],
            "more",
        ),
        stream("two frames", 8_192, &both, &all, "end"),
        stream("the length just fits", 43, &both, &all, "end"),
        stream("the length is one too large", 42, &both, &[], "TOO_LARGE"),
        stream(
            "a header alone is refused",
            8_192,
            &header(8_193, 0),
            &[],
            "TOO_LARGE",
        ),
        stream(
            "the largest length",
            1_048_576,
            &header(u32::MAX, 0),
            &[],
            "TOO_LARGE",
        ),
        stream("an empty frame", 8_192, &header(0, 0), &[16], "end"),
        stream("reserved low", 8_192, &header(0, 1), &[], "BAD_FRAME"),
        stream("reserved high", 8_192, &header(0, 0x8000), &[], "BAD_FRAME"),
        stream("both wrong", 8_192, &header(u32::MAX, 1), &[], "BAD_FRAME"),
        stream(
            "another protocol",
            8_192,
            b"GET / HTTP/1.1\r\n",
            &[],
            "BAD_FRAME",
        ),
        stream(
            "a frame, then noise",
            8_192,
            &[&ping[..], &[0xFF; 16]].concat(),
            &[24],
            "BAD_FRAME",
        ),
    ]
}
