//! The routes of the document are the routes of the router.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use serde_json::Value;
use tests::World;
use tests::openapi::COMMITTED;
use tower::ServiceExt;

fn documented() -> BTreeMap<String, BTreeSet<Method>> {
    let paths = COMMITTED["paths"].as_object().expect("paths");
    let of = |item: &Value| {
        let verbs = item.as_object().expect("an item").keys();
        verbs
            .map(|verb| verb.to_ascii_uppercase().parse().expect("a method"))
            .collect()
    };
    paths
        .iter()
        .map(|(path, item)| (path.clone(), of(item)))
        .collect()
}

/// axum says its routes only when it is printed for debugging.
#[tokio::test]
async fn the_router_has_no_other_paths() {
    let world = World::new().await;
    let printed = format!("{:?}", world.stack.router());
    let quoted = printed.split('"').filter(|text| text.starts_with('/'));
    // The two under which axum keeps the answer for every other path.
    let quoted = quoted.filter(|path| *path != "/" && !path.contains("__private__"));
    let routed: BTreeSet<String> = quoted.map(str::to_owned).collect();
    let paths: BTreeSet<String> = documented().into_keys().collect();
    assert_eq!(routed, paths);
}

#[tokio::test]
async fn each_path_takes_its_methods_and_no_others() {
    let world = World::new().await;
    let router = world.stack.router();
    for (path, methods) in documented() {
        let path = path
            .replace("{id}", "00000000-0000-7000-8000-000000000000")
            .replace("{name}", "wine");
        let mut allowed: BTreeSet<String> = methods.iter().map(ToString::to_string).collect();
        if methods.contains(&Method::GET) {
            allowed.insert("HEAD".to_owned());
        }
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
            Method::TRACE,
        ] {
            let request = Request::builder().method(&method).uri(&path);
            let request = request.body(Body::empty()).expect("a request");
            let answer = router.clone().oneshot(request).await.expect("infallible");
            let is_known = methods.contains(&method);
            assert_eq!(
                answer.status() != StatusCode::METHOD_NOT_ALLOWED,
                is_known,
                "{method} {path}"
            );
            if is_known {
                continue;
            }
            let said = answer
                .headers()
                .get(header::ALLOW)
                .expect("an Allow header");
            let said = said.to_str().expect("a text").split(',').map(str::to_owned);
            assert_eq!(said.collect::<BTreeSet<_>>(), allowed, "{method} {path}");
        }
    }
}
