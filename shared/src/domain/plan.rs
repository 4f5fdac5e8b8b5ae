//! What a deployment intends: its stages, its soak, its deadline, and the four presets.

use serde::{Deserialize, Serialize};

use super::calendar::ChangeWindow;
use super::quantity::{Span, Weight};

/// One step of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// The canary's share in this stage.
    pub weight: Weight,
    /// How long the share is held at the least before the next raise. Without meaning at 100 %,
    /// where the soak takes its place.
    pub bake: Span,
    /// Whether a person must approve before the stage is left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
    /// Labelled predictions of the canary that the stage must see before it is left.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub min_labels: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The whole way from 0 to 100 %.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Weights strictly rise and end at 100.
    pub stages: Vec<Stage>,
    /// How long the canary serves everything before the old variant goes.
    pub soak: Span,
    /// From IN_PROGRESS to 100 %, soak apart; the clock stops in pauses, approvals and closed windows.
    pub deadline: Span,
    /// Raises happen only inside one of them; always, when there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub change_windows: Vec<ChangeWindow>,
}

/// Why stages can't be a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// There is no stage.
    #[error("a plan needs at least one stage; the last one is {{weight: 100}}")]
    Empty,
    /// Too many stages to be meant.
    #[error("a plan has at most 100 stages, not {0}")]
    TooMany(usize),
    /// A weight that does not rise, or is 0.
    #[error(
        "stage {stage}: weight {weight} does not rise above {before}; weights are whole percent from 1 to 100, each above the one before"
    )]
    NotRising {
        /// Counted from 1.
        stage: usize,
        /// The weight given.
        weight: u8,
        /// The weight before it.
        before: u8,
    },
    /// The last stage stops short.
    #[error("the last stage has weight {0}; a plan ends at 100")]
    NotFull(u8),
    /// A stage below 100 % with no bake time.
    #[error(
        "stage {stage}: bake is zero; a stage below 100 % needs time to be judged, like \"10m\""
    )]
    NoBake {
        /// Counted from 1.
        stage: usize,
    },
    /// The stages can't be over before the deadline.
    #[error(
        "the stages take {needed} at the least, longer than the deadline of {deadline}; raise plan.deadline or shorten the bakes"
    )]
    PastDeadline {
        /// The sum of the bakes.
        needed: Span,
        /// The deadline given.
        deadline: Span,
    },
}

impl Plan {
    /// The default of `deadline`.
    pub const DEADLINE: Span = Span::from_hours(96);
    /// The default of `soak`, the preset `quick` apart ([`Preset::soak`]).
    pub const SOAK: Span = Span::from_hours(24);

    /// The most stages that can be meant.
    pub const MOST_STAGES: usize = 100;

    /// Checks stages, soak and deadline against each other.
    pub fn new(
        stages: Vec<Stage>,
        soak: Span,
        deadline: Span,
        change_windows: Vec<ChangeWindow>,
    ) -> Result<Self, PlanError> {
        if stages.len() > Self::MOST_STAGES {
            return Err(PlanError::TooMany(stages.len()));
        }
        let last = stages.last().ok_or(PlanError::Empty)?.weight;
        let mut before = Weight::ZERO;
        for (index, stage) in stages.iter().enumerate() {
            if stage.weight <= before {
                return Err(PlanError::NotRising {
                    stage: index + 1,
                    weight: stage.weight.percent(),
                    before: before.percent(),
                });
            }
            if stage.weight < Weight::FULL && stage.bake.is_zero() {
                return Err(PlanError::NoBake { stage: index + 1 });
            }
            before = stage.weight;
        }
        if last != Weight::FULL {
            return Err(PlanError::NotFull(last.percent()));
        }
        let plan = Self {
            stages,
            soak,
            deadline,
            change_windows,
        };
        let needed = plan.shortest();
        if needed >= deadline {
            return Err(PlanError::PastDeadline { needed, deadline });
        }
        Ok(plan)
    }

    /// `initial`, then `step` more each `every`, up to 100 %.
    pub fn linear_stages(initial: Weight, step: Weight, every: Span) -> Vec<Stage> {
        let mut stages = Vec::new();
        let mut percent = initial.percent();
        while percent < 100 {
            stages.push(stage(percent, every));
            percent = percent.saturating_add(step.percent().max(1));
        }
        stages.push(stage(100, Span::ZERO));
        stages
    }

