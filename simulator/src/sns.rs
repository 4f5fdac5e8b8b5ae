//! SNS: takes what is published and keeps it for the reader, by the rules that AWS refuses messages by.
//!
//! Nothing is delivered. Every well-formed topic ARN counts as existing until it is deleted, because topics belong
//! to the stack and not to the code under test; creating and listing topics is there for people's tools.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use crate::wire::{self, AwsError, Ids};

const NAMESPACE: &str = "http://sns.amazonaws.com/doc/2010-03-31/";
const LARGEST_MESSAGE: usize = 256 * 1024;
/// The service model says "less than 100 characters", other pages "up to 100": the harsher reading.
const LONGEST_SUBJECT: usize = 99;

/// A message that was published to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The id the publisher was given.
    pub message_id: String,
    /// The topic's ARN.
    pub topic: String,
    /// The subject, if there was one.
    pub subject: Option<String>,
    /// The message as it was sent: with `structure` "json", the text of each protocol in one JSON object.
    pub message: String,
    /// `MessageStructure`.
    pub structure: Option<String>,
    /// The message attributes' values; binary ones in base64.
    pub attributes: BTreeMap<String, String>,
    /// When, in virtual time.
    pub at: Timestamp,
}

#[derive(Debug, Default)]
pub(crate) struct Sns {
    published: Mutex<Vec<Published>>,
    topics: Mutex<Topics>,
}

/// ARNs of topics.
#[derive(Debug, Default)]
struct Topics {
    made: BTreeSet<String>,
    deleted: BTreeSet<String>,
}

impl Sns {
    pub(crate) fn published(&self) -> Vec<Published> {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn delete(&self, topic: &str) {
        let mut topics = self.topics();
        topics.made.remove(topic);
        topics.deleted.insert(topic.to_owned());
    }

    fn topics(&self) -> MutexGuard<'_, Topics> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn handle(
        &self,
        now: Timestamp,
        ids: &Ids,
        action: &str,
        fields: &[(String, String)],
    ) -> Result<Response<Bytes>, AwsError> {
        let result = match action {
            "Publish" => {
                let message = parse_publish(now, ids, fields)?;
                if self.topics().deleted.contains(&message.topic) {
                    return Err(AwsError::new(404, "NotFound", "Topic does not exist"));
                }
                let id = message.message_id.clone();
                self.published
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(message);
                format!("<MessageId>{id}</MessageId>")
            }
            "CreateTopic" => self.create_topic(fields)?,
            "DeleteTopic" => {
                self.delete(topic_arn(fields)?);
                String::new()
            }
            "ListTopics" => self.list_topics(),
            "Subscribe" => {
                let topic = topic_arn(fields)?;
                if field(fields, "Protocol").is_none() {
                    return Err(invalid("Invalid parameter: Protocol"));
                }
                format!(
                    "<SubscriptionArn>{}:{}</SubscriptionArn>",
                    wire::escape_xml(topic),
                    ids.next()
                )
            }
            _ => {
                return Err(AwsError::new(
                    400,
                    "InvalidAction",
                    format!("The action {action} is not simulated."),
                ));
            }
        };
        // What answers nothing has no result at all, not an empty one.
        let result = if result.is_empty() {
            result
        } else {
            format!("<{action}Result>{result}</{action}Result>")
        };
        let body = format!(
            "<{action}Response xmlns=\"{NAMESPACE}\">{result}\
             <ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></{action}Response>",
            ids.next()
        );
        Ok(wire::respond(StatusCode::OK, "text/xml", Bytes::from(body)))
    }

    fn create_topic(&self, fields: &[(String, String)]) -> Result<String, AwsError> {
        let name = field(fields, "Name").unwrap_or_default();
        let plain = name.strip_suffix(".fifo").unwrap_or(name);
        let sound = !plain.is_empty()
            && name.len() <= 256
            && plain
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if !sound {
            return Err(invalid("Invalid parameter: Topic Name"));
        }
        let arn = wire::arn("sns", name);
        let mut topics = self.topics();
        topics.deleted.remove(&arn);
        topics.made.insert(arn.clone());
        Ok(format!("<TopicArn>{arn}</TopicArn>"))
    }

