//! The bytes of a manifest, as `quorate check` reads them.

use quorate::facts::{Change, StatefulSet, Way};
use quorate::files::manifests::{ManifestError, parse, surroundings};
use quorate::policy::PolicySet;
use quorate::review::evaluate;

use super::world;

/// What can't be read gives an error of one line, with an excerpt under it; every StatefulSet of what can is judged.
pub fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match parse("manifest.yaml", text).and_then(|manifests| Ok((surroundings(&manifests, "shop")?, manifests))) {
        Ok((objects, manifests)) => {
            let policies = PolicySet::new(world::policies());
            for manifest in &manifests {
                assert!(manifest.line >= 1);
                if manifest.object["kind"] != "StatefulSet" {
                    continue;
                }
                let Ok(object) = manifest.decode::<StatefulSet>() else { continue };
                let around = objects.around(&object);
                let change =
                    Change { way: Way::StatefulSet, object: &object, old: None, dry_run: false, requester: None };
                let decision = evaluate(&change, &around, &policies, world::now());
                for line in decision.warnings().iter().map(String::as_str).chain(decision.denial().lines()) {
                    assert!(!line.chars().any(char::is_control), "control characters in {line:?}");
                }
            }
        }
        Err(error) => check(&error),
    }
}

fn check(error: &ManifestError) {
    let text = error.to_string();
    assert!(text.lines().count() <= 4, "{text}");
    assert!(text.chars().all(|each| !each.is_control() || matches!(each, '\n' | '\t')), "{text:?}");
    assert!(text.len() <= 4000, "{} bytes", text.len());
}
