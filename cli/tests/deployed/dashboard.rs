//! `canary dashboard` of a deployed stack: signed requests behind a page that only its starter can find.

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::account::{Account, CLOUDWATCH};
use crate::api;
use crate::gateway::REGION;
use crate::run::{Home, TOKEN, command, keys};

async fn asked(authority: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(authority).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .expect("it answers");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_found_by_its_starter_alone_and_leads_to_cloudwatch() {
    let (home, gateway) = (Home::new(), api().await);
    let account = Account::of(&gateway.api).open().await;
    let ca = home.file("ca.pem", &gateway.ca);
    let mut environment = keys();
    environment.extend([
        ("AWS_ENDPOINT_URL", account.as_str()),
        ("AWS_CA_BUNDLE", ca.to_str().expect("the path is text")),
    ]);
    let mut arguments = vec!["dashboard", "--stack", "canary-prod", "--region", REGION];
    arguments.extend(["--port", "0", "-o", "json"]);
    let mut command = command(&home, &arguments, &environment);
    let mut child = command
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");
    let pipe = child.stdout.take().expect("its output is piped");
    let mut lines = BufReader::new(pipe).lines();
    let line = lines.next_line().await.expect("text").expect("a line");
    let object: Value = serde_json::from_str(&line).expect("one object");
    assert_eq!(object["cloudwatch"], CLOUDWATCH, "{line}");
    let url = object["url"].as_str().expect("an address");
    let (authority, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .expect("an authority and a path");
    let secret = path.strip_suffix('/').expect("a folder");
    assert_eq!(secret.len(), 32, "{url}");
    let page = asked(authority, &format!("/{path}")).await;
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    assert!(
        page.contains("#dashboards/dashboard/canary-prod\""),
        "{page}"
    );
    assert!(!page.contains(TOKEN) && !page.contains(secret), "{page}");
    assert!(asked(authority, "/").await.starts_with("HTTP/1.1 404 "));
    let asked = gateway.asked();
    assert!(!asked.is_empty());
    assert!(
        asked
            .iter()
            .all(|seen| (seen.method.as_str(), seen.path.as_str()) == ("GET", "/v1/deployments"))
    );
}
