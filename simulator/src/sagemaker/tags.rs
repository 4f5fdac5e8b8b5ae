//! Tags of models and their packages, endpoint configs and endpoints, by ARN.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::World;
use super::input;
use crate::wire::AwsError;

const MOST_TAGS: usize = 50;

/// The tags of a request, checked. Keys that begin with `aws:` belong to AWS.
pub(super) fn parse(input: &Value) -> Result<BTreeMap<String, String>, AwsError> {
    let mut tags = BTreeMap::new();
    for tag in input::list(input, "Tags") {
        let key = input::text(tag, "Key")?;
        let value = input::text(tag, "Value")?;
        if key.is_empty() || key.len() > 128 || value.len() > 256 {
            return Err(input::constraint(
                key,
                "Key",
                "Member must have length between 1 and 128, and its value at most 256",
            ));
        }
        // The pattern of TagKey and TagValue in the service model.
        if !key.chars().chain(value.chars()).all(is_tag_character) {
            return Err(input::constraint(
                value,
                "Value",
                r"Member must satisfy regular expression pattern: ([\p{L}\p{Z}\p{N}_.:/=+\-@]*)",
            ));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(AwsError::validation(
                "aws: prefixed tag key names are not allowed for external use.",
            ));
        }
        tags.insert(key.to_owned(), value.to_owned());
    }
    if tags.len() > MOST_TAGS {
        return Err(AwsError::validation(format!(
            "A resource can have at most {MOST_TAGS} tags."
        )));
    }
    Ok(tags)
}

/// Letters, separators, digits and a few signs.
fn is_tag_character(character: char) -> bool {
    character.is_alphanumeric()
        || character.is_whitespace() && !character.is_control()
        || "_.:/=+-@".contains(character)
}

impl World {
    /// Gives a new resource its tags.
    pub(super) fn adopt_tags(&mut self, arn: &str, tags: BTreeMap<String, String>) {
        if !tags.is_empty() {
            self.tags.entry(arn.to_owned()).or_default().extend(tags);
        }
    }

    pub(super) fn add_tags(&mut self, input: &Value) -> Result<Value, AwsError> {
        let arn = self.tagged_resource(input)?.to_owned();
        let added = parse(input)?;
        self.adopt_tags(&arn, added);
        Ok(json!({"Tags": self.tag_list(&arn)}))
    }

    pub(super) fn list_tags(&self, input: &Value) -> Result<Value, AwsError> {
        let arn = self.tagged_resource(input)?;
        Ok(json!({"Tags": self.tag_list(arn)}))
    }

    pub(super) fn delete_tags(&mut self, input: &Value) -> Result<Value, AwsError> {
        let arn = self.tagged_resource(input)?.to_owned();
        if let Some(tags) = self.tags.get_mut(&arn) {
            for key in input::list(input, "TagKeys") {
                tags.remove(key.as_str().unwrap_or_default());
            }
        }
        Ok(json!({}))
    }

    fn tag_list(&self, arn: &str) -> Vec<Value> {
        self.tags.get(arn).map_or_else(Vec::new, |tags| {
            tags.iter()
                .map(|(key, value)| json!({"Key": key, "Value": value}))
                .collect()
        })
    }

    fn tagged_resource<'input>(&self, input: &'input Value) -> Result<&'input str, AwsError> {
        let arn = input::text(input, "ResourceArn")?;
        let known = self.models.values().any(|model| model["ModelArn"] == arn)
            || self
                .configs
                .values()
                .any(|config| config["EndpointConfigArn"] == arn)
            || self.endpoints.values().any(|endpoint| endpoint.arn == arn)
            || self.package_groups.contains_key(arn)
            || self.packages.contains_key(arn);
        if known {
            Ok(arn)
        } else {
            Err(AwsError::validation(format!(
                "Could not find resource \"{arn}\"."
            )))
        }
    }
}
