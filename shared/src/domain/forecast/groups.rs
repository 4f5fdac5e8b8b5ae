//! Whether fairness will wait: groups that stay too small, or of which too few are predicted positive, beyond
//! the first bake.

use super::{below_full, roughly};
use crate::domain::comparison::Counts;
use crate::domain::deployment::Deployment;
use crate::domain::fairness::{Fairness, FairnessRule};
use crate::domain::plan::Stage;

/// A measure of fairness whose smallest group stays too small beyond the first bake.
#[derive(Clone, Copy)]
pub(super) struct SmallGroup<'a> {
    stage: &'a Stage,
    rule: &'a FairnessRule,
    /// What is counted of each group, and how many of them are waited for.
    of: &'static str,
    least: u64,
    group: &'a str,
    /// How many it had in the last day.
    before: u64,
    /// Minutes until it is large enough; infinite where it was empty.
    pub(super) takes: f64,
}

/// The measures of fairness whose groups stay too small beyond the first bake. They are unknown until
/// then, which holds, and in the end the deadline takes back what may be a good model.
pub(super) fn waits_for_groups<'a>(
    deployment: &'a Deployment,
    fairness: &'a Fairness,
) -> Vec<SmallGroup<'a>> {
    let baseline = &deployment.terms.baseline;
    let Some(stage) = below_full(deployment).next() else {
        return Vec::new();
    };
    let takes = |least: u64, before: u64| {
        let a_minute = before as f64 / baseline.minutes.max(1) as f64 * stage.weight.fraction();
        least as f64 / a_minute
    };
    let waits = fairness.rules.iter().filter_map(|rule| {
        let smallest =
            |of: fn(Counts) -> u64| fairness.smallest_group(rule.measure, &baseline.groups, of);
        let (group, trials) = smallest(Counts::n)?;
        // Before the first deployment that counts predictions there are none of anybody.
        if trials == 0 && !rule.measure.needs_labels() {
            return None;
        }
        let of_trials = SmallGroup {
            stage,
            rule,
            of: rule.measure.trials(),
            least: rule.min_samples,
            group,
            before: trials,
            takes: takes(rule.min_samples, trials),
        };
        let of_positives = rule.least_positives().zip(smallest(Counts::x));
        let of_positives = of_positives.map(|(least, (group, before))| SmallGroup {
            of: "positive predictions",
            least,
            group,
            before,
            takes: takes(least, before),
            ..of_trials
        });
        // Both are waited for, so it takes as long as the slower.
        let slower = of_positives.filter(|positives| positives.takes > of_trials.takes);
        let wait = slower.unwrap_or(of_trials);
        (wait.takes * 60.0 > stage.bake.secs() as f64).then_some(wait)
    });
    waits.collect()
}

/// That it is waited for, and how long.
pub(super) fn small_group(deployment: &Deployment, wait: &SmallGroup<'_>) -> String {
    let SmallGroup {
        stage,
        rule,
        of,
        least,
        group,
        before,
        takes,
    } = *wait;
    let deadline = deployment.terms.plan.deadline;
    let how_long = if before == 0 {
        format!(
            "nothing says how long, and past the deadline of {deadline} everything is taken back"
        )
    } else if takes * 60.0 >= deadline.secs() as f64 {
        format!("longer than the deadline of {deadline}, past which everything is taken back")
    } else {
        format!(
            "about {}, which the dates of this plan count in",
            roughly(takes)
        )
    };
    let sources = if rule.measure.needs_labels() {
        "; labels come by POST /feedback"
    } else {
        ""
    };
    // Of the two numbers of the policy, the one that is waited for.
    let number = if of == rule.measure.trials() {
        "min_samples"
    } else {
        "min_positives"
    };
    format!(
        "{}: no stage is left before the canary has {least} {of} in each group, and production had {before} of {group} in the last day: at {} of the traffic the canary is held until then, {how_long}{sources}; a lower {number} waits less and shows less, on_breach: notify does not wait",
        rule.measure.full_name(),
        stage.weight,
    )
}
