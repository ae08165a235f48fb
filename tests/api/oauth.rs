//! A program is let in to act as one agent (behaviour 7.1), byte by byte. The official clients do the
//! same in tests/interop.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::browser::{Browser, encoded, field, percent, person, user};
use crate::plane::{Plane, value};
use crate::purchases::{Buyer, buyer};
use crate::server::{Client, Response, now};
use crate::sign_in::is_guarded;
use crate::webhooks::{HERE, plane as plane_with};

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery";
const BACK: &str = "http://127.0.0.1:7777/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A program that wants in, the person who lets it, and the agent that it is to act as.
struct Story {
    plane: Plane,
    buyer: Buyer,
    browser: Browser,
    client: String,
}

impl Story {
    fn start() -> Self {
        Self::on(Plane::start())
    }

    fn on(plane: Plane) -> Self {
        let buyer = buyer(&plane, &json!({"limits": {"perDay": 3000}}));
        person(&plane, ADA, "owner", PASSWORD);
        let mut browser = Browser::new(&plane);
        assert_eq!(browser.sign_in(ADA, PASSWORD).status, 303);
        let client = register(&plane, "An assistant", &[BACK]);
        Self {
            plane,
            buyer,
            browser,
            client,
        }
    }

    fn door(&self) -> String {
        format!("{}/api/mcp", self.browser.origin())
    }

    /// What the program asks, with these fields in place of its own; an empty one is left out.
    fn asked(&self, other: &[(&str, &str)]) -> Vec<(String, String)> {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let mut fields: BTreeMap<String, String> = [
            ("response_type", "code"),
            ("client_id", &*self.client),
            ("redirect_uri", BACK),
            ("state", "a state&=?"),
            ("scope", "agent"),
            ("code_challenge", &*challenge),
            ("code_challenge_method", "S256"),
            ("resource", &*self.door()),
        ]
        .into_iter()
        .chain(other.iter().copied())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        fields.retain(|_, value| !value.is_empty());
        fields.into_iter().collect()
    }

    fn ask(&mut self, other: &[(&str, &str)]) -> Response {
        let asked = self.asked(other);
        self.browser
            .get(&format!("/oauth/authorize?{}", encoded(&texts(&asked))))
    }

    /// The person's answer.
    fn answer(&mut self, decision: &str, other: &[(&str, &str)]) -> Response {
        let page = self.ask(&[]);
        assert_eq!(page.status, 200, "{}", page.text());
        let csrf = field(&page, "csrf");
        let agent = self.buyer.agent.clone();
        let mut all = vec![
            ("csrf", &*csrf),
            ("agent_id", &*agent),
            ("decision", decision),
        ];
        all.extend(other.iter().copied());
        let asked = self.asked(&all);
        self.browser.post("/oauth/authorize", &texts(&asked))
    }

    /// A code that a person has let the program have.
    fn code(&mut self) -> String {
        let sent = self.answer("allow", &[]);
        assert_eq!(sent.status, 303, "{}", sent.text());
        let query = query_of(&sent);
        assert_eq!(query["state"], "a state&=?");
        assert_eq!(query["iss"], self.browser.origin());
        query["code"].clone()
    }

    fn token(&self, fields: &[(&str, &str)]) -> Response {
        post(&self.plane, "/oauth/token", fields)
    }

    fn redeem(&self, code: &str, other: &[(&str, &str)]) -> Response {
        let mut fields: BTreeMap<&str, &str> = BTreeMap::from([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", BACK),
            ("client_id", &*self.client),
            ("code_verifier", VERIFIER),
        ]);
        fields.extend(other.iter().copied());
        let fields: Vec<(&str, &str)> = fields.into_iter().collect();
        self.token(&fields)
    }

