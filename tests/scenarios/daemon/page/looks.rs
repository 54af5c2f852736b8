//! The page in a real browser: nothing is refused or complained of, it fits the narrowest screens, keyboards
//! and screen readers find their way, and pictures are taken of it.

use std::{
    fs,
    io::copy,
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread,
};

use super::{
    chromium::{Chromium, View},
    pages::host_with_a_month,
};

/// Where the pictures are kept, below the tests' own directory: `docs/screenshots` has some of them.
const PICTURES: &str = "page";

const WIDE: View = View {
    width: 1_280,
    height: 1_000,
    dark: false,
    language: "en",
};

/// Every page, for a look at each.
const PATHS: &[&str] = &[
    "/",
    "/domains",
    "/domains/bank.test",
    "/domains/clinic.test",
    "/domains/hostile.test",
    "/policies",
    "/reports",
    "/overrides",
    "/audit",
    "/alerts",
    "/health",
    "/failures",
    "/failures/certificate-expired",
    "/act?do=purge&domain=bank.test",
];

/// As `ssh -L` does it: a port of loopback that leads to the unix socket. Gives its address.
fn leads_to(socket: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(near), Ok(far)) = (stream, UnixStream::connect(&socket)) else {
                return;
            };
            thread::spawn(move || carry(&near, &far));
        }
    });
    address
}

fn carry(near: &TcpStream, far: &UnixStream) {
    thread::scope(|scope| {
        scope.spawn(|| {
            // Either end may go at any time.
            let _carried = copy(&mut &*near, &mut &*far).is_ok();
            let _told = far.shutdown(Shutdown::Write).is_ok();
        });
        let _carried = copy(&mut &*far, &mut &*near).is_ok();
        let _told = near.shutdown(Shutdown::Both).is_ok();
    });
}

/// Keeps a picture for whoever wants to look at it.
fn keep(name: &str, picture: &[u8]) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PICTURES);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), picture).unwrap();
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one browser, which takes long to start, looks at all of it"
)]
fn every_page_is_right_in_a_real_browser() {
    let Some(mut chromium) = Chromium::start() else {
        return;
    };
    let (host, daemon, mut browser) = host_with_a_month(400);
    // The page of health has something to show.
    let health = browser.get("/health");
    browser.post(&health, "/health/examine", &[]);
    let at = leads_to(host.file("page.sock"));
    let day = host.day.previous().to_string();
    let report = format!("/domains/bank.test/reports/{day}");
    let paths: Vec<&str> = PATHS.iter().copied().chain([report.as_str()]).collect();
    for path in &paths {
        for (width, dark) in [(1_280, false), (320, true)] {
            let view = View {
                width,
                dark,
                ..WIDE
            };
            chromium.open(&format!("{at}{path}"), view);
            // WCAG 1.4.10: nothing but tables is to be scrolled sideways, even here.
            let content = chromium.value("document.documentElement.scrollWidth");
            assert_eq!(content, width, "{path} is wider than the window");
            // Script of ours there is none, and of others none ran.
            assert_eq!(chromium.value("document.scripts.length"), 0, "{path}");
            // The style came, and is allowed by our own policy.
            assert_eq!(chromium.value("document.styleSheets.length"), 1, "{path}");
            // WCAG 1.4.3: what is read can be read.
            let faint = chromium.value(FAINT);
            assert_eq!(faint, serde_json::json!([]), "{path}, dark: {dark}");
            assert_eq!(chromium.value(UNNAMED), serde_json::json!([]), "{path}");
        }
    }
    // One comes to the content with two keys, and to every place of the menu with the next.
    chromium.open(&format!("{at}/"), WIDE);
    chromium.press("Tab", 9);
    assert_eq!(
        chromium.value("document.activeElement.getAttribute('href')"),
        "#main"
    );
    chromium.press("Enter", 13);
    assert_eq!(chromium.value("document.activeElement.id"), "main");
    chromium.press("Tab", 9);
    let inside = chromium.value("document.getElementById('main').contains(document.activeElement)");
    assert_eq!(inside, true);
    let outline = chromium.value("getComputedStyle(document.activeElement).outlineStyle");
    assert_eq!(outline, "solid", "one sees where one is");
    // A screen reader is told of the chart in words, of landmarks, and of one heading for the page.
    let spoken = chromium.spoken();
    let named = |role: &str| -> Vec<&str> {
        let of_role = spoken.iter().filter(|(each, _)| each == role);
        of_role.map(|(_, name)| name.as_str()).collect()
    };
    let charts = named("image");
    let told = charts
        .iter()
        .any(|name| name.contains("The day with the most is"));
    assert!(told, "{charts:?}");
    assert_eq!(named("main").len(), 1);
    assert!(
        named("navigation").contains(&"Pages"),
        "{:?}",
        named("navigation")
    );
    assert_eq!(chromium.value("document.querySelectorAll('h1').length"), 1);

    let picture = |width, height, dark, language| View {
        width,
        height,
        dark,
        language,
    };
    for (name, path, view) in [
        ("overview.png", "/", picture(1_280, 1_080, false, "en")),
        ("overview-dark.png", "/", picture(1_280, 1_080, true, "en")),
        (
            "overview-japanese.png",
            "/",
            picture(1_280, 1_080, false, "ja"),
        ),
        ("overview-narrow.png", "/", picture(320, 1_400, false, "en")),
        ("domains.png", "/domains", picture(1_280, 900, false, "en")),
        (
            "domain.png",
            "/domains/bank.test",
            picture(1_280, 1_560, false, "en"),
        ),
        (
            "domain-japanese.png",
            "/domains/clinic.test",
            picture(1_280, 1_400, true, "ja"),
        ),
        ("reports.png", "/reports", picture(1_280, 900, false, "en")),
        (
            "report.png",
            report.as_str(),
            picture(1_280, 1_000, false, "en"),
        ),
        ("policies.png", "/policies", picture(1_280, 700, true, "en")),
        (
            "overrides.png",
            "/overrides",
            picture(1_280, 600, false, "en"),
        ),
        ("audit.png", "/audit", picture(1_280, 1_080, false, "en")),
        (
            "audit-japanese.png",
            "/audit?kind=mail-refused",
            picture(1_280, 900, true, "ja"),
        ),
        (
            "audit-narrow.png",
            "/audit",
            picture(320, 1_400, false, "en"),
        ),
        ("alerts.png", "/alerts", picture(1_280, 1_300, false, "en")),
        (
            "alerts-japanese.png",
            "/alerts",
            picture(1_280, 1_300, true, "ja"),
        ),
        ("health.png", "/health", picture(1_280, 1_300, true, "en")),
        (
            "failures.png",
            "/failures/certificate-expired",
            picture(1_280, 900, false, "en"),
        ),
        (
            "confirm.png",
            "/act?do=purge&domain=bank.test",
            picture(1_280, 500, false, "en"),
        ),
    ] {
        chromium.open(&format!("{at}{path}"), view);
        let picture = chromium.picture();
        assert!(
            picture.starts_with(b"\x89PNG") && picture.len() > 5_000,
            "{name}"
        );
        keep(name, &picture);
    }
    assert!(chromium.complaints.is_empty(), "{:#?}", chromium.complaints);
    assert!(daemon.stop().success());
}

