use super::*;
use crate::decide::document::read_policy_alone;

fn policy(text: &str) -> Policy {
    read_policy_alone(text, "test").unwrap()
}

/// A tier with the causes alone.
#[derive(Debug, PartialEq)]
enum Way {
    Deny(Cause),
    Review(Vec<Cause>),
    Issue,
}

fn go(agent: &str, customer: &str, asked: (&str, i64, bool, Option<&str>)) -> (Way, Terms) {
    let (url, amount, is_justified, category) = asked;
    let (agent, customer) = (policy(agent), policy(customer));
    let over = Over {
        agent: Some(&agent),
        customer: Some(&customer),
        cascade: Cascade::Tighten,
    };
    let host = Host::of_url(url).unwrap();
    let asked = Asked {
        host: &host,
        amount: Minor::new(amount).unwrap(),
        is_justified,
        category,
        card_use: CardUse::Single,
    };
    let terms = over.terms(&asked);
    let way = match Tier::of(over.violations(&asked, &terms)) {
        Tier::Deny(cause) => Way::Deny(cause),
        Tier::Review(found) => Way::Review(found.into_iter().map(|it| it.cause).collect()),
        Tier::Issue => Way::Issue,
    };
    (way, terms)
}

fn minor(amount: i64) -> Minor {
    Minor::new(amount).unwrap()
}

/// Behaviour 5.6.
#[test]
fn a_card_is_used_more_than_once_where_no_level_is_against_it() {
    let denied = |agent: &str, customer: &str, cascade| {
        let (agent, customer) = (policy(agent), policy(customer));
        let over = Over {
            agent: Some(&agent),
            customer: Some(&customer),
            cascade,
        };
        let host = Host::of_url("shop.example.com").unwrap();
        let asked = Asked {
            host: &host,
            amount: minor(1),
            is_justified: true,
            category: None,
            card_use: CardUse::UntilSpent,
        };
        let found = over.violations(&asked, &over.terms(&asked));
        let denies = |it: &&Violation| it.cause == Cause::CardUseNotAllowed && !it.may_be_waived;
        let denied = found.iter().any(|it| denies(&it));
        assert_eq!(denied, matches!(Tier::of(found), Tier::Deny(_)));
        denied
    };
    let (once, often) = (r#"{"cardUse":"single"}"#, r#"{"cardUse":"until_spent"}"#);
    for cascade in [Cascade::Tighten, Cascade::Override] {
        assert!(denied("{}", "{}", cascade), "nobody allows it");
        assert!(denied(once, often, cascade));
        assert!(!denied(often, "{}", cascade));
        assert!(!denied("{}", often, cascade));
    }
    assert!(denied(often, once, Cascade::Tighten));
    assert!(!denied(often, once, Cascade::Override));
}

const OPEN: &str = r#"{"autoApproveBelow":5000,"unscopedRequests":"allow"}"#;

/// Behaviour 5.4.
#[test]
fn behaviour_5_4_tiers_go_by_rules_then_by_the_threshold() {
    let shop = |amount| ("shop.example.com", amount, true, None);
    assert_eq!(go(OPEN, "{}", shop(4999)).0, Way::Issue);
    let at = Way::Review(vec![Cause::NotBelowThreshold(minor(5000))]);
    assert_eq!(go(OPEN, "{}", shop(5000)).0, at, "strictly below");
    let tolerant = r#"{"autoApproveBelow":5000,"unscopedRequests":"allow","amountTolerance":1}"#;
    assert_eq!(go(tolerant, "{}", shop(4999)).0, at, "the tolerance counts");
    let none = r#"{"unscopedRequests":"allow"}"#;
    let asked = go(none, "{}", shop(1)).0;
    assert_eq!(asked, Way::Review(vec![Cause::NoThreshold]));
    // The tighter of two thresholds.
    let customers = r#"{"autoApproveBelow":100}"#;
    let asked = go(OPEN, customers, shop(100)).0;
    assert_eq!(
        asked,
        Way::Review(vec![Cause::NotBelowThreshold(minor(100))])
    );
}

/// Behaviour 5.4.
#[test]
fn a_broken_rule_denies_unless_it_may_be_reviewed() {
    let rules = r#"{"autoApproveBelow":5000,"unscopedRequests":"allow",
        "allowedDomains":["example.com"],"blockedDomains":["bad.example.com"],
        "requestLimits":{"perRequest":3000}}"#;
    let at = |url, amount| go(rules, "{}", (url, amount, true, None)).0;
    assert_eq!(at("shop.example.com", 3000), Way::Issue);
    assert_eq!(
        at("shop.example.net", 1),
        Way::Deny(Cause::DomainNotAllowed)
    );
    assert_eq!(at("x.bad.example.com", 1), Way::Deny(Cause::DomainBlocked));
    let over = Cause::AmountOverPerRequest(minor(3000));
    assert_eq!(at("example.com", 3001), Way::Deny(over));
    let review = rules.replace(
        "\"requestLimits\":{",
        "\"onViolation\":{\"allowedDomains\":\"review\",\"requestLimits\":\"review\"},\"requestLimits\":{",
    );
    let at = |url, amount| go(&review, "{}", (url, amount, true, None)).0;
    assert_eq!(
        at("example.net", 3001),
        Way::Review(vec![Cause::DomainNotAllowed, over])
    );
    assert_eq!(at("bad.example.com", 1), Way::Deny(Cause::DomainBlocked));
    // One word is said of every rule of the level that can be named.
    let every = rules.replace(
        "\"requestLimits\":{",
        "\"onViolation\":\"review\",\"requestLimits\":{",
    );
    let asked = go(&every, "{}", ("x.bad.example.com", 3001, true, None)).0;
    assert_eq!(asked, Way::Review(vec![Cause::DomainBlocked, over]));
    let none = every.replace("\"review\"", "\"deny\"");
    let asked = go(&none, "{}", ("example.net", 1, true, None)).0;
    assert_eq!(asked, Way::Deny(Cause::DomainNotAllowed));
    // The customer has its own, and nobody may waive them in the agent's name.
    let customers = r#"{"allowedDomains":["example.org"]}"#;
    let asked = go(&review, customers, ("shop.example.com", 1, true, None)).0;
    assert_eq!(asked, Way::Deny(Cause::DomainNotAllowed));
    // A card that no authorization could pass is not made.
    let per_auth = r#"{"limits":{"perAuth":100}}"#;
    let asked = go(OPEN, per_auth, ("a.example.com", 101, true, None)).0;
    assert_eq!(asked, Way::Deny(Cause::AmountOverPerAuth(minor(100))));
}

