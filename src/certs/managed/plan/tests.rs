//! What is next, on a clock that the tests move.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use rstest::rstest;
use serde_json::json;

use super::super::super::authority::{Authority, pem};
use super::super::secrets::{with_authority, with_bundle, with_leaf};
use super::*;

const NAME: &str = "quorate.here.svc";
const DAY: Duration = Duration::from_hours(24);
const CA_VALIDITY: Duration = Duration::from_hours(365 * 24);
const VALIDITY: Duration = Duration::from_hours(90 * 24);

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + 20_000 * DAY
}

fn ca(now: SystemTime) -> Authority {
    Authority::make("test", CA_VALIDITY, now).unwrap()
}

/// A cluster, and one replica in it.
struct Scene {
    ca: Secret,
    tls: Secret,
    configuration: Option<Vec<u8>>,
    served: Option<(Pair, CertificateDer<'static>)>,
    settled: bool,
}

impl Scene {
    /// As it is after the installation.
    fn installed() -> Self {
        Self {
            ca: Secret::default(),
            tls: Secret::default(),
            configuration: Some(Vec::new()),
            served: None,
            settled: false,
        }
    }

    /// As it is when all is well: everything was made at `start()`.
    fn well() -> Self {
        let mut scene = Self::installed();
        let authority = ca(start());
        scene.ca = with_authority(&scene.ca, &authority, &bundle([&authority]));
        scene.sign_leaf(&authority, NAME, start());
        scene.configuration = Some(bundle([&authority]).pem().into_bytes());
        scene.settled = true;
        scene.serve();
        scene
    }

    fn sign_leaf(&mut self, authority: &Authority, name: &str, now: SystemTime) {
        let issued = authority.issue(&[name.to_owned()], VALIDITY, now).unwrap();
        self.tls = with_leaf(&self.tls, &issued, authority);
    }

    /// The replica serves what there is.
    fn serve(&mut self) {
        let leaf = Leaf::of(&self.tls);
        let signer = leaf.authority.iter().next().unwrap().clone();
        self.served = Some((leaf.pair.unwrap(), signer));
    }

    /// The present CA.
    fn authority(&self) -> CertificateDer<'static> {
        Trust::of(&self.ca).authority.unwrap().certificate().clone()
    }

    /// A new CA beside what is trusted; it has signed nothing yet.
    fn rotate(&mut self, now: SystemTime) -> Authority {
        let authority = ca(now);
        let former = Trust::of(&self.ca).bundle();
        let all = std::iter::once(authority.certificate()).chain(former.iter()).cloned().collect();
        self.ca = with_authority(&self.ca, &authority, &all);
        self.settled = false;
        authority
    }

    fn configure(&mut self) {
        self.configuration = Some(Trust::of(&self.ca).text);
    }

    fn look<T>(&self, now: SystemTime, look: impl FnOnce(&View<'_>) -> T) -> T {
        let configuration = self.configuration.as_ref().map_or(Held::Missing, |text| {
            let client = json!({"service": {"name": "quorate", "namespace": "here"}, "caBundle": k8s_openapi::ByteString(text.clone())});
            let webhook = json!({"name": "a", "clientConfig": client, "sideEffects": "None", "admissionReviewVersions": []});
            let object: ValidatingWebhookConfiguration =
                serde_json::from_value(json!({"metadata": {}, "webhooks": [webhook]})).unwrap();
            Held::There(Configuration::of(&object, "here", "quorate"))
        });
        look(&View {
            trust: &Held::There(Trust::of(&self.ca)),
            leaf: &Held::There(Leaf::of(&self.tls)),
            configurations: [&configuration, &Held::Missing],
            served: self.served.as_ref().map(|(pair, signer)| (pair, signer)),
            settled: self.settled,
            name: NAME,
            now,
        })
    }

    fn next(&self, now: SystemTime) -> Step {
        self.look(now, next)
    }

    fn takes_up(&self, now: SystemTime) -> bool {
        self.look(now, |view| take_up(view).is_some())
    }
}

fn bundle<'a>(authorities: impl IntoIterator<Item = &'a Authority>) -> Bundle {
    authorities.into_iter().map(|it| it.certificate().clone()).collect()
}

fn garbage(mut secret: Secret, key: &str) -> Secret {
    secret.data.get_or_insert_default().insert(key.to_owned(), k8s_openapi::ByteString(b"garbage".to_vec()));
    secret
}

