//! Reads the members of SageMaker requests, and refuses them in the words SageMaker uses.

use serde_json::Value;

use crate::wire::{self, AwsError};

const LONGEST_NAME: usize = 63;

/// A required name: 1 to 63 letters, digits and hyphens, beginning and ending with a letter or digit.
pub(super) fn name<'input>(input: &'input Value, member: &str) -> Result<&'input str, AwsError> {
    let name = text(input, member)?;
    if name.len() > LONGEST_NAME {
        return Err(constraint(
            name,
            member,
            "Member must have length less than or equal to 63",
        ));
    }
    let alphanumeric = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let sound = alphanumeric(name.chars().next())
        && alphanumeric(name.chars().next_back())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if sound {
        Ok(name)
    } else {
        Err(constraint(
            name,
            member,
            "Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
        ))
    }
}

/// A required string.
pub(super) fn text<'input>(input: &'input Value, member: &str) -> Result<&'input str, AwsError> {
    input[member].as_str().ok_or_else(|| {
        AwsError::validation(format!(
            "1 validation error detected: Value null at '{}' failed to satisfy constraint: \
             Member must not be null",
            lower_camel(member)
        ))
    })
}

/// An optional list.
pub(super) fn list<'input>(input: &'input Value, member: &str) -> &'input [Value] {
    input[member].as_array().map_or(&[], Vec::as_slice)
}

/// An optional weight: a finite number that is not negative. SDKs send `NaN` and `Infinity` as strings.
pub(super) fn weight(input: &Value, member: &str) -> Result<Option<f64>, AwsError> {
    match &input[member] {
        Value::Null => Ok(None),
        value => value
            .as_f64()
            .filter(|weight| weight.is_finite() && *weight >= 0.0)
            .map(Some)
            .ok_or_else(|| {
                constraint(
                    &value.to_string(),
                    member,
                    "Member must have value greater than or equal to 0",
                )
            }),
    }
}

/// An optional instance count of at least one.
pub(super) fn instances(input: &Value, member: &str) -> Result<Option<i64>, AwsError> {
    match &input[member] {
        Value::Null => Ok(None),
        value => value
            .as_i64()
            .filter(|count| *count >= 1)
            .map(Some)
            .ok_or_else(|| {
                constraint(
                    &value.to_string(),
                    member,
                    "Member must have value greater than or equal to 1",
                )
            }),
    }
}

pub(super) fn constraint(value: &str, member: &str, rule: &str) -> AwsError {
    AwsError::validation(format!(
        "1 validation error detected: Value '{value}' at '{}' failed to satisfy constraint: {rule}",
        lower_camel(member)
    ))
}

/// The kinds of resources that have names of their own.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Model,
    Config,
    Endpoint,
    PackageGroup,
    Package,
}

impl Kind {
    pub(super) fn arn(self, name: &str) -> String {
        // SageMaker writes names in ARNs in lower case.
        let name = name.to_ascii_lowercase();
        let resource = match self {
            Kind::Model => format!("model/{name}"),
            Kind::Config => format!("endpoint-config/{name}"),
            Kind::Endpoint => format!("endpoint/{name}"),
            Kind::PackageGroup => format!("model-package-group/{name}"),
            Kind::Package => format!("model-package/{name}"),
        };
        wire::arn("sagemaker", &resource)
    }

    fn noun(self) -> &'static str {
        match self {
            Kind::Model => "model",
            Kind::Config => "endpoint configuration",
            Kind::Endpoint => "endpoint",
            Kind::PackageGroup => "model package group",
            Kind::Package => "model package",
        }
    }

    pub(super) fn missing(self, name: &str) -> AwsError {
        AwsError::validation(format!(
            "Could not find {} \"{}\".",
            self.noun(),
            self.arn(name)
        ))
    }

    pub(super) fn exists(self, name: &str) -> AwsError {
        AwsError::validation(format!(
            "Cannot create already existing {} \"{}\".",
            self.noun(),
            self.arn(name)
        ))
    }
}

fn lower_camel(member: &str) -> String {
    let mut characters = member.chars();
    match characters.next() {
        Some(first) => first.to_ascii_lowercase().to_string() + characters.as_str(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_keep_the_pattern() {
        let longest = "a".repeat(63);
        for good in ["a", "Wine-Quality--2", longest.as_str()] {
            assert!(name(&json!({"N": good}), "N").is_ok(), "{good}");
        }
        let too_long = "a".repeat(64);
        for bad in ["", "-a", "a-", "a_b", "a b", "é", "🍷", too_long.as_str()] {
            assert!(name(&json!({"N": bad}), "N").is_err(), "{bad}");
        }
        let missing = name(&json!({}), "EndpointName").expect_err("refused");
        assert!(
            missing.message.contains("'endpointName'"),
            "{}",
            missing.message
        );
    }

    #[test]
    fn weights_are_finite_and_not_negative() {
        assert_eq!(weight(&json!({"W": 0.5}), "W").expect("sound"), Some(0.5));
        assert_eq!(weight(&json!({}), "W").expect("sound"), None);
        for bad in [json!(-0.1), json!("NaN"), json!("Infinity"), json!(true)] {
            assert!(weight(&json!({"W": bad}), "W").is_err(), "{bad}");
        }
    }
}
