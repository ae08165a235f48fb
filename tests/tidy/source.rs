//! Reads Rust text into tokens, so that the rules neither trip over comments and strings nor miss
//! a path that is broken over several lines.
//!
//! The cost: this is not rustc. Macros are read as written, and a path that a macro assembles from
//! parts is not seen.

use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Ident,
    Lifetime,
    Literal,
    Punct,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    pub(crate) line: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Comment {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// One path as the source names it: `crate::hot::server`, with the place where it stands.
#[derive(Clone, Debug)]
pub(crate) struct NamedPath {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    pub(crate) in_use: bool,
    pub(crate) in_test: bool,
    /// How many inline `mod x { … }` stand around it.
    pub(crate) inline_depth: usize,
}

impl NamedPath {
    pub(crate) fn segment(&self, index: usize) -> &str {
        self.segments.get(index).map_or("", String::as_str)
    }
}

/// One function with a body.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) line_count: usize,
    pub(crate) in_test: bool,
    /// It carries an attribute whose path ends in `test`.
    pub(crate) is_test: bool,
}

/// One Rust file, read once.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// From the root of the repository, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    pub(crate) comments: Vec<Comment>,
    /// Parallel to `tokens`: inside an item under `#[cfg(test)]` or `#[test]`.
    test_marks: Vec<bool>,
    /// Parallel to `tokens`.
    inline_depths: Vec<usize>,
}

