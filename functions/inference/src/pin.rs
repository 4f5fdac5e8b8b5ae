//! Which endpoints have production pinned: read from the records, kept for a few seconds. A store
//! that can't be read means no pin: the weights decide, as they would without this function.

use std::collections::HashMap;
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use shared::app::ports::{Ambient, Store};
use shared::aws::Aws;

/// How long an answer is kept; well below `due::PIN_LIFETIME`, after which a variant may go.
const LIFETIME: SignedDuration = SignedDuration::from_secs(5);
/// The most endpoints kept in memory.
const CAPACITY: usize = 1000;

/// The answers of the last seconds.
#[derive(Debug, Default)]
pub(crate) struct Pins(Mutex<HashMap<String, (Timestamp, Option<String>)>>);

impl Pins {
    /// The variant that must be asked for by name, if any.
    pub(crate) async fn of(&self, aws: &Aws, endpoint: &str) -> Option<String> {
        let now = aws.now();
        if let Some((at, pin)) = self.kept().get(endpoint)
            && now.duration_since(*at) < LIFETIME
        {
            return pin.clone();
        }
        let pin = read(aws, endpoint).await;
        let mut kept = self.kept();
        if kept.len() >= CAPACITY {
            kept.clear();
        }
        kept.insert(endpoint.to_owned(), (now, pin.clone()));
        pin
    }

    /// Forgets an endpoint whose pinned variant is gone.
    pub(crate) fn forget(&self, endpoint: &str) {
        self.kept().remove(endpoint);
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Timestamp, Option<String>)>> {
        // A panic elsewhere can't leave the map half written.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

async fn read(aws: &Aws, endpoint: &str) -> Option<String> {
    let found = async {
        let Some(id) = aws.lock_holder(endpoint).await? else { return Ok(None) };
        aws.load(&id).await
    };
    match found.await {
        Ok(Some(loaded)) if loaded.deployment.pins_production() => Some(loaded.deployment.terms.production),
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(endpoint, %error, "the records can't be read: the weights decide");
            None
        }
    }
}
