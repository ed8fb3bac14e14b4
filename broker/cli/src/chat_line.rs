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

/// Why a text is no time that can be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadTime {
    /// It is none at all.
    #[error("is no RFC 3339 time such as 2018-04-10T18:02:17Z")]
    NotATime,
    /// It cannot be counted.
    #[error("lies before 1970-01-01T00:00:00Z, from which times are counted")]
    Before1970,
}

impl At {
    /// Reads RFC 3339, in UTC (`...Z`) or with an offset (`...+02:00`). Anything finer than a millisecond is cut off.
    pub(crate) fn parse(text: &str) -> Result<Self, BadTime> {
        if year(text).is_some_and(|year| year < 1970) {
            return Err(BadTime::Before1970);
        }
        let ms = ms_since_epoch(text).ok_or(BadTime::NotATime)?;
        u64::try_from(ms).map(Self).map_err(|_| BadTime::Before1970)
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

/// The year, if the text begins like a time.
fn year(text: &str) -> Option<u32> {
    text.split_once('-')
        .filter(|(year, _)| year.len() == 4)
        .and_then(|(year, _)| year.parse().ok())
}

/// ms since 1970 in UTC; an offset may lead to before it.
fn ms_since_epoch(text: &str) -> Option<i64> {
    let (utc, east_minutes) = split_offset(text)?;
    let time = humantime::parse_rfc3339(&utc)
        .ok()?
        .duration_since(UNIX_EPOCH)
        .ok()?;
    Some(i64::try_from(time.as_millis()).ok()? - east_minutes * 60_000)
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
        Self::parse(&text).map_err(|error| D::Error::custom(format_args!("`{text}` {error}")))
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
            "1969",
            "é+02:00",
        ] {
            assert_eq!(At::parse(text), Err(BadTime::NotATime), "{text}");
        }
        for text in ["1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01"] {
            assert_eq!(At::parse(text), Err(BadTime::Before1970), "{text}");
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
