//! Reading the world. Every failed reading becomes a value in the observation.
//!
//! The metric queries of all deployments are packed into as few GetMetricData calls as the limit
//! of 500 queries allows; those of one deployment may lie in two calls, and where either fails nothing
//! of that deployment was read. A call that is refused as invalid is halved until the query at fault
//! stands alone, so one deployment's bad query never blinds the others.
//!
//! Endpoints are looked at while the metrics are read: neither waits for the other's outage.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};

use super::health;
use super::metrics::{Answers, Arm};
use super::ports::{self, Class, Loaded, Meter, MetricAnswer, MetricQuery, PortError, Ports};
use crate::domain::deployment::Terms;
use crate::domain::exposure::{self, Exposure};
use crate::domain::freeze::FreezeReading;
use crate::domain::judge::last_judgeable;
use crate::domain::observation::{AlarmReading, EndpointReading, Metrics, Observation, Series};

/// GetMetricData's own limit.
const QUERIES_A_CALL: usize = 500;
/// Endpoints looked at side by side: SageMaker's control plane is throttled sooner than the table, and
/// ten thousand looks of a tenth of a second have to end within a pass.
const LOOKS_AT_ONCE: usize = 32;
/// GetMetricData calls side by side: CloudWatch allows 50 a second, and a call of 500 queries takes
/// some tenths of one.
const CALLS_AT_ONCE: usize = 16;
/// How far behind a deployment may be to share a call with others.
const LAGGING: SignedDuration = SignedDuration::from_hours(2);
/// How long the metrics, an endpoint or its alarms are waited for.
const LOOK: Duration = Duration::from_secs(15);
/// Minutes taken in at once: a transaction holds at most 100 rows.
const MINUTES_A_PASS: i64 = 40;

/// How long a rollback waits for a look that it can do without.
pub(super) const SHORT_LOOK: Duration = Duration::from_secs(3);

/// What was seen of several deployments.
pub struct Seen {
    /// In their order.
    pub observations: Vec<Observation>,
    /// Whether a reading had no answer in time: then somebody may have been missed.
    pub is_late: bool,
}

/// What DescribeEndpoint says, as a value in every case.
pub async fn endpoint<P: Ports>(ports: &P, terms: &Terms) -> EndpointReading {
    match ports.endpoint(&terms.endpoint).await {
        Ok(Some(view)) => EndpointReading::Seen(view),
        Ok(None) => EndpointReading::Missing,
        Err(error) => {
            health::report(ports, Some(&terms.id), &error);
            EndpointReading::Failed {
                reason: error.kind(),
            }
        }
    }
}

/// The same within this time. What has no answer by then was not seen.
pub async fn endpoint_within<P: Ports>(
    ports: &P,
    terms: &Terms,
    limit: Duration,
) -> EndpointReading {
    let look = ports.within(limit, endpoint(ports, terms)).await;
    look.unwrap_or_else(|| EndpointReading::Failed {
        reason: late(ports, Some(&terms.id), "DescribeEndpoint").to_string(),
    })
}

/// Observations of all these deployments. What has no answer in time was not seen.
pub async fn observe<P: Ports>(
    ports: &P,
    all: &[Loaded],
    now: Timestamp,
    deadline: Instant,
) -> Seen {
    let watch = Watch {
        ports,
        deadline,
        is_late: AtomicBool::new(false),
    };
    // Side by side, so that one slow answer does not use up the others' minute.
    let looks: Vec<_> = all.iter().map(|loaded| watch.look(loaded)).collect();
    let looks = stream::iter(looks).buffered(LOOKS_AT_ONCE).collect();
    let (looks, metrics): (Vec<_>, _) = join(looks, watch.metrics(all, now)).await;
    let observations = looks.into_iter().zip(metrics);
    let observations = observations.map(|((endpoint, alarms), metrics)| Observation {
        endpoint,
        metrics,
        alarms,
        freeze: FreezeReading::NotAsked,
    });
    Seen {
        observations: observations.collect(),
        is_late: watch.is_late.into_inner(),
    }
}

/// The ports, and until when they are waited for.
struct Watch<'a, P> {
    ports: &'a P,
    deadline: Instant,
    is_late: AtomicBool,
}

