//! What a rollout will be able to prove, from the endpoint's own traffic of the last day: said
//! before it starts, when a stage can still be made longer.

mod groups;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::baseline::SlowCount;
use super::comparison::effect::percent;
use super::deployment::Deployment;
use super::judge::bench::Bench;
use super::model_signals::Quality;
use super::plan::Stage;
use super::policy::{Action, Consequence, Grade};
use super::power::{self, Detection, Spread, Traffic, Watched};
use super::quantity::{Latency, Span, Weight, counted};
use super::signal::{SLOWNESS, SignalRule, Source};
use groups::{small_group, waits_for_groups};

/// A regression that any stage should be able to show: five times production's bad outcomes (their
/// odds, where most are bad), and at least one in a hundred.
const GROSS: f64 = 5.0;
const GROSS_AT_LEAST: f64 = 0.01;

/// What one stage will see and show.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StageForecast {
    /// Canary requests during the bake, at the last day's traffic.
    pub canary_requests: u64,
    /// By signal: the smallest regression that four of five rollouts catch within the bake, should
    /// it begin with the stage. A signal without an entry proves nothing in this stage.
    pub catches: BTreeMap<String, Caught>,
}

/// A regression that is caught with 80 % power.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = CaughtRegression))]
pub struct Caught {
    /// The canary's share of bad outcomes, 0 to 1.
    pub rate: f64,
    /// Production's share of them, 0 to 1.
    pub production_rate: f64,
    /// The one over the other; absent when production had none.
    pub ratio: Option<f64>,
    /// For slowness: how many times slower the model is then, when latencies spread as
    /// production's do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowdown: Option<f64>,
    /// Minutes into the stage.
    pub minutes: u64,
}

/// What each stage will show, the last one apart, and what to beware of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Forecast {
    /// Requests a minute of the whole endpoint over the last day.
    pub requests_per_minute: f64,
    /// One for each stage below 100 %.
    pub stages: Vec<StageForecast>,
    /// One plain sentence each.
    pub warnings: Vec<String>,
}

impl Forecast {
    /// Of a proposed deployment.
    pub fn of(deployment: &Deployment) -> Self {
        let terms = &deployment.terms;
        let requests_per_minute = terms.baseline.requests_per_minute();
        let mut stages: Vec<StageForecast> = below_full(deployment)
            .map(|stage| StageForecast {
                canary_requests: requests_in(stage, requests_per_minute),
                catches: BTreeMap::new(),
            })
            .collect();
        let mut misses: Vec<Vec<String>> = vec![Vec::new(); stages.len()];
        for rule in terms.policy.signals.iter().filter(|rule| is_acting(rule)) {
            let Some(watched) = watched(deployment, rule) else {
                continue;
            };
            let traffic = Traffic {
                requests_per_minute: trials_per_minute(deployment, rule),
            };
            let found = power::smallest_per_stage(&terms.plan, traffic, &watched);
            for (stage, detection) in stages.iter_mut().zip(&found) {
                let caught =
                    detection.map(|detection| caught(deployment, rule, &watched, detection));
                stage
                    .catches
                    .extend(caught.map(|caught| (rule.name.clone(), caught)));
            }
            let gross = missed(deployment, rule, traffic, &watched, &found);
            for (misses, gross) in misses.iter_mut().zip(gross) {
                misses.extend(gross);
            }
        }
        let mut warnings = general_warnings(deployment);
        for (stage, misses) in below_full(deployment).zip(&misses) {
            warnings.extend(too_short(stage, misses));
            warnings.extend(waits_for_samples(deployment, stage));
        }
        Self {
            requests_per_minute,
            stages,
            warnings,
        }
    }
}

fn below_full(deployment: &Deployment) -> impl Iterator<Item = &Stage> {
    let stages = deployment.terms.plan.stages.iter();
    stages.filter(|stage| stage.weight < Weight::FULL)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and is an estimate"
)]
fn requests_in(stage: &Stage, requests_per_minute: f64) -> u64 {
    let minutes = stage.bake.secs() as f64 / 60.0;
    (requests_per_minute * stage.weight.fraction() * minutes).round() as u64
}

fn is_acting(rule: &SignalRule) -> bool {
    rule.compares && !rule.consequence.muted
}

