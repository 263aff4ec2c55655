//! A CA and a serving certificate for a developer's machine and for tests. Not for production: there, cert-manager or
//! Quorate itself renews them.

use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Files;
use super::authority::{Authority, pem, service_names};

/// How long a development CA lasts.
const CA_LIFETIME: Duration = Duration::from_hours(3650 * 24);

/// What to make, and where.
#[derive(Debug, Clone)]
pub struct Request {
    /// The directory that gets the files.
    pub directory: PathBuf,
    /// The name of Quorate's Service.
    pub service: String,
    /// The Namespace it is in.
    pub namespace: String,
    /// Further DNS names or IP addresses of the serving certificate.
    pub names: Vec<String>,
    /// How many days the serving certificate lasts.
    pub days: u16,
    /// Whether a CA that is there is replaced.
    pub force: bool,
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// The CA's certificate, which clients trust.
    pub ca: PathBuf,
    /// The CA's key.
    pub ca_key: PathBuf,
    /// Whether the CA was there before.
    pub ca_kept: bool,
    /// The serving certificate.
    pub serving: Files,
    /// Its names.
    pub names: Vec<String>,
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory can't be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The CA that is there can't be used.
    #[error("the CA in {} can't be used ({reason}); --force makes a new one, which clients have to trust anew", .directory.display())]
    Authority {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate can't be made.
    #[error("cannot make a certificate: {0}")]
    Generate(#[from] rcgen::Error),
}

/// Makes a serving certificate for the Service's names and localhost, signed by the CA in the directory, which is made too
/// where there is none. Keys are readable by their owner only.
///
/// # Errors
///
/// The CA that is there can't be used, a name is malformed, or a file can't be written.
pub fn make(request: &Request) -> Result<Made, Error> {
    let file = |name: &str| request.directory.join(name);
    let made = Made {
        ca: file("ca.pem"),
        ca_key: file("ca-key.pem"),
        ca_kept: !request.force && (file("ca.pem").exists() || file("ca-key.pem").exists()),
        serving: Files { certificate: file("tls.pem"), key: file("tls-key.pem") },
        names: names(request),
    };
    let lifetime = Duration::from_hours(24 * u64::from(request.days));
    let now = SystemTime::now();
    fs::create_dir_all(&request.directory)
        .map_err(|source| Error::Write { path: request.directory.clone(), source })?;
    let authority = if made.ca_kept {
        existing(request, &made, now)?
    } else {
        Authority::make("Quorate development CA", CA_LIFETIME, now)?
    };
    let issued = authority.issue(&made.names, lifetime, now)?;
    if !made.ca_kept {
        write(&made.ca_key, &authority.key_pem(), 0o600)?;
        write(&made.ca, &pem(authority.certificate()), 0o644)?;
    }
    write(&made.serving.key, &issued.key, 0o600)?;
    write(&made.serving.certificate, &issued.certificate, 0o644)?;
    Ok(made)
}

/// The names that the API server and a developer use.
fn names(request: &Request) -> Vec<String> {
    let mut names = service_names(&request.service, &request.namespace);
    names.extend([
        "localhost".to_owned(),
        IpAddr::from(Ipv4Addr::LOCALHOST).to_string(),
        IpAddr::from(Ipv6Addr::LOCALHOST).to_string(),
    ]);
    names.extend(request.names.iter().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
    names
}

/// The CA that is in the directory.
fn existing(request: &Request, made: &Made, now: SystemTime) -> Result<Authority, Error> {
    let unusable = |reason: String| Error::Authority { directory: request.directory.clone(), reason };
    let files = Files { certificate: made.ca.clone(), key: made.ca_key.clone() };
    let authority = files.authority().map_err(|error| unusable(error.to_string()))?;
    if authority.validity().has_ended(now) { Err(unusable("it has expired".to_owned())) } else { Ok(authority) }
}

/// Writes a file whole, with its mode from the first byte on, whatever was there.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let new = path.with_extension("pem.new");
    let written = || -> io::Result<()> {
        fs::remove_file(&new)
            .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
        fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?.write_all(text.as_bytes())?;
        fs::rename(&new, path)
    };
    written().map_err(|source| Error::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn request(directory: &Path) -> Request {
        Request {
            directory: directory.to_owned(),
            service: "quorate".to_owned(),
            namespace: "quorate-system".to_owned(),
            names: vec!["example.org".to_owned(), "10.0.0.1".to_owned()],
            days: 30,
            force: false,
        }
    }

    #[test]
    fn makes_a_pair_that_can_be_served_and_keeps_its_keys_to_the_owner() {
        let directory = tempfile::tempdir().unwrap();
        let made = make(&request(directory.path())).unwrap();
        assert!(!made.ca_kept);
        assert!(made.names.contains(&"quorate.quorate-system.svc".to_owned()));
        made.serving.load().unwrap();
        for key in [&made.ca_key, &made.serving.key] {
            assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn keeps_a_ca_that_is_there_unless_forced() {
        let directory = tempfile::tempdir().unwrap();
        let mut request = request(directory.path());
        let made = make(&request).unwrap();
        let (ca, serving) = (fs::read(&made.ca).unwrap(), fs::read(&made.serving.certificate).unwrap());
        assert!(make(&request).unwrap().ca_kept);
        assert_eq!(fs::read(&made.ca).unwrap(), ca);
        assert_ne!(fs::read(&made.serving.certificate).unwrap(), serving);
        request.force = true;
        assert!(!make(&request).unwrap().ca_kept);
        assert_ne!(fs::read(&made.ca).unwrap(), ca);
    }

    #[test]
    fn refuses_half_a_ca() {
        let directory = tempfile::tempdir().unwrap();
        let request = request(directory.path());
        let made = make(&request).unwrap();
        fs::remove_file(&made.ca_key).unwrap();
        let error = make(&request).unwrap_err().to_string();
        assert!(error.contains("ca-key.pem") && error.contains("--force"), "{error}");
    }
}
