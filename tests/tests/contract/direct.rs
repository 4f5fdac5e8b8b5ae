//! The fast world's ports see and do what the adapters on the SDK's own wire see and do, in the same
//! account: the same views, the same points, the same classes of errors.

use jiff::{SignedDuration, Timestamp};
use shared::app::ports::{
    Class, Endpoints, MetricQuery, Metrics, PortError, Recipe, Registry, Scaling,
};
use tests::direct::calls::Direct;
use tests::direct::world::Fast;
use tests::{CONFIG, ENDPOINT, NEW, PRODUCTION, World, specification};

fn direct(world: &World) -> Direct {
    Fast::over(world.stack.simulator.clone()).ports()
}

fn query(metric: &str, statistic: &str) -> MetricQuery {
    MetricQuery {
        namespace: "AWS/SageMaker".to_owned(),
        metric: metric.to_owned(),
        dimensions: vec![
            ("VariantName".to_owned(), PRODUCTION.to_owned()),
            ("EndpointName".to_owned(), ENDPOINT.to_owned()),
        ],
        statistic: statistic.to_owned(),
        period: 60,
    }
}

fn class<T: std::fmt::Debug>(answer: Result<T, PortError>) -> Class {
    answer.expect_err("a refusal").class
}

#[tokio::test]
async fn both_see_the_same_endpoint_in_every_minute_of_a_rollout() {
    let world = World::new().await;
    let (aws, direct) = (&world.stack.aws, direct(&world));
    let id = world.deploy(&specification()).await;
    let terms = world.load(&id).await.deployment.terms;
    for _ in 0..25 {
        let seen = aws.endpoint(ENDPOINT).await;
        assert!(matches!(seen, Ok(Some(_))), "{seen:?}");
        assert_eq!(seen, direct.endpoint(ENDPOINT).await);
        for config in [CONFIG, &terms.canary_config, &terms.final_config] {
            let seen = aws.endpoint_config(config).await;
            assert_eq!(seen, direct.endpoint_config(config).await, "{config}");
        }
        world.minute().await;
    }
    assert_eq!(direct.endpoint("nobody").await, Ok(None));
    let seen = aws.model(NEW).await;
    assert!(matches!(seen, Ok(Some(_))), "{seen:?}");
    assert_eq!(seen, direct.model(NEW).await);
    assert_eq!(direct.model("nobody").await, Ok(None));
}

#[tokio::test]
async fn both_read_the_same_points() {
    let world = World::new().await;
    let (aws, direct) = (&world.stack.aws, direct(&world));
    let queries = [
        query("Invocations", "Sum"),
        query("ModelLatency", "p99"),
        query("ModelLatency", "TC(30000:)"),
        query("ModelLatency", "PR(:30000)"),
        query("NoSuchMetric", "Sum"),
    ];
    let from: Timestamp = "2026-03-02T08:02:00Z".parse().expect("a valid timestamp");
    let through = from + SignedDuration::from_mins(5);
    let read = aws.read(&queries, from, through).await;
    let points = format!("{read:?}");
    assert!(
        points.contains("Complete([(2026-03-02T08:02:00Z, 1000.0)"),
        "{points}"
    );
    assert_eq!(read, direct.read(&queries, from, through).await);
    for (statistic, from) in [
        ("Median", from),
        ("Sum", through + SignedDuration::from_hours(1)),
    ] {
        let bad = [query("Invocations", statistic)];
        let refused = class(aws.read(&bad, from, through).await);
        assert_eq!(refused, Class::Invalid);
        assert_eq!(class(direct.read(&bad, from, through).await), refused);
    }
    let cloudwatch = world.simulator().cloudwatch();
    cloudwatch.set_alarm("quiet", "OK");
    cloudwatch.set_alarm("loud", "ALARM");
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    for asked in [
        names(&["quiet"]),
        names(&["quiet", "loud"]),
        names(&["gone", "loud"]),
    ] {
        assert_eq!(aws.firing(&asked).await, direct.firing(&asked).await);
    }
    let gone = names(&["quiet", "gone"]);
    assert_eq!(
        class(direct.firing(&gone).await),
        class(aws.firing(&gone).await)
    );
}

#[tokio::test]
async fn both_change_the_endpoint_alike() {
    let (wire, fast) = (World::new().await, World::new().await);
    let (aws, direct) = (&wire.stack.aws, direct(&fast));
    let recipe = Recipe::WithCanary {
        source: CONFIG.to_owned(),
        name: "with-canary".to_owned(),
        production: PRODUCTION.to_owned(),
        canary: "canary".to_owned(),
        model: NEW.to_owned(),
        instances: 3,
        instance_type: None,
        deployment_id: "d".to_owned(),
    };
    aws.make_config(&recipe).await.expect("a new config");
    direct.make_config(&recipe).await.expect("a new config");
    direct
        .make_config(&recipe)
        .await
        .expect("one that is there");
    let config = aws.endpoint_config("with-canary").await;
    assert_eq!(config, direct.endpoint_config("with-canary").await);
    aws.update(ENDPOINT, "with-canary")
        .await
        .expect("an update");
    direct
        .update(ENDPOINT, "with-canary")
        .await
        .expect("an update");
    let early = class(direct.set_instances(ENDPOINT, "canary", 2).await);
    assert_eq!(early, class(aws.set_instances(ENDPOINT, "canary", 2).await));
    assert_eq!(early, Class::Refused);
    for world in [&wire, &fast] {
        world.pass(SignedDuration::from_mins(4)).await;
    }
    let weights = [(PRODUCTION, 0.9), ("canary", 0.1)];
    aws.set_weights(ENDPOINT, &weights).await.expect("weights");
    direct
        .set_weights(ENDPOINT, &weights)
        .await
        .expect("weights");
    for world in [&wire, &fast] {
        world.pass(SignedDuration::from_mins(1)).await;
    }
    let seen = aws.endpoint(ENDPOINT).await.expect("an answer");
    assert_eq!(seen, direct.endpoint(ENDPOINT).await.expect("an answer"));
    assert_eq!(
        seen.and_then(|view| view.share("canary"))
            .map(|share| share > 0.09),
        Some(true)
    );
    aws.delete_config(CONFIG).await.expect("an unused config");
    direct
        .delete_config(CONFIG)
        .await
        .expect("an unused config");
    direct
        .delete_config(CONFIG)
        .await
        .expect("one that is gone");
    assert_eq!(
        wire.simulator().sagemaker().endpoint_configs(),
        fast.simulator().sagemaker().endpoint_configs()
    );
    assert_eq!(direct.target(ENDPOINT, "canary").await, Ok(None));
    direct
        .deregister(ENDPOINT, "canary")
        .await
        .expect("one that is gone");
    let unknown = class(direct.set_floor(ENDPOINT, "nobody", 1).await);
    assert_eq!(unknown, class(aws.set_floor(ENDPOINT, "nobody", 1).await));
}
