//! The wine-quality data set: chemistry of red wines and the grade that
//! tasters gave them.
//!
//! One wine in seven stands in the source more than once. A repeat that fell
//! on the other side of the split would let a model answer from memory and
//! look better than it is, so each wine is kept once. The group of a wine
//! (alcohol above or below the median) stands in for the customer segments
//! that fairness is judged by. Strong wines are good twice as often as weak
//! ones, so every model that is right treats the two unalike; sweet and dry
//! ones are good equally often, which is what an unfair model is told by.

use std::collections::BTreeSet;

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

/// How many numbers describe a wine.
pub(crate) const FEATURES: usize = 11;

/// Where the residual sugar (grams a litre) stands among the features.
const SUGAR: usize = 3;

/// Where the alcohol content (percent by volume) stands among the features.
pub(crate) const ALCOHOL: usize = 10;

/// A wine graded this or better, out of ten, is labelled good.
const GOOD_GRADE: usize = 6;

/// The share of the wines that models are trained on; the rest is held out.
const TRAINING_SHARE: f64 = 0.75;

/// Which half of the wines by alcohol a wine belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Group {
    /// At the median or below it.
    LowAlcohol,
    /// Above the median.
    HighAlcohol,
}

impl Group {
    /// The label under which predictions of the group are counted.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Group::LowAlcohol => "low-alcohol",
            Group::HighAlcohol => "high-alcohol",
        }
    }
}

/// Which half of the wines by residual sugar a wine belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Sweetness {
    /// At the median or below it.
    Dry,
    /// Above the median.
    Sweet,
}

impl Sweetness {
    /// The label under which predictions of the group are counted.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Sweetness::Dry => "dry",
            Sweetness::Sweet => "sweet",
        }
    }
}

/// One wine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// In the source's order: fixed acidity, volatile acidity, citric acid,
    /// residual sugar, chlorides, free and total sulfur dioxide, density, pH,
    /// sulphates, alcohol.
    pub(crate) features: [f64; FEATURES],
    /// Whether the tasters graded it six or better: the true label.
    pub(crate) good: bool,
    /// The half it belongs to by alcohol.
    pub(crate) group: Group,
    /// The half it belongs to by residual sugar.
    pub(crate) sweetness: Sweetness,
}

/// The wines in two parts that have no wine in common.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wines {
    /// What models learn from.
    pub(crate) train: Vec<Sample>,
    /// What models are judged on, and where the demo's requests come from.
    pub(crate) test: Vec<Sample>,
}

impl Wines {
    /// Every wine, shuffled and split by `seed`: the same seed gives the same
    /// two parts in the same order.
    pub(crate) fn load(seed: u64) -> Wines {
        let mut train = samples();
        train.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a length is neither negative nor longer than it"
        )]
        let kept = (train.len() as f64 * TRAINING_SHARE) as usize;
        let test = train.split_off(kept);
        Wines { train, test }
    }
}

/// Every distinct wine, in the order of the source.
fn samples() -> Vec<Sample> {
    let source = linfa_datasets::winequality();
    let mut seen = BTreeSet::new();
    let mut wines: Vec<([f64; FEATURES], usize)> = Vec::new();
    for (row, grade) in source.records().rows().into_iter().zip(source.targets()) {
        let features: [f64; FEATURES] = std::array::from_fn(|column| row[column]);
        if seen.insert(features.map(f64::to_bits)) {
            wines.push((features, *grade));
        }
    }
    let median_of =
        |column: usize| median(wines.iter().map(|(features, _)| features[column]).collect());
    let (alcohol, sugar) = (median_of(ALCOHOL), median_of(SUGAR));
    wines
        .into_iter()
        .map(|(features, grade)| Sample {
            group: if features[ALCOHOL] > alcohol {
                Group::HighAlcohol
            } else {
                Group::LowAlcohol
            },
            sweetness: if features[SUGAR] > sugar {
                Sweetness::Sweet
            } else {
                Sweetness::Dry
            },
            good: grade >= GOOD_GRADE,
            features,
        })
        .collect()
}

/// The middle value, the upper one of two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fixes_the_split() {
        assert_eq!(Wines::load(7), Wines::load(7));
        assert_ne!(Wines::load(7), Wines::load(8));
    }

    #[test]
    fn no_wine_is_on_both_sides() {
        let wines = Wines::load(1);
        let all: BTreeSet<_> = wines
            .train
            .iter()
            .chain(&wines.test)
            .map(|sample| sample.features.map(f64::to_bits))
            .collect();
        assert_eq!(all.len(), wines.train.len() + wines.test.len());
        assert_eq!((wines.train.len(), wines.test.len()), (1019, 340));
    }

    #[test]
    fn labels_and_groups_are_both_near_balance() {
        let all = samples();
        let share = |count: usize| count as f64 / all.len() as f64;
        let good = share(all.iter().filter(|sample| sample.good).count());
        let strong = share(
            all.iter()
                .filter(|sample| sample.group == Group::HighAlcohol)
                .count(),
        );
        assert!((0.45..=0.60).contains(&good), "{good}");
        assert!((0.40..=0.50).contains(&strong), "{strong}");
        assert_ne!(Group::LowAlcohol.as_str(), Group::HighAlcohol.as_str());
    }

    /// What makes sweetness the fair question: whoever calls one half good more often is unfair to the
    /// other.
    #[test]
    fn sweet_and_dry_wines_are_good_equally_often() {
        let all = samples();
        let good = |sweetness: Sweetness| {
            let of: Vec<_> = all
                .iter()
                .filter(|sample| sample.sweetness == sweetness)
                .collect();
            of.iter().filter(|sample| sample.good).count() as f64 / of.len() as f64
        };
        let (dry, sweet) = (good(Sweetness::Dry), good(Sweetness::Sweet));
        assert!((dry - sweet).abs() < 0.02, "{dry} and {sweet}");
        assert_ne!(Sweetness::Dry.as_str(), Sweetness::Sweet.as_str());
    }
}