    fn list_topics(&self) -> String {
        let topics = self.topics();
        let mut answer = "<Topics>".to_owned();
        for arn in &topics.made {
            answer.push_str("<member><TopicArn>");
            answer.push_str(arn);
            answer.push_str("</TopicArn></member>");
        }
        answer.push_str("</Topics>");
        answer
    }
}

fn invalid(message: &str) -> AwsError {
    AwsError::new(400, "InvalidParameter", message)
}

fn field<'fields>(fields: &'fields [(String, String)], name: &str) -> Option<&'fields str> {
    fields
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

fn topic_arn(fields: &[(String, String)]) -> Result<&str, AwsError> {
    let arn = field(fields, "TopicArn")
        .or_else(|| field(fields, "TargetArn"))
        .ok_or_else(|| {
            invalid(
                "Invalid parameter: TopicArn or TargetArn Reason: no value for required parameter",
            )
        })?;
    let parts: Vec<&str> = arn.split(':').collect();
    let is_topic = parts.len() == 6
        && parts[0] == "arn"
        && parts[2] == "sns"
        && parts.iter().all(|part| !part.is_empty());
    if is_topic {
        Ok(arn)
    } else {
        Err(invalid("Invalid parameter: TopicArn"))
    }
}

fn parse_publish(
    now: Timestamp,
    ids: &Ids,
    fields: &[(String, String)],
) -> Result<Published, AwsError> {
    let topic = topic_arn(fields)?;
    let message = field(fields, "Message").unwrap_or_default();
    if message.is_empty() {
        return Err(invalid("Invalid parameter: Empty message"));
    }
    let subject = field(fields, "Subject");
    if let Some(subject) = subject {
        check_subject(subject)?;
    }
    let structure = field(fields, "MessageStructure");
    match structure {
        None => {}
        Some("json") => check_structured(message)?,
        Some(_) => return Err(invalid("Invalid parameter: MessageStructure")),
    }
    let attributes = attributes(fields)?;
    let attribute_bytes: usize = attributes.iter().map(|(k, v)| k.len() + v.len()).sum();
    if message.len() + attribute_bytes > LARGEST_MESSAGE {
        return Err(invalid("Invalid parameter: Message too long"));
    }
    Ok(Published {
        message_id: ids.next(),
        topic: topic.to_owned(),
        subject: subject.map(str::to_owned),
        message: message.to_owned(),
        structure: structure.map(str::to_owned),
        attributes,
        at: now,
    })
}

fn check_subject(subject: &str) -> Result<(), AwsError> {
    let printable = subject.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    if subject.is_empty()
        || subject.starts_with(' ')
        || subject.len() > LONGEST_SUBJECT
        || !printable
    {
        return Err(invalid("Invalid parameter: Subject"));
    }
    Ok(())
}

fn check_structured(message: &str) -> Result<(), AwsError> {
    let Ok(Value::Object(texts)) = serde_json::from_str(message) else {
        return Err(invalid(
            "Invalid parameter: Message Structure - JSON message body failed to parse",
        ));
    };
    if texts.get("default").is_some_and(Value::is_string) {
        Ok(())
    } else {
        Err(invalid(
            "Invalid parameter: Message Structure - No default entry in JSON message body",
        ))
    }
}

