//! What the records say about an endpoint: whether production must be asked for by name, and which
//! model stands behind which variant. Kept for a few seconds. A store that can't be read, or does not
//! answer in time, changes nothing: what was known last decides, or the weights where nothing was, and
//! for those seconds no other request waits for it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shared::app::ports::{Ambient, Class, ListQuery, PortError, Store};
use shared::aws::Aws;
use shared::domain::deployment::Deployment;

/// How long an answer is kept; well below `due::PIN_LIFETIME`, after which a variant may go.
const LIFETIME: SignedDuration = SignedDuration::from_secs(5);
/// How long a request waits for the records.
const READ_LIMIT: Duration = Duration::from_secs(1);
/// The most endpoints kept in memory.
const CAPACITY: usize = 1000;

/// What the records say about an endpoint.
#[derive(Debug, Clone, Default)]
pub(crate) struct Route {
    /// The variant that must be asked for by name.
    pub(crate) pin: Option<String>,
    /// Variants and their models, as far as a deployment tells.
    models: Vec<(String, String)>,
}

impl Route {
    /// The model behind a variant; unknown on an endpoint that never had a deployment.
    pub(crate) fn model(&self, variant: &str) -> Option<&str> {
        self.models
            .iter()
            .find(|(name, _)| name == variant)
            .map(|(_, model)| model.as_str())
    }
}

/// The answers of the last seconds.
#[derive(Debug, Default)]
pub(crate) struct Routes(Mutex<HashMap<String, (Timestamp, Route)>>);

impl Routes {
    /// What the records say, or said a few seconds ago.
    pub(crate) async fn of(&self, aws: &Aws, endpoint: &str) -> Route {
        if let Some((at, route)) = self.kept().get(endpoint)
            && aws.now().duration_since(*at) < LIFETIME
        {
            return route.clone();
        }
        let late = || PortError::new(Class::InDoubt, "route", "no answer in time");
        let read = aws.within(READ_LIMIT, read(aws, endpoint)).await;
        let route = match read.unwrap_or_else(|| Err(late())) {
            Ok(route) => route,
            Err(error) => {
                tracing::warn!(endpoint, %error, "the records can't be read: what was known last decides");
                let kept = self.kept();
                kept.get(endpoint)
                    .map(|(_, route)| route.clone())
                    .unwrap_or_default()
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

    /// The pinned variant is gone: by the weights, until the records are read again.
    pub(crate) fn unpin(&self, aws: &Aws, endpoint: &str) {
        if let Some((at, route)) = self.kept().get_mut(endpoint) {
            (*at, route.pin) = (aws.now(), None);
        }
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<String, (Timestamp, Route)>> {
        // A panic elsewhere can't leave the map half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From the deployment that holds the lock, or else from the endpoint's last one.
async fn read(aws: &Aws, endpoint: &str) -> Result<Route, PortError> {
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
    Ok(deployment.as_ref().map(route).unwrap_or_default())
}

fn route(deployment: &Deployment) -> Route {
    let terms = &deployment.terms;
    Route {
        pin: deployment
            .pins_production()
            .then(|| terms.production.clone()),
        models: vec![
            (terms.production.clone(), terms.former_model.clone()),
            (terms.canary.clone(), terms.model.clone()),
        ],
    }
}
