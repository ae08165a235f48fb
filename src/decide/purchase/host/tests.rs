use super::*;

fn of(text: &str) -> Result<String, HostRefused> {
    Host::of_url(text).map(|host| host.as_str().to_owned())
}

/// Behaviour 5.2, its own examples.
#[test]
fn domains_are_compared_by_labels() {
    let amazon = Host::of_rule("amazon.com").unwrap();
    for url in [
        "amazon.com",
        "aws.amazon.com",
        "AMAZON.com.",
        "https://amazon.com:443/x",
    ] {
        assert!(amazon.covers(&Host::of_url(url).unwrap()), "{url}");
    }
    for url in ["evilamazon.com", "amazon.com.evil.net", "amazon.co"] {
        assert!(!amazon.covers(&Host::of_url(url).unwrap()), "{url}");
    }
    assert_eq!(of("amazon.com@evil.net"), Err(HostRefused::UserName));
    let aws = Host::of_rule("aws.amazon.com").unwrap();
    assert!(!aws.covers(&Host::of_url("amazon.com").unwrap()));
    assert!(aws.covers(&Host::of_url("http://eu.aws.amazon.com?x=1").unwrap()));
}

/// Behaviour 5.2.
#[test]
fn international_names_are_a_labels_and_scripts_do_not_mix() {
    assert_eq!(of("https://bücher.de/1").unwrap(), "xn--bcher-kva.de");
    assert_eq!(of("BÜCHER.de").unwrap(), "xn--bcher-kva.de");
    assert_eq!(of("xn--bcher-kva.de").unwrap(), "xn--bcher-kva.de");
    assert_eq!(of("ａｍａｚｏｎ．com").unwrap(), "amazon.com", "full width");
    assert_eq!(
        of("例え.jp").unwrap(),
        "xn--r8jz45g.jp",
        "kanji and kana are one script"
    );
    // A Cyrillic а among Latin letters, as letters and as an A-label.
    assert_eq!(of("аmazon.com"), Err(HostRefused::NoName));
    assert_eq!(of("xn--mazon-3ve.com"), Err(HostRefused::NoName));
    // Whole in Cyrillic, it is another name.
    assert_ne!(of("аррӏе.com").unwrap(), "apple.com");
}

/// Behaviour 5.2.
#[test]
fn what_names_no_domain_is_refused() {
    for (url, why) in [
        ("127.0.0.1", HostRefused::IpLiteral),
        ("https://2130706433/", HostRefused::IpLiteral),
        ("0x7f000001", HostRefused::IpLiteral),
        ("http://1.2.3.0x4/", HostRefused::IpLiteral),
        ("https://[::1]/", HostRefused::IpLiteral),
        ("１２７.0.0.1", HostRefused::IpLiteral),
        ("localhost", HostRefused::SingleLabel),
        ("https://com/", HostRefused::SingleLabel),
        ("https://user:pass@shop.example.com/", HostRefused::UserName),
        ("https://amazon.com\\@evil.net/", HostRefused::NoAddress),
        ("https://amazon.com /", HostRefused::NoAddress),
        ("https://amazon.com\t.evil.net", HostRefused::NoAddress),
        ("javascript:alert(1)", HostRefused::NoAddress),
        ("ftp://amazon.com/", HostRefused::NoAddress),
        ("https://amazon.com:99999/", HostRefused::NoAddress),
        ("https://amazon.com:/", HostRefused::NoAddress),
        ("https:///amazon.com", HostRefused::NoName),
        ("amazon..com", HostRefused::NoName),
        ("-amazon.com", HostRefused::NoName),
        ("ama%7aon.com", HostRefused::NoName),
        ("", HostRefused::NoAddress),
    ] {
        assert_eq!(of(url), Err(why), "{url}");
    }
    assert_eq!(
        of(&format!("https://a.com/{}", "x".repeat(URL_LEN_MAX))),
        Err(HostRefused::NoAddress)
    );
    assert_eq!(
        of("shop.example.com/r?to=https://evil.net/").unwrap(),
        "shop.example.com"
    );
}

/// Behaviour 5.2. What is mapped to nothing would leave another name than the one that was written.
#[test]
fn m1_a_host_with_characters_that_are_not_seen_is_refused() {
    for unseen in [
        '\u{ad}',
        '\u{34f}',
        '\u{61c}',
        '\u{115f}',
        '\u{180b}',
        '\u{180e}',
        '\u{200b}',
        '\u{200c}',
        '\u{200d}',
        '\u{200f}',
        '\u{202e}',
        '\u{2060}',
        '\u{2064}',
        '\u{3164}',
        '\u{fe00}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{e0101}',
    ] {
        let code = u32::from(unseen);
        for url in [
            format!("https://ama{unseen}zon.com/x"),
            format!("ama{unseen}zon.com"),
            format!("amazon{unseen}.com:443"),
            format!("amazon.com{unseen}"),
            format!("amazon.com{unseen}."),
        ] {
            assert_eq!(of(&url), Err(HostRefused::Unseen), "U+{code:04X} {url:?}");
        }
        let rule = Host::of_rule(&format!("ama{unseen}zon.com"));
        assert_eq!(rule, Err(HostRefused::Unseen), "U+{code:04X}");
        // What comes after the host names nobody.
        let path = of(&format!("https://amazon.com/a{unseen}"));
        assert_eq!(path.unwrap(), "amazon.com", "U+{code:04X}");
    }
}

/// Behaviour 5.2.
#[test]
fn a_public_suffix_is_no_rule() {
    for rule in ["co.uk", "github.io", "com.au"] {
        assert_eq!(
            Host::of_rule(rule),
            Err(HostRefused::PublicSuffix),
            "{rule}"
        );
    }
    for rule in ["example.co.uk", "someone.github.io", "amazon.com"] {
        assert!(Host::of_rule(rule).is_ok(), "{rule}");
    }
    assert_eq!(Host::of_rule("com"), Err(HostRefused::SingleLabel));
    assert_eq!(
        Host::of_rule("https://amazon.com"),
        Err(HostRefused::NoName)
    );
    assert_eq!(Host::of_rule("*.amazon.com"), Err(HostRefused::NoName));
}