impl SourceFile {
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let (tokens, comments) = Lexer::new(text).run();
        let whole_file = is_test_path(path);
        let test_marks = mark_tests(&tokens, whole_file);
        let inline_depths = count_inline_modules(&tokens);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens,
            comments,
            test_marks,
            inline_depths,
        }
    }

    pub(crate) fn mark_whole_file_as_test(&mut self) {
        self.test_marks.fill(true);
    }

    pub(crate) fn is_wholly_test(&self) -> bool {
        is_test_path(&self.path) || (!self.tokens.is_empty() && self.test_marks.iter().all(|m| *m))
    }

    pub(crate) fn in_test(&self, index: usize) -> bool {
        self.test_marks.get(index).copied().unwrap_or(false)
    }

    pub(crate) fn is(&self, index: usize, text: &str) -> bool {
        self.tokens.get(index).is_some_and(|t| t.text == text)
    }

    pub(crate) fn is_ident(&self, index: usize) -> bool {
        self.tokens
            .get(index)
            .is_some_and(|t| t.kind == Kind::Ident)
    }

    /// `src/hot/server.rs` is `["hot", "server"]`; the crate roots are `[]`.
    pub(crate) fn module_path(&self) -> Vec<&str> {
        let Some(inner) = self
            .path
            .strip_prefix("src/")
            .and_then(|p| p.strip_suffix(".rs"))
        else {
            return Vec::new();
        };
        if inner == "lib" || inner == "main" {
            return Vec::new();
        }
        inner.split('/').collect()
    }

    /// The first path segment: the name by which the dependency order knows this file.
    pub(crate) fn layer(&self) -> &str {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let first = inner.split('/').next().unwrap_or(inner);
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// All paths: those of `use` declarations, flattened, and those written in place.
    pub(crate) fn paths(&self) -> Vec<NamedPath> {
        let mut found = Vec::new();
        let mut index = 0;
        while index < self.tokens.len() {
            if self.starts_use(index) {
                index = self.read_use(index + 1, &mut found);
            } else if self.starts_path(index) {
                index = self.read_path(index, &mut found);
            } else {
                index += 1;
            }
        }
        found
    }

    fn starts_use(&self, index: usize) -> bool {
        // `impl Trait + use<'a>` is not a declaration.
        self.is(index, "use") && self.is_ident(index) && !self.is(index + 1, "<")
    }

    fn starts_path(&self, index: usize) -> bool {
        let follows = index.checked_sub(1).is_some_and(|before| {
            self.is(before, "::") && before.checked_sub(1).is_some_and(|b| self.is_ident(b))
        });
        self.is_ident(index) && self.is(index + 1, "::") && !follows
    }

    fn read_path(&self, start: usize, found: &mut Vec<NamedPath>) -> usize {
        let mut segments = vec![self.tokens[start].text.clone()];
        let mut index = start + 1;
        while self.is(index, "::") && self.is_ident(index + 1) {
            segments.push(self.tokens[index + 1].text.clone());
            index += 2;
        }
        found.push(self.named(segments, start, false));
        index
    }

    fn read_use(&self, start: usize, found: &mut Vec<NamedPath>) -> usize {
        let mut prefixes: Vec<Vec<String>> = Vec::new();
        let mut current: Vec<String> = Vec::new();
        let mut place = start;
        let mut index = start;
        while index < self.tokens.len() && !self.is(index, ";") {
            let text = self.tokens[index].text.as_str();
            match text {
                "::" => {}
                "{" => {
                    // A group at the root, `use {` or `use crate::{`, is a finding of its own.
                    if current.len() < 2 {
                        let mut group = current.clone();
                        group.push("{".to_owned());
                        found.push(self.named(group, index, true));
                    }
                    prefixes.push(current.clone());
                }
                "," | "}" => {
                    let open = prefixes.last().cloned().unwrap_or_default();
                    if current.len() > open.len() {
                        found.push(self.named(current, place, true));
                    }
                    if text == "}" {
                        // The group is complete; its own prefix has been reported with its members.
                        prefixes.pop();
                    }
                    current = prefixes.last().cloned().unwrap_or_default();
                }
                "as" => index += 1,
                _ => {
                    place = index;
                    current.push(text.to_owned());
                }
            }
            index += 1;
        }
        if !current.is_empty() && prefixes.is_empty() {
            found.push(self.named(current, place, true));
        }
        index
    }

    fn named(&self, segments: Vec<String>, index: usize, in_use: bool) -> NamedPath {
        NamedPath {
            segments,
            line: self.tokens.get(index).map_or(0, |t| t.line),
            in_use,
            in_test: self.in_test(index),
            inline_depth: self.inline_depths.get(index).copied().unwrap_or(0),
        }
    }

    /// Names that hide an external crate of the same name: modules declared here, and what a `use`
    /// with at least two segments brings in.
    pub(crate) fn local_names(&self) -> BTreeSet<String> {
        let declared = (0..self.tokens.len())
            .filter(|i| self.is(*i, "mod") && self.is_ident(i + 1))
            .map(|i| self.tokens[i + 1].text.clone());
        let imported = self
            .paths()
            .into_iter()
            .filter(|p| p.in_use && p.segments.len() > 1)
            .filter_map(|p| p.segments.last().cloned());
        declared.chain(imported).collect()
    }

    /// Files that `#[cfg(test)] mod name;` declares, without `.rs`.
    pub(crate) fn test_modules(&self) -> Vec<String> {
        let folder = match self.path.strip_suffix(".rs") {
            Some("src/lib" | "src/main") => "src",
            Some(own) => own,
            None => return Vec::new(),
        };
        (0..self.tokens.len())
            .filter(|i| self.is(*i, "mod") && self.is_ident(i + 1) && self.is(i + 2, ";"))
            .filter(|i| self.in_test(*i))
            .map(|i| format!("{folder}/{}", self.tokens[i + 1].text))
            .collect()
    }

    pub(crate) fn functions(&self) -> Vec<Function> {
        (0..self.tokens.len())
            .filter_map(|i| self.function_at(i))
            .collect()
    }

    fn function_at(&self, index: usize) -> Option<Function> {
        if !(self.is(index, "fn") && self.is_ident(index) && self.is_ident(index + 1)) {
            return None;
        }
        let open = find_body(&self.tokens, index + 2)?;
        let close = matching(&self.tokens, open)?;
        let line = self.tokens[index].line;
        Some(Function {
            name: self.tokens[index + 1].text.clone(),
            line,
            line_count: self.tokens[close].line + 1 - line,
            in_test: self.in_test(index),
            is_test: self.has_test_attribute(index),
        })
    }

    /// Walks back from `fn` over its qualifiers and attributes.
    fn has_test_attribute(&self, function: usize) -> bool {
        let mut index = function;
        while let Some(before) = index.checked_sub(1) {
            if self.is(before, "]") {
                let Some(open) = matching_back(&self.tokens, before) else {
                    return false;
                };
                let attribute = &self.tokens[open..before];
                if attribute_names_test(attribute) {
                    return true;
                }
                index = open.saturating_sub(1);
            } else if [
                "pub", "async", "const", "(", ")", "crate", "super", "in", "::",
            ]
            .contains(&self.tokens[before].text.as_str())
            {
                index = before;
            } else {
                return false;
            }
        }
        false
    }

    /// Token ranges of attributes, `#[…]` and `#![…]`, brackets included.
    pub(crate) fn attributes(&self) -> Vec<(usize, usize)> {
        attributes(&self.tokens)
    }
}

