//! The Resource Groups Tagging API: GetResources over what SageMaker holds.
//!
//! It knows a resource only by its tags: one that never had any is not listed, and one whose tags were
//! taken away is listed without. A list of ARNs can't be combined with filters or pages; one that is not
//! there is left out of the answer. After the service model of `resourcegroupstaggingapi`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::wire::AwsError;

/// Resources of a page, unless asked otherwise.
const PAGE: usize = 50;
const LONGEST_ARN: usize = 1011;

/// Resources that have tags or had some, by ARN.
pub(crate) type Tagged = BTreeMap<String, BTreeMap<String, String>>;

pub(crate) fn handle(tagged: &Tagged, operation: &str, input: &Value) -> Result<Value, AwsError> {
    if operation != "GetResources" {
        return Err(AwsError::unknown_operation(operation));
    }
    let filters = filters(input)?;
    let kinds = texts(input, "ResourceTypeFilters")?;
    let arns = texts(input, "ResourceARNList")?;
    let resources: Vec<_> = if let Some(arns) = &arns {
        check_arns(arns, input)?;
        let listed = tagged.iter().filter(|(arn, _)| arns.contains(arn));
        listed.collect()
    } else {
        let fits_kind = |arn: &str| {
            let kinds = kinds.as_ref();
            kinds.is_none_or(|kinds| kinds.iter().any(|kind| is_of(arn, kind)))
        };
        let fits = |(arn, tags): &(&String, &BTreeMap<_, _>)| {
            fits_kind(arn) && filters.iter().all(|filter| filter.fits(tags))
        };
        tagged.iter().filter(fits).collect()
    };
    page(&resources, input)
}

/// A list of ARNs stands alone.
fn check_arns(arns: &[String], input: &Value) -> Result<(), AwsError> {
    for other in [
        "TagFilters",
        "ResourceTypeFilters",
        "ResourcesPerPage",
        "TagsPerPage",
        "PaginationToken",
    ] {
        let member = &input[other];
        if !member.is_null() && member != "" && member != &json!([]) {
            return Err(invalid(format!(
                "ResourceARNList and {other} can't be specified in the same request"
            )));
        }
    }
    let is_arn = |arn: &String| arn.starts_with("arn:aws") && arn.len() <= LONGEST_ARN;
    if (1..=100).contains(&arns.len()) && arns.iter().all(is_arn) {
        Ok(())
    } else {
        Err(invalid("ResourceARNList takes 1 to 100 ARNs"))
    }
}

/// Whether a resource is of a type such as `sagemaker` or `sagemaker:endpoint`.
fn is_of(arn: &str, kind: &str) -> bool {
    let mut parts = arn.splitn(6, ':').skip(2);
    let service = parts.next().unwrap_or_default();
    let resource = parts.nth(2).unwrap_or_default();
    match kind.split_once(':') {
        None => service == kind,
        Some((wanted, kind)) => {
            service == wanted && resource.split('/').next().unwrap_or_default() == kind
        }
    }
}

/// One key, and the values it may have; any value where none is named.
struct Filter {
    key: String,
    values: Vec<String>,
}

impl Filter {
    fn fits(&self, tags: &BTreeMap<String, String>) -> bool {
        tags.get(&self.key)
            .is_some_and(|value| self.values.is_empty() || self.values.contains(value))
    }
}

fn filters(input: &Value) -> Result<Vec<Filter>, AwsError> {
    let filters = match &input["TagFilters"] {
        Value::Null => &[],
        Value::Array(filters) if filters.len() <= 50 => filters.as_slice(),
        _ => return Err(invalid("TagFilters takes at most 50 filters")),
    };
    let filters = filters.iter().map(|filter| {
        let key = filter["Key"].as_str().filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| invalid("a filter of tags has a Key"))?;
        let values = texts(filter, "Values")?.unwrap_or_default();
        if values.len() > 20 {
            return Err(invalid("a filter of tags has at most 20 Values"));
        }
        Ok(Filter {
            key: key.to_owned(),
            values,
        })
    });
    filters.collect()
}

fn page(
    resources: &[(&String, &BTreeMap<String, String>)],
    input: &Value,
) -> Result<Value, AwsError> {
    let size = match &input["ResourcesPerPage"] {
        Value::Null => PAGE,
        given => given
            .as_u64()
            .and_then(|size| usize::try_from(size).ok())
            .filter(|size| (1..=100).contains(size))
            .ok_or_else(|| invalid("ResourcesPerPage is from 1 to 100"))?,
    };
    let from = match input["PaginationToken"].as_str() {
        None | Some("") => 0,
        Some(token) => token
            .parse::<usize>()
            .ok()
            .filter(|from| *from <= resources.len())
            .ok_or_else(|| invalid("PaginationToken was not given out here"))?,
    };
    let shown: Vec<Value> = resources[from..]
        .iter()
        .take(size)
        .map(|(arn, tags)| {
            let tags = tags.iter();
            let tags: Vec<Value> = tags
                .map(|(key, value)| json!({"Key": key, "Value": value}))
                .collect();
            json!({"ResourceARN": arn, "Tags": tags})
        })
        .collect();
    let next = from + shown.len();
    // An empty token, and not an absent one, ends the last page.
    let token = if next < resources.len() {
        next.to_string()
    } else {
        String::new()
    };
    Ok(json!({"ResourceTagMappingList": shown, "PaginationToken": token}))
}

