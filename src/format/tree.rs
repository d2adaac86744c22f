//! Tokens → lines of nodes: which statement a comment belongs to, which brackets hold what, and where the author
//! broke lines. Never decides where a line breaks. The text has been parsed, so all brackets have partners.

use crate::parse::scan::{Token, TokenKind};

/// What stands between two separators: a statement, a setting or an item; or a comment of its own.
pub struct Line<'a> {
    /// Whether the author left a line empty in front of it.
    pub blank_before: bool,
    /// Empty for a comment of its own.
    pub nodes: Vec<Node<'a>>,
    /// Behind the statement, or all there is.
    pub comment: Option<&'a str>,
}

/// A part of a statement.
pub enum Node<'a> {
    /// A word, a number, a string or a symbol.
    Leaf(Leaf<'a>),
    /// A comment within a statement; the text goes on in the next line.
    Comment {
        /// From `#` on.
        text: &'a str,
        /// Nothing stands in front of it on its line.
        own_line: bool,
    },
    /// `( )` or `[ ]`.
    Group {
        /// The opening bracket.
        open: Leaf<'a>,
        /// Between the brackets.
        nodes: Vec<Node<'a>>,
    },
    /// `{ }`.
    Block {
        /// Behind the brace, on its line.
        comment: Option<&'a str>,
        /// Between the braces.
        lines: Vec<Line<'a>>,
        /// The author wrote it on several lines.
        broken: bool,
    },
}

/// A token with what is known of the space in front of it.
pub struct Leaf<'a> {
    /// The token's text.
    pub text: &'a str,
    /// What it is.
    pub kind: TokenKind,
    /// Stands directly behind the token before it.
    pub attached: bool,
    /// The first of its line.
    pub first: bool,
}

/// The lines of a whole file.
pub fn lines<'a>(text: &'a str, tokens: &'a [Token]) -> Vec<Line<'a>> {
    let mut reader = Reader { text, tokens, at: 0 };
    reader.lines()
}

struct Reader<'a> {
    text: &'a str,
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn written(&self, token: &Token) -> &'a str {
        token.text(self.text)
    }

    /// Lines up to the end of the file or the brace that closes them, which is left.
    fn lines(&mut self) -> Vec<Line<'a>> {
        let mut lines: Vec<Line> = vec![];
        let mut newlines = 2;
        while let Some(token) = self.peek() {
            match token.kind {
                TokenKind::Close => break,
                TokenKind::Newline => {
                    newlines += 1;
                    self.at += 1;
                }
                TokenKind::Symbol if self.written(token) == ";" => self.at += 1,
                TokenKind::Comment => {
                    let comment = self.written(token);
                    self.at += 1;
                    match lines.last_mut().filter(|l| newlines == 0 && l.comment.is_none()) {
                        Some(last) => last.comment = Some(comment),
                        None => lines.push(Line {
                            blank_before: newlines > 1 && !lines.is_empty(),
                            nodes: vec![],
                            comment: Some(comment),
                        }),
                    }
                    newlines = 0;
                }
                _ => {
                    let blank_before = newlines > 1 && !lines.is_empty();
                    let nodes = self.nodes(false);
                    lines.push(Line {
                        blank_before,
                        nodes,
                        comment: None,
                    });
                    newlines = 0;
                }
            }
        }
        lines
    }

    /// Nodes up to a closing bracket or, outside of parentheses, a separator; either is left.
    fn nodes(&mut self, in_group: bool) -> Vec<Node<'a>> {
        let mut nodes = vec![];
        while let Some(token) = self.peek() {
            match token.kind {
                TokenKind::Close => break,
                TokenKind::Newline | TokenKind::Comment if !in_group && !self.arrow_follows() => break,
                TokenKind::Newline => self.at += 1,
                TokenKind::Symbol if !in_group && self.written(token) == ";" => break,
                TokenKind::Comment => {
                    nodes.push(Node::Comment {
                        text: self.written(token),
                        own_line: self.starts_line(),
                    });
                    self.at += 1;
                }
                TokenKind::Open if self.written(token) == "{" => nodes.push(self.block()),
                TokenKind::Open => {
                    let open = self.leaf(token);
                    let inner = self.nodes(true);
                    self.at += 1;
                    nodes.push(Node::Group { open, nodes: inner });
                }
                _ => nodes.push(Node::Leaf(self.leaf(token))),
            }
        }
        nodes
    }

    fn leaf(&mut self, token: &Token) -> Leaf<'a> {
        let before = self.at.checked_sub(1).map(|i| &self.tokens[i]);
        let leaf = Leaf {
            text: self.written(token),
            kind: token.kind,
            attached: before.is_some_and(|b| b.end == token.start && b.kind != TokenKind::Newline),
            first: self.starts_line(),
        };
        self.at += 1;
        leaf
    }

    fn block(&mut self) -> Node<'a> {
        self.at += 1;
        let comment = self
            .peek()
            .filter(|t| t.kind == TokenKind::Comment)
            .map(|t| self.written(t));
        if comment.is_some() {
            self.at += 1;
        }
        let opened = self.at;
        let lines = self.lines();
        let inside = &self.tokens[opened..self.at];
        let broken = inside.iter().any(|t| t.kind == TokenKind::Newline);
        self.at += 1;
        Node::Block { comment, lines, broken }
    }

    /// Nothing but a newline stands before the current token.
    fn starts_line(&self) -> bool {
        self.at == 0 || self.tokens[self.at - 1].kind == TokenKind::Newline
    }

    /// From a newline or a comment on, the next significant token goes on with the statement.
    fn arrow_follows(&self) -> bool {
        let next = self.tokens[self.at..].iter().find(|t| t.is_significant());
        next.is_some_and(|t| self.written(t) == "->")
    }
}
