//! Every expression of a syntax tree, outer ones first. Knows no names.

use super::ast::{Block, Definition, Expr, ExprKind, Index, Statement, StatementKind};

impl Definition {
    /// Calls `f` for every expression of the body.
    pub fn each_expr<'a>(&'a self, f: &mut dyn FnMut(&'a Expr)) {
        self.body.each_expr(f);
    }
}

impl Block {
    /// Calls `f` for every expression of its statements.
    pub fn each_expr<'a>(&'a self, f: &mut dyn FnMut(&'a Expr)) {
        self.statements.iter().for_each(|s| s.each_expr(f));
    }
}

impl Statement {
    /// Calls `f` for every expression of a statement.
    pub fn each_expr<'a>(&'a self, f: &mut dyn FnMut(&'a Expr)) {
        match &self.kind {
            StatementKind::Value(e) | StatementKind::Penalty(e) | StatementKind::Yield(e) => e.each_expr(f),
            StatementKind::Equation { value, .. } | StatementKind::Update { value, .. } => value.each_expr(f),
            StatementKind::Require { condition, .. } => condition.each_expr(f),
            StatementKind::Param(list) => list.iter().for_each(|p| p.initialiser.each_expr(f)),
            StatementKind::State(list) | StatementKind::Carry(list) => list.iter().for_each(|s| s.value.each_expr(f)),
        }
    }
}

impl Expr {
    /// Calls `f` for the expression and every one inside.
    pub fn each_expr<'a>(&'a self, f: &mut dyn FnMut(&'a Expr)) {
        f(self);
        match &*self.kind {
            ExprKind::Number { .. } | ExprKind::Text(_) | ExprKind::Name(_) | ExprKind::Each(_) | ExprKind::Wrong => {}
            ExprKind::List(list) => list.iter().for_each(|e| e.each_expr(f)),
            ExprKind::Element { base, indices } => {
                base.each_expr(f);
                indices.iter().for_each(|i| index(i, f));
            }
            ExprKind::Member { base, .. } => base.each_expr(f),
            ExprKind::Call { callee, arguments } => {
                callee.each_expr(f);
                arguments.iter().for_each(|a| a.value.each_expr(f));
            }
            ExprKind::Unary { operand, .. } => operand.each_expr(f),
            ExprKind::Binary { left, right, .. } => {
                left.each_expr(f);
                right.each_expr(f);
            }
            ExprKind::Reduce { condition, operand, .. } => {
                condition.iter().chain(operand).for_each(|e| e.each_expr(f));
            }
            ExprKind::Otherwise { value, otherwise } => {
                value.each_expr(f);
                otherwise.each_expr(f);
            }
            ExprKind::Flow { value, layer } => {
                value.each_expr(f);
                layer.each_expr(f);
            }
            ExprKind::Named { layer, .. } => layer.each_expr(f),
            ExprKind::Block(block) => block.each_expr(f),
            ExprKind::If {
                condition,
                then,
                otherwise,
            } => {
                condition.each_expr(f);
                then.each_expr(f);
                otherwise.iter().for_each(|b| b.each_expr(f));
            }
            ExprKind::Repeat { count, body, .. } => {
                count.each_expr(f);
                body.each_expr(f);
            }
            ExprKind::Scan { body, .. } => body.each_expr(f),
        }
    }
}

fn index<'a>(part: &'a Index, f: &mut dyn FnMut(&'a Expr)) {
    match part {
        Index::Rest(_) => {}
        Index::Named { bound, .. } => bound.iter().for_each(|e| e.each_expr(f)),
        Index::Joined { parts, .. } => parts.iter().for_each(|p| index(p, f)),
        Index::Computed(expr) => expr.each_expr(f),
    }
}
