//! Policy files that change while Quorate serves.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, io};

use arc_swap::ArcSwap;
use insta::assert_snapshot;
use quorate::files::policies;
use quorate::files::watch::{Reloader, Timing};
use quorate::policy::PolicySet;
use quorate::telemetry::{Health, Metrics, State};
use rstest::rstest;
use tempfile::tempdir;
use tokio::task::JoinHandle;
use tokio::time::sleep;

const POLLED: Timing = Timing { poll: Duration::from_millis(20), debounce: Duration::from_millis(5) };
const NOTIFIED: Timing = Timing { poll: Duration::from_hours(1), debounce: Duration::from_millis(5) };

/// Policies in force that follow the files of a directory.
struct Following {
    policies: Arc<ArcSwap<PolicySet>>,
    health: Arc<Health>,
    task: JoinHandle<()>,
}

impl Following {
    fn start(directory: &Path, timing: Timing) -> Self {
        let paths = vec![directory.to_owned()];
        let policies = Arc::new(ArcSwap::from_pointee(policies::read(&paths).unwrap()));
        let health = Arc::new(Health::default());
        let reloader = Reloader::new(
            paths,
            Arc::clone(&policies),
            Some("quorate".to_owned()),
            Arc::new(Metrics::default()),
            Arc::clone(&health),
        );
        Self { policies, health, task: tokio::spawn(reloader.run(timing)) }
    }

    fn names(&self) -> Vec<String> {
        self.policies.load().all().iter().map(|policy| policy.name.clone()).collect()
    }

    fn state(&self) -> Option<State> {
        self.health.states().get("policies").cloned()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..1000 {
            if holds(self) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("never {what}: {:?}, {:?}", self.names(), self.state());
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn policy(name: &str) -> String {
    format!("apiVersion: quorate.dev/v1alpha1\nkind: AvailabilityPolicy\nmetadata: {{ name: {name} }}\nspec: {{}}\n")
}

#[rstest]
#[case::by_polling(POLLED)]
#[case::by_events(NOTIFIED)]
#[tokio::test]
async fn keeps_the_last_good_policies_while_files_are_broken(#[case] timing: Timing) {
    let directory = tempdir().unwrap();
    let file = directory.path().join("a.yaml");
    fs::write(&file, policy("first")).unwrap();
    let following = Following::start(directory.path(), timing);
    following.until("ready", |it| it.state() == Some(State::Ok)).await;
    assert!(!following.policies.load().governs("quorate"));

    fs::write(&file, policy("first").replace("spec", "spek")).unwrap();
    fs::write(directory.path().join("b.yaml"), policy("second")).unwrap();
    following.until("degraded", |it| matches!(it.state(), Some(State::Degraded(_)))).await;
    assert_eq!(following.names(), ["first"]);

    fs::write(&file, policy("first")).unwrap();
    following.until("whole again", |it| it.state() == Some(State::Ok)).await;
    following.until("both in force", |it| it.names() == ["first", "second"]).await;

    fs::remove_file(&file).unwrap();
    following.until("one in force", |it| it.names() == ["second"]).await;
    assert!(!following.policies.load().governs("quorate"));

    fs::remove_file(directory.path().join("b.yaml")).unwrap();
    following.until("degraded", |it| matches!(it.state(), Some(State::Degraded(_)))).await;
    assert_eq!(following.names(), ["second"]);
}

/// A log that a test reads.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn logs_what_changed_and_each_problem_and_nothing_else() {
    let directory = tempdir().unwrap();
    let root = directory.path().to_owned();
    let write = |name: &str, text: &str| fs::write(root.join(name), text).unwrap();
    write("a.yaml", &policy("kept"));
    write("b.yaml", &policy("removed"));
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_writer(move || writer.clone())
        .finish();
    // With a single subscriber, tracing lets a thread without one, of another test, decide which events are of interest.
    let _other = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(subscriber);
    // Two files that are written one after the other count as one change.
    let timing = Timing { debounce: Duration::from_millis(100), ..POLLED };
    let following = Following::start(&root, timing);
    following.until("ready", |it| it.state() == Some(State::Ok)).await;

    write("a.yaml", &format!("# A comment changes nothing.\n{}", policy("kept")));
    sleep(Duration::from_millis(300)).await;
    fs::remove_file(root.join("b.yaml")).unwrap();
    following.until("removed", |it| it.names() == ["kept"]).await;
    write("a.yaml", &policy("kept").replace("{}", "{ onInternalError: Deny }"));
    write("c.yaml", &policy("added"));
    following.until("added", |it| it.names() == ["added", "kept"]).await;
    fs::write(root.join("c.yaml"), "").unwrap();
    following.until("degraded", |it| matches!(it.state(), Some(State::Degraded(_)))).await;
    write("c.yaml", &policy("added"));
    following.until("whole again", |it| it.state() == Some(State::Ok)).await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap().replace("\n ", "\n");
    assert_snapshot!(log.trim_start().replace(&root.display().to_string(), "POLICIES"), @r"
    INFO policies reloaded policies=1 changes=-removed
    INFO policies reloaded policies=2 changes=+added ~kept
    ERROR policy file is wrong, the last good policies stay in force: POLICIES/c.yaml: is empty; write an AvailabilityPolicy into it, or remove it
    INFO policy files are valid again policies=2
    ");
}

#[rstest]
#[case::by_polling(POLLED)]
#[case::by_events(NOTIFIED)]
#[tokio::test]
async fn follows_the_swaps_of_a_mounted_config_map_l40(#[case] timing: Timing) {
    let directory = tempdir().unwrap();
    let root = directory.path();
    let swap = |generation: usize| {
        let data = format!("..generation_{generation}");
        fs::create_dir(root.join(&data)).unwrap();
        fs::write(root.join(&data).join("policy.yaml"), policy(&format!("policy-{generation}"))).unwrap();
        symlink(&data, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        if let Some(before) = generation.checked_sub(1) {
            fs::remove_dir_all(root.join(format!("..generation_{before}"))).unwrap();
        }
    };
    swap(0);
    symlink("..data/policy.yaml", root.join("policy.yaml")).unwrap();
    let following = Following::start(root, timing);
    following.until("ready", |it| it.state() == Some(State::Ok)).await;
    assert_eq!(following.names(), ["policy-0"]);
    for generation in 1..=3 {
        swap(generation);
        following.until("swapped", |it| it.names() == [format!("policy-{generation}")]).await;
        assert_eq!(following.state(), Some(State::Ok));
    }
}
