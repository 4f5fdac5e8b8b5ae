//! Announcements to SNS (people, chat, queues) and EventBridge (pipelines, webhooks).

use std::collections::HashMap;

use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_sns::types::MessageAttributeValue;
use aws_smithy_types::DateTime;

use super::Aws;
use super::error::{class_of, nonsense, sort};
use crate::app::ports::{Class, Notifier, OutboxRow, PortError};
use crate::domain::audience::Audience;
use crate::domain::history::Way;
use crate::domain::incident::PostMortem;
use crate::wire::messages::{self, About};

/// `source` of every event on the bus.
const SOURCE: &str = "canary";

impl Notifier for Aws {
    fn ways(&self, row: &OutboxRow) -> Vec<Way> {
        let told = Audience::of(&row.entry).into_iter();
        let own = told.filter(|audience| self.config.audiences.contains_key(audience));
        Way::ALWAYS.into_iter().chain(own.map(Way::to)).collect()
    }

    async fn announce(
        &self,
        row: &OutboxRow,
        draft: Option<&PostMortem>,
        way: Way,
    ) -> Result<(), PortError> {
        let about = About {
            event_id: &row.event_id,
            deployment_id: &row.deployment_id,
            endpoint: &row.endpoint,
            model: &row.model,
            former_model: &row.former_model,
            entry: &row.entry,
            approvals: self.config.access.approvals.as_deref(),
            draft,
        };
        let topic = match (way, way.audience()) {
            (Way::Bus, _) => return self.put_event(about).await,
            (_, Some(audience)) => {
                let topic = self.config.audiences.get(&audience);
                return match topic {
                    Some(topic) => self.publish_beside(topic, audience, about).await,
                    // The stack has none for it any more.
                    None => Ok(()),
                };
            }
            _ => row.topic.as_deref(),
        };
        match self.publish(topic, about).await {
            Err(error) if topic.is_some() && never_mends(&error) => {
                tracing::error!(deployment_id = %row.deployment_id, %error, "the deployment's own topic can't be used; its announcements go to the stack's");
                self.publish(None, about).await
            }
            other => other,
        }
    }
}

impl Aws {
    /// To an audience's own topic. One that can't be used holds nothing up: the stack's topic has told
    /// the same.
    async fn publish_beside(
        &self,
        topic: &str,
        audience: Audience,
        about: About<'_>,
    ) -> Result<(), PortError> {
        match self.publish(Some(topic), about).await {
            Err(error) if never_mends(&error) => {
                tracing::error!(deployment_id = %about.deployment_id, %audience, %error, "the audience's own topic can't be used; it is told by the stack's alone");
                Ok(())
            }
            other => other,
        }
    }

    async fn publish(&self, topic: Option<&str>, about: About<'_>) -> Result<(), PortError> {
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
            .topic_arn(topic.unwrap_or(&self.config.topic))
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

fn never_mends(error: &PortError) -> bool {
    matches!(error.class, Class::Invalid | Class::Denied)
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
