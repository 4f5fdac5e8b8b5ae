//! Random rollouts: whatever is read, refused, lost, ordered or meddled with, the promises hold
//! at every step ([`super::world`]), and once the world behaves every deployment comes to an end.

use proptest::prelude::*;

use super::builders::*;
use super::world::{Call, Tick, Toy, Traffic};
use crate::domain::command::Command;
use crate::domain::deployment::{Deployment, Terms};
use crate::domain::evidence::Evidence;
use crate::domain::judge::MinuteReport;
use crate::domain::observation::EndpointStatus;
use crate::domain::policy::OnDrift;
use crate::domain::quantity::{Latency, Rate, Span, Weight};
use crate::domain::retreat::{Rollback, Steps};
use crate::domain::state::{Phase, Status};

#[derive(Debug, Clone)]
enum Step {
    Tick(Tick),
    Order(Command),
    Meddle(Weight),
    Occupy(i64),
    Delete,
    MakeAgain,
    Break(EndpointStatus),
    UpdateElsewhere,
}

fn share() -> impl Strategy<Value = Weight> {
    (0u8..=100).prop_map(weight)
}

fn tick() -> impl Strategy<Value = Tick> {
    let traffic = prop_oneof![
        12 => Just(Traffic::Steady), 2 => Just(Traffic::Quiet), 1 => Just(Traffic::Errors), 1 => Just(Traffic::Slow), 1 => Just(Traffic::Unseen),
    ];
    let call = prop_oneof![
        10 => Just(Call::Lands), 1 => Just(Call::Refused), 1 => Just(Call::NeverMade), 1 => Just(Call::AnswerLost), 2 => Just(Call::Late), 1 => Just(Call::ComesBack),
    ];
    let mostly = |rarely: f64| prop::bool::weighted(1.0 - rarely);
    (
        prop_oneof![3 => Just(1i64), 1 => 2i64..20],
        traffic,
        mostly(0.05),
        mostly(0.05),
        mostly(0.1),
        prop::bool::weighted(0.005),
        call,
    )
        .prop_map(
            |(after, traffic, sees_canary, sees_production, sees_endpoint, alarm, call)| Tick {
                after,
                traffic,
                sees_canary,
                sees_production,
                sees_endpoint,
                alarm,
                call,
            },
        )
}

fn order() -> impl Strategy<Value = Command> {
    prop_oneof![
        3 => Just(Command::Pause),
        4 => Just(Command::Resume),
        4 => any::<bool>().prop_map(|full| Command::Promote { full }),
        1 => Just(Command::Rollback),
        1 => Just(Command::Cancel),
        3 => Just(Command::Approve),
        3 => share().prop_map(Command::SetWeight),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        300 => tick().prop_map(Step::Tick),
        40 => order().prop_map(Step::Order),
        8 => share().prop_map(Step::Meddle),
        8 => (1i64..12).prop_map(Step::Occupy),
        1 => prop_oneof![
            Just(Step::Delete), Just(Step::MakeAgain), Just(Step::UpdateElsewhere),
            Just(Step::Break(EndpointStatus::Failed)), Just(Step::Break(EndpointStatus::UpdateRollbackFailed)),
        ],
    ]
}

/// At once, or down by steps of some minutes.
fn way_back() -> impl Strategy<Value = Rollback> {
    let weights = prop_oneof![
        Just(vec![weight(25), weight(10)]),
        Just(vec![weight(60), weight(5)]),
        Just(vec![weight(1)]),
    ];
    let steps = (weights, 1u64..4).prop_map(|(weights, every)| Steps {
        weights,
        every: Span::from_mins(every),
    });
    (prop::option::of(steps), 0u32..4)
        .prop_map(|(steps, step_backs)| Rollback { steps, step_backs })
}

