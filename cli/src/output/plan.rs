//! `canary plan`: what a specification would do.

use shared::wire::api::PlanView;
use std::fmt::Write as _;

use super::Look;
use super::deployment::stages;
use super::text::{facts, length, time};

/// What would happen, and what would be watched.
pub(crate) fn plan(look: Look, plan: &PlanView) -> String {
    let rows = [
        ("endpoint", plan.endpoint.clone()),
        (
            "model",
            format!("{}, replacing {}", plan.model, plan.former_model),
        ),
        (
            "duration",
            format!(
                "{}, of which {} soak at 100 %",
                length(plan.duration),
                length(plan.soak)
            ),
        ),
        (
            "ends",
            format!("{} UTC, if nothing holds it up", time(plan.ends_at)),
        ),
        (
            "instances",
            format!("up to {} beside production's", plan.extra_instances),
        ),
    ];
    let mut text = facts(look, &rows);
    text.push('\n');
    text.push_str(&stages(look, &plan.stages, 0));
    if !plan.guards.is_empty() {
        text.push_str("\nRolled back by:\n");
        for guard in &plan.guards {
            writeln!(text, "  {guard}").expect("a string takes everything");
        }
    }
    text
}
