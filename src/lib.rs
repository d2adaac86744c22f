//! mspec: a declarative model-spec compiler.
pub mod codegen;
pub mod data;
pub mod ir;
pub mod machine;
pub mod text;
pub mod train;
