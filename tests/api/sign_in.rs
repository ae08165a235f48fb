//! People sign in to pages (behaviour 7.1): who gets in, who does not, and what ends it.

use countersign::cold::store::StoreError;
use countersign::cold::store::people::{PeopleChange, Session, User};
use countersign::domain::time::Timestamp;
use serde_json::{Value, json};

use crate::browser::{Browser, field, person, user};
use crate::plane::Plane;
use crate::purchases::buyer;
use crate::server::{Client, Response, now};

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery";

fn is_in(browser: &mut Browser) -> bool {
    let page = browser.get("/programs");
    assert!(matches!(page.status, 200 | 303), "{}", page.text());
    page.status == 200
}

fn location(response: &Response) -> &str {
    response.header("location").unwrap_or_default()
}

#[test]
fn somebody_with_a_password_gets_in_and_out_again() {
    let plane = Plane::start();
    let said = person(&plane, " Ada@Example.com", "owner", PASSWORD);
    assert!(said.starts_with("usr_") && said.contains(ADA), "{said}");
    let mut browser = Browser::new(&plane);
    let away = browser.get("/programs?after=x");
    assert_eq!(
        (away.status, location(&away)),
        (303, "/login?next=%2Fprograms%3Fafter%3Dx")
    );
    let page = browser.sign_in(ADA, PASSWORD);
    assert_eq!((page.status, location(&page)), (303, "/programs"));
    let cookie = page.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
    assert!(!cookie.contains("Secure"), "plain HTTP on this machine");
    assert!(is_in(&mut browser));
    let out = browser.get("/logout");
    let csrf = field(&out, "csrf");
    let before = browser.cookies.clone();
    let gone = browser.post("/logout", &[("csrf", &csrf)]);
    assert_eq!((gone.status, location(&gone)), (303, "/login"));
    assert!(!is_in(&mut browser));
    // The cookie itself opens nothing any more.
    browser.cookies = before;
    assert!(!is_in(&mut browser));
}

/// What every page says of itself; whoever opened it keeps its handle on those that programs show in a
/// pop-up, and on no other.
pub(crate) fn is_guarded(page: &Response, within_reach: bool) {
    has_guards(page, within_reach, "same-origin");
}

/// A page whose address is itself the right to it tells it to nobody (behaviour 5.12).
fn is_guarded_link(page: &Response) {
    has_guards(page, false, "no-referrer");
}

