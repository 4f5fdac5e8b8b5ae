//! What an operator may order, and when. Commands change the record only; the control loop
//! carries them out. Guards always win: no command raises past a red one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::decide::{Decision, Pass, said};
use super::deployment::Deployment;
use super::evidence::Evidence;
use super::history::{Name, Severity};
use super::judge::bench::Bench;
use super::quantity::Weight;
use super::state::{Event, IllegalEvent, Interrupted, Outcome, Phase, Status};

/// An order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Stop raises.
    Pause,
    /// Let raises go on.
    Resume,
    /// Skip the rest of the bake or the soak; `full`: straight to 100 %.
    Promote {
        /// Straight to 100 %.
        full: bool,
    },
    /// Take everything back.
    Rollback,
    /// Take everything back and call it off.
    Cancel,
    /// Let the next raise happen.
    Approve,
    /// Set the canary's share by hand; the plan goes on from there.
    SetWeight(Weight),
}

/// Why an order can't be followed now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IllegalCommand {
    /// The state forbids it.
    #[error("{command} is not possible in {status}/{phase}: {way_out}")]
    State {
        /// The order's name.
        command: &'static str,
        /// The status it met.
        status: Status,
        /// The phase it met.
        phase: Phase,
        /// What to do instead.
        way_out: String,
    },
    /// More traffic on a canary that a guard speaks against.
    #[error("no raise while this speaks against it: {0}")]
    RedGuard(String),
    /// More traffic on a canary that can't be seen.
    #[error("no raise while blind: {0}")]
    Blind(String),
    /// More traffic on an endpoint that is not as committed.
    #[error("no raise while the endpoint has drifted: {0}")]
    Drift(String),
    /// The share is already that.
    #[error("the canary's share is {0} already")]
    SameWeight(Weight),
    /// The stage wants a person's approval.
    #[error("the stage at {0} asks for an approval: use approve")]
    NeedsApproval(Weight),
    /// A bug: the checks above let something through that the table forbids.
    #[error(transparent)]
    Event(#[from] IllegalEvent),
}

/// Follows an order, or says why not.
pub fn apply(
    before: &Deployment,
    evidence: &Evidence,
    command: Command,
    by: &str,
    why: Option<&str>,
    now: Timestamp,
) -> Result<Decision, IllegalCommand> {
    let mut pass = Pass::new(before, evidence, now);
    pass.by = Some(by.to_owned());
    let order = Order {
        command: command.name(),
        why: why.map_or_else(String::new, |why| format!(": {why}")),
    };
    match command {
        Command::Pause => order.pause(&mut pass)?,
        Command::Resume => order.resume(&mut pass)?,
        Command::Promote { full } => order.promote(&mut pass, full)?,
        Command::Rollback => order.end(&mut pass, Outcome::RolledBack)?,
        Command::Cancel => order.end(&mut pass, Outcome::Cancelled)?,
        Command::Approve => order.approve(&mut pass)?,
        Command::SetWeight(weight) => order.set_weight(&mut pass, weight)?,
    }
    Ok(pass.finish())
}

impl Command {
    /// Whether it would bring the canary more traffic, or remove the way back.
    pub fn raises(self, deployment: &Deployment) -> bool {
        match self {
            Self::Promote { .. } | Self::Approve => true,
            // Where the weights were moved, what the canary has now is not in the record.
            Self::SetWeight(weight) => {
                weight > deployment.state.weight || deployment.state.drift.is_some()
            }
            Self::Pause | Self::Resume | Self::Rollback | Self::Cancel => false,
        }
    }

    /// The verb, as in the API and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Promote { .. } => "promote",
            Self::Rollback => "rollback",
            Self::Cancel => "cancel",
            Self::Approve => "approve",
            Self::SetWeight(_) => "weight",
        }
    }
}

struct Order {
    command: &'static str,
    why: String,
}

impl Order {
    fn refused(&self, pass: &Pass, way_out: &str) -> IllegalCommand {
        let state = &pass.next.state;
        let way_out = match state.status {
            status if status.is_terminal() => "the deployment is over",
            Status::RollingBack => "it is rolling back already",
            _ if state.phase == Phase::CleaningUp => {
                "the end has begun; when it is over, start another deployment"
            }
            _ => way_out,
        };
        IllegalCommand::State {
            command: self.command,
            status: state.status,
            phase: state.phase,
            way_out: way_out.to_owned(),
        }
    }

