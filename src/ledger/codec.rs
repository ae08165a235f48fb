//! Numbers and texts as bytes: variable-length integers, fixed keys, short texts.
//!
//! Reading is total: whatever the bytes, the answer is a value or [`Malformed`].

use std::fmt;

use crate::domain::card::Key;

/// The bytes are no event of this format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl From<std::num::TryFromIntError> for Malformed {
    fn from(_: std::num::TryFromIntError) -> Self {
        Self
    }
}

impl From<std::array::TryFromSliceError> for Malformed {
    fn from(_: std::array::TryFromSliceError) -> Self {
        Self
    }
}

impl From<std::str::Utf8Error> for Malformed {
    fn from(_: std::str::Utf8Error) -> Self {
        Self
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed event")
    }
}

pub(in crate::ledger) trait Put {
    fn put_u64(&mut self, value: u64);
    fn put_i64(&mut self, value: i64);
    fn put_key(&mut self, key: Key);
    fn put_fixed_u64(&mut self, value: u64);
    fn put_text(&mut self, text: &str);
    fn put_external_id(&mut self, text: &str);
}

impl Put for Vec<u8> {
    fn put_u64(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        self.push((value & 0x7F) as u8);
    }

    fn put_i64(&mut self, value: i64) {
        let zigzag = (value << 1) ^ (value >> 63);
        self.put_u64(u64::from_ne_bytes(zigzag.to_ne_bytes()));
    }

    fn put_key(&mut self, key: Key) {
        self.extend_from_slice(&key.0.to_le_bytes());
    }

    fn put_fixed_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_text(&mut self, text: &str) {
        self.put_u64(text.len() as u64);
        self.extend_from_slice(text.as_bytes());
    }

    /// An issuer's id: a UUID in its usual spelling takes 17 bytes, anything else its text.
    fn put_external_id(&mut self, text: &str) {
        if let Some(bytes) = uuid_bytes(text) {
            self.push(0);
            self.extend_from_slice(&bytes);
        } else {
            self.put_u64(text.len() as u64 + 1);
            self.extend_from_slice(text.as_bytes());
        }
    }
}

/// The sixteen bytes of a UUID in lower case with hyphens; absent for any other text.
fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let text = text.as_bytes();
    if text.len() != 36 {
        return None;
    }
    let nibble = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0u8; 16];
    let mut written = 0usize;
    let mut at = 0usize;
    while at < 36 {
        if matches!(at, 8 | 13 | 18 | 23) {
            if text.get(at) != Some(&b'-') {
                return None;
            }
            at += 1;
            continue;
        }
        let high = nibble(*text.get(at)?)?;
        let low = nibble(*text.get(at + 1)?)?;
        *bytes.get_mut(written)? = high << 4 | low;
        written += 1;
        at += 2;
    }
    Some(bytes)
}

/// An issuer's id as it was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternalId<'a> {
    /// A UUID.
    Uuid([u8; 16]),
    /// Any other text.
    Text(&'a str),
}

impl<'a> ExternalId<'a> {
    /// The compact form of an id.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        uuid_bytes(text).map_or(Self::Text(text), Self::Uuid)
    }
}

impl fmt::Display for ExternalId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Uuid(bytes) => {
                for (at, byte) in bytes.iter().enumerate() {
                    if matches!(at, 4 | 6 | 8 | 10) {
                        f.write_str("-")?;
                    }
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

/// Reads what [`Put`] wrote.
pub(in crate::ledger) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(in crate::ledger) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(in crate::ledger) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(in crate::ledger) fn rest(self) -> &'a [u8] {
        self.rest
    }

    fn take(&mut self, size: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(size).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        Ok(self.take(N)?.try_into()?)
    }

    pub(in crate::ledger) fn u8(&mut self) -> Result<u8, Malformed> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(in crate::ledger) fn u64(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7F);
            if shift == 63 && bits > 1 {
                return Err(Malformed);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    pub(in crate::ledger) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::try_from(self.u64()?)?)
    }

    pub(in crate::ledger) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::try_from(self.u64()?)?)
    }

    pub(in crate::ledger) fn i64(&mut self) -> Result<i64, Malformed> {
        let zigzag = self.u64()?;
        let magnitude = i64::from_ne_bytes((zigzag >> 1).to_ne_bytes());
        Ok(magnitude ^ -i64::from(zigzag & 1 == 1))
    }

    pub(in crate::ledger) fn i32(&mut self) -> Result<i32, Malformed> {
        Ok(i32::try_from(self.i64()?)?)
    }

    pub(in crate::ledger) fn key(&mut self) -> Result<Key, Malformed> {
        Ok(Key(u128::from_le_bytes(self.array()?)))
    }

    pub(in crate::ledger) fn fixed_u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text_of(&mut self, size: u64) -> Result<&'a str, Malformed> {
        let size = usize::try_from(size)?;
        Ok(str::from_utf8(self.take(size)?)?)
    }

    pub(in crate::ledger) fn text(&mut self) -> Result<&'a str, Malformed> {
        let size = self.u64()?;
        self.text_of(size)
    }

    pub(in crate::ledger) fn external_id(&mut self) -> Result<ExternalId<'a>, Malformed> {
        match self.u64()? {
            0 => Ok(ExternalId::Uuid(self.array()?)),
            size => Ok(ExternalId::Text(self.text_of(size - 1)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_round_trip() {
        let mut bytes = Vec::new();
        let unsigned = [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            u64::from(u32::MAX),
            u64::MAX,
        ];
        let signed = [0, -1, 1, i64::MIN, i64::MAX, -64, 64];
        let ids = [
            "",
            "x",
            "0b1f7c52-6b7a-4c5d-9f51-3b0c5a6f0a01",
            "0B1F7C52-6B7A-4C5D-9F51-3B0C5A6F0A01",
        ];
        unsigned.iter().for_each(|n| bytes.put_u64(*n));
        signed.iter().for_each(|n| bytes.put_i64(*n));
        ids.iter().for_each(|id| bytes.put_external_id(id));
        bytes.put_text("ÜBER");
        let mut reader = Reader::new(&bytes);
        for n in unsigned {
            assert_eq!(reader.u64(), Ok(n));
        }
        for n in signed {
            assert_eq!(reader.i64(), Ok(n));
        }
        for id in ids {
            assert_eq!(reader.external_id().unwrap().to_string(), id);
        }
        assert_eq!(reader.text(), Ok("ÜBER"));
        assert!(reader.is_empty());
        assert_eq!(reader.u8(), Err(Malformed));
    }

    #[test]
    fn a_number_beyond_64_bits_is_malformed() {
        assert_eq!(Reader::new(&[0xFF; 10]).u64(), Err(Malformed));
        assert_eq!(Reader::new(&[0xFF; 9]).u64(), Err(Malformed));
        for (last, read) in [
            (0, Ok(u64::MAX >> 1)),
            (1, Ok(u64::MAX)),
            (2, Err(Malformed)),
        ] {
            let mut bytes = [0xFF; 10];
            bytes[9] = last;
            assert_eq!(Reader::new(&bytes).u64(), read, "{last}");
        }
        assert_eq!(Malformed.to_string(), "malformed event");
    }
}
