//! The model registry: which versions of a model package a deployment is about, and what the registry is
//! told of them once it is decided.
//!
//! What it is told is absolute ("this version is in production"), so telling it twice is telling it once.
//! It follows the endpoint and never the other way round: nothing of a rollout or of a rollback waits for
//! it. What could not be told is tried again for an hour, also after the end; then people are told instead.
//!
//! A verdict that a person has given is not overruled for the better: who rejected a version while it was
//! rolled out meant it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::authority::Home;
use super::quantity::Span;

/// How long it is tried to tell the registry.
pub const LIMIT: Span = Span::from_hours(1);
/// How long after a refusal it is tried again.
pub const RETRY: Span = Span::from_mins(5);

/// The most characters of a description (`ApprovalDescription` and `StageDescription` of the service
/// model).
const LONGEST_DESCRIPTION: usize = 1024;
/// The most characters of an ARN (`VersionedArnOrName`).
const LONGEST_ARN: usize = 176;
/// The most characters of a model's name.
const LONGEST_NAME: usize = 63;
/// What an ARN says before the group's name.
const KIND: &str = "model-package/";

/// The ARN of one version of a model package:
/// `arn:aws:sagemaker:{region}:{account}:model-package/{group}/{version}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageArn(String);

/// Why a text is not the ARN of a version of a model package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPackage {
    /// Not an ARN of the registry at all.
    #[error(
        "not the ARN of a version of a model package, like \"arn:aws:sagemaker:eu-central-1:123456789012:model-package/wine-quality/3\""
    )]
    Other,
    /// The group, in which there are many.
    #[error(
        "the ARN of a model package group, which holds many versions; name one of them, like \"…:model-package/wine-quality/3\" (aws sagemaker list-model-packages --model-package-group-name tells them)"
    )]
    Group,
    /// A package outside a group, which knows no approval.
    #[error(
        "the ARN has no version, like the 3 of \"…:model-package/wine-quality/3\"; a package without one knows no approval, so make a model of it and name that with `model`"
    )]
    Unversioned,
}

impl PackageArn {
    /// The ARN, if it is one.
    pub fn parse(text: &str) -> Result<Self, NoPackage> {
        let resource = text.splitn(6, ':').nth(5).unwrap_or_default();
        let is_of_sagemaker = text.split(':').nth(2) == Some("sagemaker");
        let is_plain = text.len() <= LONGEST_ARN && text.bytes().all(|it| it.is_ascii_graphic());
        if Home::of(text).is_none() || !is_of_sagemaker || !is_plain {
            return Err(NoPackage::Other);
        }
        if resource.starts_with("model-package-group/") {
            return Err(NoPackage::Group);
        }
        let rest = resource.strip_prefix(KIND).ok_or(NoPackage::Other)?;
        let (group, version) = rest.split_once('/').unwrap_or((rest, ""));
        if !super::specification::is_name(group) {
            return Err(NoPackage::Other);
        }
        if rest == group {
            return Err(NoPackage::Unversioned);
        }
        let is_number = (1..=9).contains(&version.len())
            && version.bytes().all(|byte| byte.is_ascii_digit())
            && !version.starts_with('0');
        if is_number {
            Ok(Self(text.to_owned()))
        } else {
            Err(NoPackage::Other)
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both name the same version: SageMaker writes names in ARNs in lower case, people don't.
    pub fn is_same(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }

    /// The account and region that it is in.
    pub fn home(&self) -> Option<Home> {
        Home::of(&self.0)
    }

    /// The name of its group, in lower case, as SageMaker writes it in ARNs.
    pub fn group(&self) -> String {
        self.parts().0.to_ascii_lowercase()
    }

    /// The name of the model that is made of it: the same one for every deployment of this version,
    /// however somebody has written the ARN. Of a group's name that is too long for it the end is left
    /// out.
    pub fn model_name(&self) -> String {
        self.named("")
    }

    /// The name of one that is made otherwise than the one with the plain name, which can't be changed:
    /// with a mark of up to 8 letters and digits for how it is made.
    pub fn model_name_with(&self, mark: &str) -> String {
        self.named(&format!("-{mark:.8}"))
    }

    fn named(&self, mark: &str) -> String {
        let (group, version) = self.parts();
        let end = format!("-package-{version}{mark}");
        let group = group.chars().map(|letter| letter.to_ascii_lowercase());
        let stem: String = group.take(LONGEST_NAME - end.len()).collect();
        format!("{}{end}", stem.trim_end_matches('-'))
    }

    /// The group's name and the version.
    fn parts(&self) -> (&str, &str) {
        let mut parts = self.0.rsplit('/');
        let version = parts.next().unwrap_or_default();
        (parts.next().unwrap_or_default(), version)
    }
}

impl fmt::Display for PackageArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for PackageArn {
    type Error = NoPackage;

    fn try_from(text: String) -> Result<Self, NoPackage> {
        Self::parse(&text)
    }
}

impl From<PackageArn> for String {
    fn from(arn: PackageArn) -> Self {
        arn.0
    }
}

/// The versions that a deployment is about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Packages {
    /// Of which the new model is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<PackageArn>,
    /// Of which production's model is, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<PackageArn>,
}

impl Packages {
    /// Whether the registry has nothing to do with it.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The version that the new model is to be made of. The model that an undo brings back is there.
    pub fn to_make(&self, undoes: Option<&str>) -> Option<&PackageArn> {
        self.new.as_ref().filter(|_| undoes.is_none())
    }