/// Behaviour 5.1.
#[test]
fn an_empty_justification_goes_to_a_human() {
    let asked = go(OPEN, "{}", ("a.example.com", 1, false, None)).0;
    assert_eq!(asked, Way::Review(vec![Cause::NotJustified]));
}

/// Behaviour 5.6.
#[test]
fn what_nothing_but_its_amount_binds_is_for_a_human_unless_the_owner_says_so() {
    let threshold = r#"{"autoApproveBelow":5000}"#;
    let at = |rules: &str, hint| go(rules, "{}", ("a.example.com", 1, true, hint));
    assert_eq!(at(threshold, None).0, Way::Review(vec![Cause::Unscoped]));
    let (tier, terms) = at(threshold, Some("books"));
    assert_eq!(
        (tier, terms.mccs),
        (Way::Issue, vec!["5192".to_owned(), "5942".to_owned()])
    );
    assert_eq!(
        at(threshold, Some("nonsense")).0,
        Way::Review(vec![Cause::Unscoped])
    );
    let denies = r#"{"autoApproveBelow":5000,"unscopedRequests":"deny"}"#;
    assert_eq!(at(denies, None).0, Way::Deny(Cause::Unscoped));
    // A hint outside of what the agent may use binds nothing, so that it opens nothing.
    let food = r#"{"autoApproveBelow":5000,"allowedMccs":["5411"]}"#;
    assert_eq!(
        at(food, Some("books")).0,
        Way::Review(vec![Cause::Unscoped])
    );
    assert_eq!(at(food, Some("groceries")).1.mccs, ["5411"]);
}