#[test]
fn an_empty_installation_gets_a_ca_then_trust_then_a_certificate() {
    let mut scene = Scene::installed();
    assert_eq!(scene.next(start()), Step::MakeAuthority(Reason::First, Bundle::default()));
    let authority = ca(start());
    scene.ca = with_authority(&scene.ca, &authority, &bundle([&authority]));
    assert_eq!(scene.next(start()), Step::Configure);
    scene.configure();
    assert_eq!(scene.next(start()), Step::Issue(Reason::First), "nothing is served that could be worse");
    scene.sign_leaf(&authority, NAME, start());
    assert!(scene.takes_up(start()));
    scene.serve();
    assert!(!scene.takes_up(start()), "it is served already");
    assert_eq!(scene.next(start()), Step::Rest);
}

#[test]
fn does_not_wait_for_configurations_that_are_not_there() {
    let mut scene = Scene::installed();
    scene.configuration = None;
    let authority = ca(start());
    scene.ca = with_authority(&scene.ca, &authority, &bundle([&authority]));
    assert_eq!(scene.next(start()), Step::Issue(Reason::First));
}

/// L42
#[rstest]
#[case(59, Step::Rest)]
#[case(61, Step::Issue(Reason::Renewal))]
fn renews_the_certificate_after_two_thirds_of_its_time(#[case] days: u32, #[case] expected: Step) {
    assert_eq!(Scene::well().next(start() + days * DAY), expected);
}

/// L42
#[rstest]
#[case(242, false)]
#[case(244, true)]
fn renews_the_ca_after_two_thirds_of_its_time(#[case] days: u32, #[case] is_due: bool) {
    let mut scene = Scene::well();
    let now = start() + days * DAY;
    let authority = Trust::of(&scene.ca).authority.unwrap();
    scene.sign_leaf(&authority, NAME, now);
    let made = Step::MakeAuthority(Reason::Renewal, bundle([&authority]));
    assert_eq!(scene.next(now), if is_due { made } else { Step::Rest });
}

/// L41: the CA that signs comes last, the CA that is trusted first.
#[test]
fn a_new_ca_signs_nothing_before_it_has_been_trusted_for_a_while() {
    let mut scene = Scene::well();
    let authority = scene.rotate(start());
    assert_eq!(scene.next(start()), Step::Configure);
    scene.configure();
    assert_eq!(scene.next(start()), Step::Rest);
    scene.settled = true;
    assert_eq!(scene.next(start()), Step::Issue(Reason::NewAuthority));
    scene.sign_leaf(&authority, NAME, start());
    assert!(scene.takes_up(start()));
    scene.settled = false;
    assert!(!scene.takes_up(start()), "this replica doesn't know yet that it is trusted");
}

#[test]
fn a_former_ca_stays_in_the_bundle_until_it_ends() {
    let mut scene = Scene::well();
    let former = scene.authority();
    let authority = scene.rotate(start() + 200 * DAY);
    scene.sign_leaf(&authority, NAME, start() + 300 * DAY);
    scene.configure();
    scene.serve();
    scene.settled = true;
    assert_eq!(scene.next(start() + 350 * DAY), Step::Rest);
    assert!(Trust::of(&scene.ca).bundle().contains(&former));
    assert_eq!(scene.next(start() + 366 * DAY), Step::WriteBundle(bundle([&authority])));
}

#[rstest]
#[case("")]
#[case("garbage")]
#[case("a foreign CA")]
fn what_others_wrote_into_the_configurations_is_overwritten(#[case] text: &str) {
    let mut scene = Scene::well();
    scene.configuration = Some(match text {
        "a foreign CA" => pem(ca(start()).certificate()).into_bytes(),
        text => text.as_bytes().to_vec(),
    });
    scene.settled = false;
    assert_eq!(scene.next(start()), Step::Configure);
}

/// Garbage, half a pair, an expired one: the CA that signed what is served stays trusted.
#[rstest]
#[case("tls.crt")]
#[case("tls.key")]
fn a_ca_that_cannot_be_used_is_replaced_and_still_trusted(#[case] key: &str) {
    let mut scene = Scene::well();
    let former = scene.authority();
    scene.ca = garbage(scene.ca, key);
    for key in ["", "ca.crt"] {
        scene.ca = garbage(scene.ca, key);
        let Step::MakeAuthority(Reason::Unusable(_), bundle) = scene.next(start()) else { panic!("{key}") };
        assert!(bundle.contains(&former), "{key}");
    }
    // With the other Secret lost as well, what is served says whom to trust.
    scene.tls = Secret::default();
    let Step::MakeAuthority(_, bundle) = scene.next(start()) else { panic!() };
    assert!(bundle.contains(&former));
}

