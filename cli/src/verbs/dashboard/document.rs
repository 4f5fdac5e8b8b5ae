//! The frame around the pages of `canary dashboard`, and the list of deployments.
//!
//! The page looks as a report does and adds a bar on top and one script, which loads the same address again
//! and puts what has changed in place of what is there: nothing flickers, and nobody is thrown back to where
//! the page begins. A window that nobody sees asks for nothing. Both style and script are allowed by their
//! digests; without scripts the browser loads the page again by itself.

use std::fmt::Write as _;
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use shared::domain::state::Phase;
use shared::wire::api::DeploymentView;
use shared::wire::html::{by_digest, escaped};
use shared::wire::report::style;

use super::PATIENCE;
use crate::output::Tone;

/// Beside the report's own.
const OWN_STYLE: &str = "nav{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;padding-bottom:.75rem;margin-bottom:1rem;border-bottom:1px solid var(--line);font-size:.92em}nav .at{margin-left:auto;color:var(--muted);overflow-wrap:anywhere}a{color:var(--share)}#stale{position:sticky;top:0;padding:.5rem .75rem;background:var(--panel);border:1px solid var(--bad);border-radius:.5rem;color:var(--bad)}article{margin:1rem 0;padding:.75rem 1rem;background:var(--panel);border:1px solid var(--line);border-radius:.5rem}article h3{margin:.35rem 0;font-size:1.05rem;overflow-wrap:anywhere}article svg{display:block;width:100%;height:.6rem;border-radius:.3rem}svg .rest{fill:var(--line)}";

/// Loads the page again, as often as the page says.
const SCRIPT: &str = r#"(() => {
  const stale = document.getElementById("stale");
  const main = () => document.querySelector("main");
  const wide = () => [...document.querySelectorAll("figure, .wide")];
  const say = (words) => { stale.textContent = words; stale.hidden = words === ""; };
  const show = (page) => {
    if (page.querySelector("main").innerHTML === main().innerHTML) return;
    const places = wide().map((it) => it.scrollLeft);
    main().replaceWith(page.querySelector("main"));
    wide().forEach((it, place) => { it.scrollLeft = places[place] ?? 0; });
    document.title = page.title;
  };
  const look = async () => {
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const failed = page.getElementById("failed");
      if (failed === null) { show(page); say(""); }
      else if (document.getElementById("failed") === null) say("Not up to date: " + failed.textContent);
      else show(page);
    } catch {
      say("Not up to date: canary dashboard does not answer any more.");
    }
  };
  const again = () => setTimeout(async () => {
    if (!document.hidden) await look();
    again();
  }, 1000 * Number(main().dataset.every));
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  again();
})();"#;

static STYLE: LazyLock<String> = LazyLock::new(|| format!("{}{OWN_STYLE}", style()));

/// What the browser may do with the pages: show them in their style, and load them again by their script.
pub(super) static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        by_digest(&STYLE),
        by_digest(SCRIPT)
    )
});

/// What all pages have.
#[derive(Debug)]
pub(super) struct Frame {
    /// Where the API is.
    pub(super) api: String,
    /// The stack's dashboard in CloudWatch.
    pub(super) cloudwatch: Option<String>,
    /// Seconds between two looks.
    pub(super) every: u64,
}

impl Frame {
    /// The deployments, newest first: those under way in full, the others as rows.
    pub(super) fn list(&self, views: &[DeploymentView], has_more: bool) -> String {
        let (over, under_way): (Vec<_>, Vec<_>) =
            views.iter().partition(|view| view.status.is_terminal());
        let mut main = String::from("<h1>Deployments</h1>\n");
        if under_way.is_empty() {
            main.push_str("<p class=\"muted\">None is under way.</p>\n");
        }
        for view in &under_way {
            card(&mut main, view);
        }
        if !over.is_empty() {
            rows(&mut main, &over);
        }
        if has_more {
            let words =
                "<p class=\"muted\">These are the newest; <code>canary list</code> has all.</p>\n";
            main.push_str(words);
        }
        let title = match under_way.as_slice() {
            [] => "canary".to_owned(),
            [view] => format!("{} {}, {}", view.endpoint, view.share(), view.phase),
            several => format!("{} deployments under way", several.len()),
        };
        self.document(&title, "./", self.every, &main)
    }

