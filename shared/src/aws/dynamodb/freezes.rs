//! The freeze switch in the table. Who turns it, and whoever begins a deployment, does so on the
//! condition that the switch is as it was read: told by when a freeze was ordered and when it ends, so
//! that fields of a later version don't make it one that nobody can lift.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem};

use super::super::Aws;
use super::super::error::nonsense;
use super::{read, text, write};
use crate::app::ports::{FreezeTurn, PortError};
use crate::domain::freeze::{EVERY_ENDPOINT, Freeze, Freezes};
use crate::wire::items::{FREEZE_KEY, FreezeItem, lock_key};

/// A condition, with the names and the values in it.
struct Condition {
    expression: &'static str,
    names: Option<HashMap<String, String>>,
    values: Option<HashMap<String, AttributeValue>>,
}

impl Condition {
    /// That this is what lies there.
    fn unchanged(before: Option<&Freeze>) -> Self {
        let Some(freeze) = before else {
            return Self {
                expression: "attribute_not_exists(pk)",
                names: None,
                values: None,
            };
        };
        let names = [("#freeze", "freeze"), ("#at", "at"), ("#until", "until")];
        let names = names.map(|(name, attribute)| (name.to_owned(), attribute.to_owned()));
        let mut values = HashMap::from([(":at".to_owned(), text(freeze.at.to_string()))]);
        let expression = match freeze.until {
            Some(until) => {
                values.insert(":until".to_owned(), text(until.to_string()));
                "#freeze.#at = :at AND #freeze.#until = :until"
            }
            None => "#freeze.#at = :at AND attribute_not_exists(#freeze.#until)",
        };
        Self {
            expression,
            names: Some(names.into()),
            values: Some(values),
        }
    }
}

fn unbuilt(error: &impl ToString) -> PortError {
    nonsense("TransactWriteItems", error.to_string())
}

fn key(endpoint: &str) -> HashMap<String, AttributeValue> {
    HashMap::from([
        ("pk".to_owned(), text(lock_key(endpoint))),
        ("sk".to_owned(), text(FREEZE_KEY)),
    ])
}

impl Aws {
    /// What was set under this name.
    pub(super) async fn freeze_of(&self, name: &str) -> Result<Option<Freeze>, PortError> {
        let item = self.get(&lock_key(name), FREEZE_KEY).await?;
        let item: Option<FreezeItem> = item.map(read).transpose()?;
        Ok(item.map(|item| item.freeze))
    }

    /// Sets or removes it.
    pub(super) fn write_freeze(&self, turn: &FreezeTurn) -> Result<TransactWriteItem, PortError> {
        let condition = Condition::unchanged(turn.before);
        let item = TransactWriteItem::builder();
        let Some(freeze) = turn.next else {
            let delete = Delete::builder()
                .table_name(&self.config.table)
                .set_key(Some(key(turn.endpoint)))
                .condition_expression(condition.expression)
                .set_expression_attribute_names(condition.names)
                .set_expression_attribute_values(condition.values);
            let delete = delete.build().map_err(|error| unbuilt(&error))?;
            return Ok(item.delete(delete).build());
        };
        let row = FreezeItem {
            pk: lock_key(turn.endpoint),
            sk: FREEZE_KEY.to_owned(),
            freeze: freeze.clone(),
        };
        let put = Put::builder()
            .table_name(&self.config.table)
            .set_item(Some(write(&row)?))
            .condition_expression(condition.expression)
            .set_expression_attribute_names(condition.names)
            .set_expression_attribute_values(condition.values);
        let put = put.build().map_err(|error| unbuilt(&error))?;
        Ok(item.put(put).build())
    }

    /// That nobody has turned either switch since.
    pub(super) fn freezes_unchanged(
        &self,
        endpoint: &str,
        read: &Freezes,
    ) -> Result<Vec<TransactWriteItem>, PortError> {
        let both = [(endpoint, &read.own), (EVERY_ENDPOINT, &read.stack)];
        let checks = both.into_iter().map(|(name, before)| {
            let condition = Condition::unchanged(before.as_ref());
            let check = ConditionCheck::builder()
                .table_name(&self.config.table)
                .set_key(Some(key(name)))
                .condition_expression(condition.expression)
                .set_expression_attribute_names(condition.names)
                .set_expression_attribute_values(condition.values);
            let check = check.build().map_err(|error| unbuilt(&error))?;
            Ok(TransactWriteItem::builder().condition_check(check).build())
        });
        checks.collect()
    }
}
