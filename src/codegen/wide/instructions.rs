//! The vector instructions that the wide emitter uses, and what of their encoding differs.

use super::encode_vector::Width;

/// Which encodings an instruction has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Forms {
    Both,
    Vex,
    Evex,
}

/// What stands in which operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// `register, second, operand`.
    Three,
    /// `register, operand`.
    Two,
    /// `operand, register`.
    Store,
    /// `mask, second, operand`.
    Compare,
    /// `second, operand`; the register field holds a part of the opcode.
    Extended(u8),
    /// `operand, second, register`: a masked store.
    MaskStore,
}

/// An instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vector {
    pub(super) name: &'static str,
    pub(super) map: u8,
    pub(super) prefix: u8,
    pub(super) opcode: u8,
    /// The bit W of an EVEX (`.0`) or a VEX (`.1`) prefix.
    pub(super) wide: (bool, bool),
    pub(super) forms: Forms,
    pub(super) shape: Shape,
    /// Its memory operand is one word.
    pub(super) word: bool,
    /// Its memory operand is half as wide as the register.
    pub(super) half: bool,
    /// Width of its vector operand apart from the register, if it is always the same.
    pub(super) part: Option<Width>,
}

pub(super) const fn three(name: &'static str, map: u8, prefix: u8, opcode: u8) -> Vector {
    Vector {
        name,
        map,
        prefix,
        opcode,
        wide: (false, false),
        forms: Forms::Both,
        shape: Shape::Three,
        word: false,
        half: false,
        part: None,
    }
}

pub(super) const fn two(name: &'static str, map: u8, prefix: u8, opcode: u8) -> Vector {
    Vector {
        shape: Shape::Two,
        ..three(name, map, prefix, opcode)
    }
}

const fn shift(name: &'static str, opcode: u8, field: u8, wide: bool) -> Vector {
    Vector {
        shape: Shape::Extended(field),
        wide: (wide, false),
        ..three(name, 1, 1, opcode)
    }
}

/// The instructions by their names.
#[allow(missing_docs, reason = "the names say it")]
pub mod op {
    use super::*;

