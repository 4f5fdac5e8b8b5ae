//! What is compared with production: every signal is a pair of counts per variant and minute,
//! trials and the bad ones among them.
//!
//! Three come with every endpoint: answers 5XX, answers 4XX, and requests slower than a limit that
//! is fixed before the rollout. What the model says about itself, whether it can be read, how good its
//! predictions are and how its scores lie, is counted by `inference`; any further check of the
//! specification is a pair of counts in CloudWatch. None of them needs machinery of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::comparison::Counts;
use super::model_signals::{self, Quality};
use super::observation::ArmMinute;
use super::policy::Consequence;
use super::quantity::{Latency, Rate};

/// The name of the signal of answers 5XX.
pub const ERRORS: &str = "errors";
/// The name of the signal of answers 4XX.
pub const CLIENT_ERRORS: &str = "client_errors";
/// The name of the signal of slow requests.
pub const SLOWNESS: &str = "slowness";

/// A signal's name as people read it, which is what the guards' sentences call the same thing. Where the
/// rule is at hand, [`SignalRule::what`] says it of every signal.
pub fn spoken(name: &str) -> &str {
    match name {
        ERRORS => "5XX errors",
        CLIENT_ERRORS => "4XX errors",
        SLOWNESS => "slow requests",
        other => other,
    }
}

/// One signal of a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalRule {
    /// `errors`, `client_errors`, `slowness`, or a check's name.
    pub name: String,
    /// Where its counts come from.
    pub source: Source,
    /// Whether it is compared with production.
    pub compares: bool,
    /// The share of bad outcomes that the canary must not be above, whatever production does.
    #[serde(default)]
    pub limit: Option<Rate>,
    /// Canary trials that a stage must hold before it is left; 0 asks for none.
    #[serde(default)]
    pub min_samples: u64,
    /// What a breach sets going.
    pub consequence: Consequence,
    /// The signals that are one question in several counts share this name, and one part of the
    /// budget of false alarms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
}

/// The family of the bins of the scores.
pub const DRIFT: &str = "drift";
/// So many labels of the canary are judged as a minute of requests is. A minute says when labels came
/// and not when the predictions were made, and a night's may come in one.
pub const LABELS_AT_ONCE: u64 = 100;
/// The name of the signal of predictions that could not be read.
pub const UNREAD: &str = "unread_predictions";

/// Where a signal's counts come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Requests, and those answered 5XX.
    ServerErrors,
    /// Requests, and those answered 4XX.
    ClientErrors,
    /// Requests, and those slower than the limit of the baseline.
    Slowness,
    /// Two metrics of CloudWatch.
    Metrics(MetricPair),
    /// Labelled predictions, and the wrong ones of a kind.
    Quality(Quality),
    /// Predictions, and those whose score lies in this bin, 0 to 9.
    Score(u8),
    /// Predictions, and those that could not be read.
    Unread,
}

/// Two metrics that count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricPair {
    /// The outcomes that are counted.
    pub bad: MetricSource,
    /// The trials they are counted among.
    pub of: MetricSource,
    /// Which way is worse.
    pub direction: Direction,
    /// Whether the counted outcomes are none of the trials but beside them: both together are tried.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beside: bool,
}

/// Which way of a share is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Direction {
    /// More of the counted outcomes are worse: errors, misses, complaints.
    #[default]
    HigherIsWorse,
    /// Fewer are worse: conversions, correct predictions. The others are counted as bad.
    LowerIsWorse,
}

/// A metric of CloudWatch with a statistic that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricSource {
    /// Like `Canary/Model`.
    pub namespace: String,
    /// The metric's name.
    pub metric: String,
    /// `Sum`, `SampleCount` or `TC(low:high)`.
    pub statistic: String,
    /// With `{endpoint}` and `{variant}` where their names belong.
    pub dimensions: BTreeMap<String, String>,
}

impl SignalRule {
    /// The three that every endpoint has.
    pub fn built_in() -> Vec<Self> {
        let rule = |name: &str, source| Self {
            name: name.to_owned(),
            source,
            compares: true,
            limit: None,
            min_samples: 0,
            consequence: Consequence::default(),
            family: None,
        };
        vec![
            rule(ERRORS, Source::ServerErrors),
            rule(CLIENT_ERRORS, Source::ClientErrors),
            rule(SLOWNESS, Source::Slowness),
        ]
    }

