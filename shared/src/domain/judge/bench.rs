//! The bench: a policy with the baseline it was accepted on. It takes in one minute at a time and
//! says what speaks against the canary. A live deployment, a replayed trace and a simulation are
//! judged by this same code.

use jiff::Timestamp;

use super::split;
use crate::domain::baseline::{Baseline, Past};
use crate::domain::comparison::burstiness::Variation;
use crate::domain::comparison::{AbsoluteSettings, Counts, Limit, Settings, burstiness};
use crate::domain::cost::{Fleet, Spent};
use crate::domain::deployment::Deployment;
use crate::domain::evidence::{Evidence, SignalState};
use crate::domain::guard;
use crate::domain::observation::ArmMinute;
use crate::domain::policy::{Action, Consequence, Policy};
use crate::domain::quantity::Weight;
use crate::domain::signal::SignalRule;

/// What a canary is judged under.
#[derive(Debug, Clone, Copy)]
pub struct Bench<'a> {
    pub(super) policy: &'a Policy,
    baseline: &'a Baseline,
    longest_minutes: u64,
    instances: Instances,
    /// What production's requests are priced by; absent where no prices are known.
    fleet: Option<Fleet>,
    goes_down: bool,
    /// Labelled predictions that the present stage asks for.
    pub(super) min_labels: u64,
    /// Whether users are asked of the canary by name.
    pub(super) is_sticky: bool,
}

/// How many instances each arm runs on: single instances' bursts average out over many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instances {
    /// The new model's.
    pub canary: u32,
    /// The old model's.
    pub production: u32,
}

/// One minute of both arms.
#[derive(Debug, Clone, Copy)]
pub struct Minute<'a> {
    /// Its start.
    pub at: Timestamp,
    /// Whether it lies wholly inside the present stage.
    pub in_stage: bool,
    /// The canary's confirmed share, while it is not being moved.
    pub share: Option<Weight>,
    /// Without requests there may be what its instances cost all the same, and counts of further checks.
    pub canary: Option<&'a ArmMinute>,
    /// Without requests there may be counts of further checks.
    pub production: Option<&'a ArmMinute>,
}

impl<'a> Minute<'a> {
    /// Production, where it had requests.
    fn asked_production(&self) -> Option<&'a ArmMinute> {
        self.production.filter(|arm| arm.invocations > 0)
    }

    /// Whether production is meant to have no traffic any more.
    fn is_full(&self) -> bool {
        self.share == Some(Weight::FULL)
    }

    /// The same, and it has none.
    fn is_alone(&self) -> bool {
        self.is_full() && self.asked_production().is_none()
    }
}

impl<'a> Bench<'a> {
    /// The bench of a policy on its own.
    pub const fn new(
        policy: &'a Policy,
        baseline: &'a Baseline,
        longest_minutes: u64,
        instances: Instances,
    ) -> Self {
        Self {
            policy,
            baseline,
            longest_minutes,
            instances,
            fleet: None,
            goes_down: false,
            min_labels: 0,
            is_sticky: false,
        }
    }

    /// A deployment's.
    pub fn of(deployment: &'a Deployment) -> Self {
        let (terms, state) = (&deployment.terms, &deployment.state);
        let instances = Instances {
            canary: deployment.canary_instances_for(state.weight),
            production: deployment.production_needs(),
        };
        let longest = terms
            .plan
            .deadline
            .secs()
            .saturating_add(terms.plan.soak.secs());
        let longest_minutes = (longest / 60).max(1);
        Self {
            fleet: Fleet::of(deployment),
            goes_down: state.descent.is_some(),
            min_labels: terms.plan.stage(state.weight).min_labels,
            is_sticky: terms.routing.is_some(),
            ..Self::new(&terms.policy, &terms.baseline, longest_minutes, instances)
        }
    }

