//! The grammar of the three headers: one reading each, or none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::SIGNATURES_MAX;
use crate::issuer::delivery::SignatureRefused;
use crate::issuer::mac::MAC_SIZE;

/// Longer ids are nobody's.
const ID_SIZE_MAX: usize = 255;

/// The delivery's id as text. A full stop is refused: the signed bytes use it as their separator,
/// so that an id with one could be read as a shorter id with another timestamp.
pub(super) fn delivery_id(value: &[u8]) -> Result<&str, SignatureRefused> {
    let visible = |byte: &u8| byte.is_ascii_graphic() && *byte != b'.';
    if value.is_empty() || value.len() > ID_SIZE_MAX || !value.iter().all(visible) {
        return Err(SignatureRefused::IdMalformed);
    }
    str::from_utf8(value).map_err(|_not_ascii| SignatureRefused::IdMalformed)
}

/// The `v1` signatures of one header, decoded onto the stack.
pub(super) struct Candidates {
    macs: [[u8; MAC_SIZE]; SIGNATURES_MAX],
    count: usize,
}

impl Candidates {
    /// Reads entries parted by single spaces. Versions other than `v1` are passed over, whatever
    /// they hold; a malformed `v1` entry spoils the header.
    pub(super) fn parse(value: &[u8]) -> Result<Self, SignatureRefused> {
        let mut found = Self {
            macs: [[0; MAC_SIZE]; SIGNATURES_MAX],
            count: 0,
        };
        for entry in value.split(|byte| *byte == b' ') {
            let comma = entry.iter().position(|byte| *byte == b',');
            let (version, signature) = comma
                .and_then(|at| entry.split_at_checked(at))
                .ok_or(SignatureRefused::SignatureMalformed)?;
            match version {
                b"v1" => found.push(signature.get(1..).unwrap_or_default())?,
                b"" => return Err(SignatureRefused::SignatureMalformed),
                _ => {}
            }
        }
        if found.count == 0 {
            return Err(SignatureRefused::NoKnownVersion);
        }
        Ok(found)
    }

    fn push(&mut self, text: &[u8]) -> Result<(), SignatureRefused> {
        let slot = self
            .macs
            .get_mut(self.count)
            .ok_or(SignatureRefused::TooManySignatures)?;
        // The decoder wants whole groups of three; whatever does not fill exactly a MAC is none.
        // Only one text decodes to each MAC: padding and the last bits are checked.
        let mut decoded = [0; MAC_SIZE + 1];
        if STANDARD.decode_slice(text, &mut decoded) != Ok(MAC_SIZE) {
            return Err(SignatureRefused::SignatureMalformed);
        }
        let [mac @ .., _] = decoded;
        *slot = mac;
        self.count += 1;
        Ok(())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8; MAC_SIZE]> {
        self.macs.iter().take(self.count)
    }
}
