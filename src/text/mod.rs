//! Source text and what is said about it: spans, diagnostics, their rendering and suggestions.
//! Knows nothing of the language; everything else may point into a file through it.

pub mod code;
pub mod diagnostic;
pub mod render;
pub mod source;
pub mod suggest;

pub use code::Code;
pub use diagnostic::{Diagnostic, Diagnostics, Fix, Label, Severity};
pub use source::{FileId, Sources, Span};
