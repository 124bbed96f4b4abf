//! The text in pieces, each with where it stands.

use std::ops::Range;

use super::Mistake;

/// A piece of the text and where it stands.
#[derive(Clone, Copy)]
pub struct Piece<'t> {
    pub text: &'t str,
    pub at: usize,
}

impl<'t> Piece<'t> {
    pub fn range(self) -> Range<usize> {
        self.at..self.at + self.text.len().max(1)
    }

    pub fn trim(self) -> Self {
        let start = self.text.len() - self.text.trim_start().len();
        Self { text: self.text.trim(), at: self.at + start }
    }

    /// The parts between separators, each where it stands. A separator inside `(…)`, `{…}` or `[…)` separates
    /// nothing.
    pub fn split(self, separator: &str) -> Vec<Self> {
        let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_i32);
        let mut index = 0;
        while index < self.text.len() {
            match self.text.as_bytes()[index] {
                b'(' | b'{' | b'[' => depth += 1,
                b')' | b'}' | b']' => depth -= 1,
                _ => {}
            }
            if depth <= 0 && self.text[index..].starts_with(separator) {
                parts.push(Self { text: &self.text[start..index], at: self.at + start }.trim());
                index += separator.len();
                start = index;
            } else {
                index += self.text[index..].chars().next().map_or(1, char::len_utf8);
            }
        }
        parts.push(Self { text: &self.text[start..], at: self.at + start }.trim());
        parts
    }

    pub fn words(self) -> Words<'t> {
        Words {
            pieces: self.split(" ").into_iter().filter(|piece| !piece.text.is_empty()).collect(),
            next: 0,
            whole: self,
        }
    }

    pub fn mistake(self, problem: impl Into<String>) -> Mistake {
        Mistake { at: self.range(), problem: problem.into() }
    }
}

/// The words of a piece, taken one by one.
pub struct Words<'t> {
    pieces: Vec<Piece<'t>>,
    next: usize,
    whole: Piece<'t>,
}

impl<'t> Words<'t> {
    pub fn peek(&self) -> Option<Piece<'t>> {
        self.pieces.get(self.next).copied()
    }

    pub fn take(&mut self) -> Option<Piece<'t>> {
        let piece = self.peek();
        self.next += usize::from(piece.is_some());
        piece
    }

    /// Takes all that are left.
    pub fn take_all(&mut self) {
        self.next = self.pieces.len();
    }

    pub fn need(&mut self, what: &str) -> Result<Piece<'t>, Mistake> {
        self.take().ok_or_else(|| self.whole.mistake(format!("{what} is missing")))
    }

    pub fn end(&self) -> Result<(), Mistake> {
        match self.peek() {
            None => Ok(()),
            Some(piece) => Err(piece.mistake(format!("`{}` is not expected here", piece.text))),
        }
    }
}
