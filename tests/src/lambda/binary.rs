//! One function that a test talks to.

use std::path::Path;

use serde_json::{Value, json};
use simulator::Outcome;

use super::process::{Log, Process};
use super::{Account, environment};
use crate::World;

/// A running function.
pub struct Binary {
    process: Process,
    /// Ends with this value.
    _account: Account,
}

impl Binary {
    /// Starts a binary over the account of this world.
    pub async fn start(path: &str, world: &World, more: &[(&str, &str)]) -> Self {
        let account = Account::serve(&world.stack.simulator).await;
        let mut environment = environment(world, &account);
        let more = more
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        environment.extend(more);
        let process =
            Process::start("under-test", Path::new(path), &environment, &Log::default()).await;
        Self {
            process,
            _account: account,
        }
    }

    /// What becomes of an event, whatever its bytes.
    ///
    /// # Panics
    /// When the process ends instead.
    pub async fn invoke(&mut self, event: impl Into<Vec<u8>>) -> Outcome {
        self.process
            .invoke(event.into())
            .await
            .unwrap_or_else(|ended| panic!("the process ended: {ended}"))
    }

    /// The answer to an event that must be taken.
    ///
    /// # Panics
    /// When it fails.
    pub async fn answer(&mut self, event: &Value) -> Value {
        match self.invoke(event.to_string()).await {
            Outcome::Answered(answer) => answer,
            failed @ Outcome::Failed { .. } => panic!("{event}: {failed:?}"),
        }
    }

    /// Every malformed wake fails in words that name what is wrong, so that it ends in the failure
    /// queue; the next good one is carried out all the same.
    ///
    /// # Panics
    /// When one is not.
    pub async fn assert_refuses_malformed_wakes(&mut self, good: &Value) {
        let unknown = "019c0000-0000-7000-8000-00000000dead";
        let long = format!("\"{}\"", "x".repeat(900_000));
        for (event, named) in [
            (String::new(), "EOF"),
            ("null".to_owned(), "null"),
            ("[]".to_owned(), "struct Wake"),
            ("{".to_owned(), "EOF"),
            ("7".to_owned(), "integer `7`"),
            ("{}".to_owned(), "deployment_id"),
            (json!({"deployment_id": "x"}).to_string(), "version"),
            (
                json!({"deployment_id": 7, "version": 1}).to_string(),
                "deployment_id",
            ),
            (
                json!({"deployment_id": "x", "version": -1}).to_string(),
                "version",
            ),
            (
                json!({"deployment_id": "x", "version": 1, "force": true}).to_string(),
                "force",
            ),
            (
                json!({"deployment_id": unknown, "version": 1}).to_string(),
                unknown,
            ),
            (long, "string"),
        ] {
            let shown = &event[..event.len().min(80)];
            let Outcome::Failed { message, kind } = self.invoke(event.as_str()).await else {
                panic!("{shown} was taken");
            };
            assert!(
                message.contains(named),
                "{named} in {shown}: {kind}: {message:.300}"
            );
            self.answer(good).await;
        }
    }
}
