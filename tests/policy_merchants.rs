//! Merchants' names made comparable (behaviour 2.14 c, e; hazards H10, M5).
#![cfg(test)]

#[path = "policy_merchants/corpus.rs"]
mod corpus;
#[path = "support/dice.rs"]
mod dice;
#[path = "policy_merchants/oracle.rs"]
mod oracle;
#[path = "policy_merchants/pairs.rs"]
mod pairs;

use std::borrow::Cow;

use countersign::decide::merchant_text::{MerchantText, merchant_keys};
use countersign::domain::acceptor::{CardAcceptor, Country};
use countersign::domain::claims::MerchantKeys;
use countersign::domain::mcc::Mcc;
use countersign::fingerprint::Fingerprinter;
use proptest::prelude::{any, prop_assert, prop_assert_eq, prop_assume, proptest};

fn normal(name: &str) -> String {
    MerchantText::of(name).as_str().to_owned()
}

fn merchant(acceptor_id: Option<&str>, descriptor: &str) -> MerchantKeys {
    let acceptor = CardAcceptor {
        acquirer_id: Some(Cow::Borrowed("acq")),
        acceptor_id: acceptor_id.map(Cow::Borrowed),
        descriptor: Cow::Borrowed(descriptor),
        mcc: Mcc::parse("5814").ok(),
        city: Cow::Borrowed(""),
        country: Country::parse_alpha2("US"),
    };
    merchant_keys(&Fingerprinter::new(5), &acceptor)
}

#[test]
fn m5_spellings_of_one_merchant_become_one() {
    let cases = [
        ("Blue Bottle", "BLUE BOTTLE"),
        ("  blue \t bottle\r\n", "BLUE BOTTLE"),
        ("WALMART #1234", "WALMART"),
        ("STARBUCKS STORE 05921", "STARBUCKS STORE"),
        ("SHELL OIL 57444212345 # HOUSTON", "SHELL OIL HOUSTON"),
        ("7 ELEVEN 34521", "7 ELEVEN"),
        ("24 HOUR FITNESS", "24 HOUR FITNESS"),
        ("1800 FLOWERS", "1800 FLOWERS"),
        ("PIER 39", "PIER 39"),
        ("CAF\u{c9} caf\u{e9}", "CAFÉ CAFÉ"),
        ("straße", "STRASSE"),
        ("BLUE\u{200b}BO\u{ad}TTLE", "BLUEBOTTLE"),
        ("\u{202e}ELTTOB\u{202c} EULB", "ELTTOB EULB"),
        ("A\u{0}B\u{1b}[31m", "A B [31M"),
        ("A\u{a0}\u{3000}B", "A B"),
        ("", ""),
        ("#", "#"),
        (" 1234 ", "1234"),
    ];
    for (name, expected) in cases {
        assert_eq!(normal(name), expected, "{name:?}");
    }
}

#[test]
fn m5_the_shop_behind_an_aggregator_is_found() {
    let cases = [
        ("SQ *BLUE BOTTLE", Some("BLUE BOTTLE")),
        ("Sq  * Blue Bottle #12", Some("BLUE BOTTLE")),
        ("SQ*BLUE BOTTLE", Some("BLUE BOTTLE")),
        ("PAYPAL *EBAY", Some("EBAY")),
        ("PP*ACME", Some("ACME")),
        ("TST* DINER", Some("DINER")),
        ("SP BIRD TOYS", Some("BIRD TOYS")),
        ("SP * BIRD TOYS", Some("BIRD TOYS")),
        ("SQ *", None),
        ("SQUARE ENIX", None),
        ("SPOTIFY", None),
        ("PAYPAL", None),
        ("AMZN Mktp US*2X4", None),
        ("NOT SQ *SHOP", None),
    ];
    for (name, expected) in cases {
        assert_eq!(MerchantText::of(name).sub_merchant(), expected, "{name}");
    }
}

#[test]
fn two_shops_of_one_aggregator_are_two_merchants() {
    let first = merchant(Some("sq"), "SQ *BLUE BOTTLE");
    assert!(first.is_same_merchant(&merchant(Some("sq"), "SQ *BLUE BOTTLE #7")));
    assert!(!first.is_same_merchant(&merchant(Some("sq"), "SQ *RED BOTTLE")));
    assert!(first.is_same_merchant(&merchant(Some("other"), "sq *blue bottle")));
    assert!(!first.is_same_merchant(&merchant(Some("other"), "BLUE BOTTLE")));
    let plain = merchant(Some("mid"), "CITY BOOKS ONLINE");
    assert!(plain.is_same_merchant(&merchant(Some("mid"), "CITYBOOKS*ORDER 12")));
    assert!(!plain.is_same_merchant(&merchant(None, "CITY BOOKS")));
}

