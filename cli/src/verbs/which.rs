//! Which deployment is meant: a whole id, the beginning of one, or the only one not over.

use shared::wire::api::DeploymentView;

use crate::client::{Client, ClientError, ListFilter};
use crate::output::Output;

use super::Failure;

/// The length of a UUID.
const WHOLE: usize = 36;
/// The largest page that the API gives.
pub(super) const PAGE: usize = 100;
/// Deployments looked through at the most: enough for years, and an end for a broken cursor.
const SEARCHED: usize = 5000;

/// Why no deployment was taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoneTaken {
    /// Nothing is under way.
    #[error("no deployment is under way; name one (canary list shows them)")]
    NoneUnderWay,
    /// More than one is under way.
    #[error("{} deployments are under way; name one of {}", ids.len(), shown(ids))]
    ManyUnderWay {
        /// Those.
        ids: Vec<String>,
    },
    /// No id begins like this.
    #[error("no deployment's id begins with {prefix}")]
    NoSuch {
        /// What was given.
        prefix: String,
    },
    /// More than one id begins like this.
    #[error("{} ids begin with {prefix}; write more of {}", ids.len(), shown(ids))]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// Those.
        ids: Vec<String>,
    },
}

fn shown(ids: &[String]) -> String {
    let mut text = ids.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    if ids.len() > 5 {
        text.push_str(", …");
    }
    text
}

/// The id of the deployment that is meant; says which one it is when that was not written out.
pub(super) async fn take(
    client: &Client,
    given: Option<String>,
    output: &mut Output<'_>,
) -> Result<String, Failure> {
    if let Some(id) = given.as_ref().filter(|id| id.len() == WHOLE) {
        return Ok(id.clone());
    }
    let all = all(client, &ListFilter::default(), SEARCHED).await?;
    let taken = choose(&all, given.as_deref())?;
    output.remark(&format!(
        "deployment {} ({}, {})",
        taken.deployment_id, taken.endpoint, taken.status
    ))?;
    Ok(taken.deployment_id.clone())
}

/// At most this many deployments, page by page.
pub(super) async fn all(
    client: &Client,
    filter: &ListFilter,
    limit: usize,
) -> Result<Vec<DeploymentView>, ClientError> {
    let mut views = Vec::new();
    let mut cursor = None;
    loop {
        let page = client
            .list(filter, PAGE.min(limit - views.len()), cursor.as_deref())
            .await?;
        views.extend(page.items);
        // A cursor that stays where it was would go on for ever.
        if page.cursor.is_none() || page.cursor == cursor || views.len() >= limit {
            views.truncate(limit);
            return Ok(views);
        }
        cursor = page.cursor;
    }
}

fn choose<'a>(
    all: &'a [DeploymentView],
    prefix: Option<&str>,
) -> Result<&'a DeploymentView, NoneTaken> {
    let fits = |view: &&DeploymentView| match prefix {
        Some(prefix) => view.deployment_id.starts_with(prefix),
        None => !view.status.is_terminal(),
    };
    let fitting: Vec<&DeploymentView> = all.iter().filter(fits).collect();
    let ids = || {
        fitting
            .iter()
            .map(|view| view.deployment_id.clone())
            .collect()
    };
    match (fitting.as_slice(), prefix) {
        ([one], _) => Ok(one),
        ([], None) => Err(NoneTaken::NoneUnderWay),
        (_, None) => Err(NoneTaken::ManyUnderWay { ids: ids() }),
        ([], Some(prefix)) => Err(NoneTaken::NoSuch {
            prefix: prefix.to_owned(),
        }),
        (_, Some(prefix)) => Err(NoneTaken::Ambiguous {
            prefix: prefix.to_owned(),
            ids: ids(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use shared::domain::state::Status;

    use super::*;
    use crate::output::samples;

    fn deployments(of: &[(&str, Status)]) -> Vec<DeploymentView> {
        let view = |(id, status): &(&str, Status)| {
            let mut view = samples::baking();
            (view.deployment_id, view.status) = ((*id).to_owned(), *status);
            view
        };
        of.iter().map(view).collect()
    }

    #[test]
    fn the_only_one_under_way_is_taken() {
        let all = deployments(&[
            ("0a", Status::Completed),
            ("0b", Status::RollingBack),
            ("0c", Status::Failed),
        ]);
        assert_eq!(choose(&all, None).unwrap().deployment_id, "0b");
        assert_eq!(choose(&all[..1], None), Err(NoneTaken::NoneUnderWay));
        let two = deployments(&[("0a", Status::Pending), ("0b", Status::InProgress)]);
        let ids = vec!["0a".to_owned(), "0b".to_owned()];
        assert_eq!(choose(&two, None), Err(NoneTaken::ManyUnderWay { ids }));
    }

    #[test]
    fn a_beginning_is_enough_when_it_fits_one() {
        let all = deployments(&[("0a1", Status::Completed), ("0a2", Status::Completed)]);
        assert_eq!(choose(&all, Some("0a2")).unwrap().deployment_id, "0a2");
        assert!(matches!(
            choose(&all, Some("0a")),
            Err(NoneTaken::Ambiguous { .. })
        ));
        assert!(matches!(
            choose(&all, Some("1")),
            Err(NoneTaken::NoSuch { .. })
        ));
    }
}
