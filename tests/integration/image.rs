//! The image: built twice, looked into, and the binary inside run with nothing around it, as nobody in particular.

use std::fs::{self, File, Permissions};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::server::certificates;
use crate::server::command::{Process, creation};

/// The most that the image may take once it is unpacked, in bytes.
const LIMIT: u64 = 25_000_000;

/// 2026-01-01, the time of everything in the image.
const EPOCH: &str = "1767225600";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// An image, unpacked as an OCI layout.
struct Image {
    layout: TempDir,
    manifest: String,
}

impl Image {
    /// Builds one with buildah, in a store of its own.
    fn build() -> Self {
        let store = tempdir().unwrap();
        let at = |name: &str| store.path().join(name);
        let configuration = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = {:?}\nrunroot = {:?}\n",
            at("images").display().to_string(),
            at("run").display().to_string(),
        );
        fs::write(at("storage.conf"), configuration).unwrap();
        let said = run(Command::new(repository().join("deploy/image/build.sh"))
            .env("BUILDER", "buildah")
            .env("CONTAINERS_STORAGE_CONF", at("storage.conf"))
            .env("SOURCE_DATE_EPOCH", EPOCH)
            .env("IMAGE", "quorate:test")
            .env("ARCHIVE", at("image.tar")));
        print!("{said}");
        let layout = tempdir().unwrap();
        run(Command::new("tar").arg("-xf").arg(at("image.tar")).arg("-C").arg(layout.path()));
        let index: Value = serde_json::from_reader(File::open(layout.path().join("index.json")).unwrap()).unwrap();
        let manifest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
        Self { layout, manifest }
    }

    fn blob(&self, digest: &str) -> PathBuf {
        self.layout.path().join("blobs").join(digest.replace(':', "/"))
    }

    fn json(&self, digest: &str) -> Value {
        serde_json::from_reader(File::open(self.blob(digest)).unwrap()).unwrap()
    }

    fn configuration(&self) -> Value {
        self.json(self.json(&self.manifest)["config"]["digest"].as_str().unwrap())
    }

    /// The one layer.
    fn layer(&self) -> PathBuf {
        let manifest = self.json(&self.manifest);
        let layers = manifest["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 1, "{manifest:#}");
        self.blob(layers[0]["digest"].as_str().unwrap())
    }

    /// Its file system, with a policy, certificates and surroundings mounted, so to speak.
    fn root(&self) -> TempDir {
        let root = tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        run(Command::new("tar").arg("-xf").arg(self.layer()).arg("-C").arg(root.path()));
        fs::create_dir(at("policies")).unwrap();
        fs::copy(repository().join("policies/baseline.yaml"), at("policies/baseline.yaml")).unwrap();
        fs::copy(repository().join("tests/fixtures/database.yaml"), at("database.yaml")).unwrap();
        certificates(&at("certs"));
        fs::set_permissions(at("certs/tls-key.pem"), Permissions::from_mode(0o444)).unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o555)).unwrap();
        root
    }
}

fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(Image::build)
}

/// The image's entrypoint in this root directory, as the image's user where only root may change it.
fn inside(root: &TempDir, arguments: &[&str]) -> Command {
    let is_root = run(Command::new("id").arg("-u")).trim() == "0";
    let mut command = Command::new(if is_root { "chroot" } else { "unshare" });
    if is_root {
        command.arg("--userspec=65532:65532").arg(root.path());
    } else {
        command.args(["--user", "--map-root-user", "--root"]).arg(root.path());
    }
    command.arg("/quorate").args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

#[test]
fn the_same_sources_give_the_same_image() {
    assert_eq!(image().manifest, Image::build().manifest);
}

#[test]
fn holds_the_binary_and_its_licence_and_nothing_else() {
    let listed = run(Command::new("tar").args(["--utc", "--full-time", "-tvf"]).arg(image().layer()));
    let mut size = 0;
    let files: Vec<String> = listed
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [mode, owner, bytes, date, time, name] = words.as_slice() else { panic!("{line}") };
            size += bytes.parse::<u64>().unwrap();
            format!("{mode} {owner} {date} {time} {name}")
        })
        .collect();
    assert_eq!(files, ["-rw-r--r-- 0/0 2026-01-01 00:00:00 LICENSE", "-rwxr-xr-x 0/0 2026-01-01 00:00:00 quorate"]);
    println!("the image takes {size} bytes, of which {} are pulled", fs::metadata(image().layer()).unwrap().len());
    assert!(size < LIMIT, "{size} bytes");
}

