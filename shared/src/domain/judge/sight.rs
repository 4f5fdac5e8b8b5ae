//! Whether the canary can be seen at all.
//!
//! - **Blind**: the canary's query failed or was partial, or the canary has no points although its
//!   share of production's traffic predicts ten requests or more. Of the traffic that goes by the
//!   weights: a request that was asked of production by name says nothing of how many the canary gets.
//!   And by the weights in force: to whom somebody else has left no traffic, none can be missing, once
//!   that is kept as a drift. While a raise or a way down is committed, what was missing stays missing.
//! - **Silent**: no requests of either model in the last minute, on an endpoint that has ten a
//!   minute. Either nobody asks or CloudWatch lags; nothing is raised until there are some again.
//! - **Quiet**: little traffic, so few points. Nothing is wrong and nothing is proved.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::deployment::Deployment;
use crate::domain::evidence::{Blind, Evidence};
use crate::domain::model_signals::ROUTED;
use crate::domain::observation::{ArmMinute, Metrics, Series};
use crate::domain::quantity::{Span, TrafficShare};
use crate::domain::state::Phase;

/// Canary requests that production's traffic must predict before their absence is blindness.
pub const BLIND_FROM: f64 = 10.0;

/// A minute of the present stage without canary requests: how many its share of production's would have
/// been. Where somebody else has left it no share, what was missing before is missed no longer. While another
/// share is committed, that of 0 excuses nothing: the raise would go past what was not seen.
pub(super) fn expect(
    deployment: &Deployment,
    evidence: &mut Evidence,
    minute: Timestamp,
    by_weight: u64,
) {
    let state = &deployment.state;
    let share = state.least_share_at(minute);
    if share == TrafficShare::NONE {
        let is_to_move = state.target > state.weight || state.phase == Phase::Retreating;
        if state.drift.is_some() && !is_to_move {
            evidence.expected_unseen = 0.0;
        }
    } else if share < TrafficShare::ALL {
        evidence.expected_unseen += predicted(deployment, minute, by_weight);
    }
}

/// Production's requests that went by the weights. With users routed by name, none where it could not
/// be read how many were asked by name: of them all it would predict a canary that there need not be.
pub(super) fn by_weight(
    deployment: &Deployment,
    production: Option<&ArmMinute>,
    unread: &BTreeMap<String, String>,
) -> u64 {
    let Some(production) = production else {
        return 0;
    };
    if deployment.terms.routing.is_none() {
        return production.invocations;
    }
    if unread.contains_key(ROUTED) || production.miscounted.contains_key(ROUTED) {
        return 0;
    }
    let by_name = production.checks.get(ROUTED).map_or(0, |routed| routed.x());
    production.invocations.saturating_sub(by_name)
}

/// The canary requests that so many of production's predict, at a share below 100 %. In a minute in which
/// the share was moved they are those of the lower one.
pub(super) fn predicted(deployment: &Deployment, minute: Timestamp, by_weight: u64) -> f64 {
    let share = deployment.state.least_share_at(minute).fraction();
    by_weight as f64 * share / (1.0 - share)
}

/// Blind since when, or seen again.
pub(super) fn settle(
    evidence: &mut Evidence,
    metrics: &Metrics,
    now: Timestamp,
    took_minutes: bool,
) {
    if let Series::Failed { reason } = &metrics.production {
        mark_blind(evidence, now, true, reason);
    } else if evidence.expected_unseen >= BLIND_FROM {
        let reason = format!(
            "no points of the canary although its share predicts {:.0} requests",
            evidence.expected_unseen
        );
        mark_blind(evidence, now, false, &reason);
    } else if took_minutes {
        evidence.blind = None;
    }
}

/// The canary, or both arms, could not be seen at this pass.
pub(super) fn mark_blind(
    evidence: &mut Evidence,
    now: Timestamp,
    production_too: bool,
    reason: &str,
) {
    let before = evidence.blind.take();
    let counted = match &before {
        None => Span::ZERO,
        // With production unseen now, or then, the time between counts for neither.
        Some(blind) if production_too || blind.production_too => blind.counted,
        Some(blind) => blind.unseen_for(now),
    };
    evidence.blind = Some(Blind {
        since: before.map_or(now, |blind| blind.since),
        marked_at: now,
        counted,
        production_too,
        reason: reason.to_owned(),
    });
}
