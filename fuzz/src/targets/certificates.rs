//! The bytes of a certificate file and of a key file.

use std::path::Path;
use std::time::SystemTime;

use base64::Engine as _;
use quorate::certs::Pair;

/// What divides the two files of an input.
const DIVIDER: &[u8] = b"\n=====\n";

/// Files that can't be used give an error of one line that holds nothing of the key; others a pair that says when it ends.
pub fn run(input: &[u8]) {
    let (chain, key) = halves(input);
    let (chain, key) = (as_pem(chain, "CERTIFICATE"), as_pem(key, "PRIVATE KEY"));
    match Pair::parse((Path::new("tls.pem"), &chain), (Path::new("tls-key.pem"), &key)) {
        Ok(pair) => {
            let ended = pair.objection(pair.ends() + std::time::Duration::from_secs(1));
            assert!(ended.is_some(), "after its end there is something to object to");
            let _ = pair.objection(SystemTime::UNIX_EPOCH);
        }
        Err(error) => {
            let line = error.to_string();
            assert!(!line.chars().any(char::is_control), "{line:?}");
            assert!(line.len() <= 1000, "a line of {} bytes", line.len());
            let is_secret = |line: &&[u8]| {
                line.len() >= 32 && line.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte))
            };
            let body = key.split(|byte| *byte == b'\n').filter(is_secret);
            for secret in body {
                assert!(!line.as_bytes().windows(secret.len()).any(|window| window == secret), "the key in {line}");
            }
        }
    }
}

fn halves(input: &[u8]) -> (&[u8], &[u8]) {
    match input.windows(DIVIDER.len()).position(|window| window == DIVIDER) {
        Some(place) => (&input[..place], &input[place + DIVIDER.len()..]),
        None => (input, input),
    }
}

/// PEM as it is; anything else as what PEM would hold, so that the fuzzer gets past base64.
fn as_pem(bytes: &[u8], label: &str) -> Vec<u8> {
    if bytes.starts_with(b"-----") || bytes.is_empty() {
        return bytes.to_vec();
    }
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n").into_bytes()
}
