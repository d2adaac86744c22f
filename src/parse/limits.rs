//! How large a spec may be. Every limit is checked on the text or its tokens, before the grammar runs, so that a
//! hostile file ends in an error within a moment and without using memory; nothing here depends on the machine.

/// Bytes of one file. A caller that reads files refuses a longer one before reading it.
pub const FILE_BYTES: usize = 8 << 20;

/// Words, numbers, strings and symbols of one file. GPT-2 has about 250, the whole standard library about 12 000.
pub const TOKENS: usize = 200_000;

/// Brackets inside each other, of all three kinds.
pub const NESTING: usize = 128;

/// How deep an expression's tree may be: operators in a row and brackets inside each other add up. Later stages walk
/// the tree by recursion and rely on this.
pub const DEPTH: usize = 256;

/// Bytes of a name or a number.
pub const WORD_BYTES: usize = 200;

/// Syntax errors of one file that are told; the rest would only repeat the first ones.
pub const ERRORS: usize = 50;

/// Bytes that are matched again after a statement with a syntax error was set aside.
pub const RECOVERY_BYTES: usize = 4 << 20;
