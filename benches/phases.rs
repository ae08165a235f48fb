//! What each phase of one authorization costs. The canonical body is the largest fixture, without
//! white space, as issuers send it.
#![expect(clippy::unwrap_used, reason = "a bench that cannot start should stop")]

use std::hint::black_box;

use countersign::domain::amount::Minor;
use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::decision::{Decision, DeclineReason};
use countersign::domain::time::Timestamp;
use countersign::issuer::IssuerKind;
use countersign::issuer::standard_webhooks::{Secret, Unsigned, Verifier, sign};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ISSUER: IssuerKind = IssuerKind::Lithic;
const NOW: Timestamp = Timestamp::from_secs(1_795_194_000);
const FIXTURE: &str = include_str!("../fixtures/lithic/purchase.everything.json");

fn secret(text: &str) -> Secret {
    Secret::from_text(text.to_owned()).unwrap()
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
    let headers = signed.received();
    let one = Verifier::new(vec![active()], 300, Unsigned::Refuse).unwrap();
    let two = Verifier::new(vec![retiring(), active()], 300, Unsigned::Refuse).unwrap();
    let mut group = c.benchmark_group("verify");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("one_secret", |b| {
        b.iter(|| ISSUER.verify(&one, black_box(&headers), black_box(&body), NOW));
    });
    group.bench_function("two_secrets", |b| {
        b.iter(|| ISSUER.verify(&two, black_box(&headers), black_box(&body), NOW));
    });
    group.finish();
}

fn decode(c: &mut Criterion) {
    let body = compact();
    let signed = sign(&active(), "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", NOW, &body);
    let headers = signed.received();
    let verifier = Verifier::new(vec![active()], 300, Unsigned::Refuse).unwrap();
    let verified = ISSUER.verify(&verifier, &headers, &body, NOW).unwrap();
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("everything", |b| {
        b.iter(|| ISSUER.decode(black_box(&verified)).unwrap());
    });
    group.bench_function("after_verify", |b| {
        b.iter(|| {
            let verified = ISSUER.verify(&verifier, black_box(&headers), black_box(&body), NOW);
            ISSUER.decode(&verified.unwrap()).unwrap().amount
        });
    });
    group.finish();
}

fn encode(c: &mut Criterion) {
    let kind = AuthorizationKind::Authorization;
    let decline = Decision::Decline(DeclineReason::CardLimitExceeded);
    let partial = Decision::ApprovePartial(Minor::MAX);
    let mut group = c.benchmark_group("encode");
    for (name, decision) in [
        ("approve", Decision::Approve),
        ("decline", decline),
        ("partial", partial),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| ISSUER.encode(kind, black_box(decision), None));
        });
    }
    group.finish();
}

criterion_group!(phases, verify, decode, encode);
criterion_main!(phases);
