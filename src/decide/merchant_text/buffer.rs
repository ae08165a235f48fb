//! Text that is made on the hot path: on the stack unless it is longer than any network's name.

/// Bytes that are kept without allocating. Networks carry at most 40 characters of name; what is
/// longer takes the slow road, not another rule.
const INLINE_BYTES: usize = 160;

/// Text that grows at its end.
#[derive(Clone, Debug)]
pub(super) struct Buffer {
    inline: [u8; INLINE_BYTES],
    len: usize,
    /// The whole text where it is longer than `inline`.
    long: Vec<u8>,
}

impl Buffer {
    pub(super) fn new() -> Self {
        Self {
            inline: [0; INLINE_BYTES],
            len: 0,
            long: Vec::new(),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(self.bytes()).unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        if self.long.is_empty() {
            self.inline.get(..self.len).unwrap_or_default()
        } else {
            &self.long
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes().len()
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if !self.long.is_empty() {
            self.long.extend_from_slice(bytes);
        } else if let Some(free) = self.inline.get_mut(self.len..end) {
            free.copy_from_slice(bytes);
            self.len = end;
        } else {
            self.long = [self.bytes(), bytes].concat();
        }
    }

    pub(super) fn push_byte(&mut self, byte: u8) {
        match self.inline.get_mut(self.len) {
            Some(free) if self.long.is_empty() => {
                *free = byte;
                self.len += 1;
            }
            _ => self.push(&[byte]),
        }
    }

    pub(super) fn push_char(&mut self, char: char) {
        let mut bytes = [0; 4];
        self.push(char.encode_utf8(&mut bytes).as_bytes());
    }

    pub(super) fn truncate(&mut self, len: usize) {
        if self.long.is_empty() {
            self.len = self.len.min(len);
        } else {
            // The long text never shrinks back to nothing: the first word stays in it.
            self.long.truncate(len);
        }
    }
}
