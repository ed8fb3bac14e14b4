//! Every bound of the harness, with its unit and its reason.

use std::time::Duration;

/// A system under test takes connections within this, or is given up.
pub const READY_WITHIN: Duration = Duration::from_secs(60);
