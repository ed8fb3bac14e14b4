//! From a client's frame to a request, with a panic boundary around it.
//!
//! The decoder is total and fuzzed; should it panic all the same, the bytes of one client did it, and they would do it again when the client comes back.
//! So it costs that connection and no other. Only this is inside the boundary: the decoder reads a frame and changes nothing, so there is no state
//! that a panic could leave half done. One further out (around [`Core::frame`](crate::Core::frame)) would go on with a torn session.

use antiphon_protocol::{ClientFrame, DecodeError, Hello, RawFrame};

use crate::boundary::guarded;

/// A frame of this id makes the decoder panic, in tests.
#[cfg(test)]
pub(super) const POISON: antiphon_protocol::RequestId =
    antiphon_protocol::RequestId(0x7A1A_0B5E_55ED_C0DE);

/// The first frame. `None`: the decoder panicked.
pub(super) fn hello(frame: RawFrame<'_>) -> Option<Result<Hello<'_>, DecodeError>> {
    guarded(|| Hello::decode(frame))
}

/// Any later frame. `None`: the decoder panicked.
pub(super) fn request(frame: RawFrame<'_>) -> Option<Result<ClientFrame<'_>, DecodeError>> {
    guarded(|| {
        #[cfg(test)]
        assert_ne!(frame.header.id, POISON, "on purpose");
        ClientFrame::decode(frame)
    })
}
