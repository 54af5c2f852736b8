//! A browser as far as the page needs one: it sends requests, keeps cookies, and fills in forms.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

/// Where the page is.
#[derive(Clone, Debug)]
pub(in crate::scenarios) enum At {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// The browser.
pub(in crate::scenarios) struct Browser {
    pub(in crate::scenarios) at: At,
    pub(in crate::scenarios) host: String,
    pub(in crate::scenarios) cookies: BTreeMap<String, String>,
    /// Sent with every request.
    pub(in crate::scenarios) headers: Vec<(String, String)>,
}

/// What came back.
#[derive(Debug)]
pub(in crate::scenarios) struct Page {
    pub(in crate::scenarios) status: u16,
    pub(in crate::scenarios) headers: Vec<(String, String)>,
    pub(in crate::scenarios) body: Vec<u8>,
}

impl Page {
    /// A header's value, or nothing.
    pub(in crate::scenarios) fn header(&self, name: &str) -> &str {
        let mut found = self.headers.iter().filter(|(each, _)| each == name);
        found.next().map_or("", |(_, value)| value)
    }

    pub(in crate::scenarios) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The word that a form of this page carries.
    #[track_caller]
    pub(in crate::scenarios) fn form_word(&self) -> String {
        let found = self.text().split("name=\"form\" value=\"").nth(1);
        found.expect("a form").split('"').next().unwrap().to_owned()
    }

    /// Whether all of these are on it.
    #[track_caller]
    pub(in crate::scenarios) fn has(&self, words: &[&str]) {
        assert_eq!(self.status, 200, "{}", self.text());
        for word in words {
            assert!(self.text().contains(word), "no {word}: {}", self.text());
        }
    }
}

impl Browser {
    pub(in crate::scenarios) fn at(at: At) -> Self {
        Self {
            at,
            host: "localhost:8462".to_owned(),
            cookies: BTreeMap::new(),
            headers: Vec::new(),
        }
    }

    pub(in crate::scenarios) fn get(&mut self, path: &str) -> Page {
        self.send("GET", path, &[], None)
    }

    /// A page that is there, with all of these on it.
    #[track_caller]
    pub(in crate::scenarios) fn shows(&mut self, path: &str, words: &[&str]) -> Page {
        let page = self.get(path);
        page.has(words);
        page
    }

    /// Sends a form as the page `from` has it.
    pub(in crate::scenarios) fn post(
        &mut self,
        from: &Page,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Page {
        let word = from.form_word();
        let mut all = vec![("form", word.as_str())];
        all.extend(fields);
        self.send("POST", path, &[], Some(&encoded(&all)))
    }

    pub(in crate::scenarios) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Page {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.host
        );
        if !self.cookies.is_empty() {
            let cookies: Vec<_> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request.push_str(&format!("Cookie: {}\r\n", cookies.join("; ")));
        }
        let own = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = body {
            request.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
            request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        } else {
            request.push_str("\r\n");
        }
        let page = read(&self.exchange(request.as_bytes()));
        for (_, line) in page.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        page
    }

    fn exchange(&self, request: &[u8]) -> Vec<u8> {
        let patience = Some(Duration::from_secs(60));
        match &self.at {
            At::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(patience).unwrap();
                converse(stream, request)
            }
            At::Tcp(address) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(patience).unwrap();
                converse(stream, request)
            }
        }
    }
}

fn converse(mut stream: impl Read + Write, request: &[u8]) -> Vec<u8> {
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

fn read(answer: &[u8]) -> Page {
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    });
    Page {
        status,
        headers: headers.collect(),
        body: answer[end + 4..].to_vec(),
    }
}

/// Fields as a form sends them.
pub(in crate::scenarios) fn encoded(fields: &[(&str, &str)]) -> String {
    let value = |text: &str| {
        text.bytes().fold(String::new(), |mut text, octet| {
            if octet.is_ascii_alphanumeric() {
                text.push(char::from(octet));
            } else {
                text.push_str(&format!("%{octet:02X}"));
            }
            text
        })
    };
    let pairs: Vec<_> = fields
        .iter()
        .map(|(name, text)| format!("{name}={}", value(text)))
        .collect();
    pairs.join("&")
}
