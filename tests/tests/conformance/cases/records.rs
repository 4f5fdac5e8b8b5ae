//! DynamoDB's adapter: every promise of `tests::records`, and the table itself.

use aws_sdk_dynamodb::types::TimeToLiveSpecification;
use shared::app::ports::Store as _;

use super::Case;
use crate::account::Account;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases =
        super::cases!("dynamodb": the_table_expires_its_items, a_table_that_is_there_is_left_alone);
    macro_rules! held {
        ($($name:ident),+ $(,)?) => {
            $(cases.push(Case::new("dynamodb", stringify!($name), |account| {
                Box::pin(async move {
                    table(&account).await;
                    tests::records::$name(&account.aws, &account.clock).await;
                })
            }));)+
        };
    }
    tests::every_promise!(held);
    cases
}

/// The table, with nothing that removes items by the wall clock: the records' own time is another.
async fn table(account: &Account) {
    account.aws.create_table().await.expect("a new table");
    if account.simulator.is_none() {
        let off = TimeToLiveSpecification::builder()
            .attribute_name("expires_at")
            .enabled(false);
        let client = aws_sdk_dynamodb::Client::new(&account.sdk);
        client
            .update_time_to_live()
            .table_name(account.name("canary"))
            .time_to_live_specification(off.build().expect("both members are set"))
            .send()
            .await
            .expect("a table whose items stay");
    }
}

async fn the_table_expires_its_items(account: &Account) {
    account.aws.create_table().await.expect("a new table");
    let client = aws_sdk_dynamodb::Client::new(&account.sdk);
    let described = client
        .describe_time_to_live()
        .table_name(account.name("canary"))
        .send()
        .await
        .expect("a table");
    let found = described.time_to_live_description().expect("a description");
    assert_eq!(found.attribute_name(), Some("expires_at"));
    let status = found.time_to_live_status().expect("a status").as_str();
    assert!(status.starts_with("ENABL"), "{status}");
}

async fn a_table_that_is_there_is_left_alone(account: &Account) {
    for _ in 0..2 {
        account.aws.create_table().await.expect("the table");
    }
    assert_eq!(account.aws.lock_holder("nobody").await, Ok(None));
}