    pub const ADD: Vector = three("vaddps", 1, 0, 0x58);
    pub const MULTIPLY: Vector = three("vmulps", 1, 0, 0x59);
    pub const SUBTRACT: Vector = three("vsubps", 1, 0, 0x5c);
    pub const MINIMUM: Vector = three("vminps", 1, 0, 0x5d);
    pub const DIVIDE: Vector = three("vdivps", 1, 0, 0x5e);
    pub const MAXIMUM: Vector = three("vmaxps", 1, 0, 0x5f);
    pub const SQUARE_ROOT: Vector = two("vsqrtps", 1, 0, 0x51);
    pub const AND: Vector = three("vandps", 1, 0, 0x54);
    pub const AND_NOT: Vector = three("vandnps", 1, 0, 0x55);
    pub const OR: Vector = three("vorps", 1, 0, 0x56);
    pub const XOR: Vector = three("vxorps", 1, 0, 0x57);
    pub const FMA_132: Vector = three("vfmadd132ps", 2, 1, 0x98);
    pub const FMA_213: Vector = three("vfmadd213ps", 2, 1, 0xa8);
    pub const FMA_231: Vector = three("vfmadd231ps", 2, 1, 0xb8);
    /// Two products of bfloat16 numbers in each word are added to the register.
    pub const DOT_BF16: Vector = Vector {
        forms: Forms::Evex,
        ..three("vdpbf16ps", 2, 2, 0x52)
    };
    /// The first times two to the power of the second, rounded down to a whole number.
    pub const SCALE: Vector = Vector {
        forms: Forms::Evex,
        ..three("vscalefps", 2, 1, 0x2c)
    };
    pub const INTEGER_ADD: Vector = three("vpaddd", 1, 1, 0xfe);
    pub const INTEGER_SUBTRACT: Vector = three("vpsubd", 1, 1, 0xfa);
    pub const INTEGER_MULTIPLY: Vector = three("vpmulld", 2, 1, 0x40);
    pub const MULTIPLY_EVEN: Vector = Vector {
        wide: (true, false),
        ..three("vpmuludq", 1, 1, 0xf4)
    };
    pub const SHIFT_LEFT: Vector = shift("vpslld", 0x72, 6, false);
    pub const SHIFT_RIGHT: Vector = shift("vpsrld", 0x72, 2, false);
    pub const SHIFT_RIGHT_ARITHMETIC: Vector = shift("vpsrad", 0x72, 4, false);
    pub const SHIFT_RIGHT_64: Vector = shift("vpsrlq", 0x73, 2, true);
    pub const SHIFT_LEFT_64: Vector = shift("vpsllq", 0x73, 6, true);
    pub const TO_REAL: Vector = two("vcvtdq2ps", 1, 0, 0x5b);
    pub const TO_INTEGER: Vector = two("vcvttps2dq", 1, 2, 0x5b);
    pub const ROUND: Vector = Vector {
        forms: Forms::Vex,
        ..two("vroundps", 3, 1, 0x08)
    };
    pub const ROUND_SCALE: Vector = Vector {
        forms: Forms::Evex,
        ..two("vrndscaleps", 3, 1, 0x08)
    };
    /// Into a vector of ones and zeros.
    pub const COMPARE: Vector = Vector {
        forms: Forms::Vex,
        ..three("vcmpps", 1, 0, 0xc2)
    };
    pub const INTEGER_EQUAL: Vector = Vector {
        forms: Forms::Vex,
        ..three("vpcmpeqd", 1, 1, 0x76)
    };
    pub const INTEGER_GREATER: Vector = Vector {
        forms: Forms::Vex,
        ..three("vpcmpgtd", 1, 1, 0x66)
    };
    /// Into a mask register.
    pub const COMPARE_MASK: Vector = Vector {
        forms: Forms::Evex,
        shape: Shape::Compare,
        ..three("vcmpps", 1, 0, 0xc2)
    };
    pub const INTEGER_COMPARE_MASK: Vector = Vector {
        forms: Forms::Evex,
        shape: Shape::Compare,
        ..three("vpcmpd", 3, 1, 0x1f)
    };
    pub const BLEND_MASK: Vector = Vector {
        forms: Forms::Evex,
        ..three("vblendmps", 2, 1, 0x65)
    };
    /// A word of memory in all lanes.
    pub const SPREAD: Vector = Vector {
        word: true,
        ..two("vbroadcastss", 2, 1, 0x18)
    };
    /// The first lane in all lanes.
    pub const SPREAD_FIRST: Vector = Vector {
        part: Some(Width::W128),
        ..two("vbroadcastss", 2, 1, 0x18)
    };
    pub const SPREAD_FIRST_INTEGER: Vector = Vector {
        part: Some(Width::W128),
        ..two("vpbroadcastd", 2, 1, 0x58)
    };
    pub const LOAD: Vector = two("vmovups", 1, 0, 0x10);
    pub const STORE: Vector = Vector {
        shape: Shape::Store,
        ..two("vmovups", 1, 0, 0x11)
    };
    pub const STORE_WORD: Vector = Vector {
        shape: Shape::Store,
        word: true,
        ..two("vmovss", 1, 2, 0x11)
    };
    pub const MASK_LOAD: Vector = Vector {
        forms: Forms::Vex,
        ..three("vmaskmovps", 2, 1, 0x2c)
    };
    pub const MASK_STORE: Vector = Vector {
        forms: Forms::Vex,
        shape: Shape::MaskStore,
        ..three("vmaskmovps", 2, 1, 0x2e)
    };
    /// Halves of 16 bits with zeros above them.
    pub const LOAD_HALVES: Vector = Vector {
        half: true,
        ..two("vpmovzxwd", 2, 1, 0x33)
    };
    /// The lower halves of all words, side by side.
    pub const STORE_HALVES: Vector = Vector {
        forms: Forms::Evex,
        shape: Shape::Store,
        half: true,
        ..two("vpmovdw", 2, 2, 0x33)
    };
    /// Words below 2¹⁶ of two vectors as halves.
    pub const JOIN_HALVES: Vector = Vector {
        forms: Forms::Vex,
        ..three("vpackusdw", 2, 1, 0x2b)
    };
    /// One of eight halves.
    pub const STORE_HALF: Vector = Vector {
        forms: Forms::Vex,
        shape: Shape::Store,
        ..two("vpextrw", 3, 1, 0x15)
    };
    /// Lanes of a pair of vectors, four by four.
    pub const SHUFFLE: Vector = three("vshufps", 1, 0, 0xc6);
    pub const UNPACK_LOW: Vector = three("vunpcklps", 1, 0, 0x14);
    pub const UNPACK_HIGH: Vector = three("vunpckhps", 1, 0, 0x15);
    /// Four lanes of 128 bits of two vectors.
    pub const SHUFFLE_QUADS: Vector = Vector {
        forms: Forms::Evex,
        ..three("vshuff32x4", 3, 1, 0x23)
    };
    pub const PERMUTE_HALVES: Vector = Vector {
        forms: Forms::Vex,
        ..three("vperm2f128", 3, 1, 0x06)
    };
    pub const UPPER_HALF_256: Vector = Vector {
        forms: Forms::Vex,
        shape: Shape::Store,
        part: Some(Width::W128),
        ..three("vextractf128", 3, 1, 0x19)
    };
    pub const QUAD_OF: Vector = Vector {
        forms: Forms::Evex,
        shape: Shape::Store,
        part: Some(Width::W128),
        ..three("vextractf32x4", 3, 1, 0x19)
    };
    pub const UPPER_HALF_512: Vector = Vector {
        forms: Forms::Evex,
        shape: Shape::Store,
        wide: (true, false),
        part: Some(Width::W256),
        ..three("vextractf64x4", 3, 1, 0x1b)
    };
    pub const STORE_LANE: Vector = Vector {
        shape: Shape::Store,
        word: true,
        ..two("vextractps", 3, 1, 0x17)
    };
    pub const GATHER_MASK: Vector = Vector {
        forms: Forms::Evex,
        word: true,
        ..two("vgatherdps", 2, 1, 0x92)
    };
    pub const SCATTER_MASK: Vector = Vector {
        forms: Forms::Evex,
        shape: Shape::Store,
        word: true,
        ..two("vscatterdps", 2, 1, 0xa2)
    };
}
