//! Approvals that a human gives in advance (behaviour 5.5).
//!
//! One answers a request that needs nothing but a human's word. It waives no rule and makes no room: what
//! breaks a rule, or a limit, goes the way that it goes without it.

use super::host::Host;
use crate::domain::amount::Minor;
use crate::domain::time::Timestamp;
use crate::domain::window::WindowKind;

const DAY_US: i64 = 86_400_000_000;

/// The span over which an approval in advance is counted. It ends now, so that no calendar renews it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// 24 hours.
    Day,
    /// 7 days.
    Week,
    /// 30 days.
    Month,
}

impl Period {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// The word that owners write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The calendar's window of this length, by which charges on an approval's own card are counted: what
    /// comes monthly comes 28 days apart in February.
    #[must_use]
    pub fn window(self) -> WindowKind {
        match self {
            Self::Day => WindowKind::Day,
            Self::Week => WindowKind::Week,
            Self::Month => WindowKind::Month,
        }
    }

    /// When it began that ends now.
    #[must_use]
    pub fn began(self, now: Timestamp) -> Timestamp {
        let days = match self {
            Self::Day => 1,
            Self::Week => 7,
            Self::Month => 30,
        };
        now.plus_micros(-days * DAY_US)
    }
}

/// A pattern of purchases that is approved in advance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StandingApproval {
    /// Names it among the agent's.
    pub name: Box<str>,
    /// The merchant's domain, with everything below it.
    pub domain: Host,
    /// The smallest amount, tolerance included.
    pub amount_min: Minor,
    /// The largest amount, tolerance included.
    pub amount_max: Minor,
    /// Over which span it is counted.
    pub period: Period,
    /// Requests in a period.
    pub count_max: u32,
    /// Their amounts together, tolerances included.
    pub total_max: Option<Minor>,
    /// The instant from which on it approves nothing.
    pub until: Timestamp,
    /// The one card that it owns, by our id. It approves charges of the merchant on that card then, and
    /// no requests: what it allows is counted once.
    pub card_id: Option<Box<str>>,
}

impl StandingApproval {
    /// Whether it speaks of this purchase; what it has approved already is another question.
    #[must_use]
    pub fn covers(&self, host: &Host, earmark: Minor, now: Timestamp) -> bool {
        let is_in_range = (self.amount_min..=self.amount_max).contains(&earmark);
        let is_for_requests = self.card_id.is_none();
        is_for_requests && now < self.until && is_in_range && self.domain.covers(host)
    }

    /// Whether there is room for one more beside so many in the period.
    #[must_use]
    pub fn has_room(&self, count: usize, total: Minor, earmark: Minor) -> bool {
        let is_few = u32::try_from(count).is_ok_and(|count| count < self.count_max);
        let total = total.saturating_plus(earmark);
        is_few && self.total_max.is_none_or(|most| total <= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minor(amount: i64) -> Minor {
        Minor::new(amount).unwrap()
    }

    fn approval() -> StandingApproval {
        StandingApproval {
            name: "books".into(),
            domain: Host::of_rule("example.com").unwrap(),
            amount_min: minor(100),
            amount_max: minor(500),
            period: Period::Week,
            count_max: 3,
            total_max: Some(minor(1_000)),
            until: Timestamp::from_secs(2_000),
            card_id: None,
        }
    }

    /// Behaviour 5.5.
    #[test]
    fn an_approval_in_advance_is_for_its_merchant_its_range_and_its_time() {
        let approval = approval();
        let covers = |host: &str, amount: i64, at: i64| {
            let host = Host::of_url(host).unwrap();
            approval.covers(&host, minor(amount), Timestamp::from_secs(at))
        };
        for host in ["example.com", "shop.example.com"] {
            assert!(covers(host, 100, 1_999) && covers(host, 500, 0), "{host}");
            assert!(!covers(host, 99, 0) && !covers(host, 501, 0), "{host}");
            assert!(!covers(host, 100, 2_000), "at its end it is over");
        }
        let own = StandingApproval {
            card_id: Some("card_1".into()),
            ..approval.clone()
        };
        let host = Host::of_url("example.com").unwrap();
        let owns = own.covers(&host, minor(100), Timestamp::from_secs(0));
        assert!(!owns, "one that owns a card approves no requests");
        assert!(!covers("evilexample.com", 100, 0));
        assert!(!covers("example.com.evil.net", 100, 0));
    }

    /// Behaviour 5.5.
    #[test]
    fn an_approval_in_advance_is_counted_and_capped() {
        let approval = approval();
        assert!(approval.has_room(2, minor(500), minor(500)));
        assert!(!approval.has_room(3, minor(0), minor(100)), "its count");
        assert!(!approval.has_room(2, minor(501), minor(500)), "its total");
        let huge = approval.has_room(0, Minor::MAX, Minor::MAX);
        assert!(!huge, "sums do not wrap");
        let now = Timestamp::from_secs(40 * 86_400);
        assert_eq!(Period::Day.began(now), Timestamp::from_secs(39 * 86_400));
        assert_eq!(Period::Week.began(now), Timestamp::from_secs(33 * 86_400));
        assert_eq!(Period::Month.began(now), Timestamp::from_secs(10 * 86_400));
    }
}
