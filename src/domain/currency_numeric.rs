//! Three-digit currency codes, as the card networks send them.

use super::currency::Currency;

/// ISO 4217, sorted: three digits, three letters, a space. 532 is XCG, which took it over from ANG.
const NUMERIC_ALPHA: &str = "\
008ALL 012DZD 032ARS 036AUD 044BSD 048BHD 050BDT 051AMD 052BBD 060BMD 064BTN 068BOB 072BWP \
084BZD 090SBD 096BND 104MMK 108BIF 116KHR 124CAD 132CVE 136KYD 144LKR 152CLP 156CNY 170COP \
174KMF 188CRC 192CUP 203CZK 208DKK 214DOP 222SVC 230ETB 232ERN 238FKP 242FJD 262DJF 270GMD \
292GIP 320GTQ 324GNF 328GYD 332HTG 340HNL 344HKD 348HUF 352ISK 356INR 360IDR 364IRR 368IQD \
376ILS 388JMD 392JPY 398KZT 400JOD 404KES 408KPW 410KRW 414KWD 417KGS 418LAK 422LBP 426LSL \
430LRD 434LYD 446MOP 454MWK 458MYR 462MVR 480MUR 484MXN 496MNT 498MDL 504MAD 512OMR 516NAD \
524NPR 532XCG 533AWG 548VUV 554NZD 558NIO 566NGN 578NOK 586PKR 590PAB 598PGK 600PYG 604PEN \
608PHP 634QAR 643RUB 646RWF 654SHP 682SAR 690SCR 702SGD 704VND 706SOS 710ZAR 728SSP 748SZL \
752SEK 756CHF 760SYP 764THB 776TOP 780TTD 784AED 788TND 800UGX 807MKD 818EGP 826GBP 834TZS \
840USD 858UYU 860UZS 882WST 886YER 901TWD 924ZWG 925SLE 926VED 927UYW 928VES 929MRU 930STN \
933BYN 934TMT 936GHS 938SDG 940UYI 941RSD 943MZN 944AZN 946RON 947CHE 948CHW 949TRY 950XAF \
951XCD 952XOF 953XPF 967ZMW 968SRD 969MGA 970COU 971AFN 972TJS 973AOA 975BGN 976CDF 977BAM \
978EUR 979MXV 980UAH 981GEL 984BOV 985PLN 986BRL 990CLF 997USN ";

impl Currency {
    /// Reads the three digits; absent where no currency of the registry has them.
    #[must_use]
    pub fn parse_numeric(text: &str) -> Option<Self> {
        let (rows, _) = NUMERIC_ALPHA.as_bytes().as_chunks::<7>();
        let &[a, b, c] = text.as_bytes() else {
            return None;
        };
        let at = rows
            .binary_search_by(|[x, y, z, ..]| [*x, *y, *z].cmp(&[a, b, c]))
            .ok()?;
        let [_, _, _, letters @ .., _] = rows.get(at)?;
        Self::parse(str::from_utf8(letters).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_every_currency_but_one() {
        let (rows, rest) = NUMERIC_ALPHA.as_bytes().as_chunks::<7>();
        assert!(rest.is_empty());
        assert!(rows.windows(2).all(|pair| pair[0][..3] < pair[1][..3]));
        let mut named: Vec<_> = rows
            .iter()
            .map(|row| {
                let (digits, letters) = (&row[..3], &row[3..6]);
                let currency = Currency::parse_numeric(str::from_utf8(digits).unwrap()).unwrap();
                assert_eq!(currency.code().as_str().as_bytes(), letters);
                currency
            })
            .collect();
        named.push(Currency::parse("ANG").unwrap());
        named.sort_unstable();
        assert_eq!(named, Currency::all().collect::<Vec<_>>());
    }

    #[test]
    fn h6_only_a_known_number_is_a_currency() {
        let expected = [
            ("840", Some("USD")),
            ("978", Some("EUR")),
            ("036", Some("AUD")),
            ("532", Some("XCG")),
            ("36", None),
            ("0840", None),
            ("999", None),
            ("963", None),
            ("000", None),
            ("USD", None),
            ("", None),
        ];
        for (text, code) in expected {
            let currency = code.map(|code| Currency::parse(code).unwrap());
            assert_eq!(Currency::parse_numeric(text), currency, "{text}");
        }
    }
}
