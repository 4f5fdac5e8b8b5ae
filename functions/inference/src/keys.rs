//! The keys that sign the ids of predictions, kept for some minutes. They are read beside the first
//! request, and made by whoever finds none.
//!
//! Without them nothing stops: predictions then have plain ids, which no label can name.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shared::app::health;
use shared::app::ports::{Ambient, Class, PortError};
use shared::aws::Aws;
use shared::wire::inference_id::Keys;

/// How long keys are kept: a new one signs everywhere within it.
const LIFETIME: SignedDuration = SignedDuration::from_mins(5);
/// After a read that failed, or one that was asked for, until the next one.
const PAUSE: SignedDuration = SignedDuration::from_secs(5);
/// How long a request waits for them.
const READ_LIMIT: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Kept {
    keys: Option<Arc<Keys>>,
    /// Counts until then.
    until: Timestamp,
    /// Not to be read again before.
    earliest: Timestamp,
    /// Whether the last read succeeded.
    is_fresh: bool,
}

/// The keys as read last.
#[derive(Debug, Default)]
pub(crate) struct SigningKeys(Mutex<Kept>);

impl SigningKeys {
    /// The keys, as read within the last minutes, or last; nothing where they never could be.
    pub(crate) async fn of(&self, aws: &Aws) -> Option<Arc<Keys>> {
        let now = aws.now();
        {
            let kept = self.kept();
            if now < kept.until {
                return kept.keys.clone();
            }
        }
        self.read(aws).await
    }

    /// The keys as they are now: an id may be signed by one that is newer than those kept. Nothing where
    /// the last read failed.
    pub(crate) async fn renewed(&self, aws: &Aws) -> Option<Arc<Keys>> {
        let now = aws.now();
        let is_due = self.kept().earliest <= now;
        if is_due {
            self.read(aws).await;
        }
        let kept = self.kept();
        kept.keys.clone().filter(|_| kept.is_fresh)
    }

    async fn read(&self, aws: &Aws) -> Option<Arc<Keys>> {
        let late = || PortError::new(Class::InDoubt, "signing_keys", "no answer in time");
        let read = aws.within(READ_LIMIT, aws.signing_keys()).await;
        let read = read.unwrap_or_else(|| Err(late()));
        let mut kept = self.kept();
        let now = aws.now();
        kept.earliest = now + PAUSE;
        kept.is_fresh = read.is_ok();
        match read {
            Ok(keys) => {
                kept.keys = Some(Arc::new(keys));
                kept.until = now + LIFETIME;
            }
            Err(error) => {
                health::report(aws, None, &error);
                tracing::warn!(
                    is_known = kept.keys.is_some(),
                    "the keys of predictions' ids can't be read"
                );
                kept.until = now + PAUSE;
            }
        }
        kept.keys.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A panic elsewhere can't leave it half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
