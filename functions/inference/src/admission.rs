//! Who may ask which endpoint, kept for a minute: the tags are read beside the first request to an
//! endpoint and then now and again, never per request.
//!
//! When they can't be read, what was read last goes on deciding: an outage of the tagging API stops
//! no traffic that was admitted before it. Where nothing was read, nobody is admitted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shared::app::health;
use shared::app::ports::{Access, Ambient, Class, Meter, PortError};
use shared::domain::authority::Grants;
use tokio::sync::Mutex as Turn;

/// How long grants are kept: a change of tags shows within it, and the tagging API's own delay.
const LIFETIME: SignedDuration = SignedDuration::from_secs(60);
/// After a read that failed, until the next one, where something is known.
const STALE_LIFETIME: SignedDuration = SignedDuration::from_secs(10);
/// The same where nothing is: whoever waits for the same read shares its failure.
const FAILURE_LIFETIME: SignedDuration = SignedDuration::from_secs(1);
/// How long a request waits for a read whose result it could do without.
const REFRESH_LIMIT: Duration = Duration::from_secs(1);
/// How long a request waits for the first read.
const READ_LIMIT: Duration = Duration::from_secs(8);
/// The most endpoints kept in memory.
const CAPACITY: usize = 1000;

/// What is known of an endpoint, and until when it counts.
type Kept = Option<(Timestamp, Result<Arc<Grants>, PortError>)>;

/// What is known of each endpoint. Whoever reads holds the endpoint's turn; the others wait for what
/// it brings.
#[derive(Debug, Default)]
pub(crate) struct Admissions(Mutex<HashMap<String, Arc<Turn<Kept>>>>);

impl Admissions {
    /// Who has which role on the endpoint, as read within the last minute, or last.
    /// A read that fails is reported once, however many wait for it.
    pub(crate) async fn grants<A: Access, T: Ambient + Meter>(
        &self,
        access: &A,
        ambient: &T,
        endpoint: &str,
    ) -> Result<Arc<Grants>, PortError> {
        let entry = self.entry(endpoint);
        let mut kept = entry.lock().await;
        if let Some((until, known)) = &*kept
            && ambient.now() < *until
        {
            return known.clone();
        }
        let stale = kept.take().and_then(|(_, known)| known.ok());
        let limit = if stale.is_some() {
            REFRESH_LIMIT
        } else {
            READ_LIMIT
        };
        let late = || PortError::new(Class::Retryable, "tags", "no answer in time");
        let read = ambient.within(limit, access.tags(endpoint)).await;
        let (lifetime, known) = match read.unwrap_or_else(|| Err(late())) {
            Ok(tags) => {
                let defaults = &access.settings().defaults;
                let grants = Grants::of(&tags.unwrap_or_default(), defaults);
                (LIFETIME, Ok(Arc::new(grants)))
            }
            Err(error) => {
                health::report(ambient, None, &error);
                tracing::warn!(
                    endpoint,
                    is_known = stale.is_some(),
                    "the endpoint's tags can't be read"
                );
                match stale {
                    Some(grants) => (STALE_LIFETIME, Ok(grants)),
                    None => (FAILURE_LIFETIME, Err(error)),
                }
            }
        };
        *kept = Some((ambient.now() + lifetime, known.clone()));
        known
    }

    fn entry(&self, endpoint: &str) -> Arc<Turn<Kept>> {
        // A panic elsewhere can't leave the map half written.
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // In lower case, as in the ARN: one endpoint has one entry.
        let name = endpoint.to_ascii_lowercase();
        if !entries.contains_key(&name) && entries.len() >= CAPACITY {
            let least = entries.iter().min_by_key(|(_, entry)| lasts_until(entry));
            if let Some(least) = least.map(|(name, _)| name.clone()) {
                entries.remove(&least);
            }
        }
        entries.entry(name).or_default().clone()
    }
}

/// Until when an entry counts; one that is being read just now for ever.
fn lasts_until(entry: &Turn<Kept>) -> Timestamp {
    entry.try_lock().map_or(Timestamp::MAX, |kept| {
        kept.as_ref().map_or(Timestamp::MIN, |(until, _)| *until)
    })
}
