//! Quorate keeps every StatefulSet of a Kubernetes cluster highly available.
//!
//! # The map of the house
//!
//! A pure core knows the rules; thin edges know the world. Arrows point inwards only.
//!
//! | Module | What it is for | May name |
//! |---|---|---|
//! | [`plain`] | what somebody else wrote, fit to be shown | nothing else here |
//! | [`facts`] | what rules need to know of a StatefulSet, a Service, a Namespace | nothing else here |
//! | [`budget`] | which pods a budget is about, and which one each StatefulSet shall have | `facts` |
//! | [`rules`] | one validation rule per file: facts and settings in, findings out | `facts`, `budget` |
//! | [`policy`] | the schema of policy files, matching, merging | `facts`, `budget`, `rules` |
//! | [`mutate`] | what to inject into a pod template, as a verified JSON patch | `facts`, `policy` |
//! | [`review`] | one decision from object, old object, surroundings, policies and time | all of the above |
//! | [`admission`] | AdmissionReview in, AdmissionResponse out | the core, `cluster`, `telemetry` |
//! | [`cluster`] | reflectors, trimmed indexes, live reads; yields facts | `facts` |
//! | [`controller`] | keeps budgets as policies want them, in one replica at a time | the core, `cluster`, `telemetry` |
//! | [`files`] | policy files and manifests: read, watched, reloaded | `facts`, `policy` |
//! | [`server`] | sockets, TLS, limits, the admin port, shutdown | `admission`, `certs`, `telemetry` |
//! | [`certs`] | where certificates come from and how they are renewed | `telemetry` |
//! | [`telemetry`] | logs and metrics | |
//! | [`cli`] | one file per command | everything |
//!
//! The first seven are the core: no I/O, no clock, not async, no client. A test fails when one of them names such a thing.
//!
//! # The way of a request
//!
//! 1. [`server`] accepts the connection and hands the body of `POST /validate` or `POST /mutate` to [`admission`].
//! 2. [`admission`] decodes the AdmissionReview and projects the object and the old object to [`facts`].
//! 3. [`cluster`] adds the surroundings from its caches: the Namespace, the Service.
//! 4. [`review`] asks [`policy`] which policies match, runs the [`rules`] or plans the injection ([`mutate`]).
//! 5. Would it be a denial? Then what it rests on is read live and step 4 runs again, for a cache may lag.
//! 6. [`admission`] renders the decision as an AdmissionResponse, and [`telemetry`] counts it and logs one line.

pub mod admission;
pub mod budget;
pub mod certs;
pub mod cli;
pub mod cluster;
pub mod controller;
pub mod facts;
pub mod files;
pub mod mutate;
pub mod plain;
pub mod policy;
pub mod review;
pub mod rules;
pub mod server;
pub mod telemetry;
