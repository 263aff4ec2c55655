//! Integration tests: one binary, which lists its modules.

mod examples;
mod generate;
mod mutation;
mod purity;
mod repository;
