//! What `inference` keeps of predictions: the keys that sign their ids, and which of them were labelled.

use aws_sdk_dynamodb::types::AttributeValue;

use super::super::Aws;
use super::super::error::{nonsense, sort};
use super::{read, text, write};
use crate::app::ports::{Ambient, Class, PortError};
use crate::wire::inference_id::{Keys, Secret};
use crate::wire::items::{LabelItem, SIGNING_KEYS, SigningKeysItem};

impl Aws {
    /// The keys that sign the ids of predictions. Whoever finds none, or an old one, makes the next; of
    /// several who do so at once one writes it, and the others take that.
    pub async fn signing_keys(&self) -> Result<Keys, PortError> {
        const OPERATION: &str = "signing_keys";
        let found = self.signing_row().await?;
        let now = self.now();
        let row = match found {
            Some(row) if !row.is_old(now) => row,
            found => {
                let next = SigningKeysItem::after(found.as_ref(), secret(OPERATION)?, now);
                match self.put_signing_row(&next, found.as_ref()).await {
                    Ok(()) => next,
                    Err(error) if error.class == Class::Conflict => {
                        let row = self.signing_row().await?;
                        row.ok_or_else(|| nonsense(OPERATION, "the row is gone".to_owned()))?
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        row.keys()
            .ok_or_else(|| nonsense(OPERATION, "the row holds no keys".to_owned()))
    }

    async fn signing_row(&self) -> Result<Option<SigningKeysItem>, PortError> {
        self.get(SIGNING_KEYS, "KEY").await?.map(read).transpose()
    }

    async fn put_signing_row(
        &self,
        next: &SigningKeysItem,
        before: Option<&SigningKeysItem>,
    ) -> Result<(), PortError> {
        let put = self.dynamodb.put_item().table_name(&self.config.table);
        let put = put.set_item(Some(write(next)?));
        let put = match before {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(before) => put
                .condition_expression("#version = :version")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(
                    ":version",
                    AttributeValue::N(before.version.to_string()),
                ),
        };
        let sent = put.send().await;
        sent.map(drop).map_err(|error| sort("PutItem", &error))
    }

    /// Notes that a prediction is labelled; false where it was before. The SDK's own repetition of a
    /// write whose answer was lost is no second label: it carries the same name.
    pub async fn label(&self, item: &LabelItem) -> Result<bool, PortError> {
        let put = self.dynamodb.put_item().table_name(&self.config.table);
        let put = put
            .set_item(Some(write(item)?))
            .condition_expression("attribute_not_exists(pk) OR #by = :by")
            .expression_attribute_names("#by", "by")
            .expression_attribute_values(":by", text(&item.by));
        match put.send().await.map_err(|error| sort("PutItem", &error)) {
            Ok(_) => Ok(true),
            Err(error) if error.class == Class::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn secret(operation: &'static str) -> Result<Secret, PortError> {
    let mut secret = Secret::default();
    getrandom::fill(&mut secret)
        .map_err(|error| PortError::new(Class::Retryable, operation, error.to_string()))?;
    Ok(secret)
}
