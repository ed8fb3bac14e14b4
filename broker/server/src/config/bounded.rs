//! Values that cannot be out of bounds: the bounds are part of the type, so the parser itself refuses, with line and caret.

use std::fmt;
use std::time::Duration;

use humantime_serde::re::humantime;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// A whole number within `MIN..=MAX`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Count<const MIN: u32, const MAX: u32>(u32);

/// A number of bytes within `MIN..=MAX`, written as a number or as `"64MiB"`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size<const MIN: u64, const MAX: u64>(u64);

/// A duration within `MIN..=MAX` milliseconds, written as `"5s"` or `"1m 30s"`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Millis<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u32, const MAX: u32> Count<MIN, MAX> {
    /// The value, or `None` if it is out of bounds.
    #[must_use]
    pub const fn new(value: u32) -> Option<Self> {
        if MIN <= value && value <= MAX {
            Some(Self(value))
        } else {
            None
        }
    }

    /// A default: checked when the program is compiled.
    pub(super) const fn fixed(value: u32) -> Self {
        assert!(
            MIN <= value && value <= MAX,
            "a default is within its own bounds"
        );
        Self(value)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl<const MIN: u64, const MAX: u64> Size<MIN, MAX> {
    /// The value in bytes, or `None` if it is out of bounds.
    #[must_use]
    pub const fn new(bytes: u64) -> Option<Self> {
        if MIN <= bytes && bytes <= MAX {
            Some(Self(bytes))
        } else {
            None
        }
    }

    /// A default: checked when the program is compiled.
    pub(super) const fn fixed(bytes: u64) -> Self {
        assert!(
            MIN <= bytes && bytes <= MAX,
            "a default is within its own bounds"
        );
        Self(bytes)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl<const MIN: u64, const MAX: u64> Millis<MIN, MAX> {
    /// The value in milliseconds, or `None` if it is out of bounds.
    #[must_use]
    pub const fn new(millis: u64) -> Option<Self> {
        if MIN <= millis && millis <= MAX {
            Some(Self(millis))
        } else {
            None
        }
    }

    /// A default: checked when the program is compiled.
    pub(super) const fn fixed(millis: u64) -> Self {
        assert!(
            MIN <= millis && millis <= MAX,
            "a default is within its own bounds"
        );
        Self(millis)
    }

    /// The number of milliseconds.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// The same as a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Count<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers<const MIN: u32, const MAX: u32>;
        impl<const MIN: u32, const MAX: u32> Visitor<'_> for Numbers<MIN, MAX> {
            type Value = Count<MIN, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from {MIN} to {MAX}")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
                u32::try_from(value)
                    .ok()
                    .and_then(Count::new)
                    .ok_or_else(|| {
                        E::custom(format_args!(
                            "{value} is out of bounds: expected a whole number from {MIN} to {MAX}"
                        ))
                    })
            }
        }
        deserializer.deserialize_i64(Numbers)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Size<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sizes<const MIN: u64, const MAX: u64>;
        impl<const MIN: u64, const MAX: u64> Visitor<'_> for Sizes<MIN, MAX> {
            type Value = Size<MIN, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    "a size from {} to {}, such as 4096 or \"64MiB\"",
                    plain_size(MIN),
                    plain_size(MAX)
                )
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
                u64::try_from(value)
                    .ok()
                    .and_then(Size::new)
                    .ok_or_else(|| {
                        E::custom(format_args!(
                            "{value} is out of bounds: expected {}",
                            &self as &dyn Expected
                        ))
                    })
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
                let parsed: Result<bytesize::ByteSize, _> = value.parse();
                parsed
                    .ok()
                    .and_then(|size| Size::new(size.as_u64()))
                    .ok_or_else(|| {
                        E::custom(format_args!(
                            "`{value}` will not do: expected {}",
                            &self as &dyn Expected
                        ))
                    })
            }
        }
        deserializer.deserialize_any(Sizes)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Millis<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Durations<const MIN: u64, const MAX: u64>;
        impl<const MIN: u64, const MAX: u64> Visitor<'_> for Durations<MIN, MAX> {
            type Value = Millis<MIN, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let (min, max) = (Duration::from_millis(MIN), Duration::from_millis(MAX));
                let (min, max) = (
                    humantime::format_duration(min),
                    humantime::format_duration(max),
                );
                write!(f, "a duration from {min} to {max}, such as \"5s\"")
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
                let parsed = humantime::parse_duration(value).ok();
                let millis = parsed.and_then(|duration| u64::try_from(duration.as_millis()).ok());
                millis.and_then(Millis::new).ok_or_else(|| {
                    E::custom(format_args!(
                        "`{value}` will not do: expected {}",
                        &self as &dyn Expected
                    ))
                })
            }
        }
        deserializer.deserialize_str(Durations)
    }
}

use serde::de::Expected;

impl<const MIN: u32, const MAX: u32> Serialize for Count<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<const MIN: u64, const MAX: u64> Serialize for Size<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&plain_size(self.0))
    }
}

impl<const MIN: u64, const MAX: u64> Serialize for Millis<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.duration()))
    }
}

/// `bytes` in the largest unit that divides it, so that what is shown is exact and can be read back.
fn plain_size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS
        .iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, serde::Serialize, Debug, PartialEq)]
    struct Sample {
        count: Count<1, 9>,
        size: Size<1024, 1_048_576>,
        wait: Millis<0, 60_000>,
    }

    #[test]
    fn values_within_their_bounds_are_read_and_written_back_unchanged() {
        let text = "count = 9\nsize = \"64KiB\"\nwait = \"1m\"\n";
        let sample: Sample = toml::from_str(text).expect("within bounds");
        assert_eq!(
            (
                sample.count.number(),
                sample.size.bytes(),
                sample.wait.millis()
            ),
            (9, 65_536, 60_000)
        );
        assert_eq!(toml::to_string(&sample).expect("plain values"), text);
    }

    #[test]
    fn a_value_out_of_bounds_is_refused_with_line_caret_and_bounds() {
        let error = toml::from_str::<Sample>("count = 10\nsize = 1024\nwait = \"1s\"")
            .expect_err("out of bounds");
        let told = error.to_string();
        assert!(told.contains("line 1, column 9"), "{told}");
        assert!(
            told.contains("^^") && told.contains("from 1 to 9"),
            "{told}"
        );
        let error = toml::from_str::<Sample>("count = 1\nsize = \"2MiB\"\nwait = \"1s\"")
            .expect_err("out of bounds");
        assert!(
            error.to_string().contains("a size from 1KiB to 1MiB"),
            "{error}"
        );
        let error = toml::from_str::<Sample>("count = 1\nsize = 1024\nwait = \"2m\"")
            .expect_err("out of bounds");
        assert!(
            error.to_string().contains("a duration from 0s to 1m"),
            "{error}"
        );
    }

    #[test]
    fn sizes_are_shown_in_the_largest_exact_unit() {
        assert_eq!(plain_size(64 << 20), "64MiB");
        assert_eq!(plain_size(1025), "1025B");
    }
}
