//! The server that Quorate's is compared with: axum, rustls, the body read into a `serde_json::Value`, and a constant answer.
