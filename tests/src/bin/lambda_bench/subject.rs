//! What is measured: a program, its own settings, and the event it is given.

use std::path::PathBuf;

use serde_json::{Value, json};
use tests::lambda::{INVOKER, OPERATOR, built, events};
use tests::{ENDPOINT, World};

use crate::options::Options;

/// A function under measurement.
pub(crate) struct Subject {
    /// As the tables name it.
    pub(crate) name: &'static str,
    /// The subject in Python that does the same.
    pub(crate) rival: Option<&'static str>,
    /// The executable.
    pub(crate) program: PathBuf,
    /// What comes after it.
    pub(crate) arguments: Vec<String>,
    /// Beside the environment of every function.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// What it is given.
    pub(crate) event: Value,
    /// What a request is answered with.
    pub(crate) status: u16,
}

impl Subject {
    /// The archive that is deployed, where one was made.
    pub(crate) fn archive(&self) -> PathBuf {
        self.program.with_extension("zip")
    }

    /// Whether it is a binary of this project.
    pub(crate) fn is_ours(&self) -> bool {
        self.arguments.is_empty()
    }
}

/// The functions, `deploy` twice, then what they are held against.
pub(crate) fn subjects(options: &Options, world: &World) -> Vec<Subject> {
    let now = world.now();
    let health = events::request(OPERATOR, "GET", "/health", None, now);
    let prediction = asked_for("POST", world);
    // Nobody's deployment: the record is asked for, and nothing is due.
    let wake = json!({"deployment_id": "019c0000-0000-7000-8000-00000000dead", "version": 1});
    let ours = |name, rival, binary: &str, mode: Option<&str>, event: &Value| Subject {
        name,
        rival,
        program: program(options, binary),
        arguments: Vec::new(),
        variables: mode
            .map(|mode| ("CANARY_MODE", mode.to_owned()))
            .into_iter()
            .collect(),
        event: event.clone(),
        status: 200,
    };
    let mut subjects = vec![
        ours(
            "deploy (API)",
            Some("Python GET /health"),
            "deploy",
            Some("api"),
            &health,
        ),
        ours(
            "deploy (provision)",
            None,
            "deploy",
            Some("provision"),
            &wake,
        ),
        ours("monitor", None, "monitor", None, &events::schedule(now)),
        ours("traffic-shift", None, "traffic-shift", None, &wake),
        ours("rollback", None, "rollback", None, &wake),
        ours(
            "inference",
            Some("Python inference"),
            "inference",
            None,
            &prediction,
        ),
    ];
    if let Some(python) = &options.python {
        let rival = |name, handler: &str, event: &Value| Subject {
            name,
            rival: None,
            program: python.clone(),
            arguments: ["-m", "awslambdaric", handler].map(str::to_owned).to_vec(),
            variables: vec![
                ("LAMBDA_TASK_ROOT", options.handlers.display().to_string()),
                ("PYTHONPATH", options.handlers.display().to_string()),
                // The checkout stays clean; the packages' bytecode is there from before.
                ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
            ],
            event: event.clone(),
            status: 200,
        };
        subjects.push(rival("Python GET /health", "health.handler", &health));
        subjects.push(rival("Python inference", "inference.handler", &prediction));
    }
    subjects
}

/// The features of every prediction.
pub(crate) const FEATURES: [f64; 5] = [7.4, 0.7, 0.0, 1.9, 9.4];

/// A request for a prediction; by another method than POST it is answered at once.
fn asked_for(method: &str, world: &World) -> Value {
    let wanted = json!({"endpoint": ENDPOINT, "features": FEATURES}).to_string();
    events::request(INVOKER, method, "/inference", Some(&wanted), world.now())
}

/// A binary as it is deployed, or the developer's.
pub(crate) fn program(options: &Options, binary: &str) -> PathBuf {
    match &options.rust {
        Some(folder) => folder.join(binary).join("bootstrap"),
        None => built(binary),
    }
}

/// `inference`, given this request.
pub(crate) fn inference(
    options: &Options,
    world: &World,
    name: &'static str,
    (method, status): (&str, u16),
) -> Subject {
    Subject {
        name,
        rival: None,
        program: program(options, "inference"),
        arguments: Vec::new(),
        variables: Vec::new(),
        event: asked_for(method, world),
        status,
    }
}
