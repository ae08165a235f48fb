//! Messages as incoming webhooks of chats take them: `text`, and the blocks that Slack shows in its place.
//!
//! What somebody else wrote stands in objects of plain text alone, in which nothing is marked up, and is
//! escaped besides. `text` has nothing of theirs: chats that know no blocks show it as markup.

use serde::Serialize;

use super::message::{Message, NOT_OURS, harmless};

/// Characters of a text of ours that one object has.
const TEXT_LEN_MAX: usize = 2_000;
const HEADER_LEN_MAX: usize = 150;

#[derive(Serialize)]
struct Body {
    text: String,
    blocks: Vec<Block>,
}

#[derive(Serialize)]
struct Block {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text>,
}

#[derive(Serialize)]
struct Text {
    #[serde(rename = "type")]
    kind: &'static str,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    emoji: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbatim: Option<bool>,
}

/// The three characters by which its markup begins.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;")
}

fn plain(kind: &'static str, text: &str, most: usize) -> Block {
    let cut: String = text.chars().take(most).collect();
    Block {
        kind,
        text: Some(Text {
            kind: "plain_text",
            text: escaped(&cut),
            emoji: Some(false),
            verbatim: None,
        }),
    }
}

/// Links of ours, and nothing else.
fn links(text: String) -> Block {
    Block {
        kind: "section",
        text: Some(Text {
            kind: "mrkdwn",
            text,
            emoji: None,
            verbatim: Some(true),
        }),
    }
}

/// The bytes that are sent.
pub(super) fn body(message: &Message) -> String {
    let mut ours = Vec::new();
    if let Some((link, ends)) = &message.link {
        let link = escaped(link);
        ours.push(format!(
            "<{link}|Look at it, and approve or deny it> (once, until {ends}; whoever sees this can)"
        ));
    }
    if let Some(page) = &message.page {
        ours.push(format!("<{}|The same, signed in>", escaped(page)));
    }
    let ours = ours.join("\n");
    let mut blocks = vec![plain("header", &message.subject, HEADER_LEN_MAX)];
    let mut section = |lines: Vec<String>| {
        if !lines.is_empty() {
            blocks.push(plain("section", &lines.join("\n"), TEXT_LEN_MAX));
        }
    };
    let facts = message.facts.iter();
    section(
        facts
            .map(|(name, value)| format!("{name}: {value}"))
            .collect(),
    );
    section(message.causes.iter().map(|it| format!("- {it}")).collect());
    if !ours.is_empty() {
        blocks.push(links(ours.clone()));
    }
    if !message.words.is_empty() {
        blocks.push(Block {
            kind: "divider",
            text: None,
        });
        blocks.push(plain("section", NOT_OURS, TEXT_LEN_MAX));
    }
    for (name, words) in &message.words {
        let text = format!("{name}: {}", harmless(words));
        blocks.push(plain("section", &text, TEXT_LEN_MAX));
    }
    let body = Body {
        text: format!("{}\n{ours}", escaped(&message.subject)),
        blocks,
    };
    // A struct of texts always has a JSON form.
    serde_json::to_string(&body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const CORPUS: &str = include_str!("../../../tests/interop/xss.txt");

    fn message(words: &str) -> Message {
        Message {
            id: "evt_1".to_owned(),
            subject: "10.00 USD at shop[.]example waits".to_owned(),
            facts: vec![("Amount", "10.00 USD".to_owned())],
            causes: vec!["The amount is not below 5.00 USD.".to_owned()],
            words: vec![("What", words.to_owned()), ("Why", words.to_owned())],
            page: Some("https://pay.example.com/reviews/preq_1".to_owned()),
            link: Some((
                "https://pay.example.com/review/t".to_owned(),
                "then".to_owned(),
            )),
        }
    }

    /// Texts that are marked up, and those that are not, in their order.
    fn texts(body: &Value) -> (Vec<String>, Vec<String>) {
        let of = |kind: &str| {
            let blocks = body["blocks"].as_array().unwrap().iter();
            let found = blocks.filter(|it| it["text"]["type"] == kind);
            found
                .map(|it| it["text"]["text"].as_str().unwrap().to_owned())
                .collect()
        };
        (of("mrkdwn"), of("plain_text"))
    }

    #[test]
    fn s7_no_word_of_an_agent_is_marked_up_in_a_chat() {
        let calm: Value = serde_json::from_str(&body(&message("plain"))).unwrap();
        let own = [
            "*bold* _i_ ~s~ `c`",
            "<!channel>",
            "<@U1>",
            "<https://evil.example|x>",
            "> q",
            ":tada:",
        ];
        let mut count = 0;
        for text in CORPUS.lines().chain(own).filter(|it| !it.is_empty()) {
            let told: Value = serde_json::from_str(&body(&message(text))).unwrap();
            assert_eq!(told["text"], calm["text"], "{text}");
            let (marked, plain) = texts(&told);
            assert_eq!(marked, texts(&calm).0, "{text}");
            assert_eq!(plain.len(), texts(&calm).1.len(), "{text}");
            for shown in &plain {
                assert!(!shown.contains(['<', '>']), "{shown}");
                assert!(shown.chars().count() <= 3_000);
            }
            assert!(
                told["blocks"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|it| it["text"]["emoji"] != true)
            );
            count += 1;
        }
        assert!(count >= 200);
        let longest = "&".repeat(1_000);
        let told: Value = serde_json::from_str(&body(&message(&longest))).unwrap();
        let (_, plain) = texts(&told);
        assert!(
            plain.iter().all(|it| it.chars().count() <= 3_000),
            "Slack refuses longer ones"
        );
    }
}
