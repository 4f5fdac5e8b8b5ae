//! What the records say about an endpoint: who is asked of which variant by name, which model stands
//! behind which variant, and how the model's answers are read. Kept for a few seconds. Where the store
//! can't be read, or does not answer in time, nobody is sent to the canary by name any longer: a rollback
//! may have begun that this process can't see. The weights decide, or production where it was asked for by
//! name before; and for those seconds no other request waits for the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shared::app::health;
use shared::app::ports::{Ambient, Class, ListQuery, PortError, Store};
use shared::aws::Aws;
use shared::domain::deployment::Deployment;
use shared::domain::model_signals::Readings;
use shared::domain::quantity::Weight;
use shared::domain::routing::Sticky;

/// How long an answer is kept; well below `due::PIN_LIFETIME`, after which a variant may go.
const LIFETIME: SignedDuration = SignedDuration::from_secs(5);
/// How long a request waits for the records.
const READ_LIMIT: Duration = Duration::from_secs(1);
/// The most endpoints kept in memory.
const CAPACITY: usize = 1000;

/// What the records say about an endpoint.
#[derive(Debug, Clone, Default)]
pub(crate) struct Route {
    /// When this was read, now or before; nothing is known without it.
    pub(crate) read_at: Option<Timestamp>,
    /// The deployment that is under way.
    pub(crate) active: Option<String>,
    /// How the model's answers are read, by the deployment that is under way or was the last.
    pub(crate) readings: Option<Readings>,
    /// The variant that everybody must be asked of by name.
    pin: Option<String>,
    /// How users are told apart by the deployment that is under way.
    sticky: Option<Sticky>,
    /// The share of users that are asked of the canary, while they are.
    share: Option<Weight>,
    /// Production and canary with their models, as far as a deployment tells.
    variants: Option<[(String, String); 2]>,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The variant to ask for by name; by the weights without one.
    pub(crate) variant: Option<String>,
    /// Whether that is the canary.
    pub(crate) is_canary: Option<bool>,
    /// The user's bucket, where users are told apart.
    pub(crate) bucket: Option<u8>,
}

impl Route {
    /// The model behind a variant; unknown on an endpoint that never had a deployment.
    pub(crate) fn model(&self, variant: &str) -> Option<&str> {
        let known = self.variants.iter().flatten();
        let mut known = known.filter(|(name, _)| name == variant);
        known.next().map(|(_, model)| model.as_str())
    }

    /// What is still true of it when the store can't be read.
    fn unread(&self) -> Self {
        Self {
            share: None,
            ..self.clone()
        }
    }

    /// Whether it is counted which requests were asked for by name.
    pub(crate) const fn counts_names(&self) -> bool {
        self.sticky.is_some()
    }

    /// Where a user's request goes: a pin is for everybody, a share for those who can be told apart.
    pub(crate) fn target(&self, user: Option<&str>) -> Target {
        let bucket = self.sticky.as_ref().zip(user);
        let bucket = bucket.map(|(sticky, user)| sticky.bucket(user));
        let (variant, is_canary) = match (&self.pin, self.share, bucket, &self.variants) {
            (Some(pin), ..) => (Some(pin.clone()), Some(false)),
            (None, Some(share), Some(bucket), Some([production, canary])) => {
                let is_canary = Sticky::is_canary(bucket, share);
                let (name, _) = if is_canary { canary } else { production };
                (Some(name.clone()), Some(is_canary))
            }
            _ => (None, None),
        };
        Target {
            variant,
            is_canary,
            bucket,
        }
    }
}

/// The answers of the last seconds.
#[derive(Debug, Default)]
pub(crate) struct Routes(Mutex<HashMap<String, (Timestamp, Arc<Route>)>>);

impl Routes {
    /// What the records say, or said a few seconds ago.
    pub(crate) async fn of(&self, aws: &Aws, endpoint: &str) -> Arc<Route> {
        if let Some((at, route)) = self.kept().get(endpoint)
            && aws.now().duration_since(*at) < LIFETIME
        {
            return route.clone();
        }
        let late = || PortError::new(Class::InDoubt, "route", "no answer in time");
        let read = aws.within(READ_LIMIT, read(aws, endpoint)).await;
        let route = match read.unwrap_or_else(|| Err(late())) {
            Ok(route) => Arc::new(route),
            Err(error) => {
                health::report(aws, None, &error);
                tracing::warn!(
                    endpoint,
                    "the records can't be read: nobody is sent to the canary by name"
                );
                let kept = self.kept();
                let known = kept.get(endpoint).map(|(_, route)| route.unread());
                Arc::new(known.unwrap_or_default())
            }
        };
        let mut kept = self.kept();
        if kept.len() >= CAPACITY {
            kept.clear();
        }
        // From the end of the read: a failure that counted from its beginning would be over already
        // where the store is slow.
        kept.insert(endpoint.to_owned(), (aws.now(), route.clone()));
        route
    }

    /// A variant that was asked for by name is gone: by the weights, until the records are read again.
    pub(crate) fn unpin(&self, aws: &Aws, endpoint: &str) {
        if let Some((at, route)) = self.kept().get_mut(endpoint) {
            *at = aws.now();
            let route = Arc::make_mut(route);
            (route.pin, route.share) = (None, None);
        }
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<String, (Timestamp, Arc<Route>)>> {
        // A panic elsewhere can't leave the map half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From the deployment that holds the lock, or else from the endpoint's last one.
async fn read(aws: &Aws, endpoint: &str) -> Result<Route, PortError> {
    let read_at = Some(aws.now());
    let deployment = if let Some(id) = aws.lock_holder(endpoint).await? {
        aws.load(&id).await?.map(|loaded| loaded.deployment)
    } else {
        let newest = ListQuery {
            endpoint: Some(endpoint.to_owned()),
            limit: 1,
            cursor: None,
        };
        aws.list(&newest).await?.items.pop()
    };
    Ok(Route {
        read_at,
        ..deployment.as_ref().map(route).unwrap_or_default()
    })
}

fn route(deployment: &Deployment) -> Route {
    let terms = &deployment.terms;
    let is_active = !deployment.state.status.is_terminal();
    Route {
        read_at: None,
        active: is_active.then(|| terms.id.clone()),
        readings: terms.readings.clone(),
        pin: deployment
            .pins_production()
            .then(|| terms.production.clone()),
        sticky: terms.routing.clone().filter(|_| is_active),
        share: deployment.sticky_share().map(|(_, share)| share),
        variants: Some([
            (terms.production.clone(), terms.former_model.clone()),
            (terms.canary.clone(), terms.model.clone()),
        ]),
    }
}