    /// The version that an undo would bring back, where that is not the one that it takes out.
    pub fn to_bring_back(&self) -> Option<&PackageArn> {
        self.former.as_ref().filter(|_| !self.are_one())
    }

    /// Whether production has the new version already: it is tried on other instances, or in another
    /// network.
    pub fn are_one(&self) -> bool {
        let both = self.new.as_ref().zip(self.former.as_ref());
        both.is_some_and(|(new, former)| new.is_same(former.as_str()))
    }
}

/// `ModelApprovalStatus` of SageMaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "SageMaker's own names")]
pub enum Approval {
    Approved,
    Rejected,
    PendingManualApproval,
}

impl Approval {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Approved, Self::Rejected, Self::PendingManualApproval];

    /// As SageMaker writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "Approved",
            Self::Rejected => "Rejected",
            Self::PendingManualApproval => "PendingManualApproval",
        }
    }

    /// The one that is written so.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }
}

/// Which approvals let a version be deployed, as the stack's parameter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accepted {
    /// Whether one that nobody has decided on is among them; one that is rejected never is.
    pub pending: bool,
}

impl Accepted {
    /// From `Approved` and `PendingManualApproval`, separated by spaces; any other word lets nothing
    /// through.
    pub fn parse(text: &str) -> Self {
        let mut words = text.split_whitespace();
        Self {
            pending: words.any(|word| word == Approval::PendingManualApproval.as_str()),
        }
    }

    fn holds(self, approval: Approval) -> bool {
        match approval {
            Approval::Approved => true,
            Approval::PendingManualApproval => self.pending,
            Approval::Rejected => false,
        }
    }
}

/// A version as DescribeModelPackage shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackageView {
    /// `ModelPackageStatus`: whether it is whole.
    pub status: String,
    /// Absent where it can't be read.
    pub approval: Option<Approval>,
    /// Where it is in its life cycle, where that was ever said: the stage and its status.
    pub stage: Option<(String, String)>,
}

/// Why a version can't be deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// A stable word for the kind of problem.
    pub kind: &'static str,
    /// What is wrong and the way out.
    pub detail: String,
}