impl<P: Ports> Watch<'_, P> {
    /// The reading, unless it takes longer than one reading may, or than is left.
    async fn in_time<T: Send>(
        &self,
        id: Option<&str>,
        operation: &'static str,
        reading: impl Future<Output = T> + Send,
    ) -> Result<T, String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let read = self.ports.within(LOOK.min(left), reading).await;
        read.ok_or_else(|| {
            self.is_late.store(true, Ordering::Relaxed);
            late(self.ports, id, operation).to_string()
        })
    }

    async fn look(&self, loaded: &Loaded) -> (EndpointReading, AlarmReading) {
        let (ports, terms) = (self.ports, &loaded.deployment.terms);
        let id = Some(terms.id.as_str());
        let (endpoint, alarms) = join(
            self.in_time(id, "DescribeEndpoint", endpoint(ports, terms)),
            self.in_time(id, "DescribeAlarms", alarms(ports, loaded)),
        )
        .await;
        (
            endpoint.unwrap_or_else(|reason| EndpointReading::Failed { reason }),
            alarms.unwrap_or_else(|reason| AlarmReading::Failed { reason }),
        )
    }

    async fn metrics(&self, all: &[Loaded], now: Timestamp) -> Vec<Metrics> {
        let batches = batches(all, now);
        let reads: Vec<_> = batches.into_iter().map(|batch| self.read(batch)).collect();
        let mut found: Vec<Answered> = all.iter().map(|_| Answered::default()).collect();
        let mut reads = stream::iter(reads).buffered(CALLS_AT_ONCE);
        while let Some(read) = reads.next().await {
            for (owner, query, answer) in read {
                found[owner].take_in(query, answer);
            }
        }
        let found = all.iter().zip(found);
        found
            .map(|(loaded, answered)| assemble(loaded, answered.whole(), now))
            .collect()
    }

    /// The answers of a batch, each with its query and the place of its deployment.
    async fn read(&self, batch: Batch) -> Vec<(usize, MetricQuery, Answer)> {
        let (owners, queries): (Vec<usize>, Vec<MetricQuery>) = batch.queries.into_iter().unzip();
        let reading = read_bisecting(self.ports, &queries, batch.from, batch.through);
        let read = self.in_time(None, "GetMetricData", reading).await;
        let read = read.unwrap_or_else(|late| vec![Err(late); queries.len()]);
        let asked = owners.into_iter().zip(queries);
        let answered = asked.zip(read);
        answered
            .map(|((owner, query), answer)| (owner, query, answer))
            .collect()
    }
}

fn late<M: Meter>(ports: &M, id: Option<&str>, operation: &'static str) -> PortError {
    let error = PortError::new(Class::InDoubt, operation, "no answer in time");
    health::report(ports, id, &error);
    error
}

/// What CloudWatch said to one query, or why the call that it was in failed.
type Answer = Result<MetricAnswer, String>;

/// What was answered to one deployment's queries.
#[derive(Default)]
struct Answered {
    answers: Answers,
    failed: Option<String>,
}

impl Answered {
    fn take_in(&mut self, query: MetricQuery, answer: Answer) {
        let answer = answer.unwrap_or_else(|reason| {
            self.failed = Some(reason.clone());
            MetricAnswer::Incomplete(reason)
        });
        // A check may ask for what is asked for anyway: one answer serves both.
        self.answers.insert(query, answer);
    }

    /// All of it, or nothing where one of the calls failed: production's half alone would pass for a
    /// canary that can't be seen, and that ends in a rollback.
    fn whole(mut self) -> Answers {
        if let Some(reason) = self.failed {
            for answer in self.answers.values_mut() {
                *answer = MetricAnswer::Incomplete(reason.clone());
            }
        }
        self.answers
    }
}

async fn alarms<P: Ports>(ports: &P, loaded: &Loaded) -> AlarmReading {
    let names = &loaded.deployment.terms.policy.alarms;
    if names.is_empty() || !loaded.deployment.is_judged() {
        return AlarmReading::NotAsked;
    }
    match ports.firing(names).await {
        Ok(firing) => AlarmReading::Firing(firing),
        Err(error) => {
            health::report(ports, Some(&loaded.deployment.terms.id), &error);
            AlarmReading::Failed {
                reason: error.to_string(),
            }
        }
    }
}

/// Whether minutes of it are read: to be judged, or to be counted once a rollback has brought the traffic
/// back. A rollback on its way is neither.
pub(super) fn has_minutes(loaded: &Loaded) -> bool {
    let (deployment, evidence) = (&loaded.deployment, &loaded.evidence);
    deployment.is_judged() || exposure::is_counted(deployment, evidence)
}

/// The minutes a deployment has still to be judged by, or those that are still to be counted.
fn range(loaded: &Loaded, now: Timestamp) -> (Timestamp, Timestamp) {
    let (deployment, evidence) = (&loaded.deployment, &loaded.evidence);
    let minute = SignedDuration::from_mins(1);
    let counted = exposure::last_minute(deployment);
    let from = match counted {
        Some(_) => Exposure::of(evidence).until(),
        None => evidence.unjudged_from(),
    };
    let most = i32::try_from(MINUTES_A_PASS - 1).unwrap_or(0);
    let last = from.checked_add(minute * most).unwrap_or(Timestamp::MAX);
    let last = last.min(counted.unwrap_or(Timestamp::MAX));
    (from, last_judgeable(now).min(last))
}

