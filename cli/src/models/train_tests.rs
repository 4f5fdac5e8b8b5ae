//! What the models are on wines that none of them has seen.

use shared::domain::drift::stability;
use shared::domain::model_signals::{BINS, Readings};

use super::super::wine::Sweetness;
use super::*;

const BOTH: [ModelName; 2] = [ModelName::WineQualityV1, ModelName::WineQualityV2];

fn sound(name: ModelName, wines: &Wines) -> Trained {
    Trained::train(name, Recipe::Sound, wines, SEED).expect("the wines can be learned")
}

fn challenger(recipe: Recipe, wines: &Wines) -> Trained {
    Trained::train(ModelName::WineQualityV2, recipe, wines, SEED).expect("the wines can be learned")
}

/// The share of held-out wines that it labels as the tasters did.
fn accuracy(model: &Trained, wines: &Wines) -> f64 {
    let is_right = |wine: &&Sample| model.predict(&wine.features).label == u8::from(wine.good);
    wines.test.iter().filter(is_right).count() as f64 / wines.test.len() as f64
}

/// The share of held-out wines of a kind that the model calls good.
fn calls_good(model: &Trained, wines: &Wines, of: impl Fn(&Sample) -> bool) -> f64 {
    let of: Vec<_> = wines.test.iter().filter(|wine| of(wine)).collect();
    let good = of
        .iter()
        .filter(|wine| model.predict(&wine.features).label == 1);
    good.count() as f64 / of.len() as f64
}

/// How much more often it calls dry wines good than sweet ones.
fn parity_gap(model: &Trained, wines: &Wines) -> f64 {
    let of = |sweetness| calls_good(model, wines, |wine| wine.sweetness == sweetness);
    of(Sweetness::Dry) - of(Sweetness::Sweet)
}

/// The histogram of its scores.
fn bins(model: &Trained, wines: &Wines) -> Vec<u64> {
    let mut bins = vec![0; usize::from(BINS)];
    for wine in &wines.test {
        let bin = Readings::bin(model.predict(&wine.features).score);
        bins[usize::from(bin)] += 1;
    }
    bins
}

#[test]
fn both_are_good_and_the_challenger_is_no_worse_on_the_shipped_split() {
    let wines = Wines::load(SEED);
    let [champion, challenger] = BOTH.map(|name| sound(name, &wines));
    let [champion, challenger] = [champion, challenger].map(|model| accuracy(&model, &wines));
    assert!(champion >= 0.70, "{champion}");
    assert!(challenger >= champion, "{challenger} against {champion}");
}

#[test]
fn scores_are_shares_and_differ_between_models() {
    let wines = Wines::load(SEED);
    let [champion, challenger] = BOTH.map(|name| sound(name, &wines));
    for sample in &wines.test {
        for model in [&champion, &challenger] {
            let prediction = model.predict(&sample.features);
            assert!((0.0..=1.0).contains(&prediction.score));
            assert_eq!(prediction.label == 1, prediction.score >= THRESHOLD);
        }
    }
    let differ = |sample: &Sample| {
        champion.predict(&sample.features).label != challenger.predict(&sample.features).label
    };
    assert!(wines.test.iter().any(differ));
}

#[test]
fn training_again_gives_the_same_answers() {
    let wines = Wines::load(SEED);
    for name in BOTH {
        let [one, other] = [(); 2].map(|()| sound(name, &wines));
        for sample in &wines.test {
            assert_eq!(
                one.predict(&sample.features),
                other.predict(&sample.features)
            );
        }
    }
}

/// Each faulty challenger has the fault that it is shown for, and no other one.
#[test]
fn a_recipe_gives_the_challenger_its_fault_and_no_other() {
    let wines = Wines::load(SEED);
    let champion = sound(ModelName::WineQualityV1, &wines);
    let best = accuracy(&champion, &wines);
    let index = |model: &Trained| {
        let found = stability(&bins(model, &wines), &bins(&champion, &wines));
        found.expect("both scored the same wines").index
    };
    for recipe in Recipe::ALL {
        let model = challenger(recipe, &wines);
        let (accuracy, gap) = (accuracy(&model, &wines), parity_gap(&model, &wines));
        let index = index(&model);
        let said = format!("{recipe:?}: accuracy {accuracy:.3}, gap {gap:.3}, index {index:.3}");
        println!("{said}");
        assert_eq!(accuracy < 0.60, recipe == Recipe::Slipped, "{said}");
        let as_accurate = accuracy >= best - 0.04;
        assert!(
            as_accurate || recipe == Recipe::Slipped || recipe == Recipe::Hopeful,
            "{said}"
        );
        assert_eq!(gap > 0.15, recipe == Recipe::Unfair, "{said}");
        assert!(recipe != Recipe::Hopeful || index > 0.25, "{said}");
        let trees = match &model.classifier {
            Classifier::Forest(trees) => trees.len(),
            Classifier::Logistic(_) => 0,
        };
        assert_eq!(trees > 100, recipe == Recipe::Large, "{said}");
    }
    let gap = parity_gap(&champion, &wines);
    assert!(gap.abs() < 0.10, "the champion is fair: {gap}");
}

#[test]
fn names_read_back_as_written() {
    for name in BOTH {
        assert_eq!(name.to_string().parse(), Ok(name));
    }
    assert!("wine-quality-v3".parse::<ModelName>().is_err());
}
