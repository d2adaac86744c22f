//! The expansions computed at once in plain f32 and swept against `libm` in float64.

use super::mathematics::*;
use super::narrow::*;
use super::power::*;
use super::tests::oracle::short;
use crate::codegen::interpret;
use crate::ir::arithmetic::calculate;
use crate::ir::graph::MapFunction;
use crate::ir::kernel::Arithmetic::{self, *};

/// A value is 32 bits.
pub struct Plain;

const TRUE: u32 = u32::MAX;

impl Code for Plain {
    type Value = u32;

    fn real(&mut self, value: f32) -> u32 {
        value.to_bits()
    }
    fn integer(&mut self, value: i32) -> u32 {
        value as u32
    }
    fn one(&mut self, function: Arithmetic, a: u32) -> u32 {
        let x = f32::from_bits(a);
        match function {
            Negate => (-x).to_bits(),
            Absolute => x.abs().to_bits(),
            SquareRoot => x.sqrt().to_bits(),
            Nearest => x.round_ties_even().to_bits(),
            Floor => x.floor().to_bits(),
            Not => !a,
            ToReal => (a as i32 as f32).to_bits(),
            ToInteger => x as i32 as u32,
            RealBits | IntegerBits => a,
            other => unreachable!("{other:?} has two arguments"),
        }
    }
    fn two(&mut self, function: Arithmetic, a: u32, b: u32) -> u32 {
        let (x, y) = (f32::from_bits(a), f32::from_bits(b));
        let truth = |c: bool| if c { TRUE } else { 0 };
        match function {
            Add => (x + y).to_bits(),
            Subtract => (x - y).to_bits(),
            Multiply => (x * y).to_bits(),
            Scale => calculate(Scale, a, b),
            Divide => (x / y).to_bits(),
            Minimum => {
                if y < x {
                    b
                } else {
                    a
                }
            }
            Maximum => {
                if y > x {
                    b
                } else {
                    a
                }
            }
            Less => truth(x < y),
            LessEqual => truth(x <= y),
            Equal => truth(x == y),
            IntegerEqual => truth(a == b),
            And | BitAnd => a & b,
            Or | BitOr => a | b,
            BitXor => a ^ b,
            IntegerAdd => a.wrapping_add(b),
            IntegerSubtract => a.wrapping_sub(b),
            IntegerMultiply => a.wrapping_mul(b),
            other => unreachable!("{other:?} has one argument"),
        }
    }
    fn multiply_add(&mut self, a: u32, b: u32, c: u32) -> u32 {
        f32::from_bits(a)
            .mul_add(f32::from_bits(b), f32::from_bits(c))
            .to_bits()
    }
    fn select(&mut self, mask: u32, then: u32, otherwise: u32) -> u32 {
        if mask == 0 { otherwise } else { then }
    }
    fn shift_left(&mut self, a: u32, by: u8) -> u32 {
        a << by
    }
    fn shift_right(&mut self, a: u32, by: u8) -> u32 {
        a >> by
    }
}

/// How many steps between neighbouring f32 lie between a result and the exact value.
fn steps(found: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if found.is_nan() || exact.is_nan() {
        return if found.is_nan() && exact.is_nan() {
            0.0
        } else {
            f64::INFINITY
        };
    }
    if found == rounded {
        return 0.0;
    }
    if !found.is_finite() || !rounded.is_finite() {
        // Next to overflow, the largest number and infinity are one step apart.
        let clamp = |x: f32| x.clamp(f32::MIN, f32::MAX);
        return if clamp(found) == clamp(rounded) {
            1.0
        } else {
            f64::INFINITY
        };
    }
    let exponent = rounded.abs().max(f32::MIN_POSITIVE).log2().floor();
    let step = f64::from(exponent).exp2() * f64::from(f32::EPSILON);
    (f64::from(found) - exact).abs() / step
}

