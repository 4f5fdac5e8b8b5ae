//! Announcements: taken by SNS and EventBridge, and delivered to a queue as programs read them.

use std::collections::BTreeMap;

use aws_sdk_sns::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;
use shared::app::ports::{Class, Notifier as _, OutboxRow};
use shared::domain::history::{Severity, Way};
use shared::wire::messages::{self, About};
use tests::records::announcement;

use super::Case;
use crate::account::Account;

pub(crate) fn cases() -> Vec<Case> {
    super::cases!("sns":
        an_announcement_is_taken,
        a_queue_gets_the_text_for_programs_with_its_attributes,
        a_queue_that_asks_for_the_bare_text_gets_it,
        a_filter_lets_through_what_it_names,
        a_filter_finds_an_audience_in_the_list_and_what_says_none,
        a_named_topic_that_is_gone_is_told_apart,
    )
}

fn about(row: &OutboxRow) -> About<'_> {
    About {
        event_id: &row.event_id,
        deployment_id: &row.deployment_id,
        endpoint: &row.endpoint,
        model: &row.model,
        former_model: &row.former_model,
        entry: &row.entry,
        approvals: None,
        draft: None,
    }
}

/// A queue that hears a topic.
pub(super) struct Queue {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl Queue {
    pub(super) async fn hearing(
        account: &Account,
        name: &str,
        topic: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        let client = aws_sdk_sqs::Client::new(&account.sdk);
        let made = client.create_queue().queue_name(account.name(name)).send();
        let made = made.await.expect("a new queue");
        let url = made.queue_url().expect("a URL").to_owned();
        let asked = client
            .get_queue_attributes()
            .queue_url(&url)
            .attribute_names(QueueAttributeName::QueueArn);
        let described = asked.send().await.expect("a queue");
        let arn = described
            .attributes()
            .and_then(|found| found.get(&QueueAttributeName::QueueArn))
            .expect("an ARN");
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Client::new(&account.sdk)
            .subscribe()
            .topic_arn(topic)
            .protocol("sqs")
            .endpoint(arn)
            .set_attributes(Some(settings))
            .send()
            .await
            .expect("a new subscription");
        Self { client, url }
    }

    /// Every body, taken out of the queue.
    pub(super) async fn drained(&self) -> Vec<String> {
        let mut bodies = Vec::new();
        loop {
            let asked = self
                .client
                .receive_message()
                .queue_url(&self.url)
                .max_number_of_messages(10);
            let got = asked.send().await.expect("a queue");
            if got.messages().is_empty() {
                return bodies;
            }
            for message in got.messages() {
                bodies.push(message.body().unwrap_or_default().to_owned());
                let taken = self
                    .client
                    .delete_message()
                    .queue_url(&self.url)
                    .receipt_handle(message.receipt_handle().expect("a handle"));
                taken.send().await.expect("a message to remove");
            }
        }
    }

    /// The bodies that have arrived.
    async fn bodies(&self) -> Vec<String> {
        let asked = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .wait_time_seconds(1);
        let got = asked.send().await.expect("a queue");
        let messages = got.messages().iter();
        messages
            .map(|message| message.body().unwrap_or_default().to_owned())
            .collect()
    }

