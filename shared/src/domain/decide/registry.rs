//! Telling the model registry how a deployment came out: begun when that is decided, followed until it is
//! done, and given up after its time. Nothing else waits for it.

use super::{Pass, said};
use crate::domain::history::{Name, Severity};
use crate::domain::quantity::Span;
use crate::domain::registry::{Ending, Filing, LIMIT, Standing};

impl Pass {
    /// The registry is to be told of this ending, where it has anything to do with it.
    pub(super) fn begin_filing(&mut self, ending: Ending) {
        self.next.state.filing = Some(Filing {
            since: self.now,
            ending,
            told: Vec::new(),
            filed: None,
            refused: None,
        });
        if self.next.standings().is_empty() {
            self.next.state.filing = None;
        }
    }

    /// Says once what the registry was told, or that it could not be told in time.
    pub(super) fn follow_filing(&mut self) {
        let Some(filing) = &self.next.state.filing else {
            return;
        };
        let lasted = Span::between(filing.since, self.now);
        if let Some(says) = &filing.filed {
            let reason = format!("the model registry says now: {says}");
            self.next.state.filing = None;
            self.tell(said(
                Name::Registered,
                Severity::Info,
                reason,
                lasted.to_string(),
                LIMIT.to_string(),
            ));
        } else if lasted >= LIMIT {
            let refused = filing.refused.as_ref();
            let why = refused.map_or_else(
                || "it was not reached".to_owned(),
                |refused| refused.why.clone(),
            );
            self.leave_filing(&why);
        }
    }

    /// Gives up what the registry was not told yet.
    pub(super) fn leave_filing(&mut self, why: &str) {
        let wanted = self.next.standings();
        let Some(filing) = self.next.state.filing.take() else {
            return;
        };
        let wanted = wanted.iter().map(Standing::wanted_in_words);
        let wanted = wanted.collect::<Vec<_>>().join("; ");
        let told = if filing.told.is_empty() {
            String::new()
        } else {
            format!("; it was told: {}", filing.says())
        };
        let reason = format!(
            "the model registry was not told everything, and is not told any more: {why}; set by hand what still holds: {wanted}{told}"
        );
        let lasted = Span::between(filing.since, self.now);
        self.tell(said(
            Name::RegistryLeft,
            Severity::Warning,
            reason,
            lasted.to_string(),
            LIMIT.to_string(),
        ));
    }
}
