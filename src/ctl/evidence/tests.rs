use super::{
    super::wire::{Evidence, ProtectedSessions, SecurityOfDay, SecurityOfDomain, rows_sha256},
    csv::{csv, field},
    html::html,
    json::json,
    share::Share,
    text::text,
};

fn numbers(numbers: [u64; 5]) -> ProtectedSessions {
    let [dane, sts, tls, clear, refused] = numbers;
    ProtectedSessions {
        sessions: numbers.iter().sum(),
        dane,
        sts,
        tls,
        clear,
        refused,
    }
}

fn evidence() -> Evidence {
    let domains = [("a.test", [6, 0, 0, 0, 1]), ("b.test", [0, 1, 0, 2, 0])];
    let domains: Vec<_> = domains
        .into_iter()
        .map(|(domain, parts)| SecurityOfDomain {
            domain: domain.to_owned(),
            protected: numbers(parts),
        })
        .collect();
    Evidence {
        program: "sealpost 9.9".to_owned(),
        organization: Some("=HYPERLINK(\"http://x\") & <b>Söhne</b>, \u{1b}[31m".to_owned()),
        host: "mail.test".to_owned(),
        made_at: "2026-11-24T12:00:00Z".to_owned(),
        from: "2026-11-01".to_owned(),
        to: "2026-11-24".to_owned(),
        domain: None,
        held_since: Some("2026-11-10".to_owned()),
        cut_until: None,
        last_day_runs: true,
        days: vec![SecurityOfDay {
            day: "2026-11-23".to_owned(),
            protected: numbers([6, 1, 0, 2, 1]),
        }],
        not_noted: vec!["2026-11-10".to_owned()],
        total: numbers([6, 1, 0, 2, 1]),
        sha256: rows_sha256(&domains),
        domains,
    }
}

#[test]
fn a_share_is_cut_so_that_one_session_in_the_clear_stays_seen() {
    for (part, all, expected) in [
        (0, 0, "0.00"),
        (0, 7, "0.00"),
        (7, 7, "100.00"),
        (1, 3, "33.33"),
        (1, 1_000_000_000, "0.01"),
        (999_999_999, 1_000_000_000, "99.99"),
        (u64::MAX, u64::MAX, "100.00"),
    ] {
        assert_eq!(
            Share::of(part, all).to_string(),
            expected,
            "{part} of {all}"
        );
    }
}

#[test]
fn no_field_is_a_formula_and_none_leaves_its_place() {
    for (text, expected) in [
        ("plain", "plain"),
        ("", ""),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("a,b", "\"a,b\""),
        ("=a,\"b\"", "\"'=a,\"\"b\"\"\""),
        ("two\r\nlines", "two\\r\\nlines"),
    ] {
        assert_eq!(field(text), expected, "{text}");
    }
}

#[test]
fn every_row_of_the_table_has_as_many_fields_and_the_rows_add_up() {
    let table = csv(&evidence());
    assert!(table.ends_with("\r\n"));
    assert!(!table.replace("\r\n", "").contains(['\r', '\n', '\u{1b}']));
    let rows: Vec<Vec<String>> = table.split_terminator("\r\n").map(fields).collect();
    assert!(rows.iter().all(|row| row.len() == 14), "{table}");
    let sum_of = |kind: &str, column: usize| -> u64 {
        let rows = rows.iter().filter(|row| row[0] == kind);
        rows.map(|row| row[column].parse::<u64>().unwrap()).sum()
    };
    for column in 3..9 {
        assert_eq!(sum_of("domain", column), sum_of("total", column));
        assert_eq!(sum_of("day", column), sum_of("total", column));
    }
    let total = rows.iter().find(|row| row[0] == "total").unwrap();
    assert_eq!(total[9..], ["60.00", "10.00", "0.00", "20.00", "10.00"]);
    let organization = rows.iter().find(|row| row[1] == "organization").unwrap();
    assert!(organization[2].starts_with("'=HYPERLINK(\"http"), "{table}");
}

/// Reads a line by RFC 4180.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let field = fields.last_mut().unwrap();
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => field.extend(letters.next()),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            letter => field.push(letter),
        }
    }
    assert!(!is_quoted, "{line}");
    fields
}

#[test]
fn the_page_is_escaped_and_fetches_nothing() {
    let page = html(&evidence()).unwrap();
    assert!(!page.contains("<b>"), "{page}");
    assert!(page.contains("&#60;b&#62;"), "{page}");
    assert!(!page.contains('\u{1b}'));
    for outside in [
        "<script", "<link", "<img", "src=", "href=", "@import", "url(",
    ] {
        assert!(!page.contains(outside), "{outside}: {page}");
    }
    for seen in [
        "<th scope=\"row\">b.test</th><td>3</td><td>0</td><td>0.00</td><td>1</td><td>33.33</td>",
        "Nothing is held of the days before 2026-11-10",
        "2026-11-24 was not over",
    ] {
        assert!(page.contains(seen), "{seen}: {page}");
    }
}

#[test]
fn every_format_says_the_same_digest_and_what_is_not_known() {
    let evidence = evidence();
    for written in [
        text(&evidence),
        csv(&evidence),
        json(&evidence).unwrap(),
        html(&evidence).unwrap(),
    ] {
        for said in [
            evidence.sha256.as_str(),
            "sealpost 9.9",
            "mail.test",
            "2026-11-24T12:00:00Z",
            "did not note what protected them, on 2026-11-10",
        ] {
            assert!(written.contains(said), "{said}: {written}");
        }
    }
}
