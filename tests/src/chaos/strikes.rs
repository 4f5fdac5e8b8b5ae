//! How each fault begins. What can't be done now (an endpoint that is changing refuses somebody
//! else's update too) is tried again in the next minute.

use jiff::{SignedDuration, Timestamp};
use shared::app::ports::Class;
use shared::domain::command::Command;
use shared::domain::due::Actor;
use shared::wire::events::Wake;
use simulator::cloudwatch::{Gap, GapKind};
use simulator::{Backend, Distribution};

use super::calls::{Armed, Bend, SAGEMAKER, When, refusal};
use super::fault::Fault;
use super::hands::Hands;
use super::journey::{INSTANCE_TYPE, Strike, below, broken};
use super::voyage::{Later, Voyage};
use crate::PRODUCTION;
use crate::direct::calls::Fate;
use crate::direct::chance::Chance;
use crate::direct::gate::Verdict;
use crate::direct::world::Job;

fn gap((from, to): (Timestamp, Timestamp), kind: GapKind) -> Gap {
    Gap {
        namespace: SAGEMAKER.to_owned(),
        from,
        to,
        kind,
    }
}

/// Calls that pass before a crash or the like hits one.
fn few(chance: &mut Chance) -> u32 {
    below(chance, 4)
}

impl Voyage {
    /// Begins a fault; whether it could.
    pub(super) fn begin(&mut self, strike: Strike) -> bool {
        let mut chance = Chance::new(strike.salt);
        let site = chance.below(self.journey.sites.len());
        match strike.fault.get() {
            1..=7 | 31 | 41 => self.arm_usual(strike.fault, &mut chance),
            8..=18 => self.begin_events(strike.fault, site, &mut chance),
            19..=32 => self.begin_outside(strike.fault, site, &mut chance),
            33..=38 => self.begin_metrics(strike.fault, site, &mut chance),
            _ => self.begin_platform(strike.fault, &mut chance),
        }
    }

    fn arm(&mut self, fault: Fault, when: When, (skip, times): (u32, u32), verdict: Verdict) {
        let armed = Armed {
            fault,
            when,
            skip,
            times,
            until: self.storm_end,
            verdict,
            kills: fault.get() == 5,
        };
        self.calls().armed.push(armed);
    }

    fn arm_usual(&mut self, fault: Fault, chance: &mut Chance) -> bool {
        let seconds = SignedDuration::from_secs(i64::from(1 + below(chance, 14)));
        let skip = few(chance);
        let denied = if chance.per_mille(500) {
            refusal(Class::Denied, "AuthorizationError")
        } else {
            refusal(Class::Retryable, "ServiceUnavailable")
        };
        let conflict = if chance.per_mille(500) {
            refusal(Class::Conflict, "ConflictException")
        } else {
            refusal(Class::Refused, "EndpointBusyException: try again")
        };
        let times = 1 + below(chance, 4);
        let (when, count, verdict) = match fault.get() {
            1 => (When::Intent, (skip, 1), Verdict::CrashBefore),
            2 => (When::Act, (skip / 2, 1), Verdict::CrashBefore),
            3 => (When::Act, (skip / 2, 1), Verdict::CrashAfter),
            4 => (When::AfterAct, (skip / 2, 1), Verdict::CrashBefore),
            5 => (When::ActOrCommit, (skip, 1), Verdict::Stall(seconds)),
            6 => (When::Write, (skip, times), Verdict::LoseAnswer),
            7 => (When::Ending, (0, 1), Verdict::CrashBefore),
            31 => (When::Act, (0, times), conflict),
            _ => (When::Tell, (skip, 5 + times * 10), denied),
        };
        self.arm(fault, when, count, verdict);
        true
    }

    fn begin_events(&mut self, fault: Fault, site: usize, chance: &mut Chance) -> bool {
        match fault.get() {
            8 => return self.cancel_and_crash(fault, site, chance),
            9 => self.plan.again += 1,
            10 => self.plan.beside += 1 + below(chance, 2),
            11 => {
                let missed = [1, 1, 5, 5, 60][chance.below(5)];
                self.plan.missed = self.plan.missed.max(missed);
            }
            12 => {
                for _ in 0..=few(chance) {
                    let wait = SignedDuration::from_secs(i64::from(20 + below(chance, 300)));
                    self.calls().fates.push((fault, Fate::Later(wait)));
                }
                return true;
            }
            13 => {
                let lost = (0..=few(chance)).map(|_| (fault, Fate::Lost));
                let lost: Vec<_> = lost.collect();
                self.calls().fates.extend(lost);
                return true;
            }
            14 => self.send_nonsense(chance),
            15 => {
                self.post(site, Some("first"), "first");
                self.post(site, Some("first"), "first");
            }
            16 => {
                self.post(site, Some("first"), "other");
            }
            17 => {
                self.post(site, None, "race-a");
                self.post(site, None, "race-b");
            }
            _ => return self.cancel_at_the_end(fault, site),
        }
        self.fired(fault);
        true
    }

