//! What the description refuses is refused: keys that stand twice, parameters that are given twice, lists
//! in place of objects, names that are none.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{ENDPOINT, World, specification};

use crate::refusals::{assert_problem, effects};

async fn sent(world: &World, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
    world.request(method, path, &[], body.into()).await
}

#[tokio::test]
async fn a_key_that_stands_twice_is_refused_by_its_name() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let before = effects(&world);
    for (body, field) in [
        (
            r#"{"endpoint": "a", "model": "b", "endpoint": "c"}"#,
            "endpoint",
        ),
        (
            r#"{"endpoint": "a", "model": "b", "plan": {"soak": "1m", "soak": "2m"}}"#,
            "plan.soak",
        ),
        (
            r#"{"endpoint": "a", "model": "b", "plan": {"stages": [{"weight": 1, "weight": 100}]}}"#,
            "plan.stages[0].weight",
        ),
    ] {
        for path in ["/deploy", "/plan"] {
            let answer = sent(&world, Method::POST, path, body).await;
            assert_problem(&answer, 400, "duplicate-key", Some(field));
        }
    }
    let path = format!("/deployments/{id}");
    let twice = r#"{"weight": 20, "weight": 90}"#;
    let answer = sent(&world, Method::PUT, &format!("{path}/weight"), twice).await;
    assert_problem(&answer, 400, "duplicate-key", Some("weight"));
    let twice = r#"{"reason": "one", "reason": "other"}"#;
    let answer = sent(&world, Method::POST, &format!("{path}/pause"), twice).await;
    assert_problem(&answer, 400, "duplicate-key", Some("reason"));
    assert_eq!(effects(&world), before);
}

