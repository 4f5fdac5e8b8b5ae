//! The ports of one invocation. Each call is one line of [`calls`](super::calls) around what it does
//! in the simulated account or in the store.

use std::future::Future;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shared::app::health::Figure;
use shared::app::ports::{
    Access, Ambient, Class, Commit, ConfigView, Creation, Endpoints, FreezeTurn, Functions,
    IdempotencyClaim, ListQuery, Loaded, Meter, MetricAnswer, MetricQuery, Metrics, Notifier,
    Outbox, OutboxRow, Page, PortError, Recipe, Refused, Registry, Scaling, Store,
};
use shared::domain::authority::{Settings, Tags};
use shared::domain::deployment::Deployment;
use shared::domain::due::Actor;
use shared::domain::freeze::Freezes;
use shared::domain::history::{Entry, Way};
use shared::domain::incident::PostMortem;
use shared::domain::judge::MinuteReport;
use shared::domain::model::ModelView;
use shared::domain::observation::EndpointView;
use shared::domain::quantity::Span;
use shared::domain::registry::{PackageArn, PackageView, Standing};
use shared::domain::replay::Recorded;
use shared::domain::scaling::{Bounds, ScalableTarget};
use simulator::Simulator;
use simulator::cloudwatch::MetricRequest;

use super::calls::{Direct, Event, Fate, Shared};
use super::sagemaker;

impl Store for Direct {
    async fn load(&self, id: &str) -> Result<Option<Loaded>, PortError> {
        let id = id.to_owned();
        self.usual("load", move |shared| shared.store.read(&id))
            .await
    }

    async fn create(&self, creation: Creation<'_>) -> Result<(), Refused> {
        let now = self.now();
        let (loaded, entry) = (creation.loaded.clone(), creation.entry.clone());
        let (given, past) = (creation.specification.clone(), creation.past.to_vec());
        let (claim, freezes) = (creation.idempotency.cloned(), creation.freezes.cloned());
        let effect = move |shared: &Shared| {
            let creation = Creation {
                loaded: &loaded,
                specification: &given,
                past: &past,
                entry: &entry,
                idempotency: claim.as_ref(),
                freezes: freezes.as_ref(),
            };
            Ok(shared.store.put(&creation, now))
        };
        self.usual("create", effect).await?
    }

    async fn commit(&self, commit: Commit<'_>) -> Result<Loaded, PortError> {
        let now = self.now();
        let (before, next) = (commit.before.clone(), commit.next.clone());
        let evidence = commit.evidence.clone();
        let (minutes, entries) = (commit.minutes.to_vec(), commit.entries.to_vec());
        let effect = move |shared: &Shared| {
            let commit = Commit {
                before: &before,
                next: &next,
                evidence: &evidence,
                minutes: &minutes,
                entries: &entries,
            };
            shared.store.write(&commit, now)
        };
        self.usual("commit", effect).await
    }

    async fn active(&self, shard: u8) -> Result<Vec<String>, PortError> {
        self.usual("active", move |shared| {
            shared.state().part = Some(shard);
            Ok(shared.store.listed_active(shard))
        })
        .await
    }

    async fn lock_holder(&self, endpoint: &str) -> Result<Option<String>, PortError> {
        let endpoint = endpoint.to_owned();
        self.usual("lock_holder", move |shared| {
            Ok(shared.store.holder(&endpoint))
        })
        .await
    }