impl PackageView {
    /// Why this version, seen so, can't be deployed; `None` where it can.
    pub fn unfit(&self, arn: &PackageArn, accepted: Accepted) -> Option<Unfit> {
        if self.status != "Completed" {
            let status: &str = &self.status;
            let detail = format!(
                "model package {arn} is {status}, and only one that is Completed can be deployed; wait for it, or register the model anew"
            );
            let kind = "model-package-not-ready";
            return Some(Unfit { kind, detail });
        }
        let way_out = match self.approval {
            Some(approval) if accepted.holds(approval) => return None,
            Some(Approval::Rejected) => {
                "name another version, or have it approved in the registry first"
            }
            _ => {
                "have it approved in the registry first; the stack's parameter ModelPackageApprovals says which states may be deployed"
            }
        };
        let state = self
            .approval
            .map_or("without an approval", Approval::as_str);
        Some(Unfit {
            kind: "model-package-not-approved",
            detail: format!("model package {arn} is {state}: {way_out}"),
        })
    }
}

/// How a deployment came out, as far as the registry is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The new model serves everything.
    Completed,
    /// Production took everything back.
    WentBack {
        /// Why.
        why: String,
    },
}

/// What the registry is still to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filing {
    /// Since when.
    pub since: Timestamp,
    /// What of.
    pub ending: Ending,
    /// The versions that it was told of, or that nobody can tell it of any more.
    #[serde(default)]
    pub told: Vec<Told>,
    /// What the registry says by now, in words, once it was told everything.
    #[serde(default)]
    pub filed: Option<String>,
    /// Why it was not told the last time.
    #[serde(default)]
    pub refused: Option<Refused>,
}

/// A version that is dealt with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Which.
    pub package: PackageArn,
    /// What the registry says of it by now, in words.
    pub says: String,
}

/// What came of one try to tell the registry what was left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Round {
    /// The versions that are dealt with by it.
    pub told: Vec<Told>,
    /// What AWS said about the others; absent where there are none.
    pub refusal: Option<String>,
}

/// A try that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// When.
    pub at: Timestamp,
    /// What AWS said.
    pub why: String,
}

impl Filing {
    /// The same once this came of a try.
    #[must_use]
    pub fn after(mut self, round: Round, now: Timestamp) -> Self {
        let known = self.told.clone();
        let is_known = |told: &Told| known.iter().any(|it| it.package == told.package);
        let news = round.told.into_iter().filter(|told| !is_known(told));
        self.told.extend(news);
        self.refused = round.refusal.map(|why| Refused { at: now, why });
        self.filed = self.refused.is_none().then(|| self.says());
        self
    }

    /// What the registry says of the versions that are dealt with, in words.
    pub fn says(&self) -> String {
        let told = self.told.iter().map(|told| told.says.as_str());
        told.collect::<Vec<_>>().join("; ")
    }

    /// What is left of these after the tries so far.
    pub fn left(&self, standings: Vec<Standing>) -> Vec<Standing> {
        let is_left = |standing: &Standing| {
            let mut told = self.told.iter().map(|told| told.package.as_str());
            self.filed.is_none() && !told.any(|told| standing.package.is_same(told))
        };
        standings.into_iter().filter(is_left).collect()
    }

    /// Whether the registry is to be told now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let waits = |refused: &Refused| now < refused.at + RETRY.duration();
        self.filed.is_none() && !self.refused.as_ref().is_some_and(waits)
    }
}

/// Where a version is to stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub package: PackageArn,
    /// Its approval, with the reason for people; as it is, where absent.
    pub approval: Option<(Approval, String)>,
    /// Its stage, with the reason for people; as it is, where absent.
    pub stage: Option<(Stage, String)>,
}

/// A stage of a version's life cycle. The words, and the status that each goes with, are among those that
/// SageMaker's guide proposes (Model Registry, Set up Staging Construct Examples).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It serves.
    Production,
    /// It served.
    Archived,
}

impl Stage {
    /// `Stage` and `StageStatus`.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Production => ("Production", "Approved"),
            Self::Archived => ("Archived", "Retired"),
        }
    }
}

/// How a deployment is spoken of in the registry.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Its id.
    pub id: &'a str,
    /// The endpoint.
    pub endpoint: &'a str,
    /// The model that came out on top of a completion.
    pub model: &'a str,
    /// Whether it undoes another one: nobody's verdict on either version is given then.
    pub undoes: bool,
}

