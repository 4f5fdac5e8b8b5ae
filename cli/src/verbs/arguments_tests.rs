//! What the command line takes and what it refuses.

use clap::CommandFactory as _;

use super::*;

fn parsed(words: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(words.split_whitespace())
}

#[test]
fn the_definition_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn verbs_take_what_they_need() {
    for words in [
        "canary deploy -f spec.yaml",
        "canary deploy -f - --wait --timeout 2h --idempotency-key build-17",
        "canary plan -f spec.yaml -o json",
        "canary lint --file spec.yaml",
        "canary list --endpoint wine-quality --status in-progress --limit 500",
        "canary get",
        "canary get 01931f0a",
        "canary watch 01931F0A --timeout 90s",
        "canary history",
        "canary checks 0193 --limit 5",
        "canary pause --reason lunch",
        "canary resume 0193",
        "canary promote --full",
        "canary rollback 0193 --reason errors",
        "canary cancel",
        "canary approve 0193",
        "canary undo 0193 --reason complaints --wait --idempotency-key night-shift",
        "canary --api http://127.0.0.1:1 -o json get",
        "canary get --no-color",
        "canary replay --policy spec.yaml trace.csv",
        "canary replay --policy a.yaml --policy b.yaml trace.csv --minutes -o json",
        "canary list --stack canary-prod --region eu-central-1 --profile release",
        "canary --api https://api.example.com/v1 --ca-file ca.pem list",
        "canary doctor",
        "canary doctor --endpoint wine-quality --model wine-quality-v2 -o json",
        "canary compare predictions.csv",
        "canary compare - -f spec.yaml --write",
        "canary compare p.csv --model b --champion a --positive fraud --leave-out latency --leave-out fpr",
        "canary compare p.csv --recall 90% --fpr 5% --latency 50ms --f1-ratio 1 --by-interval -o json",
        "canary freeze wine-quality --reason sale --until 2026-12-27T00:00:00Z",
        "canary freeze --all --reason sale",
        "canary thaw wine-quality",
        "canary thaw --all",
        "canary dashboard",
        "canary dashboard --port 0 -o json --stack canary-prod",
        "canary undo 0193 --wait --timeout 2h",
        "canary simulate errors",
        "canary simulate errors --model wine-quality-v1 --rate 5% --for 10m",
        "canary simulate slow --by 1.5s",
        "canary simulate slow --times 3",
        "canary simulate aws sagemaker UpdateEndpoint --fault lose-answer --times 2 --skip 1",
        "canary simulate aws sns",
        "canary simulate show -o json",
        "canary simulate clear",
        "canary simulate tick",
        "canary simulate reset",
        "canary demo",
        "canary local",
    ] {
        assert!(parsed(words).is_ok(), "{words}: {:?}", parsed(words).err());
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for words in [
        "canary",
        "canary unknown",
        "canary deploy",
        "canary deploy -f a --timeout 2h",
        "canary deploy -f a --wait --timeout 2",
        "canary deploy -f a --idempotency-key ü",
        "canary list --status done",
        "canary list --limit 0",
        "canary get not-an-id",
        "canary get 01931f0a-7c00-7abc-8def-0123456789ab0",
        "canary pause --full",
        "canary weight",
        "canary weight 0",
        "canary weight 101",
        "canary weight 0193 2.5",
        "canary get -o yaml",
        "canary list --api http://127.0.0.1:1 --stack canary-prod",
        "canary doctor --model wine-quality-v2",
        "canary replay trace.csv",
        "canary compare",
        "canary freeze --reason sale",
        "canary freeze wine-quality",
        "canary freeze wine-quality --all --reason sale",
        "canary freeze wine-quality --reason sale --until tomorrow",
        "canary thaw",
        "canary dashboard --port 70000",
        "canary undo 0193 --timeout 2h",
        "canary simulate",
        "canary simulate errors --rate 0.5",
        "canary simulate slow --by 0ms",
        "canary simulate aws",
        "canary simulate aws s3",
        "canary simulate aws sns --fault silence",
        "canary compare p.csv --write",
        "canary compare p.csv --recall 0.95",
        "canary compare p.csv --recall 100%",
        "canary compare p.csv --threshold 2",
        "canary compare p.csv --f1-ratio nan",
        "canary compare p.csv --leave-out f1",
        "canary replay --policy spec.yaml",
        "canary replay --policy spec.yaml -",
        "canary replay --policy spec.yaml a.csv b.csv",
    ] {
        let error = parsed(words).expect_err(words);
        assert_eq!(error.exit_code(), 2, "{words}");
    }
}

#[test]
fn an_end_that_is_none_is_answered_in_our_words() {
    for end in ["tomorrow", "9999-12-31T23:59:59Z"] {
        let words = format!("canary freeze wine-quality --reason sale --until {end}");
        let error = parsed(&words).expect_err(end).to_string();
        let says = "'--until <TIME>': until is a time like 2026-12-27T00:00:00Z, at most 366 days";
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn a_single_number_is_the_weight() {
    let weight = |words| match parsed(words).unwrap().verb {
        Verb::Weight(args) => (args.id, args.weight, args.reason),
        other => panic!("{other:?}"),
    };
    assert_eq!(weight("canary weight 25"), (None, 25, None));
    let named = weight("canary weight 0193AB 40 --reason slower");
    assert_eq!(
        named,
        (Some("0193ab".to_owned()), 40, Some("slower".to_owned()))
    );
}

/// A usage is one line, whatever it is of.
fn fits(command: &mut clap::Command) {
    let help = command.render_long_help().to_string();
    let wide = |line: &&str| line.chars().count() > 80 && !line.starts_with("Usage: ");
    assert_eq!(help.lines().find(wide), None, "{}", command.get_name());
    command.get_subcommands_mut().for_each(fits);
}

#[test]
fn help_fits_a_narrow_terminal() {
    let mut command = Arguments::command().term_width(80);
    command.build();
    fits(&mut command);
}

#[test]
fn help_names_every_verb_but_the_hidden_one() {
    let help = Arguments::command().render_long_help().to_string();
    for verb in ["deploy", "watch", "weight", "demo", "local"] {
        assert!(help.contains(verb), "{verb}");
    }
    assert!(!help.contains("model-server"));
    assert!(!help.contains("clicolor"));
}
