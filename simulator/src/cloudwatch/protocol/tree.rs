//! The neutral shape between a protocol and an operation, and typed access to it.
//!
//! Messages name a field the way CloudWatch does, whatever the protocol:
//! `MetricDataQueries.member.1.MetricStat.Period`.

use jiff::Timestamp;

use super::ApiError;

/// A value on its way in or out.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cloudwatch) enum Tree {
    Null,
    Flag(bool),
    Integer(i64),
    Number(f64),
    Text(String),
    /// To the millisecond.
    Time(Timestamp),
    List(Vec<Tree>),
    /// Members with names from the model.
    Structure(Vec<(String, Tree)>),
    /// A map with keys that the caller chose. XML writes it differently from a structure.
    Map(Vec<(String, Tree)>),
}

/// A structure of the given members; one without a value is left out, as AWS leaves it out.
pub(in crate::cloudwatch) fn structure<const N: usize>(members: [(&str, Tree); N]) -> Tree {
    Tree::Structure(
        members
            .into_iter()
            .filter(|(_, value)| *value != Tree::Null)
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

impl Tree {
    pub(in crate::cloudwatch) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(in crate::cloudwatch) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole second since the epoch; one that no timestamp can hold is null.
    pub(in crate::cloudwatch) fn time(second: i64) -> Self {
        Timestamp::from_second(second).map_or(Self::Null, Self::Time)
    }

    /// A member, unless it is absent or null.
    fn member(&self, name: &str) -> Option<&Self> {
        let (Self::Structure(members) | Self::Map(members)) = self else {
            return None;
        };
        members
            .iter()
            .find(|(known, value)| known == name && *value != Self::Null)
            .map(|(_, value)| value)
    }

    /// Milliseconds since the epoch.
    pub(super) fn time_from_milliseconds(milliseconds: f64) -> Option<Timestamp> {
        // The cast saturates, and what is out of a timestamp's range is refused right after.
        #[expect(clippy::cast_possible_truncation)]
        let whole = milliseconds.round() as i64;
        if milliseconds.is_finite() {
            Timestamp::from_millisecond(whole).ok()
        } else {
            None
        }
    }
}

/// A structure of the request, and where in the request it is.
#[derive(Debug, Clone)]
pub(in crate::cloudwatch) struct Fields<'a> {
    tree: &'a Tree,
    path: String,
}

impl<'a> Fields<'a> {
    pub(in crate::cloudwatch) fn root(tree: &'a Tree) -> Self {
        Self {
            tree,
            path: String::new(),
        }
    }

    /// The full name of a member.
    pub(in crate::cloudwatch) fn path(&self, name: &str) -> String {
        match (self.path.as_str(), name) {
            ("", name) => name.to_owned(),
            (path, "") => path.to_owned(),
            (path, name) => format!("{path}.{name}"),
        }
    }

    pub(in crate::cloudwatch) fn has(&self, name: &str) -> bool {
        self.tree.member(name).is_some()
    }

    fn wrong_type(&self, name: &str, expected: &str) -> ApiError {
        let path = self.path(name);
        ApiError::malformed(format!("The value of {path} is not {expected}."))
    }

    fn read<T>(
        &self,
        name: &str,
        expected: &str,
        convert: impl FnOnce(&'a Tree) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        self.tree
            .member(name)
            .map(|value| convert(value).ok_or_else(|| self.wrong_type(name, expected)))
            .transpose()
    }

    pub(in crate::cloudwatch) fn text(&self, name: &str) -> Result<Option<&'a str>, ApiError> {
        self.read(name, "a string", |value| match value {
            Tree::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    pub(in crate::cloudwatch) fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.read(name, "an integer", |value| match value {
            Tree::Integer(integer) => Some(*integer),
            Tree::Text(text) => text.parse().ok(),
            _ => None,
        })
    }

    /// A number; `NaN` and the infinities come through, for the operation to refuse by name.
    pub(in crate::cloudwatch) fn number(&self, name: &str) -> Result<Option<f64>, ApiError> {
        self.read(name, "a number", number)
    }

    pub(in crate::cloudwatch) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.read(name, "a boolean", |value| match value {
            Tree::Flag(flag) => Some(*flag),
            Tree::Text(text) => text.parse().ok(),
            _ => None,
        })
    }

    /// A timestamp: tagged in CBOR, epoch seconds in JSON, ISO 8601 in a form.
    pub(in crate::cloudwatch) fn time(&self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        self.read(name, "a timestamp", |value| match value {
            Tree::Time(time) => Some(*time),
            Tree::Integer(seconds) => Timestamp::from_second(*seconds).ok(),
            Tree::Number(seconds) => Tree::time_from_milliseconds(seconds * 1000.0),
            Tree::Text(text) => text.parse().ok(),
            _ => None,
        })
    }

    pub(in crate::cloudwatch) fn numbers(&self, name: &str) -> Result<Vec<f64>, ApiError> {
        self.items(name, "a list of numbers", number)
    }

    pub(in crate::cloudwatch) fn texts(&self, name: &str) -> Result<Vec<&'a str>, ApiError> {
        self.items(name, "a list of strings", |value| match value {
            Tree::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The structures of a list; an absent list is an empty one.
    pub(in crate::cloudwatch) fn structures(&self, name: &str) -> Result<Vec<Self>, ApiError> {
        let mut index = 0;
        self.items(name, "a list of structures", |tree| {
            index += 1;
            matches!(tree, Tree::Structure(_)).then(|| Self {
                tree,
                path: self.path(&format!("{name}.member.{index}")),
            })
        })
    }

    /// A nested structure.
    pub(in crate::cloudwatch) fn structure(&self, name: &str) -> Result<Option<Self>, ApiError> {
        self.read(name, "a structure", |tree| {
            matches!(tree, Tree::Structure(_)).then(|| Self {
                tree,
                path: self.path(name),
            })
        })
    }

    fn items<T>(
        &self,
        name: &str,
        expected: &str,
        convert: impl FnMut(&'a Tree) -> Option<T>,
    ) -> Result<Vec<T>, ApiError> {
        let items = self.read(name, "a list", |value| match value {
            Tree::List(items) => Some(items.as_slice()),
            // How a form writes an empty list.
            Tree::Text(text) if text.is_empty() => Some(&[][..]),
            _ => None,
        })?;
        items
            .unwrap_or_default()
            .iter()
            .map(convert)
            .collect::<Option<_>>()
            .ok_or_else(|| self.wrong_type(name, expected))
    }
}

fn number(value: &Tree) -> Option<f64> {
    match value {
        Tree::Number(number) => Some(*number),
        Tree::Integer(integer) => Some(*integer as f64),
        Tree::Text(text) => text.parse().ok(),
        _ => None,
    }
}
