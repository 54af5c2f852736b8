//! A real browser, driven by its own protocol (Chrome DevTools) over two pipes.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// Where Debian has it.
const PROGRAM: &str = "/usr/bin/chromium";

/// How a page is to be looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) dark: bool,
    pub(super) language: &'static str,
}

/// A running browser with one page.
pub(super) struct Chromium {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: String,
    next_id: u64,
    /// What the browser complained of: scripts and styles that were refused, errors.
    pub(super) complaints: Vec<Value>,
    _profile: tempfile::TempDir,
}

impl Chromium {
    /// Starts it; none where it is not installed, which fails in CI.
    pub(super) fn start() -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            crate::skipped::skipped(
                "the page is not looked at in a browser, for /usr/bin/chromium is missing. `cargo xtask tools` \
                 installs it.",
            );
            return None;
        }
        let profile = tempfile::tempdir().unwrap();
        // It reads from descriptor 3 and writes to 4.
        let mut child = Command::new("sh")
            .args([
                "-c",
                "exec \"$@\" 3<&0 4>&1 0</dev/null 1>&2",
                "sh",
                PROGRAM,
            ])
            .args([
                "--headless=new",
                "--remote-debugging-pipe",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--no-first-run",
                "--hide-scrollbars",
                "--force-color-profile=srgb",
                "--font-render-hinting=none",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut chromium = Self {
            child,
            to,
            from: BufReader::new(from),
            session: String::new(),
            next_id: 0,
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = chromium.ask("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = chromium.ask("Target.attachToTarget", &attach);
        chromium.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in [
            "Page.enable",
            "Runtime.enable",
            "Log.enable",
            "Network.enable",
            "Accessibility.enable",
        ] {
            chromium.ask(domain, &json!({}));
        }
        Some(chromium)
    }

    /// Asks for one thing and gives what it comes to.
    pub(super) fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        self.next_id += 1;
        let mut message = json!({"id": self.next_id, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut octets = message.to_string().into_bytes();
        octets.push(0);
        self.to.write_all(&octets).unwrap();
        loop {
            let heard = self.hear();
            if heard["id"] == json!(self.next_id) {
                assert!(heard["error"].is_null(), "{method}: {heard}");
                return heard["result"].clone();
            }
        }
    }

    /// The next thing it says.
    fn hear(&mut self) -> Value {
        let mut octets = Vec::new();
        self.from.read_until(0, &mut octets).unwrap();
        assert_eq!(octets.pop(), Some(0), "the browser has ended");
        let heard: Value = serde_json::from_slice(&octets).unwrap();
        let method = heard["method"].as_str().unwrap_or_default();
        if [
            "Log.entryAdded",
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
        ]
        .contains(&method)
        {
            self.complaints.push(heard["params"].clone());
        }
        heard
    }

    /// Opens an address, and waits until all of it is there.
    pub(super) fn open(&mut self, address: &str, view: View) {
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": view.width, "height": view.height, "deviceScaleFactor": 1, "mobile": false}),
        );
        let scheme = if view.dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.ask("Emulation.setEmulatedMedia", &json!({"features": features}));
        let languages = json!({"Accept-Language": view.language});
        self.ask(
            "Network.setExtraHTTPHeaders",
            &json!({"headers": languages}),
        );
        self.ask("Page.navigate", &json!({"url": address}));
        while self.hear()["method"] != "Page.loadEventFired" {}
    }

    /// What an expression comes to on the page.
    pub(super) fn value(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true});
        self.ask("Runtime.evaluate", &asked)["result"]["value"].clone()
    }

    /// Presses a key.
    pub(super) fn press(&mut self, key: &str, code: u32) {
        for kind in ["keyDown", "keyUp"] {
            let mut event =
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            if key == "Enter" && kind == "keyDown" {
                event["text"] = json!("\r");
            }
            self.ask("Input.dispatchKeyEvent", &event);
        }
    }

    /// A picture of the page, or of its upper part, as PNG.
    pub(super) fn picture(&mut self) -> Vec<u8> {
        let asked = json!({"format": "png", "optimizeForSpeed": false});
        let taken = self.ask("Page.captureScreenshot", &asked);
        BASE64_STANDARD
            .decode(taken["data"].as_str().unwrap())
            .unwrap()
    }

    /// What a screen reader is told: the role and name of each thing that it stops at.
    pub(super) fn spoken(&mut self) -> Vec<(String, String)> {
        let tree = self.ask("Accessibility.getFullAXTree", &json!({}));
        let nodes = tree["nodes"].as_array().unwrap().iter();
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        nodes
            .filter(|node| node["ignored"] != json!(true))
            .map(|node| (text(&node["role"]), text(&node["name"])))
            .collect()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.child.kill().is_ok();
        let _waited = self.child.wait().is_ok();
    }
}
