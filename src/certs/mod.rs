//! Where the serving certificate comes from and how it is renewed. Knows nothing of requests.
//!
//! [`Pair`] is a certificate chain with its key, read from [`Files`]; [`Serving`] is the pair that new connections get;
//! [`follow`] puts a new pair there when the files change. [`managed`] makes the pair itself, keeps it in Secrets
//! and puts its CA into the webhook configurations. [`development`] makes files for a developer's machine. [`Clients`] says
//! whose certificates are accepted in return.

mod authority;
mod bundle;
mod clients;
pub mod development;
mod files;
mod follow;
pub mod managed;
mod pair;
mod serving;
mod validity;

pub use clients::{Clients, follow_clients};
pub use files::{Files, client_authorities};
pub use follow::follow;
pub use pair::{Error, Pair};
pub use serving::Serving;
