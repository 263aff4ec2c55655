//! Where the serving certificate comes from and how it is renewed. Knows nothing of requests.
//!
//! [`Pair`] is a certificate chain with its key, read from [`Files`]; [`Serving`] is the pair that new connections get;
//! [`follow`] puts a new pair there when the files change. [`development`] makes such files for a developer's machine.

pub mod development;
mod files;
mod follow;
mod pair;
mod serving;

pub use files::{Files, client_authorities};
pub use follow::follow;
pub use pair::{Error, Pair};
pub use serving::Serving;