/// A signal as the forecast needs it; absent when nothing is known of it.
fn watched(deployment: &Deployment, rule: &SignalRule) -> Option<Watched> {
    let bench = Bench::of(deployment);
    let past = deployment.terms.baseline.signals.get(&rule.name)?;
    let production = deployment.production_needs();
    let canary = deployment.canary_instances_for(deployment.terms.plan.stages.first()?.weight);
    Some(Watched {
        rate: past.counts.rate()?,
        settings: bench.settings(rule),
        // As measured, not as tempered: it is the noise that is to be expected.
        kappa: bench.variation(rule).excess()
            * (1.0 + f64::from(production.max(1)) / f64::from(canary.max(1))),
        parts: bench.parts_of(rule),
        alpha: deployment.terms.policy.comparison.alpha,
    })
}

/// Trials a minute of the whole endpoint.
fn trials_per_minute(deployment: &Deployment, rule: &SignalRule) -> f64 {
    let baseline = &deployment.terms.baseline;
    let past = baseline.signals.get(&rule.name);
    past.map_or(0, |past| past.counts.n()) as f64 / baseline.minutes.max(1) as f64
}

fn caught(
    deployment: &Deployment,
    rule: &SignalRule,
    watched: &Watched,
    detection: Detection,
) -> Caught {
    let typical = deployment.terms.baseline.latency_ms;
    let spread = typical.and_then(|(p50, p99)| {
        Spread::from_percentiles(Latency::from_ms(p50)?, Latency::from_ms(p99)?)
    });
    let slowdown = spread
        .filter(|_| rule.name == SLOWNESS)
        .and_then(|spread| power::slowdown(watched.rate, detection.rate, spread));
    Caught {
        rate: detection.rate,
        production_rate: watched.rate,
        ratio: detection.ratio,
        slowdown,
        minutes: detection.minutes,
    }
}

/// For each stage, the gross regression that it would miss, and how long it would have to be.
fn missed(
    deployment: &Deployment,
    rule: &SignalRule,
    traffic: Traffic,
    watched: &Watched,
    found: &[Option<Detection>],
) -> Vec<Option<String>> {
    let gross = gross(watched.rate);
    let needed = power::minutes_per_stage(&deployment.terms.plan, traffic, watched, gross);
    let stages = found.iter().zip(needed);
    let worded = stages.map(|(found, needed)| {
        let how_long = match needed {
            _ if power::proves(*found, gross) => return None,
            None => "a whole day would not do".to_owned(),
            Some(minutes) if minutes < 120 => format!("takes about {minutes} min"),
            Some(minutes) => format!("takes about {} h", minutes.div_ceil(60)),
        };
        let rate = percent(gross);
        Some(format!("a rise to {rate} in {} ({how_long})", rule.what()))
    });
    worded.collect()
}

/// The share of bad outcomes that is a gross regression from this one.
fn gross(rate: f64) -> f64 {
    if rate > 0.5 {
        // A fifth of the good ones, at the least: more bad ones than all there can't be.
        let odds = GROSS * rate / (1.0 - rate).max(f64::MIN_POSITIVE);
        return odds / (1.0 + odds);
    }
    (rate * GROSS).clamp(GROSS_AT_LEAST, 1.0)
}

/// A stage whose bake is over before a gross regression would show.
fn too_short(stage: &Stage, misses: &[String]) -> Option<String> {
    (!misses.is_empty()).then(|| {
        format!(
            "the stage at {} is short for its traffic: within {} it would miss {}",
            stage.weight,
            stage.bake,
            misses.join(", ")
        )
    })
}

/// How long a stage takes until the canary has had `min_samples`; absent where its bake brings them, and
/// on an endpoint without traffic, of which nothing is known.
fn until_sampled(deployment: &Deployment, stage: &Stage) -> Option<Span> {
    let terms = &deployment.terms;
    let least = terms.policy.min_samples;
    let of_all = terms.baseline.requests_per_minute();
    let per_minute = of_all * stage.weight.fraction();
    let waits = requests_in(stage, of_all) < least && per_minute > 0.0;
    waits.then(|| whole_minutes(least as f64 / per_minute))
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and is an estimate"
)]
fn whole_minutes(minutes: f64) -> Span {
    Span::from_secs((minutes.ceil() as u64).saturating_mul(60))
}

/// How long a share is kept at the last day's traffic: as long as the plan has it, or until what the
/// stage waits for is there. Where that would be past the deadline, there is no such moment.
pub fn length_at(deployment: &Deployment, weight: Weight) -> Span {
    let terms = &deployment.terms;
    let plan = &terms.plan;
    let length = plan.length_at(weight);
    if weight == Weight::ZERO || weight == Weight::FULL {
        return length;
    }
    let is_first = plan.stage_index(weight) == 0;
    let fairness = terms.policy.fairness.iter();
    let fairness = fairness.filter(|fairness| is_first && fairness.consequence.holds());
    let groups = fairness.flat_map(|fairness| waits_for_groups(deployment, fairness));
    let groups = groups.map(|wait| whole_minutes(wait.takes));
    let requests = until_sampled(deployment, &plan.stage(weight));
    let waits = groups.chain(requests);
    let waits = waits.filter(|waits| *waits < plan.deadline);
    waits.fold(length, Ord::max)
}