/// The greatest error over arguments from all of f32, and at the edges.
fn check(function: impl Fn(&mut Plain, u32) -> u32, exact: impl Fn(f64) -> f64, inside: impl Fn(f32) -> bool) -> f64 {
    const EDGES: [f32; 12] = [
        0.0,
        -0.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        1.0,
        -1.0,
        1e-45,
        -1e-45,
    ];
    let all = (0..u32::MAX).step_by(100_003).map(f32::from_bits);
    let usual = (-10_000..10_000).map(|i| i as f32 * 0.010_53);
    let mut worst = (0.0, 0.0);
    for x in EDGES.into_iter().chain(all).chain(usual).filter(|x| inside(*x)) {
        let found = f32::from_bits(function(&mut Plain, x.to_bits()));
        let error = steps(found, exact(f64::from(x)));
        if error > worst.0 {
            worst = (error, x);
        }
        assert!(
            error.is_finite(),
            "of {x:e}: {found:e} instead of {:e}",
            exact(f64::from(x))
        );
    }
    println!("{worst:?}");
    worst.0
}

#[test]
fn exponential_is_accurate() {
    assert!(check(exponential, libm::exp, |_| true) < 1.1);
}

#[test]
fn logarithm_is_accurate() {
    assert!(check(logarithm, libm::log, |_| true) < 1.1);
}

#[test]
fn hyperbolic_tangent_is_accurate() {
    assert!(check(hyperbolic_tangent, libm::tanh, |_| true) < 2.0);
}

#[test]
fn sigmoid_is_accurate() {
    let exact = |x: f64| 1.0 / (1.0 + libm::exp(-x));
    assert!(check(sigmoid, exact, |x| x > -10.0) < 2.0);
    assert!(check(sigmoid, exact, |_| true) < 5.0);
}

#[test]
fn error_function_is_accurate() {
    assert!(check(error_function, libm::erf, |_| true) < 5.0);
    let at = |x: f32| f32::from_bits(error_function(&mut Plain, x.to_bits()));
    assert_eq!([at(4.0), at(-5.0), at(f32::INFINITY)], [1.0, -1.0, 1.0]);
}

#[test]
fn sine_and_cosine_are_accurate_up_to_100000() {
    let inside = |x: f32| x.abs() < 1e5 || !x.is_finite();
    assert!(check(|c, x| sine(c, x, false), libm::sin, inside) < 2.0);
    assert!(check(|c, x| sine(c, x, true), libm::cos, inside) < 2.0);
}

#[test]
fn powers_are_accurate() {
    for y in [
        0.0,
        0.5,
        2.0,
        3.0,
        -1.0,
        -0.75,
        0.1,
        1.7,
        10.0,
        -33.0,
        1e-3,
        1e10,
        f32::INFINITY,
        f32::NEG_INFINITY,
    ] {
        let bits = y.to_bits();
        let error = check(|c, x| power(c, x, bits), |x| libm::pow(x, f64::from(y)), |_| true);
        assert!(error < 2.0, "to the power {y}: {error}");
    }
    for y in [0.0, 0.5, 1.0, 2.0, 3.0, 4.0, -1.0, -2.0, 1.5, -0.5] {
        let short = |c: &mut Plain, x| constant_power(c, x, y).expect("a short form");
        let error = check(short, |x| libm::pow(x, y), |x| (1e-8..1e8).contains(&x));
        assert!(error < 3.0, "to the power {y}: {error}");
    }
}

