//! The protocol with one rule left out. Each must be found out: a model that finds nothing wrong
//! with these would find nothing wrong with anything.

use shared::domain::deployment::Deployment;
use shared::domain::due::Effect;
use shared::domain::state::Phase;

use super::world::{Config, Endpoint};

/// Which rule is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// None.
    AsBuilt,
    /// Raises are made without a lease.
    RaiseUnleased,
    /// The call comes first and the record after it.
    CallFirst,
    /// What an update needs is made, and removed, before the lease.
    PrepareFirst,
    /// The end does not wait for a lease to run out.
    EndUnderLease,
    /// A call can land after its lease.
    ShortLease,
    /// What was accepted is taken for done.
    TrustAnswers,
    /// The update that removes the old variant is made without a lease.
    FinalizeUnleased,
    /// What was seen is judged as of the time of judging.
    JudgeLater,
    /// A commit does not ask whether the record is still the one that was read.
    AnyVersion,
    /// A commit does not ask whether minutes were judged in between.
    AnyWatermark,
}

impl Variant {
    /// Whether a commit from a record that is no longer stored fails, before any call.
    pub(crate) fn is_conditional(self) -> bool {
        !matches!(
            self,
            Self::CallFirst | Self::PrepareFirst | Self::AnyVersion | Self::AnyWatermark
        )
    }

    pub(crate) fn ignores_watermark(self) -> bool {
        matches!(self, Self::AnyWatermark | Self::AnyVersion)
    }

    pub(crate) fn is_unleased(self, effect: &Effect) -> bool {
        match effect {
            Effect::Grow { .. } | Effect::Shift { .. } => self == Self::RaiseUnleased,
            Effect::Deploy { config } => {
                self == Self::FinalizeUnleased && Config::named(config) == Config::Last
            }
            _ => false,
        }
    }

    /// How many minutes a call may take to land.
    pub(crate) fn landing(self, as_built: i64) -> i64 {
        if self == Self::ShortLease {
            as_built + 2
        } else {
            as_built
        }
    }

    /// The endpoint as the loop takes it to be.
    pub(crate) fn sight(self, mut sight: Endpoint) -> Endpoint {
        if self == Self::TrustAnswers {
            sight.finish();
        }
        sight
    }

    /// The record as the loop takes it to be.
    pub(crate) fn before_deciding(self, before: &Deployment) -> Deployment {
        let mut before = before.clone();
        if self == Self::EndUnderLease && before.state.phase != Phase::Retreating {
            before.state.lease = None;
        }
        before
    }

    /// The record as a function takes it to be.
    pub(crate) fn before_acting(self, before: &Deployment) -> Deployment {
        if before.state.phase == Phase::CleaningUp {
            self.before_deciding(before)
        } else {
            before.clone()
        }
    }

    pub(crate) fn after_deciding(self, before: &Deployment, next: &mut Deployment) {
        if self == Self::EndUnderLease && !next.state.status.is_terminal() {
            next.state.lease.clone_from(&before.state.lease);
        }
    }
}
