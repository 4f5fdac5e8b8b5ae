//! What goes wrong, or not, in each scenario, and what the operator does about it.

use std::time::Duration;

use jiff::SignedDuration;
use shared::domain::history::{Entry, Name};
use shared::domain::state::{Phase, Status};
use shared::wire::api::DeploymentView;

use super::figure::Figure;
use crate::models::recipe::Recipe;
use crate::models::server::Behaviour;
use crate::traffic::Labels;

/// The alcohol content in percent above which the failing challenger fails: about a quarter of
/// the wines.
const FAILS_ABOVE: f64 = 11.0;
/// How late the slow challenger answers.
const LATE: Duration = Duration::from_millis(300);
/// Of how many answers the truth becomes known.
const LABELLED: f64 = 0.6;

/// The scenarios of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// The challenger is sound: it takes over.
    #[default]
    Healthy,
    /// The challenger fails on part of its input: rolled back.
    Errors,
    /// The challenger answers late: rolled back.
    Slow,
    /// The challenger's process is killed under traffic: rolled back.
    Crash,
    /// An operator pauses the rollout and lets it go on.
    Pause,
    /// An operator calls the rollout off.
    Cancel,
    /// The challenger is wrong too often, which labels show later: rolled back.
    Accuracy,
    /// The challenger is accurate and unfair to a group: rolled back.
    Unfair,
    /// The challenger costs twice as much: people are told, and it takes over.
    Costly,
    /// The challenger's scores lie elsewhere: held, until an operator decides.
    Drift,
    /// The challenger fails on labelled wines: refused before any traffic.
    Rejected,
    /// The challenger fails at half of the traffic: taken back by steps.
    Gradual,
}

