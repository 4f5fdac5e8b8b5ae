//! `canary local` from the outside: what it says when it is ready, and what can be done to the account that it
//! simulates, by the verbs that a person types.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Output};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::binary::{canary, code, first_object, started, stderr, stdout, terminated};

/// A local mode of its own, on ports that nobody has.
struct Local {
    child: Child,
    api: String,
    aws: String,
    region: String,
}

impl Local {
    fn start(more: &[&str]) -> Self {
        let fixed = ["local", "--port", "0", "--aws-port", "0", "-o", "json"];
        let mut child = started(&[&fixed, more].concat());
        let ready = first_object(&mut child);
        let text = |name: &str| ready[name].as_str().expect(name).to_owned();
        Self {
            api: text("api"),
            aws: text("aws"),
            region: text("region"),
            child,
        }
    }

    /// A verb of the command line.
    fn run(&self, arguments: &[&str], input: &str) -> Output {
        canary(&[arguments, &["--api", &self.api]].concat(), input)
    }

    /// What a verb prints when it does as asked.
    fn said(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        assert_eq!(code(&output), 0, "{arguments:?}: {}", stderr(&output));
        stdout(&output).to_owned()
    }

    /// What it prints about disturbances.
    fn simulated(&self, arguments: &str) -> String {
        let words: Vec<&str> = arguments.split(' ').collect();
        self.said(&[&["simulate"], &*words].concat(), "")
    }

    fn listed(&self) -> Vec<Value> {
        let text = self.said(&["list", "-o", "json"], "");
        let objects = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("an object"));
        objects.collect()
    }

    /// The status and the body of a request as any client makes it.
    fn asked(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        asked(&self.api, method, path, headers, body)
    }

    /// What SageMaker's own API says of an endpoint.
    fn endpoint(&self, name: &str) -> String {
        let headers = "X-Amz-Target: SageMaker.DescribeEndpoint\r\nContent-Type: application/x-amz-json-1.1\r\n";
        let body = json!({"EndpointName": name}).to_string();
        asked(&self.aws, "POST", "/", headers, &body).1
    }

    fn stop(mut self) -> Option<i32> {
        terminated(&mut self.child)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // A test that fails leaves nothing behind; one that did not has ended it already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn asked(url: &str, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
    let authority = url.strip_prefix("http://").expect("plain http");
    let mut stream = TcpStream::connect(authority).expect("it listens");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}

/// Short stages, and guards that a small stream of requests can trip.
fn specification() -> String {
    json!({
        "endpoint": "wine-quality", "model": "wine-quality-v2",
        "plan": {"stages": [{"weight": 50, "bake": "20m"}, {"weight": 100}], "soak": "5m", "deadline": "6h"},
        "policy": {"min_samples": 20, "latency_p99": {"limit": "5s", "ratio": 50}},
        "cleanup": {"after": "2m"},
    })
    .to_string()
}

/// A file for the records, which is gone with the test.
struct Records(PathBuf);