fn has_guards(page: &Response, within_reach: bool, referrer: &str) {
    let policy = page.header("content-security-policy").unwrap();
    for rule in [
        "default-src 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("referrer-policy"), Some(referrer));
    let opener = (!within_reach).then_some("same-origin");
    let said = page.header("cross-origin-opener-policy");
    assert_eq!(said, opener, "{}", page.text());
    assert!(!page.text().contains("<script"));
}

/// Behaviour 7.2. The question of a program has the same checked in `oauth`.
#[test]
fn pages_are_nobodys_frame_and_nobodys_to_keep() {
    let plane = Plane::start();
    person(&plane, ADA, "owner", PASSWORD);
    let buyer = buyer(&plane, &json!({"autoApproveBelow": 500}));
    let waits = buyer.asks(&plane, &json!({}));
    let small = buyer.asks(&plane, &json!({"amount": "4.00"}));
    let link = small["virtualCard"]["viewUrl"].as_str().unwrap();
    let mut browser = Browser::new(&plane);
    is_guarded(&browser.get("/login"), true);
    let away = browser.get("/programs");
    assert_eq!(away.status, 303);
    is_guarded(&away, true);
    is_guarded(&browser.sign_in(ADA, "wrong horse battery"), true);
    is_guarded(&browser.sign_in(ADA, PASSWORD), true);
    let review = format!("/reviews/{}", waits["id"].as_str().unwrap());
    let link = link.strip_prefix(&browser.origin()).unwrap();
    for (path, status) in [
        ("/programs", 200),
        ("/logout", 200),
        ("/reviews", 200),
        (&*review, 200),
        ("/reviews/preq_nobody", 404),
        ("/oauth/authorize", 400),
        ("/login?next=a&next=b", 400),
    ] {
        let page = browser.get(path);
        assert_eq!(page.status, status, "{path}: {}", page.text());
        is_guarded(&page, false);
    }
    for (path, status) in [(link, 200), ("/view/none", 404), ("/review/none", 404)] {
        let page = browser.get(path);
        assert_eq!(page.status, status, "{path}: {}", page.text());
        is_guarded_link(&page);
    }
    let shown = browser.post(link, &[]);
    assert_eq!(shown.status, 200, "{}", shown.text());
    is_guarded_link(&shown);
    let refused = browser.post("/logout", &[]);
    assert_eq!(refused.status, 400);
    is_guarded(&refused, false);
    // There is one sheet for all of them.
    let style = browser.get("/assets/style.css");
    let kind = style.header("content-type");
    assert_eq!((style.status, kind), (200, Some("text/css; charset=utf-8")));
    assert_eq!(browser.get("/assets/entry.css").status, 404);
}

#[test]
fn nobody_learns_who_is_known_here() {
    let plane = Plane::start();
    person(&plane, ADA, "owner", PASSWORD);
    user(
        &plane,
        &["add", "--email", "off@example.com", "--scope", "owner"],
        PASSWORD,
    );
    let (status, said) = user(&plane, &["disable", "--email", "off@example.com"], "");
    assert_eq!(status, Some(0), "{said}");
    let mut browser = Browser::new(&plane);
    let mut told = |email: &str, password: &str| {
        let answer = browser.sign_in(email, password);
        let text = answer.text().replace(email, "");
        let csrf = field(&answer, "csrf");
        (answer.status, text.replace(&csrf, ""))
    };
    let wrong = told(ADA, "wrong horse battery");
    assert_eq!(wrong.0, 401);
    assert_eq!(told("bob@example.com", PASSWORD), wrong, "unknown");
    assert_eq!(told("off@example.com", PASSWORD), wrong, "disabled");
    assert!(wrong.1.contains("The address or the password is wrong."));
}

#[test]
fn s20_whoever_guesses_is_slowed_down_by_person_and_by_address() {
    let plane = Plane::start();
    person(&plane, ADA, "owner", PASSWORD);
    let mut browser = Browser::new(&plane);
    let mut statuses = Vec::new();
    // A minute may end in between, and then five more are let through.
    for _ in 0..12 {
        statuses.push(browser.sign_in(ADA, "wrong horse battery").status);
    }
    assert!(statuses.starts_with(&[401, 401]), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    let held = browser.sign_in(ADA, PASSWORD);
    if held.status == 429 {
        assert!(held.header("retry-after").is_some());
        assert!(!is_in(&mut browser));
    }
    // One that nobody has is counted in the same way.
    let mut unknown = Vec::new();
    for _ in 0..12 {
        unknown.push(browser.sign_in("bob@example.com", PASSWORD).status);
    }
    assert!(unknown.contains(&429), "{unknown:?}");
}

#[test]
fn s9_no_form_of_another_page_changes_anything() {
    let plane = Plane::start();
    person(&plane, ADA, "owner", PASSWORD);
    let mut browser = Browser::new(&plane);
    // Nobody is signed in as somebody else by a page of another site.
    let page = browser.get("/login");
    let csrf = field(&page, "csrf");
    let right = [("csrf", &*csrf), ("email", ADA), ("password", PASSWORD)];
    for origin in [
        None,
        Some("null"),
        Some("https://evil.example"),
        Some("http://127.0.0.1:1"),
    ] {
        assert_eq!(
            browser.post_from(origin, "/login", &right).status,
            400,
            "{origin:?}"
        );
    }
    let mut other = Browser::new(&plane);
    assert_eq!(
        other.post("/login", &right).status,
        400,
        "without the cookie"
    );
    other.get("/login");
    assert_eq!(
        other.post("/login", &right).status,
        400,
        "of another browser's form"
    );
    assert_eq!(
        browser.post("/login", &right[1..]).status,
        400,
        "without the token"
    );
    assert!(!is_in(&mut browser));
    assert_eq!(browser.post("/login", &right).status, 303);
    // Nor signed out.
    let csrf = field(&browser.get("/logout"), "csrf");
    let evil = Some("https://evil.example");
    assert_eq!(
        browser
            .post_from(evil, "/logout", &[("csrf", &csrf)])
            .status,
        400
    );
    assert_eq!(browser.post("/logout", &[]).status, 400);
    assert_eq!(browser.post("/logout", &[("csrf", "AAAA")]).status, 400);
    let twice = browser.post("/logout", &[("csrf", &csrf), ("csrf", &csrf)]);
    assert_eq!(twice.status, 400);
    assert!(is_in(&mut browser));
}

#[test]
fn nobody_chooses_the_session_that_somebody_gets() {
    let plane = Plane::start();
    person(&plane, ADA, "owner", PASSWORD);
    let mut browser = Browser::new(&plane);
    let planted = "cs_se_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    browser
        .cookies
        .insert("cs-session".to_owned(), planted.to_owned());
    assert!(!is_in(&mut browser));
    browser.sign_in(ADA, PASSWORD);
    let first = browser.cookies["cs-session"].clone();
    assert_ne!(first, planted);
    browser.sign_in(ADA, PASSWORD);
    assert_ne!(browser.cookies["cs-session"], first);
    // And nobody is sent to another server.
    let csrf = field(&browser.get("/login?next=//evil.example"), "csrf");
    let fields = [
        ("csrf", &*csrf),
        ("email", ADA),
        ("password", PASSWORD),
        ("next", "//evil.example"),
    ];
    assert_eq!(location(&browser.post("/login", &fields)), "/programs");
}

#[test]
fn nobody_gets_in_by_a_password_that_was_changed_while_it_was_checked() {
    let mut plane = Plane::start();
    person(&plane, ADA, "owner", PASSWORD);
    assert!(plane.stop().success());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = plane.database.open(&plane.home.data_dir()).await.unwrap();
        let checked = store.people().user_called(ADA.to_owned()).await.unwrap();
        let checked = checked.unwrap();
        let at = |micros: i64| Timestamp::from_micros(checked.password_at.micros() + micros);
        let begin = async |hash: [u8; 32]| {
            let session = Session {
                hash,
                user_id: checked.id.clone(),
                created_at: at(9),
                seen_at: at(9),
            };
            let begun = PeopleChange::Session(session, checked.password_at);
            store.apply(vec![begun.into()]).await
        };
        let keep = async |user: User| {
            let kept = store.apply(vec![PeopleChange::User(user).into()]).await;
            kept.unwrap();
        };
        begin([1; 32]).await.unwrap();
        assert!(store.people().session([1; 32]).await.unwrap().is_some());
        let changed = User {
            password_at: at(1),
            ..checked.clone()
        };
        keep(changed).await;
        assert_eq!(begin([2; 32]).await, Err(StoreError::Conflict), "changed");
        let off = User {
            disabled_at: Some(at(2)),
            revision: checked.revision + 1,
            ..checked.clone()
        };
        keep(off).await;
        assert_eq!(begin([3; 32]).await, Err(StoreError::Conflict), "disabled");
        assert!(store.people().session([2; 32]).await.unwrap().is_none());
    });
}