    fn cancel_and_crash(&mut self, fault: Fault, site: usize, chance: &mut Chance) -> bool {
        let Some(id) = self.active(site) else {
            return false;
        };
        let invocation = self.start(Job::Order(id, Command::Cancel));
        let verdict = if chance.per_mille(500) {
            Verdict::CrashBefore
        } else {
            Verdict::CrashAfter
        };
        let skip = few(chance);
        self.arm(fault, When::Cancel(invocation), (skip, 1), verdict);
        true
    }

    /// A cancel that begins with the tick in which the deployment may complete.
    fn cancel_at_the_end(&mut self, fault: Fault, site: usize) -> bool {
        let Some(id) = self.ending(site) else {
            return false;
        };
        self.start(Job::Order(id, Command::Cancel));
        self.fired(fault);
        true
    }

    fn send_nonsense(&mut self, chance: &mut Chance) {
        let garbage = [
            "",
            "{}",
            "[1]",
            "{\"deployment_id\": 7}",
            "{\"version\": -1}",
        ];
        let text = garbage[chance.below(garbage.len())];
        assert!(
            serde_json::from_str::<Wake>(text).is_err(),
            "{text} is no event"
        );
        let actors = [Actor::Provision, Actor::TrafficShift, Actor::Rollback];
        let actor = actors[chance.below(3)];
        self.start(Job::Carry(actor, "no-such-deployment".to_owned()));
        // The right deployment, and a function that has nothing to do with what is due.
        if let Some(id) = self.active(0) {
            self.start(Job::Carry(actors[chance.below(3)], id));
        }
    }

    fn begin_outside(&mut self, fault: Fault, site: usize, chance: &mut Chance) -> bool {
        let minutes = i64::from(1 + below(chance, 15));
        let until = (self.world.now() + SignedDuration::from_mins(minutes)).min(self.storm_end);
        let site_of = self.journey.sites[site].clone();
        let account = std::sync::Arc::clone(self.world.simulator());
        let hands = Hands {
            account: &account,
            endpoint: &site_of.endpoint,
        };
        let done = match fault.get() {
            19 => hands.set_status("Updating", until),
            20 => {
                account.set_backend(&site_of.new, Backend::Distribution(broken()));
                hands.set_status("SystemUpdating", until)
            }
            21 => hands.set_share(0) && hands.set_status("RollingBack", until),
            22 => hands.set_status("Failed", Timestamp::MAX),
            23 => hands.set_status("UpdateRollbackFailed", Timestamp::MAX),
            24 => hands.delete(),
            25 => {
                let deleted = hands.delete();
                if deleted {
                    let minute = self.minute + 1 + below(chance, 2);
                    self.later.push((minute, Later::CreateEndpoint(site)));
                }
                deleted
            }
            26 if chance.per_mille(200) => hands.set_instances(1, 1),
            26 => hands.set_share([0, 3, 40, 75, 100][chance.below(5)]),
            27 => hands.deploy_again(),
            28 if chance.per_mille(500) => hands.deploy_foreign("renamed", &site_of.new),
            28 => hands.deploy_foreign(PRODUCTION, &site_of.old),
            29 => hands.set_instances(chance.below(2), 1 + chance.below(5)),
            30 => return self.run_short(fault, chance),
            _ => {
                account
                    .sagemaker()
                    .fail_next_update(&site_of.endpoint, "no capacity for the new fleet");
                self.calls().failing_updates += 1;
                self.oracle.note(&site_of.endpoint, fault);
                return true;
            }
        };
        if done {
            self.fired(fault);
            self.oracle.touch(&site_of.endpoint, fault, self.steps);
        }
        done
    }

