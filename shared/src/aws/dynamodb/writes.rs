//! The parts of a transaction, and what a cancelled one means.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem,
};
use serde::Serialize;

use super::super::Aws;
use super::super::error::{nonsense, sort};
use super::{text, write};
use crate::app::ports::{Ambient, Class, IdempotencyClaim, PortError, Refused};
use crate::wire::items::{self, KeyItem, deployment_key, idempotency_key, lock_key};

impl Aws {
    pub(super) fn put(&self, item: &impl Serialize) -> Result<TransactWriteItem, PortError> {
        Self::built(
            Put::builder()
                .table_name(&self.config.table)
                .set_item(Some(write(item)?)),
        )
    }

    pub(super) fn put_new(&self, item: &impl Serialize) -> Result<TransactWriteItem, PortError> {
        let put = Put::builder()
            .table_name(&self.config.table)
            .set_item(Some(write(item)?))
            .condition_expression("attribute_not_exists(pk)");
        Self::built(
            put.return_values_on_condition_check_failure(
                ReturnValuesOnConditionCheckFailure::AllOld,
            ),
        )
    }

    pub(super) fn put_if(
        &self,
        item: &impl Serialize,
        attribute: &str,
        is: AttributeValue,
    ) -> Result<TransactWriteItem, PortError> {
        let put = Put::builder()
            .table_name(&self.config.table)
            .set_item(Some(write(item)?))
            .condition_expression("#attribute = :is");
        Self::built(
            put.expression_attribute_names("#attribute", attribute)
                .expression_attribute_values(":is", is),
        )
    }

    fn built(
        put: aws_sdk_dynamodb::types::builders::PutBuilder,
    ) -> Result<TransactWriteItem, PortError> {
        let put = put
            .build()
            .map_err(|error| nonsense("TransactWriteItems", error.to_string()))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// A key that has expired may be taken again.
    pub(super) fn put_key(&self, claim: &IdempotencyClaim) -> Result<TransactWriteItem, PortError> {
        let now = self.now();
        let item = KeyItem {
            pk: idempotency_key(&claim.key),
            sk: "IDEM".to_owned(),
            digest: claim.digest.clone(),
            deployment_id: claim.deployment_id.clone(),
            expires_at: items::expiry(now, items::KEY_LIFETIME),
        };
        let put = Put::builder()
            .table_name(&self.config.table)
            .set_item(Some(write(&item)?));
        let put = put.condition_expression("attribute_not_exists(pk) OR expires_at <= :now");
        Self::built(
            put.expression_attribute_values(":now", AttributeValue::N(now.as_second().to_string())),
        )
    }

    /// That a part of the record is still as it was read.
    pub(super) fn unchanged(
        &self,
        id: &str,
        part: &str,
        attribute: &str,
        is: AttributeValue,
    ) -> Result<TransactWriteItem, PortError> {
        let check = ConditionCheck::builder()
            .table_name(&self.config.table)
            .key("pk", text(deployment_key(id)))
            .key("sk", text(part));
        let check = check
            .condition_expression("#attribute = :is")
            .expression_attribute_names("#attribute", attribute)
            .expression_attribute_values(":is", is);
        let check = check
            .build()
            .map_err(|error| nonsense("TransactWriteItems", error.to_string()))?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    pub(super) fn free_lock(
        &self,
        endpoint: &str,
        id: &str,
    ) -> Result<TransactWriteItem, PortError> {
        let delete = Delete::builder()
            .table_name(&self.config.table)
            .key("pk", text(lock_key(endpoint)))
            .key("sk", text("LOCK"));
        let delete = delete
            .condition_expression("deployment_id = :id")
            .expression_attribute_values(":id", text(id));
        let delete = delete
            .build()
            .map_err(|error| nonsense("TransactWriteItems", error.to_string()))?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    /// The lock is the first write, so many checks of freezes follow, and the key is the last one.
    pub(super) fn creation_refused(
        error: &SdkError<TransactWriteItemsError>,
        freezes: usize,
    ) -> Refused {
        if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
            error.as_service_error()
        {
            let reasons = cancelled.cancellation_reasons();
            let failed = |reason: &aws_sdk_dynamodb::types::CancellationReason| {
                reason.code() == Some("ConditionalCheckFailed")
            };
            if let Some(lock) = reasons.first().filter(|reason| failed(reason)) {
                let holder = lock
                    .item()
                    .and_then(|item| item.get("deployment_id"))
                    .and_then(|id| id.as_s().ok());
                return Refused::Locked {
                    by: holder.cloned().unwrap_or_default(),
                };
            }
            if reasons.iter().skip(1).take(freezes).any(failed) {
                return Refused::FreezeTurned;
            }
            if reasons.last().is_some_and(failed) {
                return Refused::KeyTaken;
            }
        }
        Refused::Port(transaction_error("create", error))
    }
}

pub(super) fn transaction_error(
    operation: &'static str,
    error: &SdkError<TransactWriteItemsError>,
) -> PortError {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
        error.as_service_error()
    else {
        return sort(operation, error);
    };
    let codes: Vec<&str> = cancelled
        .cancellation_reasons()
        .iter()
        .filter_map(|reason| reason.code())
        .filter(|code| *code != "None")
        .collect();
    let class =
        if codes.contains(&"ConditionalCheckFailed") || codes.contains(&"TransactionConflict") {
            Class::Conflict
        } else if codes
            .iter()
            .all(|code| code.contains("Throttl") || code.contains("Exceeded"))
        {
            Class::Retryable
        } else {
            Class::Bug
        };
    PortError::new(class, operation, codes.join(", "))
}