    /// The time from the first weight to 100 % when nothing holds it up.
    pub fn shortest(&self) -> Span {
        Span::from_secs(
            self.stages
                .iter()
                .filter(|stage| stage.weight < Weight::FULL)
                .map(|stage| stage.bake.secs())
                .sum(),
        )
    }

    /// The stage a share belongs to, counted from 0: the last one that asks for no more than it,
    /// so a share set by hand takes the bake of the stage it has passed.
    pub fn stage_index(&self, weight: Weight) -> usize {
        self.stages
            .iter()
            .rposition(|stage| stage.weight <= weight)
            .unwrap_or(0)
    }

    /// The stage a share belongs to.
    pub fn stage(&self, weight: Weight) -> Stage {
        self.stages[self.stage_index(weight)]
    }

    /// The first stage above a share; `None` at 100 %.
    pub fn stage_above(&self, weight: Weight) -> Option<Stage> {
        self.stages
            .iter()
            .copied()
            .find(|stage| stage.weight > weight)
    }

    /// The last stage below a share; `None` in the first.
    pub fn stage_below(&self, weight: Weight) -> Option<Stage> {
        self.stages
            .iter()
            .copied()
            .rfind(|stage| stage.weight < weight)
    }

    /// How long a share is kept at the least: its stage's bake, the soak at 100 %, and none at all before the
    /// first stage.
    pub fn length_at(&self, weight: Weight) -> Span {
        if weight == Weight::ZERO {
            Span::ZERO
        } else if weight == Weight::FULL {
            self.soak
        } else {
            self.stage(weight).bake
        }
    }

    /// The first moment from this one on at which raises are allowed; absent where no window opens for weeks.
    pub fn raises_from(&self, now: jiff::Timestamp) -> Option<jiff::Timestamp> {
        if self.change_windows.is_empty() {
            return Some(now);
        }
        let windows = self.change_windows.iter();
        windows.filter_map(|window| window.opens_from(now)).min()
    }

    /// Whether raises are allowed at this moment.
    pub fn allows_raise_at(&self, now: jiff::Timestamp) -> bool {
        self.change_windows.is_empty()
            || self.change_windows.iter().any(|window| window.is_open(now))
    }
}

fn stage(percent: u8, bake: Span) -> Stage {
    Stage {
        weight: Weight::new(percent).expect("the presets stay within 100"),
        bake,
        approval: false,
        min_labels: 0,
    }
}

/// The named plans. A preset also sets the policy's defaults: [`super::policy::Policy::preset`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Preset {
    /// 10 %, then 10 % more every 10 minutes.
    #[default]
    Linear,
    /// 5 % 1 h, 10 % 3 h, 25 % 20 h, 50 % 24 h, 100 %.
    Playbook,
    /// 5 % 30 min, 25 % 1 h, 100 %.
    Quick,
    /// 1 % 24 h, 10 % 12 h, 50 % 6 h, 100 %.
    Phased,
}

impl Preset {
    /// How long its canary serves everything before the old variant goes. A release by `quick` is to be
    /// over within two hours, of which its stages take an hour and a half and SageMaker some minutes
    /// for each change.
    pub const fn soak(self) -> Span {
        match self {
            Self::Quick => Span::from_mins(10),
            Self::Linear | Self::Playbook | Self::Phased => Plan::SOAK,
        }
    }

    /// The preset's stages.
    pub fn stages(self) -> Vec<Stage> {
        let full = stage(100, Span::ZERO);
        match self {
            Self::Linear => Plan::linear_stages(
                stage(10, Span::ZERO).weight,
                stage(10, Span::ZERO).weight,
                Span::from_mins(10),
            ),
            Self::Playbook => vec![
                stage(5, Span::from_hours(1)),
                stage(10, Span::from_hours(3)),
                stage(25, Span::from_hours(20)),
                stage(50, Span::from_hours(24)),
                full,
            ],
            Self::Quick => vec![
                stage(5, Span::from_mins(30)),
                stage(25, Span::from_hours(1)),
                full,
            ],
            Self::Phased => vec![
                stage(1, Span::from_hours(24)),
                stage(10, Span::from_hours(12)),
                stage(50, Span::from_hours(6)),
                full,
            ],
        }
    }
}
