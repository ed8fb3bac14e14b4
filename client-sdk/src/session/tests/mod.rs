//! Transcripts and properties of the session, against a model of a broker.

mod beside;
mod desk;
mod exactly_once;
mod hostile;
mod properties;
mod readers;
mod transcripts;
mod world;
