//! The merchants that the requests name. None is cash, fuel or quasi-cash, so that a default policy
//! approves them all.

/// What the template needs to know; every text is already escaped for JSON.
#[derive(Clone, Debug)]
pub(crate) struct Merchant {
    pub(crate) acceptor_id: String,
    pub(crate) acquirer_id: String,
    pub(crate) descriptor: String,
    pub(crate) mcc: &'static str,
    pub(crate) place: &'static Place,
}

#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) city: &'static str,
    pub(crate) state: &'static str,
    pub(crate) country: &'static str,
    pub(crate) postal_code: &'static str,
    pub(crate) street: &'static str,
    pub(crate) phone: &'static str,
}

/// Descriptor and MCC. Prefixes of aggregators, quotes, escapes and letters beyond ASCII are all
/// ordinary.
const TRADES: [(&str, &str); 16] = [
    ("CLOUDWORKS *COMPUTE", "7372"),
    ("STELLAR HOSTING INC", "4816"),
    ("API METERED BILLING", "5734"),
    ("NORTHWIND SOFTWARE", "5817"),
    ("SQ *CORNER COFFEE", "5814"),
    ("PAYPAL *DATASETS4U", "5818"),
    ("MAMA\\u0027S KITCHEN", "5812"),
    ("BLUE SKY AIRLINES", "4511"),
    ("GRAND HOTEL", "7011"),
    ("CAFÉ MÜNCHEN", "5812"),
    ("PAPER & INK SUPPLY", "5111"),
    ("THE \\\"GOOD\\\" BOOKSHOP", "5942"),
    ("ELECTRO PARTS", "5732"),
    ("OFFICE OUTLET", "5943"),
    ("AD EXCHANGE", "7311"),
    ("RIDE NOW *TRIP", "4121"),
];

const PLACES: [Place; 4] = [
    Place {
        city: "SAN FRANCISCO",
        state: "CA",
        country: "USA",
        postal_code: "94107-1202",
        street: "548 Market Street, Suite 1203",
        phone: "+14155550123",
    },
    Place {
        city: "SEATTLE",
        state: "WA",
        country: "USA",
        postal_code: "98109",
        street: "410 Terry Avenue North",
        phone: "+12065550177",
    },
    Place {
        city: "BERLIN",
        state: "BER",
        country: "DEU",
        postal_code: "10178",
        street: "Karl-Liebknecht-Straße 29a",
        phone: "+4930555012",
    },
    Place {
        city: "help.example.com",
        state: "LND",
        country: "GBR",
        postal_code: "EC2A 4NE",
        street: "86-90 Paul Street, 3rd floor",
        phone: "+442079460958",
    },
];

/// Each trade in each place, twice: 128 card acceptors.
pub(crate) fn all() -> impl Iterator<Item = Merchant> {
    (0..2 * TRADES.len() * PLACES.len()).filter_map(|index| {
        let (name, mcc) = TRADES.get(index % TRADES.len())?;
        let place = PLACES.get(index / TRADES.len() % PLACES.len())?;
        Some(Merchant {
            acceptor_id: format!("ACC{index:012}"),
            acquirer_id: format!("{:06}", 191_231 + index % 7),
            descriptor: format!("{name} {index:04}"),
            mcc,
            place,
        })
    })
}
