//! What was judged, minute by minute: a page of it, or all as a trace.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::app::ports::{Page, Store};
use shared::aws::Aws;
use shared::domain::judge::MinuteReport;
use shared::domain::replay::Recorded;
use shared::gateway::Asked;
use shared::wire::api::ListView;
use shared::wire::items::{check_key, is_check_key};
use shared::wire::problem::Problem;

use super::{CHECKS, MOST_CHECKS, Shared, load, told};
use crate::problems::Answer;
use crate::request::{Id, given_out, page_size, parameters};

/// An answer through API Gateway and Lambda has 6 MB.
const ANSWER_LIMIT: usize = 5 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckParameters {
    limit: Option<String>,
    cursor: Option<String>,
    format: Option<CheckFormat>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum CheckFormat {
    Json,
    Csv,
}

pub(super) async fn checks(
    State(aws): Shared,
    asked: Asked,
    Id(id): Id,
    query: RawQuery,
) -> Result<Response, Answer> {
    let parameters: CheckParameters = parameters(&query)?;
    if parameters.format == Some(CheckFormat::Csv) {
        return trace(&aws, &asked, &id, &parameters).await;
    }
    let limit = page_size(parameters.limit.as_deref(), CHECKS, MOST_CHECKS)?;
    let cursor = given_out(parameters.cursor, is_check_key)?;
    load(&aws, &asked, &id).await?;
    let page = aws.minutes(&id, limit, cursor.as_deref()).await;
    let page = told(&aws, Some(&id), page)?;
    Ok(Json(within_size(page)).into_response())
}

/// The part of a page that an answer has room for; the next page begins after it.
fn within_size(page: Page<MinuteReport>) -> ListView<MinuteReport> {
    let (mut bytes, mut fitting) = (0, 0);
    for item in &page.items {
        bytes += serde_json::to_string(item).map_or(0, |text| text.len() + 1);
        if bytes > ANSWER_LIMIT && fitting > 0 {
            break;
        }
        fitting += 1;
    }
    let mut items = page.items;
    let is_cut = fitting < items.len();
    items.truncate(fitting);
    let last = items.last().map(|report| check_key(report.minute));
    ListView {
        cursor: if is_cut { last } else { page.cursor },
        items,
    }
}

/// Everything that was judged, as a trace that `canary replay` reads: production's minutes before
/// the rollout first.
async fn trace(
    aws: &Aws,
    asked: &Asked,
    id: &str,
    parameters: &CheckParameters,
) -> Result<Response, Answer> {
    if parameters.limit.is_some() || parameters.cursor.is_some() {
        let detail = "a trace is whole: leave limit and cursor out, or ask for JSON";
        return Err(Problem::new(422, "invalid-parameter", detail)
            .field("format")
            .into());
    }
    load(aws, asked, id).await?;
    let mut minutes = Vec::new();
    let mut cursor = None;
    loop {
        let page = told(
            aws,
            Some(id),
            aws.minutes(id, 1000, cursor.as_deref()).await,
        )?;
        minutes.extend(page.items.iter().map(Recorded::of));
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    minutes.reverse();
    let mut recorded = told(aws, Some(id), aws.past(id).await)?;
    let begins = minutes.first().map_or(u64::MAX, |first| first.minute);
    recorded.retain(|before| before.minute < begins);
    recorded.extend(minutes);
    let text = shared::wire::trace::write(recorded);
    if text.len() > ANSWER_LIMIT {
        let detail =
            "the trace is larger than an answer may be; read the checks as JSON, page by page";
        return Err(Problem::new(422, "trace-too-large", detail)
            .field("format")
            .into());
    }
    Ok(([("content-type", "text/csv; charset=utf-8")], text).into_response())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn minute(number: usize, bytes: usize) -> MinuteReport {
        let row = json!({
            "minute": format!("2026-03-02T10:{number:02}:00Z"), "weight": 10,
            "canary": null, "production": null, "guards": {},
            "verdict": "healthy", "sentence": "x".repeat(bytes),
        });
        serde_json::from_value(row).expect("a row of evidence")
    }

    #[test]
    fn a_page_ends_where_the_answer_is_full() {
        let page = |bytes| Page {
            items: (0..5).map(|number| minute(number, bytes)).collect(),
            cursor: None,
        };
        let whole = within_size(page(100));
        assert_eq!((whole.items.len(), whole.cursor), (5, None));
        let cut = within_size(page(2 * 1024 * 1024));
        assert_eq!(cut.items.len(), 2);
        let next = cut.cursor.expect("there is more");
        assert_eq!(next, check_key(cut.items[1].minute));
        assert!(is_check_key(&next));
        // One row is given however large it is: nothing would ever come after it.
        assert_eq!(within_size(page(9 * 1024 * 1024)).items.len(), 1);
    }
}
