//! Ways around the guard (L131–L143), each tried as an ordinary user of one namespace on a real control plane.

mod live_reads;
