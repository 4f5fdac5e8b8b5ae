//! The scenarios, one function each.
//!
//! Where a fault may legitimately lead to another end than the clean run's, the row says why.

use serde_json::{Value, json};
use shared::domain::command::Command;
use shared::domain::quantity::Weight;
use shared::domain::state::{Phase, Status};
use simulator::Distribution;
use tests::direct::scenario::Scenario as Start;

use crate::rollout::{Act, Moment, Other, Rollout, Scenario, What};
use crate::steps;

/// Every scenario.
pub(crate) const ALL: [fn() -> Scenario; 32] = [
    complete,
    complete_and_be_watched,
    complete_and_keep_the_old_variant,
    roll_back_from_provisioning,
    roll_back_from_25_percent,
    roll_back_from_50_percent,
    roll_back_from_the_soak,
    roll_back_from_finalizing_before_the_update,
    roll_back_from_finalizing_during_the_update,
    roll_back_from_finalizing_after_the_update,
    roll_back_from_a_pause,
    roll_back_from_an_approval,
    roll_back_in_the_middle_of_a_raise,
    roll_back_while_the_endpoint_refuses,
    breach_at_the_first_stage,
    breach_at_50_percent,
    cancel,
    pause_in_the_middle_of_a_raise,
    weight_by_hand,
    step_back,
    down_by_steps,
    approve,
    update_fails_at_provisioning,
    update_fails_at_finalizing,
    update_fails_after_a_rollback,
    endpoint_deleted_in_the_middle,
    endpoint_fails_in_the_middle,
    endpoint_deleted_during_a_rollback,
    production_grows_meanwhile,
    weights_moved_up_by_hand,
    complete_of_a_package,
    roll_back_of_a_package,
];

fn scenario(name: &'static str, changes: Value, script: Vec<Act>) -> Scenario {
    Scenario {
        name,
        start: Start {
            requests_per_minute: 150.0,
            ..Start::default()
        },
        changes,
        script,
        also: None,
    }
}