/// `tests.rs`, anything under a folder `tests`, and benches.
fn is_test_path(path: &str) -> bool {
    path.ends_with("/tests.rs")
        || path.starts_with("tests/")
        || path.contains("/tests/")
        || path.starts_with("benches/")
        || path.contains("/benches/")
}

fn attributes(tokens: &[Token]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for index in 0..tokens.len() {
        if tokens[index].text != "#" || tokens[index].kind != Kind::Punct {
            continue;
        }
        let bang = tokens.get(index + 1).is_some_and(|t| t.text == "!");
        let open = index + 1 + usize::from(bang);
        if tokens.get(open).is_some_and(|t| t.text == "[")
            && let Some(close) = matching(tokens, open)
        {
            found.push((index, close));
        }
    }
    found
}

/// `#[test]`, `#[tokio::test]`, `#[tokio::test(flavor = …)]`.
fn attribute_names_test(tokens: &[Token]) -> bool {
    let path: Vec<&str> = tokens
        .iter()
        .skip_while(|t| t.kind == Kind::Punct)
        .take_while(|t| t.kind == Kind::Ident || t.text == "::")
        .map(|t| t.text.as_str())
        .collect();
    path.last() == Some(&"test")
}

fn is_cfg_test(tokens: &[Token]) -> bool {
    let texts: Vec<&str> = tokens.iter().map(|t| t.text.as_str()).collect();
    texts.contains(&"cfg") && texts.contains(&"test") && !texts.contains(&"not")
}

fn mark_tests(tokens: &[Token], whole_file: bool) -> Vec<bool> {
    let mut marks = vec![whole_file; tokens.len()];
    for (start, close) in attributes(tokens) {
        let inside = &tokens[start..close];
        if !(is_cfg_test(inside) || attribute_names_test(inside)) {
            continue;
        }
        let inner = tokens.get(start + 1).is_some_and(|t| t.text == "!");
        let end = if inner {
            tokens.len()
        } else {
            item_end(tokens, close + 1)
        };
        marks[start..end.min(tokens.len())].fill(true);
    }
    marks
}

/// One past the item that begins at `start`: its `;` or the brace that closes its body.
fn item_end(tokens: &[Token], start: usize) -> usize {
    let mut index = start;
    while index < tokens.len() {
        match tokens[index].text.as_str() {
            ";" => return index + 1,
            "{" => return matching(tokens, index).map_or(tokens.len(), |close| close + 1),
            "(" | "[" => index = matching(tokens, index).unwrap_or(tokens.len()),
            _ => {}
        }
        index += 1;
    }
    tokens.len()
}

fn find_body(tokens: &[Token], start: usize) -> Option<usize> {
    let mut index = start;
    while let Some(token) = tokens.get(index) {
        match token.text.as_str() {
            ";" => return None,
            "{" => return Some(index),
            "(" | "[" => index = matching(tokens, index)?,
            _ => {}
        }
        index += 1;
    }
    None
}

fn is_open(token: &Token) -> bool {
    token.kind == Kind::Punct && ["(", "[", "{"].contains(&token.text.as_str())
}

fn is_close(token: &Token) -> bool {
    token.kind == Kind::Punct && [")", "]", "}"].contains(&token.text.as_str())
}

/// The bracket that closes the one at `open`.
pub(crate) fn matching(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        if is_open(token) {
            depth += 1;
        } else if is_close(token) {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(index);
            }
        }
    }
    None
}

fn matching_back(tokens: &[Token], close: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for index in (0..=close).rev() {
        if is_close(&tokens[index]) {
            depth += 1;
        } else if is_open(&tokens[index]) {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(index);
            }
        }
    }
    None
}

fn count_inline_modules(tokens: &[Token]) -> Vec<usize> {
    let mut depths = vec![0; tokens.len()];
    for index in 0..tokens.len() {
        let opens = tokens[index].text == "mod"
            && tokens[index].kind == Kind::Ident
            && tokens.get(index + 2).is_some_and(|t| t.text == "{");
        if opens && let Some(close) = matching(tokens, index + 2) {
            for depth in &mut depths[index + 2..close] {
                *depth += 1;
            }
        }
    }
    depths
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
    comments: Vec<Comment>,
}

// === impl Lexer ===

impl Lexer {
    fn new(text: &str) -> Self {
        Self {
            chars: text.chars().collect(),
            at: 0,
            line: 1,
            tokens: Vec::new(),
            comments: Vec::new(),
        }
    }

    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn bump(&mut self) -> char {
        let c = self.peek(0);
        if c == '\n' {
            self.line += 1;
        }
        self.at += 1;
        c
    }

    fn push(&mut self, kind: Kind, text: String, line: usize) {
        self.tokens.push(Token { kind, text, line });
    }