/// Where the versions are to stand after this ending, in the order in which the registry is told. None
/// where it is to stay as it is.
pub fn standings(packages: &Packages, ending: &Ending, about: About<'_>) -> Vec<Standing> {
    let About {
        id,
        endpoint,
        model,
        undoes,
    } = about;
    match ending {
        // Nor is that a verdict on a version which production goes on with.
        Ending::WentBack { .. } if undoes || packages.are_one() => Vec::new(),
        Ending::WentBack { why } => packages
            .new
            .iter()
            .map(|package| Standing {
                package: package.clone(),
                approval: Some((
                    Approval::Rejected,
                    described(&format!("{endpoint}: {why} (deployment {id})")),
                )),
                stage: None,
            })
            .collect(),
        Ending::Completed => {
            let serves = described(&format!(
                "serves all traffic of endpoint {endpoint} (deployment {id})"
            ));
            let replaced = described(&format!(
                "replaced by {model} on endpoint {endpoint} (deployment {id})"
            ));
            let approved = (!undoes).then(|| (Approval::Approved, serves.clone()));
            let former = packages.former.iter().filter(|_| !packages.are_one());
            let in_production = packages.new.iter().map(|package| Standing {
                package: package.clone(),
                approval: approved.clone(),
                stage: Some((Stage::Production, serves.clone())),
            });
            let archived = former.map(|package| Standing {
                package: package.clone(),
                approval: None,
                stage: Some((Stage::Archived, replaced.clone())),
            });
            in_production.chain(archived).collect()
        }
    }
}

/// A text as the registry takes it: one line, and not too long. Its pattern is `.*`, and Unicode has two
/// ends of a line that are no control characters.
fn described(text: &str) -> String {
    let line = text.chars().map(|character| match character {
        '\u{2028}' | '\u{2029}' => ' ',
        control if control.is_control() => ' ',
        other => other,
    });
    line.take(LONGEST_DESCRIPTION).collect()
}

impl Standing {
    /// What is left to be said, with the version seen so; `None` where nothing is. Whether it is
    /// rejected or in a stage is not said again in other words, and who rejected it is not overruled.
    pub fn over(&self, found: &PackageView) -> Option<Self> {
        let approval = self.approval.clone().filter(|(wanted, _)| {
            found.approval != Some(*wanted) && found.approval != Some(Approval::Rejected)
        });
        let stage = self.stage.clone().filter(|(wanted, _)| {
            let (stage, status) = wanted.words();
            !matches!(&found.stage, Some((is, its)) if is == stage && its == status)
        });
        (approval.is_some() || stage.is_some()).then(|| Self {
            package: self.package.clone(),
            approval,
            stage,
        })
    }

    /// Where the version is to stand, in words, for somebody who sets it by hand. What it says by now is
    /// not known here.
    pub fn wanted_in_words(&self) -> String {
        let approval = self.approval.as_ref().map(|(wanted, _)| match wanted {
            Approval::Approved => "Approved, unless somebody has rejected it,",
            other => other.as_str(),
        });
        let stage = self.stage.as_ref();
        let stage = stage.map(|(stage, _)| format!("in stage {}", stage.words().0));
        let words: Vec<&str> = approval.into_iter().chain(stage.as_deref()).collect();
        format!("{} is to be {}", self.package, words.join(" and "))
    }

    /// Where the version that was seen so stands once it was told what was left, in words.
    pub fn in_words_over(&self, found: &PackageView) -> String {
        let approval = self.approval.as_ref().map(|(wanted, _)| {
            if found.approval == Some(Approval::Rejected) && *wanted == Approval::Approved {
                "Rejected by somebody meanwhile".to_owned()
            } else {
                wanted.as_str().to_owned()
            }
        });
        let stage = self.stage.as_ref();
        let stage = stage.map(|(stage, _)| format!("in stage {}", stage.words().0));
        let words: Vec<String> = approval.into_iter().chain(stage).collect();
        format!("{} is {}", self.package, words.join(" and "))
    }
}
