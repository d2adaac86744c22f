//! The nouns: one file for each data structure that goes from a stage to the next.
//! Nothing here decides anything; stages do.

pub mod accumulation;
pub mod affine;
pub mod arithmetic;
pub mod ast;
pub mod ast_print;
pub mod ast_walk;
pub mod corner;
pub mod experiment;
pub mod expression;
pub mod flops;
pub mod graph;
pub mod graph_print;
pub mod kernel;
mod kernel_bands;
pub mod kernel_bounds;
pub mod kernel_print;
mod kernel_scope;
mod kernel_sharing;
pub mod kernel_verify;
pub mod model;
mod model_print;
pub mod number;
pub mod plan;
mod plan_print;
pub mod position;
pub mod product;
pub mod scan;
pub mod schedule;
pub mod source;
pub mod tune;