#[test]
fn merchants_without_a_name_are_told_apart_by_their_ids() {
    for blank in ["", "  ", "\u{200b}", "\u{0}"] {
        let one = merchant(Some("m1"), blank);
        assert!(one.is_same_merchant(&merchant(Some("m1"), "")));
        assert!(!one.is_same_merchant(&merchant(Some("m2"), blank)));
        assert!(!one.is_same_merchant(&merchant(None, blank)));
    }
}

fn weak(descriptor: &str, mcc: Option<&str>, country: &str) -> u64 {
    let acceptor = CardAcceptor {
        acquirer_id: None,
        acceptor_id: None,
        descriptor: Cow::Borrowed(descriptor),
        mcc: mcc.and_then(|mcc| Mcc::parse(mcc).ok()),
        city: Cow::Borrowed(""),
        country: Country::parse_alpha2(country),
    };
    merchant_keys(&Fingerprinter::new(5), &acceptor).weak
}

#[test]
fn category_and_country_are_part_of_a_merchant_without_ids() {
    for name in ["SHOP", ""] {
        let base = weak(name, Some("5814"), "US");
        assert_eq!(base, weak(name, Some("5814"), "us"));
        for other in [
            weak(name, Some("5815"), "US"),
            weak(name, None, "US"),
            weak(name, Some("5814"), "CA"),
            weak(name, Some("5814"), ""),
        ] {
            assert_ne!(base, other, "{name}");
        }
    }
}

#[test]
fn both_ids_make_a_strong_identity_and_keep_apart() {
    let strong = |acquirer: Option<&'static str>, id: Option<&'static str>| {
        let acceptor = CardAcceptor {
            acquirer_id: acquirer.map(Cow::Borrowed),
            acceptor_id: id.map(Cow::Borrowed),
            descriptor: Cow::Borrowed("SHOP"),
            mcc: None,
            city: Cow::Borrowed(""),
            country: None,
        };
        merchant_keys(&Fingerprinter::new(5), &acceptor).strong
    };
    assert_ne!(strong(Some("ab"), Some("c")), strong(Some("a"), Some("bc")));
    assert_eq!(strong(Some("ab"), Some("c")), strong(Some("ab"), Some("c")));
    assert_eq!(strong(Some("ab"), None), None);
    assert_eq!(strong(None, Some("c")), None);
}

/// Text that could stand in a descriptor, with what hostile ones contain.
const NAME: &str =
    "[ #*a-zA-Z0-9'\u{df}\u{149}\u{200b}\u{202e}\u{a0}\u{3000}\t\u{0}\u{1b}\u{fb03}]{0,40}";

proptest! {
    #[test]
    fn m4_normalising_twice_changes_nothing(name in NAME) {
        let once = normal(&name);
        prop_assert_eq!(normal(&once), once);
    }

    #[test]
    fn h10_any_text_is_normalised_without_panic(name: String, repeat in 1_usize..40) {
        let once = normal(&name.repeat(repeat));
        prop_assert!(!once.chars().any(char::is_control));
        prop_assert!(!once.starts_with(' ') && !once.ends_with(' ') && !once.contains("  "));
        prop_assert_eq!(normal(&once), once);
    }

    #[test]
    fn m5_truncation_never_panics_and_never_joins_other_shops(
        shop in "[A-Z]{1,12}( [A-Z]{1,12}){0,3}", length in prop_oneof_lengths(), id in any::<bool>(),
    ) {
        let whole = format!("SQ *{shop}");
        let cut: String = whole.chars().take(length).collect();
        let acceptor_id = id.then_some("sq");
        let (whole, cut_keys) = (merchant(acceptor_id, &whole), merchant(acceptor_id, &cut));
        if cut.trim_end().len() < shop.len() + 4 && MerchantText::of(&cut).sub_merchant().is_some() {
            prop_assert!(!whole.is_same_merchant(&cut_keys));
        }
    }

    #[test]
    fn different_shops_under_one_acceptor_are_different_merchants(
        mark in 0_usize..6, one in "[A-Z][A-Z ]{0,20}", other in "[A-Z][A-Z ]{0,20}",
    ) {
        let mark = ["SQ *", "PAYPAL *", "PP*", "TST* ", "SP ", "IZ *"][mark];
        prop_assume!(normal(&one) != normal(&other));
        let (one, other) = (format!("{mark}{one}"), format!("{mark}{other}"));
        prop_assert!(!merchant(Some("m"), &one).is_same_merchant(&merchant(Some("m"), &other)));
        prop_assert!(merchant(Some("m"), &one).is_same_merchant(&merchant(Some("m"), &one)));
    }
}

/// Where networks cut names.
fn prop_oneof_lengths() -> impl proptest::strategy::Strategy<Value = usize> {
    proptest::sample::select(vec![22_usize, 25, 40])
}

#[test]
fn every_character_alone_is_stable() {
    for char in '\0'..=char::MAX {
        let mut buffer = [0; 4];
        let once = MerchantText::of(char.encode_utf8(&mut buffer));
        assert_eq!(normal(once.as_str()), once.as_str(), "{char:?}");
    }
}
