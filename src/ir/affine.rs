//! Positions that are computed from loop indices: affine forms and the quasi-affine ones that splitting,
//! joining and windows need. Axes are numbered; what the numbers mean is said by who uses them.

use smallvec::{SmallVec, smallvec};
use std::fmt;

/// `(axis, coefficient)`. Few forms have more than four terms: most need no memory of their own, and the compiler makes
/// and drops many of them.
pub type Terms = SmallVec<[(usize, i64); 4]>;

/// `constant + Σ coefficient · index(axis)`; terms sorted by axis, without zeros.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Affine {
    /// The part without an index.
    pub constant: i64,
    /// `(axis, coefficient)`.
    pub terms: Terms,
}

impl Affine {
    /// A number.
    pub fn constant(constant: i64) -> Affine {
        Affine {
            constant,
            terms: Terms::new(),
        }
    }

    /// One index.
    pub fn axis(axis: usize) -> Affine {
        Affine {
            constant: 0,
            terms: smallvec![(axis, 1)],
        }
    }

    /// The sum of two.
    pub fn plus(&self, other: &Affine) -> Affine {
        let mut terms = self.terms.clone();
        for &(axis, coefficient) in &other.terms {
            match terms.binary_search_by_key(&axis, |t| t.0) {
                Ok(at) => terms[at].1 += coefficient,
                Err(at) => terms.insert(at, (axis, coefficient)),
            }
        }
        terms.retain(|t| t.1 != 0);
        Affine {
            constant: self.constant + other.constant,
            terms,
        }
    }

    /// A multiple.
    pub fn times(&self, factor: i64) -> Affine {
        if factor == 0 {
            return Affine::default();
        }
        let terms = self.terms.iter().map(|&(axis, c)| (axis, c * factor)).collect();
        Affine {
            constant: self.constant * factor,
            terms,
        }
    }

    /// The factor of one index.
    pub fn coefficient(&self, axis: usize) -> i64 {
        self.terms.iter().find(|t| t.0 == axis).map_or(0, |t| t.1)
    }

    /// The index alone, if it is nothing more.
    pub fn as_axis(&self) -> Option<usize> {
        match (self.constant, self.terms.as_slice()) {
            (0, [(axis, 1)]) => Some(*axis),
            _ => None,
        }
    }

    /// The value at given indices.
    pub fn at(&self, indices: &[usize]) -> i64 {
        self.constant
            + self
                .terms
                .iter()
                .map(|&(axis, c)| c * indices[axis] as i64)
                .sum::<i64>()
    }

    /// Least and greatest value where each axis goes from 0 below its size (sizes of at least 1).
    pub fn range(&self, sizes: &[usize]) -> (i64, i64) {
        let (mut low, mut high) = (self.constant, self.constant);
        for &(axis, c) in &self.terms {
            let far = c * (sizes[axis] as i64 - 1);
            low += far.min(0);
            high += far.max(0);
        }
        (low, high)
    }

    /// The same with other axes: axis `a` becomes `replacement[a]`.
    pub fn substitute(&self, replacement: &[Affine]) -> Affine {
        self.terms
            .iter()
            .fold(Affine::constant(self.constant), |sum, &(axis, c)| {
                sum.plus(&replacement[axis].times(c))
            })
    }
}

impl fmt::Display for Affine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for &(axis, c) in &self.terms {
            let sign = match (first, c < 0) {
                (true, false) => "",
                (true, true) => "-",
                (false, false) => " + ",
                (false, true) => " - ",
            };
            first = false;
            match c.abs() {
                1 => write!(f, "{sign}i{axis}")?,
                c => write!(f, "{sign}{c}*i{axis}")?,
            }
        }
        match self.constant {
            0 if !first => Ok(()),
            c if first => write!(f, "{c}"),
            c if c < 0 => write!(f, " - {}", -c),
            c => write!(f, " + {c}"),
        }
    }
}

/// `coefficient · (⌊of / divide⌋ mod modulo)`, where `of` is an affine form that is never negative
/// where the result is used.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Digit {
    /// The factor in front.
    pub coefficient: i64,
    /// What is divided.
    pub of: Affine,
    /// At least 1.
    pub divide: i64,
    /// `None`: the whole quotient.
    pub modulo: Option<i64>,
}

impl Digit {
    /// The value at given indices, rounded down as `div` and `mod` are.
    pub fn at(&self, indices: &[usize]) -> i64 {
        let quotient = self.of.at(indices).div_euclid(self.divide);
        self.coefficient * self.modulo.map_or(quotient, |m| quotient.rem_euclid(m))
    }
}