/// What happens next on the stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cue {
    /// The challenger's process dies.
    Kill,
    /// The operator gives this order.
    Order(&'static str),
    /// Nothing but this is said.
    Say(&'static str),
}

impl Scenario {
    /// How the challenger is made, and how its server behaves.
    pub(crate) fn challenger(self) -> Behaviour {
        let usual = Behaviour::default();
        match self {
            Self::Errors => Behaviour {
                fail_above_alcohol: Some(FAILS_ABOVE),
                ..usual
            },
            Self::Slow => Behaviour {
                delay: LATE,
                ..usual
            },
            Self::Healthy | Self::Crash | Self::Pause | Self::Cancel => usual,
            Self::Accuracy | Self::Rejected | Self::Gradual => made(Recipe::Slipped),
            Self::Unfair => made(Recipe::Unfair),
            Self::Costly => made(Recipe::Large),
            Self::Drift => made(Recipe::Hopeful),
        }
    }

    /// When the truth about the wines becomes known.
    pub(crate) fn labels(self) -> Option<Labels> {
        let minutes = match self {
            Self::Accuracy => 8,
            Self::Unfair => 2,
            // Later than the first stage is left.
            Self::Gradual => 9,
            _ => return None,
        };
        Some(Labels {
            share: LABELLED,
            after: SignedDuration::from_mins(minutes),
        })
    }

    /// What is deployed; printed before it starts.
    pub(crate) const fn specification(self) -> &'static str {
        match self {
            Self::Accuracy => include_str!("specifications/accuracy.yaml"),
            Self::Unfair => include_str!("specifications/unfair.yaml"),
            Self::Costly => include_str!("specifications/costly.yaml"),
            Self::Drift => include_str!("specifications/drift.yaml"),
            Self::Rejected => include_str!("specifications/rejected.yaml"),
            Self::Gradual => include_str!("specifications/gradual.yaml"),
            _ => include_str!("specifications/usual.yaml"),
        }
    }

    /// What the minutes show of each model.
    pub(crate) const fn figure(self) -> Figure {
        match self {
            Self::Accuracy | Self::Gradual => Figure::Accuracy,
            Self::Unfair => Figure::Gap,
            Self::Costly => Figure::Cost,
            Self::Drift => Figure::Score,
            _ => Figure::Errors,
        }
    }

    /// Whether it is about the model itself, which then is measured before.
    pub(crate) fn is_about_the_model(self) -> bool {
        self.challenger().recipe != Recipe::Sound
    }

    /// What is to be seen.
    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::Healthy => "a sound challenger takes over the endpoint, stage by stage",
            Self::Errors => "the challenger fails on wines above 11 % alcohol: it is rolled back",
            Self::Slow => "the challenger answers 300 ms late: it is rolled back",
            Self::Crash => "the challenger's process is killed under traffic: it is rolled back",
            Self::Pause => {
                "an operator pauses the rollout at 25 % and resumes it four minutes later"
            }
            Self::Cancel => "an operator calls the rollout off at 25 %",
            Self::Accuracy => {
                "the challenger is wrong too often: labels show it minutes later, and it is rolled back"
            }
            Self::Unfair => {
                "the challenger is as accurate as the old model, but unfair to sweet wines: it is rolled back"
            }
            Self::Costly => {
                "the challenger costs twice as much per request: people are told, and it takes over"
            }
            Self::Drift => {
                "the challenger's scores lie higher: the rollout waits, people are told, and one of them decides"
            }
            Self::Rejected => {
                "the challenger fails on labelled wines: the gate refuses it before any traffic"
            }
            Self::Gradual => {
                "the challenger fails at 50 %: its traffic is taken back by steps, 25, 10 and 0 %"
            }
        }
    }

    /// Where the fault comes from, and what to look for; nothing where the title says it all.
    pub(crate) const fn story(self) -> &'static str {
        match self {
            Self::Accuracy => {
                "While its training data were joined a row was lost, so each wine has the grade of the next one. It answers fast and without an error; only the truth can tell, and a wine's true grade becomes known 8 minutes after the prediction. The first stage asks for 200 such labels before it is left, and an accuracy below 70 % takes everything back."
            }
            Self::Unfair => {
                "Its training data had lost half of the good sweet wines, and half of the bad dry ones. Sweet and dry wines are good equally often, so a fair model calls both good about equally often; `fairness` allows 10 percentage points between them. Accuracy is compared, too, and has nothing to say."
            }
            Self::Costly => {
                "It has three times the trees, so its team gave it instances of twice the price. What costs more than 1.5 times as much for a while is told, and by default nothing else: a dear model may be worth it."
            }
            Self::Drift => {
                "Its training data had lost two of three bad wines, so it thinks better of every wine. That can be right or wrong, and without labels nobody knows: the share is not raised, and people are told to look."
            }
            Self::Rejected => {
                "While its training data were joined a row was lost, so each wine has the grade of the next one. Before a deployment both models answer the same labelled wines; `gate` says what the challenger has to show."
            }
            Self::Gradual => {
                "Each wine in its training data has the grade of the next one, and true grades become known only 9 minutes later: by then the challenger has half of the traffic. `rollback: {mode: gradual}` gives production time to take it back, and judges at every step."
            }
            _ => "",
        }
    }

    /// What was to be seen, once it was: nothing where the deployment ended otherwise, or by something that
    /// the scenario is not about.
    pub(crate) fn moral(self, end: Status, history: &[Entry]) -> Option<&'static str> {
        let (expected, moral) = match self {
            Self::Accuracy => (
                Status::RolledBack,
                "Latency and errors say nothing against it. Labels alone showed that the new model is wrong more often than the old one, and its traffic went back at once.",
            ),
            Self::Unfair => (
                Status::RolledBack,
                "It is about as often right as the old model, and treats one group worse: that alone took its traffic back.",
            ),
            Self::Costly => (
                Status::Completed,
                "People were told what it costs and could have stopped it. The model is sound, so it took over.",
            ),
            Self::Drift => (
                Status::RolledBack,
                "Nobody could know whether it is wrong. So its share was not raised, people were told, and one of them took it back.",
            ),
            Self::Gradual => (
                Status::RolledBack,
                "Half of the traffic went back by steps, and each of them was judged. Had it been critical, all of it would have gone at once.",
            ),
            _ => return None,
        };
        (end == expected && self.is_shown_by(history)).then_some(moral)
    }

    /// Whether what the scenario is about has happened: the fault's own signal was told, or has moved the
    /// traffic. Slow machines and operators end rollouts, too.
    fn is_shown_by(self, history: &[Entry]) -> bool {
        let (event, family) = match self {
            Self::Accuracy => (Name::RollingBack, "accuracy"),
            Self::Unfair => (Name::RollingBack, "fairness"),
            Self::Gradual => (Name::Retreating, "accuracy"),
            Self::Costly => (Name::Breached, "cost"),
            Self::Drift => (Name::Breached, "drift"),
            _ => return false,
        };
        let is_of_family = |signal: &str| signal.split('.').next() == Some(family);
        history
            .iter()
            .any(|entry| entry.event == event && entry.signal.as_deref().is_some_and(is_of_family))
    }

    /// What happens now, `given` being how many cues were given before. Each is given once.
    pub(crate) fn cue(
        self,
        view: &DeploymentView,
        history: &[Entry],
        given: usize,
        minutes_since_last: i64,
    ) -> Option<Cue> {
        let stands = |phase| view.status == Status::InProgress && view.phase == phase;
        let at_a_quarter = stands(Phase::Baking) && view.weight.percent() == 25;
        match (self, given) {
            (Self::Crash, 0) if at_a_quarter => Some(Cue::Kill),
            (Self::Pause, 0) if at_a_quarter => Some(Cue::Order("pause")),
            (Self::Pause, 1) if minutes_since_last >= 4 => Some(Cue::Order("resume")),
            (Self::Cancel, 0) if at_a_quarter => Some(Cue::Order("cancel")),
            // Too few requests hold as well, and nobody looks at scores for that.
            (Self::Drift, 0) if stands(Phase::Holding) && self.is_shown_by(history) => {
                Some(Cue::Say(
                    "The bake is over, and the share stays where it is. An operator looks at the scores.",
                ))
            }
            (Self::Drift, 1) if minutes_since_last >= 4 => Some(Cue::Order("rollback")),
            _ => None,
        }
    }
}