/// Terms that differ in everything the rules look at.
fn any_terms() -> impl Strategy<Value = Terms> {
    let drift = prop_oneof![
        Just(OnDrift::Hold),
        Just(OnDrift::Restore),
        Just(OnDrift::Abandon)
    ];
    (
        drift,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        0u64..90,
        prop::option::of(1u32..4),
        way_back(),
        any::<bool>(),
    )
        .prop_map(
            |(on_drift, keep, approval, windows, after, instances, rollback, registered)| {
                let mut terms = terms();
                terms.rollback = rollback;
                if registered {
                    terms.packages = super::registry::packages();
                }
                terms.policy.on_drift = on_drift;
                terms.cleanup.keep_old_variant = keep;
                terms.cleanup.after = Span::from_mins(after);
                terms.capacity.instances = instances;
                terms.plan.stages[2].approval = approval;
                if windows {
                    terms.plan.change_windows = vec![
                        "Mon-Sun 08:00-11:00 UTC".parse().unwrap(),
                        "Mon-Sun 13:00-20:00 UTC".parse().unwrap(),
                    ];
                }
                terms
            },
        )
}

fn take(toy: &mut Toy, step: &Step) {
    match step {
        Step::Tick(tick) => toy.tick(tick),
        Step::Order(command) => {
            toy.order(*command);
        }
        Step::Meddle(share) => toy.meddle(*share),
        Step::Occupy(span) => toy.occupy(*span),
        Step::Delete => toy.endpoint = None,
        Step::MakeAgain => {
            let created_at = toy.now;
            if let Some(endpoint) = &mut toy.endpoint {
                *endpoint = original();
                endpoint.created_at = created_at;
            }
        }
        Step::Break(status) => {
            if let Some(endpoint) = &mut toy.endpoint {
                endpoint.status = *status;
            }
        }
        Step::UpdateElsewhere => {
            if let Some(endpoint) = toy
                .endpoint
                .as_mut()
                .filter(|endpoint| endpoint.is_in_service())
            {
                "someone-elses".clone_into(&mut endpoint.config);
            }
        }
    }
}

/// Two quiet days in which the world behaves, people answer, and whoever moved the weights puts
/// them back.
fn settle(toy: &mut Toy) {
    for _ in 0..2 * 24 * 60 {
        let state = &toy.deployment.state;
        match state.phase {
            Phase::Ended if state.filing.is_none() => return,
            Phase::Paused => {
                toy.order(Command::Resume);
            }
            Phase::AwaitingApproval if state.drift.is_none() => {
                toy.order(Command::Approve);
            }
            // By hand, or by the order that puts the committed share back.
            _ if state.drift.is_some() && toy.now.as_second() % 120 < 60 => {
                toy.meddle(state.weight);
            }
            _ if state.drift.is_some() => {
                toy.order(Command::SetWeight(state.weight));
            }
            _ => {}
        }
        toy.tick(&Tick::fine());
    }
}

