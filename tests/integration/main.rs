//! Integration tests: one binary, which lists its modules.

mod generate;
mod mutation;
mod server;