#[test]
fn draws_are_uniform_and_differ_by_key_and_stream() {
    let draw = |key: [u32; 2], stream, element| {
        f64::from(f32::from_bits(super::random::uniform(&mut Plain, key, stream, element)))
    };
    let mean = |key, stream| (0..20_000).map(|i| draw(key, stream, i)).sum::<f64>() / 20_000.0;
    assert!((mean([1, 2], 0) - 0.5).abs() < 0.01);
    let product: f64 = (0..20_000)
        .map(|i| (draw([1, 2], 0, i) - 0.5) * (draw([1, 2], 1, i) - 0.5))
        .sum();
    assert!(product.abs() / 20_000.0 < 0.003, "streams are independent");
    let product: f64 = (0..20_000)
        .map(|i| (draw([1, 2], 0, i) - 0.5) * (draw([1, 3], 0, i) - 0.5))
        .sum();
    assert!(product.abs() / 20_000.0 < 0.003, "keys are independent");
    assert!((0..20_000).all(|i| (0.0..1.0).contains(&draw([1, 2], 0, i))));
    let meant = crate::ops::random::uniform;
    assert!((0..20_000).all(|i| draw([1, 2], 3, i) == meant([1, 2], 3, i)));
}

/// All numbers of 16 bits; and what is rounded to them loses nothing on the way there and back.
#[test]
fn sixteen_bits_hold_what_is_rounded_to_them() {
    for bits in 0..1u32 << 16 {
        let wide = widened_bf16(&mut Plain, bits);
        assert_eq!(wide, bits << 16);
        assert_eq!(narrowed_bf16(&mut Plain, wide), bits);
        let wide = f32::from_bits(widened_f16(&mut Plain, bits));
        let wanted = f32::from_bits(interpret::widened_f16(bits));
        assert_eq!(wide.is_nan(), bits & 0x7fff > 0x7c00);
        assert!(
            wide.to_bits() == wanted.to_bits() || wide.is_nan() && wanted.is_nan(),
            "{bits:04x}: {wide:e}"
        );
        assert!(narrowed_f16(&mut Plain, wide.to_bits()) == bits || wide.is_nan());
        assert!(f64::from(wide).is_nan() || short(wide.into(), 11, -24, 65504.0) == f64::from(wide));
    }
    for bits in (0..u32::MAX / 9973).map(|i| i * 9973).chain([0x7f80_0001, 0xff80_0001]) {
        let short = round_bf16(&mut Plain, bits);
        let stored = narrowed_bf16(&mut Plain, short);
        assert_eq!(widened_bf16(&mut Plain, stored), short);
        let short = round_f16(&mut Plain, bits);
        let stored = narrowed_f16(&mut Plain, short);
        assert_eq!(widened_f16(&mut Plain, stored), short);
    }
}

/// Every 9973rd pattern of bits, and all near what is a tie or a bound, against integer arithmetic of another kind.
#[test]
fn sixteen_bits_are_the_nearest() {
    let wanted = |x: f32, function| match function {
        MapFunction::RoundBf16 => short(x.into(), 8, -133, 3.4e38) as f32,
        _ => short(x.into(), 11, -24, 65504.0) as f32,
    };
    let check = |bits: u32| {
        let x = f32::from_bits(bits);
        for (function, got) in [
            (MapFunction::RoundBf16, f32::from_bits(round_bf16(&mut Plain, bits))),
            (MapFunction::RoundF16, f32::from_bits(round_f16(&mut Plain, bits))),
        ] {
            let want = wanted(x, function);
            assert!(
                got.to_bits() == want.to_bits() || got.is_nan() && x.is_nan(),
                "{function:?} of {x:e} ({bits:08x}): {got:e} instead of {want:e}"
            );
        }
    };
    (0..u32::MAX / 9973).for_each(|i| check(i * 9973));
    for exponent in 0..=255u32 {
        for low in [
            0u32, 1, 0x0fff, 0x1000, 0x1001, 0x1fff, 0x2000, 0x3000, 0x7fff, 0x8000, 0x8001, 0xffff, 0x18000, 0x7fffff,
        ] {
            check(exponent << 23 | low);
            check(1 << 31 | exponent << 23 | low);
        }
    }
    assert_eq!(
        wanted(1.0 + 1.0 / 256.0, MapFunction::RoundBf16),
        1.0,
        "a tie goes to even"
    );
    assert_eq!(wanted(65519.9, MapFunction::RoundF16), 65504.0);
    assert_eq!(wanted(65520.0, MapFunction::RoundF16), f32::INFINITY);
}
