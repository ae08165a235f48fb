//! Every limit of a card and where it stands: sums and numbers of approvals.

use super::ledger::{CardInLedger, Moment, SpanSeen};
use super::view::{CountView, LimitView};
use crate::decide::effective::{EffectivePolicy, Value};
use crate::decide::snapshot::CardView;
use crate::domain::card::Level;
use crate::domain::explanation::RuleField;
use crate::domain::time::Timestamp;
use crate::domain::window::{WindowKind, ZoneTable};
use crate::ledger::counters::Sum;

/// Every cap on a sum, at every level, in the order in which they are checked; then the spending
/// that ends the card.
pub(super) fn of_sums(
    card: &CardView<'_>,
    policy: &EffectivePolicy<'_>,
    in_ledger: &CardInLedger,
) -> Vec<LimitView> {
    let zone = card.customer.zone();
    let mut shown = Vec::new();
    let levels = Level::ALL.into_iter().zip(*policy.limits());
    let stands = in_ledger.counters.into_iter().zip(in_ledger.spans);
    for ((level, caps), (counters, spans)) in levels.zip(stands) {
        for (kind, span) in WindowKind::ALL.into_iter().zip(spans) {
            if let Some(cap) = caps.of_window(kind) {
                let sum = counters.window(kind, in_ledger.day);
                let ends = Some(end_of(kind, in_ledger, zone));
                let (calendar, _) = fields_of(kind);
                shown.push(LimitView::new(level, calendar, Some(cap), sum, ends));
            }
            if let Some(cap) = caps.of_rolling(kind) {
                // Where nothing was ever charged there is nothing to add up.
                let is_unused = counters.total().spent.is_zero();
                let seen = span.or_else(|| is_unused.then_some(SpanSeen::EMPTY));
                let (_, rolling) = fields_of(kind);
                let all = counters.total();
                shown.push(LimitView::rolling(level, rolling, cap, (seen, all)));
            }
        }
        if let Some(cap) = caps.total {
            let (field, sum) = (RuleField::Total, counters.total());
            shown.push(LimitView::new(level, field, Some(cap), sum, None));
        }
    }
    let [counters, .., of_customer] = &in_ledger.counters;
    if let Some(cap) = card.customer.held_max() {
        let (field, sum) = (RuleField::HeldMax, of_customer.total());
        let held = Sum {
            spent: sum.held,
            held: sum.held,
        };
        shown.push(LimitView::new(
            Level::Customer,
            field,
            Some(cap),
            held,
            None,
        ));
    }
    for end in policy.of("expireAfter.spend") {
        if let (Some(level), Value::Amount(cap)) = (end.level, &end.value) {
            let (field, sum) = (RuleField::ExpireAfterSpend, counters.total());
            shown.push(LimitView::new(level, field, Some(*cap), sum, None));
        }
    }
    shown
}

/// Every cap on the number of approvals, likewise.
pub(super) fn of_counts(
    card: &CardView<'_>,
    policy: &EffectivePolicy<'_>,
    in_ledger: &CardInLedger,
    moment: Moment,
) -> Vec<CountView> {
    let zone = card.customer.zone();
    let (hour_ends, day_ends) = ends_of_counts(in_ledger, zone, moment);
    let mut shown = Vec::new();
    let levels = Level::ALL.into_iter().zip(*policy.limits());
    for ((level, caps), counters) in levels.zip(in_ledger.counters) {
        let of_hour = counters.count_of_hour(in_ledger.hour);
        let of_day = counters.count_of_day(in_ledger.day);
        let each = [
            (
                caps.count_per_hour,
                RuleField::CountPerHour,
                of_hour,
                hour_ends,
            ),
            (caps.count_per_day, RuleField::CountPerDay, of_day, day_ends),
            (
                caps.count_total,
                RuleField::CountTotal,
                counters.approvals(),
                None,
            ),
        ];
        if let Some((kind, cap)) = caps.count_of_period {
            let used = counters.count_of_window(kind, in_ledger.day);
            let ends = Some(end_of(kind, in_ledger, zone));
            let field = RuleField::StandingApproval;
            shown.push(CountView::new(level, field, Some(cap), used, ends));
        }
        for (cap, field, used, ends) in each {
            let view = |cap| CountView::new(level, field, Some(cap), used, ends);
            shown.extend(cap.map(view));
        }
    }
    let [counters, ..] = &in_ledger.counters;
    for end in policy.of("expireAfter.count") {
        if let (Some(level), Value::Number(cap)) = (end.level, &end.value) {
            let (field, used) = (RuleField::ExpireAfterCount, counters.approvals());
            shown.push(CountView::new(level, field, Some(*cap), used, None));
        }
    }
    shown
}

/// What a card without limits has spent and holds. Without its customer nobody knows when windows
/// end.
pub(super) fn sums(in_ledger: &CardInLedger, zone: Option<&ZoneTable>) -> Vec<LimitView> {
    let [card, ..] = &in_ledger.counters;
    let windows = WindowKind::ALL.into_iter().map(|kind| {
        let sum = card.window(kind, in_ledger.day);
        let ends = zone.map(|zone| end_of(kind, in_ledger, zone));
        let (calendar, _) = fields_of(kind);
        LimitView::new(Level::Card, calendar, None, sum, ends)
    });
    let total = LimitView::new(Level::Card, RuleField::Total, None, card.total(), None);
    windows.chain([total]).collect()
}

/// How often a card without limits was used.
pub(super) fn used(
    in_ledger: &CardInLedger,
    zone: Option<&ZoneTable>,
    moment: Moment,
) -> Vec<CountView> {
    let [card, ..] = &in_ledger.counters;
    let ends = zone.map(|zone| ends_of_counts(in_ledger, zone, moment));
    let (hour_ends, day_ends) = ends.unwrap_or_default();
    let of_hour = card.count_of_hour(in_ledger.hour);
    let of_day = card.count_of_day(in_ledger.day);
    let each = [
        (RuleField::CountPerHour, of_hour, hour_ends),
        (RuleField::CountPerDay, of_day, day_ends),
        (RuleField::CountTotal, card.approvals(), None),
    ];
    let view = |(field, used, ends)| CountView::new(Level::Card, field, None, used, ends);
    each.into_iter().map(view).collect()
}

/// When the hour and the day end. Nobody knows when an hour ends that was opened in another zone,
/// or before the clock went back.
fn ends_of_counts(
    in_ledger: &CardInLedger,
    zone: &ZoneTable,
    moment: Moment,
) -> (Option<Timestamp>, Option<Timestamp>) {
    let (hour, ends) = zone.hour_at(moment.now.secs());
    let hour_ends = (hour == in_ledger.hour).then(|| Timestamp::from_secs(ends));
    (hour_ends, Some(end_of(WindowKind::Day, in_ledger, zone)))
}

/// A window ends no sooner than it did when its day was opened.
fn end_of(kind: WindowKind, in_ledger: &CardInLedger, zone: &ZoneTable) -> Timestamp {
    let ends = Timestamp::from_secs(zone.start_of(kind.next_start(in_ledger.day)));
    in_ledger
        .day_ends
        .map_or(ends, |at_least| ends.max(at_least))
}

/// The fields of a calendar's window and of the trailing span of its kind.
fn fields_of(kind: WindowKind) -> (RuleField, RuleField) {
    match kind {
        WindowKind::Day => (RuleField::PerDay, RuleField::RollingDay),
        WindowKind::Week => (RuleField::PerWeek, RuleField::RollingWeek),
        WindowKind::Month => (RuleField::PerMonth, RuleField::RollingMonth),
    }
}