/// Behaviour 5.6.
#[test]
fn the_closest_domain_of_the_owners_map_binds_the_card() {
    let map = r#"{"autoApproveBelow":5000,"allowedMccs":["5942","5812"],"merchantMap":[
        {"domain":"example.com","merchants":["Example Shop"],"mccs":["5900-5999"]},
        {"domain":"books.example.com","merchants":[{"acceptorId":"m1"}]},
        {"domain":"food.example.com","mccs":["5812"]},
        {"domain":"gone.example.com","mccs":["7011"]},
        {"domain":"amazon.com","merchants":["My Amazon"]}]}"#;
    let customers = r#"{"merchantMap":[{"domain":"food.example.com","mccs":["5942"]},
        {"domain":"a.food.example.com","mccs":["5942"]}]}"#;
    let at = |url| go(map, customers, (url, 100, true, Some("restaurants")));
    let bound = |url| {
        let (tier, terms) = at(url);
        assert_eq!(tier, Way::Issue, "{url}");
        (terms.merchants, terms.mccs)
    };
    let name = |text: &str| MerchantEntry::Name(text.into());
    let id = MerchantEntry::AcceptorId("m1".into());
    let mccs = |code: &str| vec![code.to_owned()];
    // Its categories lie within the allow lists, as those of a hint do.
    let shop = (vec![name("Example Shop")], mccs("5942"));
    assert_eq!(bound("www.example.com"), shop, "a hint adds nothing");
    assert_eq!(bound("books.example.com"), (vec![id], vec![]));
    // Of the same domain the agent's entry, and a closer one whosever it is.
    assert_eq!(bound("food.example.com"), (vec![], mccs("5812")));
    assert_eq!(bound("x.a.food.example.com"), (vec![], mccs("5942")));
    // The owner's own entry takes the place of the starter set's, which goes by the names alone.
    assert_eq!(bound("amazon.com"), (vec![name("My Amazon")], vec![]));
    assert_eq!(bound("netflix.com").1, Vec::<String>::new());
    assert!(bound("netflix.com").0.contains(&name("Netflix")));
    assert_eq!(bound("evilamazon.com"), (vec![], mccs("5812")), "the hint");
    // An entry that the allow lists leave nothing of binds nothing.
    let unscoped = Way::Review(vec![Cause::Unscoped]);
    assert_eq!(at("gone.example.com").0, unscoped);
}

/// Behaviour 5.6.
#[test]
fn m6_what_names_alone_bind_is_for_a_human_from_an_amount_on() {
    let rules = |more: &str| {
        format!(
            r#"{{"autoApproveBelow":90000{more},"merchantMap":[
                {{"domain":"named.example.com","merchants":["Example Shop"]}},
                {{"domain":"kind.example.com","merchants":["Example Shop"],"mccs":["5942"]}},
                {{"domain":"mixed.example.com","merchants":["Example Shop",{{"acceptorId":"m1"}}]}},
                {{"domain":"known.example.com","merchants":[{{"acceptorId":"m1"}}]}}]}}"#
        )
    };
    let at = |agent: &str, customer: &str, url, amount| {
        go(agent, customer, (url, amount, true, Some("books")))
    };
    let weak = |below| Way::Review(vec![Cause::NamesAlone(minor(below))]);
    let plain = rules("");
    for url in ["named.example.com", "mixed.example.com", "amazon.com"] {
        let (tier, terms) = at(&plain, "{}", url, 9_999);
        assert_eq!((tier, terms.is_weak), (Way::Issue, true), "{url}");
        assert_eq!(at(&plain, "{}", url, 10_000).0, weak(10_000), "{url}");
    }
    // A category or the merchant's id, and the categories of a hint, are no names alone.
    for url in ["kind.example.com", "known.example.com", "a.example.com"] {
        let (tier, terms) = at(&plain, "{}", url, 80_000);
        assert_eq!((tier, terms.is_weak), (Way::Issue, false), "{url}");
    }
    // The amount is the owner's, and the tighter one of two; the tolerance counts.
    let named = "named.example.com";
    let more = rules(r#","namesAloneBelow":50000,"amountTolerance":1"#);
    assert_eq!(at(&more, "{}", named, 49_998).0, Way::Issue);
    assert_eq!(at(&more, "{}", named, 49_999).0, weak(50_000));
    let customers = r#"{"namesAloneBelow":700}"#;
    assert_eq!(at(&more, customers, named, 699).0, weak(700));
    // Nothing is bound by names alone where every card of the agent's is narrowed to categories.
    let narrow = rules(r#","allowedMccs":["5942"]"#);
    assert_eq!(at(&narrow, "{}", named, 80_000).0, Way::Issue);
    let any = rules(r#","allowedMccs":["5942"],"match":"any""#);
    assert_eq!(at(&any, "{}", named, 80_000).0, weak(10_000));
    // No approval in advance answers it, and any human's word does.
    let cause = Cause::NamesAlone(minor(1));
    assert!(cause.asks_for_a_word() && !cause.is_answered_in_advance());
}
