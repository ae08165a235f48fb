//! Bytes as numbers and pieces. Behind its end an input is all zeros, so that every cut of a good
//! input is one too.

#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((first, rest)) => {
                self.rest = rest;
                *first
            }
            None => 0,
        }
    }

    pub(super) fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    pub(super) fn long(&mut self) -> u64 {
        u64::from_le_bytes([(); 8].map(|()| self.byte()))
    }

    /// An index below the bound; 0 where the bound is.
    pub(super) fn index(&mut self, bound: usize) -> usize {
        usize::from(self.word()) % bound.max(1)
    }

    /// A piece with its length in one byte before it.
    pub(super) fn piece(&mut self) -> &'a [u8] {
        let size = usize::from(self.byte());
        self.take(size)
    }

    /// A piece with its length in two bytes before it.
    pub(super) fn long_piece(&mut self) -> &'a [u8] {
        let size = usize::from(self.word());
        self.take(size)
    }

    fn take(&mut self, size: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(size.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }
}