fn act(moment: Moment, when: fn(&Rollout<'_>) -> bool, what: What) -> Act {
    Act { moment, when, what }
}

/// At the end of a minute.
fn at_rest(when: fn(&Rollout<'_>) -> bool, what: What) -> Act {
    act(Moment::AtRest, when, what)
}

const ROLL_BACK: What = What::Order(Command::Rollback);

const BAD: Distribution = Distribution {
    latency_p50_ms: 20.0,
    latency_p99_ms: 60.0,
    error_rate: 0.3,
    client_error_rate: 0.0,
};

const GOOD: Distribution = Distribution {
    error_rate: 0.0,
    ..BAD
};

fn weight(percent: u8) -> Weight {
    Weight::new(percent).expect("a percentage")
}

/// Everything goes well.
pub(crate) fn complete() -> Scenario {
    scenario("complete", json!({}), vec![])
}

/// The same, with two readings of the minutes after it and the end of the watch.
fn complete_and_be_watched() -> Scenario {
    let watch = json!({"watch": {"for": "12m"}});
    scenario("complete_and_be_watched", watch, vec![])
}

fn complete_and_keep_the_old_variant() -> Scenario {
    let changes = json!({"cleanup": {"after": "1m", "keep_old_variant": true}});
    scenario("complete_and_keep_the_old_variant", changes, vec![])
}

fn rolled_back(name: &'static str, moment: Moment, when: fn(&Rollout<'_>) -> bool) -> Scenario {
    scenario(name, json!({}), vec![act(moment, when, ROLL_BACK)])
}

fn roll_back_from_provisioning() -> Scenario {
    rolled_back("roll_back_from_provisioning", Moment::AtRest, |rollout| {
        rollout.is_in(Phase::Provisioning)
    })
}

fn roll_back_from_25_percent() -> Scenario {
    rolled_back("roll_back_from_25_percent", Moment::AtRest, |rollout| {
        rollout.is_at(Phase::Baking, 25)
    })
}

/// Also the scenario of the pairs and of the sample over the wire.
pub(crate) fn roll_back_from_50_percent() -> Scenario {
    rolled_back("roll_back_from_50_percent", Moment::AtRest, |rollout| {
        rollout.is_at(Phase::Baking, 50)
    })
}

fn roll_back_from_the_soak() -> Scenario {
    rolled_back("roll_back_from_the_soak", Moment::AtRest, |rollout| {
        rollout.is_in(Phase::Soaking)
    })
}

fn roll_back_from_finalizing_before_the_update() -> Scenario {
    rolled_back(
        "roll_back_from_finalizing_before_the_update",
        Moment::AfterTick,
        |rollout| rollout.is_in(Phase::Finalizing),
    )
}

fn roll_back_from_finalizing_during_the_update() -> Scenario {
    rolled_back(
        "roll_back_from_finalizing_during_the_update",
        Moment::AtRest,
        |rollout| rollout.is_in(Phase::Finalizing) && !is_in_service(rollout),
    )
}

pub(crate) fn roll_back_from_finalizing_after_the_update() -> Scenario {
    rolled_back(
        "roll_back_from_finalizing_after_the_update",
        Moment::BeforeTick,
        |rollout| {
            let last = rollout.deployment().terms.final_config;
            let view = rollout.view();
            rollout.is_in(Phase::Finalizing)
                && view.is_some_and(|view| view.is_in_service() && view.config == last)
        },
    )
}

fn is_in_service(rollout: &Rollout<'_>) -> bool {
    rollout.view().is_some_and(|view| view.is_in_service())
}

fn roll_back_from_a_pause() -> Scenario {
    let script = vec![
        at_rest(
            |rollout| rollout.is_at(Phase::Baking, 50),
            What::Order(Command::Pause),
        ),
        act(
            Moment::AfterTick,
            |rollout| rollout.is_in(Phase::Paused),
            ROLL_BACK,
        ),
    ];
    scenario("roll_back_from_a_pause", json!({}), script)
}

fn with_approval() -> Value {
    json!({
        "plan": {
            "stages": [{"weight": 25, "bake": "1m", "approval": true}, {"weight": 100}],
            "soak": "1m",
        },
    })
}

fn roll_back_from_an_approval() -> Scenario {
    let script = vec![at_rest(
        |rollout| rollout.is_in(Phase::AwaitingApproval),
        ROLL_BACK,
    )];
    scenario("roll_back_from_an_approval", with_approval(), script)
}

/// The order comes between the intent of a raise and the raise: it lands all the same.
fn roll_back_in_the_middle_of_a_raise() -> Scenario {
    rolled_back(
        "roll_back_in_the_middle_of_a_raise",
        Moment::After(steps::INTENT),
        |rollout| rollout.is_at(Phase::Shifting, 25),
    )
}

fn roll_back_while_the_endpoint_refuses() -> Scenario {
    let script = vec![
        at_rest(
            |rollout| rollout.is_at(Phase::Baking, 50),
            What::Show("SystemUpdating", 4),
        ),
        at_rest(|_| true, ROLL_BACK),
    ];
    scenario("roll_back_while_the_endpoint_refuses", json!({}), script)
}

fn breach_at_the_first_stage() -> Scenario {
    let mut row = scenario("breach_at_the_first_stage", json!({}), vec![]);
    row.start.challenger = BAD;
    row
}

fn breach_at_50_percent() -> Scenario {
    let script = vec![at_rest(
        |rollout| rollout.is_at(Phase::Baking, 50),
        What::Challenger(BAD),
    )];
    scenario("breach_at_50_percent", json!({}), script)
}

fn cancel() -> Scenario {
    let script = vec![at_rest(
        |rollout| rollout.is_at(Phase::Baking, 25),
        What::Order(Command::Cancel),
    )];
    scenario("cancel", json!({}), script)
}

fn pause_in_the_middle_of_a_raise() -> Scenario {
    let script = vec![
        act(
            Moment::After(steps::INTENT),
            |rollout| rollout.is_at(Phase::Shifting, 25),
            What::Order(Command::Pause),
        ),
        act(
            Moment::AfterTick,
            |rollout| rollout.is_in(Phase::Paused),
            What::Order(Command::Resume),
        ),
    ];
    scenario("pause_in_the_middle_of_a_raise", json!({}), script)
}

/// Down from 50 % to 30 %, up to 60 %, and on by the plan.
fn weight_by_hand() -> Scenario {
    let script = vec![
        at_rest(
            |rollout| rollout.is_at(Phase::Baking, 50),
            What::Order(Command::SetWeight(weight(30))),
        ),
        at_rest(
            |rollout| rollout.is_at(Phase::Baking, 30),
            What::Order(Command::SetWeight(weight(60))),
        ),
    ];
    scenario("weight_by_hand", json!({}), script)
}

/// Bad at 50 %, and mended once it has gone back to 25 %.
fn step_back() -> Scenario {
    let policy = json!({"policy": {
        "min_samples": 20,
        "error_rate": {"severity": "medium"},
        "comparison": {"errors": {"severity": "medium"}},
    }});
    let script = vec![
        at_rest(
            |rollout| rollout.is_at(Phase::Baking, 50),
            What::Challenger(BAD),
        ),
        at_rest(
            |rollout| rollout.is_in(Phase::Retreating),
            What::Challenger(GOOD),
        ),
    ];
    scenario("step_back", policy, script)
}

/// Bad at 50 %, and taken back by way of 25 and 10 %.
fn down_by_steps() -> Scenario {
    let rollback = json!({"rollback": {"mode": "gradual", "weights": [25, 10], "every": "5m"}});
    let script = vec![at_rest(
        |rollout| rollout.is_at(Phase::Baking, 50),
        What::Challenger(BAD),
    )];
    scenario("down_by_steps", rollback, script)
}

fn approve() -> Scenario {
    let script = vec![at_rest(
        |rollout| rollout.is_in(Phase::AwaitingApproval),
        What::Order(Command::Approve),
    )];
    scenario("approve", with_approval(), script)
}

/// An update that fails once, and is made again where nobody learnt that it had been accepted.
const fn lost_and_repeated(status: Status, later: i64) -> Other {
    Other {
        status,
        later,
        why: "to who did not learn that the update was accepted, one that came back has never arrived",
    }
}

fn update_fails_at_provisioning() -> Scenario {
    let script = vec![act(
        Moment::After("CreateEndpointConfig"),
        |rollout| rollout.is_in(Phase::Provisioning),
        What::FailNextUpdate,
    )];
    Scenario {
        // All of the rollout is still to come.
        also: Some(lost_and_repeated(Status::Completed, 24)),
        ..scenario("update_fails_at_provisioning", json!({}), script)
    }
}

fn update_fails_at_finalizing() -> Scenario {
    let script = vec![at_rest(
        |rollout| rollout.is_in(Phase::Soaking),
        What::FailNextUpdate,
    )];
    Scenario {
        also: Some(lost_and_repeated(Status::Completed, 6)),
        ..scenario("update_fails_at_finalizing", json!({}), script)
    }
}

fn update_fails_after_a_rollback() -> Scenario {
    let script = vec![
        at_rest(|rollout| rollout.is_at(Phase::Baking, 25), ROLL_BACK),
        at_rest(|_| true, What::FailNextUpdate),
    ];
    Scenario {
        also: Some(lost_and_repeated(Status::RolledBack, 6)),
        ..scenario("update_fails_after_a_rollback", json!({}), script)
    }
}

fn endpoint_deleted_in_the_middle() -> Scenario {
    let script = vec![at_rest(
        |rollout| rollout.is_at(Phase::Baking, 50),
        What::Delete,
    )];
    scenario("endpoint_deleted_in_the_middle", json!({}), script)
}

fn endpoint_fails_in_the_middle() -> Scenario {
    let script = vec![at_rest(
        |rollout| rollout.is_in(Phase::Shifting) && !rollout.is_at(Phase::Shifting, 0),
        What::Show("Failed", i64::MAX),
    )];
    scenario("endpoint_fails_in_the_middle", json!({}), script)
}

fn endpoint_deleted_during_a_rollback() -> Scenario {
    let script = vec![
        at_rest(|rollout| rollout.is_at(Phase::Baking, 50), ROLL_BACK),
        act(Moment::BeforeTick, |_| true, What::Delete),
    ];
    scenario("endpoint_deleted_during_a_rollback", json!({}), script)
}

/// Ten times the traffic: scaling adds instances of production, and the floor has to follow.
fn production_grows_meanwhile() -> Scenario {
    let script = vec![at_rest(
        |rollout| rollout.is_at(Phase::Baking, 25),
        What::Traffic(3000.0),
    )];
    let plan = json!({"plan": {
        "stages": [{"weight": 25, "bake": "6m"}, {"weight": 100}],
        "soak": "1m",
    }});
    Scenario {
        also: Some(Other {
            status: Status::Completed,
            later: 6,
            why: "what is lost is tried again between the changes that scaling makes of both variants",
        }),
        ..scenario("production_grows_meanwhile", plan, script)
    }
}

fn weights_moved_up_by_hand() -> Scenario {
    let script = vec![at_rest(
        |rollout| rollout.is_at(Phase::Baking, 25),
        What::Share(0.6),
    )];
    scenario("weights_moved_up_by_hand", json!({}), script)
}

/// Of a version of a model package: a model is made first, and the registry is told in the end.
fn of_a_package(name: &'static str, script: Vec<Act>, status: Status) -> Scenario {
    let package = json!({"model": null, "model_package": tests::registry::arn(2)});
    let mut row = scenario(name, package, script);
    row.start.registered = true;
    row.also = Some(Other {
        status,
        later: 7,
        why: "what the registry did not take is told again after five minutes",
    });
    row
}

fn complete_of_a_package() -> Scenario {
    of_a_package("complete_of_a_package", vec![], Status::Completed)
}

fn roll_back_of_a_package() -> Scenario {
    let script = vec![at_rest(
        |rollout| rollout.is_at(Phase::Baking, 25),
        ROLL_BACK,
    )];
    of_a_package("roll_back_of_a_package", script, Status::RolledBack)
}
