//! Quorate keeps every StatefulSet of a Kubernetes cluster highly available.
