//! What the listeners say of a path that is none and of a method that a path does not take: a page to people,
//! a problem to programs.

use crate::browser::Browser;
use crate::plane::{Plane, bearer, code, request};
use crate::server::{Client, Response};

fn is_a_page(answer: &Response, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("text/html"), "{kind}");
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(answer.text().contains("<h1"), "{}", answer.text());
}

fn is_a_problem(answer: &Response, status: u16, named: &str) {
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{}",
        answer.text()
    );
    assert_eq!(code(answer, status), named);
}

#[test]
fn a_path_that_is_no_text_is_refused_in_words() {
    let plane = Plane::start();
    let mut browser = Browser::new(&plane);
    for path in [
        "/review/%ff",
        "/view/%ff",
        "/reviews/%ff",
        "/access-requests/%ff",
        "/login%ff",
    ] {
        let answer = browser.get(path);
        if path == "/login%ff" {
            is_a_problem(&answer, 400, "invalid_request");
        } else {
            is_a_page(&answer, 404);
        }
    }
    is_a_page(&browser.post("/review/%ff/approve", &[]), 404);
    is_a_page(&browser.post("/programs/%ff/revoke", &[]), 404);
    let key = bearer(&plane.owner);
    for path in ["/v1/cards/%ff", "/v1/cards/%C3", "/v1/%ff", "/%ff"] {
        is_a_problem(
            &plane.ask_with("GET", path, &key, ""),
            400,
            "invalid_request",
        );
    }
    // What stands for a text, and what stands for nothing, goes on.
    for path in ["/v1/cards/%C3%A9", "/v1/cards/%f", "/v1/cards/%zz"] {
        is_a_problem(&plane.ask_with("GET", path, &key, ""), 404, "not_found");
    }
    for path in ["/admin/cards/%ff", "/admin/cards/%ff/lock"] {
        let text = request("POST", path, "", "");
        let answer = Client::connect(plane.server().ops).ask(text.as_bytes());
        is_a_problem(&answer, 400, "invalid_path");
    }
}

#[test]
fn a_page_that_is_asked_for_in_another_way_says_so() {
    let plane = Plane::start();
    let mut browser = Browser::new(&plane);
    for (method, path, allowed) in [
        ("DELETE", "/login", "GET,HEAD,POST"),
        ("GET", "/reviews/x/approve", "POST"),
        ("GET", "/review/x/deny", "POST"),
        ("PUT", "/view/x", "GET,HEAD,POST"),
        ("PUT", "/oauth/authorize", "GET,HEAD,POST"),
        ("GET", "/programs/x/revoke", "POST"),
        ("GET", "/access-requests/x/grant", "POST"),
    ] {
        let answer = browser.send(method, path, "", "");
        is_a_page(&answer, 405);
        assert_eq!(answer.header("allow"), Some(allowed), "{path}");
    }
    for (method, path) in [
        ("GET", "/oauth/token"),
        ("DELETE", "/healthz"),
        ("DELETE", "/v1/cards"),
    ] {
        let answer = browser.send(method, path, "", "");
        is_a_problem(&answer, 405, "method_not_allowed");
        assert!(answer.header("allow").is_some(), "{path}");
    }
}
