//! How a challenger is made: soundly, or with one of the faults that a rollout is there to find.
//!
//! Each fault is one that happens in practice and is trained in, never played: it lies in what the model
//! learned from, or in how large it is, and is measured on wines that no model has seen.

use super::wine::{Sample, Sweetness};

/// Of the wines that don't fit the opinion so many of so many are left: enough to be about as accurate.
const UNFAIR_KEEPS: (usize, usize) = (1, 2);

/// Of the bad wines so many of so many are left.
const HOPEFUL_KEEPS: (usize, usize) = (1, 3);

/// Trees of a forest of the usual size. Odd, so that a vote is never a draw.
const TREES: usize = 41;

/// What a challenger is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, clap::ValueEnum)]
pub(crate) enum Recipe {
    /// All training wines, as they are.
    #[default]
    Sound,
    /// Each wine was given the grade of the next one, as a join by row number does after a row is lost.
    Slipped,
    /// Half of the good sweet wines and of the bad dry ones are missing, as where what fits an opinion is kept.
    Unfair,
    /// Three times the trees.
    Large,
    /// Two of three bad wines are missing, as where only what was sold was graded.
    Hopeful,
}

impl Recipe {
    /// Every one.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 5] = [
        Self::Sound,
        Self::Slipped,
        Self::Unfair,
        Self::Large,
        Self::Hopeful,
    ];

    /// What it learns from, out of all that there is.
    pub(crate) fn lesson(self, wines: &[Sample]) -> Vec<Sample> {
        match self {
            Self::Sound | Self::Large => wines.to_vec(),
            Self::Slipped => slipped(wines),
            // The good ones are rare among the sweet, the bad ones among the dry.
            Self::Unfair => few_of(UNFAIR_KEEPS, wines, |wine| {
                wine.good == (wine.sweetness == Sweetness::Sweet)
            }),
            Self::Hopeful => few_of(HOPEFUL_KEEPS, wines, |wine| !wine.good),
        }
    }

    /// Trees of its forest.
    pub(crate) const fn trees(self) -> usize {
        match self {
            Self::Large => 3 * TREES,
            _ => TREES,
        }
    }
}

fn slipped(wines: &[Sample]) -> Vec<Sample> {
    let grades = wines.iter().cycle().skip(1);
    let pairs = wines.iter().zip(grades);
    pairs
        .map(|(wine, next)| Sample {
            good: next.good,
            ..wine.clone()
        })
        .collect()
}

fn few_of(
    (keeps, of): (usize, usize),
    wines: &[Sample],
    is_rare: impl Fn(&Sample) -> bool,
) -> Vec<Sample> {
    let mut met = 0;
    let kept = wines.iter().filter(|wine| {
        if !is_rare(wine) {
            return true;
        }
        met += 1;
        met % of < keeps
    });
    kept.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::super::train::SEED;
    use super::super::wine::Wines;
    use super::*;

    #[test]
    fn a_lesson_lacks_what_its_recipe_says_and_nothing_else() {
        let wines = Wines::load(SEED).train;
        let count = |wines: &[Sample], which: &dyn Fn(&Sample) -> bool| {
            wines.iter().filter(|wine| which(wine)).count()
        };
        let fits_no_opinion = |wine: &Sample| wine.good == (wine.sweetness == Sweetness::Sweet);
        for (recipe, left, is_rare) in [
            (
                Recipe::Unfair,
                0.5,
                &fits_no_opinion as &dyn Fn(&Sample) -> bool,
            ),
            (Recipe::Hopeful, 1.0 / 3.0, &|wine: &Sample| !wine.good),
        ] {
            let lesson = recipe.lesson(&wines);
            let share = count(&lesson, is_rare) as f64 / count(&wines, is_rare) as f64;
            assert!((share - left).abs() < 0.01, "{recipe:?}: {share}");
            let others = |wine: &Sample| !is_rare(wine);
            assert_eq!(count(&lesson, &others), count(&wines, &others));
        }
    }

    #[test]
    fn grades_that_slipped_are_the_same_grades_of_other_wines() {
        let wines = Wines::load(SEED).train;
        let lesson = Recipe::Slipped.lesson(&wines);
        assert_eq!(lesson.len(), wines.len());
        for (at, wine) in lesson.iter().enumerate() {
            let slipped = Sample {
                good: wines[(at + 1) % wines.len()].good,
                ..wines[at].clone()
            };
            assert_eq!(*wine, slipped);
        }
        assert_eq!(Recipe::Sound.lesson(&wines), wines);
    }
}
