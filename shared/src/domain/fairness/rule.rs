//! How one measure stands: the canary's groups held against the limit, and against production's.

use super::interval::{Rated, difference, ratio};
use super::{FairnessRule, Group, Judged, Measure, Measured};
use crate::domain::comparison::Counts;
use crate::domain::comparison::proportion::{Bounds, bounds};
use crate::domain::evidence::Finding;

/// The chance that an interval is ever wrong.
const ALPHA: f64 = 0.05;
/// How often what was counted is doubled to say how much of it would be enough.
const DOUBLINGS: u32 = 10;

impl FairnessRule {
    /// Holds the canary's groups against the limit, and against production's.
    pub fn judge(&self, canary: &[Group<'_>], production: &[Group<'_>]) -> Judged {
        let theirs = self.measured(production).ok();
        let (finding, ours, what) = match self.measured(canary) {
            Err(why) => (Finding::Unknown, None, why),
            Ok(ours) => {
                let (finding, how) = self.finding(&ours, canary, theirs.as_ref());
                let what = in_words(&ours, &how);
                (finding, Some(ours), what)
            }
        };
        let beside = theirs.as_ref().map_or_else(String::new, |theirs| {
            format!(
                "; production {:.3} ({})",
                theirs.value,
                range(theirs.interval)
            )
        });
        Judged {
            finding,
            canary: ours,
            production: theirs,
            sentence: format!("{}: {what}{beside}", self.measure.words()),
        }
    }

