//! The standard library's texts, embedded.

/// Name and text of each file.
pub const FILES: &[(&str, &str)] = &[
    ("std/layers.ms", include_str!("std/layers.ms")),
    ("std/activations.ms", include_str!("std/activations.ms")),
    ("std/norms.ms", include_str!("std/norms.ms")),
    ("std/attention.ms", include_str!("std/attention.ms")),
    ("std/convolution.ms", include_str!("std/convolution.ms")),
    ("std/pooling.ms", include_str!("std/pooling.ms")),
    ("std/recurrent.ms", include_str!("std/recurrent.ms")),
    ("std/positions.ms", include_str!("std/positions.ms")),
    ("std/losses.ms", include_str!("std/losses.ms")),
    ("std/metrics.ms", include_str!("std/metrics.ms")),
    ("std/optimizers.ms", include_str!("std/optimizers.ms")),
    ("std/regularization.ms", include_str!("std/regularization.ms")),
    ("std/schedules.ms", include_str!("std/schedules.ms")),
    ("std/initialisers.ms", include_str!("std/initialisers.ms")),
];