    /// The bad outcome in words.
    pub fn what(&self) -> String {
        match &self.source {
            Source::ServerErrors => spoken(ERRORS).to_owned(),
            Source::ClientErrors => spoken(CLIENT_ERRORS).to_owned(),
            Source::Slowness => spoken(SLOWNESS).to_owned(),
            // What is counted as bad are the others.
            Source::Metrics(pair) if pair.direction == Direction::LowerIsWorse => {
                format!("trials without {}", self.name)
            }
            Source::Metrics(_) => self.name.clone(),
            Source::Quality(quality) => quality.bad().to_owned(),
            Source::Unread => "predictions that could not be read".to_owned(),
            Source::Score(bin) => {
                let edge = |bin: u8| f64::from(bin) / f64::from(model_signals::BINS);
                format!("scores from {:.1} to {:.1}", edge(*bin), edge(bin + 1))
            }
        }
    }

    /// The name that breaches go by: the family's, where it has one.
    pub fn known_as(&self) -> &str {
        self.family.as_deref().unwrap_or(&self.name)
    }

    /// Whether its trials are labels, which come when somebody sends them.
    pub const fn is_of_labels(&self) -> bool {
        matches!(self.source, Source::Quality(_))
    }

    /// In how many parts so many trials of the canary that are taken together are judged.
    pub const fn parts_of(&self, trials: u64) -> u64 {
        if self.is_of_labels() {
            trials / LABELS_AT_ONCE
        } else {
            1
        }
    }

    /// The two metrics that it is read from, where they are not SageMaker's own.
    pub fn pair(&self) -> Option<MetricPair> {
        match &self.source {
            Source::ServerErrors | Source::ClientErrors | Source::Slowness => None,
            Source::Metrics(pair) => Some(pair.clone()),
            Source::Quality(quality) => Some(quality.pair()),
            Source::Score(bin) => Some(model_signals::score_pair(*bin)),
            Source::Unread => Some(model_signals::unread_pair()),
        }
    }

    /// Whether the canary's answers can be read as production's can. A model that answers in another
    /// form says nothing about itself, and whatever is asked of what it says would be silent.
    pub fn unread(consequence: Consequence) -> Self {
        Self {
            name: UNREAD.to_owned(),
            source: Source::Unread,
            compares: true,
            limit: None,
            min_samples: 0,
            consequence,
            family: None,
        }
    }

    /// One signal for each bin of the scores. Of fewer predictions than `min_samples` nobody knows
    /// where they lie.
    pub fn drift(consequence: Consequence, min_samples: u64) -> impl Iterator<Item = Self> {
        (0..model_signals::BINS).map(move |bin| Self {
            name: format!("{DRIFT}.{bin}"),
            source: Source::Score(bin),
            compares: true,
            limit: None,
            min_samples,
            consequence,
            family: Some(DRIFT.to_owned()),
        })
    }

    /// This minute's counts; absent when they were not measured or can't be.
    pub fn counts(&self, minute: &ArmMinute, slow_over: Option<Latency>) -> Option<Counts> {
        if let Some(counted) = minute.checks.get(&self.name) {
            return Some(*counted);
        }
        if minute.is_unasked() {
            return None;
        }
        match &self.source {
            Source::ServerErrors => Counts::new(minute.invocations, minute.errors_5xx),
            Source::ClientErrors => Counts::new(minute.invocations, minute.errors_4xx),
            Source::Slowness => {
                let latency = minute.latency.as_ref()?;
                Counts::new(latency.samples, latency.slower(slow_over?)?)
            }
            Source::Metrics(_) | Source::Quality(_) | Source::Score(_) | Source::Unread => None,
        }
    }
}

impl MetricPair {
    /// The counts of two sums, each absent where it has no point; absent when nothing was tried, or
    /// when there can't be so many outcomes ([`Self::miscount`]). Trials without a point of their
    /// outcomes had none.
    pub fn counts(&self, trials: Option<u64>, counted: Option<u64>) -> Option<Counts> {
        let trials = if self.beside {
            // Where every outcome is a bad one, nothing else was counted.
            let is_counted = trials.is_some() || counted.is_some();
            let both = trials.unwrap_or(0).saturating_add(counted.unwrap_or(0));
            is_counted.then_some(both)?
        } else {
            trials?
        };
        let counted = counted.unwrap_or(0);
        match self.direction {
            Direction::HigherIsWorse => Counts::new(trials, counted),
            Direction::LowerIsWorse => Counts::new(trials, trials.checked_sub(counted)?),
        }
    }

    /// More outcomes than there were trials to have them, whichever way is worse: the two metrics do
    /// not count the same minute, or one of them no outcomes at all but, say, money. Neither a share
    /// nor a minute of quiet: what it shows is not known.
    pub fn miscount(&self, trials: Option<u64>, counted: Option<u64>) -> Option<Miscount> {
        let (trials, counted) = (trials.unwrap_or(0), counted.unwrap_or(0));
        (!self.beside && counted > trials).then_some(Miscount { trials, counted })
    }
}

/// A minute in which a pair of metrics counted what can't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Miscount {
    /// What `of` counted.
    pub trials: u64,
    /// What `bad` counted: more.
    pub counted: u64,
}