/// A quasi-affine position: an affine form plus digits.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Position {
    /// The affine part.
    pub affine: Affine,
    /// The part with divisions.
    pub digits: Vec<Digit>,
}

impl Position {
    /// One index.
    pub fn axis(axis: usize) -> Position {
        Affine::axis(axis).into()
    }

    /// The value at given indices.
    pub fn at(&self, indices: &[usize]) -> i64 {
        self.affine.at(indices) + self.digits.iter().map(|d| d.at(indices)).sum::<i64>()
    }

    /// The affine form, if there are no digits.
    pub fn as_affine(&self) -> Option<&Affine> {
        self.digits.is_empty().then_some(&self.affine)
    }

    /// The index alone, if it is nothing more.
    pub fn as_axis(&self) -> Option<usize> {
        self.as_affine().and_then(Affine::as_axis)
    }

    /// Sum of two.
    pub fn plus(&self, other: &Position) -> Position {
        let digits = self.digits.iter().chain(&other.digits).cloned().collect();
        Position {
            affine: self.affine.plus(&other.affine),
            digits,
        }
    }

    /// A multiple.
    pub fn times(&self, factor: i64) -> Position {
        if factor == 0 {
            return Position::default();
        }
        let digits = self
            .digits
            .iter()
            .map(|d| Digit {
                coefficient: d.coefficient * factor,
                ..d.clone()
            })
            .collect();
        Position {
            affine: self.affine.times(factor),
            digits,
        }
    }

    /// Least and greatest value (bounds, not always reached) where each axis goes from 0 below its size.
    pub fn range(&self, sizes: &[usize]) -> (i64, i64) {
        let (mut low, mut high) = self.affine.range(sizes);
        for digit in &self.digits {
            let (a, b) = digit.of.range(sizes);
            let (a, b) = (a.div_euclid(digit.divide), b.div_euclid(digit.divide));
            let (a, b) = match digit.modulo {
                Some(m) if a < 0 || b >= m => (0, m - 1),
                _ => (a, b),
            };
            low += (digit.coefficient * a).min(digit.coefficient * b);
            high += (digit.coefficient * a).max(digit.coefficient * b);
        }
        (low, high)
    }

    /// Whether the index of an axis occurs.
    pub fn uses(&self, axis: usize) -> bool {
        self.affine.coefficient(axis) != 0 || self.digits.iter().any(|d| d.of.coefficient(axis) != 0)
    }
}

impl From<Affine> for Position {
    fn from(affine: Affine) -> Position {
        Position { affine, digits: vec![] }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = self.affine == Affine::default() && !self.digits.is_empty();
        if !bare {
            write!(f, "{}", self.affine)?;
        }
        for (i, digit) in self.digits.iter().enumerate() {
            if i > 0 || !bare {
                write!(f, " + ")?;
            }
            if digit.coefficient != 1 {
                write!(f, "{}*", digit.coefficient)?;
            }
            match digit.of.terms.len() + usize::from(digit.of.constant != 0) {
                0 | 1 => write!(f, "({}", digit.of)?,
                _ => write!(f, "(({})", digit.of)?,
            }
            if digit.divide != 1 {
                write!(f, " div {}", digit.divide)?;
            }
            if let Some(m) = digit.modulo {
                write!(f, " mod {m}")?;
            }
            write!(f, ")")?;
        }
        Ok(())
    }
}

/// What must hold for a read to be inside; else it gives its view's fill value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Guard {
    /// `low <= of < high`.
    Within {
        /// What is compared.
        of: Position,
        /// The least allowed value.
        low: i64,
        /// One beyond the greatest.
        high: i64,
    },
    /// `of mod by == 0`.
    Divisible {
        /// What is divided.
        of: Affine,
        /// At least 2.
        by: i64,
    },
}

impl Guard {
    /// Whether it changes with an axis's index.
    pub fn uses(&self, axis: usize) -> bool {
        match self {
            Guard::Within { of, .. } => of.uses(axis),
            Guard::Divisible { of, .. } => of.coefficient(axis) != 0,
        }
    }

    /// Whether it holds at given indices.
    pub fn holds(&self, indices: &[usize]) -> bool {
        match self {
            Guard::Within { of, low, high } => (*low..*high).contains(&of.at(indices)),
            Guard::Divisible { of, by } => of.at(indices).rem_euclid(*by) == 0,
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Guard::Within { of, low, high } => write!(f, "{low} <= {of} < {high}"),
            Guard::Divisible { of, by } => write!(f, "{by} divides {of}"),
        }
    }
}