impl Records {
    fn new(name: &str) -> Self {
        let name = format!("canary-local-{name}-{}.sqlite", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        for beside in ["", "-wal", "-shm", ".lock"] {
            let file = format!("{}{beside}", self.0.display());
            let _ = std::fs::remove_file(Path::new(&file));
        }
    }
}

/// What document 3's lab does with its router: let the new model fail, look, see everything go back, begin again.
#[test]
fn a_model_that_is_made_to_fail_is_taken_back_and_a_reset_begins_anew() {
    let records = Records::new("reset");
    let file = records.0.to_str().expect("a path in UTF-8");
    let local = Local::start(&["--speed", "120", "--rps", "60", "--state", file]);
    assert_eq!(local.region, "eu-central-1");
    assert_eq!(local.simulated("show"), "Nothing is disturbed.\n");
    local.said(&["deploy", "-f", "-"], &specification());
    assert_eq!(
        local.simulated("errors --rate 80%"),
        "wine-quality-v2 answers 80% of its requests with 500, until canary simulate clear\n"
    );
    let ticked = local.simulated("tick");
    assert!(ticked.starts_with("looked at 1 deployment; "), "{ticked}");
    assert!(ticked.contains(" at wine-quality is "), "{ticked}");
    let watched = local.run(&["watch"], "");
    let text = stdout(&watched);
    assert_eq!(code(&watched), 3, "{text}");
    assert!(text.contains("5XX errors"), "{text}");
    assert_eq!(local.listed().len(), 1);

    local.simulated("aws sns Publish --times 3");
    let reset = local.simulated("reset");
    assert!(
        reset.starts_with("Everything is as it was at the start"),
        "{reset}"
    );
    assert!(local.listed().is_empty(), "{:?}", local.listed());
    assert_eq!(local.simulated("show"), "Nothing is disturbed.\n");
    let endpoint = local.endpoint("wine-quality");
    assert!(
        endpoint.contains("\"EndpointStatus\":\"InService\""),
        "{endpoint}"
    );
    assert!(
        endpoint.contains("\"EndpointConfigName\":\"wine-quality-config\""),
        "{endpoint}"
    );
    // What begins now is a rollout like any other.
    local.said(&["deploy", "-f", "-"], &specification());
    assert_eq!(local.listed().len(), 1);
    assert_eq!(local.stop(), Some(0));
}

/// When the account says it is, and of when it has the one deployment of its records.
fn times(local: &Local) -> [Timestamp; 2] {
    let deployments = local.listed();
    assert_eq!(deployments.len(), 1, "{deployments:?}");
    ["as_of", "created_at"].map(|name| {
        let time = deployments[0][name].as_str().expect(name);
        time.parse().expect("a time")
    })
}

#[test]
fn a_state_is_one_process_s_and_time_goes_on_in_it() {
    let records = Records::new("kept");
    let file = records.0.to_str().expect("a path in UTF-8");
    let fast = ["--speed", "600", "--rps", "0", "--state", file];
    let first = Local::start(&fast);
    first.said(&["deploy", "-f", "-"], &specification());
    let fixed = ["local", "--port", "0", "--aws-port", "0", "--state", file];
    let second = canary(&fixed, "");
    assert_eq!(code(&second), 1);
    let says = format!("{file} is the state of a `canary local` that runs already: end that one");
    assert!(stderr(&second).contains(&says), "{}", stderr(&second));
    let [reached, created] = times(&first);
    assert_eq!(first.stop(), Some(0));

    // By the wall clock hardly a moment later.
    let slow = ["--speed", "1", "--rps", "0", "--state", file];
    let next = Local::start(&slow);
    let [goes_on, as_before] = times(&next);
    assert_eq!(as_before, created);
    assert!(goes_on >= reached, "{goes_on} after {reached}");
    next.simulated("reset");
    next.said(&["deploy", "-f", "-"], &specification());
    let [after_reset, anew] = times(&next);
    assert!(anew >= goes_on, "{anew} after {goes_on}");
    assert!(after_reset >= goes_on, "{after_reset} after {goes_on}");
    assert_eq!(next.stop(), Some(0));

    let other = crate::binary::file("no-state.txt", "milk, eggs\n");
    let fixed = ["local", "--port", "0", "--aws-port", "0", "--state", &other];
    let refused = canary(&fixed, "");
    assert_eq!(code(&refused), 1);
    let says = format!("{other} is no state of `canary local` (it is no SQLite database): move");
    assert!(stderr(&refused).contains(&says), "{}", stderr(&refused));
}

#[test]
fn disturbances_add_up_and_are_told() {
    let local = Local::start(&["--speed", "60", "--rps", "0"]);
    local.simulated("errors --model wine-quality-v1 --for 1h");
    let both = local.simulated("slow --model wine-quality-v1 -o json");
    let both: Value = serde_json::from_str(&both).expect("one object");
    assert_eq!(both["models"][0]["error_rate"], "50%");
    assert_eq!(both["models"][0]["added_latency"], "300ms");
    let aws = local.simulated("aws sagemaker UpdateEndpoint --times 2");
    assert!(
        aws.ends_with("the next 2 calls of sagemaker UpdateEndpoint are throttled\n"),
        "{aws}"
    );
    let inference = json!({"endpoint": "wine-quality", "features": [0.0]}).to_string();
    let json_body = "Content-Type: application/json\r\n";
    let (status, answer) = local.asked("POST", "/inference", json_body, &inference);
    assert!(status == 424 || status == 200, "{status} {answer}");
    assert_eq!(local.simulated("clear"), "Nothing is disturbed.\n");
    assert_eq!(local.stop(), Some(0));
}

#[test]
fn a_disturbance_that_makes_no_sense_is_refused_with_the_way_out() {
    let local = Local::start(&["--speed", "60", "--rps", "0"]);
    let json_body = "Content-Type: application/json\r\n";
    for (body, status, part) in [
        ("{", 400, "not a JSON object"),
        ("[]", 400, "not a JSON object"),
        ("{}", 422, "error_rate"),
        (
            r#"{"model": "nobody", "error_rate": "50%"}"#,
            404,
            "there is no model nobody",
        ),
        (r#"{"error_rate": 0.5}"#, 422, "percent"),
        (
            r#"{"error_rate": "50%", "until": "tomorrow"}"#,
            422,
            "unknown field `until`",
        ),
        (
            r#"{"service": "s3", "fault": "throttle"}"#,
            422,
            "sagemaker",
        ),
        (
            r#"{"service": "sns", "fault": "throttle", "times": 0}"#,
            422,
            "from 1 to",
        ),
    ] {
        let (said, answer) = local.asked("POST", "/local/fault", json_body, body);
        assert_eq!(said, status, "{body}: {answer}");
        assert!(answer.contains(part), "{body}: {answer}");
    }
    assert_eq!(local.simulated("show"), "Nothing is disturbed.\n");
    assert_eq!(local.asked("GET", "/local/nothing", "", "").0, 404);
}

#[test]
fn a_page_of_another_site_can_disturb_nothing() {
    let local = Local::start(&["--speed", "60", "--rps", "0"]);
    let elsewhere = "Origin: https://example.org\r\n";
    for (method, path) in [
        ("POST", "/local/reset"),
        ("POST", "/local/tick"),
        ("DELETE", "/local/fault"),
    ] {
        let (status, answer) = local.asked(method, path, elsewhere, "");
        assert_eq!(status, 403, "{method} {path}: {answer}");
    }
}
