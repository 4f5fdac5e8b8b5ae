//! What is held, service by service.

mod config_copy;
mod endpoints;
mod metrics;
mod records;
mod registry;
mod rollouts;
mod scaling;
mod topics;

use std::pin::Pin;
use std::sync::Arc;

use crate::account::Account;

/// A case under way.
pub(crate) type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Something that holds on AWS; it panics where it does not.
pub(crate) struct Case {
    /// What holds.
    pub(crate) name: String,
    /// The service it is about, as endpoints name it.
    pub(crate) service: &'static str,
    /// Holds it on an account.
    pub(crate) run: Box<dyn FnOnce(Arc<Account>) -> Running + Send>,
}

impl Case {
    fn new(
        service: &'static str,
        name: &str,
        run: impl FnOnce(Arc<Account>) -> Running + Send + 'static,
    ) -> Self {
        Self {
            name: name.replace('_', " "),
            service,
            run: Box::new(run),
        }
    }
}

/// The cases of one service, out of its functions' names.
macro_rules! cases {
    ($service:literal: $($name:ident),+ $(,)?) => {
        vec![$($crate::cases::Case::new(
            $service,
            stringify!($name),
            |account| Box::pin(async move { $name(&account).await }),
        )),+]
    };
}
use cases;

/// Every case there is.
pub(crate) fn all() -> Vec<Case> {
    let mut all = endpoints::cases();
    all.extend(config_copy::cases());
    all.extend(registry::cases());
    all.extend(scaling::cases());
    all.extend(records::cases());
    all.extend(metrics::cases());
    all.extend(topics::cases());
    all.extend(rollouts::cases());
    all
}
