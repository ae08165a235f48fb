//! Three-letter country codes, as the card networks send them, to the two letters that we keep.

use std::sync::LazyLock;

use super::acceptor::{Country, CountrySet};

/// ISO 3166-1, sorted: three letters, two letters, a space. Beside the standard stand `ANT`
/// (Netherlands Antilles, withdrawn in 2010, still sent), and Kosovo as `QZZ` (the networks') and
/// `XKX`.
const ALPHA3_ALPHA2: &str = "\
ABWAW AFGAF AGOAO AIAAI ALAAX ALBAL ANDAD ANTAN AREAE ARGAR ARMAM ASMAS ATAAQ ATFTF \
ATGAG AUSAU AUTAT AZEAZ BDIBI BELBE BENBJ BESBQ BFABF BGDBD BGRBG BHRBH BHSBS BIHBA \
BLMBL BLRBY BLZBZ BMUBM BOLBO BRABR BRBBB BRNBN BTNBT BVTBV BWABW CAFCF CANCA CCKCC \
CHECH CHLCL CHNCN CIVCI CMRCM CODCD COGCG COKCK COLCO COMKM CPVCV CRICR CUBCU CUWCW \
CXRCX CYMKY CYPCY CZECZ DEUDE DJIDJ DMADM DNKDK DOMDO DZADZ ECUEC EGYEG ERIER ESHEH \
ESPES ESTEE ETHET FINFI FJIFJ FLKFK FRAFR FROFO FSMFM GABGA GBRGB GEOGE GGYGG GHAGH \
GIBGI GINGN GLPGP GMBGM GNBGW GNQGQ GRCGR GRDGD GRLGL GTMGT GUFGF GUMGU GUYGY HKGHK \
HMDHM HNDHN HRVHR HTIHT HUNHU IDNID IMNIM INDIN IOTIO IRLIE IRNIR IRQIQ ISLIS ISRIL \
ITAIT JAMJM JEYJE JORJO JPNJP KAZKZ KENKE KGZKG KHMKH KIRKI KNAKN KORKR KWTKW LAOLA \
LBNLB LBRLR LBYLY LCALC LIELI LKALK LSOLS LTULT LUXLU LVALV MACMO MAFMF MARMA MCOMC \
MDAMD MDGMG MDVMV MEXMX MHLMH MKDMK MLIML MLTMT MMRMM MNEME MNGMN MNPMP MOZMZ MRTMR \
MSRMS MTQMQ MUSMU MWIMW MYSMY MYTYT NAMNA NCLNC NERNE NFKNF NGANG NICNI NIUNU NLDNL \
NORNO NPLNP NRUNR NZLNZ OMNOM PAKPK PANPA PCNPN PERPE PHLPH PLWPW PNGPG POLPL PRIPR \
PRKKP PRTPT PRYPY PSEPS PYFPF QATQA QZZXK REURE ROURO RUSRU RWARW SAUSA SDNSD SENSN \
SGPSG SGSGS SHNSH SJMSJ SLBSB SLESL SLVSV SMRSM SOMSO SPMPM SRBRS SSDSS STPST SURSR \
SVKSK SVNSI SWESE SWZSZ SXMSX SYCSC SYRSY TCATC TCDTD TGOTG THATH TJKTJ TKLTK TKMTM \
TLSTL TONTO TTOTT TUNTN TURTR TUVTV TWNTW TZATZ UGAUG UKRUA UMIUM URYUY USAUS UZBUZ \
VATVA VCTVC VENVE VGBVG VIRVI VNMVN VUTVU WLFWF WSMWS XKXXK YEMYE ZAFZA ZMBZM ZWEZW ";

/// The countries of the table, for answers while an authorization waits.
static LISTED: LazyLock<CountrySet> = LazyLock::new(|| {
    let mut listed = CountrySet::new();
    let (rows, _) = ALPHA3_ALPHA2.as_bytes().as_chunks::<6>();
    for &[_, _, _, d, e, _] in rows {
        if let Some(country) = Country::from_packed(u16::from_be_bytes([d, e])) {
            listed.insert(country);
        }
    }
    listed
});

