//! What the negative vectors are of: a lawful frame with one thing wrong, and the code that answers it.

use antiphon_protocol::{Code, FrameHeader, HeadersBuilder, RequestId, Timestamp};

use super::cases::{self, Case};

/// A frame that is refused.
pub(crate) struct Refused {
    pub(crate) name: String,
    pub(crate) frame: Vec<u8>,
    pub(crate) code: Code,
    pub(crate) hint: u64,
}

/// A frame that is not as this crate would write it, and still means what another vector means.
pub(crate) struct Accepted {
    pub(crate) name: String,
    pub(crate) frame: Vec<u8>,
    pub(crate) same_as: &'static str,
}

/// Bytes from the start of a frame that replace those there.
type Change<'a> = (usize, &'a [u8]);

struct Bench {
    good: Vec<Case>,
    refused: Vec<Refused>,
}

impl Bench {
    fn good(&self, name: &str) -> Vec<u8> {
        self.good
            .iter()
            .find(|case| case.name == name)
            .unwrap()
            .frame
            .clone()
    }

    /// `base` with `changes`.
    fn change(&mut self, base: &str, what: &str, code: Code, changes: &[Change<'_>]) {
        let mut frame = self.good(base);
        for (at, bytes) in changes {
            frame[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        self.push(base, what, code, frame);
    }

    /// The first `keep` bytes of `base`, then `more`, with the length put right.
    fn cut(&mut self, base: &str, what: &str, code: Code, keep: usize, more: &[u8]) {
        let mut frame = self.good(base)[..keep].to_vec();
        frame.extend_from_slice(more);
        set_length(&mut frame);
        self.push(base, what, code, frame);
    }

    /// `base` followed by `more`, with the length put right.
    fn extend(&mut self, base: &str, what: &str, code: Code, more: &[u8]) {
        let keep = self.good(base).len();
        self.cut(base, what, code, keep, more);
    }

    fn push(&mut self, base: &str, what: &str, code: Code, frame: Vec<u8>) {
        let hint = match code {
            Code::VERSION => 1,
            Code::TOO_LARGE if base == "signal-empty" => 1_024,
            Code::TOO_LARGE => 4_096,
            Code::UNKNOWN_KIND => u64::from(frame[4]),
            Code::NOT_SUPPORTED if base == "kind" => u64::from(frame[4]),
            _ => 0,
        };
        self.refused.push(Refused {
            name: format!("{base}: {what}"),
            frame,
            code,
            hint,
        });
    }

    /// A frame of a kind that is not to be sent.
    fn kind(&mut self, kind: u8, what: &str, code: Code) {
        let header = FrameHeader {
            len: 0,
            kind,
            flags: 0,
            id: RequestId(1),
        };
        self.push(
            "kind",
            &format!("{kind} {what}"),
            code,
            header.to_bytes().to_vec(),
        );
    }
}

fn set_length(frame: &mut [u8]) {
    let length = u32::try_from(frame.len() - 16).unwrap();
    frame[..4].copy_from_slice(&length.to_le_bytes());
}

/// What a server refuses.
pub(crate) fn client() -> Vec<Refused> {
    let mut bench = Bench {
        good: cases::client(),
        refused: Vec::new(),
    };
    kinds(&mut bench);
    hellos(&mut bench);
    publishes(&mut bench);
    headers(&mut bench);
    requests(&mut bench);
    references(&mut bench);
    cursors(&mut bench);
    signals(&mut bench);
    bench.refused
}

fn kinds(bench: &mut Bench) {
    for kind in [0, 9, 24, 41, 255] {
        bench.kind(kind, "is unknown", Code::UNKNOWN_KIND);
    }
    for kind in [6, 17, 19, 21, 22, 31] {
        bench.kind(kind, "is numbered", Code::NOT_SUPPORTED);
    }
    for kind in [2, 5, 7, 8, 11, 13, 15, 16, 23] {
        bench.kind(kind, "comes from servers", Code::BAD_STATE);
    }
}

fn hellos(bench: &mut Bench) {
    const BAD: Code = Code::BAD_FRAME;
    let base = "hello";
    bench.cut(base, "no body", BAD, 16, b"");
    bench.cut(base, "fixed part cut by one byte", BAD, 55, b"");
    bench.cut(base, "user cut by one byte", BAD, 58, b"");
    bench.change(base, "id 0", BAD, &[(8, &[0; 8])]);
    bench.change(base, "wrong magic", BAD, &[(16, b"HTTP")]);
    bench.change(base, "version_min 0", BAD, &[(20, &[0])]);
    bench.change(base, "version_min above version_max", BAD, &[(20, &[2])]);
    bench.change(base, "only newer versions", Code::VERSION, &[(20, &[2, 3])]);
    bench.change(base, "auth by token", Code::NOT_SUPPORTED, &[(22, &[1])]);
    bench.change(base, "auth without number", BAD, &[(22, &[4])]);
    bench.change(
        base,
        "frame_bytes_max too small",
        BAD,
        &[(52, &8_191_u32.to_le_bytes())],
    );
    bench.change(base, "user not UTF-8", BAD, &[(56, &[0xFF])]);
    bench.change(base, "user with a control character", BAD, &[(57, &[0x1B])]);
    bench.change(base, "user with U+0085", BAD, &[(57, &[0xC2, 0x85])]);
    bench.cut(base, "user empty", BAD, 56, b"");
    let last = bench.refused.last_mut().unwrap();
    last.frame[23] = 0;
    bench.extend(base, "extension cut", BAD, &[2, 0, 5, 0, b'x']);
    bench.extend(base, "extension head cut", BAD, &[2, 0, 5]);
    bench.extend(base, "unknown odd extension", BAD, &[5, 0, 0, 0]);
    bench.extend(base, "extensions repeat", BAD, &[4, 0, 0, 0, 4, 0, 0, 0]);
    bench.extend(base, "extensions fall", BAD, &[4, 0, 0, 0, 2, 0, 0, 0]);
    bench.extend(base, "client not UTF-8", BAD, &[2, 0, 1, 0, 0xFF]);
    bench.extend(base, "auth data", Code::NOT_SUPPORTED, &[3, 0, 0, 0]);
    let long = [&[2, 0, 65, 0][..], &[b'c'; 65]].concat();
    bench.extend(base, "client of 65 bytes", BAD, &long);
    bench.cut("ping", "nonce cut", BAD, 23, b"");
    bench.extend("ping", "unknown odd extension", BAD, &[1, 0, 0, 0]);
}

fn publishes(bench: &mut Bench) {
    const BAD: Code = Code::BAD_FRAME;
    let base = "publish";
    bench.cut(base, "fixed part cut by one byte", BAD, 63, b"");
    bench.cut(base, "body cut by one byte", BAD, 74, b"");
    bench.change(base, "id 0", BAD, &[(8, &[0; 8])]);
    bench.change(base, "room by id and name", BAD, &[(16, &[1])]);
    bench.change("publish-empty", "no room", BAD, &[(16, &[0; 8])]);
    bench.change(base, "room name not UTF-8", BAD, &[(64, &[0xC0])]);
    bench.change(
        base,
        "room name with a control character",
        BAD,
        &[(68, &[0x7F])],
    );
    bench.change(base, "producer 0", BAD, &[(24, &[0; 8])]);
    bench.change(base, "producer_seq 0", BAD, &[(32, &[0; 8])]);
    bench.change(base, "body_len beyond the frame", BAD, &[(40, &[0xFF; 4])]);
    bench.change(
        base,
        "headers_len beyond the frame",
        BAD,
        &[(44, &[0xFF; 2])],
    );
    bench.change(base, "room_len beyond the frame", BAD, &[(46, &[255])]);
    bench.change(base, "ack without number", BAD, &[(49, &[2])]);
    bench.change(base, "reserved u8", BAD, &[(51, &[1])]);
    bench.change(base, "reserved u32", BAD, &[(55, &[1])]);
    for kind in [5, 16, 17, 32, 33, 63] {
        let what = format!("record kind {kind}");
        bench.change(base, &what, Code::NOT_SUPPORTED, &[(47, &[kind])]);
    }
    bench.change(base, "record_flags", Code::NOT_SUPPORTED, &[(50, &[1])]);
    bench.extend(base, "unknown odd extension", BAD, &[1, 0, 0, 0]);
}

/// A header list in place of none.
fn headers(bench: &mut Bench) {
    const BAD: Code = Code::BAD_FRAME;
    let time = HeadersBuilder::new()
        .origin_time(Timestamp(1))
        .unwrap()
        .finish();
    let ttl = Code::NOT_SUPPORTED;
    let key_65 = [&[5, 0, 65, 0][..], &[b'k'; 65]].concat();
    let many = [16, 0, 2, 0, 1, b'p'].repeat(683);
    let lists: [(&str, Code, &[u8]); 14] = [
        ("cut in a head", BAD, &time[..3]),
        ("cut in a value", BAD, &time[..11]),
        ("repeat origin_time", BAD, &time.repeat(2)),
        ("fall", BAD, &[16, 0, 2, 0, 1, b'p', 8, 0, 0, 0]),
        (
            "origin_time of 7 bytes",
            BAD,
            &[2, 0, 7, 0, 1, 2, 3, 4, 5, 6, 7],
        ),
        ("ref of 4 bytes", BAD, &[3, 0, 4, 0, 1, 2, 3, 4]),
        ("key empty", BAD, &[5, 0, 0, 0]),
        ("key of 65 bytes", BAD, &key_65),
        ("ttl_ms", ttl, &[7, 0, 4, 0, 1, 0, 0, 0]),
        ("content_type not UTF-8", BAD, &[8, 0, 1, 0, 0xFF]),
        ("unknown odd tag", BAD, &[9, 0, 0, 0]),
        ("property without name", BAD, &[16, 0, 1, 0, 0]),
        ("property name cut", BAD, &[16, 0, 2, 0, 2, b'p']),
        ("4,098 bytes", Code::TOO_LARGE, &many),
    ];
    for (what, code, list) in lists {
        let mut frame = bench.good("publish-empty");
        let length = u16::try_from(list.len()).unwrap();
        frame[44..46].copy_from_slice(&length.to_le_bytes());
        frame.extend_from_slice(list);
        set_length(&mut frame);
        bench.push("publish", &format!("headers {what}"), code, frame);
    }
}

fn requests(bench: &mut Bench) {
    const BAD: Code = Code::BAD_FRAME;
    const NOT: Code = Code::NOT_SUPPORTED;
    let base = "subscribe-live";
    bench.cut(base, "fixed part cut by one byte", BAD, 47, b"");
    bench.change(base, "id 0", BAD, &[(8, &[0; 8])]);
    bench.change(base, "interest", NOT, &[(40, &[1])]);
    bench.change(base, "coalesce", NOT, &[(45, &[1])]);
    bench.change(base, "mode without number", BAD, &[(45, &[2])]);
    bench.change(base, "start without number", BAD, &[(44, &[5])]);
    bench.change(base, "live with a position", BAD, &[(24, &[1])]);
    bench.change("subscribe-last", "last n with a link", BAD, &[(32, &[1])]);
    bench.change(base, "reserved", BAD, &[(47, &[1])]);
    bench.change(base, "room by id and name", BAD, &[(16, &[1])]);
    let base = "unsubscribe";
    bench.cut(base, "fixed part cut by one byte", BAD, 31, b"");
    bench.change(base, "id 0", BAD, &[(8, &[0; 8])]);
    bench.change(base, "code from a client", BAD, &[(24, &[5])]);
    bench.change(base, "reserved", BAD, &[(27, &[1])]);
    bench.change(base, "no room", BAD, &[(16, &[0; 8])]);
    let base = "fetch-latest";
    bench.cut(base, "fixed part cut by one byte", BAD, 47, b"");
    bench.change(base, "id 0", BAD, &[(8, &[0; 8])]);
    bench.change(base, "limit 0", BAD, &[(32, &[0; 4])]);
    bench.change(base, "latest with a position", BAD, &[(24, &[1])]);
    bench.change(base, "range without number", BAD, &[(36, &[5])]);
    bench.change(base, "read without number", BAD, &[(37, &[3])]);
    bench.change(base, "reserved", BAD, &[(39, &[1])]);
}

/// Records that refer to another, and the starts and ranges that came with them.
fn references(bench: &mut Bench) {
    const BAD: Code = Code::BAD_FRAME;
    for kind in 1..=4 {
        let what = format!("record kind {kind} without ref");
        bench.change("publish", &what, BAD, &[(47, &[kind])]);
    }
    let base = "subscribe-live";
    bench.change(base, "from cursor without its name", BAD, &[(44, &[4])]);
    bench.extend(
        base,
        "name of a cursor not asked for",
        BAD,
        &[4, 0, 1, 0, b'r'],
    );
    bench.extend(base, "wants of 3 bytes", BAD, &[2, 0, 3, 0, 1, 0, 0]);
    bench.change("subscribe-from-time", "a link", BAD, &[(32, &[1])]);
    let base = "subscribe-from-cursor";
    bench.change(base, "a position", BAD, &[(24, &[1])]);
    let keep = bench.good(base).len() - 8;
    bench.cut(base, "name empty", BAD, keep, &[4, 0, 0, 0]);
    let long = [&[4, 0, 33, 0][..], &[b'c'; 33]].concat();
    bench.cut(base, "name of 33 bytes", BAD, keep, &long);
    bench.cut(
        base,
        "name with a control character",
        BAD,
        keep,
        &[4, 0, 1, 0, 7],
    );
}

fn cursors(bench: &mut Bench) {
    const BAD: Code = Code::BAD_FRAME;
    let base = "cursor";
    bench.cut(base, "fixed part cut by one byte", BAD, 47, b"");
    bench.cut(base, "room cut", BAD, 56, b"");
    bench.change(base, "id 0", BAD, &[(8, &[0; 8])]);
    bench.change(base, "room by id and name", BAD, &[(16, &[1])]);
    bench.change(base, "count above seq", BAD, &[(32, &[4])]);
    bench.change(base, "name empty", BAD, &[(40, &[0, 9])]);
    bench.change(base, "name with a control character", BAD, &[(48, &[0x1B])]);
    bench.change(base, "name not UTF-8", BAD, &[(48, &[0xFF])]);
    bench.change(base, "of another user", BAD, &[(41, &[4, 1])]);
    bench.change(base, "scope without number", BAD, &[(43, &[2])]);
    bench.change(base, "remove", Code::NOT_SUPPORTED, &[(44, &[2])]);
    bench.change(base, "flag without meaning", BAD, &[(44, &[4])]);
    bench.change(base, "reserved", BAD, &[(47, &[1])]);
    bench.extend(base, "unknown odd extension", BAD, &[1, 0, 0, 0]);
    let mut long = bench.good("cursor-asked");
    long[40] = 33;
    long.push(b'x');
    set_length(&mut long);
    bench.push("cursor-asked", "name of 33 bytes", BAD, long);
}

fn signals(bench: &mut Bench) {
    const BAD: Code = Code::BAD_FRAME;
    const NOT: Code = Code::NOT_SUPPORTED;
    let base = "signal-keyed";
    bench.cut(base, "fixed part cut by one byte", BAD, 47, b"");
    bench.cut(base, "value cut", BAD, 69, b"");
    bench.change(base, "id 0", BAD, &[(8, &[0; 8])]);
    bench.change(base, "room by id and name", BAD, &[(16, &[1])]);
    bench.change(base, "name empty", BAD, &[(24, &[10, 0, 0])]);
    bench.change(base, "name with a control character", BAD, &[(53, &[0x9])]);
    bench.change(base, "a sender", BAD, &[(24, &[3, 0]), (29, &[1])]);
    bench.change(base, "to a user", NOT, &[(30, &[1])]);
    bench.change(base, "scope without number", BAD, &[(30, &[2])]);
    bench.change(base, "reserved", BAD, &[(31, &[1])]);
    bench.change(base, "ttl_ms", NOT, &[(32, &[1])]);
    bench.change(base, "a device", BAD, &[(36, &[1])]);
    bench.change(base, "dropped", BAD, &[(40, &[1])]);
    bench.change(base, "last reserved", BAD, &[(47, &[1])]);
    bench.extend(base, "unknown odd extension", BAD, &[1, 0, 0, 0]);
    let base = "signal-empty";
    let long = |key: u8, value: u16, name: &[u8], frame: &mut Vec<u8>| {
        frame[24..26].copy_from_slice(&value.to_le_bytes());
        frame[26..28].copy_from_slice(&[name.len() as u8, key]);
        frame.truncate(48);
        frame.extend_from_slice(name);
        frame.resize(frame.len() + usize::from(key) + usize::from(value), b'v');
        set_length(frame);
    };
    let mut frame = bench.good(base);
    long(0, 0, &[b'n'; 33], &mut frame);
    bench.push(base, "name of 33 bytes", BAD, frame.clone());
    long(65, 0, b"n", &mut frame);
    bench.push(base, "key of 65 bytes", BAD, frame.clone());
    long(64, 1_025, b"n", &mut frame);
    bench.push(base, "value of 1,025 bytes", Code::TOO_LARGE, frame);
    bench.cut("metadata", "cut", BAD, 31, b"");
    bench.change("metadata", "id 0", BAD, &[(8, &[0; 8])]);
    bench.change("metadata", "reserved", BAD, &[(24, &[1])]);
}

/// What a client cannot understand of what comes beside records.
fn pushes(bench: &mut Bench) {
    const BAD: Code = Code::BAD_FRAME;
    bench.change("cursor-moved", "no room", BAD, &[(16, &[0; 8])]);
    bench.change("cursor-moved", "no user", BAD, &[(42, &[0])]);
    bench.change("cursor-moved", "name empty", BAD, &[(40, &[0])]);
    bench.cut("cursor-moved", "user cut", BAD, 54, b"");
    bench.change("signal", "no room", BAD, &[(16, &[0; 8])]);
    bench.change("signal", "no sender", BAD, &[(29, &[0])]);
    bench.change("signal", "name not UTF-8", BAD, &[(48, &[0xFF])]);
    bench.change("signal", "value beyond the frame", BAD, &[(24, &[5])]);
    let base = "ok-cursor";
    bench.cut(
        base,
        "31 bytes",
        BAD,
        16,
        &[&[2, 0, 31, 0][..], &[0; 31]].concat(),
    );
    bench.cut(
        base,
        "33 bytes",
        BAD,
        16,
        &[&[2, 0, 33, 0][..], &[0; 33]].concat(),
    );
    let base = "subscribed-cursors";
    bench.change(
        base,
        "a cursor's name beyond the list",
        BAD,
        &[(117, &[255])],
    );
    bench.change(base, "a cursor without a name", BAD, &[(117, &[0])]);
    let base = "metadata-two-nodes";
    bench.change(base, "more nodes than listed", BAD, &[(30, &[3])]);
    bench.change(base, "fewer nodes than listed", BAD, &[(30, &[1])]);
    bench.change(base, "more leaders than listed", BAD, &[(28, &[4])]);
    bench.change(base, "nodes_len that overflows", BAD, &[(32, &[0xFF; 4])]);
    bench.change(base, "slots of one byte", BAD, &[(36, &[11]), (40, &[1])]);
    bench.change(base, "address not UTF-8", BAD, &[(56, &[0xFF])]);
}

/// What a client cannot understand.
pub(crate) fn server() -> Vec<Refused> {
    let good = cases::server().into_iter().chain(cases::lobby()).collect();
    let mut bench = Bench {
        good,
        refused: Vec::new(),
    };
    const BAD: Code = Code::BAD_FRAME;
    for kind in [0, 9, 200] {
        bench.kind(kind, "is unknown", Code::UNKNOWN_KIND);
    }
    bench.kind(19, "is numbered", Code::NOT_SUPPORTED);
    for kind in [1, 10, 12, 18] {
        bench.kind(kind, "comes from clients", Code::BAD_STATE);
    }
    bench.cut("welcome", "fixed part cut by one byte", BAD, 87, b"");
    bench.cut("welcome", "user cut", BAD, 90, b"");
    bench.cut("pong", "cut", BAD, 55, b"");
    bench.change("goaway-move", "class without number", BAD, &[(18, &[3])]);
    bench.change(
        "goaway-move",
        "text beyond the frame",
        BAD,
        &[(24, &[255, 255])],
    );
    bench.change("goaway-move", "text not UTF-8", BAD, &[(28, &[0xFF])]);
    bench.change("error-limit", "class without number", BAD, &[(18, &[8])]);
    bench.change("error-limit", "text not UTF-8", BAD, &[(36, &[0xFF])]);
    bench.extend("ok", "unknown odd extension", BAD, &[1, 0, 0, 0]);
    bench.change("puback", "count beyond the frame", BAD, &[(16, &[2])]);
    bench.change("puback", "count that overflows", BAD, &[(16, &[0xFF; 4])]);
    bench.cut("subscribed", "cut", BAD, 95, b"");
    bench.change("unsubscribe-from-server", "no room", BAD, &[(16, &[0; 8])]);
    bench.change("gap", "from 0", BAD, &[(24, &[0])]);
    bench.change("gap", "from above to", BAD, &[(24, &[3])]);
    bench.change(
        "page-first",
        "records_len beyond the frame",
        BAD,
        &[(52, &[0xFF; 4])],
    );
    bench.cut("page-empty", "fixed part cut by one byte", BAD, 63, b"");
    records(&mut bench);
    pushes(&mut bench);
    bench.refused
}

fn records(bench: &mut Bench) {
    const BAD: Code = Code::BAD_FRAME;
    let base = "record";
    bench.change(base, "crc", BAD, &[(16, &[0, 0])]);
    bench.change(base, "seq", BAD, &[(40, &[9])]);
    bench.change(base, "body", BAD, &[(103, b"h")]);
    bench.change(base, "padding not 0", BAD, &[(109, &[1])]);
    bench.change(base, "header flags", BAD, &[(5, &[1])]);
    bench.change(base, "header id", BAD, &[(8, &[1])]);
    bench.change(base, "body_len beyond the frame", BAD, &[(88, &[255])]);
    bench.change(base, "body_len that overflows", BAD, &[(88, &[0xFF; 4])]);
    bench.change(
        base,
        "headers_len beyond the frame",
        BAD,
        &[(92, &[255, 255])],
    );
    bench.cut(base, "header cut", BAD, 99, b"");
    bench.cut(base, "padding cut", BAD, 111, b"");
    bench.extend(base, "padding of 11 bytes", BAD, &[0; 8]);
    let mut nobody = bench.good("record-empty");
    nobody[94] = 0;
    nobody.truncate(104);
    nobody[100..].fill(0);
    set_length(&mut nobody);
    let crc = crc32c::crc32c(&nobody[20..100]);
    nobody[16..20].copy_from_slice(&crc.to_le_bytes());
    bench.push(base, "without sender", BAD, nobody);
}

/// What is read although this crate would not write it.
pub(crate) fn accepted(from_client: bool) -> Vec<Accepted> {
    let good = if from_client {
        cases::client()
    } else {
        cases::server()
    };
    let frame = |name: &str| {
        good.iter()
            .find(|case| case.name == name)
            .unwrap()
            .frame
            .clone()
    };
    let change = |same_as: &'static str, what: &str, at: usize, bytes: &[u8]| {
        let mut frame = frame(same_as);
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        Accepted {
            name: format!("{same_as}: {what}"),
            frame,
            same_as,
        }
    };
    let extend = |same_as: &'static str, what: &str, more: &[u8]| {
        let mut frame = frame(same_as);
        frame.extend_from_slice(more);
        set_length(&mut frame);
        Accepted {
            name: format!("{same_as}: {what}"),
            frame,
            same_as,
        }
    };
    let unknown: &[u8] = &[4, 0, 1, 0, 9, 0xFE, 0xFF, 0, 0];
    if from_client {
        return vec![
            change("ping", "unnamed flags", 5, &[0xFF]),
            extend("hello", "unknown even extensions", unknown),
            extend("publish", "unknown even extensions", unknown),
            // Of SUBSCRIBE, extension 4 is known.
            extend(
                "subscribe-live",
                "unknown even extensions",
                &[6, 0, 1, 0, 9, 0xFE, 0xFF, 0, 0],
            ),
            extend("unsubscribe", "unknown even extensions", unknown),
            extend("fetch-latest", "unknown even extensions", unknown),
            extend("cursor", "unknown even extensions", unknown),
            extend("signal-keyed", "unknown even extensions", unknown),
            extend("metadata", "unknown even extensions", unknown),
            change("subscribe-wants", "unknown wants", 57, &[0xFF; 1]),
        ];
    }
    vec![
        change(
            "welcome",
            "reserved bytes of a newer server",
            83,
            &[1, 2, 3, 4, 5],
        ),
        change(
            "subscribed",
            "reserved bytes of a newer server",
            89,
            &[1; 7],
        ),
        change("gap", "reserved bytes of a newer server", 49, &[1; 7]),
        change("puback", "unnamed flags of an entry", 72, &[0xFE, 1]),
        change("page-empty", "unnamed flags", 5, &[0xFF]),
        change("pong", "numbers without the flag", 24, &[1; 20]),
        extend("welcome", "unknown even extensions", unknown),
        extend("ok", "unknown even extensions", unknown),
        extend("error-limit", "unknown even extensions", unknown),
        extend("puback", "unknown even extensions", unknown),
        extend("subscribed", "unknown even extensions", unknown),
        extend("page-first", "unknown even extensions", unknown),
        change(
            "cursor-moved",
            "reserved bytes of a newer server",
            44,
            &[1; 4],
        ),
        change("signal", "reserved bytes of a newer server", 30, &[1; 6]),
        change(
            "signal",
            "last reserved bytes of a newer server",
            44,
            &[1; 4],
        ),
        change(
            "metadata-one-node",
            "reserved bytes of a newer server",
            44,
            &[1; 4],
        ),
        change("metadata-one-node", "unnamed flags of a node", 52, &[0xFF]),
        extend("cursor-moved", "unknown even extensions", unknown),
        extend("signal", "unknown even extensions", unknown),
        extend("metadata-one-node", "unknown even extensions", unknown),
    ]
}
