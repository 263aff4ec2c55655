//! The body of a request, to either webhook.

use std::cell::LazyCell;

use quorate::admission::Admission;

use super::{answer, world};

/// The answer is an AdmissionReview as the API server demands it, or there is none where the body has no uid (L2, L10).
pub fn run(body: &[u8]) {
    thread_local! {
        static ADMISSION: LazyCell<Admission> = LazyCell::new(|| world::admission(world::policies(), world::objects()));
    }
    ADMISSION.with(|admission| answer::check(admission, body));
}
