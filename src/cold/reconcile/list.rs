//! An issuer's list of transactions, read element by element: a JSON array, a page with its elements
//! under `data`, or either of these one after the other (JSON lines). Memory is bounded by the
//! largest element.

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

/// No transaction comes near it.
const ELEMENT_SIZE_MAX: usize = 1 << 20;
/// Of a page, beside its elements.
const PAGE_MEMBERS_MAX: usize = 256;

/// Why a list is not read to its end.
#[derive(Debug)]
pub struct ListError {
    path: PathBuf,
    /// Counted from 1; absent where it is about the whole file.
    element: Option<u64>,
    cause: String,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: ", self.path.display())?;
        if let Some(number) = self.element {
            write!(f, "element {number}: ")?;
        }
        f.write_str(&self.cause)
    }
}

impl std::error::Error for ListError {}

/// Gives each element to `take`, which may refuse it in words.
///
/// # Errors
/// [`ListError`] says where reading ended, and why.
pub fn for_each(
    path: &Path,
    mut take: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(), ListError> {
    let whole = |cause: String| ListError {
        path: path.to_owned(),
        element: None,
        cause,
    };
    let file = File::open(path).map_err(|cause| whole(format!("cannot be read: {cause}")))?;
    let since_element = Rc::new(Cell::new(0));
    let mut metered = Metered {
        inner: BufReader::new(file),
        since_element: Rc::clone(&since_element),
    };
    let mut elements = Elements {
        count: 0,
        refused: None,
        since_element,
        take: &mut take,
    };
    loop {
        match metered.is_at_end() {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(cause) => return Err(whole(format!("cannot be read: {cause}"))),
        }
        let mut json = serde_json::Deserializer::from_reader(&mut metered);
        let read = Piece(&mut elements).deserialize(&mut json);
        if let Err(cause) = read {
            let refused = elements.refused.take();
            let is_element = refused.is_some();
            return Err(ListError {
                path: path.to_owned(),
                element: is_element.then_some(elements.count),
                cause: refused.unwrap_or_else(|| format!("not a list in JSON: {cause}")),
            });
        }
    }
}

/// Counts what was read since the last element, so that nothing grows without end.
struct Metered {
    inner: BufReader<File>,
    since_element: Rc<Cell<usize>>,
}

impl Metered {
    /// Whether nothing but white space is left.
    fn is_at_end(&mut self) -> io::Result<bool> {
        loop {
            let buffer = self.inner.fill_buf()?;
            if buffer.is_empty() {
                return Ok(true);
            }
            let blank = buffer.iter().take_while(|it| it.is_ascii_whitespace());
            let (blank, size) = (blank.count(), buffer.len());
            self.inner.consume(blank);
            if blank < size {
                return Ok(false);
            }
        }
    }
}

impl Read for Metered {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        let since = self.since_element.get().saturating_add(read);
        self.since_element.set(since);
        if since > ELEMENT_SIZE_MAX.saturating_mul(2) {
            let told = format!("an element is larger than {ELEMENT_SIZE_MAX} bytes");
            return Err(io::Error::other(told));
        }
        Ok(read)
    }
}

struct Elements<'t> {
    count: u64,
    refused: Option<String>,
    since_element: Rc<Cell<usize>>,
    take: &'t mut dyn FnMut(&[u8]) -> Result<(), String>,
}

impl Elements<'_> {
    fn take<E: serde::de::Error>(&mut self, element: &[u8]) -> Result<(), E> {
        self.count = self.count.saturating_add(1);
        self.since_element.set(0);
        let taken = if element.len() > ELEMENT_SIZE_MAX {
            Err(format!("larger than {ELEMENT_SIZE_MAX} bytes"))
        } else {
            (self.take)(element)
        };
        taken.map_err(|cause| {
            self.refused = Some(cause);
            E::custom("refused")
        })
    }
}

/// A list, a page, or an element by itself.
struct Piece<'e, 't>(&'e mut Elements<'t>);

impl<'de> DeserializeSeed<'de> for Piece<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Piece<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of transactions, a page with `data`, or a transaction")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(element) = seq.next_element::<Box<RawValue>>()? {
            self.0.take(element.get().as_bytes())?;
        }
        Ok(())
    }

    /// What has a list under `data` is a page; what has not is put together again as an element.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut element = String::from("{");
        let mut members = 0;
        let mut is_page = false;
        while let Some(name) = map.next_key::<String>()? {
            members += 1;
            if name == "data" {
                is_page = true;
                map.next_value_seed(Data(&mut *self.0))?;
                continue;
            }
            if is_page {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value::<Box<RawValue>>()?;
            let name = serde_json::to_string(&name).map_err(A::Error::custom)?;
            let comma = if members > 1 { "," } else { "" };
            for part in [comma, &name, ":", value.get()] {
                element.push_str(part);
            }
            if element.len() > ELEMENT_SIZE_MAX || members > PAGE_MEMBERS_MAX {
                return Err(A::Error::custom("an element is too large"));
            }
        }
        if is_page {
            return Ok(());
        }
        element.push('}');
        self.0.take(element.as_bytes())
    }
}

/// The elements of a page.
struct Data<'e, 't>(&'e mut Elements<'t>);

impl<'de> DeserializeSeed<'de> for Data<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(Piece(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(text: &str) -> Result<Vec<String>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut elements = Vec::new();
        for_each(file.path(), |element| {
            let element = String::from_utf8(element.to_vec()).unwrap();
            if element.contains("bad") {
                return Err("it is bad".to_owned());
            }
            elements.push(element);
            Ok(())
        })
        .map(|()| elements)
        .map_err(|error| error.to_string())
    }

    #[test]
    fn arrays_pages_and_lines_have_the_same_elements() {
        let expected = vec!["{\"a\":1}".to_owned(), "{\"b\":[2,{}]}".to_owned()];
        for text in [
            "[{\"a\":1},{\"b\":[2,{}]}]",
            " [ {\"a\":1} , {\"b\":[2,{}]} ] \n",
            "{\"a\":1}\n{\"b\":[2,{}]}\n",
            "{\"data\":[{\"a\":1},{\"b\":[2,{}]}],\"has_more\":false}",
            "{\"object\":\"list\",\"data\":[{\"a\":1}]}\n{\"data\":[{\"b\":[2,{}]}]}",
            "{\"a\":1}[{\"b\":[2,{}]}]",
        ] {
            assert_eq!(elements(text), Ok(expected.clone()), "{text}");
        }
        for text in ["", " \n", "[]", "{\"data\":[]}"] {
            assert_eq!(elements(text), Ok(Vec::new()), "{text}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused_with_its_place() {
        for (text, words) in [
            ("[{\"a\":1},{\"bad\":1}]", "element 2: it is bad"),
            ("[{\"a\":1}", "not a list in JSON"),
            ("{\"data\":{}}", "not a list in JSON"),
            ("\"text\"", "not a list in JSON"),
            ("{\"a\":1}}", "not a list in JSON"),
        ] {
            let told = elements(text).unwrap_err();
            assert!(told.contains(words), "{text}: {told}");
        }
        let endless = format!("[{{\"a\":\"{}\"}}]", "x".repeat(3 << 20));
        let told = elements(&endless).unwrap_err();
        assert!(told.contains("larger than 1048576 bytes"), "{told}");
        let gone = for_each(Path::new("/nowhere/list.json"), |_| Ok(())).unwrap_err();
        assert!(gone.to_string().contains("/nowhere/list.json"), "{gone}");
    }
}