/// Queries over one range, each with the place of its deployment.
struct Batch {
    from: Timestamp,
    through: Timestamp,
    queries: Vec<(usize, MetricQuery)>,
}

impl Batch {
    fn new(from: Timestamp, through: Timestamp) -> Self {
        Self {
            from,
            through,
            queries: Vec::with_capacity(QUERIES_A_CALL),
        }
    }
}

/// What is asked for, in as few calls as that takes: whoever lags far behind has some of its own,
/// because a call reads the longest range of its queries for all of them.
fn batches(all: &[Loaded], now: Timestamp) -> Vec<Batch> {
    let (mut full, mut shared) = (Vec::new(), None::<Batch>);
    for (index, loaded) in all.iter().enumerate() {
        let (from, through) = range(loaded, now);
        if !has_minutes(loaded) || from > through {
            continue;
        }
        let is_near = now.duration_since(from) <= LAGGING;
        let mut open = if is_near { shared.take() } else { None };
        let (canary, production) = arms(loaded);
        let is_judged = loaded.deployment.is_judged();
        let asked = |arm: Arm<'_>| {
            if is_judged {
                arm.queries()
            } else {
                arm.count_queries()
            }
        };
        for query in [Some(canary), production]
            .into_iter()
            .flatten()
            .flat_map(asked)
        {
            let batch = open.get_or_insert_with(|| Batch::new(from, through));
            batch.from = batch.from.min(from);
            batch.through = batch.through.max(through);
            batch.queries.push((index, query));
            if batch.queries.len() == QUERIES_A_CALL {
                full.extend(open.take());
            }
        }
        if is_near {
            shared = open;
        } else {
            full.extend(open);
        }
    }
    full.extend(shared);
    full
}

/// Answers to any queries over one range, the start of its first and of its last minute.
pub(super) async fn answers<P: ports::Metrics + Meter>(
    ports: &P,
    queries: Vec<MetricQuery>,
    (from, through): (Timestamp, Timestamp),
) -> Answers {
    let mut answers = Answers::new();
    for batch in queries.chunks(QUERIES_A_CALL) {
        let read = read_bisecting(ports, batch, from, through).await;
        let read = read.into_iter();
        let read = read.map(|answer| answer.unwrap_or_else(MetricAnswer::Incomplete));
        answers.extend(batch.iter().cloned().zip(read));
    }
    answers
}

/// Both variants; after a completion the old one is gone, or has nothing to do any more.
fn arms(loaded: &Loaded) -> (Arm<'_>, Option<Arm<'_>>) {
    let (terms, state) = (&loaded.deployment.terms, &loaded.deployment.state);
    let production = || Arm::of(&loaded.deployment, &terms.production);
    let canary = Arm::of(&loaded.deployment, &terms.canary);
    (canary, state.watch.is_none().then(production))
}

/// Reads a batch; on a refusal as invalid, its halves. Any other error is of every query in the call.
async fn read_bisecting<P: ports::Metrics + Meter>(
    ports: &P,
    batch: &[MetricQuery],
    from: Timestamp,
    through: Timestamp,
) -> Vec<Answer> {
    let mut answers = vec![Err("not asked".to_owned()); batch.len()];
    let mut pending = vec![(0, batch.len())];
    while let Some((start, end)) = pending.pop() {
        match ports.read(&batch[start..end], from, through).await {
            Ok(read) if read.len() == end - start => {
                answers
                    .splice(start..end, read.into_iter().map(Ok))
                    .for_each(drop);
            }
            Ok(_) => fail(
                &mut answers[start..end],
                &PortError::new(Class::Bug, "GetMetricData", "not every query was answered"),
            ),
            Err(error) if error.class == Class::Invalid && end - start > 1 => {
                let middle = start + (end - start) / 2;
                pending.extend([(start, middle), (middle, end)]);
            }
            Err(error) if error.class == Class::Invalid => {
                health::report(ports, None, &error);
                answers[start] = Ok(MetricAnswer::Refused(error.to_string()));
            }
            Err(error) => {
                health::report(ports, None, &error);
                fail(&mut answers[start..end], &error);
            }
        }
    }
    answers
}

fn fail(answers: &mut [Answer], error: &PortError) {
    answers.fill(Err(error.to_string()));
}

