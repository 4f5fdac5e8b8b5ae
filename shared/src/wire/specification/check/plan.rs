//! The stages: a preset, a line or a list, and how long all of it may take.

use super::super::raw::{RawLinear, RawPlan};
use super::super::{SpecificationError, wrong};
use crate::domain::plan::{Plan, PlanError, Preset, Stage};

impl RawPlan {
    pub(super) fn check(self) -> Result<Plan, SpecificationError> {
        let given = [
            self.preset.is_some() && self.stages.is_some(),
            self.linear.is_some() && self.stages.is_some(),
            self.linear.is_some() && !matches!(self.preset, None | Some(Preset::Linear)),
        ];
        if given.contains(&true) {
            return Err(wrong(
                "plan",
                "name a preset, or spell out linear, or spell out stages: one of them",
            ));
        }
        let linear = self.linear.is_some();
        let stages = match (self.linear, self.stages) {
            (
                Some(RawLinear {
                    initial,
                    step,
                    every,
                }),
                _,
            ) => Plan::linear_stages(initial.0, step.0, every),
            (None, Some(stages)) => stages
                .into_iter()
                .map(|stage| Stage {
                    weight: stage.weight.0,
                    bake: stage.bake.unwrap_or_default(),
                    approval: stage.approval,
                    min_labels: stage.min_labels,
                })
                .collect(),
            (None, None) => self.preset.unwrap_or_default().stages(),
        };
        let (soak, deadline) = (
            self.soak
                .unwrap_or_else(|| self.preset.unwrap_or_default().soak()),
            self.deadline.unwrap_or(Plan::DEADLINE),
        );
        Plan::new(stages, soak, deadline, self.change_windows).map_err(|error| {
            let field = match &error {
                PlanError::NoBake { .. } if linear => "plan.linear.every".to_owned(),
                PlanError::NoBake { stage } => format!("plan.stages[{}].bake", stage - 1),
                PlanError::NotRising { stage, .. } => format!("plan.stages[{}].weight", stage - 1),
                PlanError::Empty | PlanError::TooMany(_) | PlanError::NotFull(_) => {
                    "plan.stages".to_owned()
                }
                PlanError::PastDeadline { .. } => "plan.deadline".to_owned(),
            };
            wrong(field, error.to_string())
        })
    }
}