    fn refresh(&self, refresh: &str) -> Response {
        self.token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh),
            ("client_id", &self.client),
        ])
    }

    /// Tokens of a program that was let in.
    fn tokens(&mut self) -> (String, String) {
        let code = self.code();
        pair(&self.redeem(&code, &[]))
    }

    /// What the agents' door says to whoever brings this.
    fn knocks(&self, text: &str) -> Response {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "get_spending_summary", "arguments": {}
        }})
        .to_string();
        let (host, length) = (self.plane.listen(), body.len());
        let request = format!(
            "POST /api/mcp HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {text}\r\n\
             content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
             mcp-protocol-version: 2025-11-25\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        Client::connect(host).ask(request.as_bytes())
    }

    fn opens(&self, text: &str) -> bool {
        let answer = self.knocks(text);
        assert!(matches!(answer.status, 200 | 401), "{}", answer.text());
        answer.status == 200
    }
}

fn texts(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect()
}

fn post(plane: &Plane, path: &str, fields: &[(&str, &str)]) -> Response {
    let mut nobody = Browser::new(plane);
    nobody.post_from(None, path, fields)
}

fn json_post(plane: &Plane, path: &str, body: &Value) -> Response {
    let mut nobody = Browser::new(plane);
    nobody.send(
        "POST",
        path,
        "content-type: application/json\r\n",
        &body.to_string(),
    )
}

fn register(plane: &Plane, name: &str, back: &[&str]) -> String {
    let body = json!({"client_name": name, "redirect_uris": back});
    let made = json_post(plane, "/oauth/register", &body);
    assert_eq!(made.status, 201, "{}", made.text());
    let made = value(&made);
    assert_eq!(made["token_endpoint_auth_method"], "none");
    made["client_id"].as_str().unwrap().to_owned()
}

