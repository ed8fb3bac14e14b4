//! Streams out of the golden vectors of the protocol.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// One input a file of vectors, all its frames behind each other: small enough, and the engine cuts them up again.
pub(super) fn seeds() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol/vectors");
    let mut seeds = Vec::new();
    for name in [
        "client",
        "server",
        "records",
        "accepted",
        "refused-client",
        "refused-server",
        "streams",
    ] {
        let text =
            fs::read_to_string(folder.join(format!("{name}.json"))).expect("committed vectors");
        let file: Value = serde_json::from_str(&text).expect("vectors are JSON");
        let vectors = file["vectors"].as_array().expect("a list of vectors");
        for vector in vectors {
            let bytes = bytes(vector["hex"].as_str().expect("each vector has bytes"));
            let label = vector["name"].as_str().unwrap_or("vector");
            let label: String = label
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
                .collect();
            seeds.push((
                format!("{name}-{label}"),
                [&[7, 0, 1], bytes.as_slice()].concat(),
            ));
        }
    }
    seeds
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("vectors are hex");
    (0..hex.len()).step_by(2).map(digit).collect()
}
