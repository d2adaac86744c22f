//! mspec: a declarative model-spec compiler.
pub mod data;
pub mod ir;
pub mod ops;
pub mod text;
pub mod train;