    fn run_short(&mut self, fault: Fault, chance: &mut Chance) -> bool {
        if chance.per_mille(500) {
            let sagemaker = self.world.simulator().sagemaker();
            sagemaker.set_instance_quota(INSTANCE_TYPE, 0);
            self.fired(fault);
        } else {
            let throttled = refusal(Class::Retryable, "ThrottlingException: Rate exceeded");
            let times = 1 + below(chance, 25);
            self.arm(fault, When::Account, (0, times), throttled);
        }
        true
    }

    fn begin_metrics(&mut self, fault: Fault, site: usize, chance: &mut Chance) -> bool {
        let minutes = 1 + below(chance, 14);
        let from = self.world.now();
        let long = SignedDuration::from_mins(i64::from(minutes));
        let to = (from + long).min(self.storm_end);
        let site = self.journey.sites[site].clone();
        let account = std::sync::Arc::clone(self.world.simulator());
        let hands = Hands {
            account: &account,
            endpoint: &site.endpoint,
        };
        let done = match fault.get() {
            34 => return self.make_unreadable(fault, (from, to), chance),
            35 => {
                let value = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][chance.below(3)];
                self.bend(fault, to, None, value, chance);
                return true;
            }
            33 => {
                account
                    .cloudwatch()
                    .set_gap(gap((from, to), GapKind::Missing));
                true
            }
            36 => {
                let past = from - SignedDuration::from_mins(3 + i64::from(few(chance)));
                hands.record_errors(past, 30)
            }
            37 => {
                account.set_traffic(&site.endpoint, 0.0);
                self.later.push((self.minute + minutes, Later::Traffic));
                !chance.per_mille(500) || hands.record_errors(from, 1)
            }
            _ => {
                for model in [&site.old, &site.new] {
                    account.set_backend(model, Backend::Distribution(broken()));
                }
                true
            }
        };
        if done {
            self.fired(fault);
        }
        done
    }

    /// CloudWatch answers, and says that it is not all.
    fn make_unreadable(
        &mut self,
        fault: Fault,
        (from, to): (Timestamp, Timestamp),
        chance: &mut Chance,
    ) -> bool {
        match chance.below(4) {
            0 => self.bend(fault, to, Some("Forbidden"), 0.0, chance),
            1 => {
                let denied = refusal(Class::Denied, "AccessDenied");
                self.arm(fault, When::Metrics, (0, 1 + few(chance)), denied);
            }
            kind => {
                let kind = [GapKind::Partial, GapKind::InternalError][kind % 2];
                let metrics = self.world.simulator().cloudwatch();
                metrics.set_gap(gap((from, to), kind));
                self.calls().gaps.push((from, to));
                self.fired(fault);
            }
        }
        true
    }

    fn bend(
        &mut self,
        fault: Fault,
        until: Timestamp,
        status: Option<&'static str>,
        value: f64,
        chance: &mut Chance,
    ) {
        let production = [None, Some(false), Some(true)][chance.below(3)];
        self.calls().bends.push(Bend {
            fault,
            until,
            production,
            status,
            value,
        });
    }

    fn begin_platform(&mut self, fault: Fault, chance: &mut Chance) -> bool {
        match fault.get() {
            39 if chance.per_mille(500) => {
                let lag = SignedDuration::from_secs(i64::from(10 + below(chance, 170)));
                self.world.store().set_active_lag(lag);
                self.lags = lag;
            }
            39 => {
                let throttled = refusal(Class::Retryable, "ThrottlingException");
                let times = 1 + below(chance, 8);
                self.arm(fault, When::Write, (few(chance), times), throttled);
                return true;
            }
            40 => {
                let minutes = 2 + below(chance, 10);
                self.skewed_until = self.minute + minutes;
            }
            _ => return self.write_as_before(fault),
        }
        self.fired(fault);
        true
    }

    /// Production as it was: what the calm begins with.
    pub(super) fn restore_account(&self) {
        let account = self.world.simulator();
        account.sagemaker().set_instance_quota(INSTANCE_TYPE, 1_000);
        self.world.store().set_active_lag(SignedDuration::ZERO);
        for site in &self.journey.sites {
            let good = Backend::Distribution(Distribution::default());
            account.set_backend(&site.old, good);
            let challenger = if self.declined {
                broken()
            } else {
                site.challenger
            };
            account.set_backend(&site.new, Backend::Distribution(challenger));
            account.set_traffic(&site.endpoint, site.requests_per_minute);
        }
    }
}
