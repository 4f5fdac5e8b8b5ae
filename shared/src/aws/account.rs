//! The way into an account: the SDK's settings and the clock, from the environment of a function.
//!
//! Lambda's credentials are in the environment and stay what they are for as long as the process lives,
//! so the SDK's search through profiles, containers and metadata services is left out: it costs a cold
//! start time, and its code is larger than a service's. One connector serves every client: the SDK would
//! parse the certificates of the machine once for each client that is made, and once more when it calls.
//! They are parsed at the start and not at the first call, because Lambda gives a whole processor to a
//! start and a part of one to an event.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::SharedCredentialsProvider;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use jiff::Timestamp;

use super::{TimeSource, bounded, trust};
use crate::config::{Account, AccountError};

/// The SDK's settings for this account.
pub(super) fn sdk_config(account: Account) -> SdkConfig {
    let mut sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(account.region))
        .credentials_provider(SharedCredentialsProvider::new(
            EnvironmentVariableCredentialsProvider::new(),
        ))
        .http_client(http_client())
        .timeout_config(bounded());
    sdk.set_use_fips(Some(account.fips));
    sdk.set_use_dual_stack(Some(account.dual_stack));
    sdk.set_endpoint_url(account.endpoint);
    sdk.set_service_config(Some(ServiceAddresses(account.services)));
    sdk.build()
}

/// The addresses of single services. The SDK asks for more than addresses here, and would find it in
/// profiles; a function has none.
#[derive(Debug)]
struct ServiceAddresses(BTreeMap<String, String>);

impl LoadServiceConfig for ServiceAddresses {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_ascii_uppercase().replace(' ', "_");
        let is_address = key.env() == "AWS_ENDPOINT_URL";
        is_address.then(|| self.0.get(&service).cloned())?
    }
}

/// As the SDK has it; the time of a whole call is limited elsewhere.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3100);

/// The same connector, and with it the same connections, for every client.
#[derive(Debug)]
struct OneConnector(SharedHttpConnector);

impl HttpClient for OneConnector {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.0.clone()
    }
}

fn http_client() -> SharedHttpClient {
    let settings = HttpConnectorSettings::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .build();
    let trusted = TlsContext::builder()
        .with_trust_store(trust::store())
        .build();
    let connector = Connector::builder()
        .tls_provider(Provider::rustls(CryptoMode::Ring))
        .tls_context(trusted.unwrap_or_default())
        .connector_settings(settings)
        .proxy_config(ProxyConfig::from_env())
        .build();
    SharedHttpClient::new(OneConnector(SharedHttpConnector::new(connector)))
}

/// The clock of the real world.
pub(super) fn wall_clock() -> TimeSource {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the wall clock enters"
    )]
    Arc::new(Timestamp::now)
}

/// The clock of a simulated account: a file with a timestamp, which whoever drives the account writes.
pub(super) fn clock_in(file: &Path) -> Result<TimeSource, AccountError> {
    let unreadable = || AccountError::UnreadableClock(file.to_owned());
    let last = Mutex::new(read(file).ok_or_else(unreadable)?);
    let file = PathBuf::from(file);
    Ok(Arc::new(move || {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        // A file that is gone is a world that has ended: time stands still.
        *last = read(&file).unwrap_or(*last);
        *last
    }))
}

fn read(file: &Path) -> Option<Timestamp> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_service_may_be_somewhere_else() {
        let address = "https://vpce-1.example.com".to_owned();
        let elsewhere =
            ServiceAddresses([("APPLICATION_AUTO_SCALING".to_owned(), address.clone())].into());
        let asked = |service, env| {
            let key = ServiceConfigKey::builder().service_id(service).env(env);
            let key = key
                .profile("endpoint_url")
                .build()
                .expect("all three are set");
            elsewhere.load_config(key)
        };
        let (scaling, variable) = ("Application Auto Scaling", "AWS_ENDPOINT_URL");
        assert_eq!(asked(scaling, variable), Some(address));
        assert_eq!(asked("SageMaker", variable), None);
        assert_eq!(asked(scaling, "AWS_REGION"), None);
    }
}