fn attributes(fields: &[(String, String)]) -> Result<BTreeMap<String, String>, AwsError> {
    let mut attributes = BTreeMap::new();
    for entry in 1.. {
        let prefix = format!("MessageAttributes.entry.{entry}");
        let Some(name) = field(fields, &format!("{prefix}.Name")) else {
            break;
        };
        let kind = field(fields, &format!("{prefix}.Value.DataType")).unwrap_or_default();
        let base = kind.split('.').next().unwrap_or_default();
        let value_field = match base {
            "String" | "Number" => "StringValue",
            "Binary" => "BinaryValue",
            _ => {
                return Err(AwsError::new(
                    400,
                    "ParameterValueInvalid",
                    format!(
                        "The message attribute '{name}' has an invalid message attribute type."
                    ),
                ));
            }
        };
        let value = field(fields, &format!("{prefix}.Value.{value_field}")).unwrap_or_default();
        if value.is_empty() || (base == "Number" && value.parse::<f64>().is_err()) {
            return Err(AwsError::new(
                400,
                "ParameterValueInvalid",
                format!("The message attribute '{name}' must contain a valid {base} value."),
            ));
        }
        attributes.insert(name.to_owned(), value.to_owned());
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:alerts";

    fn publish(sns: &Sns, fields: &[(&str, &str)]) -> Result<Response<Bytes>, AwsError> {
        let fields: Vec<(String, String)> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        sns.handle(Timestamp::UNIX_EPOCH, &Ids::new(1), "Publish", &fields)
    }

    #[test]
    fn what_is_published_can_be_read_with_its_attributes() {
        let sns = Sns::default();
        let answer = publish(
            &sns,
            &[
                ("TopicArn", TOPIC),
                ("Subject", "Canary rolled back"),
                ("MessageStructure", "json"),
                ("Message", r#"{"default": "text", "email": "long text"}"#),
                ("MessageAttributes.entry.1.Name", "severity"),
                ("MessageAttributes.entry.1.Value.DataType", "String"),
                ("MessageAttributes.entry.1.Value.StringValue", "high"),
            ],
        )
        .expect("published");
        let published = &sns.published()[0];
        assert!(String::from_utf8_lossy(answer.body()).contains(&published.message_id));
        assert_eq!(published.attributes["severity"], "high");
        assert_eq!(published.subject.as_deref(), Some("Canary rolled back"));
    }

    #[test]
    fn a_topic_that_was_deleted_is_listed_no_more() {
        let sns = Sns::default();
        let list = |action: &str, field: &str, value: &str| {
            let fields = [(field.to_owned(), value.to_owned())];
            let answer = sns.handle(Timestamp::UNIX_EPOCH, &Ids::new(1), action, &fields);
            let answer = answer.expect("answered");
            String::from_utf8_lossy(answer.body()).into_owned()
        };
        list("CreateTopic", "Name", "alerts");
        let all = list("ListTopics", "", "");
        assert!(all.contains(":alerts<"), "{all}");
        let arn = wire::arn("sns", "alerts");
        list("DeleteTopic", "TopicArn", &arn);
        assert!(!list("ListTopics", "", "").contains(&arn));
    }

    #[test]
    fn what_aws_refuses_is_refused() {
        let long = "s".repeat(100);
        let huge = "m".repeat(LARGEST_MESSAGE + 1);
        let cases: [&[(&str, &str)]; 8] = [
            &[("Message", "no topic")],
            &[("TopicArn", "alerts"), ("Message", "m")],
            &[("TopicArn", TOPIC), ("Message", "")],
            &[("TopicArn", TOPIC), ("Message", "m"), ("Subject", &long)],
            &[("TopicArn", TOPIC), ("Message", "m"), ("Subject", "a\nb")],
            &[("TopicArn", TOPIC), ("Message", "m"), ("Subject", "é")],
            &[
                ("TopicArn", TOPIC),
                ("Message", r#"{"email": "x"}"#),
                ("MessageStructure", "json"),
            ],
            &[("TopicArn", TOPIC), ("Message", &huge)],
        ];
        let sns = Sns::default();
        for case in cases {
            let error = publish(&sns, case).expect_err("refused");
            assert_eq!(
                (error.status, error.code.as_str()),
                (400, "InvalidParameter")
            );
        }
        assert!(sns.published().is_empty());
    }
}