fn assert_survives_storage(toy: &Toy) {
    let item: std::collections::HashMap<String, serde_dynamo::AttributeValue> =
        serde_dynamo::to_item(&toy.deployment).unwrap();
    assert_eq!(
        serde_dynamo::from_item::<_, Deployment>(item).unwrap(),
        toy.deployment
    );
    let item: std::collections::HashMap<String, serde_dynamo::AttributeValue> =
        serde_dynamo::to_item(&toy.evidence).unwrap();
    assert_eq!(
        serde_dynamo::from_item::<_, Evidence>(item).unwrap(),
        toy.evidence
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_promises_hold_and_the_deployment_ends(terms in any_terms(), steps in prop::collection::vec(step(), 1..120)) {
        let mut toy = Toy::new(terms);
        for step in &steps {
            take(&mut toy, step);
            assert_survives_storage(&toy);
        }
        let before = toy.clone();
        settle(&mut toy);
        let state = &toy.deployment.state;
        prop_assert!(state.status.is_terminal() && state.filing.is_none(), "stuck in {}/{}: {} (it began to settle in {:?})", state.status, state.phase, state.reason, before.deployment.state);
        prop_assert_eq!(toy.history.iter().map(|entry| entry.seq).collect::<Vec<_>>(), (1..=state.last_seq).collect::<Vec<_>>());
    }

    #[test]
    fn an_undisturbed_rollout_completes(terms in any_terms()) {
        let mut toy = Toy::new(terms);
        settle(&mut toy);
        prop_assert_eq!(toy.deployment.state.status, Status::Completed, "{}", toy.deployment.state.reason);
    }

    #[test]
    fn a_bad_canary_is_rolled_back_wherever_it_turns_bad(terms in any_terms(), good_minutes in 10usize..110, traffic in prop_oneof![Just(Traffic::Errors), Just(Traffic::Slow), Just(Traffic::Unseen)]) {
        let mut toy = Toy::new(terms);
        // A canary without any traffic yet can't be told from a healthy one.
        for _ in 0..good_minutes {
            toy.tick(&Tick::fine());
        }
        // At 100 % silence is quiet and not blind, and a soak's last minutes are never judged.
        let at = toy.deployment.state.weight;
        prop_assume!(at > Weight::ZERO && at < Weight::FULL && (traffic != Traffic::Unseen || at < weight(90)));
        for _ in 0..30 {
            toy.tick(&Tick { traffic, ..Tick::fine() });
        }
        prop_assert!(matches!(toy.deployment.state.status, Status::RollingBack | Status::RolledBack), "{}", toy.deployment.state.reason);
        prop_assert!(toy.share().is_none_or(|share| share < 1e-9));
        settle(&mut toy);
        prop_assert_eq!(toy.deployment.state.status, Status::RolledBack);
    }

    #[test]
    fn quantities_survive_being_written(percent in 0u32..=1_000_000, tenths_of_ms in 1u32..10_000_000, seconds in 0..=Span::LONGEST.secs()) {
        let rate = Rate::from_percent(f64::from(percent) / 10_000.0).unwrap();
        prop_assert_eq!(rate.to_string().parse::<Rate>(), Ok(rate));
        let latency = Latency::from_ms(f64::from(tenths_of_ms) / 10.0).unwrap();
        prop_assert_eq!(latency.to_string().parse::<Latency>(), Ok(latency));
        let span = Span::from_secs(seconds);
        prop_assert_eq!(span.to_string().parse::<Span>(), Ok(span));
    }

    #[test]
    fn no_text_makes_a_quantity_panic(text in ".{0,40}") {
        let _ = (text.parse::<Rate>(), text.parse::<Latency>(), text.parse::<Span>(), text.parse::<crate::domain::calendar::ChangeWindow>());
    }

    #[test]
    fn names_fit_whatever_the_endpoint_is_called(endpoint in "[a-zA-Z0-9](-{0,3}[a-zA-Z0-9]){0,62}", id in "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}") {
        let endpoint: String = endpoint.chars().take(63).collect();
        let names = Deployment::names(&endpoint, &id);
        for name in [&names.canary, &names.canary_config, &names.final_config] {
            super::quantities::assert_is_a_name(name);
            prop_assert!(name.ends_with(&id[id.len() - 8..]));
        }
        prop_assert_ne!(names.canary_config, names.final_config);
    }
}

#[test]
fn a_minute_survives_storage_and_json() {
    let mut case = Case::baking(30);
    let canary = arm(600, 5).taking(41.25).slower(100.0, 3);
    let metrics = last_minutes(&mut case, 2, Some(&canary), Some(&arm(900, 1).taking(20.5)));
    let decision = check(
        &case,
        &seen(split(30)).metrics(metrics),
        &goes_on(Phase::Holding).says("latency of the canary against production"),
    );
    for minute in &decision.minutes {
        let text = serde_json::to_string(minute).unwrap();
        assert_eq!(
            &serde_json::from_str::<MinuteReport>(&text).unwrap(),
            minute
        );
        let item: std::collections::HashMap<String, serde_dynamo::AttributeValue> =
            serde_dynamo::to_item(minute).unwrap();
        assert_eq!(
            &serde_dynamo::from_item::<_, MinuteReport>(item).unwrap(),
            minute
        );
    }
}

#[test]
fn every_state_survives_json() {
    for case in Case::every() {
        let text = serde_json::to_string(&case.deployment).unwrap();
        assert_eq!(
            serde_json::from_str::<Deployment>(&text).unwrap(),
            case.deployment
        );
        let text = serde_json::to_string(&case.evidence).unwrap();
        assert_eq!(
            serde_json::from_str::<Evidence>(&text).unwrap(),
            case.evidence
        );
    }
}