    async fn idempotency(&self, key: &str) -> Result<Option<IdempotencyClaim>, PortError> {
        let (key, now) = (key.to_owned(), self.now());
        self.usual("idempotency", move |shared| {
            Ok(shared.store.claim(&key, now))
        })
        .await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Deployment>, PortError> {
        let query = query.clone();
        self.usual("list", move |shared| Ok(shared.store.page(&query)))
            .await
    }

    async fn history(&self, id: &str) -> Result<Vec<Entry>, PortError> {
        let id = id.to_owned();
        self.usual("history", move |shared| Ok(shared.store.lines(&id)))
            .await
    }

    async fn minutes(
        &self,
        id: &str,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<MinuteReport>, PortError> {
        let (id, cursor) = (id.to_owned(), cursor.map(str::to_owned));
        let effect = move |shared: &Shared| Ok(shared.store.reports(&id, limit, cursor.as_deref()));
        self.usual("minutes", effect).await
    }

    async fn past(&self, id: &str) -> Result<Vec<Recorded>, PortError> {
        let id = id.to_owned();
        self.usual("past", move |shared| Ok(shared.store.recorded(&id)))
            .await
    }

    async fn outbox(&self, shard: u8) -> Result<Outbox, PortError> {
        let effect = move |shared: &Shared| {
            shared.state().part = Some(shard);
            Ok(Outbox {
                rows: shared.store.unsent(shard),
                unread: Vec::new(),
            })
        };
        self.usual("outbox", effect).await
    }

    async fn freezes(&self, endpoint: &str) -> Result<Freezes, PortError> {
        let endpoint = endpoint.to_owned();
        self.usual("freezes", move |shared| Ok(shared.store.frozen(&endpoint)))
            .await
    }

    async fn turn_freeze(&self, turn: FreezeTurn<'_>) -> Result<(), PortError> {
        let (endpoint, told) = (turn.endpoint.to_owned(), turn.told.clone());
        let (before, next) = (turn.before.cloned(), turn.next.cloned());
        let effect = move |shared: &Shared| {
            shared.store.turn(&FreezeTurn {
                endpoint: &endpoint,
                before: before.as_ref(),
                next: next.as_ref(),
                told: &told,
            })
        };
        self.usual("turn_freeze", effect).await
    }

    async fn tell(&self, row: &OutboxRow) -> Result<(), PortError> {
        let row = row.clone();
        let effect = move |shared: &Shared| {
            shared.store.put_row(&row);
            Ok(())
        };
        self.usual("tell", effect).await
    }

    async fn sent(&self, row: &OutboxRow) -> Result<(), PortError> {
        let row = row.clone();
        let effect = move |shared: &Shared| {
            shared.store.remove(&row);
            Ok(())
        };
        self.usual("sent", effect).await
    }

    async fn half_sent(&self, row: &OutboxRow, taken: &[Way]) -> Result<(), PortError> {
        let (row, taken) = (row.clone(), taken.to_vec());
        let effect = move |shared: &Shared| {
            shared.store.keep_taken(&row, &taken);
            Ok(())
        };
        self.usual("half_sent", effect).await
    }
}

impl Endpoints for Direct {
    async fn endpoint(&self, name: &str) -> Result<Option<EndpointView>, PortError> {
        let name = name.to_owned();
        let effect = move |shared: &Shared| sagemaker::endpoint(&shared.simulator, &name);
        self.usual("endpoint", effect).await
    }

    async fn endpoint_config(&self, name: &str) -> Result<Option<ConfigView>, PortError> {
        let name = name.to_owned();
        let effect = move |shared: &Shared| sagemaker::endpoint_config(&shared.simulator, &name);
        self.usual("endpoint_config", effect).await
    }

    async fn make_config(&self, recipe: &Recipe) -> Result<(), PortError> {
        let recipe = recipe.clone();
        let effect = move |shared: &Shared| sagemaker::make_config(&shared.simulator, &recipe);
        self.usual("make_config", effect).await
    }

    async fn delete_config(&self, name: &str) -> Result<(), PortError> {
        let name = name.to_owned();
        let effect = move |shared: &Shared| sagemaker::delete_config(&shared.simulator, &name);
        self.usual("delete_config", effect).await
    }

    async fn update(&self, endpoint: &str, config: &str) -> Result<(), PortError> {
        let (endpoint, config) = (endpoint.to_owned(), config.to_owned());
        let effect = move |account: &Simulator| sagemaker::update(account, &endpoint, &config);
        self.once("update", effect).await
    }

    async fn set_weights(&self, endpoint: &str, weights: &[(&str, f32)]) -> Result<(), PortError> {
        let endpoint = endpoint.to_owned();
        let weights = weights
            .iter()
            .map(|(name, weight)| ((*name).to_owned(), *weight));
        let weights: Vec<(String, f32)> = weights.collect();
        let effect =
            move |account: &Simulator| sagemaker::set_weights(account, &endpoint, &weights);
        self.once("set_weights", effect).await
    }

    async fn set_instances(
        &self,
        endpoint: &str,
        variant: &str,
        instances: u32,
    ) -> Result<(), PortError> {
        let (endpoint, variant) = (endpoint.to_owned(), variant.to_owned());
        let effect = move |account: &Simulator| {
            sagemaker::set_instances(account, &endpoint, &variant, instances)
        };
        self.once("set_instances", effect).await
    }
}

impl Registry for Direct {
    async fn model(&self, name: &str) -> Result<Option<ModelView>, PortError> {
        let name = name.to_owned();
        let effect = move |shared: &Shared| sagemaker::model(&shared.simulator, &name);
        self.usual("model", effect).await
    }

    async fn make_model(
        &self,
        name: &str,
        package: &PackageArn,
        like: &str,
        deployment_id: &str,
    ) -> Result<(), PortError> {
        let (name, like) = (name.to_owned(), like.to_owned());
        let (package, made_by) = (package.clone(), deployment_id.to_owned());
        let effect = move |account: &Simulator| {
            sagemaker::make_model(account, &name, &package, &like, &made_by)
        };
        self.once("make_model", effect).await
    }

    async fn package(&self, package: &PackageArn) -> Result<PackageView, PortError> {
        let package = package.clone();
        let effect = move |shared: &Shared| sagemaker::package(&shared.simulator, &package);
        self.usual("package", effect).await
    }

    async fn update_package(&self, standing: &Standing) -> Result<(), PortError> {
        let standing = standing.clone();
        let effect = move |account: &Simulator| sagemaker::update_package(account, &standing);
        self.once("update_package", effect).await
    }
}

impl Access for Direct {
    async fn tags(&self, endpoint: &str) -> Result<Option<Tags>, PortError> {
        let endpoint = endpoint.to_owned();
        let effect = move |shared: &Shared| {
            let arn = shared.config.access.home.endpoint_arn(&endpoint);
            sagemaker::tags(&shared.simulator, &endpoint, &arn)
        };
        self.usual("tags", effect).await
    }

    fn settings(&self) -> &Settings {
        &self.shared.config.access
    }
}

impl Scaling for Direct {
    async fn target(
        &self,
        endpoint: &str,
        variant: &str,
    ) -> Result<Option<ScalableTarget>, PortError> {
        let of = (endpoint.to_owned(), variant.to_owned());
        let effect = move |shared: &Shared| sagemaker::target(&shared.simulator, (&of.0, &of.1));
        self.usual("target", effect).await
    }

    async fn bounds(&self, endpoint: &str, variant: &str) -> Result<Option<Bounds>, PortError> {
        let of = (endpoint.to_owned(), variant.to_owned());
        let effect = move |shared: &Shared| {
            let target = sagemaker::target(&shared.simulator, (&of.0, &of.1))?;
            Ok(target.map(|target| target.bounds()))
        };
        self.usual("bounds", effect).await
    }

    async fn set_floor(&self, endpoint: &str, variant: &str, min: u32) -> Result<(), PortError> {
        let of = (endpoint.to_owned(), variant.to_owned());
        let effect = move |shared: &Shared| {
            sagemaker::set_bounds(&shared.simulator, (&of.0, &of.1), min, None)
        };
        self.usual("set_floor", effect).await
    }

    async fn register(
        &self,
        endpoint: &str,
        variant: &str,
        target: &ScalableTarget,
    ) -> Result<(), PortError> {
        let of = (endpoint.to_owned(), variant.to_owned());
        let (min, max) = (target.min, target.max);
        let own = of.clone();
        let effect = move |shared: &Shared| {
            sagemaker::set_bounds(&shared.simulator, (&own.0, &own.1), min, Some(max))
        };
        self.usual("register", effect).await?;
        for policy in &target.policies {
            let (own, policy) = (of.clone(), policy.clone());
            let effect = move |shared: &Shared| {
                sagemaker::put_policy(&shared.simulator, (&own.0, &own.1), &policy)
            };
            self.usual("put_policy", effect).await?;
        }
        Ok(())
    }

    async fn deregister(&self, endpoint: &str, variant: &str) -> Result<(), PortError> {
        let of = (endpoint.to_owned(), variant.to_owned());
        let effect =
            move |shared: &Shared| sagemaker::deregister(&shared.simulator, (&of.0, &of.1));
        self.usual("deregister", effect).await
    }
}

impl Metrics for Direct {
    async fn read(
        &self,
        queries: &[MetricQuery],
        from: Timestamp,
        through: Timestamp,
    ) -> Result<Vec<MetricAnswer>, PortError> {
        let queries = queries.to_vec();
        // The end is exclusive, and `through` is the start of the last minute.
        let span = (from, through + SignedDuration::from_mins(1));
        self.usual("read", move |shared| metric_data(shared, &queries, span))
            .await
    }

    async fn firing(&self, alarms: &[String]) -> Result<Vec<String>, PortError> {
        let alarms = alarms.to_vec();
        self.usual("firing", move |shared| firing(shared, &alarms))
            .await
    }
}

fn metric_data(
    shared: &Shared,
    queries: &[MetricQuery],
    span: (Timestamp, Timestamp),
) -> Result<Vec<MetricAnswer>, PortError> {
    let asked = queries.iter().map(|query| MetricRequest {
        namespace: &query.namespace,
        metric: &query.metric,
        dimensions: &query.dimensions,
        statistic: &query.statistic,
        period: query.period,
    });
    let asked: Vec<MetricRequest<'_>> = asked.collect();
    let metrics = shared.simulator.cloudwatch();
    let found = metrics
        .metric_data(shared.now(), &asked, span)
        .map_err(|refusal| PortError::new(Class::Invalid, "GetMetricData", refusal))?;
    let answers = found.into_iter().map(|series| match series.status {
        "Complete" => MetricAnswer::Complete(series.points),
        status => MetricAnswer::Incomplete(status.to_owned()),
    });
    let lens = &mut shared.state().lens;
    let seen = queries.iter().zip(answers);
    Ok(seen.map(|(query, answer)| lens(query, answer)).collect())
}

fn firing(shared: &Shared, alarms: &[String]) -> Result<Vec<String>, PortError> {
    let metrics = shared.simulator.cloudwatch();
    let states: Vec<(&String, Option<String>)> = alarms
        .iter()
        .map(|name| (name, metrics.alarm(name)))
        .collect();
    let firing = states
        .iter()
        .filter(|(_, state)| state.as_deref() == Some("ALARM"));
    let firing: Vec<String> = firing.map(|(name, _)| (*name).clone()).collect();
    match states.iter().find(|(_, state)| state.is_none()) {
        Some((unknown, _)) if firing.is_empty() => Err(PortError::new(
            Class::Invalid,
            "DescribeAlarms",
            format!("there is no alarm {unknown}"),
        )),
        _ => Ok(firing),
    }
}

impl Notifier for Direct {
    async fn announce(
        &self,
        row: &OutboxRow,
        _draft: Option<&PostMortem>,
        way: Way,
    ) -> Result<(), PortError> {
        let (place, operation) = match way {
            Way::Bus => (0, "put_event"),
            // No audience has a topic of its own here.
            _ => (1, "publish"),
        };
        let row = row.clone();
        let effect = move |shared: &Shared| {
            shared.state().told[place].push(row);
            Ok(())
        };
        self.usual(operation, effect).await
    }
}

impl Functions for Direct {
    async fn wake(&self, actor: Actor, deployment_id: &str, version: u64) -> Result<(), PortError> {
        let deployment_id = deployment_id.to_owned();
        let effect = move |shared: &Shared| {
            let event = Event {
                actor,
                deployment_id,
                version,
                due: shared.now(),
            };
            let state = &mut *shared.state();
            match (state.fates)(&event) {
                Fate::Once => state.events.push_back(event),
                Fate::Lost => {}
                Fate::Twice => state.events.extend([event.clone(), event]),
                Fate::Later(wait) => state.events.push_back(Event {
                    due: event.due + wait,
                    ..event
                }),
            }
            Ok(())
        };
        self.usual("wake", effect).await
    }
}

impl Ambient for Direct {
    fn now(&self) -> Timestamp {
        let skew = self
            .caller
            .map_or(SignedDuration::ZERO, |caller| caller.skew);
        self.shared.now() + skew
    }

    /// Time, a version and a variant as in any UUID of version 7, and a counter for chance.
    fn new_id(&self) -> String {
        let mut state = self.shared.state();
        state.ids += 1;
        let count = state.ids;
        drop(state);
        let milliseconds = self.now().as_millisecond();
        let (high, low) = (milliseconds >> 16, milliseconds & 0xffff);
        format!("{high:08x}-{low:04x}-7000-8000-{count:012x}")
    }

    fn call_timeout(&self) -> Duration {
        self.shared.config.call_timeout
    }

    fn lease(&self) -> Span {
        self.shared.config.lease()
    }

    fn landing(&self) -> Span {
        self.shared.config.landing()
    }

    async fn pause(&self, _wait: Duration) {}

    /// The wall clock stands still here: what takes too long is the gate's to say.
    async fn within<T: Send>(
        &self,
        _limit: Duration,
        work: impl Future<Output = T> + Send,
    ) -> Option<T> {
        Some(work.await)
    }
}

impl Meter for Direct {
    fn measure(&self, figure: &Figure) {
        if let Some(caller) = self.caller {
            let measured = (caller.invocation, figure.clone());
            self.shared.state().figures.push(measured);
        }
    }
}
