//! The header and [`crate::abi`] say the same: a C program made from the header prints every size,
//! offset and number, and each is compared.

use std::{mem::offset_of, process::Command};

use sealpost_plugin_api::ResultType;

use crate::abi::{
    ABI_MAJOR, ABI_MINOR, AnsweredBy, Api, Code, Host, Judgement, Level, OUTCOME_FACTS,
    OUTCOME_FAILURE, OUTCOME_SUCCESS, PolicyView, Presented, Query, Session, Str, Tlsa, Verdict,
};

macro_rules! layout {
    ($c_name:literal, $type:ty: $($member:ident)*) => {{
        let mut lines = vec![format!("{} {}", $c_name, size_of::<$type>())];
        $(lines.push(format!(
            "{}.{} {}", $c_name, stringify!($member), offset_of!($type, $member),
        ));)*
        lines
    }};
}

fn ours() -> Vec<String> {
    let mut lines = layout!("sealpost_str", Str: ptr len);
    lines.extend(layout!("sealpost_host", Host:
        struct_size abi_major abi_minor reserved config error error_size));
    lines.extend(layout!("sealpost_query", Query: struct_size deadline_ms domain mx port reserved));
    lines.extend(layout!("sealpost_tlsa", Tlsa: usage selector matching reserved data));
    lines.extend(layout!("sealpost_policy_view", PolicyView:
        struct_size level audit answered_by mx_patterns mx_pattern_count tlsa tlsa_count name
        policy reason names name_count));
    lines.extend(layout!("sealpost_session", Session:
        struct_size outcome result starttls verification reserved at_unix_seconds domain policy mx
        mx_helo receiving_ip sending_ip text leaf_der chain_der chain_count dane reserved_2));
    lines.extend(layout!("sealpost_presented", Presented:
        struct_size deadline_ms domain mx policy chain_der chain_count));
    lines.extend(layout!("sealpost_verdict", Verdict:
        struct_size verdict result reserved reason reason_size));
    lines.extend(layout!("sealpost_api", Api:
        struct_size abi_major abi_minor reserved open policy policy_free session forked close
        verify));
    lines.extend(numbers());
    lines
}

fn numbers() -> Vec<String> {
    let number = |name: &str, value: u32| format!("{name} {value}");
    let code = |name: &str, value: Code| format!("{name} {}", value as i32);
    let mut lines = vec![
        number("ABI_MAJOR", ABI_MAJOR),
        number("ABI_MINOR", ABI_MINOR),
        code("OK", Code::Ok),
        code("E_POINTER", Code::Pointer),
        code("E_SIZE", Code::Size),
        code("E_VERSION", Code::Version),
        code("E_ARGUMENT", Code::Argument),
        code("E_CONFIG", Code::Config),
        code("E_UNSENT", Code::Unsent),
        code("E_INTERNAL", Code::Internal),
        number("LEVEL_MAY", Level::May as u32),
        number("LEVEL_ENCRYPT", Level::Encrypt as u32),
        number("LEVEL_VERIFY", Level::Verify as u32),
        number("LEVEL_DANE", Level::Dane as u32),
        number("LEVEL_REFUSE_MX", Level::RefuseMx as u32),
        number("LEVEL_DEFER", Level::Defer as u32),
        number("ANSWERED_BY_DAEMON", AnsweredBy::Daemon as u32),
        number("ANSWERED_BY_LIBRARY", AnsweredBy::Library as u32),
        number("VERDICT_UNKNOWN", Judgement::Unknown as u32),
        number("VERDICT_PASSED", Judgement::Passed as u32),
        number("VERDICT_FAILED", Judgement::Failed as u32),
        number("OUTCOME_FACTS", OUTCOME_FACTS),
        number("OUTCOME_SUCCESS", OUTCOME_SUCCESS),
        number("OUTCOME_FAILURE", OUTCOME_FAILURE),
    ];
    for (value, result) in (1..).zip(ResultType::ALL) {
        let name = result.name().to_uppercase().replace('-', "_");
        lines.push(number(&format!("RESULT_{name}"), value));
    }
    lines
}

/// A C program that prints the same lines, by the header.
fn program(lines: &[String]) -> String {
    let mut body = String::new();
    for line in lines {
        let name = line.split(' ').next().unwrap();
        let value = match name.split_once('.') {
            Some((structure, member)) => format!("offsetof({structure}, {member})"),
            None if name.starts_with("sealpost_") => format!("sizeof({name})"),
            None => format!("SEALPOST_{name}"),
        };
        body.push_str(&format!("    printf(\"{name} %d\\n\", (int)({value}));\n"));
    }
    format!(
        "#include <stdio.h>\n#include \"sealpost.h\"\nint main(void) {{\n{body}    return 0;\n}}\n"
    )
}

#[test]
fn the_header_and_the_library_agree() {
    let directory = std::env::temp_dir().join(format!("sealpost-layout-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let source = directory.join("layout.c");
    let expected = ours();
    std::fs::write(&source, program(&expected)).unwrap();
    let header = concat!(env!("CARGO_MANIFEST_DIR"), "/include");
    let compile = |compiler: &str, options: &[&str]| {
        let status = Command::new(compiler)
            .args(options)
            .args([
                "-Wall",
                "-Wextra",
                "-Werror",
                "-pedantic",
                "-I",
                header,
                "-o",
            ])
            .arg(directory.join("layout"))
            .arg(&source)
            .status()
            .expect("this test needs a C and a C++ compiler as cc and c++");
        assert!(status.success(), "{compiler} {options:?}");
        let output = Command::new(directory.join("layout")).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let printed: Vec<&str> = printed.lines().collect();
        assert_eq!(printed, expected, "{compiler} {options:?}");
    };
    compile("cc", &["-std=c11"]);
    compile("c++", &["-std=c++17", "-x", "c++"]);
    std::fs::remove_dir_all(&directory).unwrap();
}