/// What a model's user sent is not repeated, not even a key of it.
#[tokio::test]
async fn a_key_that_stands_twice_in_features_is_refused_without_its_name() {
    let world = World::new().await;
    for body in [
        format!(r#"{{"endpoint": "{ENDPOINT}", "features": {{"income": 1, "income": 2}}}}"#),
        format!(r#"{{"endpoint": "{ENDPOINT}", "instances": [[{{"income": 1, "income": 2}}]]}}"#),
        format!(r#"{{"endpoint": "{ENDPOINT}", "endpoint": "income", "features": [1]}}"#),
    ] {
        let answer = sent(&world, Method::POST, "/inference", &body).await;
        assert_problem(&answer, 400, "duplicate-key", Some("body"));
        assert!(!answer.1.to_string().contains("income"), "{}", answer.1);
    }
}

/// serde reads a structure from a list of its values, and a name from an object.
#[tokio::test]
async fn a_list_is_no_object() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let before = effects(&world);
    let pause = format!("/deployments/{id}/pause");
    for body in ["[]", r#"["because"]"#, "7"] {
        let answer = sent(&world, Method::POST, &pause, body).await;
        assert_problem(&answer, 422, "invalid-body", None);
    }
    let answer = sent(
        &world,
        Method::PUT,
        &format!("/deployments/{id}/weight"),
        "[50]",
    )
    .await;
    assert_problem(&answer, 422, "invalid-body", None);
    for (part, field) in [
        (r#""cleanup": ["1h", true]"#, "cleanup"),
        (r#""cleanup": []"#, "cleanup"),
        (r#""plan": {"preset": {"quick": null}}"#, "plan.preset"),
    ] {
        let body = format!(r#"{{"endpoint": "{ENDPOINT}", "model": "wine-quality-v2", {part}}}"#);
        let answer = sent(&world, Method::POST, "/plan", &body).await;
        assert_problem(&answer, 422, "invalid-specification", Some(field));
    }
    let list = format!(r#"["{ENDPOINT}", null, [1.5]]"#);
    let answer = sent(&world, Method::POST, "/inference", &list).await;
    assert_problem(&answer, 422, "invalid-inference-request", Some("body"));
    assert_eq!(effects(&world), before);
}

#[tokio::test]
async fn a_parameter_that_is_given_twice_is_refused() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    for (path, field) in [
        ("/deployments?limit=1&limit=2".to_owned(), "limit"),
        (
            format!("/deployments/{id}/checks?format=csv&format=json"),
            "format",
        ),
    ] {
        let answer = world.get(&path).await;
        assert_problem(&answer, 422, "invalid-parameter", Some(field));
    }
    let path = format!("/deployments/{id}/promote?full=true&full=false");
    let answer = sent(&world, Method::POST, &path, "").await;
    assert_problem(&answer, 422, "invalid-parameter", Some("full"));
}

/// One that is misspelt, or belongs to another route, is no reason to answer something else than was asked for.
#[tokio::test]
async fn a_route_without_parameters_takes_none() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let before = effects(&world);
    let (own, freeze) = (
        format!("/deployments/{id}"),
        format!("/endpoints/{ENDPOINT}/freeze"),
    );
    let plan = specification().to_string();
    for (method, path, body) in [
        (Method::GET, "/health", ""),
        (Method::GET, "/openapi.json", ""),
        (Method::GET, &own, ""),
        (Method::GET, &format!("{own}/history"), ""),
        (Method::GET, &format!("{own}/report"), ""),
        (Method::GET, &format!("{own}/approve"), ""),
        (Method::PUT, &format!("{own}/weight"), r#"{"weight": 20}"#),
        (Method::POST, &format!("{own}/undo"), ""),
        (Method::POST, "/deploy", &plan),
        (Method::POST, "/plan", &plan),
        (Method::GET, &freeze, ""),
        (Method::PUT, &freeze, r#"{"reason": "a sale"}"#),
        (Method::DELETE, &freeze, ""),
    ] {
        let path = format!("{path}?limit=5");
        let answer = sent(&world, method, &path, body).await;
        assert_problem(&answer, 422, "invalid-parameter", Some("limit"));
    }
    for (path, body) in [
        (
            "/inference?user=secret",
            format!(r#"{{"endpoint": "{ENDPOINT}", "features": [1]}}"#),
        ),
        (
            "/feedback?secret=1",
            r#"{"inference_id": "x", "actual": true}"#.to_owned(),
        ),
    ] {
        let answer = sent(&world, Method::POST, path, &body).await;
        assert_problem(&answer, 422, "invalid-parameter", None);
        assert!(!answer.1.to_string().contains("secret"), "{}", answer.1);
    }
    assert_eq!(world.count_calls("InvokeEndpoint"), 0);
    assert_eq!(effects(&world), before);
}

/// In the words of a query, and not of a document.
#[tokio::test]
async fn an_unknown_parameter_is_told_which_there_are() {
    let world = World::new().await;
    for (path, takes) in [
        ("/health?x=1", "none"),
        (
            "/deployments?x=1",
            "`endpoint`, `status`, `limit`, `cursor`",
        ),
    ] {
        let answer = world.get(path).await;
        assert_problem(&answer, 422, "invalid-parameter", Some("x"));
        let said = format!("this route has no parameter `x`; it takes {takes}");
        assert_eq!(answer.1["detail"], json!(said));
    }
}

/// Whoever signs in the query, as for a link that somebody else follows, asks for nothing else by it.
#[tokio::test]
async fn a_signature_in_the_query_is_no_parameter() {
    let world = World::new().await;
    let signed = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260302&X-Amz-Date=20260302T100000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=ab12&X-Amz-Security-Token=a%2Fb";
    for path in ["/openapi.json?", "/deployments?limit=1&"] {
        let (status, answer) = world.get(&format!("{path}{signed}")).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
    let way = format!("/route?{signed}&endpoint={ENDPOINT}&user=anna");
    let (status, answer) = world.get(&way).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let label = r#"{"inference_id": "x", "actual": true}"#;
    let path = format!("/feedback?{signed}");
    let (status, answer) = sent(&world, Method::POST, &path, label).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let answer = world.get(&format!("/health?{signed}&X-Amz-Other=1")).await;
    assert_problem(&answer, 422, "invalid-parameter", Some("X-Amz-Other"));
}

/// In place of what is no UTF-8 there would be a mark, the same for all of it.
#[tokio::test]
async fn a_parameter_that_is_no_text_is_refused_by_its_name() {
    let world = World::new().await;
    for (query, field) in [
        ("endpoint=wine%FF", Some("endpoint")),
        ("limit=5&cursor=%C3", Some("cursor")),
        ("%FF=5", None),
    ] {
        let answer = world.get(&format!("/deployments?{query}")).await;
        assert_problem(&answer, 400, "unreadable-query", field);
    }
}

/// It becomes a key of the table: DynamoDB refuses one of more than 2048 bytes, as a fault of ours.
#[tokio::test]
async fn an_endpoint_that_is_no_name_is_not_looked_up() {
    let world = World::new().await;
    for name in [
        "x".repeat(3000),
        "x".repeat(64),
        "a_b".to_owned(),
        String::new(),
    ] {
        let answer = world.get(&format!("/deployments?endpoint={name}")).await;
        assert_problem(&answer, 422, "invalid-parameter", Some("endpoint"));
    }
    let (status, answer) = world.get("/deployments?endpoint=nowhere").await;
    assert_eq!(
        (status, answer["items"].as_array().map(Vec::len)),
        (StatusCode::OK, Some(0))
    );
}
