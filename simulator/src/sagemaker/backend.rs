//! What answers for a model: a real HTTP server, or a distribution to draw answers from.

use http::Uri;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// The 99th percentile of the standard normal distribution.
const NORMAL_P99: f64 = 2.326_347_874;
const REFUSAL: &str = "an image that is a URL must be http://127.0.0.1:PORT or http://localhost:PORT: \
                       the simulator serves from loopback only";

/// What serves a model.
#[derive(Clone, Debug)]
pub enum Backend {
    /// A server that keeps the container contract: `POST {url}/invocations`.
    Http {
        /// Scheme, host and port, for instance `http://127.0.0.1:8080`.
        url: String,
    },
    /// Made-up answers.
    Distribution(Distribution),
    /// What a function makes of each body, with latencies and errors drawn from a distribution.
    Function {
        /// The body of an answer to the body of a request.
        answer: fn(&[u8]) -> Vec<u8>,
        /// How long it takes, and how often it fails.
        like: Distribution,
    },
}

/// How made-up answers behave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distribution {
    /// Median model latency; the latency is lognormal.
    pub latency_p50_ms: f64,
    /// 99th percentile of the model latency.
    pub latency_p99_ms: f64,
    /// Share of answers that are 5XX, from 0 to 1.
    pub error_rate: f64,
    /// Share of answers that are 4XX, from 0 to 1.
    pub client_error_rate: f64,
}

impl Default for Distribution {
    fn default() -> Self {
        Self {
            latency_p50_ms: 20.0,
            latency_p99_ms: 60.0,
            error_rate: 0.0,
            client_error_rate: 0.0,
        }
    }
}

/// One answer of a model, as the platform in front of it sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// The container's HTTP status; 0 when it gave none.
    pub(super) status: u16,
    pub(super) model_latency_us: f64,
    pub(super) overhead_latency_us: f64,
}

impl Outcome {
    pub(super) fn succeeded(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn is_client_error(&self) -> bool {
        (400..500).contains(&self.status)
    }

    /// No answer at all counts as the server's error: SageMaker words it "Received server error (0)".
    pub(super) fn is_server_error(&self) -> bool {
        self.status == 0 || self.status >= 500
    }
}

impl Distribution {
    /// Draws one answer.
    pub(super) fn sample(&self, random: &mut ChaCha8Rng) -> Outcome {
        let spread = (self.latency_p99_ms / self.latency_p50_ms).ln() / NORMAL_P99;
        // A median of zero, or a 99th percentile below it, means a constant latency.
        let latency_ms = if spread.is_finite() && spread > 0.0 {
            self.latency_p50_ms * (spread * standard_normal(random)).exp()
        } else {
            self.latency_p50_ms
        };
        let draw: f64 = random.random();
        let status = if draw < self.error_rate {
            500
        } else if draw < self.error_rate + self.client_error_rate {
            400
        } else {
            200
        };
        Outcome {
            status,
            model_latency_us: (latency_ms * 1_000.0).round(),
            overhead_latency_us: overhead_us(random),
        }
    }
}

/// What the platform itself adds: between 2 and 5 ms.
pub(super) fn overhead_us(random: &mut ChaCha8Rng) -> f64 {
    random.random_range(2_000.0_f64..5_000.0).round()
}

/// Box and Muller's transform of two uniform draws.
fn standard_normal(random: &mut ChaCha8Rng) -> f64 {
    let radius: f64 = 1.0 - random.random::<f64>();
    let angle: f64 = random.random::<f64>() * std::f64::consts::TAU;
    (-2.0 * radius.ln()).sqrt() * angle.cos()
}

/// The place of a draw in `0..1` among weights; `None` when no weight is above zero.
pub(super) fn pick(weights: impl Iterator<Item = f64> + Clone, draw: f64) -> Option<usize> {
    let total: f64 = weights.clone().sum();
    let mut left = draw * total;
    let mut last = None;
    for (position, weight) in weights.enumerate() {
        if weight > 0.0 {
            last = Some(position);
            if left < weight {
                break;
            }
            left -= weight;
        }
    }
    last
}

/// The server an image stands for: `None` for a registry image, an error for an address that is not loopback.
///
/// A simulated endpoint must never call out to the network, whatever a model says.
pub(super) fn server_of_image(image: &str) -> Result<Option<String>, &'static str> {
    let lowered = image.to_ascii_lowercase();
    if !lowered.starts_with("http:") && !lowered.starts_with("https:") {
        return Ok(None);
    }
    let uri: Uri = image.parse().map_err(|_| REFUSAL)?;
    let loopback = matches!(uri.host(), Some("127.0.0.1" | "localhost"));
    let bare = matches!(uri.path(), "" | "/")
        && uri.query().is_none()
        && uri
            .authority()
            .is_some_and(|authority| !authority.as_str().contains('@'));
    match uri.port_u16() {
        Some(port) if loopback && bare && uri.scheme_str() == Some("http") => {
            let host = uri.host().unwrap_or("127.0.0.1");
            Ok(Some(format!("http://{host}:{port}")))
        }
        _ => Err(REFUSAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn a_distribution_has_the_percentiles_and_rates_it_was_given() {
        let distribution = Distribution {
            error_rate: 0.1,
            client_error_rate: 0.2,
            ..Distribution::default()
        };
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let outcomes: Vec<Outcome> = (0..100_000)
            .map(|_| distribution.sample(&mut random))
            .collect();
        let share =
            |wanted: u16| outcomes.iter().filter(|o| o.status == wanted).count() as f64 / 100_000.0;
        assert!((share(500) - 0.1).abs() < 0.005);
        assert!((share(400) - 0.2).abs() < 0.005);
        let mut latencies: Vec<f64> = outcomes.iter().map(|o| o.model_latency_us).collect();
        latencies.sort_by(f64::total_cmp);
        assert!((latencies[50_000] / 20_000.0 - 1.0).abs() < 0.02);
        assert!((latencies[99_000] / 60_000.0 - 1.0).abs() < 0.05);
    }

    #[test]
    fn picking_follows_the_weights_and_never_takes_a_zero() {
        let weights = [0.0, 3.0, 0.0, 1.0, 0.0];
        assert_eq!(pick(weights.into_iter(), 0.0), Some(1));
        assert_eq!(pick(weights.into_iter(), 0.74), Some(1));
        assert_eq!(pick(weights.into_iter(), 0.76), Some(3));
        assert_eq!(pick(weights.into_iter(), 1.0), Some(3));
        assert_eq!(pick([0.0].into_iter(), 0.5), None);
    }

    #[test]
    fn only_loopback_images_are_served_by_url() {
        let registry = "123456789012.dkr.ecr.us-east-1.amazonaws.com/model:1";
        assert_eq!(server_of_image(registry), Ok(None));
        assert_eq!(
            server_of_image("http://127.0.0.1:8080"),
            Ok(Some("http://127.0.0.1:8080".to_owned()))
        );
        assert_eq!(
            server_of_image("http://localhost:9/"),
            Ok(Some("http://localhost:9".to_owned()))
        );
        for bad in [
            "http://example.com:80",
            "https://127.0.0.1:8080",
            "HTTP://10.0.0.1:80",
            "http://127.0.0.1",
            "http://127.0.0.1:80@example.com",
            "http://example.com@127.0.0.1:80",
            "http://127.0.0.1.example.com:80",
            "http://127.0.0.1:8080/path",
        ] {
            assert!(server_of_image(bad).is_err(), "{bad}");
        }
    }
}
