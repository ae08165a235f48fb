//! Instants as text, against an independent calendar.

use countersign::domain::time::Timestamp;
use proptest::prelude::{prop_assert_eq, proptest};

proptest! {
    #[test]
    fn instants_are_written_as_jiff_writes_them(micros in -62_167_219_200_000_000_i64..253_402_207_200_000_000) {
        let at = Timestamp::from_micros(micros);
        let independent = jiff::Timestamp::from_microsecond(micros).unwrap();
        prop_assert_eq!(at.rfc3339().to_string(), format!("{independent:.6}"));
        let whole = jiff::Timestamp::from_second(at.secs()).unwrap();
        prop_assert_eq!(at.rfc3339_seconds().to_string(), whole.to_string());
    }
}