#[test]
fn an_expired_ca_is_replaced_and_forgotten() {
    let scene = Scene::well();
    let step = scene.next(start() + 366 * DAY);
    assert!(
        matches!(&step, Step::MakeAuthority(Reason::Unusable(_), bundle) if *bundle == Bundle::default()),
        "{step:?}"
    );
}

/// A replica whose clock is behind doesn't undo what the others do.
#[test]
#[expect(clippy::redundant_closure_for_method_calls, reason = "the method itself has one lifetime only")]
fn a_ca_that_has_not_begun_yet_is_left_alone() {
    let scene = Scene::well();
    let early = start() - DAY;
    assert!(matches!(scene.next(early), Step::Issue(_)), "which the others accept as well");
    assert!(scene.look(early, |view| view.bundle()).contains(&scene.authority()));
}

#[test]
fn a_bundle_that_was_tampered_with_is_mended() {
    let mut scene = Scene::well();
    let authority = Trust::of(&scene.ca).authority.unwrap();
    scene.ca = garbage(scene.ca, "ca.crt");
    assert_eq!(scene.next(start()), Step::WriteBundle(bundle([&authority])));
    scene.ca = with_bundle(&scene.ca, &Bundle::default());
    assert_eq!(scene.next(start()), Step::WriteBundle(bundle([&authority])));
}

/// Each of these is not served, and replaced.
#[rstest]
#[case::garbage(|scene: &mut Scene| scene.tls = garbage(scene.tls.clone(), "tls.crt"))]
#[case::key_of_another(|scene: &mut Scene| {
    let key = scene.tls.data.as_ref().unwrap()["tls.key"].clone();
    let authority = Trust::of(&scene.ca).authority.unwrap();
    scene.sign_leaf(&authority, NAME, start());
    scene.tls.data.as_mut().unwrap().insert("tls.key".to_owned(), key);
})]
#[case::by_a_foreign_ca(|scene: &mut Scene| {
    let foreign = ca(start());
    scene.sign_leaf(&foreign, NAME, start());
    scene.tls = garbage(scene.tls.clone(), "ca.crt");
})]
#[case::other_names(|scene: &mut Scene| {
    let authority = Trust::of(&scene.ca).authority.unwrap();
    scene.sign_leaf(&authority, "quorate.there.svc", start());
})]
#[case::expired(|scene: &mut Scene| {
    let authority = Trust::of(&scene.ca).authority.unwrap();
    scene.sign_leaf(&authority, NAME, start() - 91 * DAY);
})]
fn a_certificate_that_cannot_be_used_is_not_served_and_replaced(#[case] spoil: fn(&mut Scene)) {
    let mut scene = Scene::well();
    spoil(&mut scene);
    assert!(!scene.takes_up(start()));
    let step = scene.next(start());
    assert!(matches!(step, Step::Issue(Reason::Unusable(_))), "{step:?}");
}

/// Where both Secrets were lost, what is served is good as long as it is trusted: no hurry.
#[test]
fn what_is_served_does_not_make_way_for_what_is_not_trusted_yet() {
    let mut scene = Scene::well();
    scene.tls = Secret::default();
    let authority = scene.rotate(start());
    scene.configure();
    assert_eq!(scene.next(start()), Step::Rest);
    scene.settled = true;
    assert_eq!(scene.next(start()), Step::Issue(Reason::First));
    scene.sign_leaf(&authority, NAME, start());
    scene.settled = false;
    assert!(!scene.takes_up(start()));
}

#[test]
fn what_is_served_and_has_expired_makes_way_at_once() {
    let mut scene = Scene::well();
    let now = start() + 91 * DAY;
    scene.settled = false;
    assert!(matches!(scene.next(now), Step::Issue(Reason::Unusable(_))));
    let authority = scene.rotate(now);
    scene.sign_leaf(&authority, NAME, now);
    assert!(scene.takes_up(now));
}

#[test]
fn nothing_is_done_without_the_secret_of_the_ca() {
    let step = next(&View {
        trust: &Held::Missing,
        leaf: &Held::Missing,
        configurations: [&Held::Missing, &Held::Missing],
        served: None,
        settled: true,
        name: NAME,
        now: start(),
    });
    assert_eq!(step, Step::Rest);
}

/// Two replicas of which each serves something else write the same bundle.
#[test]
fn replicas_agree_on_the_bundle_whatever_they_serve() {
    let mut scene = Scene::well();
    scene.rotate(start());
    scene.configure();
    let serving_former = scene.next(start());
    scene.served = None;
    assert_eq!(scene.next(start()), serving_former);
}
