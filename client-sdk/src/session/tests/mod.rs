//! Transcripts and properties of the session.
