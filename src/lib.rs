//! mspec: a declarative model-spec compiler.
pub mod build;
pub mod cli;
pub mod codegen;
pub mod data;
pub mod fuse;
pub mod grad;
pub mod ir;
pub mod machine;
pub mod ops;
pub mod overrides;
pub mod parse;
pub mod pipeline;
pub mod plan;
pub mod resolve;
pub mod standard;
pub mod text;
pub mod train;
