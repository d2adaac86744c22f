//! Numbers that are known when compiling: exact fractions, until a function makes them real.

use std::cmp::Ordering;

/// A number known when compiling.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Known {
    /// `numerator / denominator` in lowest terms, the denominator positive.
    Exact(i128, i128),
    /// What a function gave, or what no longer fits a fraction.
    Real(f64),
}

impl Known {
    /// A whole number.
    pub fn whole(value: i128) -> Known {
        Known::Exact(value, 1)
    }

    /// Reads `1e-3`, `0.1`, `2k`, `1.5M`.
    pub fn parse(text: &str) -> Option<Known> {
        let (digits, scale) = match text.as_bytes().last()? {
            b'k' => (&text[..text.len() - 1], 3),
            b'M' => (&text[..text.len() - 1], 6),
            _ => (text, 0),
        };
        let clean = digits.replace('_', "");
        let (mantissa, exponent) = match clean.split_once(['e', 'E']) {
            Some((m, e)) => (m.to_string(), e.parse::<i32>().ok()?),
            None => (clean.clone(), 0),
        };
        let (whole, part) = mantissa.split_once('.').unwrap_or((&mantissa, ""));
        let exponent = exponent.checked_add(scale)?.checked_sub(part.len() as i32)?;
        let value: Option<i128> = format!("{whole}{part}").parse().ok();
        if let (Some(value), true) = (value, exponent.abs() <= 36) {
            let power = 10i128.checked_pow(exponent.unsigned_abs())?;
            let exact = if exponent >= 0 {
                value.checked_mul(power).map(|v| (v, 1))
            } else {
                Some((value, power))
            };
            if let Some((numerator, denominator)) = exact {
                return Some(Known::fraction(numerator, denominator));
            }
        }
        let real: f64 = clean.parse().ok()?;
        Some(Known::Real(real * 10f64.powi(scale)))
    }

    /// In lowest terms.
    pub fn fraction(numerator: i128, denominator: i128) -> Known {
        debug_assert!(denominator != 0);
        let divisor = gcd(numerator.unsigned_abs(), denominator.unsigned_abs()) as i128;
        let sign = if denominator < 0 { -1 } else { 1 };
        if divisor == 0 {
            Known::Exact(0, 1)
        } else {
            Known::Exact(sign * numerator / divisor, sign * denominator / divisor)
        }
    }

    /// As float64.
    pub fn real(self) -> f64 {
        match self {
            Known::Exact(n, d) => n as f64 / d as f64,
            Known::Real(r) => r,
        }
    }

    /// As a whole number, if it is one (a real that is whole counts).
    pub fn as_whole(self) -> Option<i128> {
        match self {
            Known::Exact(n, 1) => Some(n),
            Known::Real(r) if r.fract() == 0.0 && r.abs() < 9e15 => Some(r as i128),
            _ => None,
        }
    }

    /// Sum, as exact as it goes.
    pub fn plus(self, other: Known) -> Known {
        self.exactly(other, |a, b, c, d| {
            Some((a.checked_mul(d)?.checked_add(c.checked_mul(b)?)?, b.checked_mul(d)?))
        })
        .unwrap_or_else(|| Known::Real(self.real() + other.real()))
    }

    /// Product.
    pub fn times(self, other: Known) -> Known {
        self.exactly(other, |a, b, c, d| Some((a.checked_mul(c)?, b.checked_mul(d)?)))
            .unwrap_or_else(|| Known::Real(self.real() * other.real()))
    }

    /// Quotient; `None` for a division of a fraction by zero.
    pub fn over(self, other: Known) -> Option<Known> {
        if let Known::Exact(0, _) = other {
            return None;
        }
        let exact = self.exactly(other, |a, b, c, d| Some((a.checked_mul(d)?, b.checked_mul(c)?)));
        Some(exact.unwrap_or_else(|| Known::Real(self.real() / other.real())))
    }

    /// The negative.
    pub fn negative(self) -> Known {
        match self {
            Known::Exact(n, d) => Known::Exact(-n, d),
            Known::Real(r) => Known::Real(-r),
        }
    }

    /// Power: exact for whole exponents.
    pub fn power(self, exponent: Known) -> Known {
        if let (Known::Exact(n, d), Known::Exact(e, 1)) = (self, exponent)
            && e.abs() <= 128
        {
            let (n, d) = if e < 0 { (d, n) } else { (n, d) };
            let e = e.unsigned_abs() as u32;
            if let (Some(n), Some(d), true) = (n.checked_pow(e), d.checked_pow(e), d != 0) {
                return Known::fraction(n, d);
            }
        }
        Known::Real(libm::pow(self.real(), exponent.real()))
    }

    /// `div`, rounded down; `None` unless both are whole and the divisor is not 0.
    pub fn whole_quotient(self, other: Known) -> Option<Known> {
        let (a, b) = (self.as_whole()?, other.as_whole()?);
        (b != 0).then(|| Known::whole(a.div_euclid(b)))
    }

    /// `mod`, never negative for a positive divisor.
    pub fn remainder(self, other: Known) -> Option<Known> {
        let (a, b) = (self.as_whole()?, other.as_whole()?);
        (b != 0).then(|| Known::whole(a.rem_euclid(b)))
    }

    /// Order.
    pub fn compare(self, other: Known) -> Option<Ordering> {
        match self.plus(other.negative()) {
            Known::Exact(n, _) => Some(n.cmp(&0)),
            Known::Real(_) => self.real().partial_cmp(&other.real()),
        }
    }

    fn exactly(self, other: Known, f: impl Fn(i128, i128, i128, i128) -> Option<(i128, i128)>) -> Option<Known> {
        match (self, other) {
            (Known::Exact(a, b), Known::Exact(c, d)) => f(a, b, c, d).map(|(n, d)| Known::fraction(n, d)),
            _ => None,
        }
    }
}

impl std::fmt::Display for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Known::Exact(n, 1) => write!(f, "{n}"),
            other => write!(f, "{}", other.real()),
        }
    }
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_exact_until_they_do_not_fit() {
        assert_eq!(Known::parse("0.1"), Some(Known::Exact(1, 10)));
        assert_eq!(Known::parse("2k"), Some(Known::whole(2000)));
        assert_eq!(Known::parse("1.5M"), Some(Known::whole(1_500_000)));
        assert_eq!(Known::parse("1e-3"), Some(Known::Exact(1, 1000)));
        let third = Known::whole(1).over(Known::whole(3)).unwrap();
        assert_eq!(third.times(Known::whole(3)), Known::whole(1));
        assert_eq!(Known::whole(2).power(Known::whole(-2)), Known::Exact(1, 4));
        assert!(matches!(Known::parse("1e300"), Some(Known::Real(_))));
        assert_eq!(Known::whole(1).over(Known::whole(0)), None);
        assert_eq!(Known::whole(-7).whole_quotient(Known::whole(2)), Some(Known::whole(-4)));
    }
}