/// Stages that will wait beyond their bake for enough requests.
fn waits_for_samples(deployment: &Deployment, stage: &Stage) -> Option<String> {
    let terms = &deployment.terms;
    let waits = until_sampled(deployment, stage)?;
    let deadline = terms.plan.deadline;
    let how_long = if waits < deadline {
        format!(
            "about {} min in all, which the dates of this plan count in",
            waits.secs() / 60
        )
    } else {
        format!("longer than the deadline of {deadline}, past which everything is taken back")
    };
    let requests = counted(
        requests_in(stage, terms.baseline.requests_per_minute()),
        "canary request",
    );
    Some(format!(
        "the stage at {} sees about {requests} within {}, fewer than min_samples of {}: it will hold until it has them, {how_long}",
        stage.weight, stage.bake, terms.policy.min_samples
    ))
}

fn general_warnings(deployment: &Deployment) -> Vec<String> {
    let terms = &deployment.terms;
    let (baseline, policy) = (&terms.baseline, &terms.policy);
    let mut warnings = Vec::new();
    if terms.brings_the_same_model() {
        warnings.push(format!(
            "the canary's model is the one that production runs already ({}): the rollout holds it against itself; look at `model`, unless only what it runs on is to change",
            terms.former_model
        ));
    }
    if baseline.requests == 0 {
        warnings.push(
            "the endpoint had no traffic since its last config, at most a day ago: nothing can be said about what the stages prove, and slowness is judged by the policy's own limits".to_owned(),
        );
    } else if baseline.counted_by == SlowCount::Neither {
        warnings.push(
            "CloudWatch counts no slow requests in this account (neither TC nor PR): latency is judged by percentiles alone".to_owned(),
        );
    }
    if baseline.requests > 0 && baseline.slow_over.is_none() {
        warnings.push("no hour had 100 requests and the policy names no latency limit: nothing says what is slow, so slow requests are not compared".to_owned());
    }
    let silent = policy.signals.iter().filter(|rule| {
        let counts = baseline.signals.get(&rule.name).map(|past| past.counts);
        matches!(rule.source, Source::Metrics(_))
            && counts
                .is_none_or(|counts| counts.n() == 0 || counts.x() == 0 || counts.x() == counts.n())
    });
    warnings.extend(silent.map(|rule| {
        format!(
            "the check {} counted nothing of production in the last day, or nothing but one kind of outcome: look at the names of its metrics",
            rule.name
        )
    }));
    if policy.memory.is_some() && baseline.requests > 0 && !baseline.has_memory {
        warnings.push("CloudWatch has no MemoryUtilization of production: the limit of memory is held against the canary only once there is some of either".to_owned());
    }
    if let Some(changed_at) = baseline.changed_at {
        warnings.push(format!(
            "the endpoint was last changed at {changed_at}, within the day that production's figures are of: those from before it may be of another config, unless only instances or weights were changed"
        ));
    }
    warnings.extend(unstoppable(deployment));
    warnings.extend(unlabelled(deployment));
    warnings.extend(unheard(deployment));
    warnings.extend(not_waited_for(deployment));
    let fairness = policy.fairness.iter();
    for fairness in fairness.filter(|fairness| fairness.consequence.holds()) {
        let waits = waits_for_groups(deployment, fairness);
        warnings.extend(waits.iter().map(|wait| small_group(deployment, wait)));
        warnings.extend(fairness.past_of_production(&baseline.groups));
    }
    let bursty = policy.guards.iter();
    let bursty = bursty.filter(|guard| !guard.test.is_of_cost());
    let wide = bursty.filter_map(|guard| {
        let minutes = baseline.window_size(guard, policy.min_samples).least_minutes;
        (minutes > 1).then(|| {
            format!(
                "production's bad outcomes come in bursts, so a check of {} spans at least {minutes} min",
                guard.name
            )
        })
    });
    warnings.extend(wide);
    let guards = policy.all_guards().map(|it| (&it.name, it.consequence));
    let checks = policy.signals.iter();
    let checks = checks.filter(|rule| matches!(rule.source, Source::Metrics(_)));
    let named = guards.chain(checks.map(|it| (&it.name, it.consequence)));
    let muted = named.filter(|(_, consequence)| consequence.muted);
    warnings.extend(muted.map(|(name, _)| {
        format!("{name} is muted: it is computed and shown, but acts on nothing")
    }));
    warnings
}

