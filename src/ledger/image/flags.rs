//! What a state says of its customer in few bits, and the currency that its sums are in.

use crate::domain::card::CustomerStatus;
use crate::domain::currency::Currency;
use crate::ledger::codec::{Malformed, Put, Reader};
use crate::ledger::state::State;

const INHERITED: u8 = 1;
const STATUS_SHIFT: u32 = 1;
/// A currency follows. Versions that knew none wrote none.
const HAS_CURRENCY: u8 = 4;

pub(super) fn put(out: &mut Vec<u8>, state: &State) {
    let mut flags = (state.status as u8) << STATUS_SHIFT;
    flags |= if state.inherited { INHERITED } else { 0 };
    flags |= state.currency.map_or(0, |_| HAS_CURRENCY);
    out.push(flags);
    if let Some(currency) = state.currency {
        out.put_u64(u64::from(currency.packed()));
    }
}

pub(super) fn read(reader: &mut Reader<'_>, state: &mut State) -> Result<(), Malformed> {
    let flags = reader.u8()?;
    state.inherited = flags & INHERITED != 0;
    let status = (flags & !HAS_CURRENCY) >> STATUS_SHIFT;
    state.status = CustomerStatus::from_number(status).ok_or(Malformed)?;
    if flags & HAS_CURRENCY != 0 {
        let currency = Currency::from_packed(reader.u16()?);
        state.currency = Some(currency.ok().ok_or(Malformed)?);
    }
    Ok(())
}
