//! Initialisers in, first values out: float64 and `libm`, a function of (seed, parameter's path, element), so that
//! every platform starts with the same bits and a parameter keeps its values when others come or go.

use crate::data::random::Stream;
use crate::ir::graph::{Initialiser, ParamDeclaration, elements};

/// Beyond this many standard deviations a truncated draw is repeated.
const TRUNCATION: f64 = 2.0;
/// Attempts of a truncated draw; 64 failures in a row have a chance of 10^-86.
const ATTEMPTS_MAX: u64 = 64;

/// The first values of a parameter.
pub fn initial_values(param: &ParamDeclaration, seed: u64) -> Vec<f32> {
    let stream = Stream::new(seed, &format!("init/{}", param.path));
    let n = elements(&param.shape);
    let each = |value: &dyn Fn(u64) -> f64| (0..n as u64).map(|i| value(i) as f32).collect();
    match param.initialiser {
        Initialiser::Constant(value) => vec![value as f32; n],
        Initialiser::Normal(deviation) => each(&|i| deviation * stream.normal(i)),
        Initialiser::TruncatedNormal(deviation) => each(&|i| deviation * truncated(&stream, i)),
        Initialiser::Uniform(limit) => each(&|i| limit * (2.0 * stream.uniform_pair(i).0 - 1.0)),
        Initialiser::Orthogonal(gain) => {
            let columns = param.shape.last().copied().unwrap_or(1);
            orthogonal(&stream, n / columns.max(1), columns)
                .into_iter()
                .map(|x| (gain * x) as f32)
                .collect()
        }
    }
}

fn truncated(stream: &Stream, element: u64) -> f64 {
    // Attempts have indices of their own: no tensor has 2^56 elements.
    (0..ATTEMPTS_MAX)
        .map(|attempt| stream.normal(attempt << 56 | element))
        .find(|x| x.abs() <= TRUNCATION)
        .unwrap_or(0.0)
}

/// A matrix whose shorter side is orthonormal: Gram-Schmidt on Gaussian vectors, done twice each, which keeps
/// them orthogonal to rounding ("twice is enough", Giraud et al. 2005).
fn orthogonal(stream: &Stream, rows: usize, columns: usize) -> Vec<f64> {
    let (count, length) = (rows.min(columns), rows.max(columns));
    let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(count);
    for v in 0..count {
        let mut vector: Vec<f64> = (0..length).map(|e| stream.normal((v * length + e) as u64)).collect();
        for _ in 0..2 {
            for other in &vectors {
                let dot: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
                vector.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
            }
        }
        let norm = vector.iter().map(|a| a * a).sum::<f64>().sqrt();
        vector.iter_mut().for_each(|a| *a /= norm);
        vectors.push(vector);
    }
    if rows <= columns {
        return vectors.concat();
    }
    (0..rows).flat_map(|r| vectors.iter().map(move |v| v[r])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Span;

    fn values(path: &str, shape: &[usize], initialiser: Initialiser, seed: u64) -> Vec<f32> {
        let param = ParamDeclaration {
            path: path.into(),
            shape: shape.to_vec(),
            initialiser,
            frozen: false,
            span: Span::NOWHERE,
        };
        initial_values(&param, seed)
    }

    #[test]
    fn values_depend_on_seed_and_path() {
        let normal = |path, seed| values(path, &[10, 10], Initialiser::Normal(0.02), seed);
        assert_eq!(normal("a.w", 1), normal("a.w", 1));
        assert_ne!(normal("a.w", 1), normal("a.w", 2));
        assert_ne!(normal("a.w", 1), normal("b.w", 1));
    }

    #[test]
    fn each_distribution_has_its_spread() {
        let spread = |initialiser| {
            let values = values("w", &[100, 200], initialiser, 5);
            let square: f64 = values.iter().map(|&x| f64::from(x).powi(2)).sum();
            (square / values.len() as f64).sqrt()
        };
        // A fifth of a percent is one standard error of a deviation from 20 000 draws; four are allowed.
        let near = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.02, "{found} {expected}");
        near(spread(Initialiser::Normal(0.02)), 0.02);
        near(spread(Initialiser::Uniform(0.3)), 0.3 / 3f64.sqrt());
        // The deviation of a standard normal cut at ±2.
        near(spread(Initialiser::TruncatedNormal(0.5)), 0.5 * 0.8796);
        let cut = values("w", &[20_000], Initialiser::TruncatedNormal(0.5), 5);
        assert!(cut.iter().all(|x| x.abs() <= 1.0));
    }

    #[test]
    fn orthogonal_rows_or_columns() {
        for shape in [[5, 12], [12, 5], [6, 6]] {
            let w = values("w", &shape, Initialiser::Orthogonal(2.0), 3);
            let at = |i: usize, j: usize, k: usize| match shape[0] <= shape[1] {
                true => f64::from(w[i * shape[1] + k]) * f64::from(w[j * shape[1] + k]),
                false => f64::from(w[k * shape[1] + i]) * f64::from(w[k * shape[1] + j]),
            };
            for i in 0..shape[0].min(shape[1]) {
                for j in 0..shape[0].min(shape[1]) {
                    let dot: f64 = (0..shape[0].max(shape[1])).map(|k| at(i, j, k)).sum();
                    let expected = if i == j { 4.0 } else { 0.0 };
                    // Products of f32 roundings of unit vectors times 2.
                    assert!((dot - expected).abs() < 1e-5, "{dot}");
                }
            }
        }
    }
}
