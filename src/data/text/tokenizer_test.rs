//! Small tokenizers written by hand, whose ids can be counted out.

use super::*;
use crate::ir::experiment::TokenizerKind;

const BPE: &str = r#"{"added_tokens": [], "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
    "post_processor": null, "decoder": {"type": "ByteLevel"},
    "truncation": {"max_length": 1, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "Ġ": 2, "ab": 3, "Ġab": 4, "Ã": 5, "¤": 6},
        "merges": ["a b", "Ġ ab"]}}"#;

const WORD_PIECE: &str = r###"{"added_tokens": [
        {"id": 0, "content": "[UNK]", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},
        {"id": 1, "content": "[MASK]", "special": true, "single_word": false, "lstrip": true, "rstrip": false, "normalized": false}],
    "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
    "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": null,
    "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
        "vocab": {"[UNK]": 0, "[MASK]": 1, "play": 2, "##ing": 3, "##s": 4, "!": 5}}}"###;

fn parse(json: &str, kind: TokenizerKind) -> Result<Tokenizer, tokenizer::Problem> {
    Tokenizer::parse(json.as_bytes().to_vec(), kind)
}

#[test]
fn merges_are_applied_in_their_order_and_bytes_come_back() {
    let tokenizer = parse(BPE, TokenizerKind::Bpe).unwrap();
    let ids = tokenizer.encode("ab aab ä").unwrap();
    assert_eq!(ids, [3, 2, 0, 3, 2, 5, 6]);
    let back: Vec<u8> = ids.iter().flat_map(|&id| tokenizer.decode(id)).collect();
    assert_eq!(back, "ab aab ä".as_bytes());
    assert_eq!(tokenizer.bound(), 7);
}

#[test]
fn the_longest_piece_comes_first() {
    let tokenizer = parse(WORD_PIECE, TokenizerKind::WordPiece).unwrap();
    assert_eq!(tokenizer.encode("Playing PLAYS! dogs").unwrap(), [2, 3, 2, 4, 5, 0]);
    assert_eq!(
        tokenizer.special().collect::<std::collections::BTreeSet<_>>(),
        [0, 1].into()
    );
    assert_eq!(tokenizer.id("[MASK]"), Some(1));
}

#[test]
fn a_run_keeps_its_tokenizer() {
    let vocabulary = Vocabulary::Tokenizer(parse(BPE, TokenizerKind::Bpe).unwrap());
    let kept = serde_json::to_string(&vocabulary).unwrap();
    let read: Vocabulary = serde_json::from_str(&kept).unwrap();
    assert_eq!(read, vocabulary);
    assert_eq!(read.encode("ab"), Ok(vec![3]));
}

#[test]
fn another_kind_is_refused() {
    let problem = parse(BPE, TokenizerKind::WordPiece).unwrap_err();
    assert_eq!(problem.1, "write `tokens bpe(…)`");
    assert!(
        parse("{}", TokenizerKind::Bpe)
            .unwrap_err()
            .0
            .contains("can't read it as a tokenizer")
    );
}
