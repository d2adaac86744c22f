//! mspec: a declarative model-spec compiler.
pub mod ir;
pub mod text;
