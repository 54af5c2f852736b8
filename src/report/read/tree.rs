//! JSON with every member it has, in bounds.

use std::cell::Cell;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::ReadError;
use crate::observe::printable::excerpt;

/// How many values one text may hold. The longest report has some ten members for each of its details.
const VALUES_MAX: usize = 500_000;

/// A JSON value. Unlike `serde_json`'s, an object keeps members that stand twice in it: which of them was
/// meant is for the reader to say, and that there were two.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool,
    /// An integer from 0 to 2^64-1.
    Integer(u64),
    /// Another number.
    Number(f64),
    Text(String),
    Array(Vec<Self>),
    Object(Object),
}

/// The members of an object, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Object(pub(super) Vec<(String, Json)>);

impl Object {
    /// The last member of this name, as most readers take it.
    pub(super) fn member(&self, name: &str) -> Option<&Json> {
        self.0
            .iter()
            .rev()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value)
    }
}

impl Json {
    /// What it is, in words.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Integer(_) | Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// Reads one JSON text.
    pub(super) fn parse(text: &str) -> Result<Self, ReadError> {
        let values = Cell::new(0);
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = Value(&values)
            .deserialize(&mut deserializer)
            .and_then(|value| deserializer.end().map(|()| value));
        value.map_err(|error| {
            if values.get() > VALUES_MAX {
                ReadError::TooLong(format!("{VALUES_MAX} values"))
            } else {
                ReadError::NotJson(excerpt(&error.to_string()))
            }
        })
    }
}

/// One value, which counts itself. `serde_json` bounds how deep it may stand.
#[derive(Clone, Copy)]
struct Value<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        self.0.set(self.0.get() + 1);
        if self.0.get() > VALUES_MAX {
            return Err(serde::de::Error::custom("too many values"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Json;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Bool)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Integer(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a negative number counts nothing, whichever it is"
        )]
        Ok(u64::try_from(number).map_or(Json::Number(number as f64), Json::Integer))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            members.push((name, map.next_value_seed(self)?));
        }
        Ok(Json::Object(Object(members)))
    }
}

/// The name of a member.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g1_a_text_is_bounded_in_values_and_depth() {
        let many = format!("[{}0]", "0,".repeat(VALUES_MAX));
        let error = Json::parse(&many).unwrap_err();
        assert_eq!(error, ReadError::TooLong("500000 values".to_owned()));
        let deep = "[".repeat(100_000);
        assert!(matches!(Json::parse(&deep), Err(ReadError::NotJson(_))));
    }

    #[test]
    fn e1_members_that_stand_twice_are_both_kept_and_the_last_is_meant() {
        let Json::Object(object) = Json::parse(r#"{"a":1,"b":-1,"a":"x"}"#).unwrap() else {
            panic!("an object was not read as one");
        };
        assert_eq!(object.0.len(), 3);
        assert_eq!(object.member("a"), Some(&Json::Text("x".to_owned())));
        assert_eq!(object.member("b"), Some(&Json::Number(-1.0)));
        assert!(Json::parse("{} {}").is_err());
    }
}
