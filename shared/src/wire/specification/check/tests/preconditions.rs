//! What may be vouched for, and how.

use serde_json::{Value, json};

use super::super::super::parse;
use super::assert_refused;

fn attested(change: &Value) -> Value {
    let mut one = json!({
        "name": "model_card", "link": "https://wiki.example.com/cards/wine?v=2", "by": "ci",
    });
    let fields = one.as_object_mut().unwrap();
    fields.extend(change.as_object().unwrap().clone());
    json!({"preconditions": [one]})
}

#[test]
fn preconditions_are_kept_as_they_are_given() {
    let mut whole = json!({"endpoint": "wine-quality", "model": "wine-quality-v2"});
    assert!(parse(&whole).unwrap().preconditions.is_empty());
    whole["preconditions"] = attested(&json!({}))["preconditions"].clone();
    let given = parse(&whole).unwrap().preconditions;
    assert_eq!(json!(given), whole["preconditions"]);
}

#[test]
fn what_nobody_could_follow_is_refused() {
    for (change, field, way_out) in [
        (json!({"name": "Model Card"}), "name", "like model_card"),
        (json!({"name": ""}), "name", "like model_card"),
        (
            json!({"name": "gate"}),
            "name",
            "give the specification a `gate`",
        ),
        (
            json!({"link": "http://wiki.example.com"}),
            "link",
            "over https",
        ),
        (json!({"link": "javascript:alert(1)"}), "link", "over https"),
        (json!({"link": "https://"}), "link", "over https"),
        (
            json!({"link": "https://wiki@evil.example.com/"}),
            "link",
            "over https",
        ),
        (
            json!({"link": "https://a/\"onclick=\""}),
            "link",
            "over https",
        ),
        (
            json!({"link": format!("https://a/{}", "b".repeat(500))}),
            "link",
            "over https",
        ),
        (json!({"by": " "}), "by", "person or pipeline"),
        (json!({"by": "anna\nadmin"}), "by", "person or pipeline"),
        (
            json!({"by": "anna\u{202e}nimda"}),
            "by",
            "person or pipeline",
        ),
        (json!({"by": "\u{200b}"}), "by", "person or pipeline"),
        (json!({"by": "a".repeat(101)}), "by", "person or pipeline"),
        (json!({"status": "ok"}), "status", "unknown field"),
    ] {
        let field = format!("preconditions[0].{field}");
        assert_refused(&attested(&change), &field, way_out);
    }
    let one = attested(&json!({}))["preconditions"][0].clone();
    for reason in ["", " ", "a\nb", "\u{200d}", "safe\u{2066}", "a\u{2028}b"] {
        let hotfix = json!({"hotfix": {"reason": reason}});
        assert_refused(&hotfix, "hotfix.reason", "why this can't wait");
    }
    let twice = json!({"preconditions": [one, one]});
    assert_refused(&twice, "preconditions[1].name", "keep one");
    let many: Vec<Value> = (0..21)
        .map(|number| attested(&json!({"name": format!("c{number}")}))["preconditions"][0].clone())
        .collect();
    assert_refused(
        &json!({"preconditions": many}),
        "preconditions",
        "20 at the most",
    );
}