#[test]
fn says_what_it_is_and_runs_as_nobody_in_particular() {
    let configuration = image().configuration();
    let config = &configuration["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], json!(["/quorate"]));
    assert_eq!(config["ExposedPorts"], json!({"8080/tcp": {}, "8443/tcp": {}}));
    assert_eq!(configuration["created"], "2026-01-01T00:00:00Z");
    let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].as_str().unwrap();
    assert_eq!((label("title"), label("licenses")), ("Quorate", "Apache-2.0"));
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(label("revision"), run(Command::new("git").args(["rev-parse", "HEAD"])).trim());
}

#[tokio::test]
async fn works_with_nothing_around_it() {
    let root = image().root();
    let version = run(&mut inside(&root, &["--version"]));
    assert_eq!(version, concat!("quorate ", env!("CARGO_PKG_VERSION"), "\n"));
    assert!(run(&mut inside(&root, &["policy", "validate", "/policies"])).contains("baseline"));

    let pair = ["--tls-cert", "/certs/tls.pem", "--tls-key", "/certs/tls-key.pem"];
    let mut serve = inside(&root, &["serve", "--listen", "127.0.0.1:0", "--drain", "0s"]);
    serve.args(pair).args(["--surroundings", "/database.yaml"]);
    let process = Process::of(serve, root);
    process.until_ready().await;
    for (replicas, allowed) in [(1, false), (3, true)] {
        let answer = process.review("/validate?timeout=3s", &creation(replicas)).await;
        assert_eq!(answer["response"]["allowed"], allowed, "{answer:#}");
    }
    process.signal("INT");
    assert_eq!(process.end().0, Some(0));
}

/// Why Quorate can't reach an API server at this address.
fn unreachable(root: &TempDir, server: &str) -> String {
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": {"server": server, "certificate-authority": "/certs/ca.pem"}}],
        "users": [{"name": "it", "user": {"token": "token"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    });
    fs::write(root.path().join("database.yaml"), kubeconfig.to_string()).unwrap();
    let output = inside(root, &["budgets", "remove", "--kubeconfig", "/database.yaml"]).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

/// What a libc that is linked in may lack: names come from files, and from the name server that the kubelet names.
#[test]
fn resolves_names_by_itself() {
    let root = image().root();
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let etc = |name: &str, text: &str| fs::write(root.path().join("etc").join(name), text).unwrap();

    etc("hosts", "127.0.0.9 apiserver.example\n");
    let said = unreachable(&root, "https://apiserver.example:1");
    assert!(said.contains("Connection refused") && !said.contains("dns error"), "{said}");

    etc(
        "resolv.conf",
        "nameserver 127.0.0.77\nsearch quorate-system.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n",
    );
    // Whoever isn't root can't stand in for a name server, and has seen above that the resolver works.
    let Ok(server) = UdpSocket::bind("127.0.0.77:53") else { return };
    let asked = std::thread::spawn(move || answer(&server, "kubernetes.default.svc.cluster.local"));
    let said = unreachable(&root, "https://kubernetes.default.svc:1");
    assert!(said.contains("Connection refused") && !said.contains("dns error"), "{said}");
    let asked = asked.join().unwrap();
    assert_eq!(asked.first().unwrap(), "kubernetes.default.svc.quorate-system.svc.cluster.local");
}

/// Answers questions for the address of a name with 127.0.0.7, and all others with no such name; returns what was asked, once
/// nothing more is.
fn answer(server: &UdpSocket, name: &str) -> Vec<String> {
    const HEADER: usize = 12;
    let mut asked = Vec::new();
    loop {
        let quiet = if asked.is_empty() { Duration::from_mins(1) } else { Duration::from_secs(2) };
        server.set_read_timeout(Some(quiet)).unwrap();
        let mut packet = [0; 512];
        let Ok((length, from)) = server.recv_from(&mut packet) else { return asked };
        let (mut labels, mut at) = (Vec::new(), HEADER);
        while packet[at] != 0 {
            let end = at + 1 + usize::from(packet[at]);
            labels.push(String::from_utf8_lossy(&packet[at + 1..end]).into_owned());
            at = end;
        }
        let question_end = at + 5;
        assert!(question_end <= length);
        let is_known = labels.join(".") == name;
        let is_address = packet[at + 2] == 1;
        let code = if is_known { 0x80 } else { 0x83 };
        let mut reply = packet[..2].to_vec();
        reply.extend([0x81, code, 0, 1, 0, u8::from(is_known && is_address), 0, 0, 0, 0]);
        reply.extend(&packet[HEADER..question_end]);
        if is_known && is_address {
            reply.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 127, 0, 0, 7]);
        }
        server.send_to(&reply, from).unwrap();
        asked.push(labels.join("."));
    }
}