    /// The quote in front keeps the text of a literal from being taken for syntax.
    fn push_literal(&mut self, text: &str, line: usize) {
        self.push(Kind::Literal, format!("\"{text}"), line);
    }

    fn run(mut self) -> (Vec<Token>, Vec<Comment>) {
        while self.at < self.chars.len() {
            let c = self.peek(0);
            if c == '/' && self.peek(1) == '/' {
                self.line_comment();
            } else if c == '/' && self.peek(1) == '*' {
                self.block_comment();
            } else if c.is_whitespace() {
                self.bump();
            } else if self.string_prefix() {
                self.string();
            } else if c == '\'' {
                self.quote();
            } else if c.is_ascii_digit() {
                self.number();
            } else if c == '_' || c.is_alphabetic() {
                self.ident();
            } else {
                self.punct();
            }
        }
        (self.tokens, self.comments)
    }

    fn line_comment(&mut self) {
        let line = self.line;
        let mut text = String::new();
        while self.at < self.chars.len() && self.peek(0) != '\n' {
            text.push(self.bump());
        }
        self.comments.push(Comment { text, line });
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        let mut text = String::new();
        let mut line = self.line;
        while self.at < self.chars.len() {
            if self.peek(0) == '/' && self.peek(1) == '*' {
                depth += 1;
                self.bump();
                self.bump();
            } else if self.peek(0) == '*' && self.peek(1) == '/' {
                depth -= 1;
                self.bump();
                self.bump();
                if depth == 0 {
                    break;
                }
            } else if self.bump() == '\n' {
                self.comments.push(Comment {
                    text: std::mem::take(&mut text),
                    line,
                });
                line = self.line;
            } else {
                text.push(self.chars[self.at - 1]);
            }
        }
        self.comments.push(Comment { text, line });
    }

    /// `"`, `b"`, `c"`, `r"`, `r#"`, `br#"`, `b'` stand at the cursor.
    fn string_prefix(&self) -> bool {
        let mut ahead = 0;
        while ahead < 2 && ['b', 'c', 'r'].contains(&self.peek(ahead)) {
            ahead += 1;
        }
        let raw = ahead > 0 && self.peek(ahead - 1) == 'r';
        let mut hashes = 0;
        while raw && self.peek(ahead + hashes) == '#' {
            hashes += 1;
        }
        self.peek(ahead + hashes) == '"' && self.peek(0) != '\0'
    }

    fn string(&mut self) {
        let line = self.line;
        let mut raw = false;
        let mut hashes = 0_usize;
        while self.peek(0) != '"' {
            let c = self.bump();
            raw |= c == 'r';
            hashes += usize::from(c == '#');
        }
        self.bump();
        let mut text = String::new();
        while self.at < self.chars.len() {
            let c = self.bump();
            if c == '\\' && !raw {
                self.bump();
            } else if c == '"' && (0..hashes).all(|i| self.peek(i) == '#') {
                self.at += hashes;
                break;
            } else {
                text.push(c);
            }
        }
        self.push_literal(&text, line);
    }

    fn quote(&mut self) {
        let line = self.line;
        self.bump();
        if self.peek(0) == '\\' {
            self.bump();
            self.bump();
            while self.at < self.chars.len() && self.bump() != '\'' {}
            self.push_literal("", line);
        } else if self.peek(1) == '\'' {
            let text = self.bump().to_string();
            self.bump();
            self.push_literal(&text, line);
        } else {
            let text = self.word();
            self.push(Kind::Lifetime, text, line);
        }
    }

    fn word(&mut self) -> String {
        let mut text = String::new();
        while self.peek(0) == '_' || self.peek(0).is_alphanumeric() {
            text.push(self.bump());
        }
        text
    }

    fn number(&mut self) {
        let line = self.line;
        let mut text = self.word();
        if self.peek(0) == '.' && self.peek(1).is_ascii_digit() {
            text.push(self.bump());
            text.push_str(&self.word());
        }
        self.push_literal(&text, line);
    }

    fn ident(&mut self) {
        let line = self.line;
        if self.peek(0) == 'r' && self.peek(1) == '#' {
            self.at += 2;
        }
        let text = self.word();
        self.push(Kind::Ident, text, line);
    }

    fn punct(&mut self) {
        let line = self.line;
        let c = self.bump();
        let text = if c == ':' && self.peek(0) == ':' {
            self.bump();
            "::".to_owned()
        } else {
            c.to_string()
        };
        self.push(Kind::Punct, text, line);
    }
}