    fn pause(&self, pass: &mut Pass) -> Result<(), IllegalCommand> {
        let interrupted = match pass.next.state.phase {
            Phase::Scaling | Phase::Shifting => Interrupted::Raise,
            Phase::Baking | Phase::Holding => Interrupted::Bake,
            Phase::AwaitingApproval => Interrupted::Approval,
            Phase::Soaking => Interrupted::Soak,
            Phase::Paused => return Err(self.refused(pass, "it is paused already")),
            _ => {
                return Err(self.refused(
                    pass,
                    "there is no raise to stop; rollback or cancel end the deployment",
                ));
            }
        };
        let weight = pass.next.state.weight.to_string();
        pass.go(
            Event::Pause,
            said(
                Name::Paused,
                Severity::Info,
                format!("paused by an operator{}", self.why),
                weight,
                "no raise until resumed",
            ),
        )?;
        pass.next.state.interrupted = Some(interrupted);
        Ok(())
    }

    fn resume(&self, pass: &mut Pass) -> Result<(), IllegalCommand> {
        let state = &pass.next.state;
        if state.descent.is_some() {
            return self.stop_descent(pass);
        }
        let interrupted = match (state.phase, state.interrupted) {
            (Phase::Paused, Some(interrupted)) => interrupted,
            (_, Some(_)) => {
                let way_out = "resume it once the lower share is confirmed";
                return Err(self.refused(pass, way_out));
            }
            (_, None) => {
                return Err(self.refused(pass, "only a paused deployment can be resumed"));
            }
        };
        let weight = pass.next.state.weight.to_string();
        let what = said(
            Name::Resumed,
            Severity::Info,
            format!("resumed by an operator{}", self.why),
            weight,
            "the plan goes on",
        );
        Ok(pass.go(Event::Resume(interrupted), what)?)
    }

    /// On the way down the share stays where it is and is baked anew, if nothing seen at this share
    /// speaks against that.
    fn stop_descent(&self, pass: &mut Pass) -> Result<(), IllegalCommand> {
        let state = &pass.next.state;
        // What is still under way would move the share after it is said to be kept.
        if !state.rests_on_the_way_down() || pass.next.is_leased(pass.now) {
            let way_out = "resume it once the lower share is confirmed";
            return Err(self.refused(pass, way_out));
        }
        may_raise(pass)?;
        let weight = state.weight;
        let reason = format!(
            "stopped on its way down by an operator{}: {weight} is baked anew",
            self.why
        );
        let what = said(
            Name::Resumed,
            Severity::Info,
            reason,
            weight.to_string(),
            "the plan goes on",
        );
        pass.go(Event::Resume(Interrupted::Bake), what)?;
        pass.next.state.stage_since = pass.now;
        pass.evidence.begin_stage();
        Ok(())
    }

    fn promote(&self, pass: &mut Pass, full: bool) -> Result<(), IllegalCommand> {
        match pass.next.state.phase {
            Phase::Baking | Phase::Holding => {
                let weight = pass.next.state.weight;
                may_raise(pass)?;
                let target = if full {
                    Weight::FULL
                } else {
                    pass.next
                        .terms
                        .plan
                        .stage_above(weight)
                        .map_or(Weight::FULL, |stage| stage.weight)
                };
                skips_no_approval(pass, target)?;
                Ok(pass.raise(
                    target,
                    Name::Promoted,
                    Severity::Info,
                    &format!("promoted by an operator{}", self.why),
                )?)
            }
            Phase::Soaking => {
                may_raise(pass)?;
                Ok(pass.end_soak(
                    &format!("soak ended by an operator{}", self.why),
                    Name::Promoted,
                )?)
            }
            Phase::Paused => Err(self.refused(pass, "resume it first")),
            Phase::AwaitingApproval => Err(IllegalCommand::NeedsApproval(pass.next.state.weight)),
            _ => Err(self.refused(
                pass,
                upward(pass, "wait until the present step is confirmed"),
            )),
        }
    }

    fn approve(&self, pass: &mut Pass) -> Result<(), IllegalCommand> {
        if pass.next.state.phase != Phase::AwaitingApproval {
            return Err(self.refused(pass, "no approval is asked for now"));
        }
        may_raise(pass)?;
        let target = pass
            .next
            .terms
            .plan
            .stage_above(pass.next.state.weight)
            .map_or(Weight::FULL, |stage| stage.weight);
        Ok(pass.raise(
            target,
            Name::Approved,
            Severity::Info,
            &format!(
                "approved by {}{}",
                pass.by.clone().unwrap_or_default(),
                self.why
            ),
        )?)
    }

