//! Announcements to SNS (people, chat, queues) and EventBridge (pipelines, webhooks).

use std::collections::{HashMap, HashSet};

use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_sns::types::MessageAttributeValue;
use aws_smithy_types::DateTime;

use super::Aws;
use super::error::{class_of, nonsense, sort};
use crate::app::ports::{Class, Notifier, OutboxRow, PortError};
use crate::domain::audience::Audience;
use crate::domain::history::Way;
use crate::domain::incident::PostMortem;
use crate::wire::messages::{self, About, TEXT_LIMIT};

/// `source` of every event on the bus.
const SOURCE: &str = "canary";

impl Notifier for Aws {
    fn ways(&self, row: &OutboxRow) -> Vec<Way> {
        // A topic that is named twice is told once.
        let mut told = HashSet::new();
        let is_one = |way: &Way| match way {
            Way::Bus => true,
            way => self
                .topic(row, *way)
                .is_some_and(|topic| told.insert(topic)),
        };
        let audiences = Audience::of(&row.entry);
        Way::open_to(&audiences)
            .into_iter()
            .filter(is_one)
            .collect()
    }

    async fn announce(
        &self,
        row: &OutboxRow,
        draft: Option<&PostMortem>,
        way: Way,
    ) -> Result<(), PortError> {
        let entry = row.entry.shortened(TEXT_LIMIT);
        let about = About {
            event_id: &row.event_id,
            deployment_id: &row.deployment_id,
            endpoint: &row.endpoint,
            model: &row.model,
            former_model: &row.former_model,
            entry: &entry,
            approvals: self.config.access.approvals.as_deref(),
            draft,
        };
        if way == Way::Bus {
            return self.put_event(about).await;
        }
        // The stack may have had it when the row was written, and no more.
        let Some(topic) = self.topic(row, way) else {
            return Ok(());
        };
        self.publish(topic, about).await
    }
}

impl Aws {
    /// The topic that a way leads to; `None` where there is none.
    fn topic<'a>(&'a self, row: &'a OutboxRow, way: Way) -> Option<&'a str> {
        let (stack, named) = (&self.config.audiences, &row.topics);
        let topic = match way {
            Way::Bus => None,
            Way::Topic => Some(&self.config.topic),
            Way::Named => named.topic.as_ref(),
            Way::OnCall => stack.get(&Audience::OnCall),
            Way::MlTeam => stack.get(&Audience::MlTeam),
            Way::FinOps => stack.get(&Audience::FinOps),
            Way::NamedOnCall => named.audiences.get(&Audience::OnCall),
            Way::NamedMlTeam => named.audiences.get(&Audience::MlTeam),
            Way::NamedFinOps => named.audiences.get(&Audience::FinOps),
        };
        topic.map(String::as_str)
    }

    async fn publish(&self, topic: &str, about: About<'_>) -> Result<(), PortError> {
        let mut attributes = HashMap::new();
        for attribute in messages::attributes(about) {
            let value = MessageAttributeValue::builder()
                .data_type(attribute.kind)
                .string_value(attribute.text)
                .build();
            attributes.insert(
                attribute.name.to_owned(),
                value.map_err(|error| nonsense("Publish", error.to_string()))?,
            );
        }
        self.control
            .sns
            .publish()
            .topic_arn(topic)
            .subject(messages::subject(about))
            .message(messages::by_protocol(about).to_string())
            .message_structure("json")
            .set_message_attributes(Some(attributes))
            .send()
            .await
            .map(drop)
            .map_err(|error| sort("Publish", &error))
    }

    async fn put_event(&self, about: About<'_>) -> Result<(), PortError> {
        const OPERATION: &str = "PutEvents";
        let entry = PutEventsRequestEntry::builder()
            .source(SOURCE)
            .detail_type(about.entry.event.as_str())
            .detail(messages::machine(about).to_string())
            .resources(about.endpoint)
            .time(DateTime::from_secs(about.entry.at.as_second()))
            .event_bus_name(&self.config.bus)
            .build();
        let output = self
            .control
            .events
            .put_events()
            .entries(entry)
            .send()
            .await
            .map_err(|error| sort(OPERATION, &error))?;
        // A 200 may still carry a failed entry.
        let failed = output.entries().iter().find_map(|entry| {
            let code = entry.error_code()?;
            Some((code, entry.error_message().unwrap_or("no message")))
        });
        failed.map_or(Ok(()), |(code, text)| {
            let what = format!("{code}: {text}");
            Err(PortError::new(class_of_entry(code), OPERATION, what))
        })
    }
}

/// An entry has a code but no status, and `InternalFailure` passes by itself.
fn class_of_entry(code: &str) -> Class {
    class_of(
        code,
        if code.starts_with("Internal") {
            500
        } else {
            400
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_entry_passes_or_does_not_as_its_code_says() {
        // The codes of PutEventsResultEntry in the service's model.
        for (code, class) in [
            ("InternalFailure", Class::InDoubt),
            ("ThrottlingException", Class::Retryable),
            ("AccessDeniedException", Class::Denied),
            ("NotAuthorizedForSourceException", Class::Denied),
            ("NotAuthorizedForDetailTypeException", Class::Denied),
            ("InvalidAccountIdException", Class::Invalid),
            ("InvalidArgument", Class::Invalid),
            ("MalformedDetail", Class::Invalid),
        ] {
            assert_eq!(class_of_entry(code), class, "{code}");
        }
    }
}
