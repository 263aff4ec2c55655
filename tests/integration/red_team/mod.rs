//! Ways around the guard (L131–L143), each tried as an ordinary user of one namespace on a real control plane.

mod adoption;
mod autoscalers;
mod ballast;
mod budgets;
mod caches;
mod exemptions;
mod histories;
mod live_reads;
mod operators;
mod zero;