    /// The report of a deployment.
    pub(super) fn report(&self, view: &DeploymentView, body: &str) -> String {
        let title = format!("{} {}, {}", view.endpoint, view.share(), view.status);
        let every = if view.status.is_terminal() {
            PATIENCE * self.every
        } else {
            self.every
        };
        self.document(&title, "../", every, body)
    }

    /// Why there is nothing to show.
    pub(super) fn failed(&self, said: &str, home: &str) -> String {
        let main = format!("<p id=\"failed\" class=\"bad\">{}</p>\n", escaped(said));
        self.document("no answer", home, self.every, &main)
    }

    fn document(&self, title: &str, home: &str, every: u64, main: &str) -> String {
        let cloudwatch = self.cloudwatch.as_ref().map_or_else(String::new, |url| {
            format!(
                "<a href=\"{}\" rel=\"noreferrer\">CloudWatch</a>",
                escaped(url)
            )
        });
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<noscript><meta http-equiv=\"refresh\" content=\"{every}\"></noscript>\n<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<nav><a href=\"{home}\">All deployments</a>{cloudwatch}<span class=\"at\">{}</span></nav>\n<p id=\"stale\" hidden></p>\n<main data-every=\"{every}\">\n{main}</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
            escaped(title),
            *STYLE,
            escaped(&self.api)
        )
    }
}

/// One that is under way.
fn card(page: &mut String, view: &DeploymentView) {
    let (share, percent) = (view.share(), view.share().percent());
    let mut facts = vec![
        format!("{share} of the traffic"),
        format!("stage {} of {}", view.stage, view.stage_count),
        format!("begun {} UTC", time(view.created_at)),
    ];
    if let Some(intended) = view.intended_instead() {
        facts[0] = format!("{share} of the traffic, {intended} intended");
    } else if view.target_weight != view.weight {
        facts[0] = format!("{share} of the traffic, on to {}", view.target_weight);
    }
    let end = view.expected_end.map(time);
    facts.extend(end.map(|at| format!("over at {at} UTC, if nothing holds it up")));
    writeln!(
        page,
        "<article><span class=\"status {}\">{}/{}</span>\n<h3>{}</h3>\n<svg viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{share} of the traffic\"><rect class=\"rest\" width=\"100\" height=\"4\"/><rect class=\"new\" width=\"{percent}\" height=\"4\"/></svg>\n<p>{}</p>\n{}<p class=\"muted\">{}</p>\n</article>",
        tone(view),
        view.status,
        view.phase,
        link(view),
        escaped(&view.reason),
        awaited(view),
        escaped(&facts.join(" · "))
    )
    .expect("a string takes everything");
}

/// Those that are over.
fn rows(page: &mut String, views: &[&DeploymentView]) {
    page.push_str("<h2>Over</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>Begun (UTC)</th><th>Deployment</th><th>Status</th><th>In words</th></tr></thead>\n<tbody>\n");
    for view in views {
        writeln!(
            page,
            "<tr><td class=\"when\" data-label=\"Begun (UTC)\">{}</td><td>{}</td><td class=\"who {}\">{}</td><td class=\"said\">{}</td></tr>",
            time(view.created_at),
            link(view),
            tone(view),
            view.status,
            escaped(&view.reason)
        )
        .expect("a string takes everything");
    }
    page.push_str("</tbody></table></div>\n");
}

/// What is replaced by what, and the way to its report. An id of the API's has no mark in it that a path
/// would take for more; another API's is encoded all the same.
fn link(view: &DeploymentView) -> String {
    format!(
        "<a href=\"deployments/{}\">{}: {} for {}</a>",
        escaped(&crate::client::encoded(&view.deployment_id)),
        escaped(&view.endpoint),
        escaped(&view.model),
        escaped(&view.former_model)
    )
}

/// To the second, in UTC.
fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC)
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// In the colours of the command line: what waits for something stands out.
fn tone(view: &DeploymentView) -> &'static str {
    match Tone::of(view.status, view.phase) {
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Warning => "warn",
        Tone::Plain | Tone::Strong | Tone::Quiet => "muted",
    }
}

/// How it goes on, where it does so once a person has decided. The page can't be asked to.
fn awaited(view: &DeploymentView) -> String {
    let verb = match view.phase {
        Phase::AwaitingApproval => "approve",
        Phase::Paused => "resume",
        _ => return String::new(),
    };
    format!(
        "<p class=\"warn\">A person has to decide: <code>canary {verb} {}</code></p>\n",
        escaped(&view.deployment_id)
    )
}