impl Country {
    /// Reads three ASCII letters of either case; absent where the table has no such country.
    #[must_use]
    pub fn parse_alpha3(text: &str) -> Option<Self> {
        let letters: [u8; 3] = text.as_bytes().try_into().ok()?;
        let wanted = letters.map(|letter| letter.to_ascii_uppercase());
        let (rows, _) = ALPHA3_ALPHA2.as_bytes().as_chunks::<6>();
        let at = rows
            .binary_search_by(|&[a, b, c, ..]| [a, b, c].cmp(&wanted))
            .ok()?;
        let &[_, _, _, d, e, _] = rows.get(at)?;
        Self::from_packed(u16::from_be_bytes([d, e]))
    }

    /// The three letters of the standard; absent where the table has no such country.
    #[must_use]
    pub fn alpha3(self) -> Option<&'static str> {
        let letters = self.packed().to_be_bytes();
        let mut rows = ALPHA3_ALPHA2.split(' ');
        let row = rows.find(|row| row.as_bytes().get(3..) == Some(&letters[..]))?;
        row.get(..3)
    }

    /// Whether the table has the country, so that a message can name it.
    #[must_use]
    pub fn is_listed(self) -> bool {
        LISTED.contains(self)
    }

    /// The country that a message names by two letters; absent where the table has no such country, so
    /// that it is as unknown as none at all (behaviour 2.14 f).
    #[must_use]
    pub fn of_message(alpha2: &str) -> Option<Self> {
        Self::parse_alpha2(alpha2).filter(|country| country.is_listed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_whole() {
        let (rows, rest) = ALPHA3_ALPHA2.as_bytes().as_chunks::<6>();
        assert!(rest.is_empty());
        assert_eq!(rows.len(), 249 + 3);
        assert!(rows.iter().all(|row| row[5] == b' '));
        assert!(rows.windows(2).all(|pair| pair[0][..3] < pair[1][..3]));
        for [a, b, c, d, e, _] in rows {
            let (long, short) = ([*a, *b, *c], [*d, *e]);
            assert_eq!(
                Country::parse_alpha3(str::from_utf8(&long).unwrap()),
                Country::parse_alpha2(str::from_utf8(&short).unwrap())
            );
        }
    }

    #[test]
    fn a_message_that_names_no_country_says_nothing() {
        assert_eq!(Country::of_message("us"), Country::parse_alpha2("US"));
        assert_eq!(["ZZ", "UK", "USA", ""].map(Country::of_message), [None; 4]);
    }

    #[test]
    fn two_letters_have_their_three() {
        let long = |text| Country::parse_alpha2(text).unwrap().alpha3();
        assert_eq!(long("US"), Some("USA"));
        assert_eq!(long("DE"), Some("DEU"));
        assert_eq!(long("XK"), Some("QZZ"), "as the networks write it");
        assert_eq!(long("ZW"), Some("ZWE"));
        assert_eq!(long("ZZ"), None);
    }

    #[test]
    fn pairs_of_letters_that_name_no_country_are_not_listed() {
        let listed = |text| Country::parse_alpha2(text).unwrap().is_listed();
        assert!(["US", "GB", "XK", "AN", "ZW"].into_iter().all(listed));
        assert!(!["UK", "ZZ", "EU", "XX"].into_iter().any(listed));
    }

    #[test]
    fn h10_only_a_known_country_is_a_country() {
        let expected = [
            ("USA", Some("US")),
            ("deu", Some("DE")),
            ("QZZ", Some("XK")),
            ("XKX", Some("XK")),
            ("ANT", Some("AN")),
            ("ZZZ", None),
            ("US", None),
            ("USAA", None),
            ("840", None),
            ("", None),
            ("U A", None),
            ("Üx", None),
        ];
        for (text, letters) in expected {
            let country = letters.and_then(Country::parse_alpha2);
            assert_eq!(Country::parse_alpha3(text), country, "{text}");
        }
    }
}