fn pair(issued: &Response) -> (String, String) {
    assert_eq!(issued.status, 200, "{}", issued.text());
    assert_eq!(issued.header("cache-control"), Some("no-store"));
    let issued = value(issued);
    assert_eq!(
        (&issued["token_type"], &issued["expires_in"]),
        (&json!("Bearer"), &json!(900))
    );
    let text = |name: &str| issued[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

fn refused(response: &Response, error: &str) {
    assert_eq!(response.status, 400, "{}", response.text());
    assert_eq!(value(response)["error"], error);
}

/// The query of where an answer leads.
fn query_of(response: &Response) -> BTreeMap<String, String> {
    let location = response.header("location").unwrap();
    let (place, query) = location.split_once('?').unwrap();
    assert_eq!(place, BACK);
    let pairs = query.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap();
        (name.to_owned(), decoded(value))
    });
    pairs.collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.replace('+', " ").into_bytes().into_iter();
    while let Some(byte) = rest.next() {
        let hex: Vec<u8> = if byte == b'%' {
            rest.by_ref().take(2).collect()
        } else {
            vec![]
        };
        let hex = std::str::from_utf8(&hex).unwrap();
        bytes.push(u8::from_str_radix(hex, 16).unwrap_or(byte));
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_program_is_let_in_and_acts_as_the_agent() {
    let mut story = Story::start();
    // It finds its way by what it is told.
    let nobody = story.knocks("");
    assert_eq!(nobody.status, 401);
    let challenge = nobody.header("www-authenticate").unwrap();
    let metadata = "/.well-known/oauth-protected-resource/api/mcp";
    assert!(
        challenge.starts_with("Bearer ") && challenge.contains(metadata),
        "{challenge}"
    );
    let resource = value(&story.browser.get(metadata));
    assert_eq!(resource["resource"], story.door());
    assert_eq!(
        resource["authorization_servers"],
        json!([story.browser.origin()])
    );
    let server = value(&story.browser.get("/.well-known/oauth-authorization-server"));
    assert_eq!(server["issuer"], story.browser.origin());
    assert_eq!(server["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(
        server["authorization_response_iss_parameter_supported"],
        true
    );
    // The person sees who asks, where it goes, and what the agent may spend.
    let page = story.ask(&[]);
    let text = page.text();
    for shown in [
        "An assistant",
        "127.0.0.1:7777",
        "30.00",
        "perDay",
        &story.client,
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("form-action 'self' http://127.0.0.1:7777;"),
        "{policy}"
    );
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    // Programs show it in a pop-up, and wait for the answer there.
    is_guarded(&page, true);
    is_guarded(&story.answer("deny", &[]), true);
    is_guarded(&story.answer("allow", &[]), true);
    // Then it acts as the agent, and as nobody else.
    let (access, refresh) = story.tokens();
    let told = value(&story.knocks(&access))["result"]["structuredContent"].clone();
    assert_eq!(told["daily_limit"], "30.00", "{told}");
    let rest = story.plane.ask(&access, "GET", "/v1/agents", &Value::Null);
    assert_eq!(rest.status, 401, "the token is for the door alone");
    assert!(!story.opens(&refresh), "a refresh token opens nothing");
    // The audit log knows who let what in.
    let log = story.plane.get("/v1/audit?limit=200").to_string();
    for told in [
        "POST /oauth/authorize",
        "POST /oauth/token grt_",
        "\"kind\":\"grant\"",
    ] {
        assert!(log.contains(told), "{told}: {log}");
    }
    for secret in [&access, &refresh] {
        assert!(!log.contains(secret.as_str()));
    }
}

#[test]
fn a_code_is_good_once_and_its_reuse_ends_everything() {
    let mut story = Story::start();
    let code = story.code();
    let (access, refresh) = pair(&story.redeem(&code, &[]));
    assert!(story.opens(&access));
    refused(&story.redeem(&code, &[]), "invalid_grant");
    assert!(!story.opens(&access));
    refused(&story.refresh(&refresh), "invalid_grant");
}

#[test]
fn a_code_is_good_for_whoever_asked_for_it_alone() {
    let mut story = Story::start();
    let other = register(&story.plane, "Another", &[BACK]);
    let wrong = [
        (
            "code_verifier",
            "aBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        ("code_verifier", ""),
        ("redirect_uri", "http://127.0.0.1:7778/callback"),
        ("client_id", &*other),
    ];
    for wrong in wrong {
        let code = story.code();
        refused(&story.redeem(&code, &[wrong]), "invalid_grant");
        // Whoever had it without the rest may have stolen it.
        refused(&story.redeem(&code, &[]), "invalid_grant");
    }
    let code = story.code();
    let elsewhere = ("resource", "https://other.example/api/mcp");
    refused(&story.redeem(&code, &[elsewhere]), "invalid_target");
    refused(&story.redeem("cs_ac_nonsense", &[]), "invalid_grant");
    refused(
        &story.token(&[("grant_type", "password")]),
        "unsupported_grant_type",
    );
    refused(
        &story.token(&[("code", "a"), ("code", "b")]),
        "invalid_request",
    );
}

#[test]
fn a_refresh_token_is_good_once_and_its_reuse_ends_everything() {
    let mut story = Story::start();
    let (first, refresh) = story.tokens();
    let (second, next) = pair(&story.refresh(&refresh));
    assert!(story.opens(&first) && story.opens(&second));
    refused(&story.refresh(&refresh), "invalid_grant");
    assert!(!story.opens(&first) && !story.opens(&second));
    refused(&story.refresh(&next), "invalid_grant");
    // Another program's is good for nobody.
    let (access, refresh) = story.tokens();
    let other = register(&story.plane, "Another", &[BACK]);
    let stolen = story.token(&[
        ("grant_type", "refresh_token"),
        ("refresh_token", &refresh),
        ("client_id", &other),
    ]);
    refused(&stolen, "invalid_grant");
    assert!(!story.opens(&access));
}

#[test]
fn two_who_come_with_one_code_at_once_get_nothing_that_lasts() {
    let mut story = Story::start();
    let code = story.code();
    let story = &story;
    let answers: Vec<Response> = std::thread::scope(|scope| {
        let code = &code;
        let running: Vec<_> = { 0..4 }
            .map(|_| scope.spawn(move || story.redeem(code, &[])))
            .collect();
        running.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let let_in: Vec<&Response> = answers.iter().filter(|it| it.status == 200).collect();
    assert!(
        let_in.len() <= 1,
        "one code, {} pairs of tokens",
        let_in.len()
    );
    for issued in let_in {
        assert!(!story.opens(&pair(issued).0));
    }
}

#[test]
fn s6_nobody_is_sent_to_an_address_that_is_not_the_programs() {
    let mut story = Story::start();
    for wrong in [
        ("redirect_uri", "https://evil.example/callback"),
        ("redirect_uri", "http://127.0.0.1:7777/other"),
        ("redirect_uri", ""),
        ("client_id", "cli_00000000000000000000000000000000"),
        ("client_id", "https://127.0.0.1/client.json"),
        ("client_id", ""),
    ] {
        let page = story.ask(&[wrong]);
        assert_eq!(page.status, 400, "{wrong:?}");
        assert_eq!(page.header("location"), None, "{wrong:?}");
        assert_eq!(
            story.answer("allow", &[wrong]).header("location"),
            None,
            "{wrong:?}"
        );
    }
    // Anybody registers an address: before the person's answer a link leads nowhere else.
    let short = "E9Melhoa2OwvFrEMTJguCMJHDxfHT9TpmPHtXFqaG2";
    for (wrong, said) in [
        (("response_type", "token"), "response_type"),
        (("code_challenge", ""), "code_challenge"),
        (("code_challenge", short), "code_challenge"),
        (("code_challenge_method", "plain"), "code_challenge"),
        (("resource", "https://other.example/api/mcp"), "resource"),
        (("scope", "owner"), "scope"),
    ] {
        for page in [story.ask(&[wrong]), story.answer("allow", &[wrong])] {
            let led = page.header("location");
            assert_eq!((page.status, led), (400, None), "{wrong:?}");
            assert!(page.text().contains(said), "{}", page.text());
        }
    }
    let neither = story.answer("perhaps", &[]);
    assert_eq!((neither.status, neither.header("location")), (400, None));
    let query = query_of(&story.answer("deny", &[]));
    assert_eq!(query["error"], "access_denied");
    assert_eq!(query["state"], "a state&=?");
    assert_eq!(query["iss"], story.browser.origin());
    assert!(!query.contains_key("code"));
}

#[test]
fn a_new_password_ends_what_was_allowed_and_so_does_shutting_out_for_a_while() {
    let mut story = Story::start();
    for orders in [&["password"][..], &["disable", "enable"]] {
        let code = story.code();
        let (access, refresh) = story.tokens();
        assert!(story.opens(&access));
        assert!(story.browser.get("/programs").text().contains("/revoke"));
        for order in orders {
            let (status, said) = user(&story.plane, &[order, "--email", ADA], PASSWORD);
            assert_eq!(status, Some(0), "{said}");
        }
        assert!(!story.opens(&access), "{orders:?}");
        refused(&story.refresh(&refresh), "invalid_grant");
        refused(&story.redeem(&code, &[]), "invalid_grant");
        assert_eq!(story.browser.sign_in(ADA, PASSWORD).status, 303);
        let page = story.browser.get("/programs").text();
        assert!(!page.contains("/revoke"), "{page}");
    }
    let (access, _) = story.tokens();
    assert!(story.opens(&access), "what is allowed anew stands");
}

#[test]
fn an_operators_pause_shuts_the_door() {
    let mut story = Story::start();
    let (access, refresh) = story.tokens();
    let operator = |story: &Story, action: &str| {
        let path = format!("/admin/agents/{}/{action}", story.buyer.agent);
        let request = format!("POST {path} HTTP/1.1\r\nhost: ops\r\ncontent-length: 0\r\n\r\n");
        let answer = Client::connect(story.plane.server().ops).ask(request.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    assert!(story.opens(&access));
    operator(&story, "pause");
    assert!(!story.opens(&access));
    refused(&story.refresh(&refresh), "invalid_grant");
    operator(&story, "resume");
    assert!(story.opens(&access));
    pair(&story.refresh(&refresh));
}

#[test]
fn whoever_is_let_in_takes_nothing_from_others_of_his_address() {
    let mut story = Story::start();
    let (_, mut refresh) = story.tokens();
    for _ in 0..125 {
        (_, refresh) = pair(&story.refresh(&refresh));
    }
    // A minute may end in between, and then as many more are let through.
    let mut statuses = { 0..250 }.map(|_| story.refresh("cs_rt_nonsense").status);
    assert!(statuses.any(|status| status == 429));
}

#[test]
fn who_registers_without_end_keeps_nobody_out() {
    let mut story = Story::start();
    let minutes_ago = |minutes: i64| now().micros() - minutes * 60_000_000;
    let (old, young) = (minutes_ago(11), minutes_ago(5));
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT 10000 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)
         INSERT INTO oauth_clients (id, name, uri, redirect_uris, created_us, used_us)
         SELECT 'cli_000000000000000000000000000' || i, NULL, NULL, '{BACK}',
            CASE WHEN i = 10007 THEN {old} ELSE {young} END, NULL
         FROM n;"
    );
    let data_dir = story.plane.home.data_dir();
    story.plane.database.change(&data_dir, sql.leak());
    register(&story.plane, "In need", &[BACK]);
    let mut known = |client: &str| story.ask(&[("client_id", client)]).status;
    assert_eq!(known("cli_00000000000000000000000000010007"), 400);
    assert_eq!(known("cli_00000000000000000000000000010008"), 200);
    // The rest may be somebody's who is just signing in.
    let body = json!({"redirect_uris": [BACK]});
    let refused = json_post(&story.plane, "/oauth/register", &body);
    assert_eq!(refused.status, 503, "{}", refused.text());
}

#[test]
fn s9_a_page_of_another_site_registers_nothing() {
    let plane = Plane::start();
    let body = json!({"redirect_uris": [BACK]}).to_string();
    let mut browser = Browser::new(&plane);
    for kind in [
        "",
        "content-type: text/plain\r\n",
        "content-type: application/x-www-form-urlencoded\r\n",
    ] {
        let answer = browser.send("POST", "/oauth/register", kind, &body);
        assert_eq!(answer.status, 415, "{kind}: {}", answer.text());
    }
    let kind = "content-type: application/json; charset=utf-8\r\n";
    let made = browser.send("POST", "/oauth/register", kind, &body);
    assert_eq!(made.status, 201, "{}", made.text());
}

#[test]
fn s9_no_other_page_says_yes() {
    let mut story = Story::start();
    let page = story.ask(&[]);
    let csrf = field(&page, "csrf");
    let agent = story.buyer.agent.clone();
    let right = [
        ("csrf", &*csrf),
        ("agent_id", &*agent),
        ("decision", "allow"),
    ];
    let asked = story.asked(&right);
    for origin in [None, Some("null"), Some("https://evil.example")] {
        let sent = story
            .browser
            .post_from(origin, "/oauth/authorize", &texts(&asked));
        assert_eq!(sent.status, 400, "{origin:?}");
    }
    for wrong in [("csrf", ""), ("csrf", "AAAA")] {
        let asked = story.asked(&[&right[..], &[wrong]].concat());
        assert_eq!(
            story
                .browser
                .post("/oauth/authorize", &texts(&asked))
                .status,
            400
        );
    }
    // Nobody who has not signed in is asked at all.
    let query = encoded(&texts(&story.asked(&[])));
    let mut nobody = Browser::new(&story.plane);
    let sent = nobody.get(&format!("/oauth/authorize?{query}"));
    let login = format!(
        "/login?next={}",
        percent(&format!("/oauth/authorize?{query}"))
    );
    assert_eq!(
        (sent.status, sent.header("location")),
        (303, Some(&*login.replace("%7E", "~")))
    );
    let sent = nobody.post("/oauth/authorize", &texts(&asked));
    assert_eq!(sent.status, 303);
    assert!(sent.header("location").unwrap().starts_with("/login"));
}

#[test]
fn s6_only_an_owner_binds_an_agent_and_only_one_that_he_reaches() {
    let mut story = Story::start();
    for scope in ["reviewer", "viewer"] {
        let email = format!("{scope}@example.com");
        person(&story.plane, &email, scope, PASSWORD);
        let mut browser = Browser::new(&story.plane);
        browser.sign_in(&email, PASSWORD);
        let query = encoded(&texts(&story.asked(&[])));
        let page = browser.get(&format!("/oauth/authorize?{query}"));
        assert_eq!(page.status, 403, "{scope}");
        let csrf = field(&browser.get("/logout"), "csrf");
        let agent = story.buyer.agent.clone();
        let all = [
            ("csrf", &*csrf),
            ("agent_id", &*agent),
            ("decision", "allow"),
        ];
        let asked = story.asked(&all);
        assert_eq!(
            browser.post("/oauth/authorize", &texts(&asked)).status,
            403,
            "{scope}"
        );
    }
    // An owner of another customer.
    let other = json!({"name": "Bob", "timezone": "UTC", "currency": "USD"});
    let other = story.plane.owner_asks("POST", "/v1/customers", &other, 201);
    let words = [
        "add",
        "--email",
        "bob@example.com",
        "--scope",
        "owner",
        "--customer",
    ];
    let customer = other["id"].as_str().unwrap();
    let (status, said) = user(&story.plane, &[&words[..], &[customer]].concat(), PASSWORD);
    assert_eq!(status, Some(0), "{said}");
    let mut browser = Browser::new(&story.plane);
    browser.sign_in("bob@example.com", PASSWORD);
    let query = encoded(&texts(&story.asked(&[])));
    let page = browser.get(&format!("/oauth/authorize?{query}"));
    assert_eq!(page.status, 200);
    assert!(!page.text().contains(&story.buyer.agent), "{}", page.text());
    let csrf = field(&browser.get("/logout"), "csrf");
    let agent = story.buyer.agent.clone();
    for agent in [&*agent, "agt_00000000000000000000000000000000", "x'\"<"] {
        let all = [("csrf", &*csrf), ("agent_id", agent), ("decision", "allow")];
        let asked = story.asked(&all);
        assert_eq!(
            browser.post("/oauth/authorize", &texts(&asked)).status,
            404,
            "{agent}"
        );
    }
    let (access, _) = story.tokens();
    let programs = browser.get("/programs").text();
    assert!(!programs.contains("An assistant"), "{programs}");
    assert!(story.opens(&access));
}

#[test]
fn what_ends_a_grant_ends_it_at_once() {
    let mut story = Story::start();
    // The program itself.
    let (access, refresh) = story.tokens();
    let other = register(&story.plane, "Another", &[BACK]);
    let give_back = |client: &str| {
        let fields = [("token", &*refresh), ("client_id", client)];
        assert_eq!(post(&story.plane, "/oauth/revoke", &fields).status, 200);
    };
    give_back(&other);
    assert!(story.opens(&access), "another program's word ends nothing");
    give_back(&story.client);
    assert!(!story.opens(&access));
    refused(&story.refresh(&refresh), "invalid_grant");
    // The page.
    let (access, _) = story.tokens();
    let page = story.browser.get("/programs");
    assert!(page.text().contains("An assistant"));
    let csrf = field(&page, "csrf");
    let text = page.text();
    let (_, rest) = text.split_once("action=\"/programs/").unwrap();
    let path = format!("/programs/{}/revoke", rest.split_once('/').unwrap().0);
    let foreign = story.browser.post_from(None, &path, &[("csrf", &csrf)]);
    assert_eq!(foreign.status, 400);
    assert!(story.opens(&access));
    assert_eq!(story.browser.post(&path, &[("csrf", &csrf)]).status, 303);
    assert!(!story.opens(&access));
    // The agent.
    let (access, refresh) = story.tokens();
    let agent = format!("/v1/agents/{}", story.buyer.agent);
    story
        .plane
        .owner_asks("PATCH", &agent, &json!({"status": "paused"}), 200);
    assert!(!story.opens(&access));
    refused(&story.refresh(&refresh), "invalid_grant");
    let page = story.ask(&[("agent_id", &story.buyer.agent.clone())]);
    assert_eq!(page.status, 404, "nobody binds an agent that is paused");
    story
        .plane
        .owner_asks("PATCH", &agent, &json!({"status": "active"}), 200);
    assert!(story.opens(&access), "as the agent's key does");
    // The person.
    user(&story.plane, &["disable", "--email", ADA], "");
    assert!(!story.opens(&access));
    refused(&story.refresh(&refresh), "invalid_grant");
}

#[test]
fn a_token_ends_after_a_quarter_of_an_hour_and_a_code_after_a_minute() {
    let mut plane = Plane::initialised();
    plane.restart_with(&["--sandbox", "--sandbox-clock"]);
    let mut story = Story::on(plane);
    let (access, refresh) = story.tokens();
    let code = story.code();
    let advance = |story: &Story, by: &str| {
        let request = format!(
            "POST /admin/clock/advance?seconds={by} HTTP/1.1\r\nhost: ops\r\ncontent-length: 0\r\n\r\n"
        );
        let answer = Client::connect(story.plane.server().ops).ask(request.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    advance(&story, "61");
    refused(&story.redeem(&code, &[]), "invalid_grant");
    assert!(story.opens(&access));
    advance(&story, "840");
    assert!(!story.opens(&access));
    let (access, _) = pair(&story.refresh(&refresh));
    assert!(story.opens(&access));
}

#[test]
fn programs_register_what_is_lawful_and_are_forgotten_by_nobody_at_once() {
    let plane = Plane::start();
    for (wrong, error) in [
        (json!({}), "invalid_client_metadata"),
        (json!({"redirect_uris": []}), "invalid_redirect_uri"),
        (
            json!({"redirect_uris": ["http://app.example.com/cb"]}),
            "invalid_redirect_uri",
        ),
        (
            json!({"redirect_uris": ["javascript:/alert(1)"]}),
            "invalid_redirect_uri",
        ),
        (
            json!({"redirect_uris": vec![BACK; 11]}),
            "invalid_redirect_uri",
        ),
        (
            json!({"redirect_uris": [BACK], "client_name": "a\nb"}),
            "invalid_client_metadata",
        ),
        (
            json!({"redirect_uris": [BACK], "client_name": "4000 0012 3456 7899"}),
            "invalid_client_metadata",
        ),
        (
            json!({"redirect_uris": ["https://app.example.com/4000001234567899"]}),
            "invalid_redirect_uri",
        ),
        (
            json!({"redirect_uris": [BACK], "grant_types": ["implicit"]}),
            "invalid_client_metadata",
        ),
        (
            json!({"redirect_uris": [BACK], "client_name": "x".repeat(17_000)}),
            "invalid_client_metadata",
        ),
    ] {
        let answer = json_post(&plane, "/oauth/register", &wrong);
        if answer.status != 429 {
            refused(&answer, error);
            let text = answer.text();
            let is_of_field = error != "invalid_redirect_uri" || text.contains("redirect_uris: ");
            assert!(is_of_field, "{text}");
        }
    }
    let body = json!({"redirect_uris": [BACK]});
    let statuses: Vec<u16> = { 0..25 }
        .map(|_| json_post(&plane, "/oauth/register", &body).status)
        .collect();
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[test]
fn s8_a_programs_words_are_shown_and_nothing_else() {
    let mut story = Story::start();
    let evil = "</q><script>alert(1)</script><img src=x onerror=alert(1)>\"'&";
    story.client = register(&story.plane, evil, &[BACK]);
    let page = story.ask(&[]).text();
    assert!(page.contains("&#60;script&#62;alert(1)"), "{page}");
    assert!(
        !page.contains("<script") && !page.contains("<img"),
        "{page}"
    );
    story.tokens();
    let page = story.browser.get("/programs").text();
    assert!(
        !page.contains("<script") && !page.contains("<img"),
        "{page}"
    );
}

/// Hazard S8: what turns the words around it is seen in its place, and what is escaped is escaped once.
#[test]
fn s8_a_programs_words_turn_no_others_around() {
    let mut story = Story::start();
    let (turned, shown) = ("Bank \u{202e}& Co", "Bank \u{fffd}&#38; Co");
    story.client = register(&story.plane, turned, &[BACK]);
    let consent = story.ask(&[]).text();
    story.tokens();
    let programs = story.browser.get("/programs").text();
    another_agent(&story);
    let which = story.ask(&[]).text();
    assert!(which.contains("Which agent?"), "{which}");
    for page in [consent, programs, which] {
        assert_eq!(page.matches(shown).count(), 1, "{page}");
        assert_eq!(page.matches('\u{fffd}').count(), 1, "{page}");
        assert!(!page.contains('\u{202e}'), "{page}");
    }
}

/// One more agent, so that somebody has to say which.
fn another_agent(story: &Story) {
    let agent = story.plane.agent(&json!({}));
    assert_ne!(agent, story.buyer.agent);
}

/// Where the agent's limits cannot be told, here since a file rules that does not know the agent, nobody
/// lets a program in: not by the page, and not by a form that was open before.
#[test]
fn nobody_says_yes_without_having_been_told_the_limits() {
    let mut story = Story::start();
    let page = story.ask(&[]);
    let csrf = field(&page, "csrf");
    let snapshot = json!({"schema": 1, "customers": [], "agents": [], "cards": []});
    let file = story.plane.home.data_dir().join("rules.json");
    std::fs::write(&file, snapshot.to_string()).unwrap();
    assert!(story.plane.stop().success());
    let flags = ["--snapshot", file.to_str().unwrap()];
    story.plane.restart_with(&flags);
    let cookies = story.browser.cookies.clone();
    story.browser = Browser::new(&story.plane);
    story.browser.cookies = cookies;
    let told = |page: &Response| {
        let text = page.text();
        assert_eq!(
            (page.status, page.header("location")),
            (503, None),
            "{text}"
        );
        assert!(text.contains("The limits of this agent cannot be told now"));
        assert!(!text.contains("No limit is set") && !text.contains("<form"));
    };
    told(&story.ask(&[]));
    let agent = story.buyer.agent.clone();
    let all = [
        ("csrf", &*csrf),
        ("agent_id", &*agent),
        ("decision", "allow"),
    ];
    let asked = story.asked(&all);
    told(&story.browser.post("/oauth/authorize", &texts(&asked)));
    let programs = story.browser.get("/programs").text();
    assert!(programs.contains("None. A program asks"), "{programs}");
}

/// A server of one document at loopback, which answers so many times.
fn document(text: &'static str, status: &'static str, times: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(times) {
            let mut stream = stream.unwrap();
            let mut head = [0; 4_096];
            let _size = stream.read(&mut head).unwrap();
            let text = text.replace("ID", &format!("http://{address}/client.json"));
            let length = text.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nlocation: /other\r\n\
                 content-length: {length}\r\n\r\n{text}"
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    format!("http://{address}/client.json")
}

#[test]
fn s13_a_program_describes_itself_in_a_document_of_its_own_address() {
    const OWN: &str = r#"{"client_id": "ID", "client_name": "A far one",
        "redirect_uris": ["http://127.0.0.1:7777/callback"]}"#;
    const ANOTHERS: &str = r#"{"client_id": "https://other.example/client.json",
        "redirect_uris": ["http://127.0.0.1:7777/callback"]}"#;
    const NUMBERED: &str = r#"{"client_id": "ID", "redirect_uris": ["http://127.0.0.1:7777/callback",
        "https://app.example.com/4000001234567899"]}"#;
    let mut story = Story::on(plane_with(HERE, &[]));
    let client = document(OWN, "200 OK", 1);
    story.client.clone_from(&client);
    let page = story.ask(&[]);
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("A far one") && page.text().contains(&client));
    let (access, refresh) = story.tokens();
    assert!(story.opens(&access));
    pair(&story.refresh(&refresh));
    for (text, status) in [
        (ANOTHERS, "200 OK"),
        (OWN, "302 Found"),
        ("<html>", "200 OK"),
        // It would be kept with the grant, and shown.
        (NUMBERED, "200 OK"),
    ] {
        let id = document(text, status, 1);
        let page = story.ask(&[("client_id", &id)]);
        assert_eq!(
            (page.status, page.header("location")),
            (400, None),
            "{status}"
        );
    }
    // Where nothing here may be asked, nothing is.
    let mut story = Story::start();
    let id = document(OWN, "200 OK", 1);
    assert_eq!(story.ask(&[("client_id", &id)]).status, 400);
}