    /// The only body that has arrived.
    async fn body(&self) -> String {
        let mut bodies = self.bodies().await;
        assert_eq!(bodies.len(), 1, "{bodies:?}");
        bodies.remove(0)
    }
}

fn topic(account: &Account) -> &str {
    &account.aws.config().topic
}

async fn an_announcement_is_taken(account: &Account) {
    for way in Way::ALWAYS {
        let announced = account.aws.announce(&announcement(), None, way).await;
        announced.expect("a topic and a bus that take it");
    }
}

async fn a_queue_gets_the_text_for_programs_with_its_attributes(account: &Account) {
    let queue = Queue::hearing(account, "programs", topic(account), &[]).await;
    let row = announcement();
    account
        .aws
        .announce(&row, None, Way::Topic)
        .await
        .expect("a topic");
    let envelope: Value = serde_json::from_str(&queue.body().await).expect("JSON");
    assert_eq!(envelope["Type"], "Notification");
    assert_eq!(envelope["TopicArn"], topic(account));
    assert_eq!(envelope["Subject"], messages::subject(about(&row)));
    let text = envelope["Message"].as_str().expect("a text");
    let told: Value = serde_json::from_str(text).expect("queues get JSON");
    assert_eq!(told, messages::machine(about(&row)));
    let attributes = envelope["MessageAttributes"].as_object();
    let attributes: BTreeMap<String, String> = attributes
        .expect("attributes")
        .iter()
        .map(|(name, found)| {
            let is_list = name == "audience";
            let kind = if is_list { "String.Array" } else { "String" };
            assert_eq!(found["Type"], kind, "{name}");
            let value = found["Value"].as_str().expect("a text").to_owned();
            (name.clone(), value)
        })
        .collect();
    let expected: BTreeMap<String, String> = messages::attributes(about(&row))
        .into_iter()
        .map(|attribute| (attribute.name.to_owned(), attribute.text))
        .collect();
    assert_eq!(attributes, expected);
}

async fn a_queue_that_asks_for_the_bare_text_gets_it(account: &Account) {
    let bare = [("RawMessageDelivery", "true")];
    let queue = Queue::hearing(account, "bare", topic(account), &bare).await;
    let row = announcement();
    account
        .aws
        .announce(&row, None, Way::Topic)
        .await
        .expect("a topic");
    let told: Value = serde_json::from_str(&queue.body().await).expect("JSON");
    assert_eq!(told, messages::machine(about(&row)));
}

async fn a_filter_lets_through_what_it_names(account: &Account) {
    let row = announcement();
    let severity = row.entry.severity.to_string();
    let wanted = format!(
        r#"{{"severity": ["{severity}"], "endpoint": ["{}"]}}"#,
        row.endpoint
    );
    let other = format!(r#"{{"severity": [{{"anything-but": ["{severity}"]}}]}}"#);
    let wanted = [("FilterPolicy", wanted.as_str())];
    let other = [("FilterPolicy", other.as_str())];
    let wants = Queue::hearing(account, "wants", topic(account), &wanted).await;
    let spared = Queue::hearing(account, "spared", topic(account), &other).await;
    account
        .aws
        .announce(&row, None, Way::Topic)
        .await
        .expect("a topic");
    wants.body().await;
    assert_eq!(spared.bodies().await, Vec::<String>::new());
}

/// As the template's subscriptions pick.
async fn a_filter_finds_an_audience_in_the_list_and_what_says_none(account: &Account) {
    let mut row = announcement();
    row.entry.severity = Severity::Warning;
    let audiences = |audience: &str| {
        format!(
            r#"{{"$or": [{{"audience": ["{audience}"]}}, {{"audience": [{{"exists": false}}], "severity": ["info"]}}]}}"#
        )
    };
    // The row is for all three, so the one that it is not for is none of the stack's.
    let (on_call, others) = (audiences("on_call"), audiences("legal"));
    let on_call = [("FilterPolicy", on_call.as_str())];
    let others = [("FilterPolicy", others.as_str())];
    let hears = Queue::hearing(account, "on-call", topic(account), &on_call).await;
    let spared = Queue::hearing(account, "others", topic(account), &others).await;
    account
        .aws
        .announce(&row, None, Way::Topic)
        .await
        .expect("a topic");
    hears.body().await;
    assert_eq!(spared.bodies().await, Vec::<String>::new());
}

async fn a_named_topic_that_is_gone_is_told_apart(account: &Account) {
    let client = Client::new(&account.sdk);
    let made = client.create_topic().name(account.name("own")).send().await;
    let made = made.expect("a new topic");
    let own = made.topic_arn().expect("an ARN");
    client
        .delete_topic()
        .topic_arn(own)
        .send()
        .await
        .expect("a topic to delete");
    let mut row = announcement();
    row.topics.topic = Some(own.to_owned());
    assert!(account.aws.ways(&row).contains(&Way::Named));
    let refused = account.aws.announce(&row, None, Way::Named).await;
    // Not there for good: the outbox tells it no more.
    assert_eq!(refused.map_err(|error| error.class), Err(Class::Invalid));
    let announced = account.aws.announce(&row, None, Way::Topic).await;
    announced.expect("it is told by the stack's topic");
}