    fn end(&self, pass: &mut Pass, outcome: Outcome) -> Result<(), IllegalCommand> {
        let state = &mut pass.next.state;
        if state.status == Status::RollingBack
            || state.phase == Phase::CleaningUp
            || state.status.is_terminal()
        {
            return Err(self.refused(pass, "the end has begun"));
        }
        let verb = if outcome == Outcome::Cancelled {
            "cancelled"
        } else {
            "rolled back"
        };
        let reason = format!("{verb} by an operator{}", self.why);
        let value = state.weight.to_string();
        Ok(pass.roll_back(
            outcome,
            said(
                Name::RollingBack,
                Severity::Warning,
                reason,
                value,
                "an operator's order",
            ),
        )?)
    }

    fn set_weight(&self, pass: &mut Pass, weight: Weight) -> Result<(), IllegalCommand> {
        let (phase, now_at) = (pass.next.state.phase, pass.next.state.weight);
        if weight == Weight::ZERO {
            return Err(self.refused(
                pass,
                "rollback takes everything back, and cancel calls it off",
            ));
        }
        // Somebody else moved the weights: the same share again puts them back.
        let is_drifted = pass.next.state.drift.is_some();
        if weight == now_at && pass.next.state.target == now_at && !is_drifted {
            return Err(IllegalCommand::SameWeight(weight));
        }
        if weight > now_at {
            match phase {
                Phase::Baking | Phase::Holding => {}
                Phase::AwaitingApproval => return Err(IllegalCommand::NeedsApproval(now_at)),
                Phase::Paused => return Err(self.refused(pass, "resume it first")),
                _ => {
                    let way_out = "the share can be raised while a stage bakes or holds";
                    return Err(self.refused(pass, upward(pass, way_out)));
                }
            }
            may_raise(pass)?;
            skips_no_approval(pass, weight)?;
            return Ok(pass.raise(
                weight,
                Name::Promoted,
                Severity::Info,
                &format!("share set by an operator{}", self.why),
            )?);
        }
        if pass.next.state.status != Status::InProgress
            || matches!(
                phase,
                Phase::Finalizing | Phase::CleaningUp | Phase::Retreating
            )
        {
            let way_out = "the share can't be set now; rollback takes everything back";
            return Err(self.refused(pass, upward(pass, way_out)));
        }
        // A paused rollout stays paused at its lower share.
        let was_paused = phase == Phase::Paused;
        pass.next.state.target = weight;
        let reason = format!("share set to {weight} by an operator{}", self.why);
        pass.go(
            Event::Retreat,
            said(
                Name::Retreating,
                Severity::Info,
                reason,
                now_at.to_string(),
                weight.to_string(),
            ),
        )?;
        pass.next.state.interrupted = was_paused.then_some(Interrupted::Bake);
        Ok(())
    }
}

/// What to do first on a way down by steps, where an order asks for another share.
fn upward<'a>(pass: &Pass, otherwise: &'a str) -> &'a str {
    if pass.next.state.descent.is_some() {
        "it is on its way down: resume keeps the share it has, rollback takes everything back at once"
    } else {
        otherwise
    }
}

/// Guards always win, and nothing raises traffic on missing data or on an endpoint that somebody
/// else has changed.
fn may_raise(pass: &Pass) -> Result<(), IllegalCommand> {
    if let Some(blind) = &pass.evidence.blind {
        return Err(IllegalCommand::Blind(blind.reason.clone()));
    }
    if let Some(objection) = Bench::of(&pass.next).objection_to_order(&pass.evidence) {
        return Err(IllegalCommand::RedGuard(objection));
    }
    match &pass.next.state.drift {
        Some(drift) => Err(IllegalCommand::Drift(drift.clone())),
        None => Ok(()),
    }
}

/// No stage that asks for an approval before it is left is jumped over.
fn skips_no_approval(pass: &Pass, target: Weight) -> Result<(), IllegalCommand> {
    let (plan, from) = (&pass.next.terms.plan, pass.next.state.weight);
    let present = plan.stage(from).weight;
    let asking = plan
        .stages
        .iter()
        .find(|stage| stage.approval && stage.weight >= present && stage.weight < target);
    asking.map_or(Ok(()), |stage| {
        Err(IllegalCommand::NeedsApproval(stage.weight))
    })
}