/// The texts whose contrast with what lies behind them is less than WCAG wants: 4.5, of large ones 3.
const FAINT: &str = r"(() => {
  const part = (number) => { const c = number / 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const rgba = (text) => { const n = text.match(/[\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const light = (c) => 0.2126 * part(c[0]) + 0.7152 * part(c[1]) + 0.0722 * part(c[2]);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const c = rgba(getComputedStyle(e).backgroundColor);
      if (c[3] > 0.99) return c;
    }
    return [255, 255, 255, 1];
  };
  const faint = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.closest('svg') || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const [one, other] = [light(rgba(style.color)), light(behind(element))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (contrast < (large ? 3 : 4.5)) faint.push(element.outerHTML.slice(0, 80) + ' ' + contrast.toFixed(2));
  }
  return faint;
})()";

/// What one can act on or read as a picture, and that has no name; heads of tables without a scope; fields
/// without a label.
const UNNAMED: &str = r"(() => {
  const bad = [];
  const note = (element) => bad.push(element.outerHTML.slice(0, 80));
  const name = (e) => (e.getAttribute('aria-label') || e.textContent || e.title || '').trim()
    || [...e.querySelectorAll('img')].map((i) => i.alt).join('').trim();
  for (const e of document.querySelectorAll('a, button, summary')) if (!name(e)) note(e);
  for (const e of document.querySelectorAll('svg[role=img]')) if (!e.getAttribute('aria-label')) note(e);
  for (const e of document.querySelectorAll('img')) if (!e.hasAttribute('alt')) note(e);
  for (const e of document.querySelectorAll('th')) if (!e.scope) note(e);
  for (const e of document.querySelectorAll('input:not([type=hidden]), select')) if (!e.labels.length) note(e);
  for (const e of document.querySelectorAll('[aria-labelledby], [aria-describedby]'))
    for (const id of ((e.getAttribute('aria-labelledby') || '') + ' ' + (e.getAttribute('aria-describedby') || '')).trim().split(/\s+/))
      if (!document.getElementById(id)) note(e);
  const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
  if (new Set(ids).size !== ids.length) bad.push('an id stands twice');
  return bad;
})()";
