//! One line of chat as `replay` reads it and `export` writes it: `{"at":...,"room":...,"user":...,"text":...}`.
//!
//! The two are inverse: what `export` wrote, `replay` reads, and a line that was replayed comes back byte for byte if it was written
//! compactly, in this order of fields, with `at` in UTC and no finer than a millisecond.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A chat message outside of any broker.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct ChatLine {
    /// When its author sent it: RFC 3339 in the file, the `origin_time` header in a record.
    pub(crate) at: At,
    pub(crate) room: String,
    pub(crate) user: String,
    /// The body. Empty is lawful.
    pub(crate) text: String,
}

/// A time in ms since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct At(pub(crate) u64);

impl At {
    /// Reads RFC 3339, in UTC (`...Z`) or with an offset (`...+02:00`). Anything finer than a millisecond is cut off.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (utc, east_minutes) = split_offset(text)?;
        let time = humantime::parse_rfc3339(&utc)
            .ok()?
            .duration_since(UNIX_EPOCH)
            .ok()?;
        let ms = i64::try_from(time.as_millis()).ok()? - east_minutes * 60_000;
        u64::try_from(ms).ok().map(Self)
    }

    /// RFC 3339 in UTC; whole seconds are written without a fraction.
    pub(crate) fn to_rfc3339(self) -> Option<String> {
        let time = UNIX_EPOCH
            .checked_add(Duration::from_millis(self.0))
            .filter(|time| *time < year_10_000())?;
        let text = if self.0.is_multiple_of(1000) {
            humantime::format_rfc3339_seconds(time).to_string()
        } else {
            humantime::format_rfc3339_millis(time).to_string()
        };
        Some(text)
    }
}

/// RFC 3339 has four digits for the year, and the formatter panics on more.
fn year_10_000() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(253_402_300_800)
}

/// Splits `2018-04-10T18:02:17+02:00` into the same with `Z`, and minutes east of UTC.
fn split_offset(text: &str) -> Option<(String, i64)> {
    if text.ends_with(['Z', 'z']) {
        return Some((text.to_ascii_uppercase(), 0));
    }
    let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let sign = match offset.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then(|| {
        (
            format!("{local}Z"),
            sign * (i64::from(hours) * 60 + i64::from(minutes)),
        )
    })
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self
            .to_rfc3339()
            .ok_or_else(|| S::Error::custom("the time lies beyond the year 9999"))?;
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format_args!(
                "`{text}` is no RFC 3339 time such as 2018-04-10T18:02:17Z"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compact_line_comes_back_byte_for_byte() {
        for line in [
            r#"{"at":"2018-04-10T18:02:17Z","room":"r","user":"u","text":"tab\t \"quoted\" 你好 \u0007"}"#,
            r#"{"at":"2018-04-10T18:02:17.250Z","room":"r","user":"u","text":""}"#,
            r#"{"at":"1970-01-01T00:00:00Z","room":"r","user":"u","text":"/"}"#,
        ] {
            let read: ChatLine = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), line);
        }
    }

    #[test]
    fn an_offset_is_counted_back_to_utc() {
        assert_eq!(
            At::parse("2018-04-10T20:02:17+02:00"),
            At::parse("2018-04-10T18:02:17Z")
        );
        assert_eq!(
            At::parse("2018-04-10T12:32:17-05:30"),
            At::parse("2018-04-10T18:02:17Z")
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "2018-04-10",
            "2018-04-10T18:02:17",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
            "é+02:00",
        ] {
            assert_eq!(At::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_past_the_year_9999_is_an_error_and_no_panic() {
        assert_eq!(At(253_402_300_800_000).to_rfc3339(), None);
        assert_eq!(
            At(253_402_300_799_999).to_rfc3339().as_deref(),
            Some("9999-12-31T23:59:59.999Z")
        );
        assert_eq!(At(u64::MAX).to_rfc3339(), None);
    }
}
