//! Golden vectors: committed bytes that every implementation must read and write (vectors/README.md).
//!
//! `cases` says in Rust what the vectors are of; `describe` says as JSON what some bytes mean. The example
//! `golden` writes the files from both, the test `golden` holds the files against the crate.

#![allow(dead_code, reason = "the example and the test use different halves")]

pub(crate) mod beside;
pub(crate) mod cases;
pub(crate) mod describe;
pub(crate) mod peer;
pub(crate) mod refused;
pub(crate) mod sums;

use std::path::PathBuf;

use serde_json::Value;

/// Where a file of vectors is.
pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("vectors")
        .join(name)
}

/// The vectors of a committed file.
pub(crate) fn committed(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path(name)).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["vectors"]
        .as_array()
        .unwrap()
        .clone()
}

/// A text field of a vector.
pub(crate) fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field]
        .as_str()
        .unwrap_or_else(|| panic!("no {field} in {vector}"))
}

/// The bytes of a hex field of a vector.
pub(crate) fn bytes(vector: &Value, field: &str) -> Vec<u8> {
    from_hex(text(vector, field))
}

/// Bytes from hex digits.
pub(crate) fn from_hex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "odd hex");
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

/// Hex digits from bytes.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Numbers that JSON readers would round travel as hex text.
pub(crate) fn word(number: u64) -> Value {
    Value::String(format!("0x{number:016x}"))
}