fn made(recipe: Recipe) -> Behaviour {
    Behaviour {
        recipe,
        ..Behaviour::default()
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;
    use jiff::Timestamp;
    use shared::domain::history::Severity;
    use shared::domain::quantity::Weight;
    use shared::wire::specification;

    use super::*;
    use crate::output::samples;

    #[test]
    fn what_the_demo_deploys_is_valid_and_fits_a_narrow_terminal() {
        for scenario in Scenario::value_variants() {
            let text = scenario.specification();
            let value = specification::from_yaml(text).expect("YAML");
            let specification = specification::parse(&value).expect("a valid specification");
            assert_eq!(specification.endpoint, crate::stage::ENDPOINT);
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(76), "{scenario:?}: {widest:?} and an indent");
        }
    }

    fn entry(event: Name, signal: &str) -> Entry {
        Entry {
            seq: 1,
            at: Timestamp::UNIX_EPOCH,
            event,
            severity: Severity::Info,
            reason: String::new(),
            value: String::new(),
            limit: String::new(),
            status: Status::InProgress,
            phase: Phase::Baking,
            weight: Weight::FULL,
            confirmed_weight: None,
            by: None,
            signal: Some(signal.to_owned()),
            signal_severity: None,
        }
    }

    /// What each fault is found by, in a history that has all of it.
    fn everything() -> Vec<Entry> {
        let found = [
            (Name::RollingBack, "accuracy"),
            (Name::RollingBack, "fairness.demographic_parity"),
            (Name::Retreating, "accuracy"),
            (Name::Breached, "cost.ratio"),
            (Name::Breached, "drift"),
        ];
        found.map(|(event, signal)| entry(event, signal)).into()
    }

    #[test]
    fn whoever_has_a_fault_of_its_own_is_explained() {
        for scenario in Scenario::value_variants() {
            let is_explained = !scenario.story().is_empty();
            assert_eq!(is_explained, scenario.is_about_the_model(), "{scenario:?}");
            // The gate's own has no deployment that could end.
            let has_an_end = is_explained && *scenario != Scenario::Rejected;
            let ends = Status::ALL.into_iter();
            let ends = ends.filter(|end| scenario.moral(*end, &everything()).is_some());
            assert_eq!(ends.count(), usize::from(has_an_end), "{scenario:?}");
        }
    }

    #[test]
    fn an_end_that_something_else_made_has_no_moral() {
        let otherwise = [
            entry(Name::RollingBack, "latency.p99"),
            entry(Name::Breached, "errors"),
            entry(Name::Held, "drift"),
            entry(Name::Shifted, "accuracy"),
        ];
        for scenario in Scenario::value_variants() {
            let mut ends = Status::ALL.into_iter();
            assert!(
                ends.all(|end| scenario.moral(end, &otherwise).is_none()),
                "{scenario:?}"
            );
        }
    }

    #[test]
    fn scores_are_looked_at_once_they_are_what_it_holds_for() {
        let view = DeploymentView {
            status: Status::InProgress,
            phase: Phase::Holding,
            ..samples::baking()
        };
        let cue = |history: &[Entry]| Scenario::Drift.cue(&view, history, 0, 0);
        assert_eq!(cue(&[entry(Name::Held, "drift")]), None);
        assert!(matches!(cue(&everything()), Some(Cue::Say(_))));
    }
}