    /// How the canary stands, and that in words.
    fn finding(
        &self,
        ours: &Measured,
        groups: &[Group<'_>],
        theirs: Option<&Measured>,
    ) -> (Finding, String) {
        let limit = self.limit;
        if !self.is_past(ours) {
            // What the interval shows needs no number of its own.
            let short = self.short_of_positives(groups);
            return match short.filter(|_| !self.is_shown_kept(ours)) {
                None => (Finding::Kept, format!("within the limit of {limit}")),
                Some(short) => (
                    Finding::Unknown,
                    format!("within the limit of {limit}, which too few show: {short}"),
                ),
            };
        }
        if !self.is_proven(ours) {
            let outlook = self.outlook(groups);
            let how = format!("not shown to be within the limit of {limit}: {outlook}");
            return (Finding::Unknown, how);
        }
        // Worse than production by more than both intervals is the canary's own.
        let alike =
            theirs.filter(|theirs| self.is_past(theirs) && overlap(ours.interval, theirs.interval));
        let (finding, how) = match alike {
            None => (Finding::Broken, "past"),
            Some(theirs) if self.is_proven(theirs) => (Finding::Shared, "past, as production is,"),
            Some(_) => (Finding::Unknown, "past, as production may be,"),
        };
        (finding, format!("{how} the limit of {limit}"))
    }

    pub(super) fn is_past(&self, measured: &Measured) -> bool {
        self.measure.is_past(measured.value, self.limit)
    }

    fn is_proven(&self, measured: &Measured) -> bool {
        let Bounds { low, high } = measured.interval;
        self.measure.is_past(low, self.limit) && self.measure.is_past(high, self.limit)
    }

    fn is_shown_kept(&self, measured: &Measured) -> bool {
        let Bounds { low, high } = measured.interval;
        !self.measure.is_past(low, self.limit) && !self.measure.is_past(high, self.limit)
    }

    /// The group whose positive predictions are too few to tell a ratio by; absent where there is none. What
    /// a difference is uncertain by depends on the trials, of which there are `min_samples`.
    fn short_of_positives(&self, groups: &[Group<'_>]) -> Option<String> {
        let least = self.least_positives()?;
        let (name, counts) = groups.iter().min_by_key(|(_, counts)| counts.x())?;
        let seen = counts.x();
        (seen < least).then(|| format!("group {name} has {seen} of {least} positive predictions"))
    }

    /// The fewest positive predictions of a group that tell its measure; absent where none are asked for.
    pub fn least_positives(&self) -> Option<u64> {
        (self.measure == Measure::DisparateImpact).then_some(self.min_positives)
    }

    /// What was counted of the smallest group, and how much of it would show a measure that stays as it is.
    fn outlook(&self, groups: &[Group<'_>]) -> String {
        let trials = self.measure.trials();
        let Some((name, counts)) = groups.iter().min_by_key(|(_, counts)| counts.n()) else {
            return format!("there are no {trials}");
        };
        let seen = counts.n();
        let mut tried = (1..=DOUBLINGS).map(|doublings| 1_u64 << doublings);
        match tried.find(|times| self.would_show(groups, *times)) {
            Some(times) => format!(
                "it would be shown by about {} {trials} of group {name}, which has {seen}",
                seen.saturating_mul(times)
            ),
            None => format!(
                "it is too near to be shown, and group {name}, the smallest, has {seen} {trials}"
            ),
        }
    }

    fn would_show(&self, groups: &[Group<'_>], times: u64) -> bool {
        let more = groups.iter().filter_map(|(name, counts)| {
            let (n, x) = (counts.n(), counts.x());
            let more = Counts::new(n.saturating_mul(times), x.saturating_mul(times))?;
            Some((*name, more))
        });
        let more: Vec<Group<'_>> = more.collect();
        self.measured(&more)
            .is_ok_and(|measured| self.is_proven(&measured))
    }

    /// The measure over the groups, or why it can't be told.
    pub(super) fn measured(&self, groups: &[Group<'_>]) -> Result<Measured, String> {
        if groups.len() < 2 {
            return Err("two groups are needed to compare".to_owned());
        }
        let least = self.min_samples.max(1);
        if let Some((name, counts)) = groups.iter().find(|(_, counts)| counts.n() < least) {
            let (n, trials) = (counts.n(), self.measure.trials());
            return Err(format!("unknown: group {name} has {n} of {least} {trials}"));
        }
        // Each group is compared with all the others.
        let each = ALPHA / (groups.len() - 1) as f64;
        let rated: Vec<Rated<'_>> = groups
            .iter()
            .filter_map(|(name, counts)| {
                Some(Rated {
                    name,
                    rate: counts.rate()?,
                    bounds: bounds(*counts, each),
                })
            })
            .collect();
        let by_rate = |a: &&Rated<'_>, b: &&Rated<'_>| a.rate.total_cmp(&b.rate);
        let (Some(lowest), Some(highest)) =
            (rated.iter().min_by(by_rate), rated.iter().max_by(by_rate))
        else {
            return Err("no group has been counted".to_owned());
        };
        let (value, interval) = match self.measure {
            Measure::DemographicParity | Measure::EqualOpportunity => {
                (highest.rate - lowest.rate, difference(&rated))
            }
            // Nobody is preferred there, and who would be is not known: of nothing there is no ratio.
            Measure::DisparateImpact if highest.rate == 0.0 => {
                let least = self.min_positives;
                return Err(format!(
                    "unknown: no group has had a positive prediction yet, and {least} of each are asked for"
                ));
            }
            Measure::DisparateImpact => (lowest.rate / highest.rate, ratio(&rated)),
        };
        Ok(Measured {
            value,
            interval,
            lowest: lowest.name.to_owned(),
            highest: highest.name.to_owned(),
        })
    }
}

fn in_words(ours: &Measured, how: &str) -> String {
    let Measured {
        value,
        interval,
        lowest,
        highest,
    } = ours;
    format!(
        "canary {value:.3} ({}; {highest} has the most positive predictions, {lowest} the fewest), {how}",
        range(*interval),
    )
}

fn overlap(a: Bounds, b: Bounds) -> bool {
    a.low <= b.high && b.low <= a.high
}

pub(super) fn range(bounds: Bounds) -> String {
    format!("95% interval {:.3} to {:.3}", bounds.low, bounds.high)
}
