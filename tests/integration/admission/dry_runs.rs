//! Clients that dry-run a whole stage before they apply any of it.

use rstest::rstest;

use super::{PRODUCTION, is_denied, kubectl, service, shipped, statefulset, stored_nowhere};

/// L91: Flux and Terraform do so, and stop at the first error.
#[rstest]
#[case::baseline(&[])]
#[case::production(&[PRODUCTION])]
fn a_stage_that_is_dry_run_before_it_is_applied_goes_through_l91(#[case] labels: &[(&str, &str)]) {
    let namespace = shipped().namespace("l91", labels).unwrap();
    let stage = [service(), stored_nowhere(3)];
    for phase in [&["apply", "--dry-run=server"][..], &["apply"]] {
        for object in &stage {
            let output = kubectl(phase, &namespace, object);
            assert!(output.success(), "{phase:?}: {output}");
        }
    }
}

#[test]
fn what_rests_on_no_absence_is_denied_in_a_dry_run_too_l91() {
    let namespace = shipped().namespace("l91-replicas", &[]).unwrap();
    let denied = kubectl(&["apply", "--dry-run=server"], &namespace, &statefulset(1));
    assert!(is_denied(&denied, "spec.replicas: 1 is below the minimum 2"), "{denied}");
    assert!(denied.stderr.contains("Warning: ") && denied.stderr.contains("names no Service"), "{denied}");
}