#[test]
fn an_operator_shuts_somebody_out_at_once() {
    let plane = Plane::start();
    person(&plane, ADA, "owner", PASSWORD);
    let mut browser = Browser::new(&plane);
    browser.sign_in(ADA, PASSWORD);
    assert!(is_in(&mut browser));
    let (status, _) = user(&plane, &["disable", "--email", ADA], "");
    assert_eq!(status, Some(0));
    assert!(!is_in(&mut browser), "at once");
    user(&plane, &["enable", "--email", ADA], "");
    assert!(!is_in(&mut browser), "what was open stays shut");
    browser.sign_in(ADA, PASSWORD);
    assert!(is_in(&mut browser));
    let (status, said) = user(&plane, &["password", "--email", ADA, "--generate"], "");
    assert_eq!(status, Some(0), "{said}");
    assert!(!is_in(&mut browser));
    let drawn = said
        .lines()
        .find_map(|line| line.strip_prefix("password  "))
        .unwrap();
    assert_eq!(browser.sign_in(ADA, drawn).status, 303);
    // What the audit log says of it.
    let log = plane.get("/v1/audit?limit=200");
    let actions: Vec<&Value> = { log["data"].as_array().unwrap().iter() }
        .map(|line| &line["entry"]["action"])
        .collect();
    for action in [
        "countersign user add",
        "countersign user disable",
        "POST /login",
    ] {
        assert!(actions.contains(&&json!(action)), "{action}: {log}");
    }
}

#[test]
fn only_whoever_can_read_the_data_directory_makes_people() {
    let plane = Plane::start();
    let order = json!({"atUs": now().micros(), "order": "list", "email": "", "password": null, "new": null});
    let order = order.to_string();
    let mut client = Client::connect(plane.server().ops);
    for proof in ["", "x-countersign-proof: 00\r\n"] {
        let length = order.len();
        let request = format!(
            "POST /admin/users HTTP/1.1\r\nhost: ops\r\n{proof}content-type: application/json\r\n\
             content-length: {length}\r\n\r\n{order}"
        );
        let answer = client.ask(request.as_bytes());
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert!(
            answer.text().contains("this data directory"),
            "{}",
            answer.text()
        );
    }
    for (words, password, why) in [
        (
            vec!["add", "--email", ADA, "--scope", "owner"],
            "short",
            "12 characters",
        ),
        (
            vec!["add", "--email", "ada", "--scope", "owner"],
            PASSWORD,
            "--email",
        ),
        (
            vec![
                "add",
                "--email",
                ADA,
                "--scope",
                "owner",
                "--customer",
                "cus_nobody",
            ],
            PASSWORD,
            "--customer",
        ),
        (
            vec!["password", "--email", "nobody@example.com"],
            PASSWORD,
            "nobody is called",
        ),
    ] {
        let (status, said) = user(&plane, &words, password);
        assert_ne!(status, Some(0), "{said}");
        assert!(said.contains(why), "{said}");
    }
    let (_, said) = user(&plane, &["list"], "");
    assert_eq!(said.trim(), "");
}

#[test]
fn s5_by_another_name_there_is_no_page() {
    let plane = Plane::start();
    let request = b"GET /login HTTP/1.1\r\nhost: evil.example\r\n\r\n";
    let answer = Client::connect(plane.listen()).ask(request);
    assert_eq!(answer.status, 421, "{}", answer.text());
}