/// A way back by steps that no breach cuts short.
fn unstoppable(deployment: &Deployment) -> Option<String> {
    let terms = &deployment.terms;
    let is_critical = |consequence: Consequence| {
        consequence.severity == Grade::Critical && consequence.action() == Some(Action::Rollback)
    };
    let is_cut_short = !terms.policy.alarms.is_empty()
        || terms
            .policy
            .guards
            .iter()
            .any(|guard| is_critical(guard.consequence));
    (terms.rollback.steps.is_some() && !is_cut_short).then(|| {
        "rollback goes by steps and no limit is critical: a canary that fails every request goes down by steps too; give error_rate severity: critical, or name an alarm in policy.alarms (the presets phased and playbook have limits that take everything back at once)".to_owned()
    })
}

/// A measure of fairness that waits for labels which nobody has sent of production.
fn unlabelled(deployment: &Deployment) -> Option<String> {
    let terms = &deployment.terms;
    let fairness = terms.policy.fairness.as_ref()?;
    let needs = fairness.needs_labels() && fairness.consequence.holds();
    (needs && terms.baseline.requests > 0 && !fairness.has_labels(&terms.baseline.groups)).then(
        || {
            "fairness asks for equal_opportunity, and no group had a label of an actual positive in the last day: without labels of every group no stage is left; send them to POST /feedback, or name the measures that can do without".to_owned()
        },
    )
}

/// What the model was not heard to say about itself in the last day, all of it in one sentence.
fn unheard(deployment: &Deployment) -> Option<String> {
    let baseline = &deployment.terms.baseline;
    let says = |rule: &&SignalRule| {
        matches!(
            rule.source,
            Source::Quality(_) | Source::Score(_) | Source::Unread
        )
    };
    let rules = deployment.terms.policy.signals.iter().filter(says);
    let is_heard = |rule: &&SignalRule| {
        let past = baseline.signals.get(&rule.name);
        past.is_some_and(|past| past.counts.n() > 0)
    };
    let mut names: Vec<&str> = rules
        .filter(|rule| !is_heard(rule))
        .map(SignalRule::known_as)
        .collect();
    names.dedup();
    (!names.is_empty() && baseline.requests > 0).then(|| {
        format!(
            "inference and its labels told nothing of production's {} in the last day, so nothing is said of what the stages prove there; at a first deployment with model_signals that is so",
            names.join(", ")
        )
    })
}

/// The measures of quality that a stage may be left without, and which stages those are. A stage's
/// `min_labels` waits for labels of accuracy, a measure's own `min_samples` waits in every stage.
fn not_waited_for(deployment: &Deployment) -> Vec<String> {
    let careless: Vec<String> = below_full(deployment)
        .filter(|stage| stage.min_labels == 0)
        .map(|stage| stage.weight.to_string())
        .collect();
    let some_wait = careless.is_empty() || careless.len() < below_full(deployment).count();
    let rules = deployment.terms.policy.signals.iter();
    let rules = rules
        .filter(|rule| rule.is_of_labels() && rule.consequence.holds())
        .filter(|rule| rule.min_samples == 0);
    let (by_stage, never): (Vec<&SignalRule>, Vec<&SignalRule>) =
        rules.partition(|rule| some_wait && rule.source == Source::Quality(Quality::Accuracy));
    let mut warnings = Vec::new();
    if !never.is_empty() {
        let names: Vec<&str> = never.into_iter().map(SignalRule::known_as).collect();
        warnings.push(format!(
            "no stage waits for labels of {}: without any it is left as if they were good; min_labels of it waits",
            names.join(", ")
        ));
    }
    if !by_stage.is_empty() && !careless.is_empty() {
        let stages = if careless.len() == 1 {
            format!("the stage at {} waits", careless[0])
        } else {
            format!("the stages at {} wait", careless.join(", "))
        };
        warnings.push(format!(
            "{stages} for no labels of accuracy: without any it is as if they were good; min_labels of a stage waits"
        ));
    }
    warnings
}

/// Minutes, as people would say them.
pub(super) fn roughly(minutes: f64) -> String {
    if minutes < 120.0 {
        format!("{:.0} min", minutes.ceil())
    } else {
        format!("{:.0} h", (minutes / 60.0).ceil())
    }
}
