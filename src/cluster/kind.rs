//! The kinds of objects that there are caches of.

/// A kind of object that there is a cache of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "they are Kubernetes' own names")]
pub enum Kind {
    ControllerRevisions,
    HorizontalPodAutoscalers,
    Namespaces,
    Nodes,
    PersistentVolumeClaims,
    PodDisruptionBudgets,
    Services,
    StatefulSets,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::ControllerRevisions,
        Self::HorizontalPodAutoscalers,
        Self::Namespaces,
        Self::Nodes,
        Self::PersistentVolumeClaims,
        Self::PodDisruptionBudgets,
        Self::Services,
        Self::StatefulSets,
    ];

    /// What objects of this kind are called.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::ControllerRevisions => "ControllerRevisions",
            Self::HorizontalPodAutoscalers => "HorizontalPodAutoscalers",
            Self::Namespaces => "Namespaces",
            Self::Nodes => "Nodes",
            Self::PersistentVolumeClaims => "PersistentVolumeClaims",
            Self::PodDisruptionBudgets => "PodDisruptionBudgets",
            Self::Services => "Services",
            Self::StatefulSets => "StatefulSets",
        }
    }

    /// The name of its cache: in `/readyz?verbose`, and as a label of metrics.
    #[must_use]
    pub fn part(self) -> &'static str {
        match self {
            Self::ControllerRevisions => "cache-controllerrevisions",
            Self::HorizontalPodAutoscalers => "cache-horizontalpodautoscalers",
            Self::Namespaces => "cache-namespaces",
            Self::Nodes => "cache-nodes",
            Self::PersistentVolumeClaims => "cache-persistentvolumeclaims",
            Self::PodDisruptionBudgets => "cache-poddisruptionbudgets",
            Self::Services => "cache-services",
            Self::StatefulSets => "cache-statefulsets",
        }
    }
}
