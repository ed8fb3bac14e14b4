//! One source of settings as `key -> value`, already checked against the types of [`Config`].

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use crate::config::{Config, ConfigError, Origin};

/// What the environment variables of settings begin with.
const PREFIX: &str = "ANTIPHON_";

/// Settings that somebody gave, with who gave them.
#[derive(Debug, Default)]
pub(super) struct Layer {
    values: BTreeMap<String, (Value, Origin)>,
}

impl Layer {
    /// The layer of a TOML file.
    pub(super) fn file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_path_buf(),
            source,
        })?;
        // The typed parse comes first: it alone knows line and column of what is wrong.
        let wrong = |error: toml::de::Error| ConfigError::File {
            path: path.to_path_buf(),
            told: error.to_string(),
        };
        toml::from_str::<Config>(&text).map_err(wrong)?;
        let table: Table = toml::from_str(&text).map_err(wrong)?;
        let mut layer = Self::default();
        for (section, fields) in table {
            let Value::Table(fields) = fields else {
                continue;
            };
            for (field, value) in fields {
                layer.values.insert(
                    format!("{section}.{field}"),
                    (value, Origin::File(path.to_path_buf())),
                );
            }
        }
        Ok(layer)
    }

    /// The layer of the environment.
    ///
    /// A variable is ours if it begins with `ANTIPHON_` and a section's name. Others that merely begin with `ANTIPHON_` are
    /// left alone: orchestrators put such names (`ANTIPHON_SERVICE_HOST`, `ANTIPHON_PORT`) into every process.
    pub(super) fn environment(variables: &[(String, String)]) -> Result<Self, ConfigError> {
        let known = known_keys();
        let mut layer = Self::default();
        for (variable, text) in variables {
            let Some(name) = variable.strip_prefix(PREFIX) else {
                continue;
            };
            let name = name.to_ascii_lowercase();
            let Some((section, field)) =
                known.keys().map(|key| section_of(key)).find_map(|section| {
                    Some((section, name.strip_prefix(section)?.strip_prefix('_')?))
                })
            else {
                continue;
            };
            let key = format!("{section}.{field}");
            if !known.contains_key(&key) {
                return Err(ConfigError::UnknownVariable {
                    variable: variable.clone(),
                });
            }
            let value = parse(&key, text).map_err(|told| ConfigError::Value {
                from: variable.clone(),
                told,
            })?;
            layer
                .values
                .insert(key, (value, Origin::Environment(variable.clone())));
        }
        Ok(layer)
    }

    /// The layer of the command line.
    pub(super) fn flags(flags: &[(String, String)]) -> Result<Self, ConfigError> {
        let known = known_keys();
        let mut layer = Self::default();
        for (key, text) in flags {
            if !known.contains_key(key) {
                return Err(ConfigError::UnknownKey { key: key.clone() });
            }
            let value = parse(key, text).map_err(|told| ConfigError::Value {
                from: key.clone(),
                told,
            })?;
            layer.values.insert(key.clone(), (value, Origin::Flag));
        }
        Ok(layer)
    }

    /// Lays `stronger` over this one.
    pub(super) fn overlay(&mut self, stronger: Self) {
        self.values.extend(stronger.values);
    }

    /// The configuration these settings give, and their origins.
    pub(super) fn finish(self) -> Result<(Config, BTreeMap<String, Origin>), ConfigError> {
        let mut table = Table::new();
        let mut origins = BTreeMap::new();
        for (key, (value, origin)) in self.values {
            put(&mut table, &key, value);
            origins.insert(key, origin);
        }
        let config = table
            .try_into()
            .map_err(|error: toml::de::Error| ConfigError::Value {
                from: "configuration".into(),
                told: error.to_string(),
            })?;
        Ok((config, origins))
    }
}

/// Every key with its default, in the order of [`Config`]'s serialization.
pub(super) fn known_keys() -> BTreeMap<String, Value> {
    flatten(&Config::default())
}

/// `config` as `key -> value`.
pub(super) fn flatten(config: &Config) -> BTreeMap<String, Value> {
    let table = Table::try_from(config).expect("a configuration holds only plain values");
    let mut values = BTreeMap::new();
    for (section, fields) in table {
        let Value::Table(fields) = fields else {
            continue;
        };
        for (field, value) in fields {
            values.insert(format!("{section}.{field}"), value);
        }
    }
    values
}

fn section_of(key: &str) -> &str {
    key.split_once('.').map_or(key, |(section, _)| section)
}

fn put(table: &mut Table, key: &str, value: Value) {
    let Some((section, field)) = key.split_once('.') else {
        return;
    };
    let fields = table
        .entry(section)
        .or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(fields) = fields {
        fields.insert(field.to_owned(), value);
    }
}

/// The value of `text` for `key`: outside a file nobody writes quotes, so it is tried as a string, and then as a literal.
fn parse(key: &str, text: &str) -> Result<Value, String> {
    let attempt = |value: Value| -> Result<Value, String> {
        let mut table = Table::new();
        put(&mut table, key, value.clone());
        table
            .try_into::<Config>()
            .map(|_| value)
            .map_err(|error| error.message().to_owned())
    };
    let refused = match attempt(Value::String(text.to_owned())) {
        Ok(value) => return Ok(value),
        Err(refused) => refused,
    };
    let literal = format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"));
    match literal {
        Some(Value::String(_)) | None => Err(refused),
        Some(literal) => attempt(literal),
    }
}
