//! The marks that payment facilitators and platforms put before the name of a merchant.
//!
//! A mark says who processes, not who sells, so a rule that names the facilitator must not allow
//! everybody behind it, nor a rule that names a merchant allow whoever calls himself so behind a
//! mark. Short on purpose: behind the `*` of a marketplace (`AMZN Mktp US*2X4`) stands an order, not
//! a merchant. docs/policy.md shows this table to owners.

/// What follows a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    /// The name of a merchant: two names behind one mark are two merchants, also for a lock.
    Merchant,
    /// What the platform sells itself. Lists tell it apart; for a lock the platform is the merchant.
    Goods,
}

/// One facilitator's mark.
#[derive(Debug)]
pub(super) struct Mark {
    /// The letters before the star.
    pub(super) name: &'static str,
    /// Whether a star has to follow, with spaces around it or not; else a space alone will do.
    has_star: bool,
    behind: Behind,
}

impl Mark {
    pub(super) fn is_before_merchants(&self) -> bool {
        self.behind == Behind::Merchant
    }
}

const fn starred(name: &'static str) -> Mark {
    Mark {
        name,
        has_star: true,
        behind: Behind::Merchant,
    }
}

const MARKS: &[Mark] = &[
    starred("SQ"),         // Square
    starred("PAYPAL"),     // PayPal
    starred("PYPL"),       // PayPal, short form
    starred("PP"),         // PayPal, shortest form
    starred("TST"),        // Toast
    starred("IZ"),         // Zettle, older form
    starred("ZETTLE_"),    // Zettle
    starred("SUMUP"),      // SumUp
    starred("IN"),         // Intuit
    starred("WPY"),        // WePay
    starred("EB"),         // Eventbrite
    starred("FS"),         // FastSpring
    starred("DRI"),        // Digital River
    starred("2CO.COM"),    // 2Checkout
    starred("PADDLE.NET"), // Paddle
    starred("KLARNA"),     // Klarna
    starred("AMZ"),        // Amazon Pay, which is not the marketplace
    // Shopify: `SP * BIRD TOYS` in its older form, `SP BIRD TOYS` today.
    Mark {
        name: "SP",
        has_star: false,
        behind: Behind::Merchant,
    },
    // Google Play and Google's own services.
    Mark {
        name: "GOOGLE",
        has_star: true,
        behind: Behind::Goods,
    },
];

/// The mark that a normalised name begins with, and what stands behind it.
pub(super) fn strip_mark(text: &str) -> Option<(&'static Mark, &str)> {
    MARKS.iter().find_map(|mark| {
        let rest = text.strip_prefix(mark.name)?;
        let starred = rest.trim_start_matches(' ').strip_prefix('*');
        let behind = match starred {
            None if !mark.has_star => rest.strip_prefix(' '),
            starred => starred,
        };
        Some((mark, behind?.trim_start_matches([' ', '*'])))
    })
}