    /// The policy.
    pub const fn policy(&self) -> &'a Policy {
        self.policy
    }

    /// What a signal is compared under.
    ///
    /// # Panics
    /// Never: a tolerance is one or more, a burstiness is clamped, and a rollout has a length.
    pub fn settings(&self, rule: &SignalRule) -> Settings {
        let history = self.past(rule).map_or(Counts::NONE, |past| past.counts);
        let tolerate = self.policy.comparison.tolerate.max(1.0);
        let (kappa, ceiling) = self.tempering(rule);
        Settings::new(tolerate, self.longest_minutes, history, kappa)
            .expect("a tolerance from one up, a clamped burstiness, and a length above zero")
            .with_ceiling(ceiling)
    }

    /// A minute's counts of a signal.
    pub fn counts(&self, rule: &SignalRule, minute: &ArmMinute) -> Option<Counts> {
        rule.counts(minute, self.baseline.slow_over)
    }

    fn past(&self, rule: &SignalRule) -> Option<&'a Past> {
        self.baseline.signals.get(&rule.name)
    }

    /// How production's bad outcomes vary beyond chance. Those of labels vary as the labels come, by
    /// the night or by the batch, which is no burst of wrong predictions.
    pub fn variation(&self, rule: &SignalRule) -> Variation {
        let past = self.past(rule);
        past.filter(|_| !rule.is_of_labels())
            .map_or_else(Variation::default, |past| past.variation)
    }

    /// By how much evidence is tempered, and the most that one minute may add.
    fn tempering(&self, rule: &SignalRule) -> (f64, f64) {
        let variation = self.variation(rule);
        let Instances { canary, production } = self.instances;
        (
            burstiness::kappa(variation.excess(), production, canary),
            burstiness::ceiling(variation.lasting(), production, canary),
        )
    }

    /// What a signal is held to its own limit under; absent without one.
    pub fn absolute(&self, rule: &SignalRule) -> Option<AbsoluteSettings> {
        let limit = rule.limit.and_then(Limit::new)?;
        let (kappa, ceiling) = self.tempering(rule);
        let settings = AbsoluteSettings::new(limit, self.longest_minutes, kappa)?;
        Some(settings.with_ceiling(ceiling))
    }

    /// Takes in one minute: every guard, signal and gate once.
    pub fn take_in(&self, evidence: &mut Evidence, minute: Minute<'_>) {
        self.take_in_split(evidence, minute);
        if let Some(production) = minute.asked_production() {
            Spent::note(&mut evidence.production_spent, production);
        }
        if let Some(canary) = minute.canary
            && (canary.invocations > 0 || canary.cost.is_some())
        {
            self.take_in_guards(evidence, canary, minute);
        }
        let canary = minute.canary.filter(|canary| !canary.is_idle());
        // Production's labels may come where there is nothing of the canary, but not before it was asked.
        let was_asked = canary.is_some() || evidence.canary.invocations > 0;
        if let Some(fairness) = &self.policy.fairness
            && was_asked
            && !self.is_of_another_stage(minute, fairness.consequence)
        {
            fairness.take_in(&mut evidence.tallies, canary, minute.production);
        }
        for rule in &self.policy.signals {
            if self.is_of_another_stage(minute, rule.consequence) {
                continue;
            }
            let counts = |arm: &ArmMinute| self.counts(rule, arm);
            let pair = (canary.and_then(counts), minute.production.and_then(counts));
            if let Some(ours) = pair.0
                && self.policy.safe_gate
                && rule.limit.is_some()
            {
                let gate = evidence.gates.entry(rule.name.clone()).or_default();
                gate.take_in(ours);
            }
            // Labels of production alone are compared once the canary has some.
            let waits = rule.is_of_labels() && rule.compares && was_asked && pair.1.is_some();
            if pair.0.is_some() || waits {
                let state = evidence.signals.entry(rule.name.clone()).or_default();
                self.take_in_signal(rule, state, pair, minute);
            }
        }
    }

    fn take_in_signal(
        &self,
        rule: &SignalRule,
        state: &mut SignalState,
        (canary, production): (Option<Counts>, Option<Counts>),
        minute: Minute<'_>,
    ) {
        if let Some(canary) = canary {
            if minute.in_stage {
                state.stage_samples += canary.n();
            }
            if let Some(settings) = self.absolute(rule) {
                let settings = settings.in_parts(rule.parts_of(canary.n()));
                state.absolute.take_in(&settings, canary);
            }
        }
        if !rule.compares {
            return;
        }
        if let Some(canary) = canary
            && production.is_none()
            && minute.is_alone()
            && let Some(limit) = self.frozen(rule, state)
        {
            let settings = self.settings(rule).in_parts(rule.parts_of(canary.n()));
            state.comparison.take_in_alone(&settings, limit, canary);
            return;
        }
        let pair = if rule.is_of_labels() {
            let of = |arm: Option<Counts>| arm.unwrap_or_default();
            state.waiting.take_in(minute.at, of(canary), of(production))
        } else {
            // Both had the same minute, and what made it a bad one cancels out.
            canary.zip(production)
        };
        if let Some((canary, production)) = pair {
            let settings = self.settings(rule).in_parts(rule.parts_of(canary.n()));
            state
                .comparison
                .take_in_once(&settings, minute.at, canary, production);
        }
    }

    /// What a signal is held against where there is no production arm.
    pub(super) fn frozen(&self, rule: &SignalRule, state: &SignalState) -> Option<Limit> {
        let past = self.past(rule).cloned().unwrap_or_default();
        past.frozen(self.policy.comparison.tolerate, &state.comparison)
    }

    /// Whether a minute may have been served at a share that was stepped back from: it must not step
    /// back again, nor speak against the lower share on a way down by steps.
    fn is_of_another_stage(&self, minute: Minute<'_>, consequence: Consequence) -> bool {
        let steps_back = consequence.action() == Some(Action::StepBack);
        !minute.in_stage && (steps_back || (self.goes_down && consequence.retreats()))
    }

    fn take_in_split(&self, evidence: &mut Evidence, minute: Minute<'_>) {
        let Some(share) = minute.share else { return };
        let (canary, production) = (minute.canary, minute.production);
        let intended = if self.is_sticky {
            split::intended(share.fraction(), canary, production).ok()
        } else {
            Some(share.fraction())
        };
        if let Some(intended) = intended {
            let requests = |arm: Option<&ArmMinute>| arm.map_or(0, |arm| arm.invocations);
            evidence
                .split
                .take_in(intended, requests(canary), requests(production));
        }
    }

    fn take_in_guards(&self, evidence: &mut Evidence, canary: &ArmMinute, minute: Minute<'_>) {
        for rule in self.policy.all_guards() {
            let fleet = self.fleet.filter(|_| rule.test.is_of_cost());
            if minute.is_alone() && rule.test.compares() && fleet.is_none() {
                // Its last finding can never be mended any more, so it must not stand red for good.
                evidence.guards.remove(&rule.name);
                continue;
            }
            let says_nothing = canary.invocations == 0 && !rule.test.is_of_cost();
            if says_nothing || self.is_of_another_stage(minute, rule.consequence) {
                continue;
            }
            let state = evidence.guards.entry(rule.name.clone()).or_default();
            let size = self.baseline.window_size(rule, self.policy.min_samples);
            // A request or two that somebody still asks of production by name are no arm to compare with.
            if let Some(fleet) = fleet.filter(|_| minute.is_full()) {
                let theirs = fleet.instead_of(canary, evidence.production_spent);
                guard::take_in_recalled(rule, state, canary, theirs, size);
                continue;
            }
            guard::take_in(rule, state, canary, minute.asked_production(), size);
            if self.policy.safe_gate
                && let Some(counts) = guard::gate_counts(rule, canary)
            {
                let gate = evidence.gates.entry(rule.name.clone()).or_default();
                gate.take_in(counts);
            }
        }
    }
}
