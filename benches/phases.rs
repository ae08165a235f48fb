//! What each phase of one authorization costs. The canonical body is the largest fixture, without
//! white space, as issuers send it.
#![expect(clippy::unwrap_used, reason = "a bench that cannot start should stop")]

use std::hint::black_box;

use countersign::domain::amount::{Amount, Minor};
use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::currency::Currency;
use countersign::domain::decision::{Decision, DeclineReason};
use countersign::domain::time::Timestamp;
use countersign::issuer::delivery::Unsigned;
use countersign::issuer::standard_webhooks::{Secret, Verifier, sign};
use countersign::issuer::{Issuer, IssuerKind, ReplyForm};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const NOW: Timestamp = Timestamp::from_secs(1_795_194_000);
const FIXTURE: &str = include_str!("../fixtures/lithic/purchase.everything.json");

fn secret(text: &str) -> Secret {
    Secret::from_text(text.to_owned()).unwrap()
}

fn lithic(secrets: Vec<Secret>) -> Issuer {
    Issuer::Lithic(Verifier::new(secrets, 300, Unsigned::Refuse).unwrap())
}

fn active() -> Secret {
    secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
}

fn retiring() -> Secret {
    secret("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX")
}

/// The fixture without white space outside its texts, its members in their order.
fn compact() -> Vec<u8> {
    let (mut inside, mut escaped) = (false, false);
    let mut body = Vec::new();
    for byte in FIXTURE.bytes() {
        if inside || !byte.is_ascii_whitespace() {
            body.push(byte);
        }
        if byte == b'"' && !escaped {
            inside = !inside;
        }
        escaped = byte == b'\\' && !escaped;
    }
    body
}

fn verify(c: &mut Criterion) {
    let body = compact();
    let signed = sign(&active(), "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", NOW, &body);
    let headers = signed.presented();
    let one = lithic(vec![active()]);
    let two = lithic(vec![retiring(), active()]);
    let mut group = c.benchmark_group("verify");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("one_secret", |b| {
        b.iter(|| one.verify(black_box(&headers), black_box(&body), NOW));
    });
    group.bench_function("two_secrets", |b| {
        b.iter(|| two.verify(black_box(&headers), black_box(&body), NOW));
    });
    group.finish();
}

fn decode(c: &mut Criterion) {
    let body = compact();
    let signed = sign(&active(), "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", NOW, &body);
    let headers = signed.presented();
    let issuer = lithic(vec![active()]);
    let verified = issuer.verify(&headers, &body, NOW).unwrap();
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("everything", |b| {
        b.iter(|| issuer.decode(black_box(&verified)).unwrap());
    });
    group.bench_function("after_verify", |b| {
        b.iter(|| {
            let verified = issuer.verify(black_box(&headers), black_box(&body), NOW);
            issuer.decode(&verified.unwrap()).unwrap().form.amount
        });
    });
    group.finish();
}

fn encode(c: &mut Criterion) {
    let minor = Minor::new(2599).unwrap();
    let amount = Amount {
        minor,
        currency: Currency::USD,
    };
    let form = ReplyForm::new(AuthorizationKind::Authorization, amount);
    let decline = Decision::Decline(DeclineReason::CardLimitExceeded);
    let partial = Decision::ApprovePartial(Minor::MAX);
    let mut group = c.benchmark_group("encode");
    for (name, decision) in [
        ("approve", Decision::Approve),
        ("decline", decline),
        ("partial", partial),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| IssuerKind::Lithic.encode(&form, black_box(decision), None));
        });
    }
    group.finish();
}

criterion_group!(phases, verify, decode, encode);
criterion_main!(phases);