fn assemble(loaded: &Loaded, answers: Answers, now: Timestamp) -> Metrics {
    let (from, through) = range(loaded, now);
    if answers.is_empty() {
        // Nothing was due: an empty range, not an empty reading.
        let read = || Series::Read(BTreeMap::new());
        return Metrics {
            from,
            through: from - SignedDuration::from_mins(1),
            canary: read(),
            production: read(),
            unread: BTreeMap::new(),
        };
    }
    let within = trimmed(answers, from, through);
    let (canary, production) = arms(loaded);
    let read = |arm: &Arm<'_>| {
        if loaded.deployment.is_judged() {
            arm.minutes(&within)
        } else {
            (arm.counts(&within), BTreeMap::new())
        }
    };
    let (canary, mut unread) = read(&canary);
    let production = production.as_ref().map(read);
    let (production, also) =
        production.unwrap_or_else(|| (Series::Read(BTreeMap::new()), BTreeMap::new()));
    unread.extend(also);
    Metrics {
        from,
        through,
        canary,
        production,
        unread,
    }
}

/// A call that packs several deployments reads the longest of their ranges for all of them. What
/// is no number among one's own minutes can't be read: left out, it would pass for a minute
/// without requests, which speaks against nothing.
fn trimmed(mut answers: Answers, from: Timestamp, through: Timestamp) -> Answers {
    for answer in answers.values_mut() {
        if let MetricAnswer::Complete(found) = answer {
            found.retain(|(at, _)| (from..=through).contains(at));
            if found.iter().any(|(_, value)| !value.is_finite()) {
                *answer = MetricAnswer::Incomplete("a value is no finite number".to_owned());
            }
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Refuses every call with a query named `bad`, as CloudWatch refuses the whole call.
    #[derive(Default)]
    struct Picky {
        calls: AtomicUsize,
        denies: bool,
    }

    impl ports::Metrics for Picky {
        async fn read(
            &self,
            queries: &[MetricQuery],
            _from: Timestamp,
            _through: Timestamp,
        ) -> Result<Vec<MetricAnswer>, PortError> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            if self.denies {
                return Err(PortError::new(
                    Class::Denied,
                    "GetMetricData",
                    "not allowed",
                ));
            }
            if queries.iter().any(|query| query.statistic == "bad") {
                return Err(PortError::new(Class::Invalid, "GetMetricData", "bad"));
            }
            Ok(vec![MetricAnswer::Complete(Vec::new()); queries.len()])
        }

        async fn firing(&self, _alarms: &[String]) -> Result<Vec<String>, PortError> {
            Ok(Vec::new())
        }
    }

    impl Meter for Picky {
        fn measure(&self, _figure: &health::Figure) {}
    }

    fn batch(bad: &[usize]) -> Vec<MetricQuery> {
        let statistic = |index| if bad.contains(&index) { "bad" } else { "Sum" };
        (0..QUERIES_A_CALL)
            .map(|index| MetricQuery {
                namespace: "AWS/SageMaker".to_owned(),
                metric: "Invocations".to_owned(),
                dimensions: vec![("EndpointName".to_owned(), "fraud".to_owned())],
                statistic: statistic(index).to_owned(),
                period: 60,
            })
            .collect()
    }

    #[tokio::test]
    async fn one_bad_query_blinds_nobody_else() {
        for bad in [&[][..], &[0], &[499], &[250], &[17, 18, 401]] {
            let picky = Picky::default();
            let answers = read_bisecting(&picky, &batch(bad), Timestamp::MIN, Timestamp::MIN).await;
            for (index, answer) in answers.iter().enumerate() {
                let complete = matches!(answer, Ok(MetricAnswer::Complete(_)));
                assert_eq!(complete, !bad.contains(&index), "query {index} of {bad:?}");
            }
            // Two calls a halving, nine halvings of 500, for each bad query.
            assert!(picky.calls.load(Ordering::Relaxed) <= 1 + bad.len() * 2 * 9);
        }
    }

    #[test]
    fn a_value_that_is_no_number_is_not_a_minute_without_requests() {
        let minute = |number: i64| Timestamp::from_second(number * 60).expect("a minute");
        let query = batch(&[]).remove(0);
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let points = vec![(minute(1), 5.0), (minute(2), value)];
            let answers = Answers::from([(query.clone(), MetricAnswer::Complete(points))]);
            let seen = trimmed(answers.clone(), minute(2), minute(2));
            assert!(matches!(seen[&query], MetricAnswer::Incomplete(_)));
            // In another deployment's minutes it is nobody's here.
            let seen = trimmed(answers, minute(1), minute(1));
            let own = vec![(minute(1), 5.0)];
            assert_eq!(seen[&query], MetricAnswer::Complete(own));
        }
    }

    #[tokio::test]
    async fn a_call_that_is_not_allowed_is_not_halved() {
        let picky = Picky {
            denies: true,
            ..Picky::default()
        };
        let answers = read_bisecting(&picky, &batch(&[]), Timestamp::MIN, Timestamp::MIN).await;
        assert!(answers.iter().all(Result::is_err));
        assert_eq!(picky.calls.load(Ordering::Relaxed), 1);
    }
}