/// A list of texts, where it is given.
fn texts(input: &Value, member: &str) -> Result<Option<Vec<String>>, AwsError> {
    let list = match &input[member] {
        Value::Null => return Ok(None),
        Value::Array(list) if list.is_empty() => return Ok(None),
        Value::Array(list) => list,
        _ => return Err(invalid(format!("{member} is a list"))),
    };
    let text = |item: &Value| item.as_str().map(str::to_owned);
    let texts: Option<Vec<String>> = list.iter().map(text).collect();
    texts
        .map(Some)
        .ok_or_else(|| invalid(format!("{member} is a list of texts")))
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidParameterException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arn(name: &str) -> String {
        crate::wire::arn("sagemaker", name)
    }

    fn tagged() -> Tagged {
        let tags = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        BTreeMap::from([
            (
                arn("endpoint/wine"),
                tags(&[("canary:enabled", "true"), ("team", "wine")]),
            ),
            (arn("endpoint/beer"), tags(&[("team", "beer")])),
            (arn("endpoint/bare"), tags(&[])),
            (arn("model/wine"), tags(&[("team", "wine")])),
        ])
    }

    fn found(input: &Value) -> Vec<String> {
        let answer = handle(&tagged(), "GetResources", input).expect("a sound request");
        let resources = answer["ResourceTagMappingList"].as_array().expect("a list");
        let arns = resources.iter().map(|resource| &resource["ResourceARN"]);
        arns.map(|arn| arn.as_str().expect("an ARN").to_owned())
            .collect()
    }

    #[test]
    fn arns_are_listed_with_their_tags_and_unknown_ones_left_out() {
        let input = json!({"ResourceARNList": [arn("endpoint/wine"), arn("endpoint/bare"), arn("endpoint/none")]});
        let answer = handle(&tagged(), "GetResources", &input).expect("a sound request");
        assert_eq!(
            answer,
            json!({"PaginationToken": "", "ResourceTagMappingList": [
                {"ResourceARN": arn("endpoint/bare"), "Tags": []},
                {"ResourceARN": arn("endpoint/wine"), "Tags": [
                    {"Key": "canary:enabled", "Value": "true"}, {"Key": "team", "Value": "wine"},
                ]},
            ]})
        );
    }

    #[test]
    fn filters_narrow_and_pages_follow_one_another() {
        assert_eq!(found(&json!({})).len(), 4);
        assert_eq!(
            found(&json!({"ResourceTypeFilters": ["sagemaker:model"]})),
            [arn("model/wine")]
        );
        let team = json!({"TagFilters": [{"Key": "team", "Values": ["wine", "water"]}], "ResourceTypeFilters": ["sagemaker:endpoint"]});
        assert_eq!(found(&team), [arn("endpoint/wine")]);
        assert_eq!(found(&json!({"TagFilters": [{"Key": "team"}]})).len(), 3);
        let mut token = String::new();
        let mut seen = 0;
        loop {
            let input = json!({"ResourcesPerPage": 3, "PaginationToken": token});
            seen += found(&input).len();
            let answer = handle(&tagged(), "GetResources", &input).expect("a sound request");
            let next = answer["PaginationToken"].as_str().expect("a token");
            if next.is_empty() {
                break;
            }
            next.clone_into(&mut token);
        }
        assert_eq!(seen, 4);
    }

    #[test]
    fn what_the_service_refuses_is_refused() {
        for input in [
            json!({"ResourceARNList": [arn("endpoint/wine")], "TagFilters": [{"Key": "team"}]}),
            json!({"ResourceARNList": [arn("endpoint/wine")], "ResourcesPerPage": 5}),
            json!({"ResourceARNList": ["wine"]}),
            json!({"ResourceARNList": vec![arn("endpoint/wine"); 101]}),
            json!({"ResourceARNList": "wine"}),
            json!({"ResourcesPerPage": 0}),
            json!({"PaginationToken": "elsewhere"}),
            json!({"TagFilters": [{"Values": ["wine"]}]}),
        ] {
            let refused = handle(&tagged(), "GetResources", &input).expect_err("a refusal");
            assert_eq!(refused.code, "InvalidParameterException", "{input}");
        }
        assert!(handle(&tagged(), "TagResources", &json!({})).is_err());
    }
}
